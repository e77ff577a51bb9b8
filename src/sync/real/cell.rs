//! Plain memory whose accesses a protocol keeps apart.

use std::cell::UnsafeCell;

/// A plain word that threads take turns with. The model checks the turns.
#[repr(transparent)]
pub(crate) struct Cell<T>(UnsafeCell<T>);

impl<T: Copy> Cell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// # Safety
    ///
    /// No other thread writes while this reads.
    #[inline(always)]
    pub(crate) unsafe fn get(&self) -> T {
        // SAFETY: the caller keeps writers away.
        unsafe { *self.0.get() }
    }

    /// # Safety
    ///
    /// No other thread reads or writes meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn set(&self, value: T) {
        // SAFETY: the caller keeps everybody else away.
        unsafe { *self.0.get() = value };
    }
}
