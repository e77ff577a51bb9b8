//! Plain memory whose accesses loom orders.

use super::memory;

pub(crate) struct Cell<T>(loom::cell::UnsafeCell<T>);

impl<T: Copy> Cell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::cell::UnsafeCell::new(value))
    }

    /// # Safety
    ///
    /// No other thread writes while this reads.
    pub(crate) unsafe fn get(&self) -> T {
        memory::touch(std::ptr::from_ref(self).addr());
        // SAFETY: the caller keeps writers away, and loom checks it.
        self.0.with(|value| unsafe { *value })
    }

    /// # Safety
    ///
    /// No other thread reads or writes meanwhile.
    pub(crate) unsafe fn set(&self, value: T) {
        memory::touch(std::ptr::from_ref(self).addr());
        // SAFETY: the caller keeps everybody else away, and loom checks it.
        self.0.with_mut(|at| unsafe { *at = value });
    }
}

/// A place that one thread writes before another reads it.
pub(crate) struct Witness(loom::cell::UnsafeCell<()>);

// SAFETY: it holds nothing; loom's cell is there to fail unordered uses.
unsafe impl Sync for Witness {}

impl Witness {
    pub(crate) fn new() -> Self {
        Self(loom::cell::UnsafeCell::new(()))
    }

    pub(crate) fn set(&self) {
        self.0.with_mut(|_| ());
    }

    pub(crate) fn check(&self) {
        self.0.with(|_| ());
    }
}
