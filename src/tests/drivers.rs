//! Drivers: when they are woken, and what their timers do.

use super::fake_driver::FakeDriver;
use super::tools::{HOUR, in_time, message, ms, start};
use crate::time::{Driver, Timers};
use crate::{CancelHandle, Context};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

// V12, V18: a run marks all that is due, whatever its instant, before it delivers
// anything of it: a callback that blocks holds up only what comes after.
#[test]
fn a_run_marks_all_that_is_due_first() {
    let (driver, timers, top) = FakeDriver::new();
    let all: Vec<_> = (1..50).map(|n| top.with_timeout(ms(n))).collect();
    let contexts: Vec<Context> = all.iter().map(|(ctx, _)| ctx.clone()).collect();
    let runs = Arc::new(AtomicUsize::new(0));
    for ctx in &contexts {
        let (others, runs) = (contexts.clone(), runs.clone());
        ctx.after_cancel(move |_| {
            assert!(others.iter().all(Context::is_cancelled));
            runs.fetch_add(1, SeqCst);
        })
        .detach();
    }
    driver.advance(ms(60));
    assert!(timers.run().is_none());
    assert_eq!(runs.load(SeqCst), all.len());
}

// V17, V18: then it delivers by deadline, whatever the order of arming.
#[test]
fn a_run_delivers_by_deadline() {
    let (driver, timers, top) = FakeDriver::new();
    let log: Arc<Mutex<Vec<u64>>> = Arc::default();
    let lengths = [90, 10, 70, 30, 50, 20, 80, 40, 60];
    let kept = lengths.map(|n| {
        let (ctx, handle) = top.with_timeout(ms(n));
        let log = log.clone();
        ctx.after_cancel(move |_| log.lock().unwrap().push(n))
            .detach();
        (ctx, handle)
    });
    // Half of them armed by another thread, which may use another wheel.
    let (more, below) = (log.clone(), top.clone());
    let others = start(move || {
        lengths.map(|n| {
            let (ctx, handle) = below.with_timeout(ms(n + 5));
            let log = more.clone();
            ctx.after_cancel(move |_| log.lock().unwrap().push(n + 5))
                .detach();
            (ctx, handle)
        })
    });
    let others = others.join().unwrap();
    driver.advance(ms(100));
    timers.run();
    let expected: Vec<u64> = (2..20).map(|n| 5 * n).collect();
    assert_eq!(*log.lock().unwrap(), expected);
    drop((kept, others));
}

// V14: what panics in a run is reported there, not resumed, and stops nothing.
#[test]
fn a_panic_in_a_run_stops_nothing() {
    let (driver, timers, top) = FakeDriver::new();
    let runs = Arc::new(AtomicUsize::new(0));
    let kept: Vec<_> = (0..6).map(|n| top.with_timeout(ms(1 + n / 2))).collect();
    for (i, (ctx, _)) in kept.iter().enumerate() {
        for part in 0..2 {
            let runs = runs.clone();
            ctx.after_cancel(move |_| {
                runs.fetch_add(1, SeqCst);
                assert!(i % 2 != 0 || part != 0, "callback {i}");
            })
            .detach();
        }
    }
    driver.advance(ms(10));
    assert!(timers.run().is_none());
    assert_eq!(runs.load(SeqCst), 12);
    let (ctx, _keep) = top.with_timeout(ms(1));
    driver.advance(ms(2));
    timers.run();
    assert!(ctx.is_cancelled());
}

// V15: from a callback of a run: arm, cancel, move, and run again.
#[test]
fn a_callback_may_run_the_timers() {
    in_time(|| {
        let (driver, timers, top) = FakeDriver::new();
        let (ctx, _keep) = top.with_timeout(ms(5));
        let (due, _keep) = top.with_timeout(ms(5));
        let (later, move_later) = top.with_timeout(HOUR);
        let ran = Arc::new(AtomicUsize::new(0));
        let (inside, moves, root, count) =
            (timers.clone(), driver.clone(), top.clone(), ran.clone());
        ctx.after_cancel(move |_| {
            let (armed, _keep) = root.with_timeout(ms(5));
            moves.advance(ms(6));
            inside.run();
            assert!(armed.is_cancelled() && due.is_cancelled());
            assert!(move_later.set_deadline(moves.time() + ms(5)));
            assert_eq!(inside.outstanding(), 1);
            count.fetch_add(1, SeqCst);
        })
        .detach();
        driver.advance(ms(6));
        assert!(timers.run().is_some());
        assert!(ran.load(SeqCst) == 1 && !later.is_cancelled());
        driver.advance(ms(6));
        assert!(timers.run().is_none() && later.is_cancelled());
    });
}

// V18: two threads run one set of timers: each deadline fires once.
#[test]
fn two_threads_may_run_the_same_timers() {
    in_time(|| {
        for _ in 0..100 {
            let (driver, timers, top) = FakeDriver::new();
            let runs = Arc::new(AtomicUsize::new(0));
            let kept: Vec<_> = (0..200).map(|n| top.with_timeout(ms(1 + n % 10))).collect();
            for (ctx, _) in &kept {
                let runs = runs.clone();
                ctx.after_cancel(move |_| {
                    runs.fetch_add(1, SeqCst);
                })
                .detach();
            }
            driver.advance(ms(20));
            let threads = [(); 2].map(|()| {
                let timers = timers.clone();
                start(move || timers.run())
            });
            for thread in threads {
                thread.join().unwrap();
            }
            timers.run();
            assert!(kept.iter().all(|(ctx, _)| ctx.is_cancelled()));
            assert_eq!((runs.load(SeqCst), timers.outstanding()), (200, 0));
        }
    });
}

