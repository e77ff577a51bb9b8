//! A future that is polled by its own waker: no executor and no thread.
//!
//! # How it works
//!
//! The future is polled once by who makes the listener, and then by whoever wakes
//! it. When it is ready it is dropped, and then the closure is called, by the
//! thread that polled last. Dropping the listener ends it before.
//!
//! | state | the future and the closure are with | a wake |
//! |---|---|---|
//! | `Idle` | the state | takes them out and polls: `Polling` |
//! | `Polling` | the thread that polls | leaves a note: `Woken` |
//! | `Woken` | the thread that polls, which polls again | changes nothing |
//! | `Over` | nobody, or the thread that polls, which drops them | changes nothing |
//!
//! # Invariants
//!
//! - **Q1** One thread at a time polls: the one that took the work out of the state.
//! - **Q2** The work is put back only if no wake came since the poll began, so no wake
//!   is lost.
//! - **Q3** The closure is called once at most, and not by a thread that finds the
//!   state `Over`.
//! - **Q4** Nobody else's code runs under the lock: neither a poll, nor a waker, nor
//!   the drop of the future or the closure.
//!
//! The future owns its waker, and the waker the state that may own the future. That
//! cycle ends when the future is ready or the listener goes, whichever is first.
//!
//! # Orderings
//!
//! Those of the lock: what was done before a wake is visible to the poll that the
//! wake makes, or that its note asks for.
//!
//! Progress: the lock is held for some instructions, and nobody waits for a poll. A
//! future that wakes itself in each poll is polled without an end, on one thread.
//!
//! Models: `listener_vs_ready`, `listener_vs_early_wake`, `listener_vs_drop`,
//! `listener_drop_vs_early_wake`.

use crate::payload::forget;
use crate::sync::{Lock, Site, recheck};
use std::mem::replace;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Wake, Waker};

/// What is called when the future is ready.
type Then = Box<dyn FnOnce() + Send>;

/// See the head of this file. Dropping it ends it.
pub(crate) struct Listener<F: Future<Output = ()> + Send + 'static>(Arc<Shared<F>>);

struct Shared<F>(Lock<State<F>>);

enum State<F> {
    Idle(Work<F>),
    Polling,
    Woken,
    Over,
}

/// The future goes first.
struct Work<F> {
    future: Pin<Box<F>>,
    then: Then,
}

impl<F: Future<Output = ()> + Send + 'static> Listener<F> {
    /// Polls `future`, here first, and calls `then` when it is ready: here, if it
    /// is at once. A panic of `then` comes out of here only if it is called here.
    pub(crate) fn new(future: F, then: Then) -> Self {
        let shared = Arc::new(Shared(Lock::new(State::Polling)));
        let listener = Self(shared.clone());
        let future = Box::pin(future);
        shared.poll(Work { future, then });
        listener
    }
}

impl<F: Future<Output = ()> + Send + 'static> Drop for Listener<F> {
    fn drop(&mut self) {
        // Dropped behind the lock (Q4).
        let before = self.0.0.with(|state| replace(state, State::Over));
        drop(before);
    }
}

impl<F: Future<Output = ()> + Send + 'static> Shared<F> {
    /// A wake: polls, or has the thread poll again that does.
    fn woken(self: Arc<Self>) {
        let work = self.0.with(|state| match replace(state, State::Polling) {
            State::Idle(work) => Some(work),
            State::Polling | State::Woken => {
                *state = State::Woken;
                None
            }
            State::Over => {
                *state = State::Over;
                None
            }
        });
        if let Some(work) = work {
            self.poll(work);
        }
    }

    /// Polls until there is nothing to do. The work was just taken out (Q1).
    fn poll(self: Arc<Self>, mut work: Work<F>) {
        let waker = Waker::from(self.clone());
        let mut task = Task::from_waker(&waker);
        loop {
            if work.future.as_mut().poll(&mut task).is_ready() {
                let before = self.0.with(|state| replace(state, State::Over));
                let Work { future, then } = work;
                drop(future);
                // Ended while it was polled: nobody wants to know (Q3).
                if !matches!(before, State::Over) {
                    then();
                }
                return;
            }
            match self.0.with(|state| state.settle(work)) {
                Settled::Idle => return,
                Settled::Again(again) => work = again,
                Settled::Over(over) => return drop(over),
            }
        }
    }
}

/// What is to be done after a poll that was not ready.
enum Settled<F> {
    Idle,
    Again(Work<F>),
    Over(Work<F>),
}

impl<F> State<F> {
    /// Puts `work` back, unless something came since the poll began.
    fn settle(&mut self, work: Work<F>) -> Settled<F> {
        match self {
            State::Over => return Settled::Over(work),
            // Again: who woke meanwhile has left it to us to poll (Q2).
            State::Woken if recheck(Site::ListenAgain) => {
                *self = State::Polling;
                return Settled::Again(work);
            }
            State::Idle(_) | State::Polling | State::Woken => {}
        }
        *self = State::Idle(work);
        Settled::Idle
    }
}

impl<F: Future<Output = ()> + Send + 'static> Wake for Shared<F> {
    fn wake(self: Arc<Self>) {
        // Whoever wakes has others to wake, and may forget them in a panic. The
        // panic hook has reported it.
        let woken = catch_unwind(AssertUnwindSafe(|| self.woken()));
        woken.unwrap_or_else(forget);
    }
}
