//! [`ManualClock`]: time that stands still until it is told to pass.

use super::driver;
use crate::protocol::Thrown;
use crate::sync::Ordering::Relaxed;
use crate::sync::{AtomicUsize, Site, clock};
use crate::timer::{Clockwork, Engine, Moment};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Virtual time for tests.
///
/// It starts at the instant it is made, and passes only by
/// [`advance`](ManualClock::advance) and [`set`](ManualClock::set). Contexts
/// below [`Context::with_clock`](crate::Context::with_clock) take their time from it. Clones are the same
/// clock.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, time::ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let root = Context::background().with_clock(&clock);
/// let hour = Duration::from_secs(3600);
/// let (ctx, _handle) = root.with_timeout(hour);
///
/// clock.advance(hour - Duration::from_nanos(1));
/// assert!(!ctx.is_cancelled());
/// clock.advance(Duration::from_nanos(1));
/// assert!(ctx.error().unwrap().is_timeout());
/// ```
#[derive(Clone)]
pub struct ManualClock {
    clockwork: Arc<Clockwork>,
    time: Arc<Time>,
}

/// The time it is.
struct Time(AtomicUsize);

impl Time {
    fn now(&self) -> Moment {
        // Relaxed: a time says nothing but itself.
        Moment::from_bits(self.0.load(Relaxed, Site::ManualNow))
    }

    /// Goes on to `to`, unless it is later already.
    fn reach(&self, to: Moment) {
        // Relaxed: as in `now`.
        self.0.fetch_max(to.bits(), Relaxed, Site::ManualReach);
    }
}

struct Hand(Arc<Time>);

impl Engine for Hand {
    fn now(&self) -> Instant {
        self.0.now().instant().expect("time does not end")
    }

    fn wake(&self, _: &Arc<Clockwork>) {
        // What is armed is found when time passes.
    }
}

impl ManualClock {
    /// A clock that stands at the present instant.
    #[must_use]
    pub fn new() -> ManualClock {
        let now = Moment::of(clock::now());
        let time = Arc::new(Time(AtomicUsize::new(now.bits())));
        let clockwork = Clockwork::ordered(Box::new(Hand(time.clone())));
        ManualClock { clockwork, time }
    }

    /// The time it is.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.clockwork.engine().now()
    }

    /// Lets time pass, and fires all that comes due, before it returns.
    ///
    /// Deadlines fire in their order, equal ones in the order in which they were
    /// armed. While the callbacks of one run, the clock reads its very instant;
    /// what they arm within the step fires within the step too. What is due at
    /// one instant is marked before any of it is delivered.
    ///
    /// May be called from a callback that it runs, and then does its part
    /// before it returns there. If several threads let time pass at once, each
    /// fires what it finds, and the order is no longer defined. What another
    /// thread arms or moves meanwhile, to a time within the step, may be left to
    /// the next call.
    ///
    /// A step that would go beyond what the clock can tell ends there.
    ///
    /// # Panics
    ///
    /// With the first panic of a callback or waker, when everything that is due
    /// has fired.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, time::ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let start = clock.now();
    /// let root = Context::background().with_clock(&clock);
    /// let (ctx, _handle) = root.with_timeout(Duration::from_secs(1));
    /// let seen = clock.clone();
    /// ctx.after_cancel(move |_| {
    ///     assert_eq!(seen.now() - start, Duration::from_secs(1));
    /// })
    /// .detach();
    /// clock.advance(Duration::from_secs(10));
    /// assert!(ctx.is_cancelled());
    /// assert_eq!(clock.now() - start, Duration::from_secs(10));
    /// ```
    pub fn advance(&self, length: Duration) {
        let to = self.time.now().after(length).unwrap_or(Moment::LAST);
        self.pass(to);
    }

    /// Lets time pass until `at`, as [`advance`](ManualClock::advance) does.
    /// Never goes back: an earlier instant does nothing.
    ///
    /// # Panics
    ///
    /// As [`advance`](ManualClock::advance).
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::time::ManualClock;
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let later = clock.now() + Duration::from_secs(5);
    /// clock.set(later);
    /// clock.set(later - Duration::from_secs(1));
    /// assert_eq!(clock.now(), later);
    /// ```
    pub fn set(&self, at: Instant) {
        self.pass(Moment::of(at));
    }

    pub(crate) fn clockwork(&self) -> &Arc<Clockwork> {
        &self.clockwork
    }

    fn pass(&self, to: Moment) {
        let mut thrown = Thrown::new();
        loop {
            let next = driver::run(&self.clockwork, &mut thrown);
            if next.busy {
                // Somebody works on the wheel: for a moment.
                crate::sync::yield_now();
            } else if next.at > to {
                break;
            } else {
                self.time.reach(next.at);
            }
        }
        self.time.reach(to);
        thrown.resume();
    }

    /// How many deadlines are armed on this clock: see
    /// [`Timers::outstanding`](super::Timers::outstanding).
    #[must_use]
    pub fn outstanding(&self) -> usize {
        driver::outstanding(&self.clockwork)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        ManualClock::new()
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.now();
        f.debug_struct("ManualClock").field("now", &now).finish()
    }
}
