//! Schedules drawn by shuttle.

use crate::Epochs;
use ctxtree::model::harness;
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Multiplies the number of schedules.
const SCALE: &str = "SCHEDULES";

/// The same in each run, so that a run can be had again; shuttle takes another one
/// from the environment variable `SHUTTLE_RANDOM_SEED`.
const SEED: u64 = 6;

/// Priorities change so often in one execution.
const CHANGES: usize = 3;

/// So many schedules, times the environment variable `SCHEDULES` (1.0 unless set).
///
/// # Panics
///
/// If that is no number.
pub fn wanted(schedules: usize) -> usize {
    let Ok(scale) = env::var(SCALE) else {
        return schedules;
    };
    let scale: f64 = scale.parse().expect("SCHEDULES is a number, as 0.1 or 10");
    ((schedules as f64 * scale) as usize).max(4)
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    config.max_steps = MaxSteps::FailAfter(200_000);
    config.silence_warnings = true;
    config.failure_persistence = FailurePersistence::Print;
    config
        .ungraceful_shutdown_config
        .immediately_return_on_panic = true;
    config
}

fn run(
    epochs: Epochs,
    scheduler: impl Scheduler + 'static,
    body: impl Fn() + Send + Sync + 'static,
) -> usize {
    let epochs = epochs.into();
    let begun = Arc::new(AtomicUsize::new(0));
    let count = begun.clone();
    let ran = catch_unwind(AssertUnwindSafe(|| {
        Runner::new(scheduler, config()).run(move || {
            count.fetch_add(1, Relaxed);
            harness::begin(epochs);
            body();
            harness::end();
        })
    }));
    ran.unwrap_or_else(|failure| {
        println!("failed on schedule {}", begun.load(Relaxed));
        // What the execution has left is not to be dropped with this thread.
        harness::begin(harness::Epochs::Kept);
        resume_unwind(failure)
    })
}

/// Runs `body` on so many schedules, half of them at random, half by priorities.
///
/// # Panics
///
/// If one fails.
pub fn explore(
    epochs: Epochs,
    schedules: usize,
    body: impl Fn() + Clone + Send + Sync + 'static,
) -> usize {
    if let Ok(file) = env::var("REPLAY") {
        let replay = ReplayScheduler::new_from_file(file).expect("REPLAY names a schedule");
        return run(epochs, replay, body);
    }
    let random = RandomScheduler::new_from_seed(SEED, schedules.div_ceil(2));
    let by_priority = PctScheduler::new_from_seed(SEED, CHANGES, schedules / 2);
    run(epochs, random, body.clone()) + run(epochs, by_priority, body)
}
