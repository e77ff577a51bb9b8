//! Waits for idle: many, dropped, moved, under load.

use super::tools::{Random, Wakes, big, in_time, on_small_stack, peek, poll, start};
use crate::{CancelHandle, Context};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

// V22: all who wait go together, each woken once.
#[test]
fn all_waits_are_released_by_the_last_drop() {
    let (ctx, _keep) = root();
    let mut children: Vec<_> = (0..10).map(|_| ctx.with_cancel()).collect();
    let mut waits: Vec<_> = (0..100)
        .map(|_| {
            let (wakes, waker) = Wakes::new();
            let mut idle = ctx.idle();
            assert!(poll(&mut idle, &waker).is_pending());
            (wakes, idle)
        })
        .collect();
    while children.pop().is_some() {
        let woken = usize::from(children.is_empty());
        assert!(waits.iter().all(|(wakes, _)| wakes.count() == woken));
    }
    for (wakes, idle) in &mut waits {
        assert!(peek(idle).is_ready());
        assert_eq!(wakes.count(), 1);
    }
}

// V22: a wait that was ready stays it, whatever comes.
#[test]
fn a_wait_that_was_ready_is_ready_again() {
    let (ctx, _keep) = root();
    let (child, _) = ctx.with_cancel();
    let mut waited = ctx.idle();
    assert!(peek(&mut waited).is_pending());
    drop(child);
    let mut at_once = ctx.idle();
    for idle in [&mut waited, &mut at_once] {
        assert!(peek(idle).is_ready());
    }
    let (_late, _) = ctx.with_cancel();
    for idle in [&mut waited, &mut at_once] {
        assert!(peek(idle).is_ready() && peek(idle).is_ready());
    }
}

// V22: one wait after the other, each with its own end.
#[test]
fn waits_may_follow_each_other_for_ever() {
    let (ctx, _keep) = root();
    for round in 0..1_000 {
        let held: Vec<_> = (0..round % 5 + 1).map(|_| ctx.with_cancel()).collect();
        let (wakes, waker) = Wakes::new();
        let mut idle = ctx.idle();
        assert!(poll(&mut idle, &waker).is_pending());
        assert!(!ctx.wait_idle(Some(Duration::ZERO)));
        drop(held);
        assert_eq!(wakes.count(), 1);
        assert!(poll(&mut idle, &waker).is_ready());
        assert!(ctx.wait_idle(None));
    }
}

// V22: one made while the context is busy, and first polled when it is not.
#[test]
fn a_wait_that_is_polled_late_is_ready() {
    let (ctx, _keep) = root();
    let (child, _) = ctx.with_cancel();
    let mut idle = ctx.idle();
    drop(child);
    assert!(peek(&mut idle).is_ready());
}

// V22: the last waker alone is woken, and no other is kept.
#[test]
fn a_wait_that_moves_wakes_its_last_task() {
    let (ctx, _keep) = root();
    let (child, _) = ctx.with_cancel();
    let mut idle = ctx.idle();
    let (first, waker) = Wakes::new();
    assert!(poll(&mut idle, &waker).is_pending());
    drop(waker);
    let (second, waker) = Wakes::new();
    let elsewhere = || {
        let mut idle = idle;
        assert!(poll(&mut idle, &waker).is_pending());
        idle
    };
    let mut idle = thread::scope(|scope| scope.spawn(elsewhere).join().unwrap());
    assert_eq!(Arc::strong_count(&first), 1, "the old one is not kept");
    drop(child);
    assert_eq!((first.count(), second.count()), (0, 1));
    assert!(peek(&mut idle).is_ready());
}

// V22: one that is dropped half-way keeps no waker, and the others are woken.
#[test]
fn a_dropped_wait_leaves_nothing() {
    let (ctx, _keep) = root();
    let (child, _) = ctx.with_cancel();
    let (stays, waker) = Wakes::new();
    let mut other = ctx.idle();
    assert!(poll(&mut other, &waker).is_pending());
    let (wakes, waker) = Wakes::new();
    for polls in 0..3 {
        let mut idle = ctx.idle();
        for _ in 0..polls {
            assert!(poll(&mut idle, &waker).is_pending());
        }
    }
    drop(waker);
    assert_eq!(Arc::strong_count(&wakes), 1);
    drop(child);
    assert_eq!((stays.count(), wakes.count()), (1, 0));
    assert!(peek(&mut other).is_ready());
}

