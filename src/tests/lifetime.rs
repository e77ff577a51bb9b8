//! Handles are dropped: nothing is cancelled, nothing is lost.

use super::tools::{Body, Random, Wakes, at_once, cause_on_drop, in_time, orders, peek, poll};
use crate::{CancelHandle, Context, Reason};
use std::cell::RefCell;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::Duration;

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

// V9.
#[test]
fn dropping_handles_cancels_nothing() {
    let (ctx, handle) = root();
    drop(handle.clone());
    drop(handle);
    let (child, child_handle) = ctx.with_cancel();
    drop(child_handle);
    drop(child.clone());
    assert!(!ctx.is_cancelled());
    assert!(!child.is_cancelled());
}

// V9, G26: the last handle unlinks.
#[test]
fn a_dropped_child_is_no_live_child() {
    let (ctx, _handle) = root();
    for _ in 0..100_000 {
        drop(ctx.with_cancel());
    }
    assert_eq!(ctx.live_children(), 0);
}

// V9, T12, T18, K8, P46: a middle whose handles are gone still relays.
#[test]
fn a_dropped_middle_still_relays_to_its_leaf() {
    let (top, handle) = root();
    let (middle, middle_handle) = top.with_cancel();
    let (leaf, _leaf_handle) = middle.with_cancel();
    let (wakes, waker) = Wakes::new();
    let mut wait = leaf.cancelled();
    assert!(poll(&mut wait, &waker).is_pending());
    drop((middle, middle_handle));
    assert_eq!(top.live_children(), 1);
    assert!(handle.cancel_with("top"));
    assert!(leaf.is_cancelled());
    assert_eq!(wakes.count(), 1);
    assert!(peek(&mut wait).is_ready());
    assert_eq!(leaf.error().unwrap().origin(), top.id());
}

// V9: also through a chain of them, and for what is derived later.
#[test]
fn a_child_of_a_leaf_under_dropped_middles_is_reached() {
    let (top, handle) = root();
    let mut leaf = top.clone();
    for _ in 0..100 {
        leaf = leaf.with_cancel().0;
    }
    let (late, _late_handle) = leaf.with_cancel();
    drop(leaf);
    handle.cancel();
    assert!(late.is_cancelled());
}

// V9: a context lives on while only its handle to cancel, or only a wait, is
// held.
#[test]
fn every_kind_of_handle_keeps_its_context() {
    let (top, _handle) = root();
    let (child, child_handle) = top.with_cancel();
    drop(child);
    assert_eq!(top.live_children(), 1);
    let guard = child_handle.drop_guard();
    assert_eq!(top.live_children(), 1);
    let owned = guard.context().clone().cancelled_owned();
    drop(guard.disarm());
    assert_eq!(top.live_children(), 1);
    drop(owned);
    assert_eq!(top.live_children(), 0);
    let shield = top.without_cancel();
    let (under, under_handle) = shield.with_cancel();
    drop(shield);
    assert_eq!(top.live_children(), 1);
    drop(under);
    assert_eq!(top.live_children(), 1, "its handle to cancel is still held");
    drop(under_handle);
    assert_eq!(top.live_children(), 0);
}

// T16: first to last, last to first, and any other order.
#[test]
fn the_parent_stays_live_in_whatever_order_children_go() {
    for order in orders(4) {
        let (ctx, _handle) = root();
        let mut children: Vec<_> = (0..4).map(|_| Some(ctx.with_cancel())).collect();
        for (gone, &at) in order.iter().enumerate() {
            children[at] = None;
            assert!(!ctx.is_cancelled());
            assert_eq!(ctx.live_children(), 3 - gone);
        }
    }
}

