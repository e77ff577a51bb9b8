//! Deadlines on the time of a tokio runtime.

use super::tools::{Random, alone, in_time, message, start};
use crate::time::{self, Timers};
use crate::{CancelHandle, Context, Reason};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn_blocking;

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// A tick of the timers, one of tokio's, and the rounding of both.
const LATE: Duration = Duration::from_millis(3);

/// A runtime of one thread whose time is paused.
pub(super) fn paused() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

pub(super) fn single() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().build().unwrap()
}

pub(super) fn multi() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_time().build().unwrap()
}

pub(super) fn root(timers: &Timers) -> (Context, CancelHandle) {
    Context::background().with_driver(timers).with_cancel()
}

/// Waits, and says by which time of the runtime the end came.
pub(super) async fn end_of(ctx: &Context) -> Instant {
    assert_eq!(ctx.cancelled().await.reason(), Reason::DeadlineExceeded);
    tokio::time::Instant::now().into_std()
}

#[track_caller]
fn assert_on_time(end: Instant, deadline: Instant) {
    assert!(end >= deadline, "{:?} early", deadline - end);
    let late = end - deadline;
    assert!(late < LATE, "{late:?} late");
}

// G39, G41: paused time goes on to the deadline by itself, to the earliest first.
#[test]
fn paused_time_goes_on_to_a_deadline() {
    in_time(|| {
        paused().block_on(async {
            let timers = Timers::tokio();
            let (root, _root) = root(&timers);
            let started = timers.now();
            for length in [MILLISECOND, MINUTE, HOUR, 24 * HOUR, 24 * 365 * 50 * HOUR] {
                let begin = timers.now();
                let (long, _long) = root.with_timeout(2 * length);
                let (ctx, _handle) = long.with_timeout(length);
                assert_eq!(ctx.deadline(), Some(begin + length));
                assert_eq!(ctx.remaining(), Some(length));
                assert_on_time(end_of(&ctx).await, begin + length);
                assert!(!long.is_cancelled());
                assert_on_time(end_of(&long).await, begin + 2 * length);
            }
            assert!(timers.now() > started + 24 * 365 * 50 * HOUR);
            assert_eq!(timers.outstanding(), 0);
        });
    });
}

// G42, G43: what has come by the runtime's time is done at once.
#[test]
fn a_deadline_that_has_come_by_the_time_of_the_runtime_is_done_at_once() {
    in_time(|| {
        paused().block_on(async {
            let timers = Timers::tokio();
            let (root, _root) = root(&timers);
            tokio::time::advance(HOUR).await;
            let now = timers.now();
            for at in [now, now - MILLISECOND, now - HOUR] {
                let (ctx, _handle) = root.with_deadline(at);
                assert_eq!(ctx.reason(), Some(Reason::DeadlineExceeded));
            }
            let (ctx, _handle) = root.with_deadline(now + MILLISECOND);
            assert!(!ctx.is_cancelled());
            assert_eq!(timers.outstanding(), 1);
        });
    });
}

#[test]
fn deadlines_fire_in_their_order() {
    in_time(|| {
        paused().block_on(async {
            let timers = Timers::tokio();
            let (root, _root) = root(&timers);
            let begin = timers.now();
            let fired = Arc::new(Mutex::new(Vec::new()));
            let mut random = Random::new(1);
            let mut kept = Vec::new();
            for _ in 0..1000 {
                let micros = 1 + random.below(10_000_000) as u64;
                let at = begin + Duration::from_micros(micros);
                let (ctx, handle) = root.with_deadline(at);
                let (fired, timers) = (fired.clone(), timers.clone());
                let note = move |_: &_| fired.lock().unwrap().push((at, timers.now()));
                ctx.after_cancel(note).detach();
                kept.push((ctx, handle));
            }
            assert_eq!(timers.outstanding(), 1000);
            for (ctx, _) in &kept {
                end_of(ctx).await;
            }
            let fired = fired.lock().unwrap();
            assert_eq!(fired.len(), 1000);
            assert!(fired.is_sorted());
            for &(at, end) in &*fired {
                assert_on_time(end, at);
            }
        });
    });
}

// Moved earlier and later, while the task sleeps.
#[test]
fn a_moved_deadline_moves_on_the_time_of_the_runtime() {
    in_time(|| {
        paused().block_on(async {
            let timers = Timers::tokio();
            let (root, _root) = root(&timers);
            let begin = timers.now();
            let (ctx, handle) = root.with_timeout(MINUTE);
            tokio::time::sleep(MINUTE / 2).await;
            assert!(handle.set_deadline(begin + 2 * MINUTE));
            tokio::time::sleep(MINUTE).await;
            assert!(!ctx.is_cancelled());
            let end = timers.now() + MILLISECOND;
            assert!(handle.set_deadline(end));
            assert_on_time(end_of(&ctx).await, end);
            assert!(!handle.set_deadline(begin + HOUR));
        });
    });
}

