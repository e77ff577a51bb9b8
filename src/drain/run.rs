//! The phases of a drain, and who brings it from one to the next.
//!
//! # How it works
//!
//! Each phase is told by contexts that are done from then on, so that waiting
//! for one is a wait like any other:
//!
//! | phase | is reached when |
//! |---|---|
//! | Running | |
//! | Draining | `draining` is done |
//! | Cancelling | the drain's own context is done too, whoever cancelled it |
//! | Aborting | `aborting` is done |
//! | Done | `done` is done |
//!
//! All but the drain's own are roots: nobody who waits for the contexts below
//! the drain's waits for them. The same holds of the contexts whose deadlines
//! are the timers here.
//!
//! Nothing runs in the background. Whoever is in [`State::finish`] brings the
//! drain on, any number of them at a time and each on its own: a step that was
//! taken by another one does nothing. What one leaves half-way the next one goes
//! on with, by the times and counts that are kept here.
//!
//! # When nobody is left
//!
//! Nobody held a context in one moment of the phase Draining, but the next
//! request may be on its way. So the context is cancelled then, too, from where
//! on whatever is derived is done from the start, and who came between is waited
//! for as all others are. A cancel is visible before it has gone through the
//! tree, so whoever finds the phase Cancelling cancels again: when that returns,
//! the lists of children are closed, and no thread derives a live one (T1).
//!
//! Each limit counts from the moment the phase was due, not from when somebody
//! got to it.
//!
//! User's code runs in the wakes of what is cancelled, in the closure that is
//! told whom we wait for, and in the clock. It holds up only who runs it; nothing
//! is locked meanwhile.
//!
//! Models: `drain_vs_last_drop`, `drain_vs_cancel_from_above`.

use super::report::{Report, Stragglers, Waiting};
use super::{Phase, Shutdown};
use crate::context::Context;
use crate::error::Cause;
use crate::handle::CancelHandle;
use crate::protocol::Thrown;
use crate::time;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

/// When whom we wait for is told first. The time doubles from then on.
const FIRST_TOLD: Duration = Duration::from_secs(1);

pub(super) type OnWaiting = dyn Fn(&Waiting) + Send + Sync;

/// How long each phase may take.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) soft: Duration,
    pub(super) hard: Duration,
    pub(super) abort: Duration,
}

/// What may be chosen.
pub(super) struct Settings {
    pub(super) limits: Limits,
    pub(super) on_waiting: Option<Arc<OnWaiting>>,
}

/// The beginning of a phase.
struct Mark {
    /// When it was due.
    at: Instant,
    /// How many contexts were held then.
    count: usize,
}

/// What the clones of one drain share.
pub(super) struct State {
    pub(super) context: Context,
    /// The line that made the drain: who cancels, as far as anybody can tell.
    made: &'static Location<'static>,
    draining: CancelHandle,
    aborting: CancelHandle,
    done: CancelHandle,
    /// Below it the time is that of `context`, and nothing else.
    time: Context,
    settings: Mutex<Settings>,
    /// The beginning, and what was chosen by then.
    begun: OnceLock<(Mark, Limits)>,
    cancelled: OnceLock<Mark>,
    aborted: OnceLock<Mark>,
    /// After how long whom we wait for is told next.
    next_told: Mutex<Duration>,
    report: OnceLock<Report>,
}

impl State {
    /// The state of a drain whose context was made with `draining`.
    pub(super) fn new(
        context: Context,
        made: &'static Location<'static>,
        draining: CancelHandle,
        settings: Settings,
    ) -> State {
        let signal = || Context::background().with_cancel().1;
        let time = context.elsewhere();
        State {
            context,
            made,
            draining,
            aborting: signal(),
            done: signal(),
            time,
            settings: Mutex::new(settings),
            begun: OnceLock::new(),
            cancelled: OnceLock::new(),
            aborted: OnceLock::new(),
            next_told: Mutex::new(FIRST_TOLD),
            report: OnceLock::new(),
        }
    }

    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    pub(super) fn draining(&self) -> &Context {
        self.draining.context()
    }

