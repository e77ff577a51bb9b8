//! The places of a limited group.
//!
//! Who waits for one waits for the end of the group, too: for its context, and for
//! one that is cancelled when the group is closed.

use crate::cancelled::Cancelled;
use crate::context::Context;
use crate::handle::CancelHandle;
use crate::places::{Places, Turn, Wakers};
use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll};

/// How many main tasks may run at a time.
pub(super) struct Limit {
    places: Places,
    /// The group's.
    context: Context,
    /// Done when the group is closed. A root, so that nothing is found below the
    /// group's context that is not a task's.
    closing: (Context, CancelHandle),
}

impl Limit {
    pub(super) fn new(group: &Context, at_most: usize) -> Limit {
        Limit {
            places: Places::new(at_most.min(Places::MAX)),
            context: group.clone(),
            closing: Context::background().with_cancel(),
        }
    }

    /// Gives a place back. Who is to be woken is the caller's to drop, last.
    pub(super) fn give_back(&self) -> Wakers {
        self.places.give_back()
    }

    /// Has those fail who wait.
    pub(super) fn close(&self) {
        self.closing.1.cancel();
    }
}

/// One place of a limited group, given back when dropped.
pub(super) struct Place<'g>(&'g Limit);

impl<'g> Place<'g> {
    /// A place, if there is one now.
    pub(super) fn now(limit: &'g Limit) -> Option<Place<'g>> {
        limit.places.try_take().then(|| Place(limit))
    }

    /// A place, when there is one. `None`: there will be none.
    pub(super) async fn wait(limit: &'g Limit) -> Option<Place<'g>> {
        let (closing, _) = &limit.closing;
        if closing.is_cancelled() || limit.context.is_cancelled() {
            return None;
        }
        if let Some(place) = Place::now(limit) {
            return Some(place);
        }
        let waiting = Waiting {
            limit,
            closing: closing.cancelled(),
            cancel: limit.context.cancelled(),
            turn: Turn::new(),
            place: None,
        };
        waiting.await
    }

    /// Leaves giving it back to the seat of a task.
    pub(super) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        drop(self.0.give_back());
    }
}

/// A wait for a place.
struct Waiting<'g> {
    limit: &'g Limit,
    closing: Cancelled<'g>,
    cancel: Cancelled<'g>,
    turn: Turn,
    /// Found, and kept while wakers run, which may panic.
    place: Option<Place<'g>>,
}

impl<'g> Future for Waiting<'g> {
    type Output = Option<Place<'g>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let closing = Pin::new(&mut this.closing).poll(cx).is_ready();
        if closing || Pin::new(&mut this.cancel).poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        let (placed, wakers) = this.turn.poll(&this.limit.places, cx.waker());
        if placed {
            this.place = Some(Place(this.limit));
        }
        drop(wakers);
        match this.place.take() {
            None => Poll::Pending,
            place => Poll::Ready(place),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        drop(self.turn.give_up(&self.limit.places));
    }
}
