//! What goes is given back: nothing is left, and little is left lying about.
//!
//! The count of live objects is one for the process, so whoever reads it runs
//! in a process of its own.

#![cfg(feature = "internal-model")]

use super::tools::{
    Body, Random, Wakes, alone, assert_nothing_left, at_once, cause_on_drop, in_time, on_wake,
    orders, poll, start,
};
use crate::{CancelHandle, Context, Registration, model};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};

type Pair = (Context, CancelHandle);

fn root() -> Pair {
    Context::background().with_cancel()
}

// V10: what is counted as dead is: one by one, until a batch is reaped.
#[test]
fn dead_children_wait_for_a_batch() {
    let (ctx, _handle) = root();
    for round in 0..3 {
        for dead in 0..model::BATCH {
            assert_eq!(model::unreaped(&ctx), dead, "{round}");
            drop(ctx.with_cancel());
        }
    }
    assert_eq!(model::unreaped(&ctx), 0);
    // In each lane of a split list, for a larger one.
    model::split(&ctx);
    for dead in 0..model::BATCH_SPLIT {
        assert_eq!(model::unreaped(&ctx), dead);
        drop(ctx.with_cancel());
    }
    assert_eq!(model::unreaped(&ctx), 0);
}

// V9, V10, P47, G26, D9: many short children, one by one.
#[test]
fn a_million_short_children_leave_a_few_dead() {
    in_time(|| {
        let (ctx, _handle) = root();
        let mut most = 0;
        for i in 0..1_000_000 {
            let pair = ctx.with_cancel();
            if i % 3 == 0 {
                pair.1.cancel();
            }
            drop(pair);
            most = most.max(model::unreaped(&ctx));
        }
        assert!(most < model::BATCH, "{most}");
        assert_eq!(ctx.live_children(), 0);
    });
}

// V10: in whatever order, among those that stay.
#[test]
fn churn_in_random_order_leaves_a_few_dead() {
    in_time(|| {
        let (ctx, _handle) = root();
        let mut random = Random::new(1);
        let mut held: Vec<Pair> = Vec::new();
        for _ in 0..200_000 {
            if held.len() < 500 || (held.len() < 1_500 && random.below(2) == 0) {
                held.push(ctx.with_cancel());
            } else {
                drop(held.swap_remove(random.below(held.len())));
                assert!(model::unreaped(&ctx) < model::BATCH);
            }
        }
        assert_eq!(ctx.live_children(), held.len());
    });
}

// V10: the same in the lanes of a contended list.
#[test]
fn churn_in_lanes_leaves_a_few_dead() {
    in_time(|| {
        let (ctx, _handle) = root();
        let early: Vec<_> = (0..20).map(|_| ctx.with_cancel()).collect();
        model::split(&ctx);
        let lanes = 64;
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let ctx = ctx.clone();
                start(move || {
                    for _ in 0..50_000 {
                        drop(ctx.with_cancel());
                    }
                    ctx.with_cancel()
                })
            })
            .collect();
        let kept: Vec<Pair> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        assert_eq!(ctx.live_children(), early.len() + kept.len());
        assert!(model::unreaped(&ctx) < model::BATCH + lanes * model::BATCH_SPLIT);
        drop((early, kept));
        assert_eq!(ctx.live_children(), 0);
    });
}

// V3, V9: lanes are cancelled and orphaned as one list is.
#[test]
fn a_split_list_is_cancelled_and_orphaned_whole() {
    alone(
        "tests::memory::a_split_list_is_cancelled_and_orphaned_whole",
        || {
            for cancelled in [false, true] {
                let (top, handle) = root();
                let (ctx, _) = top.with_cancel();
                let mut children = vec![ctx.with_cancel().0];
                model::split(&ctx);
                for _ in 0..4 {
                    let ctx = ctx.clone();
                    let more = start(move || (0..50).map(|_| ctx.with_cancel().0).collect());
                    let more: Vec<Context> = more.join().unwrap();
                    children.extend(more);
                }
                assert_eq!(ctx.live_children(), children.len());
                drop(ctx);
                assert_eq!(top.live_children(), 1);
                if cancelled {
                    handle.cancel();
                    assert!(children.iter().all(Context::is_cancelled));
                }
                drop(children);
                assert_eq!(top.live_children(), 0);
                drop((top, handle));
                assert_nothing_left();
            }
        },
    );
}

// T35, P46, P55: every drop order of a family, cancelled or not.
#[test]
fn no_drop_order_of_a_family_leaks() {
    alone("tests::memory::no_drop_order_of_a_family_leaks", || {
        for cancelled in [false, true] {
            for order in orders(5) {
                let (top, handle) = root();
                let (middle, _) = top.with_cancel();
                let (named, _) = middle.derive().name("named".to_owned()).build();
                let shield = middle.without_cancel();
                let (leaf, _) = shield.with_cancel();
                let mut held = [top, middle, named, shield, leaf].map(Some);
                if cancelled {
                    handle.cancel_with("why");
                }
                drop(handle);
                for at in order {
                    held[at] = None;
                }
                assert_nothing_left();
            }
        }
    });
}

