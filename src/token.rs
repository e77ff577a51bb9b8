//! Bridges to and from [`CancellationToken`] of tokio-util.
//!
//! Nothing here is shared by threads: what a token wakes is a [`Listener`], and what
//! cancels a token is a callback. `docs/tokio.md` says how the two compare.

use crate::context::Context;
use crate::error::Cause;
use crate::listener::Listener;
use crate::registration::Registration;
use crate::source::CancelSource;
use std::fmt;
use tokio_util::sync::CancellationToken;

/// A token as a parent: `ctx.from_source(token.clone())`.
///
/// No runtime is needed, no task and no thread: the context is cancelled from
/// within the `cancel` of the token, or of one above it, once all tokens are marked.
/// What panics in callbacks and wakers of the context is reported by the panic hook
/// and goes no further, as tokio-util forgets the waiters behind a waker that panics.
/// (So it forgets a context behind another waker that does.)
///
/// The context keeps the token, and cancels nothing of it: a token whose other
/// clones are dropped can be cancelled no more, unless by a token above it.
/// A token has no cause to give.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, Reason};
/// use tokio_util::sync::CancellationToken;
///
/// let token = CancellationToken::new();
/// let (ctx, handle) = Context::background().from_source(token.child_token());
/// let (request, _) = ctx.with_cancel();
///
/// token.cancel();
/// assert_eq!(request.reason(), Some(Reason::Cancelled));
/// assert!(request.cause().is_none());
/// assert!(!handle.cancel());
/// ```
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
impl CancelSource for CancellationToken {
    fn is_cancelled(&self) -> bool {
        CancellationToken::is_cancelled(self)
    }

    fn error(&self) -> Option<Cause> {
        None
    }

    /// A `notify` that panics is reported by the panic hook, unless it is called
    /// before this returns: then the panic comes out of here.
    fn on_cancel(&self, notify: Box<dyn FnOnce() + Send>) -> Box<dyn Send> {
        Box::new(Listener::new(self.clone().cancelled_owned(), notify))
    }
}

/// A [`CancellationToken`] that is cancelled when a context is done, made by
/// [`Context::cancellation_token`].
///
/// Dropping it ends the bridge: clones of the token stay as they are, and a cancel
/// of the context no longer reaches them (one that is under way may). Keep it for as
/// long as the token is in use. It does not turn into a token by itself, as a clone
/// that outlives it would be cancelled by nobody.
///
/// It does not keep the context alive: when nobody holds the context any more, nor
/// anything below it, the token stays as it is.
///
/// # Examples
///
/// ```
/// use ctxtree::Context;
///
/// let (ctx, handle) = Context::background().with_cancel();
/// let bridge = ctx.cancellation_token();
/// let (token, other) = (bridge.token().clone(), ctx.cancellation_token());
/// let unbridged = other.token().clone();
/// drop(other);
///
/// handle.cancel();
/// assert!(token.is_cancelled() && !unbridged.is_cancelled());
/// ```
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
#[must_use = "dropping it ends the bridge; `into_token` leaves it"]
pub struct ContextToken {
    registration: Registration,
    token: CancellationToken,
}

impl ContextToken {
    /// The token, to clone, to wait on, or to make child tokens of.
    ///
    /// Whoever has a clone may cancel it, and with it all clones and child tokens. The
    /// context does not notice. For a part of the work that may end by itself there is
    /// a child token, or another call of
    /// [`cancellation_token`](Context::cancellation_token).
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// let bridge = ctx.cancellation_token();
    /// let part = bridge.token().child_token();
    ///
    /// part.cancel();
    /// assert!(!bridge.token().is_cancelled());
    /// bridge.token().cancel();
    /// assert!(!ctx.is_cancelled());
    /// # assert!(handle.cancel());
    /// ```
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// The token alone, bridged for as long as the context lives.
    ///
    /// Nothing tells the context when the token's last clone is dropped, so each such
    /// token costs it a callback and the token until it ends. For one that is made for
    /// each request on a context of the whole server, keep the `ContextToken`, or derive
    /// a context for the request and make the token of that.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (server, stop) = Context::background().with_cancel();
    /// let token = server.cancellation_token().into_token();
    /// stop.cancel();
    /// assert!(token.is_cancelled());
    /// ```
    #[doc(alias = "detach")]
    #[must_use]
    pub fn into_token(self) -> CancellationToken {
        self.registration.detach();
        self.token
    }
}

/// Prints the token. May wait for the token's lock.
impl fmt::Debug for ContextToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextToken")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
impl Context {
    /// A new token of tokio-util that is cancelled when this context is done.
    ///
    /// For a library that takes a `CancellationToken`. It is cancelled by a callback, so
    /// all that is said of [`after_cancel`](Context::after_cancel) holds: it needs no
    /// runtime; the token of a context that is done already is cancelled when this
    /// returns; that of one that can never be done never is; and while a cancel is under
    /// way the context is seen done a moment before the token is. When the `cancel`
    /// that won has returned, the token is cancelled.
    ///
    /// Each call makes another token, so what cancels one, or drops it, is no matter for
    /// the others. It never is for the context: cancels go from it to the tokens. For
    /// the other direction see [`from_source`](Context::from_source).
    ///
    /// There is no `From<&Context>` for tokens: the bridge has an end, and a plain token
    /// cannot tell it. [`into_token`](ContextToken::into_token) gives one, at its price.
    ///
    /// # Panics
    ///
    /// Not of its own. A waker that panics when the token is cancelled is dealt with as
    /// a callback that panics; tokio-util then forgets the waiters behind it.
    ///
    /// # Memory ordering
    ///
    /// What the cancelling thread did before the cancel is visible to whoever sees the
    /// token cancelled by it.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use tokio_util::sync::CancellationToken;
    ///
    /// /// Somebody else's, who knows nothing of contexts.
    /// async fn serve(until: CancellationToken) -> &'static str {
    ///     until.cancelled().await;
    ///     "stopped"
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (ctx, handle) = Context::background().with_cancel();
    /// let bridge = ctx.cancellation_token();
    /// let server = tokio::spawn(serve(bridge.token().clone()));
    /// handle.cancel_with("deploy");
    /// assert_eq!(server.await.unwrap(), "stopped");
    /// # });
    /// ```
    pub fn cancellation_token(&self) -> ContextToken {
        let token = CancellationToken::new();
        let cancelled = token.clone();
        ContextToken {
            registration: self.after_cancel(move |_| cancelled.cancel()),
            token,
        }
    }
}
