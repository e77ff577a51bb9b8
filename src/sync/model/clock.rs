//! The clock of a model: it stands still until the model lets time pass.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

struct Clock {
    passed: Duration,
    /// Who sleeps, and until when.
    sleeper: Option<(Option<Instant>, loom::thread::Thread)>,
}

loom::lazy_static! {
    static ref CLOCK: loom::sync::Mutex<Clock> = loom::sync::Mutex::new(Clock {
        passed: Duration::ZERO,
        sleeper: None,
    });
}

/// The same in all executions, which must not differ.
pub(crate) fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

pub(crate) fn now() -> Instant {
    let clock = CLOCK.lock().expect("nobody panics here");
    start() + clock.passed
}

/// Whether that time has come. If not, the caller sleeps, and is woken when it
/// does.
pub(crate) fn has_come(until: Option<Instant>) -> bool {
    let mut clock = CLOCK.lock().expect("nobody panics here");
    let now = start() + clock.passed;
    if until.is_some_and(|until| until <= now) {
        return true;
    }
    clock.sleeper = Some((until, loom::thread::current()));
    false
}

/// Lets time pass.
pub(crate) fn pass(length: Duration) {
    let mut clock = CLOCK.lock().expect("nobody panics here");
    clock.passed += length;
    let now = start() + clock.passed;
    if let Some((Some(until), sleeper)) = &clock.sleeper {
        if *until <= now {
            sleeper.unpark();
        }
    }
}
