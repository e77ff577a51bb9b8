//! What the run itself does not show.

use std::ffi::OsString;
use std::time::Duration;

use crate::backends;
use crate::histogram::{Histogram, bucket, upper_edge};
use crate::options::Options;

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
