//! Loom's side of the engine.

use std::task::Waker;

pub(crate) use loom::cell::UnsafeCell;
#[cfg(any(feature = "tokio", feature = "internal-model"))]
pub(crate) use loom::sync::Mutex;
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, fence};
pub(crate) use loom::thread;
pub(crate) use loom::{explore, stop_exploring};

loom::lazy_static! {
    static ref SCHEDULE: AtomicUsize = AtomicUsize::new(0);
}

/// Lets loom switch threads here. Relaxed, so that it orders nothing.
pub(crate) fn schedule_point() {
    SCHEDULE.fetch_add(0, std::sync::atomic::Ordering::Relaxed);
}

/// Loom's model of a waker slot.
pub(crate) struct WakerSlot(loom::future::AtomicWaker);

impl WakerSlot {
    pub(crate) fn new() -> Self {
        Self(loom::future::AtomicWaker::new())
    }

    pub(crate) fn register(&self, waker: &Waker) {
        self.0.register_by_ref(waker);
    }

    pub(crate) fn take(&self) -> Option<Waker> {
        self.0.take_waker()
    }
}

/// A static whose initialiser runs once in each execution.
macro_rules! shared_static {
    ($(#[$attr:meta])* static $name:ident: $type:ty = $init:expr;) => {
        loom::lazy_static! { $(#[$attr])* static ref $name: $type = $init; }
    };
}
pub(crate) use shared_static;

/// A thread-local value.
macro_rules! local_flag {
    ($(#[$attr:meta])* static $name:ident: $type:ty = $init:expr;) => {
        loom::thread_local! { $(#[$attr])* static $name: $type = $init; }
    };
}
pub(crate) use local_flag;
