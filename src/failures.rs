//! What went wrong in a group, in the order in which it did: a stack that only
//! grows.
//!
//! One compare-and-swap puts an entry on top; whoever finds the stack empty was
//! the first. Nothing is taken off before the stack goes, so what is read stays.
//!
//! - **U1** `below` is written before the push and never after; what was pushed is
//!   valid until the stack is dropped, which nobody else then uses.
//!
//! Models: `failures_vs_failures`, `failure_vs_join`, `forgotten_group_vs_failure`.

use crate::payload;
use crate::sync::Ordering::{Acquire, Relaxed, Release};
use crate::sync::{AtomicPtr, Site, memory};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{NonNull, null_mut};

/// A stack that only grows.
pub(crate) struct Failures<T> {
    top: AtomicPtr<Entry<T>>,
}

struct Entry<T> {
    what: T,
    below: *mut Entry<T>,
}

// SAFETY: a stack of `T`s, which are dropped where it is.
unsafe impl<T: Send> Send for Failures<T> {}
// SAFETY: `T`s are moved in from any thread, and shared with any.
unsafe impl<T: Send + Sync> Sync for Failures<T> {}

impl<T> Failures<T> {
    pub(crate) fn new() -> Failures<T> {
        Failures {
            top: AtomicPtr::new(null_mut()),
        }
    }

    /// Puts `what` on top. As it lies there, if it is the first.
    pub(crate) fn push(&self, what: T) -> Option<&T> {
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut below = self.top.load(Relaxed, Site::FailureLoad);
        let entry = memory::alloc(Entry { what, below });
        loop {
            let place = entry.as_ptr();
            // SAFETY: not pushed yet, so ours alone (U1).
            let place = unsafe { &raw mut (*place).below };
            // SAFETY: the same.
            unsafe { place.write(below) };
            // Release: publishes the entry, and with those below it; meets the
            // Acquire in `iter`. On failure Relaxed.
            let swapped = self.top.compare_exchange_weak(
                below,
                entry.as_ptr(),
                Release,
                Relaxed,
                Site::FailurePush,
            );
            match swapped {
                Ok(_) => {
                    // SAFETY: valid as long as the stack (U1).
                    let entry = unsafe { memory::look(entry) };
                    return below.is_null().then_some(&entry.what);
                }
                Err(now) => below = now,
            }
        }
    }

    /// All so far, the last first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        // Acquire: shows the entries; meets the Release in `push`, whose
        // read-modify-writes are one chain.
        let mut at = self.top.load(Acquire, Site::FailureRead);
        std::iter::from_fn(move || {
            let entry = NonNull::new(at)?;
            // SAFETY: valid as long as the stack (U1).
            let entry = unsafe { memory::look(entry) };
            at = entry.below;
            Some(&entry.what)
        })
    }
}

impl<T> Drop for Failures<T> {
    fn drop(&mut self) {
        let mut first = None;
        // Relaxed: whoever drops the stack comes after all who used it.
        let mut at = self.top.load(Relaxed, Site::FailureDrop);
        while let Some(entry) = NonNull::new(at) {
            // SAFETY: nobody else uses it any more, and it is taken once (U1).
            let entry = unsafe { memory::take(entry) };
            at = entry.below;
            // The first panic goes on in the end, unless this thread unwinds
            // already: the panic hook has reported it, and that is all.
            let dropped = catch_unwind(AssertUnwindSafe(|| drop(entry.what)));
            match dropped {
                Err(panic) if first.is_none() && !std::thread::panicking() => {
                    first = Some(panic);
                }
                Err(panic) => payload::forget(panic),
                Ok(()) => {}
            }
        }
        if let Some(panic) = first {
            resume_unwind(panic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::panic_any;
    use std::sync::Arc;

    /// Panics when dropped, with something to be dropped.
    struct Bomb(Arc<()>);

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic_any(self.0.clone());
        }
    }

    #[test]
    fn what_panics_when_dropped_stops_no_other_and_is_not_kept() {
        let held = Arc::new(());
        let failures = Failures::new();
        for _ in 0..3 {
            let first = failures.push(Bomb(held.clone()));
            assert_eq!(first.is_some(), failures.iter().count() == 1);
        }
        let panic = catch_unwind(AssertUnwindSafe(|| drop(failures))).unwrap_err();
        assert!(panic.is::<Arc<()>>());
        drop(panic);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
