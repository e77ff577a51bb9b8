//! Values: who sees which.

use super::tools::{Drops, Random, in_time, peek, start};
use crate::{CancelHandle, Context, Key};
use std::sync::{Arc, Barrier};

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
