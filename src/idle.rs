//! Waiting until nobody holds anything below a context.

use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{self, Poll};
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
use std::time::{Duration, Instant};

use crate::context::{Context, debug_as};
use crate::protocol::IdleWait;
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
use crate::sync::park;

/// Waits until nobody holds a descendant of a context. Made by
/// [`Context::idle`], which says what counts.
///
/// Ready once there was such a moment since the first poll, whatever was derived
/// since; polled again it is ready again. Polled with another waker, only the
/// last one is woken.
///
/// # Cancel safety
///
/// Dropping it half-way takes the wait back; it leaves no waker behind. Nothing
/// is lost by dropping it, a new one may be made at any time.
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
/// use std::future::Future;
/// use std::pin::pin;
/// use std::task::{Context as Task, Waker};
///
/// let (server, _stop) = Context::background().with_cancel();
/// let (request, _done) = server.with_cancel();
/// let mut task = Task::from_waker(Waker::noop());
/// let mut idle = pin!(server.idle());
/// assert!(idle.as_mut().poll(&mut task).is_pending());
/// drop((request, _done));
/// assert!(idle.as_mut().poll(&mut task).is_ready());
/// ```
#[must_use = "a wait does nothing unless it is polled"]
pub struct Idle<'a> {
    context: &'a Context,
    wait: IdleWait,
}

// As for `Cancelled`: made or not made, whatever panics.
impl UnwindSafe for Idle<'_> {}
impl RefUnwindSafe for Idle<'_> {}

impl Future for Idle<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<()> {
        let context = self.context;
        if self.wait.poll(context.node(), task.waker()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.wait.release(self.context.node());
    }
}

/// Prints the context. Never blocks.
impl fmt::Debug for Idle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_as("Idle", self.context, f)
    }
}

impl Context {
    /// A future that is ready once nobody holds anything below this context.
    ///
    /// Everything that was derived from it counts, and from that, of any kind and
    /// done or not, as long as somebody holds it. So if each worker holds a
    /// context of its own, this tells that all of them are gone, and a cancel
    /// before it sends them there. A [`link`](Context::link) counts below the
    /// context it was derived from, and until it is done below those of its other
    /// parents that can be done.
    ///
    /// It is a moment that is waited for: nothing keeps others from deriving
    /// again, unless nobody holds this context but who waits. A holder that
    /// derives its successor before it goes leaves no such moment. `background`
    /// and `todo` keep no children: they are always idle.
    ///
    /// Ready at the first poll if nobody holds anything now; in a list that many
    /// threads derive from at once it may take a wake, while another thread looks.
    ///
    /// From the first wait on, a context that is dropped below this one is
    /// unlinked at once, not in batches with others: that costs some 30 ns.
    ///
    /// # Cancel safety
    ///
    /// See [`Idle`].
    ///
    /// # Memory ordering
    ///
    /// What the holders did before they dropped their contexts is visible when
    /// this is ready.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (server, stop) = Context::background().with_cancel();
    /// for _ in 0..3 {
    ///     let request = server.without_cancel();
    ///     tokio::spawn(async move {
    ///         tokio::task::yield_now().await;
    ///         drop(request);
    ///     });
    /// }
    /// stop.cancel();
    /// server.idle().await;
    /// assert_eq!(server.tree().nodes().len(), 1, "only itself");
    /// # });
    /// ```
    pub fn idle(&self) -> Idle<'_> {
        Idle {
            context: self,
            wait: IdleWait::new(),
        }
    }

    /// Blocks this thread until nobody holds anything below this context, for
    /// `at_most` this long.
    ///
    /// False = the time ran out. `None` is no limit, as is a length that the
    /// clock cannot represent; zero asks once. Time is that of the context's
    /// clock. What counts is said at [`idle`](Context::idle). Not for use in
    /// async code.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::time::Duration;
    ///
    /// let (server, stop) = Context::background().with_cancel();
    /// let (request, _) = server.with_cancel();
    /// let worker = std::thread::spawn(move || drop(request.wait()));
    /// assert!(!server.wait_idle(Some(Duration::from_millis(1))));
    /// stop.cancel();
    /// assert!(server.wait_idle(None));
    /// # worker.join().unwrap();
    /// ```
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    #[must_use = "`false` means that the time ran out"]
    pub fn wait_idle(&self, at_most: Option<Duration>) -> bool {
        let mut idle = self.idle();
        let mut ready = |waker: &task::Waker| {
            let mut task = task::Context::from_waker(waker);
            match Pin::new(&mut idle).poll(&mut task) {
                Poll::Ready(()) => Some(()),
                Poll::Pending => None,
            }
        };
        self.block_for(at_most, &mut ready).is_some()
    }

    /// Blocks until `ready` gives a value, by this context's clock for at most
    /// this long.
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    pub(crate) fn block_for<T>(
        &self,
        at_most: Option<Duration>,
        ready: &mut dyn FnMut(&task::Waker) -> Option<T>,
    ) -> Option<T> {
        let Some(at_most) = at_most else {
            return Some(park::block_on(ready));
        };
        if self.is_on_system_time() || at_most.is_zero() {
            return match Instant::now().checked_add(at_most) {
                Some(at) => park::block_on_until(at, ready),
                None => Some(park::block_on(ready)),
            };
        }
        let Some((alarm, _handle)) = self.alarm(at_most) else {
            return Some(park::block_on(ready));
        };
        let mut over = alarm.cancelled();
        park::block_on(|waker| {
            let mut task = task::Context::from_waker(waker);
            let value = ready(waker).map(Some);
            // Last of all, so that its time being over is not told by mistake.
            value.or_else(|| match Pin::new(&mut over).poll(&mut task) {
                Poll::Ready(_) => Some(ready(waker)),
                Poll::Pending => None,
            })
        })
    }
}
