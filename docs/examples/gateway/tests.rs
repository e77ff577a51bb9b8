//! What the run itself does not show.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ctxtree::Context;
use ctxtree::time::ManualClock;
use hyper::StatusCode;

use crate::backends::Backend;
use crate::histogram::{Histogram, bucket, upper_edge};
use crate::options::Options;
use crate::report::{self, Verdict};
use crate::request::{Outcome, Presence, RequestId};
use crate::stats::{SAMPLES, Stats};
use crate::why::Why;
use crate::{Shared, backends, run};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn shared() -> Shared {
    Shared {
        stats: Arc::new(Stats::new()),
        timeout: HOUR,
        stubborn: None,
    }
}

fn parse(line: &str) -> Result<Option<Options>, String> {
    Options::parse(line.split_whitespace().map(OsString::from))
}

#[test]
fn options_are_read_in_both_forms() {
    let options = parse("--for 1500ms --clients=7 --port 0").unwrap().unwrap();
    assert_eq!(options.length, Duration::from_millis(1500));
    assert_eq!((options.clients, options.port), (7, 0));
    assert_eq!(options.timeout, Duration::from_millis(100));
    assert_eq!(parse("--for 2m").unwrap().unwrap().length.as_secs(), 120);
    assert_eq!(options.drain, Duration::from_secs(1));
    assert_eq!(options.stubborn, None);
    let options = parse("--timeout=60m --drain 60m --stubborn=3s");
    let options = options.unwrap().unwrap();
    assert_eq!((options.timeout, options.drain), (HOUR, HOUR));
    assert_eq!(options.stubborn, Some(Duration::from_secs(3)));
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
        "--timeout 0ms",
        "--timeout 61m",
        "--timeout 18446744073709551615s",
        "--drain 0s",
        "--stubborn 61m",
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
    let (first, _) = RequestId::give(&connection, HOUR);
    let (second, _) = RequestId::give(&connection, HOUR);
    let (below, _) = first.derive().name("fan-out").build();
    assert_eq!(RequestId::of(&below), RequestId::of(&first));
    assert_ne!(RequestId::of(&first), RequestId::of(&second));
    assert_eq!(RequestId::of(&connection).to_string(), "0");
}

