//! One who waits for a place: a waker, and one word that decides between its
//! owner and who hands places out. Its states are listed at the top of `places`.

use crate::sync::Ordering::{AcqRel, Relaxed, Release};
use crate::sync::{AtomicU32, Cell, Site, memory};
use std::mem::ManuallyDrop;
use std::ptr::{NonNull, null_mut};
use std::task::{RawWakerVTable, Waker};

const STACKED: u32 = 1;
const OFF: u32 = 2;
const GRANTED: u32 = 4;
const EDIT: u32 = 8;
const LEFT: u32 = 16;

pub(super) struct Queued {
    fate: AtomicU32,
    /// The next on the stack.
    pub(super) below: Cell<*mut Queued>,
    /// The neighbours in the queue.
    pub(super) prev: Cell<*mut Queued>,
    /// On a chain the next one there.
    pub(super) next: Cell<*mut Queued>,
    /// Whether it is in the queue.
    pub(super) linked: Cell<bool>,
    /// Written by the owner only. Who may make a waker of it, once, says P6.
    waker: Cell<Parts>,
}

/// A waker that is not dropped: its drop is the user's code.
#[derive(Clone, Copy)]
struct Parts {
    data: *const (),
    vtable: &'static RawWakerVTable,
}

impl Parts {
    fn of(waker: &Waker) -> Self {
        Self {
            data: waker.data(),
            vtable: waker.vtable(),
        }
    }

    fn from(waker: Waker) -> Self {
        Self::of(&ManuallyDrop::new(waker))
    }

    /// # Safety
    ///
    /// They are the caller's (P6), and not used again.
    unsafe fn into_waker(self) -> Waker {
        // SAFETY: by the caller: they were a waker, which nobody dropped.
        unsafe { Waker::new(self.data, self.vtable) }
    }
}

/// What a grant came to.
pub(super) enum Granted {
    /// It has a place, and is to be woken.
    Wake,
    /// It has a place, and its owner is just looking.
    Seen,
    /// Its owner is gone.
    Off,
}

/// What a poll with another waker came to.
pub(super) struct Replaced {
    /// A place came first.
    pub(super) granted: bool,
    /// To be dropped, last.
    pub(super) wakers: [Option<Waker>; 2],
}

/// What giving up came to.
pub(super) enum GivenUp {
    /// A place had come, and is now the caller's.
    Granted,
    /// It was off first.
    Off {
        waker: Waker,
        /// The caller is to push it (P5).
        push: bool,
    },
}

impl Queued {
    /// STACKED: it is the caller's to push.
    pub(super) fn new(waker: Waker) -> NonNull<Queued> {
        memory::alloc(Queued {
            fate: AtomicU32::new(STACKED),
            below: Cell::new(null_mut()),
            prev: Cell::new(null_mut()),
            next: Cell::new(null_mut()),
            linked: Cell::new(false),
            waker: Cell::new(Parts::from(waker)),
        })
    }

    /// Frees the memory. Its waker is somebody's.
    ///
    /// # Safety
    ///
    /// Nobody uses it any more (P5).
    pub(super) unsafe fn free(at: NonNull<Queued>) {
        // SAFETY: by the caller.
        unsafe { memory::free(at) };
    }

    /// For the owner: whether it has a place. To be followed by `finish`.
    pub(super) fn has_place(&self) -> bool {
        // Relaxed: what comes with the place is seen in `finish`.
        self.fate.load(Relaxed, Site::QueuedLook) & GRANTED != 0
    }

    /// For the owner: whether this waker is the one to be woken.
    ///
    /// # Safety
    ///
    /// Called by the owner.
    pub(super) unsafe fn would_wake(&self, waker: &Waker) -> bool {
        // One that the chain has woken and dropped is still the same bytes, and
        // they are only compared.
        // SAFETY: only the owner writes it.
        let own = unsafe { self.waker.get() };
        own.data == waker.data() && std::ptr::eq(own.vtable, waker.vtable())
    }

    /// For the owner: another waker is to be woken.
    ///
    /// # Safety
    ///
    /// Called by the owner.
    pub(super) unsafe fn replace(&self, waker: Waker) -> Replaced {
        // Relaxed: who grants and finds it leaves the waker to us, by the order
        // of `fate` (P6); what is there is our own.
        let before = self.fate.fetch_or(EDIT, Relaxed, Site::QueuedEdit);
        if before & GRANTED != 0 {
            return Replaced {
                granted: true,
                wakers: [Some(waker), None],
            };
        }
        // SAFETY: only the owner writes it.
        let old = unsafe { self.waker.get() };
        let new = Parts::from(waker);
        // SAFETY: EDIT came before GRANTED: nobody reads it (P6).
        unsafe { self.waker.set(new) };
        // Release: the new waker; meets the Acquire in `grant`.
        let before = self.fate.fetch_sub(EDIT, Release, Site::QueuedEdited);
        let granted = before & GRANTED != 0;
        Replaced {
            granted,
            wakers: [
                // SAFETY: nobody else has come to it, and now it is replaced.
                Some(unsafe { old.into_waker() }),
                // SAFETY: GRANTED came while EDIT was there: it is ours (P6).
                granted.then(|| unsafe { new.into_waker() }),
            ],
        }
    }

