//! Contexts that are done when their time comes.

use std::time::{Duration, Instant};

use crate::context::Context;
use crate::error::Cause;
use crate::handle::{CancelHandle, pair};
use crate::node::{Facets, Kind, Plan};
use crate::protocol::Planned;
use crate::time;
use crate::timer::Moment;

impl Context {
    /// Derives a child that is done at `at` at the latest, and the right to
    /// cancel it before.
    ///
    /// When the time comes, the child and all below it are done with
    /// [`Reason::DeadlineExceeded`](crate::Reason::DeadlineExceeded). It may be
    /// done before, as any child: whoever is first decides. Cancelling it, or
    /// dropping it, disarms the deadline; nothing waits for the time to come.
    ///
    /// A deadline that has come already makes the child done at once, unless
    /// this context is: then the child reports what this context does. One that
    /// is not earlier than this context's own arms nothing, as that one will end
    /// the child too.
    ///
    /// It never fires early. By the default driver it fires within half a
    /// millisecond and what the system takes to wake a thread; callbacks and
    /// wakers then run on the driver's thread (see [`time`](crate::time)).
    /// Instants more than some 250 years ahead count as that far.
    ///
    /// Two allocations: the child and its timer. What is armed and disarmed
    /// again is freed soon, not when the time would have come.
    ///
    /// # Memory ordering
    ///
    /// As [`cancel`](CancelHandle::cancel), by the driver's thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, Reason};
    /// use std::time::{Duration, Instant};
    ///
    /// let soon = Instant::now() + Duration::from_millis(5);
    /// let (ctx, _handle) = Context::background().with_deadline(soon);
    /// assert_eq!(ctx.deadline(), Some(soon));
    /// assert_eq!(ctx.wait().reason(), Reason::DeadlineExceeded);
    /// assert!(Instant::now() >= soon);
    /// ```
    #[doc(alias = "WithDeadline")]
    pub fn with_deadline(&self, at: Instant) -> (Context, CancelHandle) {
        time::with(self.node(), |clockwork| {
            pair(self.node().derive_deadline(Planned::at(at, clockwork)))
        })
    }

    /// Derives a child that is done after this length of time at the latest, and
    /// the right to cancel it before.
    ///
    /// As [`with_deadline`](Context::with_deadline), counted from this call. A
    /// length that leads beyond what the clock can tell means no deadline of its
    /// own; zero means done at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::time::Duration;
    ///
    /// let (ctx, handle) = Context::background().with_timeout(Duration::from_secs(30));
    /// assert!(ctx.remaining().unwrap() <= Duration::from_secs(30));
    /// handle.cancel();
    /// assert!(!ctx.error().unwrap().is_timeout());
    /// ```
    #[doc(alias = "WithTimeout")]
    pub fn with_timeout(&self, after: Duration) -> (Context, CancelHandle) {
        time::with(self.node(), |clockwork| {
            let node = self.node();
            pair(match Planned::after(after, clockwork) {
                Some(planned) => node.derive_deadline(planned),
                None => node.derive_pair(Kind::Cancel, Facets::CANCELABLE),
            })
        })
    }

    /// As [`with_deadline`](Context::with_deadline), with a cause to report if
    /// that deadline comes.
    ///
    /// The cause is used for nothing else: if somebody cancels, or a deadline
    /// above comes first, what they say is reported, and this cause is dropped
    /// with the child. That is so also where the deadline above was earlier from
    /// the start.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::time::Instant;
    ///
    /// let (ctx, _handle) = Context::background().with_deadline_cause(Instant::now(), "too slow");
    /// assert_eq!(ctx.cause().unwrap().to_string(), "too slow");
    /// ```
    #[doc(alias = "WithDeadlineCause")]
    pub fn with_deadline_cause(
        &self,
        at: Instant,
        cause: impl Into<Cause>,
    ) -> (Context, CancelHandle) {
        let cause = cause.into();
        time::with(self.node(), |clockwork| {
            self.derive_with_cause(Some(Planned::at(at, clockwork)), cause)
        })
    }

