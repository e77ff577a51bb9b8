//! A task of a tokio runtime that sleeps until the next deadline.
//!
//! # How it works
//!
//! The task runs the timers, and sleeps until the next one by the runtime's
//! timers. A wake leaves it a permit, so one that comes while it runs makes it
//! run again. It is spawned with the timers, and there is no state in which a
//! wake could be lost: a task that has nothing to do is asleep without a timer,
//! and is no work for the runtime.
//!
//! The task keeps the timers only while it runs them. Whoever lets go of them
//! last, a handle or a context, aborts it. Armed deadlines are kept by their
//! contexts, so it does not end before them.
//!
//! When the runtime shuts down it drops the task, which says so on its way:
//! then nobody sleeps, and whoever arms fires what has come, as where the thread
//! of the thread driver cannot be started. A runtime that has shut down
//! drops the task as it is spawned, which is the same.

use super::{Timers, driver};
use crate::timer::{Clockwork, Engine};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{sleep_until, timeout_at};

/// What the task and those who wake it share.
#[derive(Default)]
struct Shared {
    woken: Notify,
    task: OnceLock<AbortHandle>,
}

struct TokioDriver {
    handle: Handle,
    /// Whether the time of the runtime can be another than the system's.
    may_pause: bool,
    shared: Arc<Shared>,
}

impl TokioDriver {
    fn runtime_now(&self) -> Instant {
        let here = Handle::try_current();
        if here.is_err_and(|error| error.is_thread_local_destroyed()) {
            // A thread past its thread-locals cannot enter.
            return Instant::now();
        }
        let _entered = self.handle.enter();
        tokio::time::Instant::now().into_std()
    }
}

impl Engine for TokioDriver {
    fn now(&self) -> Instant {
        if self.may_pause {
            self.runtime_now()
        } else {
            Instant::now()
        }
    }

    fn wake(&self, clockwork: &Arc<Clockwork>) {
        let task = self.shared.task.get();
        if task.is_some_and(AbortHandle::is_finished) {
            without_task(clockwork);
        } else {
            self.shared.woken.notify_one();
        }
    }

    fn drives_itself(&self) -> bool {
        true
    }

    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    fn is_system_time(&self) -> bool {
        // Time that was ever paused lies before the system's, or ahead of it.
        let before = Instant::now();
        let now = self.now();
        before <= now && now <= Instant::now()
    }
}

impl Drop for TokioDriver {
    fn drop(&mut self) {
        if let Some(task) = self.shared.task.get() {
            task.abort();
        }
    }
}

/// The runtime is gone: this thread fires what is due, and so does the next that
/// arms.
#[cold]
fn without_task(clockwork: &Arc<Clockwork>) {
    driver::drive(clockwork);
    clockwork.nobody_sleeps();
}

/// The task's timers. Says that nobody sleeps when the task is dropped.
struct Kept(Weak<Clockwork>);

impl Kept {
    /// Fires what is due, and says when there is more. Fails if nobody has the
    /// timers any more.
    fn run(&self) -> Option<Option<Instant>> {
        let clockwork = self.0.upgrade()?;
        Some(driver::drive(&clockwork))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(clockwork) = self.0.upgrade() {
            clockwork.nobody_sleeps();
        }
    }
}

/// The task.
async fn drive(shared: Arc<Shared>, kept: Kept) {
    while let Some(next) = kept.run() {
        let woken = shared.woken.notified();
        match next {
            // Woken or not, it runs.
            Some(at) => drop(timeout_at(at.into(), woken).await),
            None => woken.await,
        }
    }
}

#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
impl Timers {
    /// Timers that a task of the current tokio runtime wakes, by its time.
    ///
    /// As [`tokio_on`](Timers::tokio_on).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, and in one without timers
    /// (`Builder::enable_time`).
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, Reason, time::Timers};
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Builder::new_current_thread()
    /// #     .enable_time().start_paused(true).build().unwrap().block_on(async {
    /// // In a test with `#[tokio::test(start_paused = true)]`.
    /// let root = Context::background().with_driver(&Timers::tokio());
    /// let hour = Duration::from_secs(3600);
    /// let (ctx, _handle) = root.with_timeout(hour);
    ///
    /// let start = tokio::time::Instant::now();
    /// let error = ctx.cancelled().await;
    /// assert_eq!(error.reason(), Reason::DeadlineExceeded);
    /// assert!(start.elapsed() >= hour);
    /// # });
    /// ```
    #[must_use]
    #[track_caller]
    pub fn tokio() -> Timers {
        Timers::tokio_on(&Handle::current())
    }

    /// Timers that a task of this tokio runtime wakes, by its time.
    ///
    /// Contexts below them may be used on any thread. Where the runtime's time is
    /// paused, so is theirs, and it advances by itself to the next deadline
    /// when the runtime has nothing to do. Deadlines fire when tokio's sleeps
    /// would, within some 2 ms and what the runtime takes to poll a task, and
    /// never early.
    ///
    /// Callbacks and wakers run on the task: one that blocks holds up a thread of
    /// the runtime, and the later deadlines. What they panic with is reported
    /// by the panic hook, and the task goes on.
    ///
    /// The task keeps nothing alive: not the runtime, and not these timers. It is
    /// there from this call until nobody has the timers any more, also through
    /// a context below them, and asleep while nothing is armed.
    ///
    /// # When the runtime does not run
    ///
    /// A runtime of one thread fires deadlines while it is in `block_on`. Once
    /// the runtime has shut down, or if it had before this call, there is no task:
    /// deadlines that have come are then fired only by whoever arms the next
    /// one below these timers. Everything else about contexts stays as it is,
    /// and nothing panics.
    ///
    /// Waits that block a thread with a limit, such as
    /// [`wait_timeout`](crate::Context::wait_timeout), need no runtime for
    /// that limit as long as its time is the system's. Where time was paused
    /// before they began, the limit is a deadline on the runtime's time: on the
    /// thread of a runtime that this blocks, or when it has shut down, it does
    /// not come.
    ///
    /// # Panics
    ///
    /// In a runtime without timers (`Builder::enable_time`).
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, time::Timers};
    /// use std::time::Duration;
    ///
    /// let runtime = tokio::runtime::Builder::new_multi_thread()
    ///     .worker_threads(1)
    ///     .enable_time()
    ///     .build()
    ///     .unwrap();
    /// let timers = Timers::tokio_on(runtime.handle());
    /// let root = Context::background().with_driver(&timers);
    /// let (ctx, _handle) = root.with_timeout(Duration::from_millis(1));
    /// assert!(ctx.wait().is_timeout());
    /// ```
    #[must_use]
    #[track_caller]
    pub fn tokio_on(handle: &Handle) -> Timers {
        {
            // Panics here rather than in the task.
            let _entered = handle.enter();
            drop(sleep_until(tokio::time::Instant::now()));
        }
        let shared = Arc::new(Shared::default());
        let clockwork = Clockwork::new(Box::new(TokioDriver {
            handle: handle.clone(),
            // Only a runtime of one thread lets time be paused.
            may_pause: handle.runtime_flavor() != RuntimeFlavor::MultiThread,
            shared: shared.clone(),
        }));
        let kept = Kept(Arc::downgrade(&clockwork));
        let task = handle.spawn(drive(shared.clone(), kept));
        let first = shared.task.set(task.abort_handle());
        debug_assert!(first.is_ok(), "nobody else knows of it");
        Timers::of(clockwork)
    }
}
