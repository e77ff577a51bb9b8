//! Contexts with several parents.

use super::tools::{Body, Wakes, at_once, in_time, on_small_stack, orders, peek, poll, start};
use crate::{CancelHandle, Context, Reason};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};

type Pair = (Context, CancelHandle);

fn root() -> Pair {
    Context::background().with_cancel()
}

fn text(ctx: &Context) -> Option<String> {
    ctx.cause().map(|cause| cause.to_string())
}

// G117, V21: the values of the first, cancelled by any, with the reason, cause,
// origin and line of that one; for ever.
#[test]
fn a_link_is_cancelled_by_the_first_of_its_parents() {
    for first in 0..3 {
        let parents = [root(), root(), root()];
        let a = parents[0].0.with_value("of a");
        let b = parents[1].0.with_value(7_u8);
        let (merged, _keep) = a.link([&b, &parents[2].0]);
        let (below, _keep) = merged.with_cancel();
        let (wakes, waker) = Wakes::new();
        let mut wait = below.cancelled();
        assert!(poll(&mut wait, &waker).is_pending());
        assert_eq!(merged.value::<&str>(), Some(&"of a"));
        assert_eq!(merged.value::<u8>(), None, "not the values of others");
        assert!(!merged.is_cancelled() && merged.is_cancelable());

        assert!(parents[first].1.cancel_with(format!("{first}")));
        for (i, (_, handle)) in parents.iter().enumerate() {
            assert_eq!(handle.cancel_with("later"), i != first);
        }
        let expected = parents[first].0.error().unwrap();
        for ctx in [&merged, &below] {
            let error = ctx.error().unwrap();
            assert_eq!(error.reason(), Reason::Cancelled);
            assert!(error.cause().unwrap().ptr_eq(expected.cause().unwrap()));
            assert_eq!(error.origin(), parents[first].0.id());
            assert_eq!(error.location(), expected.location());
            assert_eq!(ctx.value::<&str>(), Some(&"of a"));
        }
        assert_eq!(wakes.count(), 1);
        assert!(peek(&mut wait).is_ready());
    }
}

// G117, V7: its own cancel ends the link, and reaches none of its parents.
#[test]
fn a_cancel_of_a_link_reaches_no_parent() {
    let (a, cancel_a) = root();
    let (b, cancel_b) = root();
    let (merged, cancel_merged) = a.link([&b]);
    let (below, _keep) = merged.with_cancel();
    assert!(cancel_merged.cancel_with("own"));
    assert!(below.is_cancelled() && !a.is_cancelled() && !b.is_cancelled());
    assert!(cancel_b.cancel_with("b") && cancel_a.cancel_with("a"));
    assert_eq!(text(&below).as_deref(), Some("own"));
    assert_eq!(below.error().unwrap().origin(), merged.id());
}

// V5, V21: of parents that are done already, one is told; what can never be
// done adds nothing.
#[test]
fn a_link_to_what_is_done_is_born_done() {
    let (a, cancel_a) = root();
    let (b, cancel_b) = root();
    let (live, _keep) = a.link([]);
    assert!(!live.is_cancelled());
    cancel_b.cancel_with("b");
    let (merged, own) = a.link([&live, &b]);
    assert_eq!(text(&merged).as_deref(), Some("b"));
    assert_eq!(merged.error().unwrap().origin(), b.id());
    assert!(!own.cancel() && merged.with_cancel().0.is_cancelled());
    assert!(!a.is_cancelled() && !live.is_cancelled());

    let shield = b.without_cancel();
    let never = [Context::background(), Context::todo(), shield];
    let (merged, own) = a.link(&never);
    let (rooted, cancel_rooted) = Context::background().link(&never);
    assert!(!merged.is_cancelled() && !rooted.is_cancelled());
    assert!(rooted.is_cancelable() && cancel_rooted.cancel());
    cancel_a.cancel_with("a");
    assert_eq!(text(&merged).as_deref(), Some("a"));
    assert!(!own.cancel());
}

