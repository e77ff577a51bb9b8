//! Threads on a manual clock: they wait by it, arm on it, and move it.

use super::tools::{HOUR, in_time, ms, on_clock, start};
use crate::time::ManualClock;
use crate::{CancelError, Context};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Moves the clock, bit by bit, until the thread has ended.
fn drive<T>(clock: &ManualClock, thread: JoinHandle<T>) -> T {
    while !thread.is_finished() {
        clock.advance(ms(1));
        thread::yield_now();
    }
    thread.join().unwrap()
}

/// Waits for so long; the error if the context ended before.
type Wait = fn(&Context, &ManualClock, Duration) -> Option<CancelError>;

const WAITS: [Wait; 3] = [
    |ctx, _, length| ctx.sleep(length).err(),
    |ctx, _, length| ctx.wait_timeout(length),
    |ctx, clock, length| ctx.wait_until(clock.now() + length),
];

// V19: a wait with a limit lasts as long as it should by the context's clock.
#[test]
fn waits_follow_the_clock_of_their_context() {
    in_time(|| {
        for wait in WAITS {
            let (clock, top) = on_clock();
            let (ctx, _keep) = top.with_timeout(1_000 * HOUR);
            let by = clock.clone();
            let thread = start(move || {
                let began = by.now();
                assert!(wait(&ctx, &by, ms(20)).is_none());
                by.now() - began
            });
            let lasted = drive(&clock, thread);
            assert!(lasted >= ms(20), "{lasted:?}");
        }
    });
}

// V19: real time does not end one; what is over or zero asks once.
#[test]
fn real_time_does_not_end_a_wait_on_a_clock() {
    in_time(|| {
        for wait in WAITS {
            let (clock, top) = on_clock();
            let (ctx, _keep) = top.with_cancel();
            assert!(wait(&ctx, &clock, Duration::ZERO).is_none());
            assert!(ctx.wait_until(clock.now() - ms(1)).is_none());
            let (ended, has_ended) = mpsc::channel();
            let by = clock.clone();
            let thread = start(move || {
                let error = wait(&ctx, &by, ms(1));
                ended.send(()).unwrap();
                error
            });
            assert!(has_ended.recv_timeout(ms(50)).is_err(), "by real time");
            assert!(drive(&clock, thread).is_none());
        }
    });
}

// V19: the deadline of the context, or a cancel, ends one before its limit, also
// one without any.
#[test]
fn a_deadline_ends_a_longer_wait() {
    in_time(|| {
        for wait in WAITS {
            for limit in [HOUR, 1_000_000 * HOUR] {
                let (clock, top) = on_clock();
                let (ctx, _keep) = top.with_timeout(ms(20));
                let by = clock.clone();
                let thread = start(move || wait(&ctx, &by, limit));
                let error = drive(&clock, thread).unwrap();
                assert!(error.is_timeout());
                let (ctx, handle) = top.with_cancel();
                let by = clock.clone();
                let thread = start(move || wait(&ctx, &by, limit));
                handle.cancel();
                assert!(!thread.join().unwrap().unwrap().is_timeout());
            }
        }
        let (_clock, top) = on_clock();
        let (ctx, handle) = top.with_cancel();
        let thread = start(move || (ctx.sleep(Duration::MAX), ctx.wait_timeout(Duration::MAX)));
        handle.cancel();
        let (slept, waited) = thread.join().unwrap();
        assert!(slept.is_err() && waited.is_some());
    });
}

// V19: a wait that ends by cancel or by its limit leaves no timer.
#[test]
fn a_wait_leaves_no_timer() {
    in_time(|| {
        let (clock, top) = on_clock();
        for wait in WAITS {
            let (ctx, handle) = top.with_cancel();
            let by = clock.clone();
            let thread = start(move || wait(&ctx, &by, HOUR));
            handle.cancel();
            assert!(thread.join().unwrap().is_some());
            assert_eq!((clock.outstanding(), top.live_children()), (0, 0));
            let (ctx, _keep) = top.with_cancel();
            let by = clock.clone();
            let thread = start(move || wait(&ctx, &by, ms(3)).is_none());
            assert!(drive(&clock, thread));
            assert_eq!(clock.outstanding(), 0);
        }
    });
}

// V19, P67: threads arm while another advances: each fires once, none early, none
// is left.
#[test]
fn what_threads_arm_while_the_clock_moves_fires_once() {
    in_time(|| {
        const EACH: usize = 2_000;
        let (clock, top) = on_clock();
        let runs = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..3)
            .map(|n| {
                let (clock, top, runs) = (clock.clone(), top.clone(), runs.clone());
                start(move || {
                    let arm = |i: usize| {
                        let at = clock.now() + ms((i * 7 + n) as u64 % 20);
                        let (ctx, _) = top.with_deadline(at);
                        let (clock, runs) = (clock.clone(), runs.clone());
                        ctx.after_cancel(move |error| {
                            assert!(error.is_timeout() && clock.now() >= at);
                            runs.fetch_add(1, SeqCst);
                        })
                        .detach();
                        ctx
                    };
                    (0..EACH).map(arm).collect::<Vec<Context>>()
                })
            })
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            clock.advance(ms(1));
            thread::yield_now();
        }
        let kept: Vec<Context> = threads
            .into_iter()
            .flat_map(|t| t.join().unwrap())
            .collect();
        clock.advance(ms(20));
        assert!(kept.iter().all(Context::is_cancelled));
        assert_eq!((runs.load(SeqCst), clock.outstanding()), (3 * EACH, 0));
    });
}

// V19: two threads advance at once: all that is due by then fires, once, and the
// clock goes at least as far as each of them says.
#[test]
fn a_clock_may_be_advanced_by_two_threads() {
    in_time(|| {
        for _ in 0..50 {
            let (clock, top) = on_clock();
            let began = clock.now();
            let runs = Arc::new(AtomicUsize::new(0));
            let kept: Vec<Context> = (1..=50)
                .map(|n| {
                    let (ctx, _) = top.with_timeout(ms(n));
                    let runs = runs.clone();
                    ctx.after_cancel(move |_| {
                        runs.fetch_add(1, SeqCst);
                    })
                    .detach();
                    ctx
                })
                .collect();
            let barrier = Arc::new(Barrier::new(2));
            let threads = [(); 2].map(|()| {
                let (clock, barrier) = (clock.clone(), barrier.clone());
                start(move || {
                    barrier.wait();
                    for _ in 0..50 {
                        let before = clock.now();
                        clock.advance(ms(1));
                        assert!(clock.now() >= before + ms(1));
                    }
                })
            });
            threads.into_iter().for_each(|t| t.join().unwrap());
            let passed = clock.now() - began;
            assert!(passed >= ms(50) && passed <= ms(100), "{passed:?}");
            assert!(kept.iter().all(Context::is_cancelled));
            assert_eq!((runs.load(SeqCst), clock.outstanding()), (50, 0));
        }
    });
}
