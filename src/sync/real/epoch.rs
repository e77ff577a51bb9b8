//! Epochs: memory that somebody may still be looking at.
//!
//! The library has a collector of its own, so that a pin held elsewhere in the
//! program cannot hold its memory back.

use super::super::{Site, recheck};
use crossbeam_epoch::{Collector, LocalHandle};
use std::sync::OnceLock;

/// While it lives, nothing deferred after it was made is freed.
pub(crate) struct Guard(crossbeam_epoch::Guard);

fn collector() -> &'static Collector {
    static COLLECTOR: OnceLock<Collector> = OnceLock::new();
    COLLECTOR.get_or_init(Collector::new)
}

thread_local! {
    static LOCAL: LocalHandle = collector().register();
}

/// Pins this thread.
pub(crate) fn pin() -> Guard {
    Guard(
        LOCAL
            .try_with(LocalHandle::pin)
            // The thread is past its thread-locals: register for this once.
            .unwrap_or_else(|_| collector().register().pin()),
    )
}

impl Guard {
    /// Runs `f` once every guard that exists now is gone.
    ///
    /// # Safety
    ///
    /// `f` may run on any thread, at any later time, so all it touches must be
    /// its own by then and may be sent there.
    pub(crate) unsafe fn defer(&self, f: impl FnOnce() + 'static) {
        // Again, when no guard from before is left: who has one may still look.
        if !recheck(Site::Defer) {
            return f();
        }
        // SAFETY: handed on to the caller, in the same words.
        unsafe { self.0.defer_unchecked(f) };
    }

    /// Pushes what this thread deferred to where everybody collects it.
    #[cfg(feature = "internal-model")]
    pub(crate) fn flush(&self) {
        self.0.flush();
    }
}
