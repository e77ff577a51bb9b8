//! Who is done after a cancel, and when.

use super::tools::{Random, Wakes, in_time, peek, poll, start};
use crate::{CancelHandle, Context, Reason};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};

type Pair = (Context, CancelHandle);

fn root() -> Pair {
    Context::background().with_cancel()
}

// G1, G2, G3: the roots are never done, and are not the same.
#[test]
fn background_and_todo_are_never_done() {
    static BACKGROUND: Context = Context::background();
    for ctx in [BACKGROUND.clone(), Context::todo()] {
        assert!(!ctx.is_cancelable());
        assert!(!ctx.is_cancelled());
        assert!(ctx.check().is_ok());
        assert!(ctx.error().is_none() && ctx.reason().is_none() && ctx.cause().is_none());
        assert_eq!(ctx.name(), None);
        assert_eq!(ctx.live_children(), 0);
        let (_child, handle) = ctx.with_cancel();
        assert!(handle.cancel());
        assert!(!ctx.is_cancelled());
        assert_eq!(ctx.live_children(), 0);
    }
    assert_ne!(BACKGROUND, Context::todo());
}

// V2, G5, G6, G32, G33, G34, I1 of the Rust peers: T38, D5.
#[test]
fn cancel_is_seen_at_once_and_for_ever() {
    let (ctx, handle) = root();
    let (child, _keep) = ctx.with_cancel();
    for ctx in [&ctx, &child] {
        assert!(ctx.is_cancelable());
        assert!(!ctx.is_cancelled());
        assert!(ctx.check().is_ok());
        assert!(ctx.error().is_none());
    }
    assert!(handle.cancel());
    for ctx in [&ctx, &child] {
        for _ in 0..3 {
            assert!(ctx.is_cancelled());
            assert!(ctx.check().is_err());
            assert_eq!(ctx.reason(), Some(Reason::Cancelled));
            assert!(peek(&mut ctx.cancelled()).is_ready());
        }
    }
}

// G17, P8: only the first call has an effect, and it alone says so.
#[test]
fn cancelling_twice_is_harmless() {
    let (ctx, handle) = root();
    let other = handle.clone();
    assert!(handle.cancel());
    assert!(!handle.cancel());
    assert!(!other.cancel_with("late"));
    assert!(ctx.cause().is_none());
}

// G7, G8, G10, G12, G14: what counts as a child, and when it stops to.
#[test]
fn live_children_follow_derive_cancel_and_drop() {
    let (ctx, handle) = root();
    assert_eq!(ctx.live_children(), 0);
    let (one, cancel_one) = ctx.with_cancel();
    let shield = ctx.without_cancel();
    let (_under, _under_handle) = shield.with_cancel();
    let (_named, _named_handle) = ctx.derive().name("n").build();
    assert_eq!(ctx.live_children(), 3);
    assert_eq!(shield.live_children(), 1);
    cancel_one.cancel();
    assert_eq!(ctx.live_children(), 2);
    drop((one, cancel_one));
    assert_eq!(ctx.live_children(), 2);
    handle.cancel();
    assert_eq!(ctx.live_children(), 1, "the shield is not done");
}

// V7, G13, G25.
#[test]
fn cancel_never_goes_up_or_sideways() {
    let (parent, _handle) = root();
    let (child, cancel_child) = parent.with_cancel();
    let (sibling, _keep) = parent.with_cancel();
    let (nephew, _keep_too) = sibling.with_cancel();
    cancel_child.cancel();
    assert!(child.is_cancelled());
    for ctx in [&parent, &sibling, &nephew] {
        assert!(!ctx.is_cancelled());
        assert!(ctx.error().is_none());
    }
}

// T17: an inner one of a family of eight.
#[test]
fn exactly_the_cancelled_branch_is_done_and_woken() {
    let (top, _keep) = root();
    let (parent, _keep) = top.with_cancel();
    let (sibling, _keep) = parent.with_cancel();
    let (inner, stop) = parent.with_cancel();
    let (a, _keep) = inner.with_cancel();
    let (b, _keep) = inner.with_cancel();
    let (a1, _keep) = a.with_cancel();
    let (a2, _keep) = a.with_cancel();
    let (b1, _keep) = b.with_cancel();
    let inside = [&inner, &a, &b, &a1, &a2, &b1];
    let outside = [&top, &parent, &sibling];
    let wait = |ctx: &&Context| {
        let (wakes, waker) = Wakes::new();
        let mut wait = (*ctx).clone().cancelled_owned();
        assert!(poll(&mut wait, &waker).is_pending());
        (wakes, wait)
    };
    let mut hit: Vec<_> = inside.iter().map(wait).collect();
    let mut missed: Vec<_> = outside.iter().map(wait).collect();
    assert!(stop.cancel());
    for (wakes, wait) in &mut hit {
        assert_eq!(wakes.count(), 1);
        assert!(peek(wait).is_ready());
    }
    for (wakes, wait) in &mut missed {
        assert_eq!(wakes.count(), 0);
        assert!(peek(wait).is_pending());
    }
    assert!(inside.iter().all(|ctx| ctx.is_cancelled()));
    assert!(outside.iter().all(|ctx| !ctx.is_cancelled()));
}

