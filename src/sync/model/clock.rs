//! The clock of a model: it stands still until the model lets time pass.
//!
//! No part of what is explored: what is read and written here orders nothing,
//! and no thread is switched in the middle.

use super::engine::{self, thread};
use std::cell::{Cell, RefCell};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

thread_local! {
    // All of the model's threads run on one thread of the system.
    static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    /// Who sleeps, and until when.
    static SLEEPER: RefCell<Option<(Instant, thread::Thread)>> = const { RefCell::new(None) };
}

pub(super) fn begin() {
    PASSED.set(Duration::ZERO);
    // What an execution that failed has left is not to be touched.
    std::mem::forget(SLEEPER.take());
}

/// The same in all executions, which must not differ.
pub(crate) fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

pub(crate) fn now() -> Instant {
    start() + PASSED.get()
}

/// Whether that time has come. If not, the caller sleeps, and is woken when it
/// does.
pub(crate) fn has_come(until: Option<Instant>) -> bool {
    let Some(until) = until else {
        return false;
    };
    if until <= now() {
        return true;
    }
    SLEEPER.set(Some((until, thread::current())));
    false
}

/// Lets time pass.
pub(crate) fn pass(length: Duration) {
    PASSED.set(PASSED.get() + length);
    let due = SLEEPER.with_borrow_mut(|sleeper| sleeper.take_if(|(until, _)| *until <= now()));
    if let Some((_, sleeper)) = due {
        engine::schedule_point();
        sleeper.unpark();
    }
}
