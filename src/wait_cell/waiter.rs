//! One registered wait: a waker in a lane.
//!
//! The waker of the first poll lies in the waiter as it is: it is published by
//! the push, and costs nothing more. A poll with another waker puts that one in
//! an [`AtomicWaker`], and says so; it is wrapped, so that no user's code runs
//! while the slot is being written.
//!
//! Who has which waker (W2): the first belongs to the owner once `OFF` or
//! `REPLACED` is set before `FIRED`, and to the canceller once `FIRED` is set
//! before both. The canceller uses the slot only if it fires after `REPLACED`
//! and before `OFF`; what it leaves there is the owner's to drop.

use super::slot::Latest;
use super::{CLAIMED, FIRED, Kind, Listener, OFF, RELEASED, REPLACED, UNLINKED};
use crate::list;
use crate::sync::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::sync::{AtomicWaker, Cell, Site, memory};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Wake, Waker};

/// One registered wait.
#[repr(C)]
pub(crate) struct Waiter {
    listener: Listener,
    /// Written before the push, never after. Whose it is says W2; it is moved
    /// out by whoever that is, and not dropped with the waiter.
    first: ManuallyDrop<Waker>,
    /// The owner's: what it put into the slot last, if anything.
    latest: Cell<Option<Latest>>,
    /// What came after. Not dropped with the waiter either.
    slot: ManuallyDrop<AtomicWaker>,
}

/// The wakers that a poll has replaced: the first one, and one in the slot.
#[must_use]
pub(crate) struct Replaced(
    #[expect(dead_code, reason = "held to be dropped")] Option<Waker>,
    #[expect(dead_code, reason = "held to be dropped")] Option<Waker>,
);

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
            listener: Listener::new(Kind::Waiter, 0),
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
        let before = self
            .listener
            .fate
            .fetch_add(REPLACED, Acquire, Site::FateReplace);
        // SAFETY: replaced before it was fired: the first is ours (W2).
        let first = (before & FIRED == 0).then(|| unsafe { self.take_first() });
        Replaced(first, old)
    }

    /// Whether its wake has come, or is about to: what came before is visible.
    pub(crate) fn has_fired(&self) -> bool {
        // Acquire: meets the Release in `fire` and `fire_replaced`.
        self.listener.fate.load(Acquire, Site::FateFired) & FIRED != 0
    }

    /// The owner gives up. What it has to drop once the waiter is buried.
    ///
    /// # Safety
    ///
    /// Called once, by the owner.
    #[inline]
    pub(crate) unsafe fn give_up(&self) -> Leftover {
        // Relaxed: decides against `fire` by its place in the order of `fate`.
        let before = self.listener.fate.fetch_add(OFF, Relaxed, Site::FateOff);
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

    /// Takes the waker to wake, unless the owner gave up before, and lets the
    /// waiter go.
    ///
    /// # Safety
    ///
    /// The caller claimed it, and does not use it again.
    #[inline]
    pub(super) unsafe fn fire(at: NonNull<Waiter>) -> Option<Waker> {
        // SAFETY: W3: it is not freed before RELEASED.
        let waiter = unsafe { at.as_ref() };
        let first: *const Waker = &*waiter.first;
        // The bytes only: whose they are is decided below, after which the
        // waiter may be gone.
        // SAFETY: nobody writes them after the push.
        let first = unsafe { first.cast::<MaybeUninit<Waker>>().read() };
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut fate = waiter.listener.fate.load(Relaxed, Site::FateFireLoad);
        while fate & (REPLACED | OFF) != REPLACED {
            // Release: the node is done, as a poll that replaces its waker too
            // late must see; meets the Acquire in `register`. And with it the
            // last use of a waiter that `unlinked` frees, or Acquire: should
            // that be us. On failure Relaxed.
            let swapped = waiter.listener.fate.compare_exchange_weak(
                fate,
                fate | FIRED | RELEASED,
                AcqRel,
                Relaxed,
                Site::FateFire,
            );
            match swapped {
                Ok(_) => {
                    if fate & UNLINKED != 0 {
                        // SAFETY: unlinked, and off the chain (W3).
                        unsafe { memory::free(at) };
                    }
                    // SAFETY: fired before it was given up or replaced: it is
                    // ours (W2).
                    return (fate & OFF == 0).then(|| unsafe { first.assume_init() });
                }
                Err(now) => fate = now,
            }
        }
        // SAFETY: by the caller.
        unsafe { Self::fire_replaced(at) }
    }

    /// The same if the waker is in the slot.
    ///
    /// # Safety
    ///
    /// As `fire`.
    #[cold]
    unsafe fn fire_replaced(at: NonNull<Waiter>) -> Option<Waker> {
        // SAFETY: W3: it is not freed before RELEASED.
        let waiter = unsafe { at.as_ref() };
        // Release: as in `fire`, to a poll that asks whether it has fired; meets
        // the Acquire in `has_fired`. It decides against `give_up` by its place in
        // the order of `fate`; a poll that replaces again finds the slot empty.
        let before = waiter
            .listener
            .fate
            .fetch_add(FIRED, Release, Site::FateFireSlot);
        let waker = (before & OFF == 0).then(|| waiter.slot.take()).flatten();
        // AcqRel: meets the same in `unlinked`.
        let before = waiter
            .listener
            .fate
            .fetch_add(RELEASED, AcqRel, Site::FateReleased);
        if before & UNLINKED != 0 {
            // SAFETY: unlinked, and off the chain (W3).
            unsafe { memory::free(at) };
        }
        waker
    }

    /// The lane lets the waiter go.
    ///
    /// # Safety
    ///
    /// The caller may free what the lane alone holds (L6).
    pub(super) unsafe fn unlinked(at: NonNull<Waiter>) {
        // SAFETY: it is freed here at the earliest.
        let waiter = unsafe { at.as_ref() };
        // Relaxed: after OFF, which came here with the burial, there is no
        // claim that this could miss (W1).
        if waiter.listener.fate.load(Relaxed, Site::FateFree) & CLAIMED != 0 {
            // AcqRel: the later of the two frees, after all the other did;
            // meets the same in `fire` and `fire_replaced`.
            let before = waiter
                .listener
                .fate
                .fetch_add(UNLINKED, AcqRel, Site::FateUnlinked);
            if before & RELEASED == 0 {
                return;
            }
        }
        // SAFETY: unlinked, and not on a chain (W3).
        unsafe { memory::free(at) };
    }
}
