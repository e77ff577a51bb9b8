//! A waker slot with the checks of memory.

use super::engine::{WakerSlot, schedule_point};
use super::memory;
use std::task::Waker;

pub(crate) struct AtomicWaker(WakerSlot);

impl AtomicWaker {
    pub(crate) fn new() -> Self {
        Self(WakerSlot::new())
    }

    pub(crate) fn register(&self, waker: &Waker) {
        schedule_point();
        memory::touch(std::ptr::from_ref(self).addr());
        self.0.register(waker);
    }

    pub(crate) fn take(&self) -> Option<Waker> {
        schedule_point();
        memory::touch(std::ptr::from_ref(self).addr());
        self.0.take()
    }
}