// D16, K12, V16: a hundred thousand abandoned waits, alone, beside others, and
// polled more than once.
#[test]
fn abandoned_waits_leave_no_growth() {
    alone("tests::memory::abandoned_waits_leave_no_growth", || {
        let (ctx, handle) = root();
        let (wakes, waker) = Wakes::new();
        let before = model::live_objects();
        for _ in 0..100_000 {
            let mut wait = ctx.cancelled();
            assert!(poll(&mut wait, &waker).is_pending());
            assert!(poll(&mut wait, &waker).is_pending());
            drop(wait);
            assert!(model::live_objects() <= before + model::BATCH);
        }
        let others: Vec<_> = (0..100)
            .map(|_| {
                let mut wait = ctx.clone().cancelled_owned();
                assert!(poll(&mut wait, &waker).is_pending());
                wait
            })
            .collect();
        // Looking at them keeps none.
        assert_eq!(ctx.tree().nodes().count(), 1);
        for _ in 0..100_000 {
            assert!(poll(&mut ctx.cancelled(), &waker).is_pending());
            assert!(model::live_objects() <= before + others.len() + model::BATCH);
        }
        handle.cancel();
        assert_eq!(wakes.count(), others.len());
        for _ in 0..1_000 {
            assert!(poll(&mut ctx.cancelled(), &waker).is_ready());
        }
        drop((others, ctx, handle));
        assert_nothing_left();
        drop(waker);
        assert_eq!(Arc::strong_count(&wakes), 1);
    });
}

// V10: heap is flat while families come and go.
#[test]
fn families_that_come_and_go_leave_the_heap_flat() {
    alone(
        "tests::memory::families_that_come_and_go_leave_the_heap_flat",
        || {
            let (top, handle) = root();
            let mut most = 0;
            for i in 0..100_000 {
                let (request, stop) = top.derive().name("request").build();
                let (task, _) = request.with_cancel();
                let mut wait = task.cancelled_owned();
                assert!(poll(&mut wait, std::task::Waker::noop()).is_pending());
                if i % 2 == 0 {
                    stop.cancel_with("gone");
                }
                drop((request, stop, wait));
                most = most.max(model::live_objects());
            }
            assert!(most < 10_000, "{most}");
            drop((top, handle));
            assert_nothing_left();
        },
    );
}

// V12, P52: wakers run under no pin: while one blocks, others' memory goes on
// being given back.
#[test]
fn a_waker_that_blocks_holds_no_memory_of_others() {
    alone(
        "tests::memory::a_waker_that_blocks_holds_no_memory_of_others",
        || {
            let (top, _keep) = root();
            let (ctx, handle) = top.with_cancel();
            let (blocked, is_blocked) = mpsc::channel();
            let (unblock, unblocked) = mpsc::channel::<()>();
            let unblocked = std::sync::Mutex::new(unblocked);
            let waker = on_wake(move || {
                blocked.send(()).unwrap();
                unblocked.lock().unwrap().recv().unwrap();
            });
            let mut wait = ctx.cancelled_owned();
            assert!(poll(&mut wait, &waker).is_pending());
            let canceller = start(move || handle.cancel());
            is_blocked.recv().unwrap();
            for _ in 0..50_000 {
                let (parent, _) = top.with_cancel();
                drop(parent.with_cancel());
            }
            model::collect();
            let left = model::live_objects();
            unblock.send(()).unwrap();
            assert!(canceller.join().unwrap());
            assert!(left < 1_000, "{left}");
        },
    );
}

// V9, V10, P15, P46, P50: cancels, derives, waits and drops race on threads;
// at the end nothing is left, and every cause is dropped once.
#[test]
fn races_leave_nothing_behind() {
    alone("tests::memory::races_leave_nothing_behind", || {
        let drops = Arc::new(());
        for round in 0..2_000_u64 {
            let (top, stop) = root();
            if round % 4 == 0 {
                model::split(&top);
            }
            let (middle, cancel_middle) = top.with_cancel();
            let (leaf, _) = middle.with_cancel();
            let mut wait = leaf.cancelled_owned();
            assert!(poll(&mut wait, std::task::Waker::noop()).is_pending());
            let held = drops.clone();
            let bodies: Vec<Body> = vec![
                Box::new(move || {
                    stop.cancel_with(cause_on_drop(move || {
                        let _ = &held;
                    }));
                }),
                Box::new(move || {
                    cancel_middle.cancel();
                }),
                Box::new(move || {
                    let (late, _) = middle.with_cancel();
                    drop(middle);
                    let _ = poll(&mut late.cancelled(), std::task::Waker::noop());
                }),
                Box::new(move || {
                    drop(wait);
                    let _ = top.live_children();
                }),
            ];
            at_once(bodies);
            if round % 100 == 0 {
                assert_nothing_left();
            }
        }
        assert_nothing_left();
        assert_eq!(Arc::strong_count(&drops), 1);
    });
}

// V9, V13: a callback that a cancel is about to run outlives its registration and
// its context, which the callback before it gives up, and goes once.
#[test]
fn a_callback_about_to_run_outlives_its_context() {
    alone(
        "tests::memory::a_callback_about_to_run_outlives_its_context",
        || {
            let (top, handle) = root();
            let (ctx, keep) = top.with_cancel();
            let (parent, siblings) = (top.clone(), 2 * model::BATCH);
            let held = Arc::new(Mutex::new(None));
            let all = held.clone();
            ctx.after_cancel(move |_| {
                let (second, ctx, keep): (Registration, Context, CancelHandle) =
                    all.lock().unwrap().take().unwrap();
                second.detach();
                drop((ctx, keep));
                // So that what was given up is freed, and not just buried.
                for _ in 0..siblings {
                    drop(parent.with_cancel());
                }
                model::collect();
            })
            .detach();
            let runs = Arc::new(AtomicUsize::new(0));
            let count = runs.clone();
            let second = ctx.after_cancel(move |_| {
                count.fetch_add(1, SeqCst);
            });
            let freed = model::live_objects();
            *held.lock().unwrap() = Some((second, ctx, keep));
            handle.cancel();
            assert_eq!(runs.load(SeqCst), 1);
            assert!(model::live_objects() < freed);
            drop((top, handle));
            assert_nothing_left();
        },
    );
}