// V21: duplicates, the parent itself, and diamonds: each is told once.
#[test]
fn duplicates_and_diamonds_are_told_once() {
    let (top, stop) = root();
    let (left, _) = top.with_cancel();
    let (right, cancel_right) = top.with_cancel();
    let (twice, _) = left.link([&right, &right, &left, &right.clone(), &top]);
    let (corner, _) = twice.link([&left, &right]);
    let (below, _) = corner.with_cancel();
    let nodes = [&left, &right, &twice, &corner, &below];
    let runs: Vec<_> = nodes
        .iter()
        .map(|ctx| {
            let count = Arc::new(AtomicUsize::new(0));
            let (wakes, waker) = Wakes::new();
            let mut wait = (*ctx).clone().cancelled_owned();
            assert!(poll(&mut wait, &waker).is_pending());
            let counts = count.clone();
            ctx.after_cancel(move |_| {
                counts.fetch_add(1, SeqCst);
            })
            .detach();
            (wakes, wait, count)
        })
        .collect();
    let counts = || -> Vec<_> {
        let told = runs
            .iter()
            .map(|(wakes, _, count)| (wakes.count(), count.load(SeqCst)));
        told.collect()
    };
    assert!(cancel_right.cancel_with("right"));
    assert_eq!(counts(), [(0, 0), (1, 1), (1, 1), (1, 1), (1, 1)]);
    assert!(stop.cancel_with("top"));
    assert_eq!(counts(), [(1, 1); 5]);
    for ctx in [&twice, &corner, &below] {
        assert_eq!(ctx.error().unwrap().origin(), right.id());
    }
    assert_eq!(left.error().unwrap().origin(), top.id());
}

// V3, V12, P16: over links too, all that is reachable is marked before anybody
// is called, and before the cancel returns.
#[test]
fn all_behind_links_is_marked_before_anybody_is_called() {
    let (top, stop) = root();
    let mut all = vec![top];
    let mut rooms = vec![];
    for i in 0..100 {
        // Each hangs on an earlier one, by descent, by a link, or by both.
        let at = all[i / 2].clone();
        let (ctx, _) = match i % 3 {
            0 => at.with_cancel(),
            1 => {
                let elsewhere = root();
                let link = elsewhere.0.link([&at, &all[i / 3]]);
                rooms.push(elsewhere);
                link
            }
            _ => at.link([&all[i / 5], &all[i]]),
        };
        all.push(ctx);
    }
    let all = Arc::new(all);
    let good = Arc::new(AtomicUsize::new(0));
    for ctx in all.iter() {
        let (all, good) = (Arc::downgrade(&all), good.clone());
        ctx.after_cancel(move |_| {
            if all.upgrade().unwrap().iter().all(Context::is_cancelled) {
                good.fetch_add(1, SeqCst);
            }
        })
        .detach();
    }
    assert!(stop.cancel());
    assert!(all.iter().all(Context::is_cancelled));
    assert_eq!(good.load(SeqCst), all.len());
    assert!(rooms.iter().all(|(ctx, _)| !ctx.is_cancelled()));
}

// V21: through the builder, with names and values.
#[test]
fn the_builder_links_as_well() {
    let (a, _keep) = root();
    let (b, _keep) = root();
    let (c, cancel_c) = root();
    let derive = a.derive().name("both").value(1_u8).link(&b).link(&c);
    let (merged, own) = derive.build();
    assert_eq!(
        (merged.name(), merged.value::<u8>()),
        (Some("both"), Some(&1))
    );
    assert_eq!(merged.to_string(), "background.with_cancel.both");
    assert_eq!(
        a.link([&b, &c]).0.to_string(),
        "background.with_cancel.link(2)"
    );
    cancel_c.cancel_with("c");
    assert_eq!(text(&merged).as_deref(), Some("c"));
    assert!(!own.cancel());
}