// V5, T15, G11, G19, P11.
#[test]
fn a_child_of_a_done_context_is_born_done() {
    let (ctx, handle) = root();
    let (inherited, _keep) = ctx.with_cancel();
    handle.cancel_with("over");
    for parent in [&ctx, &inherited] {
        let (child, cancel_child) = parent.with_cancel();
        let (grandchild, _keep) = child.derive().name("late").build();
        for born in [&child, &grandchild] {
            let error = born.error().unwrap();
            assert!(error.cause().unwrap().ptr_eq(&ctx.cause().unwrap()));
            assert_eq!(error.origin(), ctx.id());
            assert_eq!(error.location(), ctx.error().unwrap().location());
        }
        let (wakes, waker) = Wakes::new();
        assert!(poll(&mut child.cancelled(), &waker).is_ready());
        assert_eq!(wakes.count(), 0);
        assert!(!cancel_child.cancel());
        assert_eq!(parent.live_children(), 0);
    }
}

// G118, G119, G120, P10.
#[test]
fn nothing_gets_through_a_shield() {
    assert!(!Context::background().without_cancel().is_cancelable());
    let (ctx, handle) = root();
    let before = ctx.without_cancel();
    let (under, cancel_under) = before.with_cancel();
    handle.cancel_with("above");
    let after = ctx.without_cancel();
    let (late, cancel_late) = after.with_cancel();
    drop((ctx, handle));
    for shield in [&before, &after] {
        assert!(!shield.is_cancelable() && !shield.is_cancelled());
        assert!(shield.error().is_none() && shield.cause().is_none());
        let (wakes, waker) = Wakes::new();
        assert!(poll(&mut shield.cancelled(), &waker).is_pending());
        drop(waker);
        assert_eq!(Arc::strong_count(&wakes), 1, "no waker is kept");
    }
    for (ctx, handle) in [(&under, &cancel_under), (&late, &cancel_late)] {
        assert!(!ctx.is_cancelled());
        assert!(handle.cancel_with("own"));
        assert_eq!(ctx.cause().unwrap().to_string(), "own");
        assert_eq!(ctx.error().unwrap().origin(), ctx.id());
    }
    assert!(!before.is_cancelled() && !after.is_cancelled());
}

// V3, P7, G27: also the losing call returns with everything marked.
#[test]
fn whoever_cancels_finds_all_marked_on_return() {
    in_time(|| {
        for _ in 0..10 {
            let (ctx, handle) = root();
            let leaves: Arc<Vec<Context>> = Arc::new(wide_and_deep(&ctx));
            let barrier = Arc::new(Barrier::new(3));
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let (handle, leaves, barrier) =
                        (handle.clone(), leaves.clone(), barrier.clone());
                    start(move || {
                        barrier.wait();
                        let won = handle.cancel();
                        assert!(leaves.iter().all(Context::is_cancelled));
                        usize::from(won)
                    })
                })
                .collect();
            let winners: usize = threads.into_iter().map(|t| t.join().unwrap()).sum();
            assert_eq!(winners, 1);
        }
    });
}

// V3: a cancel further down that finds its subtree half marked helps too.
#[test]
fn a_cancel_of_an_inner_one_also_returns_with_its_subtree_marked() {
    in_time(|| {
        for _ in 0..10 {
            let (ctx, handle) = root();
            let (middle, stop) = ctx.with_cancel();
            let all = wide_and_deep(&ctx);
            let below = wide_and_deep(&middle);
            let barrier = Arc::new(Barrier::new(2));
            let other = barrier.clone();
            let thread = start(move || {
                other.wait();
                stop.cancel();
                assert!(below.iter().all(Context::is_cancelled));
            });
            barrier.wait();
            handle.cancel();
            assert!(all.iter().all(Context::is_cancelled));
            assert!(middle.is_cancelled());
            thread.join().unwrap();
        }
    });
}

/// Some thousand descendants.
fn wide_and_deep(ctx: &Context) -> Vec<Context> {
    let mut all = Vec::new();
    for _ in 0..100 {
        let mut at = ctx.with_cancel().0;
        for _ in 0..20 {
            let below = at.with_cancel().0;
            all.push(std::mem::replace(&mut at, below));
        }
        all.push(at);
    }
    all
}

// V4, P17, G28, G29: whoever sees a child done sees the ancestor done, with
// the same cause.
#[test]
fn no_child_is_seen_done_before_its_ancestor() {
    in_time(|| {
        for _ in 0..300 {
            let (ctx, handle) = root();
            let (middle, _keep) = ctx.with_cancel();
            let (leaf, _keep) = middle.with_cancel();
            let thread = start(move || {
                while !leaf.is_cancelled() {
                    std::hint::spin_loop();
                }
                assert!(ctx.is_cancelled());
                assert!(middle.is_cancelled());
                assert!(ctx.cause().unwrap().ptr_eq(&leaf.cause().unwrap()));
            });
            handle.cancel_with("why");
            thread.join().unwrap();
        }
    });
}

