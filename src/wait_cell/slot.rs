//! A slot for the waker of one task, which the task replaces and somebody else
//! may take.
//!
//! # How it works
//!
//! The slot is a pointer to a box with the waker, or null. The task swaps a new
//! one in, anybody swaps null in; whoever gets a box out has it.
//!
//! # Invariants
//!
//! - **H1** A box is written before it is put into the slot, and belongs to whoever
//!   swaps it out.
//! - **H2** The slot is dropped empty: its task takes the last one out.
//!
//! # Orderings
//!
//! Both swaps release and acquire: the box to whoever gets it, and what was done
//! before a take to the task that puts a waker in after it.
//!
//! Progress: wait-free.
//!
//! Models: `abort_vs_poll`, `abort_vs_repoll`, `abort_vs_end`.

use crate::sync::Ordering::AcqRel;
use crate::sync::{AtomicPtr, Cell, Site, Turn, kept, memory};
use std::ptr::{NonNull, null_mut};
use std::task::{RawWakerVTable, Waker};

/// The slot of one task.
pub(crate) struct WakerSlot {
    held: AtomicPtr<Held>,
    /// The task's: what it put into the slot last, if anything.
    latest: Cell<Option<Latest>>,
}

/// What lies in the slot.
struct Held(Turn<Option<Waker>>);

kept!(Held);

impl WakerSlot {
    pub(crate) fn new() -> WakerSlot {
        WakerSlot {
            held: AtomicPtr::new(null_mut()),
            latest: Cell::new(None),
        }
    }

    /// Puts `waker` into the slot, if it is not there already. What was there is
    /// for the caller to drop.
    ///
    /// Who takes from the slot before that is seen by what the caller reads
    /// afterwards.
    ///
    /// # Safety
    ///
    /// Called by the task only.
    pub(crate) unsafe fn register(&self, waker: &Waker) -> Option<Waker> {
        // SAFETY: the task's alone.
        let latest = unsafe { self.latest.get() };
        if latest.is_some_and(|latest| latest.is(waker)) {
            return None;
        }
        // All of the user's code runs here, before the slot is touched.
        let held = memory::alloc_kept(Held(Turn::new(Some(waker.clone()))));
        // SAFETY: the task's alone.
        unsafe { self.latest.set(Some(Latest::of(waker))) };
        // Release: the box; meets the Acquire in `take`. Acquire: what was done
        // before a take that came first; meets the Release there.
        let old = self.held.swap(held.as_ptr(), AcqRel, Site::SlotPut);
        // SAFETY: swapped out just now.
        unsafe { open(old) }
    }

    /// Takes what is in the slot, to wake it or to drop it.
    pub(crate) fn take(&self) -> Option<Waker> {
        // Acquire: the box; meets the Release in `register`. Release: what was
        // done before, to a `register` that comes too late; meets the Acquire there.
        let old = self.held.swap(null_mut(), AcqRel, Site::SlotTake);
        // SAFETY: swapped out just now.
        unsafe { open(old) }
    }

    /// The same for the task itself, which puts nothing in any more (H2).
    ///
    /// # Safety
    ///
    /// Called by the task only.
    pub(crate) unsafe fn take_last(&self) -> Option<Waker> {
        // SAFETY: the task's alone.
        let latest = unsafe { self.latest.get() };
        latest.and_then(|_| self.take())
    }
}

/// The waker in a box, which is freed.
///
/// # Safety
///
/// `held` is null, or was swapped out by the caller (H1).
#[inline]
unsafe fn open(held: *mut Held) -> Option<Waker> {
    let held = NonNull::new(held)?;
    // SAFETY: the caller's, and written before it was put in (H1).
    let place = unsafe { memory::look(held) };
    // SAFETY: the same.
    let waker = unsafe { place.0.take() }.take();
    // SAFETY: the same; nobody has it any more.
    unsafe { memory::free_kept(held) };
    waker
}

/// Which waker an owner put into the slot last.
#[derive(Clone, Copy)]
pub(super) struct Latest {
    data: *const (),
    vtable: &'static RawWakerVTable,
}

impl Latest {
    pub(super) fn of(waker: &Waker) -> Self {
        Self {
            data: waker.data(),
            vtable: waker.vtable(),
        }
    }

    pub(super) fn is(&self, waker: &Waker) -> bool {
        self.data == waker.data() && std::ptr::eq(self.vtable, waker.vtable())
    }
}