// T35, P46: every order of dropping the handles of a family, with the cancel
// of its root at every point. Whoever is held hears it, and is told the origin.
#[test]
fn whoever_is_held_hears_a_cancel_in_every_drop_order() {
    // root 0, middle 1, leaves 2 and 3; the cancel is number 4.
    for order in orders(5) {
        let (top, stop) = root();
        let id = top.id();
        let (middle, _) = top.with_cancel();
        let (left, _) = middle.with_cancel();
        let (right, _) = middle.without_cancel().with_cancel();
        let mut held = [Some(top), Some(middle), Some(left), Some(right)];
        for step in order {
            if step < 4 {
                held[step] = None;
                continue;
            }
            assert!(stop.cancel());
            for ctx in held.iter().take(3).flatten() {
                assert_eq!(ctx.error().unwrap().origin(), id);
            }
            assert!(held[3].iter().all(|right| !right.is_cancelled()));
        }
    }
}

// T4: three handles to one context on three threads.
#[test]
fn handles_of_one_context_may_go_on_three_threads() {
    in_time(|| {
        let (top, _handle) = root();
        for _ in 0..300 {
            let (ctx, handle) = top.with_cancel();
            let other = ctx.clone();
            let drops: Vec<Body> = vec![
                Box::new(move || drop(ctx)),
                Box::new(move || drop(handle)),
                Box::new(move || drop(other)),
            ];
            at_once(drops);
            assert_eq!(top.live_children(), 0);
        }
    });
}

// T5: a parent and two children on three threads.
#[test]
fn a_parent_and_its_children_may_go_on_three_threads() {
    in_time(|| {
        let (top, _handle) = root();
        for _ in 0..300 {
            let parent = top.with_cancel();
            let one = parent.0.with_cancel();
            let two = parent.0.with_cancel();
            let drops: Vec<Body> = vec![
                Box::new(move || drop(parent)),
                Box::new(move || drop(one)),
                Box::new(move || drop(two)),
            ];
            at_once(drops);
            assert_eq!(top.live_children(), 0);
        }
    });
}

// T6, T7, P15: drop one handle, cancel through the other, drop or cancel the
// child.
#[test]
fn drop_and_cancel_of_a_family_may_race() {
    in_time(|| {
        let (top, _handle) = root();
        for round in 0..300 {
            let (parent, handle) = top.with_cancel();
            let (child, child_handle) = parent.with_cancel();
            let watch = child.clone();
            let third: Body = if round % 2 == 0 {
                Box::new(move || drop((child, child_handle)))
            } else {
                Box::new(move || drop((child_handle.cancel(), child)))
            };
            let bodies: Vec<Body> = vec![
                Box::new(move || drop(parent)),
                Box::new(move || assert!(handle.cancel())),
                third,
            ];
            at_once(bodies);
            assert!(watch.is_cancelled());
        }
    });
}

// P53: whoever drops last sees what the others wrote before they dropped.
#[test]
fn the_last_drop_comes_after_all_that_was_done_with_the_other_handles() {
    in_time(|| {
        for _ in 0..300 {
            let (ctx, handle) = root();
            let wrote = Arc::new([const { AtomicUsize::new(0) }; 3]);
            let (sender, seen) = mpsc::channel();
            let watch = wrote.clone();
            handle.cancel_with(cause_on_drop(move || {
                let sum: usize = watch.iter().map(|n| n.load(Relaxed)).sum();
                sender.send(sum).unwrap();
            }));
            drop(handle);
            let bodies = [0, 1, 2].map(|i| -> Body {
                let ctx = ctx.clone();
                let wrote = wrote.clone();
                Box::new(move || {
                    wrote[i].store(1, Relaxed);
                    drop(ctx);
                })
            });
            drop(ctx);
            at_once(bodies.into());
            assert_eq!(seen.try_recv(), Ok(3));
            assert!(seen.try_recv().is_err(), "dropped once");
        }
    });
}

// T10: a pending wait that holds the last handle goes.
#[test]
fn a_pending_wait_may_hold_the_last_handle() {
    let (top, _handle) = root();
    let (ctx, handle) = top.with_cancel();
    let mut wait = Box::pin(ctx.cancelled_owned());
    let (wakes, waker) = Wakes::new();
    assert!(poll(&mut wait, &waker).is_pending());
    drop(handle);
    assert_eq!(top.live_children(), 1);
    drop(wait);
    assert_eq!(top.live_children(), 0);
    assert_eq!(wakes.count(), 0);
    drop(waker);
    assert_eq!(Arc::strong_count(&wakes), 1);
}

