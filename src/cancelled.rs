//! The futures that wait for a context to be done.
//!
//! Each is a context and the registration of one wait. The registration is
//! taken back in `Drop`, before the handle goes.

use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{self, Poll};

use crate::context::{Context, debug_as};
use crate::error::CancelError;
use crate::protocol::Wait;

/// Waits until a context is done. Made by [`Context::cancelled`].
///
/// Nothing is registered before the first poll. A wait that begins before,
/// during or after the cancel ends; polled again after it was ready, it is
/// ready again with the same error. Polled with another waker, only the last
/// one is woken.
///
/// # Cancel safety
///
/// Dropping it half-way takes the registration back; it leaves no waker and no
/// memory behind. Nothing is lost by dropping it, a new one may be made at any
/// time.
///
/// # Panics
///
/// Not of its own. A waker that panics in its `clone` or `drop` unwinds out of
/// `poll` or out of the drop; the wait may be polled again.
///
/// # Examples
///
/// ```
/// use ctxtree::Context;
/// use std::pin::Pin;
/// use std::task::{Context as Task, Waker};
/// use std::future::Future;
///
/// let (ctx, handle) = Context::background().with_cancel();
/// let mut task = Task::from_waker(Waker::noop());
/// let mut wait = ctx.cancelled();
/// assert!(Pin::new(&mut wait).poll(&mut task).is_pending());
/// handle.cancel();
/// assert!(Pin::new(&mut wait).poll(&mut task).is_ready());
/// ```
#[must_use = "a wait does nothing unless it is polled"]
#[doc(alias = "WaitForCancellationFuture")]
pub struct Cancelled<'a> {
    context: &'a Context,
    wait: Wait,
}

/// Waits until a context is done, and owns its handle to it. Made by
/// [`Context::cancelled_owned`].
///
/// As [`Cancelled`], without a lifetime: it may be spawned and stored. It keeps
/// the context alive.
///
/// # Cancel safety
///
/// As [`Cancelled`].
///
/// # Examples
///
/// ```
/// use ctxtree::{CancelledOwned, Context};
/// use std::pin::Pin;
/// use std::task::{Context as Task, Poll, Waker};
/// use std::future::Future;
///
/// let (ctx, handle) = Context::background().with_cancel();
/// let mut wait: CancelledOwned = ctx.cancelled_owned();
/// handle.cancel_with("stop");
/// let mut task = Task::from_waker(Waker::noop());
/// match Pin::new(&mut wait).poll(&mut task) {
///     Poll::Ready(error) => assert_eq!(error.cause().unwrap().to_string(), "stop"),
///     Poll::Pending => unreachable!(),
/// }
/// ```
#[must_use = "a wait does nothing unless it is polled"]
#[doc(alias = "WaitForCancellationFutureOwned")]
pub struct CancelledOwned {
    context: Context,
    wait: Wait,
}

// As for `Context`: a registration is made and taken back in single steps, a
// panic between two of them leaves it made or not made.
impl UnwindSafe for Cancelled<'_> {}
impl RefUnwindSafe for Cancelled<'_> {}
impl UnwindSafe for CancelledOwned {}
impl RefUnwindSafe for CancelledOwned {}

impl Cancelled<'_> {
    /// The context this waits for.
    pub(crate) fn context(&self) -> &Context {
        self.context
    }
}

impl CancelledOwned {
    /// The context this waits for.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }
}

impl Future for Cancelled<'_> {
    type Output = CancelError;

    fn poll(mut self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<CancelError> {
        let context = self.context;
        poll(context, &mut self.wait, task)
    }
}

impl Future for CancelledOwned {
    type Output = CancelError;

    fn poll(mut self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<CancelError> {
        let this = &mut *self;
        poll(&this.context, &mut this.wait, task)
    }
}

/// One poll of either wait.
fn poll(context: &Context, wait: &mut Wait, task: &mut task::Context<'_>) -> Poll<CancelError> {
    if wait.poll(context.node(), task.waker()) {
        Poll::Ready(context.expect_error())
    } else {
        Poll::Pending
    }
}

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        self.wait.release(self.context.node());
    }
}

impl Drop for CancelledOwned {
    fn drop(&mut self) {
        self.wait.release(self.context.node());
    }
}

/// Prints the context. Never blocks.
impl fmt::Debug for Cancelled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_as("Cancelled", self.context, f)
    }
}

/// Prints the context. Never blocks.
impl fmt::Debug for CancelledOwned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_as("CancelledOwned", &self.context, f)
    }
}

impl Context {
    /// A future that is ready, with the error, once this context is done.
    ///
    /// Any number of them may wait on one context. On a context that [can never
    /// be done](Context::is_cancelable) it stays pending and keeps no waker.
    ///
    /// # Cancel safety
    ///
    /// See [`Cancelled`].
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (ctx, handle) = Context::background().with_cancel();
    /// handle.cancel_with("stop");
    /// let error = ctx.cancelled().await;
    /// assert_eq!(error.to_string(), "context cancelled: stop");
    /// # });
    /// ```
    #[doc(alias = "canceled")]
    #[doc(alias = "Done")]
    pub fn cancelled(&self) -> Cancelled<'_> {
        Cancelled {
            context: self,
            wait: Wait::new(),
        }
    }

    /// As [`cancelled`](Context::cancelled), in a future that owns its handle.
    ///
    /// # Cancel safety
    ///
    /// See [`CancelledOwned`].
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (ctx, handle) = Context::background().with_cancel();
    /// let task = tokio::spawn(ctx.cancelled_owned());
    /// handle.cancel();
    /// assert!(!task.await.unwrap().is_timeout());
    /// # });
    /// ```
    #[doc(alias = "canceled_owned")]
    pub fn cancelled_owned(self) -> CancelledOwned {
        CancelledOwned {
            context: self,
            wait: Wait::new(),
        }
    }
}