// V18: moved to be the earliest: a deadline that the task has not seen, and the
// first one that a context is given.
#[test]
fn a_deadline_that_is_moved_to_be_the_earliest_wakes_the_task() {
    in_time(|| {
        paused().block_on(async {
            let timers = Timers::tokio();
            let (root, _root) = root(&timers);
            let _next = root.with_timeout(24 * HOUR);
            // The task is asleep until then.
            tokio::time::sleep(MINUTE).await;
            for (ctx, handle) in [root.with_timeout(48 * HOUR), root.with_cancel()] {
                for hours in [36, 12, 1] {
                    assert!(handle.set_deadline(timers.now() + hours * HOUR));
                }
                assert_on_time(end_of(&ctx).await, ctx.deadline().unwrap());
            }
        });
    });
}

#[test]
fn deadlines_are_armed_from_threads_outside_the_runtime() {
    in_time(|| {
        paused().block_on(async {
            let timers = Timers::tokio();
            let (root, _root) = root(&timers);
            // The task is asleep until then.
            let (_far, _handle) = root.with_timeout(24 * HOUR);
            tokio::time::sleep(HOUR).await;
            // Time stands still while one of these runs.
            for length in [HOUR, MINUTE] {
                let (root, begin) = (root.clone(), timers.now());
                let outside = spawn_blocking(move || {
                    let thread = start(move || root.with_timeout(length));
                    thread.join().unwrap()
                });
                let (ctx, _handle) = outside.await.unwrap();
                assert_eq!(ctx.deadline(), Some(begin + length));
                assert_on_time(end_of(&ctx).await, begin + length);
            }
        });
    });
}

