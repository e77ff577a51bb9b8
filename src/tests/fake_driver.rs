//! A driver whose time the tests set, and what keeps time for them.

use super::tools::ms;
use crate::Context;
use crate::time::{Driver, ManualClock, Timers};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a deadline of a driver may be late: its tick.
pub(super) const TICK: Duration = Duration::from_nanos(1 << 19);

/// Counts wakes; time is what was set. Clones are one driver.
#[derive(Clone)]
pub(super) struct FakeDriver(Arc<Inner>);

struct Inner {
    now: Mutex<Instant>,
    wakes: AtomicUsize,
    asked: AtomicUsize,
}

impl Driver for FakeDriver {
    fn now(&self) -> Instant {
        self.0.asked.fetch_add(1, SeqCst);
        *self.0.now.lock().unwrap()
    }

    fn wake(&self, _: &Timers) {
        self.0.wakes.fetch_add(1, SeqCst);
    }
}

impl FakeDriver {
    /// One, its timers, and a root that is on them.
    pub(super) fn new() -> (FakeDriver, Timers, Context) {
        let driver = FakeDriver(Arc::new(Inner {
            now: Mutex::new(Instant::now()),
            wakes: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
        }));
        let timers = Timers::new(driver.clone());
        let root = Context::background().with_driver(&timers);
        (driver, timers, root)
    }

    /// How often it was woken since this was asked last.
    pub(super) fn take_wakes(&self) -> usize {
        self.0.wakes.swap(0, SeqCst)
    }

    /// How often it was asked for the time since this was asked last.
    pub(super) fn take_asked(&self) -> usize {
        self.0.asked.swap(0, SeqCst)
    }

    /// How many hold it.
    pub(super) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    pub(super) fn time(&self) -> Instant {
        *self.0.now.lock().unwrap()
    }

    /// Sets the time, also back.
    pub(super) fn set(&self, at: Instant) {
        *self.0.now.lock().unwrap() = at;
    }

    pub(super) fn advance(&self, by: Duration) {
        *self.0.now.lock().unwrap() += by;
    }
}

/// Both kinds of time, for what holds on either.
pub(super) enum Time {
    Manual(ManualClock),
    Driven(FakeDriver, Timers),
}

impl Time {
    /// One of each, with a root that is on it.
    pub(super) fn both() -> [(Time, Context); 2] {
        let clock = ManualClock::new();
        let on_clock = Context::background().with_clock(&clock);
        let (driver, timers, on_driver) = FakeDriver::new();
        [
            (Time::Manual(clock), on_clock),
            (Time::Driven(driver, timers), on_driver),
        ]
    }

    pub(super) fn now(&self) -> Instant {
        match self {
            Time::Manual(clock) => clock.now(),
            Time::Driven(_, timers) => timers.now(),
        }
    }

    /// Fires all that is due so much later, on a driver a tick less.
    pub(super) fn pass(&self, length: Duration) {
        match self {
            Time::Manual(clock) => clock.advance(length),
            Time::Driven(driver, timers) => {
                driver.advance(length);
                timers.run();
            }
        }
    }

    /// What may pass until all that is due after `length` is fired.
    pub(super) fn late(&self, length: Duration) -> Duration {
        match self {
            Time::Manual(_) => length,
            Time::Driven(..) => length + TICK,
        }
    }

    pub(super) fn outstanding(&self) -> usize {
        match self {
            Time::Manual(clock) => clock.outstanding(),
            Time::Driven(_, timers) => timers.outstanding(),
        }
    }
}

#[test]
fn a_fake_driver_counts_and_keeps_time() {
    let (driver, timers, root) = FakeDriver::new();
    let began = driver.time();
    assert_eq!((timers.now(), timers.outstanding()), (began, 0));
    let (ctx, _keep) = root.with_timeout(ms(5));
    assert!(driver.take_asked() > 0 && driver.take_wakes() == 1);
    assert_eq!((driver.take_asked(), driver.take_wakes()), (0, 0));
    assert_eq!(ctx.deadline(), Some(began + ms(5)));
    driver.advance(ms(2));
    assert_eq!(
        (timers.now(), ctx.remaining()),
        (began + ms(2), Some(ms(3)))
    );
}
