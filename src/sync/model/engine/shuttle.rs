//! Shuttle's side of the engine.

use std::task::Waker;

// Whoever uses these has a schedule point in front.
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, fence};

#[cfg(any(feature = "tokio", feature = "internal-model"))]
pub(crate) use shuttle::sync::Mutex;
pub(crate) use shuttle::sync::atomic::AtomicBool;
pub(crate) use shuttle::thread;

thread_local! {
    // All of shuttle's threads run on one thread of the system.
    static SCHEDULE: AtomicBool = const { AtomicBool::new(false) };
}

/// Lets shuttle switch threads here. A load, as a yield would count as a wake of
/// this thread, and so hide one that was lost.
pub(crate) fn schedule_point() {
    SCHEDULE.with(|schedule| schedule.load(std::sync::atomic::Ordering::SeqCst));
}

/// The collector is one step for shuttle anyhow.
pub(crate) fn stop_exploring() {}

/// As `stop_exploring`.
pub(crate) fn explore() {}

/// Plain memory. No thread is switched during a use.
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// A waker slot, each of whose operations is one step.
pub(crate) struct WakerSlot(atomic_waker::AtomicWaker);

impl WakerSlot {
    pub(crate) fn new() -> Self {
        Self(atomic_waker::AtomicWaker::new())
    }

    pub(crate) fn register(&self, waker: &Waker) {
        self.0.register(waker);
    }

    pub(crate) fn take(&self) -> Option<Waker> {
        self.0.take()
    }
}

/// A static whose initialiser runs once in each execution.
macro_rules! shared_static {
    ($(#[$attr:meta])* static $name:ident: $type:ty = $init:expr;) => {
        shuttle::lazy_static! { $(#[$attr])* static ref $name: $type = $init; }
    };
}
pub(crate) use shared_static;

/// A thread-local value.
macro_rules! local_flag {
    ($(#[$attr:meta])* static $name:ident: $type:ty = $init:expr;) => {
        shuttle::thread_local! { $(#[$attr])* static $name: $type = $init; }
    };
}
pub(crate) use local_flag;
