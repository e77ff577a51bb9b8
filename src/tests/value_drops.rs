//! Values: how long they live, and what their drop may do.

use super::tools::{DEPTH, Drops, OnDrop, big, in_time, message, on_small_stack, once, start};
use crate::{CancelHandle, Context, Key, model};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier};
use std::thread;

static K1: Key<u32> = Key::new("k1");

struct One(#[expect(dead_code, reason = "held, not read")] u32);
struct Two(#[expect(dead_code, reason = "held, not read")] u32);
/// Never set.
struct Missing;

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

// V20: once, when the last that can see it goes, and on that thread.
#[test]
fn a_value_goes_with_the_last_context_that_sees_it() {
    let drops = Drops::default();
    let (top, _handle) = root();
    let ctx = top.with_value(drops.value());
    let (below, cancel) = ctx.with_cancel();
    let leaf = below.with_key(&K1, 1).without_cancel();
    drop(ctx.clone());
    drop(ctx);
    drop(below);
    cancel.cancel();
    drop(cancel);
    assert_eq!(drops.count(), 0);
    let thread = start(move || {
        assert_eq!(leaf.get(&K1), Some(&1));
        drop(leaf);
        thread::current().id()
    });
    let thread = thread.join().unwrap();
    assert_eq!(drops.count(), 1);
    assert_eq!(drops.thread(), Some(thread));
    // The parent is alive, and waits for nothing.
    assert_eq!(top.live_children(), 0);
}

// V20: at once, however few children of a live parent died so far.
#[test]
fn a_value_does_not_wait_for_the_reaper() {
    let drops = Drops::default();
    let (top, _handle) = root();
    for count in 1..=100 {
        drop(top.with_value(drops.value()));
        assert_eq!(drops.count(), count);
    }
    let kept: Vec<Context> = (0..10).map(|_| top.with_value(drops.value())).collect();
    assert_eq!(drops.count(), 100);
    drop(kept);
    assert_eq!(drops.count(), 110);
}

// V8, V20: a value holds a context whose value holds one, and so on.
#[test]
fn a_long_chain_of_values_is_dropped_on_a_small_stack() {
    struct Holds(
        #[expect(dead_code, reason = "held, not read")] Option<Context>,
        Drops,
    );
    impl Drop for Holds {
        fn drop(&mut self) {
            drop(self.1.value());
        }
    }
    let _one_by_one = big();
    on_small_stack(|| {
        let drops = Drops::default();
        let mut last = None;
        for number in 0..DEPTH {
            let holds = Holds(last.take(), drops.clone());
            last = Some(match number % 3 {
                0 => root().0.with_value(holds),
                1 => Context::background().with_value(holds),
                _ => Context::background().derive().value(holds).build().0,
            });
        }
        drop(last);
        assert_eq!(drops.count(), DEPTH);
    });
}

// V8, P62: a deep chain of contexts with values, from either end, and a lookup.
#[test]
fn a_deep_chain_with_values_is_used_on_a_small_stack() {
    const DEEP: usize = 200_000;
    let _one_by_one = big();
    on_small_stack(|| {
        let drops = Drops::default();
        for leaf_first in [true, false] {
            let (top, handle) = root();
            let mut nodes = vec![top.with_key(&K1, 1)];
            for _ in 0..DEEP {
                let below = nodes.last().unwrap().with_value(drops.value());
                nodes.push(below);
            }
            let leaf = nodes.last().unwrap();
            assert_eq!(leaf.get(&K1), Some(&1));
            assert!(leaf.value::<Missing>().is_none());
            handle.cancel();
            assert!(leaf.is_cancelled());
            if leaf_first {
                while nodes.pop().is_some() {}
            } else {
                nodes.into_iter().for_each(drop);
            }
            assert_eq!(top.live_children(), 0);
        }
        assert_eq!(drops.count(), 2 * DEEP);
    });
}

// V14, V15: the drop of a value uses the tree, and drops other contexts.
#[test]
fn a_value_may_use_the_tree_in_its_drop() {
    in_time(|| {
        let (top, handle) = root();
        let drops = Drops::default();
        let other = root().0.with_value(drops.value()).with_cancel().0;
        let at = top.clone();
        let sibling = top.with_value(drops.value());
        let ctx = top.with_value(OnDrop(once({
            let drops = drops.clone();
            move || {
                assert_eq!(at.live_children(), 1, "this one is dead already");
                drop((other, sibling));
                assert!(handle.cancel());
                let child = at.with_value(drops.value());
                assert!(child.is_cancelled() && child.value::<Missing>().is_none());
                assert!(child.with_cancel().0.error().is_some());
            }
        })));
        drop(ctx);
        assert!(top.is_cancelled());
        assert_eq!(drops.count(), 3);
    });
}

// V14: of several that panic the first panic is resumed, and all are dropped.
#[test]
fn a_value_that_panics_in_its_drop_stops_no_other() {
    let left = drops_with_panics(|top, drops| {
        let value = |number: u32| {
            let counts = drops.value();
            OnDrop(once(move || {
                drop(counts);
                std::panic::panic_any(number);
            }))
        };
        let leaf = top.with_value(value(3)).with_cancel().0;
        let leaf = leaf.with_value(value(2)).without_cancel();
        let builder = leaf.derive().value(value(1)).value(drops.value());
        builder.value([value(9)]).build().0
    });
    assert_eq!(left, 0);
}

/// Drops what `make` does, on a thread that unwinds and on one that does not.
/// How many contexts are left.
fn drops_with_panics(make: impl Fn(&Context, &Drops) -> Context) -> usize {
    let (top, _handle) = root();
    for unwinding in [false, true] {
        let drops = Drops::default();
        let leaf = make(&top, &drops);
        let panic = catch_unwind(AssertUnwindSafe(move || {
            let _leaf = leaf;
            if unwinding {
                panic!("work");
            }
        }));
        let panic = panic.unwrap_err();
        if unwinding {
            assert_eq!(message(&*panic), "work");
        } else {
            assert_eq!(panic.downcast_ref(), Some(&1_u32));
        }
        assert_eq!(drops.count(), 5);
    }
    top.live_children()
}

// V10: values without a drop die as any child does.
#[test]
fn contexts_with_values_leave_nothing_behind() {
    let (top, _handle) = root();
    drop(top.with_value(One(1)));
    for number in 0..10_000_u32 {
        let ctx = top.with_value(One(number)).with_key(&K1, number);
        let leaf = (0..20).fold(ctx, |ctx, _| ctx.with_value(Two(number)));
        assert!(leaf.value::<Missing>().is_none());
        assert_eq!(leaf.get(&K1), Some(&number));
        let (leaf, _) = leaf.derive().value(format!("{number}")).build();
        assert_eq!(leaf.value::<String>().unwrap(), &number.to_string());
        assert!(model::unreaped(&top) <= model::BATCH);
    }
    assert_eq!(top.live_children(), 0);
}

// V20: the last of many handles, on many threads at once.
#[test]
fn a_value_is_dropped_once_by_threads_that_leave_together() {
    in_time(|| {
        for _ in 0..500 {
            let drops = Drops::default();
            let ctx = root().0.with_value(drops.value());
            let barrier = Arc::new(Barrier::new(3));
            let threads: Vec<_> = (0..3)
                .map(|n| {
                    let (ctx, barrier) = (ctx.clone(), barrier.clone());
                    start(move || {
                        let child = ctx.with_cancel().0.with_key(&K1, n);
                        drop(ctx);
                        barrier.wait();
                        drop(child);
                    })
                })
                .collect();
            drop(ctx);
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(drops.count(), 1);
        }
    });
}

// V13, V20: a context ends with a value and a callback that never ran; each of
// them holds a context that has both.
#[test]
fn values_and_callbacks_that_hold_each_other_go_once() {
    struct Holds(
        #[expect(dead_code, reason = "held, not read")] Option<Context>,
        Drops,
    );
    impl Drop for Holds {
        fn drop(&mut self) {
            drop(self.1.value());
        }
    }
    on_small_stack(|| {
        let drops = Drops::default();
        let mut last = None;
        for number in 0..20_000 {
            let holds = Holds(last.take(), drops.clone());
            let counted = Holds(None, drops.clone());
            let (in_value, in_callback) = match number % 2 {
                0 => (holds, counted),
                _ => (counted, holds),
            };
            let (ctx, _) = root().0.derive().shield().value(in_value).build();
            let ctx = ctx.with_key(&K1, 1);
            ctx.after_cancel(move |_| drop(in_callback)).detach();
            last = Some(ctx);
        }
        assert_eq!(drops.count(), 0);
        drop(last);
        assert_eq!(drops.count(), 40_000);
    });
}

// V13, V20: a callback sees the values of the context that it holds.
#[test]
fn a_callback_reads_values() {
    let drops = Drops::default();
    let (top, handle) = root();
    let ctx = top.with_key(&K1, 7).with_value(drops.value());
    let inner = ctx.clone();
    ctx.after_cancel(move |_| assert_eq!(inner.get(&K1), Some(&7)))
        .detach();
    drop(ctx);
    assert_eq!(drops.count(), 0);
    assert!(handle.cancel());
    assert_eq!(drops.count(), 1);
}