    pub(super) fn phase(&self) -> Phase {
        let is_done = |signal: &CancelHandle| signal.context().is_cancelled();
        if is_done(&self.done) {
            Phase::Done
        } else if is_done(&self.aborting) {
            Phase::Aborting
        } else if !is_done(&self.draining) {
            Phase::Running
        } else if self.context.is_cancelled() {
            Phase::Cancelling
        } else {
            Phase::Draining
        }
    }

    /// True = this call began the drain.
    pub(super) fn begin(&self) -> bool {
        if self.draining().is_cancelled() {
            return false;
        }
        if self.begun.get().is_none() {
            let limits = self.settings().limits;
            // Another one may be faster: the first one's is what counts.
            let _ = self.begun.set((self.mark(self.now()), limits));
        }
        self.draining.cancel()
    }

    /// Brings the drain to its end.
    pub(super) async fn finish(&self) -> Report {
        let mut thrown = Thrown::new();
        thrown.catch(|| {
            self.begin();
        });
        loop {
            let phase = self.phase();
            let limit = match phase {
                Phase::Running => {
                    // What keeps it from beginning is a panic of the clock's.
                    thrown.resume();
                    unreachable!("it has begun");
                }
                Phase::Draining => self.limit(|limits| limits.soft, &self.begun().0),
                Phase::Cancelling => {
                    // The phase is seen before the cancel has gone through all
                    // below. When this returns, it has.
                    thrown.catch(|| self.shut_down());
                    self.limit(|limits| limits.hard, self.cancelled_at(None))
                }
                Phase::Aborting => self.limit(|limits| limits.abort, self.aborted_at(None)),
                Phase::Done => break,
            };
            let idle = self.pause(phase, limit).await;
            let late = limit.filter(|&at| self.now() >= at);
            match phase {
                _ if self.done.context().is_cancelled() => {}
                Phase::Draining if idle || late.is_some() => {
                    self.cancel(idle, late, &mut thrown);
                }
                Phase::Cancelling if !idle && late.is_some() => self.abort(late, &mut thrown),
                Phase::Cancelling | Phase::Aborting if idle || late.is_some() => {
                    self.end(idle, &mut thrown);
                }
                _ => self.tell(&mut thrown),
            }
        }
        thrown.resume();
        self.report.get().expect("set before `done`").clone()
    }

    /// Waits until nobody is left (true), the phase has ended, its limit has
    /// come, or it is time to tell whom we wait for.
    async fn pause(&self, phase: Phase, limit: Option<Instant>) -> bool {
        let next = match phase {
            Phase::Running | Phase::Draining => &self.context,
            Phase::Cancelling => self.aborting.context(),
            Phase::Aborting | Phase::Done => self.done.context(),
        };
        let told = self.begun().0.at.checked_add(*lock(&self.next_told));
        let at = limit.into_iter().chain(told).min();
        let timer = at.map(|at| self.time.with_deadline(at));
        let mut time = timer.as_ref().map(|(timer, _)| timer.cancelled());
        let mut idle = pin!(self.context.idle());
        let mut next = pin!(next.cancelled());
        let mut done = pin!(self.done.context().cancelled());
        poll_fn(|task| {
            // First: who is gone at the very limit is not late.
            if idle.as_mut().poll(task).is_ready() {
                return Poll::Ready(true);
            }
            let time = time.as_mut().map(|time| pin!(time).poll(task).is_ready());
            let ended = next.as_mut().poll(task).is_ready() || done.as_mut().poll(task).is_ready();
            match ended || time == Some(true) {
                true => Poll::Ready(false),
                false => Poll::Pending,
            }
        })
        .await
    }

    /// Tells all to stop; `idle` if nobody is there to be told.
    fn cancel(&self, idle: bool, due: Option<Instant>, thrown: &mut Thrown) {
        if idle {
            let at = self.now();
            let _ = self.cancelled.set(Mark { at, count: 0 });
        } else {
            self.cancelled_at(due);
        }
        thrown.catch(|| self.shut_down());
    }

    /// When this returns, all below is done, and whatever is derived is done from
    /// the start, whoever cancelled (V3, V5).
    fn shut_down(&self) {
        let node = self.context.node();
        node.cancel(Some(Cause::new(Shutdown)), self.made);
    }