// V8, V22: a million deep, dropped from the top down, then the leaf.
#[test]
fn a_deep_chain_becomes_idle_on_a_small_stack() {
    let _one_by_one = big();
    on_small_stack(|| {
        let (top, _keep) = root();
        let (mut leaf, _) = top.with_cancel();
        for _ in 0..1_000_000 {
            let (below, _) = leaf.with_cancel();
            leaf = below;
        }
        let (wakes, waker) = Wakes::new();
        let mut idle = top.idle();
        assert!(poll(&mut idle, &waker).is_pending());
        drop(leaf);
        assert_eq!(wakes.count(), 1);
        assert!(peek(&mut idle).is_ready());
    });
}

// V22: no wake-up is lost: the last drop races the poll, blocking or not.
#[test]
fn a_last_drop_that_races_the_wait_ends_it() {
    in_time(|| {
        for round in 0..3_000 {
            let (ctx, _keep) = root();
            let (middle, _) = ctx.with_cancel();
            let held = match round % 3 {
                0 => middle.clone(),
                1 => middle.with_cancel().0,
                _ => ctx.link([&middle]).0,
            };
            drop(middle);
            let barrier = Arc::new(Barrier::new(2));
            let other = barrier.clone();
            let thread = start(move || {
                other.wait();
                drop(held);
            });
            barrier.wait();
            assert!(ctx.wait_idle(None));
            thread.join().unwrap();
        }
    });
}

// V22: what was done before the last drop is seen by whoever waited.
#[test]
fn whoever_waited_sees_what_was_done_before() {
    in_time(|| {
        for _ in 0..1_000 {
            let (ctx, _keep) = root();
            let seen = Arc::new(AtomicUsize::new(0));
            let threads = [(); 2].map(|()| {
                let (held, _) = ctx.with_cancel();
                let seen = seen.clone();
                start(move || {
                    // Relaxed: that it is seen is the promise.
                    seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    drop(held);
                })
            });
            assert!(ctx.wait_idle(None));
            assert_eq!(seen.load(std::sync::atomic::Ordering::Relaxed), 2);
            threads.into_iter().for_each(|t| t.join().unwrap());
        }
    });
}

// V22: before, during and after four threads make and drop descendants.
#[test]
fn waits_end_before_during_and_after_churn() {
    in_time(|| {
        let (ctx, _keep) = root();
        assert!(ctx.wait_idle(None));
        let barrier = Arc::new(Barrier::new(5));
        let threads = [0, 1, 2, 3].map(|seed| {
            let (ctx, barrier) = (ctx.clone(), barrier.clone());
            start(move || {
                let mut random = Random::new(seed);
                let mut held = vec![ctx.with_cancel().0];
                barrier.wait();
                for _ in 0..20_000 {
                    match random.below(3) {
                        0 if held.len() < 8 => held.push(ctx.with_cancel().0),
                        1 if held.len() < 8 && !held.is_empty() => {
                            let below = held[random.below(held.len())].with_value(1_u8);
                            held.push(below);
                        }
                        _ if !held.is_empty() => {
                            drop(held.swap_remove(random.below(held.len())));
                        }
                        _ => {}
                    }
                }
                held.clear();
            })
        });
        barrier.wait();
        let waiters = [(); 2].map(|()| {
            let ctx = ctx.clone();
            start(move || {
                for _ in 0..50 {
                    assert!(ctx.wait_idle(None));
                    let mut idle = ctx.idle();
                    let _ = peek(&mut idle);
                }
            })
        });
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert!(ctx.wait_idle(None));
        waiters.into_iter().for_each(|t| t.join().unwrap());
        assert!(ctx.wait_idle(Some(Duration::ZERO)));
    });
}