    /// As [`with_timeout`](Context::with_timeout), with a cause to report if
    /// that deadline comes: see
    /// [`with_deadline_cause`](Context::with_deadline_cause).
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::time::Duration;
    ///
    /// let root = Context::background();
    /// let (ctx, _handle) = root.with_timeout_cause(Duration::ZERO, "too slow");
    /// let error = ctx.error().unwrap();
    /// assert_eq!(error.to_string(), "context deadline exceeded: too slow");
    /// ```
    #[doc(alias = "WithTimeoutCause")]
    pub fn with_timeout_cause(
        &self,
        after: Duration,
        cause: impl Into<Cause>,
    ) -> (Context, CancelHandle) {
        let cause = cause.into();
        time::with(self.node(), |clockwork| {
            self.derive_with_cause(Planned::after(after, clockwork), cause)
        })
    }

    fn derive_with_cause(
        &self,
        planned: Option<Planned<'_>>,
        cause: Cause,
    ) -> (Context, CancelHandle) {
        let kind = match planned {
            Some(_) => Kind::Deadline,
            None => Kind::Cancel,
        };
        let plan = Plan {
            cause: Some(cause),
            ..Plan::of(kind, Facets::CANCELABLE)
        };
        pair(self.node().derive_plan(plan, planned))
    }

    /// The deadline that counts: the earliest of its own and of those above it,
    /// as they are now.
    ///
    /// `None` if there is none, also below a
    /// [shield](Context::without_cancel); deadlines above a
    /// [`with_clock`](Context::with_clock) are another clock's, and not told. The
    /// end of the context changes nothing.
    ///
    /// What this takes does not grow with the depth of the tree, unless this
    /// context's deadline or one above it was [moved](CancelHandle::set_deadline).
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::time::{Duration, Instant};
    ///
    /// let soon = Instant::now() + Duration::from_secs(1);
    /// let (request, _handle) = Context::background().with_deadline(soon);
    /// let (query, _handle) = request.with_deadline(soon + Duration::from_secs(10));
    /// assert_eq!(query.deadline(), Some(soon));
    /// assert_eq!(query.without_cancel().deadline(), None);
    /// ```
    #[must_use]
    #[doc(alias = "Deadline")]
    pub fn deadline(&self) -> Option<Instant> {
        self.node().deadline().instant()
    }

    /// How much time is left until the [`deadline`](Context::deadline), by the
    /// context's clock: zero once it is past.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::time::Duration;
    ///
    /// let minute = Duration::from_secs(60);
    /// let (ctx, _handle) = Context::background().with_timeout(minute);
    /// assert!(ctx.remaining().unwrap() <= minute);
    /// assert_eq!(Context::background().remaining(), None);
    /// ```
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let at = self.node().deadline();
        if at == Moment::NEVER {
            return None;
        }
        Some(time::with(self.node(), |clockwork| {
            at.since(clockwork.now())
        }))
    }
}

impl CancelHandle {
    /// Moves the context's own deadline, to earlier or later, or gives it one.
    ///
    /// False = the context was done already, and nothing is moved; or it has become
    /// so by the time this returns, and then it does not matter. It stays
    /// bounded by the deadlines above it: a later one has no effect until they
    /// are moved, too. An instant that has come ends the context before this
    /// returns, by this thread.
    ///
    /// [`deadline`](Context::deadline) of this context and of all below it tells
    /// the change when this returns. The first move at a context goes through all
    /// that lives below it; later ones cost the same whatever is there.
    ///
    /// If the time of the old deadline comes at the same moment, either the
    /// move counts, or it returns false.
    ///
    /// # Panics
    ///
    /// Only if the instant has come: as [`cancel`](CancelHandle::cancel).
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, time::ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let root = Context::background().with_clock(&clock);
    /// let minute = Duration::from_secs(60);
    /// let (connection, handle) = root.with_timeout(minute);
    ///
    /// // Something came in: a minute from now.
    /// clock.advance(minute / 2);
    /// assert!(handle.set_deadline(clock.now() + minute));
    /// clock.advance(minute / 2);
    /// assert!(!connection.is_cancelled());
    /// clock.advance(minute / 2);
    /// assert!(connection.is_cancelled());
    /// assert!(!handle.set_deadline(clock.now() + minute));
    /// ```
    #[doc(alias = "reset")]
    pub fn set_deadline(&self, at: Instant) -> bool {
        let context = self.context();
        time::with(context.node(), |clockwork| {
            context.node().set_deadline(Planned::at(at, clockwork))
        })
    }
}
