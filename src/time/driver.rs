//! [`Driver`] and [`Timers`]: what wakes deadlines, and what is woken.

use super::thread::ThreadDriver;
use crate::protocol::{Next, Thrown, run_once};
use crate::timer::{Clockwork, Engine};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// Wakes [`Timers`]: tells the time, and has [`Timers::run`] called.
///
/// For a program with an event loop of its own. Its loop calls `run`, which
/// says when to call it again; if an earlier deadline is armed meanwhile, `wake`
/// is called, by the thread that armed it.
///
/// Neither method should block. Both may be called by many threads at once. A
/// driver may be dropped by any thread that drops contexts, in the middle of
/// that: its `Drop` must not use contexts, and where it panics the panic goes no
/// further.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, time::{Driver, Timers}};
/// use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
/// use std::time::{Duration, Instant};
///
/// /// The program's loop looks at a flag.
/// struct Flag(Arc<AtomicBool>);
///
/// impl Driver for Flag {
///     fn now(&self) -> Instant {
///         Instant::now()
///     }
///     fn wake(&self, _timers: &Timers) {
///         self.0.store(true, Ordering::Release);
///     }
/// }
///
/// let woken = Arc::new(AtomicBool::new(false));
/// let timers = Timers::new(Flag(woken.clone()));
/// let root = Context::background().with_driver(&timers);
/// let (ctx, _handle) = root.with_timeout(Duration::from_millis(5));
/// assert!(woken.load(Ordering::Acquire));
///
/// while let Some(next) = timers.run() {
///     std::thread::sleep(next.saturating_duration_since(Instant::now()));
/// }
/// assert!(ctx.is_cancelled());
/// ```
pub trait Driver: Send + Sync + 'static {
    /// The time. Deadlines that have come stay so, should it ever go back.
    fn now(&self) -> Instant;

    /// Sees to it that `timers.run()` is called soon, by the thread that does
    /// that.
    ///
    /// Called after a deadline was armed that comes before what the last `run`
    /// returned. It may be called once too often, and while `run` runs.
    fn wake(&self, timers: &Timers);
}

/// The deadlines that one driver wakes.
///
/// Clones are the same timers.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, time::Timers};
/// use std::time::Duration;
///
/// // A thread of its own for what is below this root.
/// let timers = Timers::thread();
/// let root = Context::background().with_driver(&timers);
/// let (ctx, _handle) = root.with_timeout(Duration::from_millis(1));
/// assert!(ctx.wait().is_timeout());
/// ```
#[derive(Clone)]
pub struct Timers(Arc<Clockwork>);

/// A user's driver as an engine.
struct Driven<D>(D);

impl<D: Driver> Engine for Driven<D> {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn wake(&self, clockwork: &Arc<Clockwork>) {
        self.0.wake(&Timers(clockwork.clone()));
    }
}

impl Timers {
    /// Timers that `driver` wakes.
    #[must_use]
    pub fn new(driver: impl Driver) -> Timers {
        Timers(Clockwork::new(Box::new(Driven(driver))))
    }

    /// Timers with a thread of their own, as the default ones have.
    ///
    /// The thread is started by the first deadline that is armed, and sleeps
    /// until the earliest one, also if that is disarmed meanwhile. It stops when
    /// it finds none for a while, or when nobody has the timers any more. If it
    /// cannot be started, that is reported once on the standard error output;
    /// deadlines that have come are then fired by whoever arms the next one,
    /// which tries again.
    #[must_use]
    pub fn thread() -> Timers {
        Timers(Clockwork::new(Box::new(ThreadDriver::new())))
    }

    /// As [`thread`](Timers::thread), where no thread can be started.
    #[cfg(feature = "internal-model")]
    pub(crate) fn without_thread() -> Timers {
        Timers(Clockwork::new(Box::new(ThreadDriver::unable())))
    }

    /// Fires what is due. When to call it again; `None` = when woken.
    ///
    /// Everything that is due is marked first, then delivered: callbacks and
    /// wakers run here. This goes on until nothing is due. Meant for one thread
    /// at a time, the driver's: a second call at once fires what the first has
    /// left, and neither waits for the other. What either returns counts: nobody
    /// is woken for what the other was told. Timers with a thread or a task of
    /// their own need no call.
    ///
    /// # Panics
    ///
    /// Does not: where user's code panics, the panic hook reports it, the rest is
    /// delivered, and the panic goes no further.
    pub fn run(&self) -> Option<Instant> {
        let next = drive(&self.0);
        if self.0.engine().drives_itself() {
            // It sleeps until what the run before has told it.
            self.0.wake();
        }
        next
    }

    /// The time, as the driver tells it.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.engine().now()
    }

    /// How many deadlines are armed: those that have neither fired nor been
    /// disarmed.
    ///
    /// One that need not fire, as one above comes no later, is not armed. Exact
    /// as long as nobody arms, disarms or fires meanwhile.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        outstanding(&self.0)
    }

    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    pub(crate) fn of(clockwork: Arc<Clockwork>) -> Timers {
        Timers(clockwork)
    }

    pub(crate) fn clockwork(&self) -> &Arc<Clockwork> {
        &self.0
    }
}

/// Fires all that is due, on a driver's thread: when there is more to do.
pub(super) fn drive(clockwork: &Clockwork) -> Option<Instant> {
    let mut thrown = Thrown::new();
    let next = run(clockwork, &mut thrown);
    thrown.forget();
    next.at.instant()
}

/// Fires all that is due, and what is due by then.
pub(super) fn run(clockwork: &Clockwork, thrown: &mut Thrown) -> Next {
    loop {
        if let Some(next) = run_once(clockwork, thrown) {
            return next;
        }
    }
}

pub(super) fn outstanding(clockwork: &Clockwork) -> usize {
    loop {
        if let Some(count) = clockwork.outstanding() {
            return count;
        }
        // Somebody works on a wheel: for a moment, as no user's code runs there.
        crate::sync::yield_now();
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").finish_non_exhaustive()
    }
}