#[test]
fn a_runtime_of_several_threads_fires_deadlines() {
    in_time(|| {
        let runtime = multi();
        let timers = Timers::tokio_on(runtime.handle());
        let (root, _root) = root(&timers);
        // The task is asleep until then.
        let (_far, _handle) = root.with_timeout(24 * HOUR);
        let threads = (0..4).map(|seed| {
            let root = root.clone();
            start(move || {
                let mut random = Random::new(seed);
                let mut kept = Vec::new();
                for _ in 0..50 {
                    let length = MILLISECOND * random.below(50) as u32;
                    kept.push(root.with_timeout(length));
                }
                for (ctx, _) in &kept {
                    assert!(ctx.wait().is_timeout());
                    assert!(Instant::now() >= ctx.deadline().unwrap());
                }
            })
        });
        for thread in threads.collect::<Vec<_>>() {
            thread.join().unwrap();
        }
        runtime.block_on(async {
            let tasks = (0..100).map(|n| {
                let root = root.clone();
                tokio::spawn(async move {
                    let (ctx, _handle) = root.with_timeout(MILLISECOND * (n % 10));
                    let end = end_of(&ctx).await;
                    assert!(end >= ctx.deadline().unwrap());
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
        });
        assert_eq!(timers.outstanding(), 1);
    });
}

// V19: each runtime has its time, and contexts have that of their timers, on
// whatever thread and in whatever runtime they are used.
#[test]
fn two_runtimes_have_a_time_each() {
    in_time(|| {
        let (here, there) = (paused(), paused());
        let timers = [&here, &there].map(|runtime| Timers::tokio_on(runtime.handle()));
        let roots = timers.each_ref().map(root);
        let (ctx, _handle) = roots[0].0.with_timeout(HOUR);
        let (other, _handle) = roots[1].0.with_timeout(2 * HOUR);
        let end = here.block_on(end_of(&ctx));
        assert_on_time(end, ctx.deadline().unwrap());
        here.block_on(async {
            tokio::time::sleep(24 * HOUR).await;
            assert_eq!(other.remaining(), Some(2 * HOUR));
            let (late, _handle) = roots[1].0.with_timeout(HOUR);
            assert_eq!(late.remaining(), Some(HOUR));
            assert_eq!(timers[1].outstanding(), 2);
        });
        assert!(!other.is_cancelled());
        let end = there.block_on(end_of(&other));
        assert_on_time(end, other.deadline().unwrap());
        assert!(timers[0].now() > timers[1].now() + HOUR);
    });
}

// V14: a panic on the task is reported, and everything else goes on.
#[test]
fn the_task_survives_a_panic_of_a_callback() {
    in_time(|| {
        paused().block_on(async {
            let (root, _root) = root(&Timers::tokio());
            let (ctx, _handle) = root.with_timeout(MINUTE);
            ctx.after_cancel(|_| panic!("callback")).detach();
            let (same, _handle) = root.with_deadline(ctx.deadline().unwrap());
            let (later, _handle) = root.with_timeout(HOUR);
            for ctx in [&ctx, &same, &later] {
                assert_on_time(end_of(ctx).await, ctx.deadline().unwrap());
            }
        });
    });
}

// V15: callbacks on the task arm what comes next.
#[test]
fn callbacks_on_the_task_arm_deadlines() {
    fn again(root: &Context, left: u32, ends: mpsc::Sender<Instant>) {
        let (ctx, handle) = root.with_timeout(MINUTE);
        let root = root.clone();
        let more = move |_: &_| {
            drop(handle);
            ends.send(tokio::time::Instant::now().into_std()).unwrap();
            if left > 1 {
                again(&root, left - 1, ends);
            }
        };
        // Kept by its own handle.
        ctx.after_cancel(more).detach();
    }
    in_time(|| {
        paused().block_on(async {
            let timers = Timers::tokio();
            let (root, _root) = root(&timers);
            let begin = timers.now();
            let (ends, ended) = mpsc::channel();
            again(&root, 100, ends);
            tokio::time::sleep(2 * HOUR).await;
            let ends: Vec<Instant> = ended.try_iter().collect();
            assert_eq!(ends.len(), 100);
            assert!(ends.is_sorted());
            assert!(ends[99] >= begin + 100 * MINUTE);
            assert!(ends[99] < begin + 100 * (MINUTE + LATE));
        });
    });
}

// What blocks a thread needs no runtime for its limit while time is real.
#[test]
fn blocking_waits_end_by_the_time_of_the_runtime() {
    in_time(|| {
        let runtime = single();
        let timers = Timers::tokio_on(runtime.handle());
        let (ctx, _handle) = root(&timers);
        // Nothing runs the task, either time.
        assert!(ctx.wait_timeout(MILLISECOND).is_none());
        runtime.block_on(async { assert!(ctx.sleep(MILLISECOND).is_ok()) });
        drop(runtime);
        assert!(ctx.wait_until(Instant::now() + MILLISECOND).is_none());

        paused().block_on(async {
            let timers = Timers::tokio();
            let (ctx, _handle) = root(&timers);
            let waits = ctx.clone();
            let wait = spawn_blocking(move || waits.wait_timeout(HOUR).is_none());
            while timers.outstanding() == 0 {
                tokio::task::yield_now().await;
            }
            tokio::time::advance(HOUR - MILLISECOND).await;
            assert!(!wait.is_finished());
            tokio::time::advance(LATE).await;
            assert!(wait.await.unwrap());
            assert!(!ctx.is_cancelled());
        });
    });
}

// V19: also where that is ahead of the system's before the wait begins.
#[test]
fn blocking_waits_follow_a_runtime_that_is_ahead() {
    in_time(|| {
        paused().block_on(async {
            let timers = Timers::tokio();
            let (ctx, _handle) = root(&timers);
            tokio::time::advance(HOUR).await;
            let wait = spawn_blocking(move || ctx.wait_timeout(MINUTE).is_none());
            while timers.outstanding() == 0 {
                tokio::task::yield_now().await;
            }
            tokio::time::advance(MINUTE + LATE).await;
            assert!(wait.await.unwrap());
        });
    });
}

#[test]
fn timers_need_a_runtime_with_time() {
    let text = |timers: &dyn Fn() -> Timers| {
        let panic = catch_unwind(AssertUnwindSafe(timers)).unwrap_err();
        message(&*panic).to_owned()
    };
    assert!(text(&Timers::tokio).contains("no reactor running"));
    let timeless = Builder::new_current_thread().build().unwrap();
    let on = || Timers::tokio_on(timeless.handle());
    assert!(text(&on).contains("timers are disabled"));
}

// V19: the default driver of a whole process.
#[test]
fn the_default_driver_may_be_that_of_a_runtime() {
    alone(
        "tests::tokio_time::the_default_driver_may_be_that_of_a_runtime",
        || {
            paused().block_on(async {
                let timers = Timers::tokio();
                time::set_default_driver(&timers);
                let (ctx, _handle) = Context::background().with_timeout(HOUR);
                assert_eq!(time::default_driver().outstanding(), 1);
                assert_on_time(end_of(&ctx).await, ctx.deadline().unwrap());
            });
            // The runtime is gone: the process goes on.
            let (_ctx, _handle) = Context::background().with_timeout(HOUR);
            assert_eq!(time::default_driver().outstanding(), 1);
        },
    );
}