// V5, G20, G30, P1, D8: a child derived while its parent is being cancelled.
#[test]
fn child_attached_during_cancel_is_cancelled() {
    in_time(|| {
        for round in 0..2_000 {
            let (ctx, handle) = root();
            let (middle, _keep) = ctx.with_cancel();
            let barrier = Arc::new(Barrier::new(2));
            let other = barrier.clone();
            let thread = start(move || {
                other.wait();
                assert!(handle.cancel_with("racing"));
            });
            barrier.wait();
            let parent = if round % 2 == 0 { &ctx } else { &middle };
            let (child, _keep) = parent.with_cancel();
            let (grandchild, _keep) = child.with_cancel();
            thread.join().unwrap();
            for ctx in [&child, &grandchild] {
                assert_eq!(ctx.cause().unwrap().to_string(), "racing");
                assert!(ctx.cause().unwrap().ptr_eq(&middle.cause().unwrap()));
            }
        }
    });
}

// V5, G20, P4: n children made before the cancel and m racing it.
#[test]
fn all_children_before_and_during_a_cancel_are_done() {
    in_time(|| {
        for n in 0..16 {
            for m in 0..16 {
                let (ctx, handle) = root();
                let mut children: Vec<Pair> = (0..n).map(|_| ctx.with_cancel()).collect();
                let go = Arc::new(AtomicBool::new(false));
                let seen = go.clone();
                let racer = start(move || {
                    while !seen.load(SeqCst) {
                        std::hint::spin_loop();
                    }
                    (0..m).map(|_| ctx.with_cancel()).collect::<Vec<Pair>>()
                });
                go.store(true, SeqCst);
                assert!(handle.cancel());
                children.extend(racer.join().unwrap());
                assert_eq!(children.len(), n + m);
                assert!(children.iter().all(|(child, _)| child.is_cancelled()));
            }
        }
    });
}

// G21: every one of a tree is cancelled at once, in random order.
#[test]
fn cancels_all_over_a_tree_end() {
    in_time(|| {
        for seed in 0..30 {
            let mut random = Random::new(seed);
            let mut nodes = vec![root()];
            for i in 0..100 {
                let child = nodes[i / 4].0.with_cancel();
                nodes.push(child);
            }
            let contexts: Vec<_> = nodes.iter().map(|(ctx, _)| ctx.clone()).collect();
            let mut bundles: [Vec<CancelHandle>; 4] = Default::default();
            while !nodes.is_empty() {
                let (_, handle) = nodes.swap_remove(random.below(nodes.len()));
                bundles[random.below(4)].push(handle);
            }
            let threads = bundles.map(|handles| {
                start(move || handles.iter().filter(|handle| handle.cancel()).count())
            });
            let won: usize = threads.into_iter().map(|t| t.join().unwrap()).sum();
            assert!((1..=contexts.len()).contains(&won));
            assert!(contexts.iter().all(Context::is_cancelled));
        }
    });
}

// G22: a thread that waits for the parent cancels the child.
#[test]
fn a_child_cancelled_by_who_waits_for_its_parent_is_done() {
    in_time(|| {
        let (parent, handle) = root();
        let (child, cancel_child) = parent.with_cancel();
        let thread = start(move || {
            parent.wait();
            cancel_child.cancel()
        });
        handle.cancel();
        let error = child.wait();
        // Done above may be a moment before done below, so either may win.
        let won = thread.join().unwrap();
        assert_eq!(error.origin() == child.id(), won);
    });
}

// P8: among many cancellers of one context one wins.
#[test]
fn exactly_one_of_many_cancellers_wins() {
    in_time(|| {
        for _ in 0..200 {
            let (ctx, handle) = root();
            let (child, _keep) = ctx.with_cancel();
            let wins = Arc::new(AtomicUsize::new(0));
            let threads: Vec<_> = (0..4)
                .map(|i| {
                    let (handle, wins) = (handle.clone(), wins.clone());
                    start(move || {
                        if handle.cancel_with(format!("{i}")) {
                            wins.fetch_add(1, SeqCst);
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|t| t.join().unwrap());
            assert_eq!(wins.load(SeqCst), 1);
            assert!(child.cause().unwrap().ptr_eq(&ctx.cause().unwrap()));
        }
    });
}

// V16, G18, P64: asking is answered while a large cancel runs, and a cancel
// does not wait for those who work.
#[test]
fn asking_goes_on_during_a_large_cancel() {
    in_time(|| {
        let (ctx, handle) = root();
        let leaves: Vec<_> = (0..100_000).map(|_| ctx.with_cancel()).collect();
        let canceller = start(move || handle.cancel());
        while !ctx.is_cancelled() {}
        // Done above may be a moment before done below.
        while !leaves.iter().all(|(leaf, _)| leaf.is_cancelled()) {}
        assert!(canceller.join().unwrap());
    });
}