    /// Has the tasks dropped that did not stop.
    fn abort(&self, due: Option<Instant>, thrown: &mut Thrown) {
        self.aborted_at(due);
        // Before the phase is told: who sees it may rely on it.
        thrown.catch(|| self.context.node().abort_tasks());
        thrown.catch(|| {
            self.aborting.cancel();
        });
    }

    fn end(&self, idle: bool, thrown: &mut Thrown) {
        if self.report.get().is_none() {
            let report = self.report_now(idle);
            let _ = self.report.set(report);
        }
        // It may hold the drain itself.
        let on_waiting = self.settings().on_waiting.take();
        thrown.catch(|| drop(on_waiting));
        thrown.catch(|| {
            self.done.cancel();
        });
    }

    fn report_now(&self, idle: bool) -> Report {
        let begun = &self.begun().0;
        let count = |mark: &OnceLock<Mark>| mark.get().map_or(0, |mark| mark.count);
        let at_cancel = count(&self.cancelled);
        Report {
            reached: match self.aborted.get() {
                Some(_) => Phase::Aborting,
                None if at_cancel > 0 => Phase::Cancelling,
                None => Phase::Draining,
            },
            took: self.now().saturating_duration_since(begun.at),
            at_begin: begun.count,
            at_cancel,
            at_abort: count(&self.aborted),
            stragglers: if idle {
                Stragglers::none()
            } else {
                self.stragglers()
            },
        }
    }

    /// Tells whom we wait for, if it is time to.
    fn tell(&self, thrown: &mut Thrown) {
        let elapsed = self.now().saturating_duration_since(self.begun().0.at);
        {
            let mut next = lock(&self.next_told);
            if elapsed < *next {
                return;
            }
            while *next <= elapsed && *next < Duration::MAX {
                *next = next.saturating_mul(2);
            }
        }
        let stragglers = self.stragglers();
        if stragglers.is_empty() {
            return;
        }
        let waiting = Waiting::new(self.phase(), elapsed, stragglers);
        let on_waiting = self.settings().on_waiting.clone();
        thrown.catch(move || match on_waiting {
            Some(told) => told(&waiting),
            None => waiting.print(),
        });
    }

    /// The contexts below that somebody holds.
    fn stragglers(&self) -> Stragglers {
        let tree = self.context.tree();
        let below = tree.nodes().skip(1).filter(|node| !node.is_orphaned());
        Stragglers::new(below.cloned().collect())
    }

    fn begun(&self) -> &(Mark, Limits) {
        self.begun.get().expect("set before `draining`")
    }

    fn cancelled_at(&self, due: Option<Instant>) -> &Mark {
        self.mark_in(&self.cancelled, due)
    }

    fn aborted_at(&self, due: Option<Instant>) -> &Mark {
        self.mark_in(&self.aborted, due)
    }

    /// The beginning of a phase: as somebody has told it, or just now.
    fn mark_in<'s>(&self, mark: &'s OnceLock<Mark>, due: Option<Instant>) -> &'s Mark {
        if mark.get().is_none() {
            // Not in `get_or_init`: clocks are user's code.
            let at = due.unwrap_or_else(|| self.now());
            let _ = mark.set(self.mark(at));
        }
        mark.get().expect("set just now, or before")
    }

    fn mark(&self, at: Instant) -> Mark {
        let tree = self.context.tree();
        let below = tree.nodes().skip(1);
        Mark {
            at,
            count: below.filter(|node| !node.is_orphaned()).count(),
        }
    }

    /// When a phase is over at the latest. None: too far away to tell.
    fn limit(&self, of: impl FnOnce(&Limits) -> Duration, since: &Mark) -> Option<Instant> {
        since.at.checked_add(of(&self.begun().1))
    }

    fn now(&self) -> Instant {
        time::with(self.time.node(), |clockwork| clockwork.engine().now())
    }
}

/// Nobody can finish it any more: what is below is told so.
impl Drop for State {
    fn drop(&mut self) {
        let mut thrown = Thrown::new();
        if self.phase() != Phase::Done {
            thrown.catch(|| {
                self.draining.cancel();
            });
            thrown.catch(|| self.shut_down());
        }
        let on_waiting = self.settings().on_waiting.take();
        thrown.catch(|| drop(on_waiting));
        thrown.resume();
    }
}

/// What is locked is whole at all times.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