/// Runs the timers when it is woken, on the thread that arms.
struct Inline(FakeDriver);

impl Driver for Inline {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn wake(&self, timers: &Timers) {
        timers.run();
        self.0.wake(timers);
    }
}

// V15: a driver may run its timers right where it is woken, also from a callback
// that another run calls.
#[test]
fn a_driver_may_run_its_timers_when_woken() {
    in_time(|| {
        let (driver, _, _) = FakeDriver::new();
        let timers = Timers::new(Inline(driver.clone()));
        let top = Context::background().with_driver(&timers);
        let (ctx, _keep) = top.with_timeout(ms(5));
        let armed: Arc<Mutex<Vec<(Context, CancelHandle)>>> = Arc::default();
        let (inside, root, moves) = (armed.clone(), top.clone(), driver.clone());
        ctx.after_cancel(move |_| {
            let first = root.with_timeout(ms(5));
            moves.advance(ms(10));
            let second = root.with_timeout(ms(1));
            inside.lock().unwrap().extend([first, second]);
        })
        .detach();
        driver.advance(ms(10));
        let (_next, _keep) = top.with_timeout(ms(1));
        timers.run();
        assert!(ctx.is_cancelled());
        driver.advance(ms(10));
        timers.run();
        assert!(
            armed
                .lock()
                .unwrap()
                .iter()
                .all(|(ctx, _)| ctx.is_cancelled())
        );
        assert_eq!((armed.lock().unwrap().len(), timers.outstanding()), (2, 0));
    });
}

/// Cannot be woken.
struct Broken(FakeDriver);

impl Driver for Broken {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn wake(&self, _: &Timers) {
        panic!("cannot be woken");
    }
}

// V14, V9: where a driver panics, so does who arms; nothing of it is left.
#[test]
fn a_driver_that_panics_leaves_nothing_behind() {
    let (driver, _, _) = FakeDriver::new();
    let timers = Timers::new(Broken(driver.clone()));
    let top = Context::background().with_driver(&timers);
    let (kept, _keep) = top.with_cancel();
    for _ in 0..3 {
        let arm = || drop(kept.with_timeout(ms(5)));
        let panic = catch_unwind(AssertUnwindSafe(arm)).unwrap_err();
        assert_eq!(message(&*panic), "cannot be woken");
        assert_eq!((kept.live_children(), timers.outstanding()), (0, 0));
    }
    // Where nobody needs to be woken, all is well.
    timers.run();
    driver.advance(ms(6));
    timers.run();
    assert!(!kept.is_cancelled() && kept.with_timeout(Duration::ZERO).0.is_cancelled());
}

/// A thread that sleeps until the next deadline, as a user would write it.
struct OwnThread(Mutex<mpsc::Sender<()>>);

impl Driver for OwnThread {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wake(&self, _: &Timers) {
        // Fails when the thread has ended, and with it the test.
        let _ = self.0.lock().unwrap().send(());
    }
}

// V18, V19: a driver of one's own, on real time: wakes are neither lost nor needed
// for more than the earliest; nothing is early.
#[test]
fn a_driver_of_ones_own_fires_in_real_time() {
    in_time(|| {
        let (wake, woken) = mpsc::channel();
        let timers = Timers::new(OwnThread(Mutex::new(wake.clone())));
        let (stop, stopped) = mpsc::channel::<()>();
        let runs = timers.clone();
        let thread = start(move || {
            while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
                let far = Instant::now() + HOUR;
                let next = runs.run().unwrap_or(far);
                let _ = woken.recv_timeout(next.saturating_duration_since(Instant::now()));
            }
        });
        let top = Context::background().with_driver(&timers);
        for i in 0..200 {
            let length = ms([3, 1, 2, 0][i % 4]);
            let at = Instant::now() + length;
            let (ctx, _keep) = top.with_deadline(at);
            let error = ctx.wait();
            assert!(error.is_timeout() && Instant::now() >= at);
        }
        stop.send(()).unwrap();
        wake.send(()).unwrap();
        thread.join().unwrap();
    });
}

// V18: descendants follow the timers above them, a shield keeps them, and one set
// of timers below another has its own.
#[test]
fn descendants_follow_the_timers_above_them() {
    let (_driver, timers, top) = FakeDriver::new();
    let (other_driver, other, _) = FakeDriver::new();
    let (ctx, _keep) = top.with_timeout(HOUR);
    let shield = ctx.without_cancel();
    let (under, _keep) = shield.with_timeout(HOUR);
    assert_eq!((timers.outstanding(), other.outstanding()), (2, 0));
    let moved = ctx.with_driver(&other);
    assert_eq!(moved.deadline(), None, "another's");
    let (below, _keep) = moved.with_timeout(ms(5));
    assert_eq!((timers.outstanding(), other.outstanding()), (2, 1));
    other_driver.advance(ms(6));
    other.run();
    assert!(below.is_cancelled() && !ctx.is_cancelled() && !under.is_cancelled());
    assert!(format!("{timers:?}").contains("Timers"));
}
