//! Blocks this thread until a waker is woken.
//!
//! A [`Parker`] is a flag and a thread; its waker sets the flag and unparks the
//! thread. The flag decides, the thread's token is only a hint: a token that
//! somebody else took costs one look at the flag, and one that was not ours is
//! given back when the wait ends.
//!
//! Each thread keeps one parker, so that a wait allocates nothing after the
//! first. It is taken out while in use: a wait within a wait, and one that runs
//! after the thread's locals are gone, make one of their own. A waker that
//! outlives its wait may wake a later one early; waits look again and go on.

use std::sync::Arc;
use std::task::{Wake, Waker};

#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
use std::{
    cell::Cell,
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, Thread},
    time::Instant,
};

#[cfg(any(crossbeam_loom, ctxtree_shuttle))]
use {
    super::model::engine::{
        AtomicBool, schedule_point,
        thread::{self, Thread},
    },
    std::sync::atomic::Ordering,
};

/// The flag and the thread that waits for it.
struct Signal {
    woken: AtomicBool,
    thread: Thread,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // loom takes an unpark for ordered, and for independent of all else:
        // without this it would not look at what happens just before.
        #[cfg(any(crossbeam_loom, ctxtree_shuttle))]
        schedule_point();
        // Release: what happened before the wake is seen by the thread that
        // takes the flag; meets the Acquire in `Parker::take`. A swap, so that
        // every change of the flag is a read-modify-write.
        self.woken.swap(true, Ordering::Release);
        // After the flag: whoever is unparked finds it set.
        self.thread.unpark();
    }
}

/// Parks the thread it was made on.
struct Parker {
    signal: Arc<Signal>,
    waker: Waker,
}

impl Parker {
    fn new() -> Parker {
        let signal = Arc::new(Signal {
            woken: AtomicBool::new(false),
            thread: thread::current(),
        });
        let waker = Waker::from(signal.clone());
        Parker { signal, waker }
    }

    /// Takes the flag down; true = it was up.
    fn take(&self) -> bool {
        // Acquire: meets the Release in `Signal::wake_by_ref`.
        self.signal.woken.swap(false, Ordering::Acquire)
    }

    /// Parks until `ready`, which is asked before and after each park.
    ///
    /// `ready` must have this parker's waker registered when it says no.
    fn park_while_pending<T>(&self, mut ready: impl FnMut(&Waker) -> Option<T>) -> T {
        let mut tokens = Foreign(false);
        loop {
            if let Some(value) = ready(&self.waker) {
                return value;
            }
            while !self.take() {
                thread::park();
                tokens.0 |= !self.is_up();
            }
        }
    }

    /// The same, for at most until `at`; `None` = time ran out.
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    fn park_while_pending_until<T>(
        &self,
        at: Instant,
        mut ready: impl FnMut(&Waker) -> Option<T>,
    ) -> Option<T> {
        let mut tokens = Foreign(false);
        loop {
            if let Some(value) = ready(&self.waker) {
                return Some(value);
            }
            while !self.take() {
                let left = at.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return ready(&self.waker);
                }
                thread::park_timeout(left);
                tokens.0 |= !self.is_up() && Instant::now() < at;
            }
        }
    }

    fn is_up(&self) -> bool {
        // Relaxed: only says whose token a park took; `take` decides.
        self.signal.woken.load(Ordering::Relaxed)
    }
}

/// Whether a park ended without our flag, so that it may have taken a token
/// meant for other code on this thread. Gives one back when dropped.
struct Foreign(bool);

impl Drop for Foreign {
    fn drop(&mut self) {
        if self.0 {
            thread::current().unpark();
        }
    }
}

/// A thread that sleeps, and may be woken.
pub(crate) struct Sleeper(Thread);

impl Sleeper {
    /// This thread.
    pub(crate) fn current() -> Sleeper {
        Sleeper(thread::current())
    }

    /// Ends its sleep, the present one or else the next.
    pub(crate) fn wake(&self) {
        #[cfg(any(crossbeam_loom, ctxtree_shuttle))]
        schedule_point();
        self.0.unpark();
    }

    /// Sleeps until then, or until it is woken, or for no reason. False if the
    /// time has come.
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    pub(crate) fn sleep(until: Option<Instant>) -> bool {
        match until {
            None => thread::park(),
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return false;
                }
                thread::park_timeout(left);
            }
        }
        true
    }

    /// The same by the clock of the model.
    #[cfg(any(crossbeam_loom, ctxtree_shuttle))]
    pub(crate) fn sleep(until: Option<std::time::Instant>) -> bool {
        if super::clock::has_come(until) {
            return false;
        }
        thread::park();
        true
    }
}

/// Blocks this thread until `ready` gives a value.
///
/// `ready` is handed the waker to register each time it is asked.
pub(crate) fn block_on<T>(ready: impl FnMut(&Waker) -> Option<T>) -> T {
    with_parker(|parker| parker.park_while_pending(ready))
}

/// Blocks this thread until `ready` gives a value or `at` has come.
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
pub(crate) fn block_on_until<T>(at: Instant, ready: impl FnMut(&Waker) -> Option<T>) -> Option<T> {
    with_parker(|parker| parker.park_while_pending_until(at, ready))
}

#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
fn with_parker<T>(f: impl FnOnce(&Parker) -> T) -> T {
    thread_local! {
        static PARKER: Cell<Option<Parker>> = const { Cell::new(None) };
    }
    let kept = PARKER.try_with(Cell::take).ok().flatten();
    let parker = kept.unwrap_or_else(Parker::new);
    let value = f(&parker);
    // Gone or taken by a wait that ran meanwhile: one of the two is dropped.
    let _ = PARKER.try_with(|kept| kept.set(Some(parker)));
    value
}

// Threads of one model run do not outlive it, so nothing is kept.
#[cfg(any(crossbeam_loom, ctxtree_shuttle))]
fn with_parker<T>(f: impl FnOnce(&Parker) -> T) -> T {
    f(&Parker::new())
}
