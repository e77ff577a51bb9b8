//! The right to cancel: [`CancelHandle`] and [`DropGuard`].
//!
//! Both are a [`Context`] with one more method. Nothing here adds state to the
//! tree.

use std::fmt;
use std::ops::Deref;
use std::panic::Location;

use crate::context::{Context, debug_as};
use crate::error::Cause;
use crate::node::{Facets, Kind};
use crate::protocol::NodeRef;

/// The right to cancel one context, and with it all that is derived below.
///
/// Clones share the right. Dropping a handle does **not** cancel;
/// [`drop_guard`](CancelHandle::drop_guard) makes a guard that does.
///
/// # Examples
///
/// ```
/// use ctxtree::Context;
///
/// let (ctx, handle) = Context::background().with_cancel();
/// drop(handle.clone());
/// assert!(!ctx.is_cancelled());
/// assert!(handle.cancel());
/// assert!(ctx.is_cancelled());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[must_use = "without its handle a context can only be cancelled from above"]
#[doc(alias = "CancelFunc")]
#[doc(alias = "CancelCauseFunc")]
pub struct CancelHandle {
    context: Context,
}

impl CancelHandle {
    /// Cancels the context and everything below it, without a cause.
    ///
    /// True = this call was the one that cancelled. False = the context was
    /// done already; its reason and cause stay what they were.
    ///
    /// When this returns, either way, every context that was derived below
    /// before the call is done. It does not wait for the work of those who
    /// watch. Wakers of waits are woken by the call that wins, on its thread,
    /// after everything is marked: parents before children, and in the order
    /// of registration on one context. Costs are proportional to the subtree,
    /// stack use is not.
    ///
    /// # Memory ordering
    ///
    /// Release: whoever sees the context done sees all that this thread did
    /// before the call.
    ///
    /// # Panics
    ///
    /// Does not panic of its own. If a waker panics, the others are still
    /// woken, then the first panic goes on from here, unless this thread is
    /// panicking already.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (root, handle) = Context::background().with_cancel();
    /// let (leaf, _keep) = root.with_cancel();
    /// assert!(handle.cancel());
    /// assert!(root.is_cancelled() && leaf.is_cancelled());
    /// assert!(!handle.cancel());
    /// ```
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.context.node().cancel(None, Location::caller())
    }

    /// Cancels as [`cancel`](CancelHandle::cancel) does, and says why.
    ///
    /// The cause is what this context and all below it report. A context that
    /// was done before keeps what it had.
    ///
    /// # Panics
    ///
    /// As [`cancel`](CancelHandle::cancel).
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// assert!(handle.cancel_with("first"));
    /// assert!(!handle.cancel_with("second"));
    /// assert_eq!(ctx.cause().unwrap().to_string(), "first");
    /// ```
    #[track_caller]
    pub fn cancel_with(&self, cause: impl Into<Cause>) -> bool {
        self.context
            .node()
            .cancel(Some(cause.into()), Location::caller())
    }

    /// The context that this handle cancels.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// assert_eq!(handle.context(), &ctx);
    /// ```
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Turns the handle into a guard that cancels when it is dropped.
    ///
    /// The line that calls this is the [location] of that cancel.
    ///
    /// [location]: crate::CancelError::location
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// {
    ///     let _guard = handle.drop_guard();
    ///     assert!(!ctx.is_cancelled());
    /// }
    /// assert!(ctx.is_cancelled());
    /// ```
    #[track_caller]
    pub fn drop_guard(self) -> DropGuard {
        DropGuard {
            handle: self,
            armed: Some(Location::caller()),
        }
    }
}

/// Prints the context. Never blocks.
impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_as("CancelHandle", &self.context, f)
    }
}

/// Cancels its context when dropped, unless disarmed.
///
/// Made by [`CancelHandle::drop_guard`]. Dropped by a panic it cancels too. It
/// derefs to the [`Context`].
///
/// # Panics
///
/// Dropping it may panic as [`CancelHandle::cancel`] may: with what a waker
/// threw, and not while the thread is panicking already.
///
/// # Examples
///
/// ```
/// use ctxtree::Context;
///
/// let (ctx, handle) = Context::background().with_cancel();
/// let guard = handle.drop_guard();
/// assert!(!guard.is_cancelled());
/// drop(guard);
/// assert!(ctx.is_cancelled());
/// ```
#[must_use = "dropping the guard cancels its context at once"]
pub struct DropGuard {
    handle: CancelHandle,
    /// The line that made the guard; `None` once disarmed.
    armed: Option<&'static Location<'static>>,
}

impl DropGuard {
    /// Gives the handle back; nothing is cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// let handle = handle.drop_guard().disarm();
    /// assert!(!ctx.is_cancelled());
    /// assert!(handle.cancel());
    /// ```
    pub fn disarm(mut self) -> CancelHandle {
        self.armed = None;
        self.handle.clone()
    }

    /// The context that this guard cancels.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// let guard = handle.drop_guard();
    /// assert_eq!(guard.context(), &ctx);
    /// ```
    #[must_use]
    pub fn context(&self) -> &Context {
        self.handle.context()
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        if let Some(location) = self.armed {
            self.handle.context.node().cancel(None, location);
        }
    }
}

impl Deref for DropGuard {
    type Target = Context;

    fn deref(&self) -> &Context {
        self.handle.context()
    }
}

/// Prints the context. Never blocks.
impl fmt::Debug for DropGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_as("DropGuard", self.context(), f)
    }
}

impl Context {
    /// Derives a child and the right to cancel it.
    ///
    /// The child is done when this context is, or when its handle cancels. A
    /// child of a context that is done already is born done, with the same
    /// reason and the very same cause.
    ///
    /// One allocation. Neither result keeps the other from being dropped, and
    /// dropping both cancels nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (root, handle) = Context::background().with_cancel();
    /// let (child, cancel_child) = root.with_cancel();
    ///
    /// cancel_child.cancel();
    /// assert!(child.is_cancelled() && !root.is_cancelled());
    ///
    /// handle.cancel();
    /// let (late, _keep) = root.with_cancel();
    /// assert!(late.is_cancelled());
    /// ```
    #[doc(alias = "WithCancel")]
    #[doc(alias = "WithCancelCause")]
    #[doc(alias = "child_token")]
    pub fn with_cancel(&self) -> (Context, CancelHandle) {
        pair(self.node().derive_pair(Kind::Cancel, Facets::CANCELABLE))
    }
}

/// The two public handles of one new node.
pub(crate) fn pair((one, other): (NodeRef, NodeRef)) -> (Context, CancelHandle) {
    (
        Context::from_node(one),
        CancelHandle {
            context: Context::from_node(other),
        },
    )
}
