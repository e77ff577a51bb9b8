//! [`Drain`]: the end of a server, in phases.
//!
//! This room has the handle; `run` has the phases and who brings them on,
//! `report` what is told. Nothing here adds state to the tree: the phases are
//! contexts, and whoever is below finds the drain's by a value.

mod phase;
mod report;
mod run;

pub use phase::{Phase, Shutdown};
pub use report::{Report, Waiting};

use crate::cancelled::CancelledOwned;
use crate::context::Context;
use crate::node::{Facets, Given, Kind, Plan};
use crate::sync::park;
use crate::values::Key;
use run::{Limits, Settings, State};
use std::fmt;
use std::future::Future;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

/// Done from the beginning of the nearest drain on.
static DRAINING: Key<Context> = Key::new("draining");

const LIMITS: Limits = Limits {
    soft: Duration::from_secs(20),
    hard: Duration::from_secs(5),
    abort: Duration::ZERO,
};

/// Brings a server to its end: lets what is under way finish, then cancels, then
/// aborts, and says who held it up.
///
/// What it waits for are the contexts that are derived from its
/// [`context`](Drain::context), as long as somebody holds them: give each
/// request, connection and job one of its own, and let it go with the work. A
/// clone of the drain's context itself is not waited for.
///
/// | phase | lasts | what happens |
/// |---|---|---|
/// | [`Running`](Phase::Running) | until [`begin`](Drain::begin) or [`finish`](Drain::finish) | |
/// | [`Draining`](Phase::Draining) | until nobody is left, or for the soft limit | `is_draining` and `draining` tell, here and in all contexts below; no context is cancelled |
/// | [`Cancelling`](Phase::Cancelling) | until nobody is left, or for the hard limit | the context is cancelled, with the cause [`Shutdown`] |
/// | [`Aborting`](Phase::Aborting) | until nobody is left, or for the abort limit, which is zero unless it is set | the tasks of groups below are dropped where they wait |
/// | [`Done`](Phase::Done) | | the [`Report`] names who is left |
///
/// If nobody is left, the phases that are not needed are passed over; the context
/// is cancelled all the same, so that whatever is derived too late is done from
/// the start. If something above cancels the context while the drain runs, that
/// is the beginning of the phase Cancelling, and the cause is the other one's.
///
/// Limits and times go by the clock of the parent. Nothing runs in the
/// background: the drain goes on while somebody is in [`finish`](Drain::finish)
/// or [`finish_blocking`](Drain::finish_blocking).
///
/// What is behind a shield hears `is_draining` and is waited for, but neither
/// cancelled nor aborted. Threads and futures that are no task of a group cannot be
/// aborted: the report names them.
///
/// Clones are the same drain. When the last one is dropped before the end,
/// the drain begins and its context is cancelled at once, as nobody could do it
/// any more; that waits for nobody.
///
/// # Nesting
///
/// A drain may be made below another one. Contexts below both hear the nearest
/// one. The outer one waits for the inner one's context as for any other, that
/// is until the inner [`Drain`] is dropped, and does not begin it: await
/// [`Context::draining`] of its parent for that.
///
/// # Panics
///
/// A panic in a waker, a callback or the closure of `on_waiting` keeps the drain
/// from nothing: it goes on to the end, and the first one is resumed by the call
/// that it came up in, in [`finish`](Drain::finish) instead of the report. The
/// next call of `finish` gives that. Dropping the last clone may panic as
/// [`CancelHandle::cancel`](crate::CancelHandle::cancel) may.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, Drain, Phase};
/// use std::thread;
/// use std::time::Duration;
///
/// let root = Context::background();
/// let drain = Drain::new(&root).soft_limit(Duration::from_secs(10));
///
/// // Each piece of work has a context of its own.
/// let (job, handle) = drain.context().derive().name("job").build();
/// let worker = thread::spawn(move || {
///     while !job.is_draining() {
///         thread::yield_now();
///     }
///     // No new work, but what has begun goes on to its end.
///     assert!(!job.is_cancelled());
/// });
/// drop(handle);
///
/// let report = drain.finish_blocking();
/// assert!(report.is_clean());
/// assert_eq!(report.reached(), Phase::Draining);
/// worker.join().unwrap();
/// ```
#[derive(Clone)]
#[must_use = "dropping the last clone cancels its context at once"]
#[doc(alias = "graceful_shutdown")]
pub struct Drain {
    state: Arc<State>,
}

// What is locked or set is whole at all times, and the closure is called with
// what it says may be called with at any time.
impl UnwindSafe for Drain {}
impl RefUnwindSafe for Drain {}

