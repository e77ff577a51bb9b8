//! A slot for the waker of one task, which the task replaces and somebody else
//! may take.
//!
//! What lies in the slot is a wrapper, whose clone runs no user's code: the slot
//! makes one while it is being written.

use crate::sync::{AtomicWaker, Cell};
use std::sync::Arc;
use std::task::{RawWakerVTable, Wake, Waker};

/// The slot of one task.
pub(crate) struct WakerSlot {
    slot: AtomicWaker,
    /// The task's: what it put into the slot last, if anything.
    latest: Cell<Option<Latest>>,
}

impl WakerSlot {
    pub(crate) fn new() -> WakerSlot {
        WakerSlot {
            slot: AtomicWaker::new(),
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
        // The user's code runs here, before the slot is touched, but for a wake
        // that the slot has to do itself, as a take is under way.
        let wrapped = Wrapped::around(waker.clone());
        let old = self.slot.take();
        self.slot.register(&wrapped);
        // SAFETY: the task's alone.
        unsafe { self.latest.set(Some(Latest::of(waker))) };
        old
    }

    /// Takes what is in the slot, to wake it or to drop it.
    pub(crate) fn take(&self) -> Option<Waker> {
        self.slot.take()
    }
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

/// A waker whose clone runs no user's code, as the slot makes one.
pub(super) struct Wrapped(Waker);

impl Wrapped {
    pub(super) fn around(waker: Waker) -> Waker {
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
