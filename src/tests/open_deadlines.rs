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
