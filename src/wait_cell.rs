//! One registered wait: a waker in a lane, and the word that decides its fate.
//!
//! # How it works
//!
//! A future that waits owns one [`Waiter`], linked in the wait lane of its
//! node. The thread that wins a cancel *claims* every waiter it finds, on a
//! chain of its own, and *fires* the chain when everything is marked. The
//! future may give up at any moment. One word decides between them.
//!
//! | `fate` | meaning |
//! |---|---|
//! | 0 | waiting |
//! | `CLAIMED` | on the chain of the canceller, which will fire it |
//! | `OFF` | given up before it fired: the waker is the owner's |
//! | `FIRED` | fired before it was given up: the waker is the canceller's |
//! | `OFF` and `FIRED` | whichever came first has the waker |
//! | `UNLINKED` | the lane no longer points here |
//! | `RELEASED` | the canceller no longer points here |
//!
//! # Invariants
//!
//! - **W1** `CLAIMED` is set only on a word that is 0: after `OFF` there is no
//!   claim.
//! - **W2** Of `OFF` and `FIRED`, the one set first owns the waker. The other
//!   side leaves it alone, except that a late `OFF` takes out what a poll has
//!   put there since.
//! - **W3** A waiter that was never claimed is freed when it is unlinked. One
//!   that was is freed by the later of `UNLINKED` and `RELEASED`.
//!
//! # Orderings
//!
//! All decisions are read-modify-writes of `fate`, so that they have one order.
//! They are AcqRel: each side sees what the other did before it.
//!
//! Models: `wait_vs_cancel`, `wait_drop_vs_cancel`, `wait_repoll_vs_cancel`.

use crate::list::{self, Link, Linked};
use crate::sync::Ordering::{AcqRel, Acquire, Relaxed};
use crate::sync::{AtomicU32, AtomicWaker, Cell, Site, memory};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::task::Waker;

const CLAIMED: u32 = 1;
const OFF: u32 = 2;
const FIRED: u32 = 4;
const UNLINKED: u32 = 8;
const RELEASED: u32 = 16;

/// One registered wait.
#[repr(C, align(16))]
pub(crate) struct Waiter {
    link: Link,
    fate: AtomicU32,
    /// The next on the canceller's chain.
    claim_next: Cell<*mut Waiter>,
    /// Whose it is says W2. Its memory is freed without dropping it.
    waker: ManuallyDrop<AtomicWaker>,
}

// SAFETY: `link` is the first field, and the layout is C's.
unsafe impl Linked for Waiter {
    unsafe fn only_its_lane_points_here(_: NonNull<Link>) -> bool {
        // A canceller's chain may, but that has its own count (W3).
        true
    }

    unsafe fn free(link: NonNull<Link>) {
        let at = link.cast::<Waiter>();
        // SAFETY: it is freed here at the earliest.
        let waiter = unsafe { at.as_ref() };
        // Acquire: if it was claimed, the claim comes first; meets the AcqRel
        // in `claim`. A plain load, as after OFF there is no claim (W1).
        if waiter.fate.load(Acquire, Site::FateFree) & CLAIMED != 0 {
            // AcqRel: the later of the two frees, after all the other did;
            // meets the same in `release_claimed`.
            let before = waiter.fate.fetch_or(UNLINKED, AcqRel, Site::FateUnlinked);
            if before & RELEASED == 0 {
                return;
            }
        }
        // SAFETY: unlinked, and not on a chain (W3).
        unsafe { memory::free(at) };
    }
}

/// What the owner has to drop, outside everything.
pub(crate) enum Leftover {
    /// The slot with whatever is in it, never seen by the canceller.
    Slot { _slot: AtomicWaker },
    /// What a late poll put there.
    Waker { _waker: Option<Waker> },
}

