//! Time: what wakes deadlines, and clocks that a program can replace.
//!
//! Deadlines are kept by [`Timers`], and a [`Driver`] wakes them. Where nothing
//! else is said that is a thread of the library's own, started by the first
//! deadline that is armed, asleep until the next one comes, and stopped when none
//! is left for a while. It can be replaced for the whole process
//! ([`set_default_driver`]), or below one context
//! ([`Context::with_driver`](crate::Context::with_driver),
//! [`Context::with_clock`](crate::Context::with_clock)). For tests there is
//! [`ManualClock`]. With the feature `tokio`, `Timers::tokio` wakes deadlines from
//! a task of a tokio runtime, by its time, also while that is paused.
//!
//! A deadline never fires early. The thread fires it within half a millisecond,
//! and what the system takes to wake a thread. Callbacks of what a deadline ends
//! run on the driver's thread, after everything that is due is marked: one that
//! blocks there delays the later ones.
//!
//! After a `fork` the child process has no timer thread: deadlines do not fire
//! there, unless they are armed on other [`Timers`] that the child makes for
//! itself, as far as it may start a thread at all.

mod driver;
mod manual;
mod thread;
#[cfg(all(feature = "tokio", not(any(crossbeam_loom, ctxtree_shuttle))))]
mod tokio;

pub use driver::{Driver, Timers};
pub use manual::ManualClock;

use crate::protocol::NodeRef;
use crate::timer::Clockwork;

#[cfg(all(feature = "internal-model", not(any(crossbeam_loom, ctxtree_shuttle))))]
pub(crate) use default::all as all_defaults;
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
pub(crate) use default::built_in;
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
pub use default::{default_driver, set_default_driver};

/// Calls `f` with what `node` takes its time from.
#[inline]
pub(crate) fn with<R>(node: &NodeRef, f: impl FnOnce(&Clockwork) -> R) -> R {
    match node.clockwork() {
        Some(clockwork) => f(clockwork),
        #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
        None => f(default::clockwork()),
        #[cfg(any(crossbeam_loom, ctxtree_shuttle))]
        None => unreachable!("a model brings its own timers"),
    }
}

#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
mod default {
    use super::Timers;
    use crate::sync::{Cached, Swap};
    use crate::timer::Clockwork;
    use std::cell::RefCell;
    use std::sync::{Arc, Mutex, OnceLock, PoisonError};

    /// What was put in the place of the built-in driver, if anything.
    static REPLACED: Swap<&'static Arc<Clockwork>> = Swap::new();

    /// All that ever was the default: contexts may use it as long as there are
    /// any, and count no references to it.
    static KEPT: Mutex<Vec<&'static Arc<Clockwork>>> = Mutex::new(Vec::new());

    thread_local! {
        static CACHE: RefCell<Cached<&'static Arc<Clockwork>>> =
            const { RefCell::new(Cached::new()) };
    }

    /// The timers of a thread of the library's own, in real time.
    pub(crate) fn built_in() -> &'static Timers {
        static THREAD: OnceLock<Timers> = OnceLock::new();
        THREAD.get_or_init(Timers::thread)
    }

    /// What is or was the default.
    #[cfg(feature = "internal-model")]
    pub(crate) fn all() -> Vec<Timers> {
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.iter().map(|&clockwork| Timers::of(clockwork.clone()));
        kept.chain([built_in().clone()]).collect()
    }

    /// What is the default now.
    #[inline]
    pub(super) fn clockwork() -> &'static Arc<Clockwork> {
        let replaced = CACHE.try_with(|cache| {
            let mut cache = cache.borrow_mut();
            REPLACED.cached(&mut cache).as_deref().copied()
        });
        // A thread past its thread-locals asks the shared one.
        let replaced = replaced.unwrap_or_else(|_| REPLACED.load().as_deref().copied());
        replaced.unwrap_or_else(|| built_in().clockwork())
    }

    /// The timers of deadlines where neither a clock nor a deadline above says
    /// otherwise.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, time};
    /// use std::time::Duration;
    ///
    /// let (ctx, _handle) = Context::background().with_timeout(Duration::from_secs(3600));
    /// assert!(time::default_driver().outstanding() >= 1);
    /// # drop(ctx);
    /// ```
    #[must_use]
    pub fn default_driver() -> Timers {
        Timers::of(clockwork().clone())
    }

    /// Replaces the default driver, for deadlines that are armed from now on.
    ///
    /// Those that are armed already stay with the driver they have, and so does
    /// what is derived below them. What was the default is kept until the
    /// process ends. May be called at any time, from any thread; of two calls
    /// at once the later one counts.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, time};
    /// use std::time::Duration;
    ///
    /// let own = time::Timers::thread();
    /// time::set_default_driver(&own);
    /// let (_ctx, _handle) = Context::background().with_timeout(Duration::from_secs(3600));
    /// assert_eq!(own.outstanding(), 1);
    /// ```
    pub fn set_default_driver(timers: &Timers) {
        let clockwork = timers.clockwork();
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.iter().find(|kept| Arc::ptr_eq(kept, clockwork));
        let this = match known {
            Some(&known) => known,
            None => {
                let new: &'static Arc<Clockwork> = Box::leak(Box::new(clockwork.clone()));
                kept.push(new);
                new
            }
        };
        REPLACED.store(Some(Arc::new(this)));
    }
}
