//! Cancelling a node: decide, mark, then wake.
//!
//! # How it works
//!
//! 1. One compare-and-swap of the state word decides who wins.
//! 2. Winner and losers mark everything below (see `mark`). A loser that finds
//!    SETTLED has nothing to do.
//! 3. On its walk the winner also claims the waiters, of each node oldest
//!    first, parents before children, onto one private chain.
//! 4. With no pin held, the winner wakes along the chain. A wake that panics
//!    stops no other; the first panic is resumed at the end (V14).
//!
//! A waiter that comes too late for the claim sees the node done, and one that
//! is given up after the claim is not woken (see `wait_cell`).
//!
//! Models: `cancel_vs_cancel`, `cancel_vs_cancel_nested`, `wait_vs_cancel`.

use super::dispose::{Panics, drop_one};
use super::mark;
use crate::error::{Cause, Reason};
use crate::list::Link;
use crate::node::Node;
use crate::state::{OwnedRecord, Record, Word};
use crate::sync::{Site, recheck};
use crate::wait_cell::Waiter;
use std::panic::Location;
use std::ptr::{NonNull, null_mut};

/// Cancels `node`, to which the caller has a handle. True if this call did it.
pub(super) fn cancel(
    node: &Node,
    cause: Option<Cause>,
    location: &'static Location<'static>,
) -> bool {
    let word = match cause {
        None => Word::plain(location),
        Some(_) => Word::record(OwnedRecord::new(Record {
            reason: Reason::Cancelled,
            cause,
            location: Some(location),
        })),
    };
    let lost = match node.state.finish(word, Site::Cancel) {
        Ok(()) => None,
        Err(now) => {
            if !now.is_settled() && recheck(Site::LoserHelps) {
                mark::mark_all(node, false, &mut Claimed::new());
            }
            Some(word.into_record())
        }
    };
    if let Some(unused) = lost {
        // The loser's own cause: user's code may run in its drop.
        drop_one(unused);
        return false;
    }
    let mut claimed = Claimed::new();
    mark::mark_all(node, true, &mut claimed);
    claimed.wake_all();
    true
}

/// The waiters that a winner has claimed, in the order to wake them.
pub(super) struct Claimed {
    first: *mut Waiter,
    last: *mut Waiter,
}

impl Claimed {
    pub(super) fn new() -> Self {
        Self {
            first: null_mut(),
            last: null_mut(),
        }
    }

    /// Claims every waiter of `node`, behind those claimed before.
    ///
    /// The caller won the cancel that `node` is done by, is on its walk, and
    /// holds a pin.
    pub(super) fn claim_all(&mut self, node: &Node) {
        node.waits.close();
        node.waits.enter();
        let mut at = node.waits.first();
        // Newest first in the lane: each one goes in front.
        let (mut oldest, mut newest) = (null_mut::<Waiter>(), null_mut::<Waiter>());
        while let Some(waiter) = NonNull::new(at.cast::<Waiter>()) {
            // SAFETY: in a lane we are counted in, under a pin (L7).
            let link = unsafe { waiter.cast::<Link>().as_ref() };
            at = link.next();
            // SAFETY: the same.
            let waiting = unsafe { waiter.as_ref() };
            // SAFETY: only the winner claims (T5), and each node once.
            if unsafe { waiting.claim(oldest) } {
                oldest = waiter.as_ptr();
                if newest.is_null() {
                    newest = oldest;
                }
            }
        }
        node.waits.leave();
        if oldest.is_null() {
            return;
        }
        if let Some(last) = NonNull::new(self.last) {
            // SAFETY: claimed and not released, so valid (W3).
            let last = unsafe { last.as_ref() };
            // SAFETY: the same.
            unsafe { last.set_claim_next(oldest) };
        } else {
            self.first = oldest;
        }
        self.last = newest;
    }

    /// Wakes them all, and resumes the first panic.
    fn wake_all(self) {
        let mut panics = Panics::new();
        let mut at = self.first;
        while let Some(waiter) = NonNull::new(at) {
            // SAFETY: claimed and not released, so valid (W3).
            let claimed = unsafe { waiter.as_ref() };
            // SAFETY: the same.
            at = unsafe { claimed.claim_next() };
            let waker = claimed.fire();
            // SAFETY: claimed by us, and not used again.
            unsafe { Waiter::release_claimed(waiter) };
            if let Some(waker) = waker {
                panics.catch(|| waker.wake());
            }
        }
        panics.resume();
    }
}