impl Waiter {
    /// A waiter with `waker`, whose clone may panic: then there is none.
    pub(crate) fn new(waker: &Waker) -> NonNull<Waiter> {
        let slot = AtomicWaker::new();
        slot.register(waker);
        list::alloc(Waiter {
            link: Link::new(),
            fate: AtomicU32::new(0),
            claim_next: Cell::new(std::ptr::null_mut()),
            waker: ManuallyDrop::new(slot),
        })
    }

    /// Frees a waiter that was not linked after all.
    ///
    /// # Safety
    ///
    /// It was never linked, and is not used again.
    pub(crate) unsafe fn free_unlinked(at: NonNull<Waiter>) {
        // SAFETY: still valid here.
        let slot: *const AtomicWaker = unsafe { &*at.as_ref().waker };
        // SAFETY: the slot is ours alone, and never dropped in place.
        let slot = unsafe { slot.read() };
        // SAFETY: by the caller.
        unsafe { memory::free(at) };
        drop(slot);
    }

    /// From now on `waker` is woken instead.
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// The owner gives up. What it has to drop once the waiter is buried.
    ///
    /// # Safety
    ///
    /// Called once, by the owner.
    pub(crate) unsafe fn give_up(&self) -> Leftover {
        // AcqRel: we see whether the canceller was first, and it sees that we
        // were; meets the same in `fire`.
        let before = self.fate.fetch_or(OFF, AcqRel, Site::FateOff);
        if before & FIRED == 0 {
            let slot: *const AtomicWaker = &*self.waker;
            // SAFETY: the slot is ours alone (W2), and never dropped in place.
            Leftover::Slot {
                _slot: unsafe { slot.read() },
            }
        } else {
            Leftover::Waker {
                _waker: self.waker.take(),
            }
        }
    }

    /// The canceller takes the waiter on its chain, in front of `next`.
    ///
    /// # Safety
    ///
    /// The caller is the one canceller that claims from this lane, and may
    /// follow its links (L7).
    pub(crate) unsafe fn claim(&self, next: *mut Waiter) -> bool {
        // Release: orders nothing of ours but keeps with W3's count; Acquire:
        // shows the slot. Meets `give_up` and `free`. On failure Relaxed: the
        // owner has given up, nothing of it is used.
        let claimed = self
            .fate
            .compare_exchange(0, CLAIMED, AcqRel, Relaxed, Site::FateClaim)
            .is_ok();
        if claimed {
            // SAFETY: only the one canceller uses it.
            unsafe { self.claim_next.set(next) };
        }
        claimed
    }

    /// The next on the chain.
    ///
    /// # Safety
    ///
    /// The caller claimed this waiter and has not released it.
    pub(crate) unsafe fn claim_next(&self) -> *mut Waiter {
        // SAFETY: only the canceller uses it.
        unsafe { self.claim_next.get() }
    }

    /// Links the chain on.
    ///
    /// # Safety
    ///
    /// As [`claim_next`](Self::claim_next).
    pub(crate) unsafe fn set_claim_next(&self, next: *mut Waiter) {
        // SAFETY: only the canceller uses it.
        unsafe { self.claim_next.set(next) };
    }

    /// Takes the waker to wake, unless the owner gave up before.
    pub(crate) fn fire(&self) -> Option<Waker> {
        // AcqRel: meets the same in `give_up`.
        if self.fate.fetch_or(FIRED, AcqRel, Site::FateFire) & OFF == 0 {
            self.waker.take()
        } else {
            None
        }
    }

    /// The canceller is done with a claimed waiter.
    ///
    /// # Safety
    ///
    /// The caller claimed it, and does not use it again.
    pub(crate) unsafe fn release_claimed(at: NonNull<Waiter>) {
        // SAFETY: W3: it is not freed before RELEASED.
        let waiter = unsafe { at.as_ref() };
        // AcqRel: meets the same in `free`.
        let before = waiter.fate.fetch_or(RELEASED, AcqRel, Site::FateReleased);
        if before & UNLINKED != 0 {
            // SAFETY: unlinked, and off the chain (W3).
            unsafe { memory::free(at) };
        }
    }
}