impl Drain {
    /// A drain with a context of its own below `parent`.
    ///
    /// The line that calls this is the [location](crate::CancelError::location)
    /// of its cancel.
    ///
    /// Unless it is told otherwise, the soft limit is 20 seconds, the hard one 5
    /// more.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, Drain};
    ///
    /// let (root, stop) = Context::background().with_cancel();
    /// let drain = Drain::new(&root);
    /// stop.cancel();
    /// assert!(drain.context().is_cancelled());
    /// assert!(!drain.is_draining());
    /// ```
    #[track_caller]
    pub fn new(parent: &Context) -> Drain {
        let (signal, draining) = Context::background().with_cancel();
        let made = Location::caller();
        let plan = Plan {
            values: vec![Given::new(Some(&DRAINING), signal)],
            birth: Some(parent.node().birth(made)),
            ..Plan::of(Kind::Drain, Facets::CANCELABLE)
        };
        let own = Context::from_node(parent.node().derive(plan));
        let settings = Settings {
            limits: LIMITS,
            on_waiting: None,
        };
        Drain {
            state: Arc::new(State::new(own, made, draining, settings)),
        }
    }

    /// How long what is under way may go on, from the beginning, before it is
    /// cancelled.
    ///
    /// Zero: it is cancelled at once. A length that leads beyond what the clock
    /// can tell, as [`Duration::MAX`], is no limit. For all clones; once the drain
    /// has begun it changes nothing.
    pub fn soft_limit(self, limit: Duration) -> Drain {
        self.state.settings().limits.soft = limit;
        self
    }

    /// How long what was cancelled may go on, from the cancel, before it is
    /// aborted or given up.
    ///
    /// As [`soft_limit`](Drain::soft_limit) otherwise.
    pub fn hard_limit(self, limit: Duration) -> Drain {
        self.state.settings().limits.hard = limit;
        self
    }

    /// How long to wait, from the hard limit, until the tasks that were aborted
    /// are gone.
    ///
    /// Zero unless it is set: then the report names them, as they are there at
    /// that moment. A task whose thread blocks goes when it does not block any
    /// more. As [`soft_limit`](Drain::soft_limit) otherwise.
    pub fn abort_limit(self, limit: Duration) -> Drain {
        self.state.settings().limits.abort = limit;
        self
    }

    /// What to do while the drain waits, instead of a line on the standard error
    /// output: it is given whom it waits for.
    ///
    /// It is called a second after the beginning, two seconds after, four, and so
    /// on; not for times that nobody was there to see, and not if nobody is left.
    /// It runs within [`finish`](Drain::finish), in one of them if there are
    /// several: while it blocks, that one goes no further. It may use the
    /// drain. It is dropped at the end of the drain, so it may hold the drain,
    /// too.
    ///
    /// For all clones; a second one replaces the first.
    ///
    /// # Examples
    ///
    /// See [`Waiting`].
    pub fn on_waiting(self, f: impl Fn(&Waiting) + Send + Sync + 'static) -> Drain {
        let old = self.state.settings().on_waiting.replace(Arc::new(f));
        // What it holds goes when nothing is locked.
        drop(old);
        self
    }

    /// The context from which all that is waited for is derived.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, Drain};
    ///
    /// let drain = Drain::new(&Context::background());
    /// let (request, _handle) = drain.context().with_cancel();
    /// drain.begin();
    /// assert!(request.is_draining() && !request.is_cancelled());
    /// ```
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.state.context
    }

    /// How far it is.
    ///
    /// # Memory ordering
    ///
    /// Acquire: what was done before the phase began is visible.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.state.phase()
    }

    /// Whether it has begun, and stays true: see [`Context::is_draining`].
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.state.draining().is_cancelled()
    }

    /// A future that is ready when the drain begins: see [`Context::draining`].
    pub fn draining(&self) -> Draining {
        Draining::on(self.state.draining())
    }

    /// Begins the drain, if nobody has. True = this call did.
    ///
    /// The contexts below hear it before this returns. Nothing is waited for, and
    /// nothing further happens, until somebody calls [`finish`](Drain::finish);
    /// the soft limit counts from here. So a thread or a task that waits for the
    /// signal may call this, and `main` finish. It walks over all that lives below
    /// once, to count it.
    ///
    /// # Panics
    ///
    /// As [`CancelHandle::cancel`](crate::CancelHandle::cancel): with what the waker
    /// of somebody who waits for [`draining`](Drain::draining) threw.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, Drain};
    ///
    /// let drain = Drain::new(&Context::background());
    /// assert!(drain.begin());
    /// assert!(!drain.begin());
    /// assert!(drain.is_draining());
    /// assert!(!drain.context().is_cancelled());
    /// ```
    pub fn begin(&self) -> bool {
        self.state.begin()
    }

    /// Begins the drain, if nobody has, and brings it to its end.
    ///
    /// Needs no runtime of its own: it is woken by the timers of the drain's clock
    /// and by those who let go of their contexts. It may be called several
    /// times, at once too: all get the same report.
    ///
    /// # Cancel safety
    ///
    /// Dropping it half-way loses nothing: the drain is where it is, and stands
    /// still until somebody else is in `finish`. The limits go on.
    ///
    /// # Panics
    ///
    /// See [`Drain`].
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, Drain};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let drain = Drain::new(&Context::background());
    /// let (request, _) = drain.context().with_cancel();
    /// let signal = drain.draining();
    /// tokio::spawn(async move {
    ///     // An accept loop, `with_graceful_shutdown` and the like take it.
    ///     signal.await;
    ///     drop(request);
    /// });
    /// let report = drain.finish().await;
    /// assert_eq!((report.at_begin(), report.at_cancel()), (1, 0));
    /// # });
    /// ```
    pub async fn finish(&self) -> Report {
        self.state.finish().await
    }

    /// As [`finish`](Drain::finish), and blocks the thread meanwhile.
    ///
    /// Not for a thread that others need to come to their end, such as the only
    /// one of a runtime.
    ///
    /// # Panics
    ///
    /// See [`Drain`].
    pub fn finish_blocking(&self) -> Report {
        let mut finish = pin!(self.state.finish());
        park::block_on(|waker| {
            let mut task = task::Context::from_waker(waker);
            match finish.as_mut().poll(&mut task) {
                Poll::Ready(report) => Some(report),
                Poll::Pending => None,
            }
        })
    }
}

