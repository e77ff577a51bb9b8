//! Lookups racing with lookups and with drops.

use crate::tools::{Guarded, race, race3};
use ctxtree::Context;

struct Set(u32);
struct Missing;

/// A line of contexts with values that is longer than a lookup walks without
/// an index, newest last.
fn line() -> Vec<Context> {
    let mut line = vec![Context::background().with_value(7_u8)];
    for number in 0..3 {
        let below = line[line.len() - 1].with_value(Set(number));
        line.push(below);
    }
    line
}

fn look(leaf: &Context, nearest: u32) {
    assert!(leaf.value::<Missing>().is_none());
    assert_eq!(leaf.value::<Set>().map(|set| set.0), Some(nearest));
    assert_eq!(leaf.value::<u8>(), Some(&7));
}

pub(crate) fn value_lookup_vs_lookup() {
    let leaf = line().pop().expect("a line has a leaf");
    let again = leaf.clone();
    race(move || look(&leaf, 2), move || look(&again, 2));
}

pub(crate) fn value_lookup_vs_drop() {
    let mut line = line();
    let leaf = line.pop().expect("a line has a leaf");
    let child = leaf.with_cancel().0;
    race3(
        move || look(&leaf, 2),
        move || look(&child, 2),
        move || drop(line),
    );
}

pub(crate) fn value_drop_vs_drop() {
    let ctx = Context::background().with_value(Guarded::new());
    let again = ctx.clone();
    let seen = |ctx: Context| {
        let value = ctx.value::<Guarded>().expect("it was set");
        value.read();
        drop(ctx);
    };
    race(move || seen(ctx), move || seen(again));
}

pub(crate) fn value_drop_vs_lookup() {
    let ctx = Context::background().with_value(Guarded::new());
    let (one, two) = (ctx.with_cancel().0, ctx.with_value(()));
    drop(ctx);
    let seen = |ctx: Context| {
        ctx.value::<Guarded>().expect("it was set above").read();
        drop(ctx);
    };
    race(move || seen(one), move || seen(two));
}

pub(crate) fn value_orphan_vs_lookup() {
    let ctx = Context::background().with_value(Guarded::new());
    let child = ctx.with_cancel().0;
    race(
        move || drop(ctx),
        move || {
            child.value::<Guarded>().expect("it was set above").read();
            drop(child);
        },
    );
}
