//! Tests that do not pass yet: not part of the suite.

use super::fake_driver::{FakeDriver, TICK};
use super::tools::{HOUR, alone, in_time, ms};
use crate::Context;
use crate::time::Timers;
use std::thread;
use std::time::{Duration, Instant};

/// Waits until this is so; fails if it takes too long.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(10), "not yet: {what}");
        thread::sleep(ms(1));
    }
}

// V18: a driver is woken for a deadline that is moved to be the earliest, also if
// it has not looked since the first move.
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
    let (ctx, handle) = Context::background().with_cancel();
    assert!(handle.set_deadline(Instant::now() + ms(5)));
    until("it is over", || ctx.is_cancelled());
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

// V18: moved earlier than all others, a deadline is in time, though the thread
// sleeps for longer: the first time that it is moved, and the next ones.
#[test]
fn a_deadline_moved_earlier_is_in_time() {
    in_time(|| {
        let timers = Timers::thread();
        let top = Context::background().with_driver(&timers);
        let _earliest = top.with_timeout(HOUR);
        for moves in 1..4 {
            let (ctx, handle) = top.with_timeout(2 * HOUR);
            // So that the thread sleeps.
            thread::sleep(ms(20));
            for n in 1..moves {
                assert!(handle.set_deadline(Instant::now() + 2 * HOUR - n * ms(1)));
            }
            let at = Instant::now() + ms(20);
            assert!(handle.set_deadline(at));
            until("it is over", || ctx.is_cancelled());
            assert!(Instant::now() >= at);
        }
    });
}

// P68: a driver's clock that steps back is taken to stand still.
#[test]
fn a_clock_that_steps_back_stands_still() {
    let (driver, timers, top) = FakeDriver::new();
    let began = driver.time();
    driver.advance(HOUR);
    assert_eq!(timers.now(), began + HOUR);
    let (ctx, _keep) = top.with_timeout(ms(5));
    driver.set(began);
    timers.run();
    assert_eq!(timers.now(), began + HOUR);
    assert_eq!(ctx.remaining(), Some(ms(5)));
    assert!(top.with_deadline(began + HOUR).0.is_cancelled());
    let (late, _keep) = top.with_timeout(ms(10));
    assert_eq!(late.deadline(), Some(began + HOUR + ms(10)));
    driver.set(began + HOUR + ms(5) + TICK);
    timers.run();
    assert!(ctx.is_cancelled() && !late.is_cancelled());
    driver.set(began);
    timers.run();
    driver.set(began + HOUR + ms(10) + TICK);
    timers.run();
    assert!(late.is_cancelled());
}

// V18, V25: when what is left is cancelled, though it was far away, the thread goes.
#[cfg(target_os = "linux")]
#[test]
fn the_timer_thread_goes_when_all_is_cancelled() {
    alone(
        "tests::open_deadlines::the_timer_thread_goes_when_all_is_cancelled",
        || {
            let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
            let before = threads();
            let (ctx, handle) = Context::background().with_timeout(HOUR);
            until("it runs", || threads() == before + 1);
            // So that it sleeps.
            thread::sleep(ms(100));
            assert!(handle.cancel() && ctx.is_cancelled());
            until("it has stopped", || threads() == before);
        },
    );
}
