//! The back end whose interleavings are explored, by an [`engine`].
//!
//! Besides the engine's own checks it adds three: a schedule point before every
//! access (loom misses conflicts of a load followed by a compare-and-swap
//! without one), the life of every heap object (an access that is not ordered
//! before its free fails, whether or not this execution reached it too late),
//! and seeded bugs (see `seed`).

pub(crate) mod cell;
pub(crate) mod clock;
pub(crate) mod engine;
pub(crate) mod epoch;
pub(crate) mod memory;
mod schedule;
pub(crate) mod swap;
pub(crate) mod testing;
pub(crate) mod waker;

use super::Site;
use engine::thread;
pub(crate) use engine::{local_flag, shared_static};
use std::cell::{Cell as StdCell, RefCell};

/// The atomics that are wrapped.
pub(super) mod raw {
    #[cfg(any(feature = "tokio", feature = "internal-model"))]
    pub(crate) use super::engine::Mutex;
    pub(crate) use super::engine::{AtomicPtr, AtomicU32, AtomicUsize};
}

/// What comes before each atomic operation: a schedule point, a line of what was
/// done, for an execution that fails, and a look whether the memory is still alive.
pub(super) fn before<T>(atomic: &T, site: Site, what: &'static str) {
    engine::schedule_point();
    schedule::step(site, what);
    memory::touch(std::ptr::from_ref(atomic).addr());
}

/// Sizes and thresholds, as small as the paths they guard allow.
pub(crate) mod limits {
    pub(crate) const BATCH: usize = 2;
    pub(crate) const BATCH_SPLIT: usize = 2;
    pub(crate) const SHARDS: usize = 1;
    pub(crate) const REQUESTS: usize = 2;
    pub(crate) const PLACE_REQUESTS: usize = 2;
    pub(crate) const CONTENDED: u32 = 1;
    pub(crate) const VALUES_WALKED: usize = 2;
    pub(crate) const LINGER: std::time::Duration = std::time::Duration::ZERO;
}

/// Starts a thread that nobody joins.
pub(crate) fn spawn(
    _name: &str,
    stack: Option<usize>,
    run: impl FnOnce() + Send + 'static,
) -> std::io::Result<()> {
    if stack.is_some() {
        // Asked for where there is to be no thread only.
        return Err(std::io::ErrorKind::OutOfMemory.into());
    }
    let thread = thread::spawn(run);
    SPAWNED.with_borrow_mut(|spawned| spawned.push(thread));
    Ok(())
}

/// Joins all threads that were started so.
pub(super) fn join_all() {
    while let Some(thread) = SPAWNED.with_borrow_mut(Vec::pop) {
        thread.join().expect("a driver failed");
    }
}

/// Lets other threads run.
pub(crate) fn yield_now() {
    thread::yield_now();
}

pub(crate) fn lane_count() -> usize {
    2
}

thread_local! {
    // All of the model's threads run on one thread of the system, so this is shared
    // by them; `testing::begin` resets it for each execution.
    static NEXT_INDEX: StdCell<usize> = const { StdCell::new(0) };
    static SPAWNED: RefCell<Vec<thread::JoinHandle<()>>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn thread_index() -> usize {
    local_flag! {
        static INDEX: StdCell<usize> = StdCell::new(usize::MAX);
    }
    INDEX.with(|index| {
        if index.get() == usize::MAX {
            index.set(NEXT_INDEX.replace(NEXT_INDEX.get() + 1));
        }
        index.get()
    })
}

pub(crate) fn prefetch<T>(_at: *const T) {}

/// A function that is `const` wherever atomics can be made in a `const`.
macro_rules! const_fn {
    ($(#[$attr:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) -> $ret:ty $body:block) => {
        $(#[$attr])* $vis fn $name($($arg: $type),*) -> $ret $body
    };
}
pub(crate) use const_fn;

/// Nothing: see `memory::Kept`.
macro_rules! kept {
    ($type:ty) => {};
}
pub(crate) use kept;
