//! Loom's model of a waker slot.

use super::{memory, schedule_point};
use std::task::Waker;

pub(crate) struct AtomicWaker(loom::future::AtomicWaker);

impl AtomicWaker {
    pub(crate) fn new() -> Self {
        Self(loom::future::AtomicWaker::new())
    }

    pub(crate) fn register(&self, waker: &Waker) {
        schedule_point();
        memory::touch(std::ptr::from_ref(self).addr());
        self.0.register_by_ref(waker);
    }

    pub(crate) fn take(&self) -> Option<Waker> {
        schedule_point();
        memory::touch(std::ptr::from_ref(self).addr());
        self.0.take_waker()
    }
}
