//! What happened, counted. Everything that begins is counted once, and once
//! more when it ends; the report checks that the two agree.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ctxtree::CancelError;

use crate::backends::Ended;
use crate::histogram::{Histogram, micros};
use crate::report;
use crate::request::RequestId;
use crate::why::Why;

/// How many cancels of each kind are logged.
pub(crate) const SAMPLES: u64 = 2;

pub(crate) struct Stats {
    pub(crate) started: Instant,
    pub(crate) connections: Connections,
    pub(crate) requests: Requests,
    pub(crate) subtasks: Subtasks,
    pub(crate) clients: Clients,
    /// Of served requests, as the clients saw it.
    pub(crate) latency: Histogram,
    /// Contexts alive below a request or a connection that was over.
    pub(crate) left_behind: Counter,
    cancels: Mutex<BTreeMap<Cancel, u64>>,
    troubles: Mutex<BTreeMap<String, u64>>,
}

#[derive(Default)]
pub(crate) struct Connections {
    pub(crate) opened: Counter,
    pub(crate) closed: Counter,
    /// Ended by the client in the middle of something.
    pub(crate) broken: Counter,
    /// Sent what is not HTTP, or nothing.
    pub(crate) rejected: Counter,
    /// Still not done when the time to drain was over.
    pub(crate) cut: Counter,
}

#[derive(Default)]
pub(crate) struct Requests {
    pub(crate) begun: Counter,
    pub(crate) served: Counter,
    pub(crate) failed: Counter,
    pub(crate) refused: Counter,
    pub(crate) expired: Counter,
    /// From the deadline to the answer that says so.
    pub(crate) overtime: Histogram,
    /// Told that their time was up when it was not.
    pub(crate) early: Counter,
    pub(crate) turned_away: Counter,
    pub(crate) abandoned: Counter,
    /// Answered all the same, though a cancel came meanwhile.
    pub(crate) late: Counter,
    /// Fan-outs that a failed backend stopped.
    pub(crate) fan_outs_stopped: Counter,
}

#[derive(Default)]
pub(crate) struct Subtasks {
    pub(crate) started: Counter,
    pub(crate) finished: Counter,
    pub(crate) failed: Counter,
    pub(crate) stopped: Counter,
    /// Of those, the ones that the end of the server stopped: its cause does not
    /// tell how long ago that was.
    pub(crate) untimed: Counter,
    /// Panicked, or aborted, or dropped with the runtime.
    pub(crate) lost: Counter,
    /// From the cancel to the end of a sub-task that it stopped.
    pub(crate) stopping: Histogram,
    /// Microseconds from the start of the program.
    last_end: AtomicU64,
}

#[derive(Default)]
pub(crate) struct Clients {
    pub(crate) served: Counter,
    pub(crate) told_otherwise: Counter,
    pub(crate) hung_up: Counter,
    pub(crate) garbage: Counter,
    pub(crate) garbage_refused: Counter,
}

/// A row of the report's table of cancels.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cancel {
    pub(crate) reason: String,
    pub(crate) cause: String,
    pub(crate) place: String,
}

impl Stats {
    pub(crate) fn new() -> Stats {
        Stats {
            started: Instant::now(),
            connections: Connections::default(),
            requests: Requests::default(),
            subtasks: Subtasks::default(),
            clients: Clients::default(),
            latency: Histogram::default(),
            left_behind: Counter::default(),
            cancels: Mutex::default(),
            troubles: Mutex::default(),
        }
    }

    /// Logs the first cancels of each kind, and counts them all. Called by the
    /// thread that cancels, which for a deadline is the timer's.
    pub(crate) fn cancelled(&self, id: RequestId, error: &CancelError) {
        if self.count(error) <= SAMPLES {
            report::note(&report::cancel(id, error));
        }
    }

    /// Counts a cancel, and tells how many of its kind there were.
    pub(crate) fn count(&self, error: &CancelError) -> u64 {
        let row = Cancel {
            reason: error.reason().to_string(),
            cause: match error.cause() {
                Some(cause) => cause.to_string(),
                None => "(none given)".to_owned(),
            },
            place: report::place(error),
        };
        let mut cancels = lock(&self.cancels);
        let count = cancels.entry(row).or_default();
        *count += 1;
        *count
    }

