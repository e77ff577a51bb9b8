//! Values: who sees which, and for how long.

use super::tools::{OnDrop, Random, big, in_time, message, on_small_stack, once, peek, start};
use crate::{CancelHandle, Context, Key, model};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread::{self, ThreadId};

static K1: Key<u32> = Key::new("k1");
static K2: Key<u64> = Key::new("k2");
static K3: Key<u64> = Key::new("k3");
static OPTION: Key<Option<u32>> = Key::new("option");

#[derive(Debug, PartialEq)]
struct One(u32);
#[derive(Debug, PartialEq)]
struct Two(u32);
/// Never set.
struct Missing;

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

/// What the three keys say.
fn keys(ctx: &Context) -> [Option<u64>; 3] {
    [
        ctx.get(&K1).map(|&value| value.into()),
        ctx.get(&K2).copied(),
        ctx.get(&K3).copied(),
    ]
}

/// Counts drops, and says on which thread the last one was.
#[derive(Clone, Default)]
struct Drops(Arc<(AtomicUsize, Mutex<Option<ThreadId>>)>);

impl Drops {
    fn value(&self) -> OnDrop<impl Fn() + Send + Sync + 'static> {
        let drops = self.clone();
        OnDrop(move || {
            drops.0.0.fetch_add(1, Ordering::SeqCst);
            *drops.0.1.lock().unwrap() = Some(thread::current().id());
        })
    }

    fn count(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    fn thread(&self) -> Option<ThreadId> {
        *self.0.1.lock().unwrap()
    }
}

// G56 to G59, G63, C10.
#[test]
fn keys_do_not_meet() {
    let c0 = Context::background();
    assert_eq!(keys(&c0), [None, None, None]);
    let c1 = c0.with_key(&K1, 1);
    assert_eq!(keys(&c1), [Some(1), None, None]);
    let c2 = c1.with_key(&K2, 1);
    assert_eq!(keys(&c2), [Some(1), Some(1), None]);
    let c3 = c2.with_key(&K3, 3);
    assert_eq!(keys(&c3), [Some(1), Some(1), Some(3)]);
    assert_eq!(keys(&c1), [Some(1), None, None]);
    assert!(c3.value::<u32>().is_none(), "a key is not its type");
    assert!(c3.with_value(9_u32).get(&K1) == Some(&1));
}

// G56: keys of one name are two keys.
#[test]
fn keys_of_one_name_and_type_do_not_meet() {
    static A: Key<u8> = Key::new("same");
    static B: Key<u8> = Key::new("same");
    let ctx = Context::background().with_key(&A, 1);
    assert_eq!((ctx.get(&A), ctx.get(&B)), (Some(&1), None));
    let ctx = ctx.with_key(&B, 2);
    assert_eq!((ctx.get(&A), ctx.get(&B)), (Some(&1), Some(&2)));
    assert_eq!(A.name(), B.name());
    assert_eq!(format!("{A:?}"), "Key(\"same\")");
}

// G60.
#[test]
fn a_value_can_be_unset_below() {
    let c1 = Context::background().with_key(&OPTION, Some(1));
    let c4 = c1.with_key(&K2, 2).with_key(&OPTION, None);
    assert_eq!(c4.get(&OPTION), Some(&None));
    assert_eq!(c4.get(&K2), Some(&2));
    assert_eq!(c1.get(&OPTION), Some(&Some(1)));
}

// C10, C11, C12, C13, I3, I4.
#[test]
fn the_nearest_value_of_a_type_is_found() {
    let above = Context::background().with_value(One(1)).with_value(Two(2));
    let below = above.with_value(One(3));
    assert_eq!(above.value(), Some(&One(1)));
    assert_eq!(below.value(), Some(&One(3)));
    assert_eq!(below.clone().value(), Some(&Two(2)));
    assert!(below.value::<Missing>().is_none());
    assert!(below.value::<u32>().is_none());
    assert!(Context::todo().value::<One>().is_none());
}

/// What can be between a value and who reads it.
const LAYERS: usize = 6;

fn layer(ctx: &Context, which: usize) -> (Context, Option<CancelHandle>) {
    match which {
        0 => {
            let (ctx, handle) = ctx.with_cancel();
            (ctx, Some(handle))
        }
        1 => (ctx.without_cancel(), None),
        2 => (ctx.with_value(Two(0)), None),
        3 => (ctx.with_key(&K3, 0), None),
        4 => {
            let (ctx, handle) = ctx.derive().name("layer").build();
            (ctx, Some(handle))
        }
        _ => {
            let (ctx, handle) = ctx.derive().value(Two(1)).key(&K3, 1).build();
            (ctx, Some(handle))
        }
    }
}

