//! When a driver is woken, and what a run tells it.

use super::fake_driver::{FakeDriver, TICK};
use super::tools::{HOUR, Random, ms, outcome};
use crate::Reason;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const EXCEEDED: Option<(Reason, Option<String>)> = Some((Reason::DeadlineExceeded, None));

// V18: a driver that runs when it is woken is woken when what is armed is the new
// earliest, and by nothing else: not for what is later, not for what is over, not
// by cancels and drops, not by questions.
#[test]
fn a_driver_is_woken_for_a_new_earliest_only() {
    let (driver, timers, top) = FakeDriver::new();
    let woken = || {
        let wakes = driver.take_wakes();
        if wakes > 0 {
            timers.run();
        }
        wakes
    };
    assert!(timers.run().is_none());
    assert_eq!(woken(), 0, "not before the first");
    let (first, _keep) = top.with_timeout(ms(1_000));
    assert_eq!(woken(), 1);
    let later: Vec<_> = (0..100)
        .map(|n| top.with_timeout(ms(2_000 + 10 * n)))
        .collect();
    let (below, cancel_below) = first.with_timeout(HOUR);
    let (_over, _keep) = top.with_timeout(Duration::ZERO);
    let (plain, _keep) = top.with_cancel();
    let _ = (first.deadline(), first.remaining(), plain.deadline());
    assert!(below.to_string().contains("deadline"));
    let (_same, _keep) = top.with_deadline(first.deadline().unwrap());
    assert_eq!(woken(), 0, "what is later, or at once");
    let (sooner, move_sooner) = top.with_timeout(ms(500));
    assert_eq!(woken(), 1);
    cancel_below.cancel();
    later[50].1.cancel();
    drop(later);
    assert_eq!(woken(), 0, "disarming");
    assert!(!sooner.is_cancelled());
    drop((sooner, move_sooner, first));
    assert_eq!(woken(), 0);
}

// V18: it is also woken for a deadline that is moved to be the earliest, even if
// it has not looked since an earlier move.
#[test]
fn a_driver_is_woken_for_what_is_moved_to_be_the_earliest() {
    for moves in [&[100][..], &[900, 100], &[900, 800, 100]] {
        let (driver, timers, top) = FakeDriver::new();
        let (_first, _keep) = top.with_timeout(ms(500));
        let (_ctx, handle) = top.with_timeout(ms(1_000));
        timers.run();
        driver.take_wakes();
        for &to in moves {
            assert!(handle.set_deadline(driver.time() + ms(to)));
        }
        assert!(driver.take_wakes() > 0, "{moves:?}");
    }
}

// V18: and for one that is added to what had none.
#[test]
fn a_driver_is_woken_for_a_deadline_that_is_added() {
    let (driver, timers, top) = FakeDriver::new();
    let (_ctx, handle) = top.with_cancel();
    timers.run();
    assert!(handle.set_deadline(driver.time() + ms(5)));
    assert!(driver.take_wakes() > 0);
}

// V18: nor for one that moves away.
#[test]
fn a_driver_is_not_woken_for_what_is_moved_later() {
    let (driver, timers, top) = FakeDriver::new();
    let (_ctx, handle) = top.with_timeout(ms(500));
    timers.run();
    driver.take_wakes();
    for to in [600, 700, 5_000] {
        assert!(handle.set_deadline(driver.time() + ms(to)));
        assert_eq!(driver.take_wakes(), 0);
    }
}

// V18: after a run too: only what is earlier than what the run said.
#[test]
fn a_run_says_when_the_next_one_is_needed() {
    let (driver, timers, top) = FakeDriver::new();
    let began = driver.time();
    let (soon, _keep) = top.with_timeout(ms(10));
    let (late, _keep) = top.with_timeout(ms(5_000));
    let next = timers.run().unwrap();
    assert!(
        next > began && next <= began + ms(10) + TICK,
        "{:?}",
        next - began
    );
    driver.advance(ms(10) + TICK);
    let next = timers.run().unwrap();
    assert_eq!((outcome(&soon), outcome(&late)), (EXCEEDED, None));
    assert!(next > driver.time() && next <= began + ms(5_000) + TICK);
    driver.take_wakes();
    let (_later, _keep) = top.with_timeout(ms(6_000));
    assert_eq!(driver.take_wakes(), 0);
    let (_sooner, _keep) = top.with_timeout(ms(1));
    assert_eq!(driver.take_wakes(), 1);
    driver.advance(HOUR);
    assert!(timers.run().is_none(), "nothing is left");
    assert_eq!(timers.outstanding(), 0);
    let (_again, _keep) = top.with_timeout(HOUR);
    assert_eq!(driver.take_wakes(), 1);
}

// V18: whoever runs it when it says, and when woken, is never early and at most a
// tick late, in few runs.
#[test]
fn who_follows_what_a_run_says_is_never_early_and_hardly_late() {
    let (driver, timers, top) = FakeDriver::new();
    let began = driver.time();
    let mut random = Random::new(7);
    let log: Arc<Mutex<Vec<(Duration, Duration)>>> = Arc::default();
    let mut kept = Vec::new();
    for _ in 0..2_000 {
        let bits = 10 + random.below(40);
        let after = Duration::from_nanos(random.below(1 << bits) as u64);
        let (ctx, handle) = top.with_deadline(began + after);
        let (log, driver) = (log.clone(), driver.clone());
        ctx.after_cancel(move |_| log.lock().unwrap().push((after, driver.time() - began)))
            .detach();
        kept.push((ctx, handle));
    }
    let mut runs = 0;
    while let Some(next) = timers.run() {
        runs += 1;
        assert!(next > driver.time(), "it would spin");
        driver.set(next);
    }
    let log = log.lock().unwrap();
    assert_eq!(log.len(), kept.len());
    for &(after, at) in log.iter() {
        assert!(at >= after, "early");
        assert!(at <= after + TICK, "{after:?} at {at:?}");
    }
    assert!(runs < 10 * kept.len(), "{runs}");
    // One that is alone and far away takes a handful.
    let far = 50 * 365 * 24 * HOUR;
    let (ctx, _keep) = top.with_timeout(far);
    let mut runs = 0;
    while let Some(next) = timers.run() {
        runs += 1;
        driver.set(next);
    }
    assert!(ctx.is_cancelled() && runs < 20, "{runs}");
}
