//! Looking at a context now and then.

use super::tools::on_clock;
use crate::Context;
use std::time::Duration;

/// At which of so many calls, counted from 0, `check` first fails if the
/// cancel comes before the call `cancelled`.
fn first_failure(calls: u32, cancelled: usize) -> usize {
    let (ctx, handle) = Context::background().with_cancel();
    let mut every = ctx.every(calls);
    for call in 0.. {
        if call == cancelled {
            handle.cancel_with("enough");
        }
        if let Err(error) = every.check() {
            assert_eq!(error.to_string(), "context cancelled: enough");
            return call;
        }
    }
    unreachable!()
}

#[test]
fn every_nth_call_looks_and_the_first() {
    for calls in 1..=9 {
        for cancelled in 0..=40_usize {
            let stride = calls as usize;
            let looks = cancelled.div_ceil(stride) * stride;
            assert_eq!(
                first_failure(calls, cancelled),
                looks,
                "{calls}, {cancelled}"
            );
        }
    }
}

#[test]
fn zero_calls_count_as_one() {
    for cancelled in 0..5 {
        assert_eq!(first_failure(0, cancelled), cancelled);
    }
}

#[test]
fn the_longest_stride_looks_at_the_first_call_only() {
    let (ctx, handle) = Context::background().with_cancel();
    let mut every = ctx.every(u32::MAX);
    assert!(every.check().is_ok());
    handle.cancel();
    assert!((0..1_000).all(|_| every.check().is_ok()));
    assert!(ctx.every(u32::MAX).check().is_err());
}

#[test]
fn once_failed_every_call_fails() {
    let (clock, root) = on_clock();
    let (ctx, _handle) = root.with_timeout(Duration::from_secs(1));
    let mut every = ctx.every(4);
    clock.advance(Duration::from_secs(1));
    assert!((0..20).all(|_| every.check().unwrap_err().is_timeout()));
    // Clones count on their own.
    let mut live = root.every(2);
    assert!(live.check().is_ok());
    assert!(live.clone().check().is_ok());
}

#[test]
fn what_is_never_done_never_fails() {
    let root = Context::background();
    let mut every = root.every(3);
    assert!((0..100).all(|_| every.check().is_ok()));
}