// V20, D1, D2, G61, G62, G64: three layers of every kind in every order, with a
// value on top, all of it cancelled from above.
#[test]
fn layers_of_every_kind_pass_values_and_cancels() {
    for order in 0..LAYERS * LAYERS * LAYERS {
        let order = [
            order / LAYERS / LAYERS,
            order / LAYERS % LAYERS,
            order % LAYERS,
        ];
        let (top, handle) = root();
        let mut at = top.with_value(One(7)).with_key(&K1, 8);
        let mut held = vec![at.clone()];
        let mut shielded = false;
        let mut cancelable = true;
        let mut states = Vec::new();
        for which in order {
            let (below, handle) = layer(&at, which);
            shielded |= which == 1;
            cancelable = match which {
                1 => false,
                2 | 3 => cancelable,
                _ => true,
            };
            assert_eq!(below.is_cancelable(), cancelable, "{order:?}");
            states.push((below.clone(), shielded));
            held.push(below.clone());
            at = below;
            drop(handle);
        }
        for _ in 0..2 {
            for (ctx, _) in &states {
                assert_eq!(ctx.value(), Some(&One(7)), "{order:?}");
                assert_eq!(ctx.get(&K1), Some(&8), "{order:?}");
                assert!(ctx.value::<Missing>().is_none());
                assert!(ctx.get(&OPTION).is_none());
            }
            handle.cancel();
            for (ctx, shielded) in &states {
                assert_eq!(ctx.is_cancelled(), !shielded, "{order:?}");
            }
        }
        drop(held);
        assert_eq!(
            at.value(),
            Some(&One(7)),
            "{order:?}: only the leaf is held"
        );
    }
}

// D2, V5: the value layer is the one that is done.
#[test]
fn a_context_with_a_value_is_cancelled_with_its_parent() {
    let (top, handle) = root();
    let ctx = top.with_value(One(1));
    let mut wait = ctx.cancelled();
    assert!(ctx.is_cancelable());
    assert!(peek(&mut wait).is_pending());
    handle.cancel_with("why");
    assert!(peek(&mut wait).is_ready());
    assert_eq!(ctx.cause().unwrap().to_string(), "why");
    assert_eq!(ctx.error().unwrap().origin(), top.id());
    let born_done = ctx.with_key(&K1, 1);
    assert!(born_done.is_cancelled());
    assert_eq!(born_done.get(&K1), Some(&1));
}

// A value does not make a context that can be done.
#[test]
fn a_value_on_what_is_never_done_is_never_done() {
    let (top, handle) = root();
    for ctx in [
        Context::background().with_value(One(1)),
        Context::todo().with_key(&K1, 1),
        top.without_cancel().with_value(One(1)).with_key(&K1, 2),
    ] {
        assert!(!ctx.is_cancelable());
        let (wakes, waker) = super::tools::Wakes::new();
        let mut wait = ctx.cancelled();
        assert!(super::tools::poll(&mut wait, &waker).is_pending());
        drop(waker);
        assert_eq!(Arc::strong_count(&wakes), 1, "no waker is kept");
        assert!(ctx.with_cancel().0.is_cancelable());
    }
    handle.cancel();
}

// G71: names, never the content. G74.
#[test]
fn a_value_prints_its_type_or_its_key() {
    let ctx = Context::background().with_value(One(42)).with_key(&K1, 43);
    let one = std::any::type_name::<One>();
    let path = format!("background.with_value({one}).with_key(k1)");
    assert_eq!(ctx.to_string(), path);
    let (named, _keep) = ctx.derive().name("job").value(Two(44)).build();
    assert_eq!(named.to_string(), format!("{path}.job"));
    let (derived, _keep) = ctx.derive().key(&K2, 45).build();
    assert_eq!(derived.to_string(), format!("{path}.derive"));
    let builder = format!("{:?}", ctx.derive().value(Two(44)).key(&K2, 45));
    assert!(
        builder.contains("k2") && builder.contains("Two"),
        "{builder}"
    );
    for text in [format!("{ctx:?} {named:?} {derived:?}"), builder] {
        for content in ["42", "43", "44", "45"] {
            assert!(!text.contains(&format!("({content})")), "{text}");
            assert!(!text.contains(&format!(" {content}")), "{text}");
        }
    }
}

// V20: several values on one context.
#[test]
fn a_builder_gives_several_values() {
    let drops = Drops::default();
    let (ctx, handle) = Context::background()
        .derive()
        .value(One(1))
        .key(&K1, 2)
        .value(One(3))
        .key(&K2, 4)
        .value(drops.value())
        .value(())
        .build();
    assert_eq!(ctx.value(), Some(&One(3)));
    assert_eq!(keys(&ctx), [Some(2), Some(4), None]);
    assert_eq!(ctx.value(), Some(&()));
    assert!(handle.cancel());
    assert_eq!(ctx.value(), Some(&One(3)));
    drop(ctx);
    assert_eq!(drops.count(), 0);
    drop(handle);
    assert_eq!(drops.count(), 1);
    drop(Context::background().derive().value(drops.value()));
    assert_eq!(drops.count(), 2, "a builder that is not built");
}

