//! The back end that programs run on: thin, inlined, free of charge.

pub(crate) mod cell;
pub(crate) mod epoch;
pub(crate) mod memory;
mod stash;
pub(crate) mod swap;
pub(crate) mod waker;

#[cfg(feature = "internal-model")]
pub(crate) mod testing;

use super::Site;
use std::cell::Cell as StdCell;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

/// The atomics that are wrapped.
pub(super) mod raw {
    #[cfg(any(feature = "tokio", feature = "internal-model"))]
    pub(crate) use std::sync::Mutex;
    pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize};
}

/// What comes before each atomic operation: nothing.
#[inline(always)]
pub(super) fn before<T>(_atomic: &T, _site: Site, _what: &str) {}

/// Sizes and thresholds. The model shrinks them so that three threads reach
/// the paths that a server reaches with thousands.
pub(crate) mod limits {
    /// Dead links in a lane before somebody reaps, while the list is one lane.
    /// Seven, as common allocators keep that many freed blocks at hand.
    pub(crate) const BATCH: usize = 14;
    /// The same in a lane of a split list.
    pub(crate) const BATCH_SPLIT: usize = 32;
    /// Wheels of a driver, at most.
    pub(crate) const SHARDS: usize = 64;
    /// Requests on the stack of a wheel before somebody works them off.
    pub(crate) const REQUESTS: usize = 64;
    /// Who came to a queue for places or left it, before somebody works that off.
    pub(crate) const PLACE_REQUESTS: usize = 15;
    /// Freed blocks of one type that a thread keeps: as many as are freed at once.
    /// None where a use after the free is to be seen.
    pub(crate) const STASH: usize = if cfg!(any(miri, fuzzing, crossbeam_sanitize)) {
        0
    } else {
        64
    };
    /// Failed pushes on one head before the list is split.
    pub(crate) const CONTENDED: u32 = 8;
    /// Sets of values that a lookup passes before it makes an index.
    pub(crate) const VALUES_WALKED: usize = 8;
    /// How long a driver without deadlines stays. Not long where the end of each
    /// process waits for it.
    pub(crate) const LINGER: std::time::Duration =
        std::time::Duration::from_millis(if cfg!(crossbeam_sanitize) { 20 } else { 2_000 });
}

/// The clock of the system.
pub(crate) mod clock {
    use std::sync::OnceLock;
    use std::time::Instant;

    pub(crate) fn now() -> Instant {
        Instant::now()
    }

    /// When it was first asked for.
    #[inline]
    pub(crate) fn start() -> Instant {
        static START: OnceLock<Instant> = OnceLock::new();
        *START.get_or_init(Instant::now)
    }
}

/// Starts a thread that nobody joins.
pub(crate) fn spawn(
    name: &str,
    stack: Option<usize>,
    run: impl FnOnce() + Send + 'static,
) -> std::io::Result<()> {
    let mut builder = std::thread::Builder::new().name(name.to_owned());
    if let Some(bytes) = stack {
        builder = builder.stack_size(bytes);
    }
    builder.spawn(run).map(drop)
}

/// Lets other threads run.
pub(crate) fn yield_now() {
    std::thread::yield_now();
}

/// How many lanes a contended list gets: one for each core, within reason.
pub(crate) fn lane_count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(4, |n| n.get());
        cores.next_power_of_two().clamp(4, 64)
    })
}

/// A small number that tells this thread's lane from its neighbours'.
pub(crate) fn thread_index() -> usize {
    thread_local! {
        static INDEX: StdCell<usize> = const { StdCell::new(usize::MAX) };
    }
    static NEXT: raw::AtomicUsize = raw::AtomicUsize::new(0);
    INDEX.with(|index| {
        if index.get() == usize::MAX {
            // Relaxed: any spread will do, nothing is published.
            index.set(NEXT.fetch_add(1, Ordering::Relaxed) & (usize::MAX >> 1));
        }
        index.get()
    })
}

/// Asks for the cache line at `at`, which may be any address.
#[inline(always)]
pub(crate) fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and faults on nothing, and SSE is
        // part of every x86-64 target with hardware floats.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// A static whose initialiser is `const`.
macro_rules! shared_static {
    ($(#[$attr:meta])* static $name:ident: $type:ty = $init:expr;) => {
        $(#[$attr])* static $name: $type = $init;
    };
}
pub(crate) use shared_static;

/// A function that is `const` wherever atomics can be made in a `const`.
macro_rules! const_fn {
    ($(#[$attr:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) -> $ret:ty $body:block) => {
        $(#[$attr])* $vis const fn $name($($arg: $type),*) -> $ret $body
    };
}
pub(crate) use const_fn;

/// A thread-local value with a `const` initialiser, and without a destructor.
macro_rules! local_flag {
    ($(#[$attr:meta])* static $name:ident: $type:ty = $init:expr;) => {
        std::thread_local! { $(#[$attr])* static $name: $type = const { $init }; }
    };
}
pub(crate) use local_flag;
pub(crate) use stash::kept;
