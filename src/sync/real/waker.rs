//! One waker slot, replaced by its owner and taken by whoever wakes.

use std::task::Waker;

/// See [`atomic_waker::AtomicWaker`].
pub(crate) struct AtomicWaker(atomic_waker::AtomicWaker);

impl AtomicWaker {
    pub(crate) const fn new() -> Self {
        Self(atomic_waker::AtomicWaker::new())
    }

    /// Stores a clone of `waker`, or wakes it if a [`take`](Self::take) is
    /// under way.
    pub(crate) fn register(&self, waker: &Waker) {
        self.0.register(waker);
    }

    pub(crate) fn take(&self) -> Option<Waker> {
        self.0.take()
    }
}