// T15: born done, either drop order.
#[test]
fn a_child_born_done_goes_before_or_after_its_parent() {
    for child_first in [true, false] {
        let (ctx, handle) = root();
        handle.cancel();
        let child = ctx.with_cancel();
        if child_first {
            drop(child);
            assert!(ctx.is_cancelled());
        } else {
            drop((ctx, handle));
            assert!(child.0.is_cancelled());
        }
    }
}

#[test]
fn a_guard_cancels_unless_disarmed() {
    let (ctx, handle) = root();
    let handle = handle.drop_guard().disarm();
    assert!(!ctx.is_cancelled());
    let guard = handle.drop_guard();
    assert!(!guard.is_cancelled());
    assert_eq!(guard.context(), &ctx);
    drop(guard);
    assert_eq!(ctx.reason(), Some(Reason::Cancelled));
    assert!(ctx.cause().is_none());
}

#[test]
fn a_guard_cancels_when_a_panic_drops_it() {
    let (ctx, handle) = root();
    let panic = catch_unwind(move || {
        let _guard = handle.drop_guard();
        panic!("work failed");
    });
    assert!(panic.is_err());
    assert!(ctx.is_cancelled());
}

// V9, V25: contexts kept in a thread-local outlive the thread's other locals,
// those of the library too.
#[test]
fn contexts_work_in_the_destructor_of_a_thread_local() {
    struct AtExit(Context, CancelHandle, mpsc::Sender<bool>);
    impl Drop for AtExit {
        fn drop(&mut self) {
            let (child, child_handle) = self.0.with_cancel();
            let (grandchild, _keep) = child.with_cancel();
            let (wakes, waker) = Wakes::new();
            let mut wait = grandchild.cancelled();
            let pending = poll(&mut wait, &waker).is_pending();
            assert_eq!(self.0.live_children(), 1);
            let won = self.1.cancel_with("at exit");
            let woken = wakes.count() == 1 && child.wait().cause().is_some();
            let timed_out = Context::todo().wait_timeout(Duration::ZERO).is_none();
            drop((child, child_handle));
            self.2.send(pending && won && woken && timed_out).unwrap();
        }
    }
    thread_local! {
        static FIRST: RefCell<Option<AtExit>> = const { RefCell::new(None) };
        static LAST: RefCell<Option<AtExit>> = const { RefCell::new(None) };
    }
    let (sender, results) = mpsc::channel();
    in_time(move || {
        let at_exit = |sender| {
            let (ctx, handle) = root();
            Some(AtExit(ctx, handle, sender))
        };
        // Registered before the library's own locals, and after them.
        FIRST.with(|local| *local.borrow_mut() = at_exit(sender.clone()));
        let (ctx, handle) = root();
        let (_child, _keep) = ctx.with_cancel();
        handle.cancel_with("make locals");
        assert!(ctx.wait_timeout(Duration::ZERO).is_some());
        LAST.with(|local| *local.borrow_mut() = at_exit(sender));
    });
    assert_eq!(results.iter().collect::<Vec<_>>(), [true, true]);
}

// V9, P46: random families, dropped in random order; what is left is reached.
#[test]
fn random_families_are_dropped_and_cancelled_in_any_order() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let (top, stop) = root();
        let mut held = vec![(top.clone(), None)];
        for _ in 0..40 {
            let at = random.below(held.len());
            if random.below(3) > 0 || at == 0 {
                let (ctx, handle) = held[at].0.with_cancel();
                held.push((ctx, Some(handle)));
            } else {
                held.swap_remove(at);
            }
        }
        assert!(stop.cancel());
        assert!(held.iter().all(|(ctx, _)| ctx.is_cancelled()));
        while !held.is_empty() {
            held.swap_remove(random.below(held.len()));
        }
        assert_eq!(top.live_children(), 0);
    }
}
