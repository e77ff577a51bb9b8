//! A thread that sleeps until the next deadline.
//!
//! # How it works
//!
//! One word says what there is:
//!
//! | state | meaning | a wake |
//! |---|---|---|
//! | `NONE` | no thread | starts one |
//! | `RUNNING` | it runs or sleeps, and has heard every wake so far | unparks it |
//! | `WOKEN` | it will run again, or is being started | does nothing |
//!
//! ```text
//!   NONE ──wake──► WOKEN ◄──wake── RUNNING
//!     ▲              └─────run──────► │
//!     └──────────nothing left─────────┘
//! ```
//!
//! The thread takes WOKEN back before it looks for what is due, so a wake that
//! comes during the look makes it look again. It stops by a compare-and-swap
//! from RUNNING, which a wake before that defeats.
//!
//! Models: `driver_arm_vs_sleep`, `driver_arm_vs_stop`, `driver_move_vs_sleep`,
//! `driver_that_cannot_start`.

use super::driver;
use crate::protocol::Thrown;
use crate::sync::Ordering::{AcqRel, Relaxed};
use crate::sync::park::Sleeper;
use crate::sync::{AtomicU32, Site, Swap, Trace, clock, limits, spawn};
use crate::timer::{Clockwork, Engine, Moment};
use std::io::{self, Write};
use std::sync::{Arc, Once, Weak};
use std::time::Instant;

const NONE: u32 = 0;
const RUNNING: u32 = 1;
const WOKEN: u32 = 2;

/// What the thread and those who wake it share.
struct State {
    word: AtomicU32,
    sleeper: Swap<Sleeper>,
    /// What came before the wakes, and is for the run that takes them.
    before_wake: Trace,
    /// The sleeper, which is for those who wake.
    before_run: Trace,
}

pub(super) struct ThreadDriver {
    state: Arc<State>,
    /// Bytes; the system's default if none.
    stack: Option<usize>,
}

impl ThreadDriver {
    pub(super) fn new() -> Self {
        Self {
            state: Arc::new(State {
                word: AtomicU32::new(NONE),
                sleeper: Swap::new(),
                before_wake: Trace::new(),
                before_run: Trace::new(),
            }),
            stack: None,
        }
    }

    /// One whose thread cannot be started: no memory holds its stack.
    #[cfg(feature = "internal-model")]
    pub(super) fn unable() -> Self {
        let mut driver = Self::new();
        driver.stack = Some(1 << 46);
        driver
    }

    fn start(&self, clockwork: &Arc<Clockwork>) {
        let (state, timers) = (self.state.clone(), Arc::downgrade(clockwork));
        let run = move || drive(&state, &timers);
        if let Err(error) = spawn("ctxtree-timers", self.stack, run) {
            self.without_thread(clockwork, &error);
        }
    }

    /// There is no thread: this one fires what is due, and the next that arms
    /// tries again.
    #[cold]
    fn without_thread(&self, clockwork: &Clockwork, error: &io::Error) {
        static REPORT: Once = Once::new();
        REPORT.call_once(|| {
            // Nobody may be there to read it.
            let _ = writeln!(
                io::stderr(),
                "ctxtree: the timer thread cannot be started: {error}; \
                 deadlines are noticed when the next one is armed"
            );
        });
        let mut thrown = Thrown::new();
        driver::run(clockwork, &mut thrown);
        thrown.forget();
        clockwork.nobody_sleeps();
        // Relaxed, by a read-modify-write, so that each wake is before it or after:
        // what was done here comes before the next run by the role at each wheel.
        // A wake from before it is lost, as said above.
        self.state.word.swap(NONE, Relaxed, Site::DriverStartFailed);
    }
}

impl Engine for ThreadDriver {
    fn now(&self) -> Instant {
        clock::now()
    }

    fn drives_itself(&self) -> bool {
        true
    }

    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    fn is_system_time(&self) -> bool {
        true
    }

    fn wake(&self, clockwork: &Arc<Clockwork>) {
        // Release: a moment that was changed without a push is seen after the run
        // that takes this wake; meets the Acquire in `drive`. Acquire: shows the
        // sleeper of the thread that runs, to who has pushed nothing; meets the
        // Release there.
        let mark = self.state.before_wake.leave();
        let before = self.state.word.swap(WOKEN, AcqRel, Site::DriverWake);
        self.state.before_wake.left(mark);
        match before {
            NONE => self.start(clockwork),
            RUNNING => {
                self.state.before_run.check();
                if let Some(sleeper) = self.state.sleeper.load() {
                    sleeper.wake();
                }
            }
            _ => {}
        }
    }
}

impl Drop for ThreadDriver {
    fn drop(&mut self) {
        // Relaxed: a thread that sleeps gave the timers back before, so that their
        // count shows its sleeper; one that does not finds them gone.
        if self.state.word.swap(WOKEN, Relaxed, Site::DriverGone) == RUNNING {
            if let Some(sleeper) = self.state.sleeper.load() {
                sleeper.wake();
            }
        }
    }
}

/// The thread. It keeps the timers only while it runs them.
fn drive(state: &State, timers: &Weak<Clockwork>) {
    state.sleeper.store(Some(Arc::new(Sleeper::current())));
    loop {
        // Acquire: shows moments that were changed before the wakes so far, to be
        // handed on to who is about to push; meets the Release in `wake`.
        // Release: shows the sleeper; meets the Acquire there.
        let mark = state.before_run.leave();
        state.word.swap(RUNNING, AcqRel, Site::DriverRun);
        state.before_run.left(mark);
        state.before_wake.check();
        let Some(clockwork) = timers.upgrade() else {
            return;
        };
        let mut thrown = Thrown::new();
        let next = driver::run(&clockwork, &mut thrown);
        thrown.forget();
        // If this was the last one, its driver wakes this thread once more.
        drop(clockwork);
        let nothing = next.at == Moment::NEVER && !next.busy;
        let until = match next.at.instant() {
            Some(at) => Some(at),
            None if nothing => Some(clock::now() + limits::LINGER),
            None => None,
        };
        let woken = sleep(state, until);
        if nothing && !woken {
            // Relaxed, both: the next thread gets the timers by the requests, and
            // whoever starts it acquires the Release of the run before, which
            // this continues. On failure woken, so the run comes next.
            let stopped =
                state
                    .word
                    .compare_exchange(RUNNING, NONE, Relaxed, Relaxed, Site::DriverExit);
            if stopped.is_ok() {
                return;
            }
        }
    }
}

/// Sleeps until then. True if woken before.
fn sleep(state: &State, until: Option<Instant>) -> bool {
    loop {
        // Relaxed: the next run acquires what came before the wake.
        if state.word.load(Relaxed, Site::DriverLook) != RUNNING {
            return true;
        }
        if !Sleeper::sleep(until) {
            return false;
        }
    }
}