// V20: any size and alignment.
#[test]
fn values_are_aligned() {
    #[repr(align(256))]
    struct Wide(u8);
    #[repr(align(64))]
    #[derive(Clone, Copy)]
    struct Empty;
    let ctx = Context::background()
        .with_value(Wide(1))
        .with_value(Empty)
        .with_value([7_u8; 3]);
    let wide = ctx.value::<Wide>().unwrap();
    assert_eq!(std::ptr::from_ref(wide).addr() % 256, 0);
    assert_eq!(wide.0, 1);
    let empty = ctx.value::<Empty>().unwrap();
    assert_eq!(std::ptr::from_ref(empty).addr() % 64, 0);
    assert_eq!(ctx.value(), Some(&[7_u8; 3]));
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
            self.1.0.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let _one_by_one = big();
    on_small_stack(|| {
        let drops = Drops::default();
        let mut last = None;
        for number in 0..1_000_000 {
            let holds = Holds(last.take(), drops.clone());
            last = Some(match number % 3 {
                0 => root().0.with_value(holds),
                1 => Context::background().with_value(holds),
                _ => Context::background().derive().value(holds).build().0,
            });
        }
        drop(last);
        assert_eq!(drops.count(), 1_000_000);
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

/// As many types as numbers below 16.
struct Slot<const N: usize>(usize);

macro_rules! slots {
    ($($n:literal)*) => {
        fn set_slot(ctx: &Context, which: usize, value: usize) -> Context {
            match which {
                $($n => ctx.with_value(Slot::<$n>(value)),)*
                _ => unreachable!(),
            }
        }

        fn slot(ctx: &Context, which: usize) -> Option<usize> {
            match which {
                $($n => ctx.value::<Slot<$n>>().map(|slot| slot.0),)*
                _ => unreachable!(),
            }
        }
    };
}

slots!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);

// V20, P62: depth 1000, with and without lookups on the way.
#[test]
fn values_are_found_and_missed_at_depth_1000() {
    for (look, plain) in [(false, false), (true, false), (false, true), (true, true)] {
        let (top, _handle) = root();
        let mut at = top.with_key(&K1, 5);
        for depth in 0..1000 {
            at = match plain {
                true => at.with_cancel().0,
                false => at.with_key(&K2, depth),
            };
            if look {
                assert_eq!(at.get(&K1), Some(&5));
                assert!(at.value::<Missing>().is_none());
            }
        }
        for _ in 0..3 {
            assert_eq!(at.get(&K1), Some(&5));
            assert_eq!(at.get(&K2), if plain { None } else { Some(&999) });
            assert!(at.value::<Missing>().is_none());
            assert!(at.get(&K3).is_none());
        }
    }
}

// V20, I3: random families against what a list says, shadowed across indexes.
#[test]
fn random_families_find_what_a_list_finds() {
    let mut random = Random::new(20);
    for _ in 0..60 {
        let look_often = random.below(4);
        let mut family: Vec<(Context, Vec<Option<usize>>)> =
            vec![(Context::background(), vec![None; 16])];
        for step in 0..120 {
            // Mostly the newest, so that the lines get long.
            let from = match random.below(8) {
                0 => random.below(family.len()),
                _ => family.len() - 1,
            };
            let (ctx, mut known) = (family[from].0.clone(), family[from].1.clone());
            let ctx = match random.below(10) {
                0 => ctx.with_cancel().0,
                1 => ctx.without_cancel(),
                _ => {
                    let which = random.below(16);
                    known[which] = Some(step);
                    set_slot(&ctx, which, step)
                }
            };
            family.push((ctx, known));
            for _ in 0..look_often {
                let (ctx, known) = &family[random.below(family.len())];
                let which = random.below(16);
                assert_eq!(slot(ctx, which), known[which]);
            }
        }
        while !family.is_empty() {
            let (ctx, known) = family.swap_remove(random.below(family.len()));
            for (which, &value) in known.iter().enumerate() {
                assert_eq!(slot(&ctx, which), value);
            }
        }
    }
}

// V20, V24: many threads look up, and so index, one family while it is dropped.
#[test]
fn threads_look_up_at_once() {
    in_time(|| {
        for round in 0..200 {
            let drops = Drops::default();
            let mut line = vec![Context::background().with_value(drops.value())];
            for depth in 0..40 {
                let below = set_slot(&line[depth], depth % 12, depth);
                line.push(below);
            }
            let leaves: Vec<Context> = (0..4).map(|n| line[40 - n].with_key(&K1, 1)).collect();
            let barrier = Arc::new(Barrier::new(5));
            let threads: Vec<_> = leaves
                .into_iter()
                .map(|leaf| {
                    let barrier = barrier.clone();
                    start(move || {
                        barrier.wait();
                        for which in 0..12 {
                            let found = slot(&leaf, which).unwrap();
                            assert_eq!(found % 12, which);
                            assert!(found >= 25, "the nearest");
                        }
                        assert!(slot(&leaf, 15).is_none());
                    })
                })
                .collect();
            barrier.wait();
            drop(line);
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(drops.count(), 1, "round {round}");
        }
    });
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
