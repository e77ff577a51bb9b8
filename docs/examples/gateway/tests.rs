//! What the run itself does not show.

use std::ffi::OsString;
use std::time::Duration;

use ctxtree::Context;

use crate::histogram::{Histogram, bucket, upper_edge};
use crate::options::Options;
use crate::report::{self, Verdict};
use crate::request::RequestId;
use crate::stats::{SAMPLES, Stats};
use crate::why::Why;
use crate::{backends, run};

fn parse(line: &str) -> Result<Option<Options>, String> {
    Options::parse(line.split_whitespace().map(OsString::from))
}

#[test]
fn options_are_read_in_both_forms() {
    let options = parse("--for 1500ms --clients=7 --port 0").unwrap().unwrap();
    assert_eq!(options.length, Duration::from_millis(1500));
    assert_eq!((options.clients, options.port), (7, 0));
    assert_eq!(parse("--for 2m").unwrap().unwrap().length.as_secs(), 120);
    assert_eq!(parse("--help").unwrap(), None);
}

#[test]
fn bad_options_are_named() {
    for line in [
        "--for",
        "--for 5",
        "--for 0s",
        "--for s",
        "--for -1s",
        "--for 99999999999999999999s",
        "--for 18446744073709551615m",
        "--clients x",
        "--clients 10001",
        "--port 65536",
        "--wat",
        "5s",
    ] {
        let error = parse(line).unwrap_err();
        let name = line.split(' ').next().unwrap();
        assert!(error.contains(name), "{line}: {error}");
    }
}

#[test]
fn every_length_is_in_the_bucket_that_ends_at_or_after_it() {
    for length in (0..5_000).chain([65_535, 65_536, 1 << 31, (1 << 32) - 1]) {
        let index = bucket(length);
        assert!(length <= upper_edge(index), "{length}");
        assert!(index == 0 || length > upper_edge(index - 1), "{length}");
    }
}

#[test]
fn percentiles_are_close_and_never_past_the_longest() {
    let histogram = Histogram::default();
    assert_eq!(histogram.percentile(50), Duration::ZERO);
    for millis in 1..=100 {
        histogram.record(Duration::from_millis(millis));
    }
    let median = histogram.percentile(50).as_secs_f64();
    assert!((0.050..0.052).contains(&median), "{median}");
    assert_eq!(histogram.percentile(100), Duration::from_millis(100));
    histogram.record(Duration::MAX);
    assert_eq!(histogram.count(), 101);
}

#[test]
fn a_query_asks_three_to_five_different_backends() {
    for query in 0..1_000 {
        let mut asked: Vec<_> = backends::plan(query).iter().map(|j| j.backend).collect();
        assert!((3..=5).contains(&asked.len()));
        asked.sort_by_key(|backend| *backend as u8);
        asked.dedup();
        assert!(asked.len() >= 3);
    }
}

#[test]
fn a_request_and_all_below_it_know_its_id() {
    let (connection, _end) = Context::background().with_cancel();
    let (first, _) = RequestId::give(&connection);
    let (second, _) = RequestId::give(&connection);
    let (below, _) = first.derive().name("fan-out").build();
    assert_eq!(RequestId::of(&below), RequestId::of(&first));
    assert_ne!(RequestId::of(&first), RequestId::of(&second));
    assert_eq!(RequestId::of(&connection).to_string(), "0");
}

#[test]
fn a_cancel_is_logged_with_reason_cause_origin_and_place() {
    let (connection, end) = Context::background().with_cancel();
    let (request, _) = RequestId::give(&connection);
    let line = line!() + 1;
    end.cancel_with(Why::client_went_away());
    let id = RequestId::of(&request);
    assert_eq!(
        report::cancel(id, &request.error().unwrap()),
        format!(
            "gateway: request {id}: context cancelled: client went away \
             (began at {}, tests.rs:{line})",
            connection.id(),
        )
    );
}

#[test]
fn cancels_of_one_kind_are_one_row() {
    let stats = Stats::new();
    for count in 1..=SAMPLES + 1 {
        let (request, end) = Context::background().with_cancel();
        end.cancel_with(Why::client_went_away());
        assert_eq!(stats.count(&request.error().unwrap()), count);
    }
    let (request, end) = Context::background().with_cancel();
    end.cancel_with(Why::handler_panicked());
    assert_eq!(stats.count(&request.error().unwrap()), 1);
    let rows = stats.cancels();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (rows[0].0.cause.as_str(), rows[0].1),
        ("client went away", SAMPLES + 1)
    );
}

#[test]
fn a_large_tree_is_shown_in_part() {
    let (root, _stop) = Context::background().derive().name("root").build();
    let below: Vec<_> = (0..9).map(|_| root.with_cancel()).collect();
    let _log = root.after_cancel(|_| ());
    let text = report::tree(&root.tree(), 4);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "gateway: the tree now: 10 contexts, 0 waiters, 1 callbacks"
    );
    assert!(lines[1].starts_with("  root #"), "{text}");
    assert_eq!((lines.len(), lines[5]), (6, "  ... and 6 more"));
    drop(below);
    let text = report::tree(&root.tree(), 4);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.ends_with('\n'));
}

// Every cancel is logged once, everything that began has ended, nothing is left.
#[test]
fn a_short_run_is_clean() {
    let options = Options {
        length: Duration::from_millis(400),
        clients: 24,
        port: 0,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let (text, verdict) = runtime.unwrap().block_on(run(&options)).unwrap();
    assert!(verdict == Verdict::Clean, "{text}");
    assert!(text.contains("shutdown: time is up"), "{text}");
}
