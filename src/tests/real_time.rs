//! Deadlines on the default timers, in real time, with wide bounds.

use super::fake_driver::{FakeDriver, TICK};
use super::tools::{HOUR, alone, in_advance, in_time, ms, outcome};
use crate::time::{self, Timers};
use crate::{CancelError, CancelHandle, Context, Reason};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

type Pair = (Context, CancelHandle);

const EXCEEDED: Option<(Reason, Option<String>)> = Some((Reason::DeadlineExceeded, None));
/// How late a deadline may be on a machine that does other things.
const LATE: Duration = Duration::from_secs(10);

/// Waits until this is so; fails if it takes too long.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "not yet: {what}");
        thread::sleep(ms(1));
    }
}

/// The threads of this process.
#[cfg(target_os = "linux")]
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

// G39, G55, P70, V18: on the default timers: not early, hardly late, whichever way
// one waits.
#[test]
fn real_deadlines_are_not_early_and_hardly_late() {
    in_time(|| {
        let (told, tells) = mpsc::channel();
        let mut kept = Vec::new();
        for n in 0..100 {
            let at = Instant::now() + ms(n % 50);
            let (ctx, handle) = Context::background().with_deadline(at);
            let told = told.clone();
            ctx.after_cancel(move |_| told.send((at, Instant::now())).unwrap())
                .detach();
            kept.push((ctx, handle));
        }
        for _ in 0..kept.len() {
            let (at, fired) = tells.recv().unwrap();
            assert!(fired >= at, "early");
            assert!(fired < at + LATE, "late by {:?}", fired - at);
        }
        let began = Instant::now();
        let (ctx, _keep) = Context::background().with_timeout(ms(20));
        assert_eq!(ctx.wait().to_string(), "context deadline exceeded");
        assert!(began.elapsed() >= ms(20) && began.elapsed() < LATE);
        assert_eq!(outcome(&ctx), EXCEEDED);
        let (ctx, _keep) = Context::background().with_timeout(ms(20));
        assert!(ctx.sleep(HOUR).unwrap_err().is_timeout());
        assert_eq!(ctx.remaining(), Some(Duration::ZERO));
    });
}

// V14: a panic on the timer thread stops no other deadline, then or later.
#[test]
fn a_panic_on_the_timer_thread_stops_nothing() {
    in_time(|| {
        let here = thread::current().id();
        let (_pairs, runs) = in_advance(ms(20), |at| {
            let pairs = [(); 4].map(|()| Context::background().with_deadline(at));
            let runs = Arc::new(AtomicUsize::new(0));
            for (i, (ctx, _)) in pairs.iter().enumerate() {
                // Registered too late it is run here.
                let panics = move || i % 2 == 0 && thread::current().id() != here;
                ctx.after_cancel(move |_| assert!(!panics(), "callback {i}"))
                    .detach();
                let runs = runs.clone();
                ctx.after_cancel(move |_| {
                    runs.fetch_add(1, SeqCst);
                })
                .detach();
            }
            (pairs, runs)
        });
        until("all ran", || runs.load(SeqCst) == 4);
        let (later, _keep) = Context::background().with_timeout(ms(5));
        assert!(later.wait().is_timeout());
    });
}

// V12, V18: a callback that blocks the timer thread: all that was due with it is
// marked before; what comes later waits for it, and then is not lost.
#[test]
fn a_callback_that_blocks_the_timer_thread_holds_up_the_later_only() {
    in_time(|| {
        let timers = Timers::thread();
        let top = Context::background().with_driver(&timers);
        let here = thread::current().id();
        let (_pairs, (later, _keep), release, has_entered) = in_advance(ms(200), |at| {
            let pairs: Vec<Pair> = (0..5).map(|_| top.with_deadline(at)).collect();
            let later = top.with_deadline(at + ms(500));
            let (release, released) = mpsc::channel::<()>();
            let released = Mutex::new(released);
            let (entered, has_entered) = mpsc::channel();
            let others: Vec<Context> = pairs.iter().map(|(ctx, _)| ctx.clone()).collect();
            pairs[0]
                .0
                .after_cancel(move |_| {
                    // Registered too late it is run here.
                    if thread::current().id() != here {
                        let _ = entered.send(others.iter().all(Context::is_cancelled));
                        let _ = released.lock().unwrap().recv();
                    }
                })
                .detach();
            (pairs, later, release, has_entered)
        });
        assert!(has_entered.recv().unwrap(), "all that was due is marked");
        // Cancels and new contexts are not held up.
        let (ctx, handle) = top.with_timeout(HOUR);
        assert!(handle.cancel() && ctx.is_cancelled());
        let (soon, _keep) = top.with_timeout(ms(1));
        thread::sleep(ms(540));
        assert!(!later.is_cancelled() && !soon.is_cancelled());
        release.send(()).unwrap();
        assert!(later.wait().is_timeout() && soon.wait().is_timeout());
    });
}

