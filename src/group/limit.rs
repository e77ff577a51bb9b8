//! The places of a limited group.
//!
//! Who waits for one waits for the end of the group, too: that its context is
//! done, or that it is closed, which a root of its own tells. Below the group's
//! context there are tasks alone.

use super::shared::Shared;
use crate::cancelled::Cancelled;
use crate::context::Context;
use crate::handle::CancelHandle;
use crate::places::{Places, Turn, Wakers};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

/// How many main tasks may run at a time.
pub(super) struct Limit {
    places: Places,
    /// Done when the group is closed.
    closing: (Context, CancelHandle),
}

impl Limit {
    pub(super) fn new(at_most: usize) -> Limit {
        Limit {
            places: Places::new(at_most.min(Places::MAX)),
            closing: Context::background().with_cancel(),
        }
    }

    /// Has those fail who wait.
    pub(super) fn close(&self) {
        self.closing.1.cancel();
    }
}

/// One place of a limited group, given back when dropped.
pub(super) struct Place<E>(Option<Arc<Shared<E>>>);

impl<E> Place<E> {
    /// A place, if there is one now.
    pub(super) fn now(shared: &Arc<Shared<E>>) -> Option<Place<E>> {
        let limit = shared.limit.as_ref()?;
        limit.places.try_take().then(|| Place(Some(shared.clone())))
    }

    /// A place, when there is one. `None`: there will be none.
    pub(super) async fn wait(shared: &Arc<Shared<E>>) -> Option<Place<E>> {
        let limit = shared.limit.as_ref()?;
        let waiting = Waiting {
            shared,
            limit,
            closed: limit.closing.0.cancelled(),
            done: shared.context.cancelled(),
            turn: Turn::new(),
            place: None,
        };
        waiting.await
    }

    /// Gives it back. Who is to be woken is the caller's to drop, last.
    pub(super) fn give_back(mut self) -> Option<Wakers> {
        self.take()
    }

    fn take(&mut self) -> Option<Wakers> {
        let shared = self.0.take()?;
        Some(shared.limit.as_ref()?.places.give_back())
    }
}

impl<E> Drop for Place<E> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// A wait for a place.
struct Waiting<'g, E> {
    shared: &'g Arc<Shared<E>>,
    limit: &'g Limit,
    closed: Cancelled<'g>,
    done: Cancelled<'g>,
    turn: Turn,
    /// Found, and kept while wakers run, which may panic.
    place: Option<Place<E>>,
}

impl<E> Future for Waiting<'_, E> {
    type Output = Option<Place<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let (placed, wakers) = this.turn.poll(&this.limit.places, cx.waker());
        if placed {
            this.place = Some(Place(Some(this.shared.clone())));
        }
        drop(wakers);
        // Whoever has a place is refused by the admission, if by anything.
        if this.place.is_some()
            || Pin::new(&mut this.closed).poll(cx).is_ready()
            || Pin::new(&mut this.done).poll(cx).is_ready()
        {
            return Poll::Ready(this.place.take());
        }
        Poll::Pending
    }
}

impl<E> Drop for Waiting<'_, E> {
    fn drop(&mut self) {
        drop(self.turn.give_up(&self.limit.places));
    }
}
