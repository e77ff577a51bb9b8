//! Plain memory whose accesses the engine orders.

use super::engine::{self, AtomicUsize};
use super::memory;
use std::sync::atomic::Ordering;

pub(crate) struct Cell<T>(engine::UnsafeCell<T>);

impl<T: Copy> Cell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(engine::UnsafeCell::new(value))
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

/// Something that threads take turns with; loom checks the turns.
pub(crate) struct Turn<T> {
    turns: engine::UnsafeCell<()>,
    value: std::cell::UnsafeCell<T>,
}

impl<T> Turn<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            turns: engine::UnsafeCell::new(()),
            value: std::cell::UnsafeCell::new(value),
        }
    }

    /// # Safety
    ///
    /// The caller has the role, and no other reference that this gave.
    #[allow(clippy::mut_from_ref, reason = "the role keeps everybody else away")]
    pub(crate) unsafe fn take(&self) -> &mut T {
        self.turns.with_mut(|_| ());
        // SAFETY: by the caller.
        unsafe { &mut *self.value.get() }
    }
}

/// A place that one thread writes before another reads it.
pub(crate) struct Witness(engine::UnsafeCell<()>);

// SAFETY: it holds nothing; loom's cell is there to fail unordered uses.
unsafe impl Sync for Witness {}

impl Witness {
    pub(crate) fn new() -> Self {
        Self(engine::UnsafeCell::new(()))
    }

    pub(crate) fn set(&self) {
        self.0.with_mut(|_| ());
    }

    pub(crate) fn check(&self) {
        self.0.with(|_| ());
    }
}

/// What was done before one operation, and must be seen after another, however
/// many do either: a count that only an order keeps from being read too low.
pub(crate) struct Trace {
    count: AtomicUsize,
    /// What the operations have come to so far, outside what is explored.
    truth: std::sync::atomic::AtomicUsize,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self {
            count: AtomicUsize::new(0),
            truth: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    pub(crate) fn leave(&self) -> usize {
        self.count.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// No thread is switched between the operation and this.
    pub(crate) fn left(&self, mark: usize) {
        self.truth.fetch_max(mark, Ordering::Relaxed);
    }

    /// As `left`.
    pub(crate) fn check(&self) {
        let truth = self.truth.load(Ordering::Relaxed);
        let seen = self.count.load(Ordering::Relaxed);
        assert!(seen >= truth, "what came before is not seen");
    }
}