// V19: timers with a thread of their own, beside the default ones.
#[test]
fn timers_may_have_a_thread_of_their_own() {
    in_time(|| {
        let timers = Timers::thread();
        let top = Context::background().with_driver(&timers);
        let (other, _keep) = top.with_timeout(HOUR);
        let (_pair, ran_on, armed) = in_advance(ms(10), |at| {
            let pair = top.with_deadline(at);
            let ran_on = Arc::new(Mutex::new(None));
            let inside = ran_on.clone();
            pair.0
                .after_cancel(move |_| *inside.lock().unwrap() = Some(thread::current().id()))
                .detach();
            (pair, ran_on, timers.outstanding())
        });
        assert_eq!(armed, 2);
        until("it fired", || ran_on.lock().unwrap().is_some());
        assert_ne!(*ran_on.lock().unwrap(), Some(thread::current().id()));
        assert_eq!(timers.outstanding(), 1);
        drop(other);
    });
}

// V25, V18: no thread before the first deadline; one while there are some; none
// when there were none for a while; and one again.
#[cfg(target_os = "linux")]
#[test]
fn the_timer_thread_comes_and_goes() {
    alone("tests::real_time::the_timer_thread_comes_and_goes", || {
        let before = threads();
        let (root, _keep) = Context::background().with_cancel();
        assert_eq!(root.deadline(), None);
        let never = root.with_timeout(Duration::MAX);
        let over = root.with_timeout(Duration::ZERO);
        assert_eq!(threads(), before, "nothing is armed");
        for _ in 0..2 {
            let mut far = Vec::new();
            until("it runs", || {
                // Again: it may have come and gone before it is seen.
                far.push(root.with_timeout(ms(100)));
                threads() == before + 1
            });
            let (soon, _keep) = root.with_timeout(ms(5));
            assert!(soon.wait().is_timeout());
            assert!(threads() <= before + 1, "one is enough");
            drop(far);
            until("it has stopped", || threads() == before);
        }
        drop((never, over));
    });
}

// V18: moved earlier than all others, a deadline is in time, though the thread
// sleeps for longer: the first time that it is moved, and the next ones.
#[test]
fn a_deadline_moved_earlier_is_in_time() {
    in_time(|| {
        let timers = Timers::thread();
        let top = Context::background().with_driver(&timers);
        let _earliest = top.with_timeout(HOUR);
        for moves in 1..4 {
            let (ctx, handle) = top.with_timeout(2 * HOUR);
            // So that the thread sleeps.
            thread::sleep(ms(20));
            for n in 1..moves {
                assert!(handle.set_deadline(Instant::now() + 2 * HOUR - n * ms(1)));
            }
            let at = Instant::now() + ms(20);
            assert!(handle.set_deadline(at));
            until("it is over", || ctx.is_cancelled());
            assert!(Instant::now() >= at);
        }
    });
}

// V18: so is one that is added to a context that had none, while nothing else is
// armed.
#[test]
fn a_deadline_that_is_added_is_in_time() {
    in_time(|| {
        let timers = Timers::thread();
        let top = Context::background().with_driver(&timers);
        for _ in 0..3 {
            let (ctx, handle) = top.with_cancel();
            let at = Instant::now() + ms(20);
            assert!(handle.set_deadline(at));
            assert!(ctx.wait().is_timeout() && Instant::now() >= at);
        }
    });
}

// V25: the thread of timers that nobody has any more does not wait for what was
// armed on them.
#[cfg(target_os = "linux")]
#[test]
fn the_thread_of_dropped_timers_goes() {
    alone(
        "tests::real_time::the_thread_of_dropped_timers_goes",
        || {
            let before = threads();
            for _ in 0..20 {
                let timers = Timers::thread();
                let top = Context::background().with_driver(&timers);
                let _pair = top.with_timeout(HOUR);
                thread::sleep(ms(10));
            }
            until("they have stopped", || threads() == before);
        },
    );
}

