//! Contexts below which time is another.

use std::sync::Arc;
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
use std::time::Duration;

use crate::context::Context;
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
use crate::handle::CancelHandle;
use crate::node::{Facets, Kind, Plan};
use crate::time::{ManualClock, Timers};
use crate::timer::Clockwork;

impl Context {
    /// Derives a context below which deadlines are woken by these timers.
    ///
    /// It is cancelled with its parent, and by nobody else. Deadlines above it
    /// still end it, by their own clock; [`deadline`](Context::deadline) below
    /// tells those of the new clock only.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, time::Timers};
    /// use std::time::Duration;
    ///
    /// let timers = Timers::thread();
    /// let root = Context::background().with_driver(&timers);
    /// let (_job, _handle) = root.with_timeout(Duration::from_secs(60));
    /// assert_eq!(timers.outstanding(), 1);
    /// ```
    #[must_use]
    pub fn with_driver(&self, timers: &Timers) -> Context {
        self.derive_clock(timers.clockwork())
    }

    /// Derives a context below which time is that of `clock`.
    ///
    /// As [`with_driver`](Context::with_driver) otherwise.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, time::ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let root = Context::background().with_clock(&clock);
    /// let (ctx, _handle) = root.with_timeout(Duration::from_secs(30));
    /// clock.advance(Duration::from_secs(10));
    /// assert_eq!(ctx.remaining(), Some(Duration::from_secs(20)));
    /// ```
    #[must_use]
    pub fn with_clock(&self, clock: &ManualClock) -> Context {
        self.derive_clock(clock.clockwork())
    }

    /// A context elsewhere that is done after this time, by this context's
    /// clock; `None`: a time that never comes.
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    pub(crate) fn alarm(&self, after: Duration) -> Option<(Context, CancelHandle)> {
        let alarm = self.elsewhere().with_timeout(after);
        alarm.0.deadline().is_some().then_some(alarm)
    }

    /// A context with this one's clock, and nothing else of it.
    pub(crate) fn elsewhere(&self) -> Context {
        match self.node().clockwork().and_then(Clockwork::keep) {
            Some(clockwork) => Context::background().derive_clock(&clockwork),
            None => Context::background(),
        }
    }

    fn derive_clock(&self, clockwork: &Arc<Clockwork>) -> Context {
        let facets = self.node().inherited().and(Facets::CLOCK);
        let plan = Plan {
            clock: Some(clockwork.clone()),
            ..Plan::of(Kind::Clock, facets)
        };
        Context::from_node(self.node().derive(plan))
    }
}