// A shield with handles: nothing from above, its own cancel, and its links.
#[test]
fn a_shield_from_the_builder_is_cancelled_by_its_own_handle_and_links() {
    let (top, stop) = root();
    let (other, cancel_other) = root();
    let above = top.with_value("above");
    let (shield, own) = above.derive().shield().build();
    let (linked, _) = above.derive().shield().link(&other).build();
    let (below, _) = linked.with_cancel();
    stop.cancel_with("top");
    for ctx in [&shield, &linked, &below] {
        assert!(!ctx.is_cancelled() && ctx.is_cancelable());
        assert!(ctx.cause().is_none());
        assert_eq!(ctx.value::<&str>(), Some(&"above"));
    }
    cancel_other.cancel_with("other");
    assert_eq!(text(&below).as_deref(), Some("other"));
    assert!(!shield.is_cancelled());
    assert!(own.cancel_with("own"));
    assert_eq!(shield.error().unwrap().origin(), shield.id());
}

// V9, V21: a parent whose handles are gone still relays to what is linked to
// it; one that is gone for good does no harm.
#[test]
fn a_dropped_parent_still_relays_to_its_links() {
    let (top, stop) = root();
    let (middle, _) = top.with_cancel();
    let (a, _keep) = root();
    let (gone, _) = root();
    let (merged, _) = a.link([&middle, &gone]);
    let (leaf, _) = merged.with_cancel();
    drop((middle, gone, merged));
    assert!(!leaf.is_cancelled());
    assert!(stop.cancel_with("top"));
    assert_eq!(text(&leaf).as_deref(), Some("top"));
    assert!(!a.is_cancelled());
}

// V9, V21, P46: every order of dropping the handles of a diamond, with the
// cancel of its root at every point: whoever is held hears it.
#[test]
fn whoever_is_held_hears_a_cancel_through_a_link_in_every_drop_order() {
    for order in orders(6) {
        let (top, stop) = root();
        let (elsewhere, _keep) = root();
        let (left, _) = top.with_cancel();
        let (right, _) = top.with_cancel();
        let (merged, _) = elsewhere.link([&left, &right]);
        let (leaf, _) = merged.with_cancel();
        let id = top.id();
        let mut held = [top, left, right, merged, leaf].map(Some);
        for step in order {
            if step < 5 {
                held[step] = None;
                continue;
            }
            assert!(stop.cancel());
            for ctx in held.iter().flatten() {
                assert_eq!(ctx.error().unwrap().origin(), id);
            }
        }
    }
}

// V8, P62: a chain that hangs together by links only.
#[test]
fn a_deep_chain_of_links_takes_no_stack() {
    on_small_stack(|| {
        for root_first in [false, true] {
            let (top, stop) = root();
            let mut chain = vec![top];
            for i in 0..100_000 {
                let (ctx, _) = Context::background().link([&chain[i]]);
                chain.push(ctx);
            }
            if root_first {
                chain.reverse();
            }
            let mut half: Vec<Context> = chain.drain(50_000..).collect();
            if root_first {
                std::mem::swap(&mut half, &mut chain);
            }
            stop.cancel_with("deep");
            assert!(half.iter().chain(&chain).all(Context::is_cancelled));
            while half.pop().is_some() {}
            while chain.pop().is_some() {}

            // And the same, never cancelled.
            let (mut at, _keep) = root();
            let mut chain = Vec::new();
            for _ in 0..100_000 {
                at = Context::background().link([&at]).0;
                chain.push(at.clone());
            }
            drop(at);
            if root_first {
                chain.reverse();
            }
            while chain.pop().is_some() {}
        }
    });
}

