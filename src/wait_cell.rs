//! One registered wait: a waker in a lane, and the word that decides its fate.
//!
//! # How it works
//!
//! A future that waits owns one [`Waiter`], linked in the wait lane of its
//! node. The thread that wins a cancel *claims* every waiter it finds, on a
//! chain of its own, and *fires* the chain when everything is marked. The
//! future may give up at any moment. One word decides between them.
//!
//! The waker of the first poll lies in the waiter as it is: it is published by
//! the push, and costs nothing more. A poll with another waker puts that one in
//! an [`AtomicWaker`], and says so; it is wrapped, so that no user's code runs
//! while the slot is being written.
//!
//! | `fate` | meaning |
//! |---|---|
//! | 0 | waiting |
//! | `REPLACED` | the waker to wake is in the slot |
//! | `CLAIMED` | on the chain of the canceller, which will fire it |
//! | `OFF` | the owner gave up |
//! | `FIRED` | the canceller took the waker |
//! | `UNLINKED` | the lane no longer points here |
//! | `RELEASED` | the canceller no longer points here |
//!
//! # Invariants
//!
//! - **W1** `CLAIMED` is set only where `OFF` is not: after `OFF` there is no
//!   claim.
//! - **W2** The first waker belongs to the owner once `OFF` or `REPLACED` is
//!   set before `FIRED`, and to the canceller once `FIRED` is set before both.
//!   The canceller uses the slot only if it fires after `REPLACED` and before
//!   `OFF`; what it leaves there is the owner's to drop.
//! - **W3** A waiter that was never claimed is freed when it is unlinked. One
//!   that was is freed by the later of `UNLINKED` and `RELEASED`.
//!
//! # Orderings
//!
//! All decisions are read-modify-writes of `fate`, so that they have one order,
//! and that order is all that most of them need: the first waker came to the
//! canceller with the push, the slot brings its own orderings. FIRED releases
//! that the node is done to a poll that comes too late with another waker. The
//! two that decide who frees (W3) are AcqRel, so that the one who does comes
//! after all the other did.
//!
//! Models: `wait_vs_cancel`, `wait_drop_vs_cancel`, `wait_repoll_vs_cancel`.

use crate::list::{self, Link, Linked};
use crate::sync::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::sync::{AtomicU32, AtomicWaker, Cell, Site, memory};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{RawWakerVTable, Wake, Waker};

const CLAIMED: u32 = 1;
const REPLACED: u32 = 2;
const OFF: u32 = 4;
const FIRED: u32 = 8;
const UNLINKED: u32 = 16;
const RELEASED: u32 = 32;

/// One registered wait.
#[repr(C)]
pub(crate) struct Waiter {
    link: Link,
    fate: AtomicU32,
    /// The next on the canceller's chain.
    claim_next: Cell<*mut Waiter>,
    /// Written before the push, never after. Whose it is says W2; it is moved
    /// out by whoever that is, and not dropped with the waiter.
    first: ManuallyDrop<Waker>,
    /// The owner's: what it put into the slot last, if anything.
    latest: Cell<Option<Latest>>,
    /// What came after. Not dropped with the waiter either.
    slot: ManuallyDrop<AtomicWaker>,
}

// A canceller's chain may point to it too, but that has its own count (W3).
// SAFETY: `link` is the first field, and the layout is C's.
unsafe impl Linked for Waiter {
    unsafe fn free(link: NonNull<Link>) {
        let at = link.cast::<Waiter>();
        // SAFETY: it is freed here at the earliest.
        let waiter = unsafe { at.as_ref() };
        // Relaxed: after OFF, which came here with the burial, there is no
        // claim that this could miss (W1).
        if waiter.fate.load(Relaxed, Site::FateFree) & CLAIMED != 0 {
            // AcqRel: the later of the two frees, after all the other did;
            // meets the same in `release_claimed`.
            let before = waiter.fate.fetch_add(UNLINKED, AcqRel, Site::FateUnlinked);
            if before & RELEASED == 0 {
                return;
            }
        }
        // SAFETY: unlinked, and not on a chain (W3).
        unsafe { memory::free(at) };
    }
}

/// The wakers that a poll has replaced: the first one, and one in the slot.
#[must_use]
pub(crate) struct Replaced(
    #[expect(dead_code, reason = "held to be dropped")] Option<Waker>,
    #[expect(dead_code, reason = "held to be dropped")] Option<Waker>,
);

/// Which waker an owner put into the slot last.
#[derive(Clone, Copy)]
struct Latest {
    data: *const (),
    vtable: &'static RawWakerVTable,
}

impl Latest {
    fn of(waker: &Waker) -> Self {
        Self {
            data: waker.data(),
            vtable: waker.vtable(),
        }
    }

    fn is(&self, waker: &Waker) -> bool {
        self.data == waker.data() && std::ptr::eq(self.vtable, waker.vtable())
    }
}

/// A waker whose clone runs no user's code, as the slot makes one.
struct Wrapped(Waker);

impl Wrapped {
    fn around(waker: Waker) -> Waker {
        Waker::from(Arc::new(Self(waker)))
    }
}

impl Wake for Wrapped {
    fn wake(self: Arc<Self>) {
        match Arc::try_unwrap(self) {
            Ok(Self(waker)) => waker.wake(),
            Err(shared) => shared.0.wake_by_ref(),
        }
    }
}