    /// All cancels of requests, the most frequent first.
    pub(crate) fn cancels(&self) -> Vec<(Cancel, u64)> {
        let mut rows: Vec<_> = lock(&self.cancels)
            .iter()
            .map(|(row, count)| (row.clone(), *count))
            .collect();
        rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        rows
    }

    /// Prints a trouble when it is met first, and counts it from then on.
    pub(crate) fn trouble(&self, what: &str, error: &dyn Display) {
        let text = format!("{what}: {error}");
        let first = {
            let mut troubles = lock(&self.troubles);
            let count = troubles.entry(text.clone()).or_default();
            *count += 1;
            *count == 1
        };
        if first {
            report::note(&format!("gateway: {text}"));
        }
    }

    pub(crate) fn troubles(&self) -> Vec<(String, u64)> {
        let troubles = lock(&self.troubles);
        troubles
            .iter()
            .map(|(t, count)| (t.clone(), *count))
            .collect()
    }

    pub(crate) fn subtask(self: &Arc<Stats>) -> Subtask {
        self.subtasks.started.add();
        Subtask {
            stats: self.clone(),
            ended: false,
        }
    }
}

/// Counts a sub-task's end exactly once, also when it is dropped half-way.
pub(crate) struct Subtask {
    stats: Arc<Stats>,
    ended: bool,
}

impl Subtask {
    pub(crate) fn ended<T>(mut self, result: &Result<T, Ended>) {
        self.ended = true;
        let subtasks = &self.stats.subtasks;
        match result {
            Ok(_) => subtasks.finished.add(),
            Err(Ended::Failed(_)) => subtasks.failed.add(),
            Err(Ended::Cancelled(error)) => {
                subtasks.stopped.add();
                match Why::age(error) {
                    Some(age) => subtasks.stopping.record(age),
                    None => subtasks.untimed.add(),
                }
            }
        }
    }
}

impl Drop for Subtask {
    fn drop(&mut self) {
        let subtasks = &self.stats.subtasks;
        if !self.ended {
            subtasks.lost.add();
        }
        let now = micros(self.stats.started.elapsed());
        subtasks.last_end.fetch_max(now, Ordering::Relaxed);
    }
}

impl Connections {
    pub(crate) fn ended(&self) -> u64 {
        self.closed.get() + self.broken.get() + self.rejected.get() + self.cut.get()
    }

    /// Approximate while connections come and go.
    pub(crate) fn running(&self) -> u64 {
        self.opened.get().saturating_sub(self.ended())
    }
}

impl Requests {
    pub(crate) fn ended(&self) -> u64 {
        self.served.get() + self.turned_away.get() + self.cancelled()
    }

    pub(crate) fn cancelled(&self) -> u64 {
        self.failed.get() + self.refused.get() + self.expired.get() + self.abandoned.get()
    }

    /// Counts a request that `deadline` ended, now.
    pub(crate) fn expire(&self, deadline: Option<Instant>) {
        self.expired.add();
        let now = Instant::now();
        match deadline.and_then(|at| now.checked_duration_since(at)) {
            Some(late) => self.overtime.record(late),
            None => self.early.add(),
        }
    }

    /// Approximate while requests come and go.
    pub(crate) fn running(&self) -> u64 {
        self.begun.get().saturating_sub(self.ended())
    }
}

impl Subtasks {
    pub(crate) fn ended(&self) -> u64 {
        self.finished.get() + self.failed.get() + self.stopped.get() + self.lost.get()
    }

    /// Approximate while sub-tasks come and go.
    pub(crate) fn running(&self) -> u64 {
        self.started.get().saturating_sub(self.ended())
    }

    pub(crate) fn last_end(&self) -> Duration {
        Duration::from_micros(self.last_end.load(Ordering::Relaxed))
    }
}

/// Relaxed: the final numbers are read after every task has ended.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.add_many(1);
    }

    pub(crate) fn add_many(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A panic elsewhere leaves whole counts behind: nothing to be afraid of.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