/// Prints the phase and the context. Never blocks.
impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain")
            .field("phase", &self.phase())
            .field("context", self.context())
            .finish()
    }
}

/// Waits until a drain begins. Made by [`Drain::draining`] and
/// [`Context::draining`].
///
/// It owns what it waits for, and keeps neither the drain nor any context below
/// it: a server can be given it. Polled again after it was ready, it is
/// ready again.
///
/// # Cancel safety
///
/// As [`CancelledOwned`]: dropping it leaves nothing behind.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, Drain};
/// use std::future::Future;
/// use std::pin::Pin;
/// use std::task::{Context as Task, Waker};
///
/// let drain = Drain::new(&Context::background());
/// let mut draining = drain.draining();
/// let mut task = Task::from_waker(Waker::noop());
/// assert!(Pin::new(&mut draining).poll(&mut task).is_pending());
/// drain.begin();
/// assert!(Pin::new(&mut draining).poll(&mut task).is_ready());
/// ```
#[must_use = "a wait does nothing unless it is polled"]
pub struct Draining {
    signal: CancelledOwned,
}

impl Draining {
    fn on(signal: &Context) -> Draining {
        Draining {
            signal: signal.clone().cancelled_owned(),
        }
    }
}

impl Future for Draining {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<()> {
        Pin::new(&mut self.signal).poll(task).map(|_| ())
    }
}

/// Prints whether the drain has begun. Never blocks.
impl fmt::Debug for Draining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begun = self.signal.context().is_cancelled();
        f.debug_struct("Draining").field("begun", &begun).finish()
    }
}

impl Context {
    /// Whether the nearest [`Drain`] above has begun; false if there is none.
    ///
    /// Whoever takes on work asks: a readiness check, an accept loop, a stream
    /// that would go on for ever. It says nothing about being cancelled: that
    /// comes later, or before if something else cancels. Once true it stays
    /// true, also when the drain is over.
    ///
    /// Costs a lookup of a value and an atomic load. It is heard behind shields.
    ///
    /// # Memory ordering
    ///
    /// Acquire: when this says true, everything that the thread that began did
    /// before is visible.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, Drain};
    ///
    /// let drain = Drain::new(&Context::background());
    /// let (request, _handle) = drain.context().with_cancel();
    /// let log = request.without_cancel();
    /// drain.begin();
    /// assert!(request.is_draining() && log.is_draining());
    /// assert!(!Context::background().is_draining());
    /// ```
    #[must_use]
    #[inline]
    pub fn is_draining(&self) -> bool {
        self.get(&DRAINING).is_some_and(Context::is_cancelled)
    }

    /// A future that is ready when the nearest [`Drain`] above begins. If there
    /// is none, never.
    ///
    /// It keeps no context that would be waited for. All who wait do so on one
    /// context of the drain's: a wait for each connection is well, for each
    /// request [`is_draining`](Context::is_draining) is better.
    ///
    /// # Cancel safety
    ///
    /// See [`Draining`].
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, Drain};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let drain = Drain::new(&Context::background());
    /// let (stream, _handle) = drain.context().with_cancel();
    /// drain.begin();
    /// stream.draining().await;
    /// # });
    /// ```
    pub fn draining(&self) -> Draining {
        match self.get(&DRAINING) {
            Some(signal) => Draining::on(signal),
            None => Draining::on(&Context::background()),
        }
    }
}
