//! Runs a future until a context is done.
//!
//! [`Until`] is the one place that pins: it polls the work, then the wait.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{self, Poll};

use crate::cancelled::{Cancelled, CancelledOwned};
use crate::context::Context;
use crate::error::CancelError;

/// A future that ends with its work or with its context, whichever is first.
/// Made by [`FutureExt::with_context`].
///
/// If the context is done at the first poll, the work is never polled. After
/// that, if both are ready at one poll, the work's value wins.
///
/// # Cancel safety
///
/// When the context ends it, the work has been polled a last time and is
/// dropped with this future, at whatever `.await` it stands. Dropping this
/// future drops the work and the wait.
///
/// # Panics
///
/// When the work does. Polled again after the work gave its value, it does
/// what the work does then; after an error it gives the error again, but polls
/// the work once more first unless it never did.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, FutureExt};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (ctx, handle) = Context::background().with_cancel();
/// assert_eq!(async { 7 }.with_context(&ctx).await.unwrap(), 7);
/// handle.cancel();
/// assert!(async { 7 }.with_context(&ctx).await.is_err());
/// # });
/// ```
#[must_use = "a future does nothing unless it is polled"]
pub struct WithContext<'ctx, F>(Until<F, Cancelled<'ctx>>);

/// Either wait, borrowed or owned.
trait Wait: Future<Output = CancelError> + Unpin {
    /// The context it waits for.
    fn context(&self) -> &Context;
}

impl Wait for Cancelled<'_> {
    fn context(&self) -> &Context {
        self.context()
    }
}

impl Wait for CancelledOwned {
    fn context(&self) -> &Context {
        self.context()
    }
}

/// The work and the wait for its context.
struct Until<F, W> {
    /// Pinned with `self`, never moved out.
    work: F,
    wait: W,
    /// The work has been polled.
    started: bool,
}

impl<F, W> Until<F, W> {
    fn new(work: F, wait: W) -> Until<F, W> {
        Until {
            work,
            wait,
            started: false,
        }
    }
}

impl<F, W> Future for Until<F, W>
where
    F: Future,
    W: Wait,
{
    type Output = Result<F::Output, CancelError>;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `work` is not moved below and is handed out pinned only;
        // `wait` is `Unpin`. `Until` has no `Drop` and is `Unpin` only if
        // `work` is.
        let this = unsafe { self.get_unchecked_mut() };
        if !this.started {
            // Asks only: work that is ready at once registers nothing.
            if let Err(error) = this.wait.context().check() {
                return Poll::Ready(Err(error));
            }
            this.started = true;
        }
        // SAFETY: `this.work` is a field of a pinned `Until` and stays where it
        // is until that is dropped.
        let work = unsafe { Pin::new_unchecked(&mut this.work) };
        if let Poll::Ready(value) = work.poll(task) {
            return Poll::Ready(Ok(value));
        }
        Pin::new(&mut this.wait).poll(task).map(Err)
    }
}

impl<F: Future> Future for WithContext<'_, F> {
    type Output = Result<F::Output, CancelError>;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the only field, pinned with `self` and not moved;
        // `WithContext` has no `Drop` and is `Unpin` only if the field is.
        let until = unsafe { self.map_unchecked_mut(|this| &mut this.0) };
        until.poll(task)
    }
}

/// Prints the context, not the work. Never blocks.
impl<F> fmt::Debug for WithContext<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithContext")
            .field("until", &self.0.wait)
            .finish_non_exhaustive()
    }
}

/// Adapters for every future.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, FutureExt};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (ctx, _handle) = Context::background().with_cancel();
/// let length = async { "four".len() };
/// assert_eq!(length.with_context(&ctx).await.unwrap(), 4);
/// # });
/// ```
pub trait FutureExt: Sized {
    /// Ends this future with an error once `ctx` is done.
    ///
    /// # Cancel safety
    ///
    /// See [`WithContext`].
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, FutureExt};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (ctx, handle) = Context::background().with_cancel();
    /// let forever = std::future::pending::<()>();
    /// handle.cancel();
    /// assert!(forever.with_context(&ctx).await.is_err());
    /// # });
    /// ```
    #[doc(alias = "with_cancellation_token")]
    fn with_context(self, ctx: &Context) -> WithContext<'_, Self>;
}

impl<F: Future> FutureExt for F {
    fn with_context(self, ctx: &Context) -> WithContext<'_, F> {
        WithContext(Until::new(self, ctx.cancelled()))
    }
}

impl Context {
    /// Runs `f` until it is ready or this context is done.
    ///
    /// If the context is done at the first poll, `f` is never polled. After
    /// that, if both are ready at one poll, the value of `f` wins.
    ///
    /// # Errors
    ///
    /// The [`CancelError`] if the context was done first.
    ///
    /// # Cancel safety
    ///
    /// See [`WithContext`]: the work is dropped where it stands.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (ctx, handle) = Context::background().with_cancel();
    /// assert_eq!(ctx.run_until_cancelled(async { 7 }).await.unwrap(), 7);
    ///
    /// tokio::spawn(async move { handle.cancel_with("stop") });
    /// let error = ctx.run_until_cancelled(std::future::pending::<()>()).await.unwrap_err();
    /// assert_eq!(error.cause().unwrap().to_string(), "stop");
    /// # });
    /// ```
    #[doc(alias = "run_until_canceled")]
    pub fn run_until_cancelled<F: IntoFuture>(
        &self,
        f: F,
    ) -> impl Future<Output = Result<F::Output, CancelError>> {
        Until::new(f.into_future(), self.cancelled())
    }

    /// As [`run_until_cancelled`](Context::run_until_cancelled), with a handle
    /// of its own: the future may be returned and spawned.
    ///
    /// # Errors
    ///
    /// The [`CancelError`] if the context was done first.
    ///
    /// # Cancel safety
    ///
    /// See [`WithContext`].
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (ctx, handle) = Context::background().with_cancel();
    /// let task = tokio::spawn(ctx.run_until_cancelled_owned(std::future::pending::<()>()));
    /// handle.cancel();
    /// assert!(task.await.unwrap().is_err());
    /// # });
    /// ```
    #[doc(alias = "run_until_canceled_owned")]
    pub fn run_until_cancelled_owned<F: IntoFuture>(
        self,
        f: F,
    ) -> impl Future<Output = Result<F::Output, CancelError>> {
        Until::<F::IntoFuture, CancelledOwned>::new(f.into_future(), self.cancelled_owned())
    }
}
