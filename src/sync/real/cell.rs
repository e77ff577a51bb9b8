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

/// Something that threads take turns with, by a role.
pub(crate) struct Turn<T>(UnsafeCell<T>);

impl<T> Turn<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// # Safety
    ///
    /// The caller has the role, and no other reference that this gave.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "the role keeps everybody else away")]
    pub(crate) unsafe fn take(&self) -> &mut T {
        // SAFETY: by the caller.
        unsafe { &mut *self.0.get() }
    }
}

/// What one thread has seen to before another goes on: nothing in a program, a
/// race in a model if no ordering says so.
pub(crate) struct Witness(());

impl Witness {
    pub(crate) const fn new() -> Self {
        Self(())
    }

    /// From here on it has been seen to.
    #[inline(always)]
    pub(crate) fn set(&self) {}

    /// It has been seen to before.
    #[inline(always)]
    pub(crate) fn check(&self) {}
}

/// What was done before one operation, and is relied on after another: nothing
/// in a program; a model fails where the two do not order it.
pub(crate) struct Trace(());

impl Trace {
    pub(crate) const fn new() -> Self {
        Self(())
    }

    /// Done, before the operation that releases it.
    #[inline(always)]
    pub(crate) fn leave(&self) -> usize {
        0
    }

    /// That operation has just been: what `leave` said.
    #[inline(always)]
    pub(crate) fn left(&self, _mark: usize) {}

    /// The operation that acquires it has just been.
    #[inline(always)]
    pub(crate) fn check(&self) {}
}
