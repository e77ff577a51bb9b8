//! Waits that block the thread.
//!
//! Each polls a [`Cancelled`](crate::Cancelled) by hand, with the waker of the
//! thread's parker.

use std::future::Future;
use std::pin::Pin;
use std::task;
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::error::CancelError;
use crate::sync::park;

impl Context {
    /// Blocks this thread until the context is done.
    ///
    /// Returns at once if it is. On a context that [can never be
    /// done](Context::is_cancelable) this never returns. Not for use in async
    /// code, where [`cancelled`](Context::cancelled) waits without a thread.
    ///
    /// # Memory ordering
    ///
    /// What the cancelling thread did before `cancel` is visible when this
    /// returns.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// let worker = std::thread::spawn(move || ctx.wait().to_string());
    /// handle.cancel_with("done here");
    /// assert_eq!(worker.join().unwrap(), "context cancelled: done here");
    /// ```
    pub fn wait(&self) -> CancelError {
        if let Some(error) = self.error() {
            return error;
        }
        let mut cancelled = self.cancelled();
        park::block_on(|waker| {
            let mut task = task::Context::from_waker(waker);
            match Pin::new(&mut cancelled).poll(&mut task) {
                task::Poll::Ready(error) => Some(error),
                task::Poll::Pending => None,
            }
        })
    }

    /// Blocks this thread until the context is done, for `at_most` this long.
    ///
    /// `None` = the time ran out and the context was still live. Never returns
    /// early without an error. A length that the clock cannot represent means
    /// no limit; zero asks once. Time is that of the context's clock.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::time::Duration;
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// assert!(ctx.wait_timeout(Duration::from_millis(1)).is_none());
    /// handle.cancel();
    /// assert!(ctx.wait_timeout(Duration::MAX).is_some());
    /// ```
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    #[must_use = "`None` means that the time ran out"]
    pub fn wait_timeout(&self, at_most: Duration) -> Option<CancelError> {
        let now = match self.node().clockwork() {
            Some(clockwork) => clockwork.engine().now(),
            None => Instant::now(),
        };
        match now.checked_add(at_most) {
            Some(at) => self.wait_until(at),
            None => Some(self.wait()),
        }
    }

    /// Blocks this thread until the context is done, until `at` at the latest.
    ///
    /// As [`wait_timeout`](Context::wait_timeout); an instant in the past asks
    /// once.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::time::{Duration, Instant};
    ///
    /// let (ctx, _handle) = Context::background().with_cancel();
    /// let at = Instant::now() + Duration::from_millis(1);
    /// assert!(ctx.wait_until(at).is_none());
    /// assert!(Instant::now() >= at);
    /// ```
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    #[must_use = "`None` means that the time ran out"]
    pub fn wait_until(&self, at: Instant) -> Option<CancelError> {
        if let Some(error) = self.error() {
            return Some(error);
        }
        if !self.is_on_system_time() {
            return self.wait_by_clock(at);
        }
        let mut cancelled = self.cancelled();
        park::block_on_until(at, |waker| {
            let mut task = task::Context::from_waker(waker);
            match Pin::new(&mut cancelled).poll(&mut task) {
                task::Poll::Ready(error) => Some(error),
                task::Poll::Pending => None,
            }
        })
    }

    /// Whether the time here is that of `Instant::now`.
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    pub(crate) fn is_on_system_time(&self) -> bool {
        let clockwork = self.node().clockwork();
        clockwork.is_none_or(|clockwork| clockwork.engine().is_system_time())
    }

    /// The same by another clock: a child with that deadline is waited for.
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    fn wait_by_clock(&self, at: Instant) -> Option<CancelError> {
        let (child, _handle) = self.with_deadline(at);
        let error = child.wait();
        if child.node().is_expired_here() {
            return None;
        }
        Some(self.error().unwrap_or(error))
    }

    /// Sleeps for `length`, or until the context is done.
    ///
    /// Never returns `Ok` early. On a context that is done already it fails at
    /// once, also for a length of zero.
    ///
    /// # Errors
    ///
    /// The [`CancelError`] if the context is done before the time is over.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::time::Duration;
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// assert!(ctx.sleep(Duration::from_millis(1)).is_ok());
    /// handle.cancel();
    /// assert!(ctx.sleep(Duration::from_secs(3600)).is_err());
    /// ```
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    pub fn sleep(&self, length: Duration) -> Result<(), CancelError> {
        match self.wait_timeout(length) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