// V18: what is far away wakes nobody.
#[cfg(target_os = "linux")]
#[test]
fn far_deadlines_cause_no_wake_ups() {
    alone("tests::real_time::far_deadlines_cause_no_wake_ups", || {
        /// How often the other threads of the process went to sleep.
        fn switches() -> u64 {
            let own = std::fs::read_link("/proc/thread-self").unwrap();
            let tasks = std::fs::read_dir("/proc/self/task").unwrap();
            let others = tasks.map(|task| task.unwrap().path());
            let others = others.filter(|task| task.file_name() != own.file_name());
            let count = |task: std::path::PathBuf| -> u64 {
                let status = std::fs::read_to_string(task.join("status")).unwrap();
                let line = |line: &&str| line.starts_with("voluntary_ctxt_switches");
                let line = status.lines().find(line).unwrap();
                line.split_whitespace().last().unwrap().parse().unwrap()
            };
            others.map(count).sum()
        }
        let pairs: Vec<_> = (1..100)
            .map(|n| Context::background().with_timeout(n * HOUR / 10))
            .collect();
        let (soon, _keep) = Context::background().with_timeout(ms(5));
        assert!(soon.wait().is_timeout());
        thread::sleep(ms(100));
        let before = switches();
        // Neither time nor what is armed later or disarmed wakes anybody.
        for _ in 0..100 {
            drop(Context::background().with_timeout(200 * HOUR));
            drop(pairs[50].0.with_timeout(HOUR));
            thread::sleep(ms(5));
        }
        assert!(switches() - before <= 2, "{}", switches() - before);
        drop(pairs);
    });
}

// V19: the default can be replaced: for what is armed from then on, where nothing
// above says otherwise; what was armed before stays where it is.
#[test]
fn the_default_driver_can_be_replaced() {
    alone(
        "tests::real_time::the_default_driver_can_be_replaced",
        || {
            let standard = time::default_driver();
            let (plain, _keep) = Context::background().with_cancel();
            let (old, _keep) = plain.with_timeout(HOUR);
            assert_eq!(standard.outstanding(), 1);
            let (driver, timers, _) = FakeDriver::new();
            time::set_default_driver(&timers);
            let (new, _keep) = plain.with_timeout(ms(5));
            let (below_old, _keep) = old.without_cancel().with_timeout(HOUR);
            assert_eq!((standard.outstanding(), timers.outstanding()), (2, 1));
            assert_eq!(time::default_driver().outstanding(), 1);
            assert_eq!(driver.take_wakes(), 1);
            driver.advance(ms(5) + TICK);
            timers.run();
            assert_eq!(outcome(&new), EXCEEDED);
            assert!(!old.is_cancelled() && !below_old.is_cancelled());
            // Time of day is the driver's, for waits as well.
            let (_clock, on_clock) = super::tools::on_clock();
            let (own, _keep) = on_clock.with_timeout(ms(5));
            assert_eq!(timers.outstanding(), 0);
            assert!(!own.is_cancelled());
            time::set_default_driver(&standard);
            let (again, _keep) = plain.with_timeout(ms(5));
            assert!(again.wait().is_timeout());
            assert_eq!(standard.outstanding(), 2);
        },
    );
}

// V18, V19: the default is replaced while threads arm: each is on one or the other,
// and none is lost.
#[test]
fn the_default_driver_may_be_replaced_while_threads_arm() {
    alone(
        "tests::real_time::the_default_driver_may_be_replaced_while_threads_arm",
        || {
            let sets: Vec<Timers> = (0..3).map(|_| FakeDriver::new().1).collect();
            let standard = time::default_driver();
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    thread::spawn(|| {
                        let arm = |_| Context::background().with_timeout(HOUR);
                        (0..5_000).map(arm).collect::<Vec<_>>()
                    })
                })
                .collect();
            let mut at = 0;
            while threads.iter().any(|thread| !thread.is_finished()) {
                time::set_default_driver(&sets[at % 3]);
                at += 1;
            }
            let held: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
            let count = || {
                let armed = sets.iter().chain([&standard]).map(Timers::outstanding);
                armed.sum::<usize>()
            };
            assert_eq!(count(), 10_000);
            drop(held);
            assert_eq!(count(), 0);
        },
    );
}

// V15: a callback on the timer thread arms, cancels, moves and waits for nothing.
#[test]
fn the_timer_thread_may_use_the_tree() {
    in_time(|| {
        let (told, tells) = mpsc::channel();
        let root = Context::background().with_cancel();
        let (ctx, _keep) = root.0.with_timeout(ms(5));
        let inside = root.0.clone();
        ctx.after_cancel(move |error: &CancelError| {
            assert!(error.is_timeout());
            let (child, handle) = inside.with_timeout(HOUR);
            assert!(handle.set_deadline(Instant::now() + ms(5)));
            let told = told.clone();
            child
                .after_cancel(move |_| told.send(Instant::now()).unwrap())
                .detach();
            std::mem::forget((child, handle));
        })
        .detach();
        tells.recv().unwrap();
        assert!(ctx.is_cancelled() && root.1.cancel());
    });
}
