//! Cuts a stream where a context is done.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll};

use futures_core::{FusedStream, Stream};

use crate::cancelled::Cancelled;
use crate::context::{Context, debug_as};

/// A stream that ends with its context. Made by
/// [`StreamExt::until_cancelled`].
///
/// The context is asked in each poll, before the stream is: once the context is
/// done, no item comes out any more and the stream is not polled again, however
/// many items it has ready. An item that the stream has given comes out, also
/// if the context is done meanwhile. (A future that is run until a context is
/// done wins in more cases: its value would be lost, whereas items stay in the
/// stream, and [`into_inner`](Self::into_inner) gives it back.)
///
/// The end looks the same whether the context brought it or the stream:
/// [`Context::error`] tells. It is final, and polls after it give `None` again.
///
/// # Cancel safety
///
/// Dropping it drops the stream, and takes back the registration of its wait.
/// As long as an item is given when it is ready, none is lost by dropping the
/// future that waits for the next one.
///
/// # Panics
///
/// When the stream does. It may be polled again if the stream may.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, StreamExt as _};
/// use futures_util::{StreamExt as _, stream};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (ctx, handle) = Context::background().with_cancel();
/// let mut numbers = stream::iter(1..).until_cancelled(&ctx);
/// assert_eq!(numbers.next().await, Some(1));
/// handle.cancel();
/// assert_eq!(numbers.next().await, None);
/// assert_eq!(numbers.into_inner().next().await, Some(2));
/// # });
/// ```
#[must_use = "a stream does nothing unless it is polled"]
#[cfg_attr(docsrs, doc(cfg(feature = "stream")))]
pub struct UntilCancelled<'ctx, S> {
    /// Pinned with `self`, never moved out of a pinned one.
    stream: S,
    context: &'ctx Context,
    /// None: it has ended.
    wait: Option<Cancelled<'ctx>>,
}

impl<S> UntilCancelled<'_, S> {
    /// The stream, with the items that did not come out.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, StreamExt as _};
    /// use futures_util::{StreamExt as _, stream};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (ctx, handle) = Context::background().with_cancel();
    /// handle.cancel();
    /// let mut cut = stream::iter(["left"]).until_cancelled(&ctx);
    /// assert_eq!(cut.next().await, None);
    /// let rest: Vec<_> = cut.into_inner().collect().await;
    /// assert_eq!(rest, ["left"]);
    /// # });
    /// ```
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: Stream> Stream for UntilCancelled<'_, S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Option<S::Item>> {
        // SAFETY: `stream` is not moved below and is handed out pinned only;
        // the rest is `Unpin`. `UntilCancelled` has no `Drop` and is `Unpin`
        // only if `stream` is.
        let this = unsafe { self.get_unchecked_mut() };
        let Some(wait) = &mut this.wait else {
            return Poll::Ready(None);
        };
        // Asks only: a stream that has items ready registers nothing.
        if !this.context.is_cancelled() {
            // SAFETY: `this.stream` is a field of a pinned `UntilCancelled` and
            // stays where it is until that is dropped.
            let stream = unsafe { Pin::new_unchecked(&mut this.stream) };
            match stream.poll_next(task) {
                Poll::Ready(Some(item)) => return Poll::Ready(Some(item)),
                Poll::Pending if Pin::new(wait).poll(task).is_pending() => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => {}
            }
        }
        // Ended first, as the drop may run a waker's.
        drop(this.wait.take());
        Poll::Ready(None)
    }

    /// At least none, as the context may be done at any time.
    fn size_hint(&self) -> (usize, Option<usize>) {
        match self.wait {
            Some(_) => (0, self.stream.size_hint().1),
            None => (0, Some(0)),
        }
    }
}

impl<S: Stream> FusedStream for UntilCancelled<'_, S> {
    fn is_terminated(&self) -> bool {
        self.wait.is_none()
    }
}

/// Prints the context, not the stream. Never blocks.
impl<S> fmt::Debug for UntilCancelled<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_as("UntilCancelled", self.context, f)
    }
}

/// Adapters for every stream.
///
/// Other crates have traits of this name: `use ctxtree::StreamExt as _` keeps
/// them apart.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, StreamExt as _};
/// use futures_util::{StreamExt as _, stream};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (ctx, _handle) = Context::background().with_cancel();
/// let all: Vec<_> = stream::iter(1..4).until_cancelled(&ctx).collect().await;
/// assert_eq!(all, [1, 2, 3]);
/// # });
/// ```
#[cfg_attr(docsrs, doc(cfg(feature = "stream")))]
pub trait StreamExt: Sized {
    /// Ends this stream once `ctx` is done: its items until then, then `None`
    /// for ever.
    ///
    /// If `ctx` is done already, the stream is never polled. The same holds
    /// between two items, so that a stream that always has one is cut as well.
    ///
    /// # Cancel safety
    ///
    /// See [`UntilCancelled`].
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, StreamExt as _};
    /// use futures_util::{StreamExt as _, stream};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (ctx, handle) = Context::background().with_cancel();
    /// let mut seen = Vec::new();
    /// let mut ticks = stream::repeat("tick").until_cancelled(&ctx);
    /// while let Some(tick) = ticks.next().await {
    ///     seen.push(tick);
    ///     if seen.len() == 3 {
    ///         handle.cancel_with("enough");
    ///     }
    /// }
    /// assert_eq!(seen, ["tick"; 3]);
    /// assert_eq!(ctx.cause().unwrap().to_string(), "enough");
    /// # });
    /// ```
    #[doc(alias = "until_canceled")]
    #[doc(alias = "take_until")]
    fn until_cancelled(self, ctx: &Context) -> UntilCancelled<'_, Self>;
}

impl<S: Stream> StreamExt for S {
    fn until_cancelled(self, ctx: &Context) -> UntilCancelled<'_, S> {
        UntilCancelled {
            stream: self,
            context: ctx,
            wait: Some(ctx.cancelled()),
        }
    }
}