#[test]
fn a_cancel_is_logged_with_reason_cause_origin_and_place() {
    let (connection, end) = Context::background().with_cancel();
    let (request, _) = RequestId::give(&connection, HOUR);
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
fn a_request_whose_time_is_up_is_answered_504_and_timed() {
    let shared = shared();
    let (connection, _end) = Context::background().with_cancel();
    let (request, handle) = RequestId::give(&connection, Duration::from_millis(5));
    let deadline = request.deadline().unwrap();
    let presence = Presence::new(&connection, handle, shared.clone());
    let (below, _) = request.derive().name("fan-out").build();
    let error = below.wait();
    assert!(Instant::now() >= deadline);
    let id = RequestId::of(&request);
    assert_eq!(
        report::cancel(id, &error),
        format!(
            "gateway: request {id}: context deadline exceeded: no answer within 5ms \
             (began at {}, deadline)",
            request.id(),
        )
    );
    assert!(Why::age(&error).unwrap() < HOUR);
    let response = presence.confirm(Outcome::Expired(error));
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    let requests = &shared.stats.requests;
    assert_eq!((requests.begun.get(), requests.ended()), (1, 1));
    assert_eq!((requests.expired.get(), requests.overtime.count()), (1, 1));
    assert_eq!((requests.early.get(), requests.late.get()), (0, 0));
}

#[test]
fn an_end_before_the_deadline_is_a_fault_of_its_own() {
    let requests = &shared().stats.requests;
    requests.expire(Some(Instant::now() + HOUR));
    assert_eq!((requests.early.get(), requests.overtime.count()), (1, 0));
}

#[test]
fn a_client_that_leaves_first_leaves_no_deadline_behind() {
    let shared = shared();
    let (connection, _end) = Context::background().with_cancel();
    let (request, handle) = RequestId::give(&connection, HOUR);
    drop(Presence::new(&connection, handle, shared.clone()));
    assert!(!request.error().unwrap().is_timeout());
    let requests = &shared.stats.requests;
    assert_eq!((requests.abandoned.get(), requests.expired.get()), (1, 0));
}

#[tokio::test]
async fn reviews_are_cut_short_when_the_time_is() {
    let mut some = 0;
    for job in (0..2_000).flat_map(backends::plan) {
        if job.backend != Backend::Reviews || some == 3 {
            continue;
        }
        // Time for some pages, on a clock that stands still.
        let clock = ManualClock::new();
        let ctx = Context::background().with_clock(&clock);
        let (all, _) = ctx.with_timeout(HOUR);
        let (little, _) = ctx.with_timeout(Duration::from_nanos(1));
        let whole = backends::run(job, &all).await;
        let part = backends::run(job, &little).await;
        if let (Ok(whole), Ok(part)) = (whole, part) {
            assert_eq!((whole, part), (8, 1));
            some += 1;
        }
    }
    assert_eq!(some, 3);
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
    let text = clean_run(Duration::from_millis(400), HOUR);
    assert!(text.contains("shutdown: time is up"), "{text}");
    let mut failures = text.lines().filter(|line| line.contains("  backend `"));
    assert!(
        failures.all(|line| line.contains("  request.rs:")),
        "{text}"
    );
    assert_eq!(expired(&text), 0, "{text}");
}

#[test]
fn a_run_with_too_little_time_is_clean_and_tells_how_late_its_requests_ended() {
    let text = clean_run(Duration::from_millis(400), Duration::from_millis(5));
    assert!(expired(&text) > 0, "{text}");
    assert!(text.contains("after their deadline)"), "{text}");
    assert!(
        text.contains("  deadline        no answer within 5ms"),
        "{text}"
    );
}

// Nobody is cut off who is given the time.
#[test]
fn what_is_under_way_at_the_end_is_answered() {
    let mut options = options(Duration::from_millis(400), HOUR);
    options.drain = HOUR;
    let (text, verdict) = ended_run(&options);
    assert!(verdict == Verdict::Clean, "{text}");
    assert!(number(&text, "requests were under way,") > 0, "{text}");
    assert_eq!(number(&text, "refused at shutdown"), 0, "{text}");
    assert_eq!(number(&text, "when the rest was cancelled"), 0, "{text}");
}

#[test]
fn what_is_under_way_at_the_end_is_cancelled_when_its_time_is_up() {
    let mut options = options(Duration::from_millis(400), HOUR);
    options.drain = Duration::from_millis(1);
    let (text, verdict) = ended_run(&options);
    assert!(verdict == Verdict::Clean, "{text}");
    assert!(number(&text, "when the rest was cancelled") > 0, "{text}");
    assert!(text.contains("shutting down"), "{text}");
}

#[test]
fn who_ignores_the_cancel_for_a_while_is_waited_for() {
    let mut options = options(Duration::from_secs(1), HOUR);
    options.drain = Duration::from_millis(100);
    options.stubborn = Some(Duration::from_millis(800));
    let (text, verdict) = ended_run(&options);
    assert!(verdict == Verdict::Clean, "{text}");
    assert!(number(&text, "when the rest was cancelled") > 0, "{text}");
}

// What waits is aborted, and gone; what blocks is named.
#[test]
fn who_ignores_the_cancel_for_longer_is_named() {
    let mut options = options(Duration::from_secs(1), HOUR);
    options.drain = Duration::from_millis(100);
    options.stubborn = Some(Duration::from_secs(6));
    let (text, verdict) = ended_run(&options);
    assert!(verdict == Verdict::Inconsistent, "{text}");
    assert!(number(&text, "at the hard limit") > 0, "{text}");
    let (_, left) = text.split_once("left over, the oldest first\n").unwrap();
    let (left, _) = left.split_once("\n\n").unwrap();
    let mut archives = left.lines().filter(|line| line.contains(" s  archive #"));
    let place = "request.rs:";
    assert!(
        archives.any(|line| line.contains("(cancelled, ") && line.contains(place)),
        "{text}"
    );
}

fn clean_run(length: Duration, timeout: Duration) -> String {
    let (text, verdict) = ended_run(&options(length, timeout));
    assert!(verdict == Verdict::Clean, "{text}");
    text
}

fn options(length: Duration, timeout: Duration) -> Options {
    Options {
        length,
        timeout,
        drain: Duration::from_secs(1),
        stubborn: None,
        clients: 24,
        port: 0,
    }
}

fn ended_run(options: &Options) -> (String, Verdict) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let ended = runtime.block_on(run(options)).unwrap();
    runtime.shutdown_background();
    ended
}

/// The number before `expired` in a report.
fn expired(report: &str) -> u64 {
    number(report, "expired, ")
}

/// The number before `what` in a report.
fn number(report: &str, what: &str) -> u64 {
    let mut rows = report.lines().map(str::trim_start);
    let row = rows.find_map(|row| row.split_once(&format!("  {what}")));
    row.and_then(|(count, _)| count.parse().ok()).unwrap()
}
