//! What Go's contexts, and those of Go-like crates, are asked about values.

use super::tools::{OnDrop, Random, alone, in_time, message};
use crate::{CancelHandle, Context, Key};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

#[derive(Debug, PartialEq)]
struct User(&'static str);
#[derive(Debug, PartialEq)]
struct Tenant(&'static str);

// Alike in name and in what they hold, or in nothing: all are different keys.
static K1: Key<u64> = Key::new("key");
static K2: Key<i32> = Key::new("key");
static K3: Key<i32> = Key::new("key");

fn read(ctx: &Context) -> (Option<u64>, Option<i32>, Option<i32>) {
    let of = |key| ctx.get(key).copied();
    (ctx.get(&K1).copied(), of(&K2), of(&K3))
}

// G3, G56 to G59, G63: each key by itself.
#[test]
fn keys_are_told_apart_by_what_they_are_not_by_name() {
    for root in [Context::background(), Context::todo()] {
        assert_eq!(read(&root), (None, None, None));
        assert!(root.value::<User>().is_none());
        let c1 = root.with_key(&K1, 1);
        assert_eq!(read(&c1), (Some(1), None, None));
        let c2 = c1.with_key(&K2, 2);
        assert_eq!(read(&c2), (Some(1), Some(2), None));
        let c3 = c2.with_key(&K3, 3);
        assert_eq!(read(&c3), (Some(1), Some(2), Some(3)));
        assert_eq!(read(&c2), (Some(1), Some(2), None));
        assert_eq!(read(&root), (None, None, None));
    }
    assert_eq!(K1.name(), "key");
}

// A key and a type do not mix, though both hold the same type.
#[test]
fn a_key_is_not_its_type() {
    let ctx = Context::background().with_key(&K1, 1);
    assert_eq!(ctx.value::<u64>(), None);
    let ctx = ctx.with_value(2_u64);
    assert_eq!((ctx.value::<u64>(), ctx.get(&K1)), (Some(&2), Some(&1)));
    let ctx = ctx.with_key(&K1, 3);
    assert_eq!((ctx.value::<u64>(), ctx.get(&K1)), (Some(&2), Some(&3)));
}

// G60: a value of `None` shadows what is above; other keys stay.
#[test]
fn an_absent_value_shadows_one() {
    static KEY: Key<Option<u64>> = Key::new("optional");
    let above = Context::background()
        .with_key(&KEY, Some(1))
        .with_key(&K2, 2);
    let below = above.with_key(&KEY, None);
    assert_eq!(above.get(&KEY), Some(&Some(1)));
    assert_eq!(below.get(&KEY).copied().flatten(), None);
    assert_eq!(below.get(&K2), Some(&2));
    let again = below.with_key(&KEY, Some(3));
    assert_eq!(again.get(&KEY).copied().flatten(), Some(3));
}

// C10, C11, C12, C13, I3, I4: by type.
#[test]
fn values_are_found_by_their_type() {
    let user = Context::background().with_value(User("ann"));
    let both = user.with_value(Tenant("ann"));
    assert_eq!(both.value::<User>(), Some(&User("ann")));
    assert_eq!(both.value::<Tenant>(), Some(&Tenant("ann")));
    assert_eq!(both.value::<&str>(), None);
    assert_eq!(user.value::<Tenant>(), None);
    let inner = both.with_value(User("bob"));
    for ctx in [&inner, &inner.clone()] {
        assert_eq!(ctx.value::<User>(), Some(&User("bob")));
        assert_eq!(ctx.value::<Tenant>(), Some(&Tenant("ann")));
    }
    let sibling = both.with_value(User("cid"));
    assert_eq!(sibling.value::<User>(), Some(&User("cid")));
    // Shadowed below, unchanged above.
    assert_eq!(inner.value::<User>(), Some(&User("bob")));
    assert_eq!(both.value::<User>(), Some(&User("ann")));
    assert_eq!(user.value::<User>(), Some(&User("ann")));
}

// G7 to G11, G118, G120, D1, D2: among other layers. A value is a child, hides no
// cancel and holds none up; values are read through what can be cancelled and
// through shields; they stay when all is done.
#[test]
fn values_and_cancels_do_not_hide_each_other() {
    let (top, stop) = root();
    let (parent, cancel_parent) = top.with_cancel();
    let (plain, _keep) = parent.with_cancel();
    let user = parent.with_value(User("ann"));
    let (below, _keep) = user.with_cancel();
    let shield = below.without_cancel();
    let (under, _keep) = shield.with_key(&K1, 1).with_cancel();
    assert_eq!(parent.live_children(), 2, "one derived, one with a value");
    assert_eq!(user.live_children(), 1);
    assert!(user.is_cancelable() && !shield.is_cancelable());
    for ctx in [&parent, &plain, &user, &below] {
        assert!(!ctx.is_cancelled());
    }
    assert!(cancel_parent.cancel());
    assert_eq!(parent.live_children(), 0);
    for ctx in [&parent, &plain, &user, &below] {
        assert_eq!(ctx.error().unwrap().origin(), parent.id());
    }
    // Born done, with its own value.
    let late = user.with_value(Tenant("x"));
    assert_eq!(late.error().unwrap().origin(), parent.id());
    assert_eq!(late.value::<Tenant>(), Some(&Tenant("x")));
    for ctx in [&user, &below, &shield, &under, &late] {
        assert_eq!(ctx.value::<User>(), Some(&User("ann")));
    }
    assert_eq!(under.get(&K1), Some(&1));
    assert!(!shield.is_cancelled() && !under.is_cancelled());
    assert!(!top.is_cancelled());
    drop((parent, plain, user, below, late, cancel_parent));
    // What is above a shield is kept for what reads through it.
    assert_eq!(under.value::<User>(), Some(&User("ann")));
    assert_eq!(top.live_children(), 0, "done, though something is below");
    stop.cancel();
    assert_eq!(under.value::<User>(), Some(&User("ann")));
}

// G23, G64: a random chain of layers is cancelled at random: what is below is
// done, what is above is not, and every value is readable before and after.
#[test]
fn a_random_chain_of_layers_is_cancelled() {
    static KEYS: [Key<usize>; 40] = [const { Key::new("layer") }; 40];
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut chain: Vec<(Context, Option<CancelHandle>)> = Vec::new();
        let mut at = Context::background();
        let mut values = Vec::new();
        // One of each at least.
        let length = 30 + random.below(10);
        for (layer, key) in KEYS.iter().enumerate().take(length) {
            let kind = if layer < 3 { layer } else { random.below(3) };
            let next = match kind {
                0 => {
                    let (ctx, handle) = at.with_cancel();
                    (ctx, Some(handle))
                }
                1 => {
                    values.push(layer);
                    (at.with_key(key, layer), None)
                }
                _ => {
                    values.push(layer);
                    let derive = at.derive().name("both").key(key, layer);
                    let (ctx, handle) = derive.build();
                    (ctx, Some(handle))
                }
            };
            at = next.0.clone();
            chain.push(next);
        }
        let check = |ctx: &Context, depth: usize| {
            for (layer, key) in KEYS.iter().enumerate() {
                let expected = values.contains(&layer) && layer <= depth;
                let expected = expected.then_some(&layer);
                assert_eq!(ctx.get(key), expected, "seed {seed}");
                assert_eq!(ctx.get(key), expected, "seed {seed}");
            }
        };
        check(&at, chain.len());
        let cancelable: Vec<usize> = (0..chain.len()).filter(|&i| chain[i].1.is_some()).collect();
        let cut = cancelable[random.below(cancelable.len())];
        assert!(chain[cut].1.as_ref().unwrap().cancel());
        for (depth, (ctx, _)) in chain.iter().enumerate() {
            assert_eq!(
                ctx.is_cancelled(),
                depth >= cut,
                "seed {seed}, layer {depth}"
            );
            check(ctx, depth);
        }
        assert!(at.to_string().starts_with("background."));
    }
}

// G71: the path names types and keys, and never shows what they hold.
#[test]
fn a_path_shows_no_value() {
    struct Secret(#[expect(dead_code, reason = "never shown")] &'static str);
    let ctx = Context::background()
        .with_value(Secret("hunter2"))
        .with_key(&K2, 424_242)
        .with_value(String::from("hunter2"));
    let path = ctx.to_string();
    assert!(path.starts_with("background.with_value("), "{path}");
    assert!(
        path.contains("Secret)") && path.contains(".with_key(key)"),
        "{path}"
    );
    assert!(path.contains("String)"), "{path}");
    for shown in [path, format!("{ctx:?}")] {
        assert!(
            !shown.contains("hunter2") && !shown.contains("424242"),
            "{shown}"
        );
    }
}

/// Counts its drops, and does `then` in each.
fn counted(drops: &Arc<AtomicUsize>, then: impl Fn() + Send + Sync + 'static) -> Counted {
    let drops = drops.clone();
    Box::new(OnDrop(move || {
        drops.fetch_add(1, SeqCst);
        then();
    }))
}

type Counted = Box<dyn Send + Sync>;

// V14, V20, P27, P28: any subset of five values panics when it is dropped, at
// the end of a chain and within one context, alone and while unwinding.
#[test]
fn a_value_that_panics_in_its_drop_stops_no_other() {
    alone(
        "tests::go_values::a_value_that_panics_in_its_drop_stops_no_other",
        || {
            for subset in 0..64_u32 {
                let unwinding = subset >= 32;
                let drops = Arc::new(AtomicUsize::new(0));
                let value = |i: u32| {
                    counted(&drops, move || {
                        if subset & (1 << i) != 0 {
                            panic!("value");
                        }
                    })
                };
                let (top, _keep) = root();
                let mut ctx = top.clone();
                for i in 0..3 {
                    ctx = ctx.with_value(value(i)).with_cancel().0;
                }
                static A: Key<Counted> = Key::new("a");
                static B: Key<Counted> = Key::new("b");
                let both = ctx.derive().key(&A, value(3)).key(&B, value(4));
                let (leaf, _) = both.build();
                drop(ctx);
                let panic = catch_unwind(AssertUnwindSafe(move || {
                    let _leaf = leaf;
                    assert!(!unwinding, "work");
                }));
                assert_eq!(drops.load(SeqCst), 5);
                let panic = panic.err().map(|panic| message(&*panic).to_owned());
                let expected = match subset {
                    0 => None,
                    32.. => Some("work"),
                    _ => Some("value"),
                };
                assert_eq!(panic.as_deref(), expected, "{subset:06b}");
                assert_eq!(top.live_children(), 0);
                assert!(!top.with_value(1).is_cancelled());
            }
        },
    );
}

// V15, V20, P23: the drop of a value uses the tree, drops what is left of it,
// and derives and cancels on what it hung below.
#[test]
fn a_value_may_use_the_tree_in_its_drop() {
    in_time(|| {
        let (top, stop) = root();
        let drops = Arc::new(AtomicUsize::new(0));
        let rest = Arc::new(Mutex::new(Vec::new()));
        let (inside, all) = (top.clone(), rest.clone());
        let (inner, stopper) = (drops.clone(), stop.clone());
        let ctx = top.with_value(counted(&drops, move || {
            let below = inside.with_value(counted(&inner, || ()));
            let (child, handle) = below.with_cancel();
            let held = std::mem::take(&mut *all.lock().unwrap());
            drop(held);
            handle.cancel();
            assert!(child.is_cancelled() && !inside.is_cancelled());
            drop((below, child, handle));
            assert!(stopper.cancel());
        }));
        rest.lock().unwrap().extend([
            top.with_value(counted(&drops, || ())),
            top.with_cancel().0.with_value(counted(&drops, || ())),
        ]);
        assert_eq!(top.live_children(), 3);
        drop(ctx);
        assert_eq!(drops.load(SeqCst), 4);
        assert!(top.is_cancelled());
        assert_eq!(top.live_children(), 0);
        assert!(!stop.cancel());
    });
}
