//! Atomics that take the site of each operation and forget it, unless a bug is
//! seeded there.

use super::super::Site;
use super::seed;
use std::sync::atomic::Ordering;

macro_rules! integer {
    ($name:ident, $std:ident, $int:ty) => {
        /// An atomic integer.
        #[repr(transparent)]
        pub(crate) struct $name(std::sync::atomic::$std);

        #[allow(dead_code, reason = "each width uses the operations it needs")]
        impl $name {
            pub(crate) const fn new(value: $int) -> Self {
                Self(std::sync::atomic::$std::new(value))
            }

            #[inline(always)]
            pub(crate) fn load(&self, order: Ordering, site: Site) -> $int {
                self.0.load(seed::order(order, site))
            }

            #[inline(always)]
            pub(crate) fn store(&self, value: $int, order: Ordering, site: Site) {
                self.0.store(value, seed::order(order, site));
            }

            #[inline(always)]
            pub(crate) fn swap(&self, value: $int, order: Ordering, site: Site) -> $int {
                self.0.swap(value, seed::order(order, site))
            }

            #[inline(always)]
            pub(crate) fn fetch_add(&self, value: $int, order: Ordering, site: Site) -> $int {
                self.0.fetch_add(value, seed::order(order, site))
            }

            #[inline(always)]
            pub(crate) fn fetch_sub(&self, value: $int, order: Ordering, site: Site) -> $int {
                self.0.fetch_sub(value, seed::order(order, site))
            }

            #[inline(always)]
            pub(crate) fn fetch_or(&self, value: $int, order: Ordering, site: Site) -> $int {
                self.0.fetch_or(value, seed::order(order, site))
            }

            #[inline(always)]
            pub(crate) fn fetch_max(&self, value: $int, order: Ordering, site: Site) -> $int {
                self.0.fetch_max(value, seed::order(order, site))
            }

            /// Reads by a read-modify-write, so that the read takes its place
            /// in the order of all other read-modify-writes of this word.
            #[inline(always)]
            pub(crate) fn read_in_order(&self, order: Ordering, site: Site) -> $int {
                if seed::plain_read(site) {
                    return self.0.load(Ordering::Acquire);
                }
                self.0.fetch_add(0, seed::order(order, site))
            }

            #[inline(always)]
            pub(crate) fn compare_exchange(
                &self,
                current: $int,
                new: $int,
                success: Ordering,
                failure: Ordering,
                site: Site,
            ) -> Result<$int, $int> {
                let success = seed::order(success, site);
                let failure = seed::failure(failure, site);
                self.0.compare_exchange(current, new, success, failure)
            }

            /// May fail though the word is `current`: for loops.
            #[inline(always)]
            pub(crate) fn compare_exchange_weak(
                &self,
                current: $int,
                new: $int,
                success: Ordering,
                failure: Ordering,
                site: Site,
            ) -> Result<$int, $int> {
                let success = seed::order(success, site);
                let failure = seed::failure(failure, site);
                if seed::spurious(site) {
                    return Err(self.0.load(failure));
                }
                self.0.compare_exchange_weak(current, new, success, failure)
            }
        }
    };
}

integer!(AtomicUsize, AtomicUsize, usize);
integer!(AtomicU32, AtomicU32, u32);

/// An atomic pointer.
#[repr(transparent)]
pub(crate) struct AtomicPtr<T>(std::sync::atomic::AtomicPtr<T>);

impl<T> AtomicPtr<T> {
    pub(crate) const fn new(value: *mut T) -> Self {
        Self(std::sync::atomic::AtomicPtr::new(value))
    }

    #[inline(always)]
    pub(crate) fn load(&self, order: Ordering, site: Site) -> *mut T {
        self.0.load(seed::order(order, site))
    }

    #[inline(always)]
    pub(crate) fn store(&self, value: *mut T, order: Ordering, site: Site) {
        self.0.store(value, seed::order(order, site));
    }

    #[inline(always)]
    pub(crate) fn swap(&self, value: *mut T, order: Ordering, site: Site) -> *mut T {
        self.0.swap(value, seed::order(order, site))
    }

    /// As for an integer.
    #[inline]
    pub(crate) fn read_in_order(&self, order: Ordering, site: Site) -> *mut T {
        if seed::plain_read(site) {
            return self.0.load(Ordering::Acquire);
        }
        let order = seed::order(order, site);
        let mut now = self.0.load(Ordering::Relaxed);
        while let Err(other) = self.0.compare_exchange(now, now, order, Ordering::Relaxed) {
            now = other;
        }
        now
    }

    #[inline(always)]
    pub(crate) fn compare_exchange(
        &self,
        current: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
        site: Site,
    ) -> Result<*mut T, *mut T> {
        let success = seed::order(success, site);
        let failure = seed::failure(failure, site);
        self.0.compare_exchange(current, new, success, failure)
    }

    /// As for an integer.
    #[inline(always)]
    pub(crate) fn compare_exchange_weak(
        &self,
        current: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
        site: Site,
    ) -> Result<*mut T, *mut T> {
        let success = seed::order(success, site);
        let failure = seed::failure(failure, site);
        if seed::spurious(site) {
            return Err(self.0.load(failure));
        }
        self.0.compare_exchange_weak(current, new, success, failure)
    }
}