/// The wakers that an owner has to drop, outside everything.
pub(crate) enum Leftover {
    /// The waker of the first poll.
    First { _waker: Waker },
    /// The slot with whatever is in it.
    Slot { _slot: AtomicWaker },
    /// What a poll put into the slot after the canceller had looked.
    Late { _waker: Option<Waker> },
}

impl Waiter {
    /// A waiter with `waker`, whose clone may panic: then there is none.
    #[inline]
    pub(crate) fn new(waker: &Waker) -> NonNull<Waiter> {
        let first = ManuallyDrop::new(waker.clone());
        list::alloc(Waiter {
            link: Link::new(),
            fate: AtomicU32::new(0),
            claim_next: Cell::new(std::ptr::null_mut()),
            first,
            latest: Cell::new(None),
            slot: ManuallyDrop::new(AtomicWaker::new()),
        })
    }

    /// Frees a waiter that was not linked after all.
    ///
    /// # Safety
    ///
    /// It was never linked, and is not used again.
    pub(crate) unsafe fn free_unlinked(at: NonNull<Waiter>) {
        // SAFETY: still valid here.
        let waiter = unsafe { at.as_ref() };
        // SAFETY: it is ours alone.
        let first = unsafe { waiter.take_first() };
        // SAFETY: by the caller.
        unsafe { memory::free(at) };
        drop(first);
    }

    /// # Safety
    ///
    /// The first waker is the caller's (W2), and is taken once.
    unsafe fn take_first(&self) -> Waker {
        let first: *const ManuallyDrop<Waker> = &self.first;
        // SAFETY: by the caller.
        ManuallyDrop::into_inner(unsafe { first.read() })
    }

    /// From now on `waker` is woken instead. Called by the owner. What was
    /// replaced is for the caller to drop.
    ///
    /// # Safety
    ///
    /// Called by the owner only.
    pub(crate) unsafe fn register(&self, waker: &Waker) -> Replaced {
        // SAFETY: only the owner uses it.
        let latest = unsafe { self.latest.get() };
        let same = match latest {
            // A waker that the canceller has moved out is still the same
            // bytes, and they are only compared.
            None => self.first.will_wake(waker),
            Some(latest) => latest.is(waker),
        };
        if same {
            return Replaced(None, None);
        }
        // All of the user's code runs here, before the slot is touched.
        let wrapped = Wrapped::around(waker.clone());
        // A canceller that finds the slot empty now was here before our
        // `register`, and so the caller sees the node done.
        let old = self.slot.take();
        self.slot.register(&wrapped);
        // SAFETY: only the owner uses it.
        unsafe { self.latest.set(Some(Latest::of(waker))) };
        if latest.is_some() {
            return Replaced(None, old);
        }
        // Acquire: if it has fired, nobody wakes the new waker, so the look at
        // the state that follows must see the node done; meets the Release in
        // `fire`.
        let before = self.fate.fetch_add(REPLACED, Acquire, Site::FateReplace);
        // SAFETY: replaced before it was fired: the first is ours (W2).
        let first = (before & FIRED == 0).then(|| unsafe { self.take_first() });
        Replaced(first, old)
    }

    /// The owner gives up. What it has to drop once the waiter is buried.
    ///
    /// # Safety
    ///
    /// Called once, by the owner.
    #[inline]
    pub(crate) unsafe fn give_up(&self) -> Leftover {
        // Relaxed: decides against `fire` by its place in the order of `fate`.
        let before = self.fate.fetch_add(OFF, Relaxed, Site::FateOff);
        if before & (FIRED | REPLACED) == 0 {
            // SAFETY: neither replaced nor fired: it is still ours (W2).
            let waker = unsafe { self.take_first() };
            Leftover::First { _waker: waker }
        } else if before & FIRED == 0 {
            let slot: *const AtomicWaker = &*self.slot;
            // SAFETY: given up before it was fired: the canceller leaves the
            // slot alone, and nobody drops it in place.
            let slot = unsafe { slot.read() };
            Leftover::Slot { _slot: slot }
        } else {
            Leftover::Late {
                _waker: self.slot.take(),
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
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut fate = self.fate.load(Relaxed, Site::FateClaimLoad);
        loop {
            if fate & OFF != 0 {
                return false;
            }
            // Relaxed: decides against `give_up` by its place in the order of
            // `fate`. On failure Relaxed: looked at again.
            let swapped =
                self.fate
                    .compare_exchange(fate, fate | CLAIMED, Relaxed, Relaxed, Site::FateClaim);
            match swapped {
                Ok(_) => break,
                Err(now) => fate = now,
            }
        }
        // SAFETY: only the one canceller uses it.
        unsafe { self.claim_next.set(next) };
        true
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
        // Release: the node is done, as a poll that replaces its waker too late
        // must see; meets the Acquire in `register`.
        let before = self.fate.fetch_add(FIRED, Release, Site::FateFire);
        if before & OFF != 0 {
            None
        } else if before & REPLACED != 0 {
            self.slot.take()
        } else {
            // SAFETY: fired before it was given up or replaced: it is ours
            // (W2).
            Some(unsafe { self.take_first() })
        }
    }

    /// Whether somebody waits here still, for those who count.
    pub(crate) fn is_waiting(&self) -> bool {
        // Relaxed: a count of what changes meanwhile.
        self.fate.load(Relaxed, Site::FateCount) & (OFF | FIRED) == 0
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
        let before = waiter.fate.fetch_add(RELEASED, AcqRel, Site::FateReleased);
        if before & UNLINKED != 0 {
            // SAFETY: unlinked, and off the chain (W3).
            unsafe { memory::free(at) };
        }
    }
}
