//! Atomics that take the site of each operation. A program's forget it, unless a
//! bug is seeded there; in a model each access is a step that the engine sees.

use super::backend::{before, const_fn, raw};
use super::{Site, seed};
use std::sync::atomic::Ordering;

/// What numbers and pointers have in common.
macro_rules! operations {
    ($raw:ty, $value:ty) => {
        const_fn! {
            pub(crate) fn new(value: $value) -> Self {
                Self(<$raw>::new(value))
            }
        }

        #[inline(always)]
        pub(crate) fn load(&self, order: Ordering, site: Site) -> $value {
            before(self, site, "load");
            self.0.load(seed::order(order, site))
        }

        #[inline(always)]
        pub(crate) fn store(&self, value: $value, order: Ordering, site: Site) {
            before(self, site, "store");
            self.0.store(value, seed::order(order, site));
        }

        #[inline(always)]
        pub(crate) fn swap(&self, value: $value, order: Ordering, site: Site) -> $value {
            before(self, site, "swap");
            self.0.swap(value, seed::order(order, site))
        }

        /// Reads by a read-modify-write, so that the read takes its place
        /// in the order of all other read-modify-writes of this word.
        #[inline(always)]
        pub(crate) fn read_in_order(&self, order: Ordering, site: Site) -> $value {
            before(self, site, "read_in_order");
            if seed::plain_read(site) {
                return self.0.load(Ordering::Acquire);
            }
            self.reread(seed::order(order, site))
        }

        #[inline(always)]
        pub(crate) fn compare_exchange(
            &self,
            current: $value,
            new: $value,
            success: Ordering,
            failure: Ordering,
            site: Site,
        ) -> Result<$value, $value> {
            before(self, site, "compare_exchange");
            let success = seed::order(success, site);
            let failure = seed::failure(failure, site);
            self.0.compare_exchange(current, new, success, failure)
        }

        /// May fail though the word is `current`: for loops. Does so now and then
        /// at the site of a seeded bug of that kind.
        #[inline(always)]
        pub(crate) fn compare_exchange_weak(
            &self,
            current: $value,
            new: $value,
            success: Ordering,
            failure: Ordering,
            site: Site,
        ) -> Result<$value, $value> {
            let success = seed::order(success, site);
            let failure = seed::failure(failure, site);
            if seed::spurious(site) {
                before(self, site, "compare_exchange_weak fails");
                return Err(self.0.load(failure));
            }
            before(self, site, "compare_exchange_weak");
            self.0.compare_exchange_weak(current, new, success, failure)
        }
    };
}

macro_rules! integer {
    ($name:ident, $int:ty, $($fetch:ident),*) => {
        /// An atomic integer.
        #[repr(transparent)]
        pub(crate) struct $name(raw::$name);

        #[allow(dead_code, reason = "each width uses the operations it needs")]
        impl $name {
            operations!(raw::$name, $int);

            $(
                #[inline(always)]
                pub(crate) fn $fetch(&self, value: $int, order: Ordering, site: Site) -> $int {
                    before(self, site, stringify!($fetch));
                    self.0.$fetch(value, seed::order(order, site))
                }
            )*

            #[inline(always)]
            fn reread(&self, order: Ordering) -> $int {
                self.0.fetch_add(0, order)
            }
        }
    };
}

integer!(
    AtomicUsize,
    usize,
    fetch_add,
    fetch_sub,
    fetch_or,
    fetch_max
);
integer!(AtomicU32, u32, fetch_add, fetch_sub, fetch_or, fetch_max);

/// An atomic pointer.
#[repr(transparent)]
pub(crate) struct AtomicPtr<T>(raw::AtomicPtr<T>);

impl<T> AtomicPtr<T> {
    operations!(raw::AtomicPtr<T>, *mut T);

    #[inline]
    fn reread(&self, order: Ordering) -> *mut T {
        let mut now = self.0.load(Ordering::Relaxed);
        while let Err(other) = self.0.compare_exchange(now, now, order, Ordering::Relaxed) {
            now = other;
        }
        now
    }
}
