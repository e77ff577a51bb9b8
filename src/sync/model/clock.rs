//! The clock of a model: it stands still until the model lets time pass.

use std::time::{Duration, Instant};

struct Clock {
    start: Instant,
    passed: Duration,
    /// Who sleeps, and until when.
    sleeper: Option<(Option<Instant>, loom::thread::Thread)>,
}

loom::lazy_static! {
    static ref CLOCK: loom::sync::Mutex<Clock> = loom::sync::Mutex::new(Clock {
        start: Instant::now(),
        passed: Duration::ZERO,
        sleeper: None,
    });
}

pub(crate) fn now() -> Instant {
    let clock = CLOCK.lock().expect("nobody panics here");
    clock.start + clock.passed
}

/// Whether that time has come. If not, the caller sleeps, and is woken when it
/// does.
pub(crate) fn has_come(until: Option<Instant>) -> bool {
    let mut clock = CLOCK.lock().expect("nobody panics here");
    let now = clock.start + clock.passed;
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
    let now = clock.start + clock.passed;
    if let Some((Some(until), sleeper)) = &clock.sleeper {
        if *until <= now {
            sleeper.unpark();
        }
    }
}
