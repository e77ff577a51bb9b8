//! What came and went since somebody last worked on the queue: a stack, with
//! its length in the low bits of the address.

use super::queued::Queued;
use crate::sync::Ordering::{AcqRel, Relaxed};
use crate::sync::{AtomicPtr, Site, limits};
use std::ptr::{NonNull, null_mut};

/// The low bits of an address on the heap, which are free there.
const LEN: usize = 15;
const _: () = assert!(limits::PLACE_REQUESTS <= LEN);

pub(super) struct Stack {
    top: AtomicPtr<Queued>,
}

impl Stack {
    pub(super) fn new() -> Self {
        Self {
            top: AtomicPtr::new(null_mut()),
        }
    }

    /// Puts a wait on top; true = the stack is long.
    ///
    /// # Safety
    ///
    /// The wait is STACKED, and the caller's to push (P5).
    pub(super) unsafe fn push(&self, wait: NonNull<Queued>) -> bool {
        // SAFETY: ours until it is pushed.
        let pushed = unsafe { wait.as_ref() };
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut top = self.top.load(Relaxed, Site::QueuedPushLoad);
        loop {
            let len = (top.addr() & LEN) + 1;
            // SAFETY: not pushed yet, so ours (P1).
            unsafe { pushed.below.set(top.map_addr(|addr| addr & !LEN)) };
            let new = wait.as_ptr().map_addr(|addr| addr | len.min(LEN));
            // Release: publishes the wait, and its count (P2); meets the Acquire
            // in `take`. Acquire: shows the role of who took the stack before
            // (P7); meets the Release in `take`. On failure Relaxed.
            let swapped =
                self.top
                    .compare_exchange_weak(top, new, AcqRel, Relaxed, Site::QueuedPush);
            match swapped {
                Ok(_) => return len >= limits::PLACE_REQUESTS,
                Err(now) => top = now,
            }
        }
    }

    /// Takes all; the newest.
    pub(super) fn take(&self) -> *mut Queued {
        // AcqRel: meets the same in `push`.
        let top = self.top.swap(null_mut(), AcqRel, Site::QueuedTake);
        top.map_addr(|addr| addr & !LEN)
    }
}