// V3, V5, V21, G20: parents are cancelled at once, each with its cause, while
// more links are made: each link tells one of them, whole; and whoever returns
// from a cancel finds all that was linked before done.
#[test]
fn links_race_the_cancels_of_their_parents() {
    in_time(|| {
        for round in 0..500 {
            let parents = [root(), root(), root()];
            let ids = [0, 1, 2].map(|i| parents[i].0.id());
            let contexts: Vec<Context> = parents.iter().map(|(ctx, _)| ctx.clone()).collect();
            let (early, _) = contexts[0].link(&contexts[1..]);
            let (below, _) = early.with_cancel();
            let barrier = Arc::new(Barrier::new(4));
            let threads: Vec<_> = parents
                .into_iter()
                .enumerate()
                .map(|(i, (_, handle))| {
                    let (below, barrier) = (below.clone(), barrier.clone());
                    start(move || {
                        barrier.wait();
                        assert!(handle.cancel_with(format!("{i}")));
                        assert!(below.is_cancelled());
                    })
                })
                .collect();
            barrier.wait();
            let (late, _) = contexts[round % 3].link(&contexts);
            let (under, _) = late.with_cancel();
            threads.into_iter().for_each(|t| t.join().unwrap());
            for ctx in [&early, &below, &late, &under] {
                let error = ctx.error().unwrap();
                let by = ids.iter().position(|&id| id == error.origin()).unwrap();
                assert_eq!(error.cause().unwrap().to_string(), format!("{by}"));
            }
            assert_eq!(
                early.error().unwrap().origin(),
                below.error().unwrap().origin()
            );
        }
    });
}

// V4, P17, G29: who sees a link done sees the parent done that did it.
#[test]
fn no_link_is_seen_done_before_its_parent() {
    in_time(|| {
        for _ in 0..300 {
            let (a, cancel_a) = root();
            let (b, cancel_b) = root();
            let (merged, _) = a.link([&b]);
            let (leaf, _) = merged.with_cancel();
            let seer = start(move || {
                while !leaf.is_cancelled() {
                    std::hint::spin_loop();
                }
                let origin = leaf.error().unwrap().origin();
                let by = if origin == a.id() { &a } else { &b };
                assert_eq!(origin, by.id());
                assert!(by.is_cancelled() && merged.is_cancelled());
                assert!(by.cause().unwrap().ptr_eq(&leaf.cause().unwrap()));
            });
            let other = start(move || cancel_a.cancel_with("a"));
            cancel_b.cancel_with("b");
            other.join().unwrap();
            seer.join().unwrap();
        }
    });
}

// V9, V21, P15: links are dropped while their parents are cancelled, or dropped
// as well; a callback runs at most once.
#[test]
fn links_go_while_their_parents_are_cancelled() {
    in_time(|| {
        for round in 0..1_000 {
            let (a, cancel_a) = root();
            let (b, cancel_b) = root();
            let (merged, own) = a.link([&b]);
            let (leaf, _) = merged.with_cancel();
            let runs = Arc::new(AtomicUsize::new(0));
            let count = runs.clone();
            let registration = leaf.after_cancel(move |_| {
                count.fetch_add(1, SeqCst);
            });
            let bodies: Vec<Body> = vec![
                Box::new(move || drop((cancel_a.cancel(), a))),
                Box::new(move || {
                    if round % 2 == 0 {
                        cancel_b.cancel();
                    }
                    drop((b, cancel_b));
                }),
                Box::new(move || drop((merged, own, leaf))),
            ];
            at_once(bodies);
            assert!(runs.load(SeqCst) <= 1);
            drop(registration);
            assert_eq!(Arc::strong_count(&runs), 1);
        }
    });
}

// V21: however many parents, and however often each is given.
#[test]
fn a_parent_that_is_given_often_is_linked_to_once() {
    for count in [2, 4, 12] {
        let parents: Vec<_> = (0..count)
            .map(|_| Context::background().with_cancel())
            .collect();
        let often = [&parents, &parents, &parents];
        let often: Vec<&Context> = often.into_iter().flatten().map(|(ctx, _)| ctx).collect();
        let (linked, _) = Context::background().link(often);
        for (parent, _) in &parents {
            assert_eq!(parent.tree().nodes().next().unwrap().links(), 1);
        }
        parents[count - 1].1.cancel();
        assert!(linked.is_cancelled());
    }
}
