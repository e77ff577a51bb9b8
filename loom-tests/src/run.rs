//! Runs one model, and counts.

use crate::Model;
use std::fmt;
use std::time::{Duration, Instant};

/// What a run of a model took.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Executions explored; one over std.
    pub executions: usize,
    /// How long it took.
    pub time: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_secs_f64();
        write!(f, "{} executions, {seconds:.2} s", self.executions)
    }
}

/// Runs `model`: under loom all its executions, under shuttle so many, else one.
///
/// # Panics
///
/// If an execution fails.
pub fn run(model: &Model) -> Outcome {
    let start = Instant::now();
    let executions = run_all(model);
    Outcome {
        executions,
        time: start.elapsed(),
    }
}

#[cfg(crossbeam_loom)]
fn run_all(model: &Model) -> usize {
    use ctxtree::model::harness;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    let executions = Arc::new(AtomicUsize::new(0));
    let counted = executions.clone();
    let body = model.body;
    let epochs = model.epochs.into();
    show_schedules();
    let mut loom = loom::model::Builder::new();
    loom.preemption_bound = bound(model);
    loom.max_branches = 20_000;
    loom.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        harness::begin(epochs);
        body();
        harness::end();
    });
    executions.load(Ordering::Relaxed)
}

/// From now on, whoever panics in a model shows what led there.
#[cfg(crossbeam_loom)]
fn show_schedules() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            before(panic);
            if let Some(schedule) = ctxtree::model::harness::take_schedule() {
                eprintln!("{schedule}");
            }
        }));
    });
}

#[cfg(any(crossbeam_loom, ctxtree_shuttle))]
impl From<crate::Epochs> for ctxtree::model::harness::Epochs {
    fn from(epochs: crate::Epochs) -> Self {
        match epochs {
            crate::Epochs::Kept => Self::Kept,
            crate::Epochs::Focused => Self::Focused,
            crate::Epochs::Full => Self::Full,
        }
    }
}

#[cfg(ctxtree_shuttle)]
fn run_all(model: &Model) -> usize {
    let schedules = crate::schedules::wanted(MODEL_SCHEDULES);
    crate::schedules::explore(model.epochs, schedules, model.body)
}

/// Of each model, half at random and half by priorities.
#[cfg(ctxtree_shuttle)]
const MODEL_SCHEDULES: usize = 500;

/// The bound of the model, or what `MODEL_BOUND` says: a number, or `none`.
#[cfg(crossbeam_loom)]
fn bound(model: &Model) -> Option<usize> {
    match std::env::var("MODEL_BOUND").as_deref() {
        Ok("none") => None,
        Ok(number) => Some(number.parse().expect("MODEL_BOUND is a number or `none`")),
        Err(_) => Some(model.bound),
    }
}

#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
fn run_all(model: &Model) -> usize {
    use std::sync::Mutex;

    // The count of objects is the whole process's: one model at a time.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let before = ctxtree::model::live_objects();
    (model.body)();
    // A timer thread stays for a little while.
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        ctxtree::model::collect();
        let live = ctxtree::model::live_objects();
        if live == before {
            return 1;
        }
        assert!(
            Instant::now() < patience,
            "{} objects leaked",
            live - before
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
