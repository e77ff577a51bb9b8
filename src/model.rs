//! Seams for `loom-tests`, `fuzz` and this crate's own tests. Outside semver.

use crate::Context;

/// How many heap objects of the library exist: nodes, waiters, lanes.
pub fn live_objects() -> usize {
    crate::sync::testing::live_objects()
}

/// Dead children of `context` that are still linked, V10's small constant.
pub fn unreaped(context: &Context) -> usize {
    context.node().unreaped()
}

/// Sets the handle count of `context`. Leaks the context, or worse, unless it
/// is set back.
pub fn pretend_handles(context: &Context, count: u32) {
    context.node().pretend_handles(count);
}

/// The most handles that one context may have.
pub const MAX_HANDLES: u32 = crate::node::MAX_HANDLES;

/// Dead children that a lane collects before somebody reaps.
pub const BATCH: usize = crate::sync::limits::BATCH;
/// The same for a lane of a split list.
pub const BATCH_SPLIT: usize = crate::sync::limits::BATCH_SPLIT;

/// Gives deferred memory back as far as no pin forbids it.
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
pub fn collect() {
    crate::sync::testing::collect();
}

/// The default timers, and those that were before.
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
pub fn default_timers() -> Vec<crate::time::Timers> {
    crate::time::all_defaults()
}

/// Timers whose thread cannot be started.
pub fn timers_without_thread() -> crate::time::Timers {
    crate::time::Timers::without_thread()
}

/// Splits the list of `context` into lanes, as contention does.
pub fn split(context: &Context) {
    context.node().split();
}

/// What one thread does before another goes on. A model fails where no ordering
/// says that it came before; elsewhere this does nothing.
pub struct Witness(crate::sync::Witness);

impl Default for Witness {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Witness")
    }
}

impl Witness {
    /// Not done yet.
    pub fn new() -> Self {
        Self(crate::sync::Witness::new())
    }

    /// It is done now.
    pub fn set(&self) {
        self.0.set();
    }

    /// It was done before.
    pub fn check(&self) {
        self.0.check();
    }
}

/// So many places, and those who wait for one.
#[derive(Debug)]
pub struct Places(crate::places::Places);

impl Places {
    /// So many, all free.
    pub fn new(places: usize) -> Self {
        Self(crate::places::Places::new(places))
    }

    /// Takes one, if one is free and nobody waits.
    pub fn try_take(&self) -> bool {
        self.0.try_take()
    }

    /// Gives one back, and wakes who got it.
    pub fn give_back(&self) {
        drop(self.0.give_back());
    }

    /// Gives one back; who got it is woken when the result is dropped.
    pub fn give_back_quietly(&self) -> impl Sized + Send + use<> {
        self.0.give_back()
    }
}

/// A wait for a place.
#[derive(Debug)]
pub struct PlaceTurn(crate::places::Turn);

impl Default for PlaceTurn {
    fn default() -> Self {
        Self::new()
    }
}

impl PlaceTurn {
    /// Waits for none yet.
    pub fn new() -> Self {
        Self(crate::places::Turn::new())
    }

    /// Whether it has a place now.
    pub fn poll(&mut self, places: &Places, waker: &std::task::Waker) -> bool {
        self.0.poll(&places.0, waker).0
    }

    /// Waits no longer. To be called before it is dropped.
    pub fn give_up(&mut self, places: &Places) {
        drop(self.0.give_up(&places.0));
    }
}

/// A future that is polled by its own waker, and what is called when it is ready.
pub struct Listener(Box<dyn Send>);

impl Listener {
    /// Polls `future` until it is ready, then calls `then`.
    pub fn new(
        future: impl Future<Output = ()> + Send + 'static,
        then: impl FnOnce() + Send + 'static,
    ) -> Self {
        let then = Box::new(then);
        Self(Box::new(crate::listener::Listener::new(future, then)))
    }

    /// Ends it.
    pub fn end(self) {
        drop(self.0);
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

#[cfg(ctxtree_seeded)]
pub use crate::sync::Bug;

/// What the model harness needs of the facade.
#[cfg(any(crossbeam_loom, ctxtree_shuttle))]
pub mod harness {
    use crate::sync::testing;

    pub use crate::sync::Bug;
    pub use crate::sync::testing::Epochs;

    /// Starts an execution on these epochs.
    pub fn begin(epochs: Epochs) {
        testing::begin(epochs);
    }

    /// What the execution has done so far, once.
    pub fn take_schedule() -> Option<String> {
        testing::take_schedule()
    }

    /// Lets time pass for timer threads.
    pub fn pass(length: std::time::Duration) {
        testing::pass(length);
    }

    /// Waits until the timer threads have stopped.
    pub fn join_drivers() {
        testing::join_drivers();
    }

    /// Ends it: fails if anything leaked.
    pub fn end() {
        testing::end();
    }
}
