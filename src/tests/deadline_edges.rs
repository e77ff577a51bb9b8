//! Deadlines where two parts of the library meet.

use super::fake_driver::FakeDriver;
use super::tools::{Drops, alone, cause_on_drop, ms};
use crate::Context;
use crate::time::{Driver, ManualClock, Timers, set_default_driver};
use std::panic::panic_any;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Instant;

#[test]
fn equal_deadlines_keep_their_order_when_one_above_is_moved() {
    let clock = ManualClock::new();
    let root = Context::background().with_clock(&clock);
    let (parent, handle) = root.with_timeout(ms(100));
    let fired = Arc::new(Mutex::new(Vec::new()));
    let _keep: Vec<_> = (0..5)
        .map(|number| {
            let (ctx, handle) = parent.with_timeout(ms(10));
            let fired = fired.clone();
            ctx.after_cancel(move |_| fired.lock().unwrap().push(number))
                .detach();
            (ctx, handle)
        })
        .collect();
    assert_eq!(clock.outstanding(), 6);
    assert!(handle.set_deadline(clock.now() + ms(200)));
    assert_eq!(clock.outstanding(), 6);
    clock.advance(ms(10));
    assert_eq!(*fired.lock().unwrap(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_link_that_is_born_done_arms_nothing() {
    let clock = ManualClock::new();
    let root = Context::background().with_clock(&clock);
    let (done, handle) = Context::background().with_cancel();
    handle.cancel();
    let (ctx, _keep) = root.derive().timeout(ms(10)).link(&done).build();
    assert!(ctx.is_cancelled());
    assert_eq!(clock.outstanding(), 0);
}

#[test]
fn a_deadline_that_is_past_hides_no_earlier_one() {
    let clock = ManualClock::new();
    let start = clock.now();
    let root = Context::background().with_clock(&clock);
    let (parent, _keep) = root.with_timeout(ms(10));
    clock.advance(ms(30));
    let (child, _keep) = parent.with_deadline(start + ms(20));
    assert_eq!(child.deadline(), Some(start + ms(10)));
    let (grandchild, _keep) = child.with_timeout(ms(10));
    assert_eq!(grandchild.deadline(), Some(start + ms(10)));
    let (earlier, _keep) = parent.with_deadline(start + ms(5));
    assert_eq!(earlier.deadline(), Some(start + ms(5)));
}

#[test]
fn a_move_above_many_wakes_their_driver_once() {
    let (driver, _timers, root) = FakeDriver::new();
    let (parent, handle) = root.with_timeout(ms(100));
    let _keep: Vec<_> = (0..100).map(|_| parent.with_timeout(ms(200))).collect();
    driver.take_wakes();
    assert!(handle.set_deadline(driver.time() + ms(300)));
    let wakes = driver.take_wakes();
    assert!(wakes <= 1, "{wakes} wakes");
}

#[test]
fn a_first_deadline_wakes_the_driver_once_and_counts_once() {
    let (driver, timers, root) = FakeDriver::new();
    let (_ctx, handle) = root.with_cancel();
    assert!(handle.set_deadline(driver.time() + ms(300)));
    assert_eq!(driver.take_wakes(), 1);
    assert_eq!(timers.outstanding(), 1);
}

/// Panics when dropped, with something to be dropped.
struct Last(Arc<AtomicUsize>);

impl Driver for Last {
    fn now(&self) -> Instant {
        Instant::now()
    }
    fn wake(&self, _: &Timers) {}
}

impl Drop for Last {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
        panic_any(self.0.clone());
    }
}

#[test]
fn a_driver_that_panics_at_its_end_breaks_nothing_off() {
    let drops = Arc::new(AtomicUsize::new(0));
    let (root, handle) = Context::background().with_cancel();
    for _ in 0..100 {
        let ctx = root.with_driver(&Timers::new(Last(drops.clone())));
        drop(ctx.with_timeout(ms(1000)));
        drop(ctx);
    }
    let seen = drops.load(SeqCst);
    assert!(seen > 50, "they go as others come: {seen}");
    drop((root, handle));
    assert_eq!(drops.load(SeqCst), 100);
    assert_eq!(
        Arc::strong_count(&drops),
        1,
        "nor keeps what it panics with"
    );
}

/// Stands an hour ahead of the system's clock.
struct Ahead;

impl Driver for Ahead {
    fn now(&self) -> Instant {
        Instant::now() + ms(3_600_000)
    }
    fn wake(&self, _: &Timers) {}
}

#[test]
fn a_deadline_is_moved_by_the_clock_that_it_has() {
    alone(
        "tests::deadline_edges::a_deadline_is_moved_by_the_clock_that_it_has",
        || {
            let (ctx, handle) = Context::background().with_cancel();
            assert!(handle.set_deadline(Instant::now() + ms(60_000)));
            set_default_driver(&Timers::new(Ahead));
            assert!(handle.set_deadline(Instant::now() + ms(120_000)));
            assert!(!ctx.is_cancelled());
        },
    );
}

#[test]
fn a_cause_without_a_deadline_goes_at_once() {
    let drops = Drops::default();
    let cause = drops.value();
    let cause = cause_on_drop(move || {
        let _ = &cause;
    });
    let (ctx, _keep) = Context::background().derive().deadline_cause(cause).build();
    assert_eq!(drops.count(), 1);
    assert_eq!(ctx.deadline(), None);
}
