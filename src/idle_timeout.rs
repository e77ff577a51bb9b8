//! [`IdleTimeout`]: a deadline that is pushed on while something happens.

use std::fmt;
use std::time::Duration;

use crate::context::{Context, debug_as};
use crate::handle::CancelHandle;
use crate::time;
use crate::timer::Moment;

/// Ends its context when nothing has happened for a while. Made by
/// [`Context::with_idle_timeout`].
///
/// Clones share the timeout. Dropping it cancels nothing, and leaves the
/// deadline where it is.
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
/// let (connection, idle) = root.with_idle_timeout(minute);
///
/// for _ in 0..3 {
///     clock.advance(minute / 2);
///     assert!(idle.touch(), "something came in");
/// }
/// clock.advance(minute);
/// assert!(connection.error().unwrap().is_timeout());
/// assert!(!idle.touch(), "too late");
/// ```
#[derive(Clone)]
#[must_use = "without touches the context has a timeout like any other"]
pub struct IdleTimeout {
    handle: CancelHandle,
    length: Duration,
}

impl IdleTimeout {
    /// Says that something has happened: from now on it takes the whole
    /// [`length`](IdleTimeout::length) again. False = the context is done.
    ///
    /// After a touch that said true, the context is not ended by this timeout
    /// before that time is over, also when many touch at once. A deadline above
    /// still ends it. A touch that comes at the same moment as the end either
    /// counts or says false.
    ///
    /// Lock-free: it asks the clock, and moves a number. No driver is woken for
    /// it. The first touch goes through all that lives below, as
    /// [`set_deadline`](CancelHandle::set_deadline) does.
    ///
    /// # Panics
    ///
    /// Does not panic of its own. It may find the time over before the driver
    /// does; then it ends the context, as [`CancelHandle::cancel`] does.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::time::Duration;
    ///
    /// let (ctx, idle) = Context::background().with_idle_timeout(Duration::from_secs(30));
    /// let before = ctx.deadline().unwrap();
    /// assert!(idle.touch());
    /// assert!(ctx.deadline().unwrap() >= before);
    /// ```
    pub fn touch(&self) -> bool {
        let node = self.context().node();
        let to = time::with(node, |clockwork| clockwork.now().after(self.length));
        // A context that was made with a deadline has one that comes, in the end.
        node.postpone_deadline(to.unwrap_or(Moment::LAST))
    }

    /// Cancels the context: as [`CancelHandle::cancel`].
    ///
    /// # Panics
    ///
    /// As [`CancelHandle::cancel`].
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, Reason};
    /// use std::time::Duration;
    ///
    /// let (ctx, idle) = Context::background().with_idle_timeout(Duration::from_secs(30));
    /// assert!(idle.cancel());
    /// assert_eq!(ctx.reason(), Some(Reason::Cancelled));
    /// ```
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.handle.cancel()
    }

    /// The right to cancel the context with a cause, or to move its deadline by
    /// hand.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::time::Duration;
    ///
    /// let (ctx, idle) = Context::background().with_idle_timeout(Duration::from_secs(30));
    /// idle.handle().cancel_with("peer said goodbye");
    /// assert_eq!(ctx.cause().unwrap().to_string(), "peer said goodbye");
    /// ```
    pub fn handle(&self) -> &CancelHandle {
        &self.handle
    }

    /// The context that this ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::time::Duration;
    ///
    /// let (ctx, idle) = Context::background().with_idle_timeout(Duration::from_secs(30));
    /// assert_eq!(idle.context(), &ctx);
    /// ```
    #[must_use]
    pub fn context(&self) -> &Context {
        self.handle.context()
    }

    /// How long nothing may happen.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::time::Duration;
    ///
    /// let half_a_minute = Duration::from_secs(30);
    /// let (_ctx, idle) = Context::background().with_idle_timeout(half_a_minute);
    /// assert_eq!(idle.length(), half_a_minute);
    /// ```
    #[must_use]
    pub fn length(&self) -> Duration {
        self.length
    }
}

/// Prints the context. Never blocks.
impl fmt::Debug for IdleTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_as("IdleTimeout", self.context(), f)
    }
}

impl Context {
    /// Derives a child that is done when nobody has [touched](IdleTimeout::touch)
    /// it for so long, and what touches it.
    ///
    /// As [`with_timeout`](Context::with_timeout) otherwise: it is bounded by the
    /// deadlines above, ends with
    /// [`Reason::DeadlineExceeded`](crate::Reason::DeadlineExceeded), never
    /// early, zero means done at once, and a length beyond what the clock can
    /// tell no timeout at all. The [origin](crate::CancelError::origin) tells it
    /// from a deadline above.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::time::Duration;
    ///
    /// let (download, idle) = Context::background().with_idle_timeout(Duration::from_millis(50));
    /// for _chunk in 0..10 {
    ///     std::thread::sleep(Duration::from_millis(1));
    ///     idle.touch();
    /// }
    /// let error = download.wait();
    /// assert!(error.is_timeout());
    /// assert_eq!(error.origin(), download.id());
    /// ```
    pub fn with_idle_timeout(&self, after: Duration) -> (Context, IdleTimeout) {
        let (context, handle) = self.with_timeout(after);
        let idle = IdleTimeout {
            handle,
            length: after,
        };
        (context, idle)
    }
}
