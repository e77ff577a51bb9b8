//! The engine's atomics with a schedule point, a life check and the seeded bug in
//! front of each operation.

use super::super::seed;
use super::super::site::Site;
use super::engine::{self, schedule_point};
use super::{memory, schedule};
use std::sync::atomic::Ordering;

macro_rules! before {
    ($self:ident, $site:ident, $what:literal) => {
        schedule_point();
        schedule::step($site, $what);
        memory::touch(std::ptr::from_ref($self).addr());
    };
}

macro_rules! integer {
    ($name:ident, $int:ty) => {
        pub(crate) struct $name(engine::$name);

        #[allow(dead_code, reason = "each width uses the operations it needs")]
        impl $name {
            pub(crate) fn new(value: $int) -> Self {
                Self(engine::$name::new(value))
            }

            pub(crate) fn load(&self, order: Ordering, site: Site) -> $int {
                before!(self, site, "load");
                self.0.load(seed::order(order, site))
            }

            pub(crate) fn store(&self, value: $int, order: Ordering, site: Site) {
                before!(self, site, "store");
                self.0.store(value, seed::order(order, site));
            }

            pub(crate) fn swap(&self, value: $int, order: Ordering, site: Site) -> $int {
                before!(self, site, "swap");
                self.0.swap(value, seed::order(order, site))
            }

            pub(crate) fn fetch_add(&self, value: $int, order: Ordering, site: Site) -> $int {
                before!(self, site, "fetch_add");
                self.0.fetch_add(value, seed::order(order, site))
            }

            pub(crate) fn fetch_sub(&self, value: $int, order: Ordering, site: Site) -> $int {
                before!(self, site, "fetch_sub");
                self.0.fetch_sub(value, seed::order(order, site))
            }

            pub(crate) fn fetch_or(&self, value: $int, order: Ordering, site: Site) -> $int {
                before!(self, site, "fetch_or");
                self.0.fetch_or(value, seed::order(order, site))
            }

            pub(crate) fn fetch_max(&self, value: $int, order: Ordering, site: Site) -> $int {
                before!(self, site, "fetch_max");
                self.0.fetch_max(value, seed::order(order, site))
            }

            pub(crate) fn read_in_order(&self, order: Ordering, site: Site) -> $int {
                before!(self, site, "read_in_order");
                if seed::plain_read(site) {
                    return self.0.load(Ordering::Acquire);
                }
                self.0.fetch_add(0, seed::order(order, site))
            }

            pub(crate) fn compare_exchange(
                &self,
                current: $int,
                new: $int,
                success: Ordering,
                failure: Ordering,
                site: Site,
            ) -> Result<$int, $int> {
                before!(self, site, "compare_exchange");
                let success = seed::order(success, site);
                let failure = seed::failure(failure, site);
                self.0.compare_exchange(current, new, success, failure)
            }

            /// Fails now and then without a reason, if that is asked for.
            pub(crate) fn compare_exchange_weak(
                &self,
                current: $int,
                new: $int,
                success: Ordering,
                failure: Ordering,
                site: Site,
            ) -> Result<$int, $int> {
                if seed::spurious(site) {
                    before!(self, site, "compare_exchange_weak fails");
                    return Err(self.0.load(seed::failure(failure, site)));
                }
                self.compare_exchange(current, new, success, failure, site)
            }
        }
    };
}

integer!(AtomicUsize, usize);
integer!(AtomicU32, u32);

pub(crate) struct AtomicPtr<T>(engine::AtomicPtr<T>);

impl<T> AtomicPtr<T> {
    pub(crate) fn new(value: *mut T) -> Self {
        Self(engine::AtomicPtr::new(value))
    }

    pub(crate) fn load(&self, order: Ordering, site: Site) -> *mut T {
        before!(self, site, "load");
        self.0.load(seed::order(order, site))
    }

    pub(crate) fn store(&self, value: *mut T, order: Ordering, site: Site) {
        before!(self, site, "store");
        self.0.store(value, seed::order(order, site));
    }

    pub(crate) fn swap(&self, value: *mut T, order: Ordering, site: Site) -> *mut T {
        before!(self, site, "swap");
        self.0.swap(value, seed::order(order, site))
    }

    pub(crate) fn read_in_order(&self, order: Ordering, site: Site) -> *mut T {
        before!(self, site, "read_in_order");
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

    pub(crate) fn compare_exchange(
        &self,
        current: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
        site: Site,
    ) -> Result<*mut T, *mut T> {
        before!(self, site, "compare_exchange");
        let success = seed::order(success, site);
        let failure = seed::failure(failure, site);
        self.0.compare_exchange(current, new, success, failure)
    }

    pub(crate) fn compare_exchange_weak(
        &self,
        current: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
        site: Site,
    ) -> Result<*mut T, *mut T> {
        if seed::spurious(site) {
            before!(self, site, "compare_exchange_weak fails");
            return Err(self.0.load(seed::failure(failure, site)));
        }
        self.compare_exchange(current, new, success, failure, site)
    }
}