    /// The owner has seen that it has a place, and goes.
    ///
    /// # Safety
    ///
    /// It has a place, and its owner does not use it again.
    pub(super) unsafe fn finish(at: NonNull<Queued>) {
        // SAFETY: valid until OFF and LEFT are set (P5).
        let this = unsafe { at.as_ref() };
        // Acquire: what was done in the place; meets the Release in `grant`. And
        // what the chain did last, if we free. Release: what we did last; meets
        // the Acquire in `let_go`.
        let before = this.fate.fetch_or(OFF, AcqRel, Site::QueuedFinish);
        if before & LEFT != 0 {
            // SAFETY: ours alone now (P5).
            unsafe { Self::free(at) };
        }
    }

    /// The owner gives up.
    ///
    /// # Safety
    ///
    /// Called by the owner, which does not use it again, but to push it if it is
    /// to.
    pub(super) unsafe fn give_up(at: NonNull<Queued>) -> GivenUp {
        // SAFETY: valid until it is off.
        let this = unsafe { at.as_ref() };
        // SAFETY: only the owner writes it.
        let waker = unsafe { this.waker.get() };
        // Release: what we did last, to who frees it; meets the Acquire in
        // `taken` and `let_go`. Acquire: `below` is ours again, meets the Release
        // in `taken`; or what was done in the place, and by the chain, meets the
        // Release in `grant` and `let_go`.
        let before = this
            .fate
            .fetch_or(OFF | STACKED, AcqRel, Site::QueuedGiveUp);
        if before & GRANTED == 0 {
            return GivenUp::Off {
                // SAFETY: OFF came before GRANTED: it is ours (P6).
                waker: unsafe { waker.into_waker() },
                push: before & STACKED == 0,
            };
        }
        if before & LEFT != 0 {
            // SAFETY: ours alone now (P5).
            unsafe { Self::free(at) };
        }
        GivenUp::Granted
    }

    /// It was taken from the stack; true = it is off, and the caller's to free
    /// (P5).
    pub(super) fn taken(&self) -> bool {
        // Release: `below`, to the owner, who may push it again; meets the
        // Acquire in `give_up`. Acquire: what the owner did last; meets the
        // Release there.
        let before = self.fate.fetch_sub(STACKED, AcqRel, Site::QueuedTaken);
        before & OFF != 0
    }

    /// Hands it a place, unless its owner is gone.
    ///
    /// # Safety
    ///
    /// The caller has the role, and took it from the queue.
    pub(super) unsafe fn grant(at: NonNull<Queued>) -> Granted {
        // SAFETY: it was in the queue, so valid (P5).
        let this = unsafe { at.as_ref() };
        // Acquire: the waker; meets the Release in `replace`. Release: what was
        // done in the place; meets the Acquire in `finish` and `give_up`.
        let before = this.fate.fetch_or(GRANTED, AcqRel, Site::QueuedGrant);
        if before & OFF != 0 {
            Granted::Off
        } else if before & EDIT != 0 {
            // SAFETY: on no chain, and not used again.
            unsafe { Self::let_go(at) };
            Granted::Seen
        } else {
            Granted::Wake
        }
    }

    /// Takes the waker of one on a chain; true = it is to be woken, else its
    /// owner has gone, and it is only dropped.
    ///
    /// # Safety
    ///
    /// It was on a chain of the caller's, and is not used again.
    pub(super) unsafe fn into_waker(at: NonNull<Queued>) -> (Waker, bool) {
        // SAFETY: it is not LEFT, so valid (P5).
        let this = unsafe { at.as_ref() };
        // SAFETY: without EDIT nobody writes it (P6).
        let waker = unsafe { this.waker.get() };
        // SAFETY: by the caller.
        let there = unsafe { Self::let_go(at) };
        // SAFETY: on a chain, so it is the chain's (P6).
        (unsafe { waker.into_waker() }, there)
    }

    /// Who handed the place over goes; true = the owner is still there.
    ///
    /// # Safety
    ///
    /// It has a place, and the caller does not use it again.
    unsafe fn let_go(at: NonNull<Queued>) -> bool {
        // SAFETY: valid until OFF and LEFT are set (P5).
        let this = unsafe { at.as_ref() };
        // AcqRel: the later of the two frees, after all the other did; meets the
        // same in `finish` and `give_up`.
        let before = this.fate.fetch_or(LEFT, AcqRel, Site::QueuedLetGo);
        if before & OFF != 0 {
            // SAFETY: ours alone now (P5).
            unsafe { Self::free(at) };
        }
        before & OFF == 0
    }
}
