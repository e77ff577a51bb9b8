//! What does it cost to look a value up, where it is near, far and missing, and
//! to hand one down? Beside a chain of one `Arc` a value that is walked from the
//! leaf, as Go's `context` is made.

mod support;

use std::any::{Any, TypeId};
use std::hint::black_box;
use std::sync::Arc;

use ctxtree::{Context, Key};
use support::Bench;
use support::question::Question;
use support::rounds::looped;

const CHAIN: &str = "chain of Arcs";

const MANY: usize = 1_000;
static KEYS: [Key<u64>; MANY] = [const { Key::new("key") }; MANY];

struct Near(u64);
struct Far(u64);
struct Missing(u64);

/// One value, and the rest above it.
struct Link {
    of: (TypeId, usize),
    value: Box<dyn Any + Send + Sync>,
    up: Option<Arc<Link>>,
}

fn link<T: Send + Sync + 'static>(up: Option<&Arc<Link>>, key: usize, value: T) -> Arc<Link> {
    Arc::new(Link {
        of: (TypeId::of::<T>(), key),
        value: Box::new(value),
        up: up.cloned(),
    })
}

fn walk<T: 'static>(leaf: &Arc<Link>, key: usize) -> Option<&T> {
    let mut at = Some(leaf);
    while let Some(link) = at {
        if link.of == (TypeId::of::<T>(), key) {
            return link.value.downcast_ref();
        }
        at = link.up.as_ref();
    }
    None
}

fn address<T>(key: &'static Key<T>) -> usize {
    std::ptr::from_ref(key).addr()
}

fn main() {
    let bench = Bench::start("values");
    bench.ask("found on the context itself", |q| {
        let (ctx, chain) = line(0, false);
        question(&bench, q, ctx, chain, near)
    });
    // So few are walked here too.
    bench.ask("missing among 8 values", |q| {
        let (ctx, chain) = line(6, false);
        question(&bench, q, ctx, chain, missing)
    });
    for (count, goal) in [(100, 0.3), (MANY, 0.05)] {
        bench.ask(&format!("missing among {count} values"), |q| {
            let (ctx, chain) = line(count - 2, false);
            question(&bench, q, ctx, chain, missing).at_most(goal, CHAIN)
        });
    }
    bench.ask("missing among 1000 values, looked for at each", |q| {
        let (ctx, chain) = line(998, true);
        question(&bench, q, ctx, chain, missing).at_most(0.05, CHAIN)
    });
    bench.ask("found at the far end of 1000 values", |q| {
        let (ctx, chain) = line(998, false);
        question(&bench, q, ctx, chain, far).at_most(0.05, CHAIN)
    });
    bench.ask("found above 1000 contexts without values", |q| {
        let (mut ctx, chain) = line(0, false);
        for _ in 0..1_000 {
            ctx = ctx.with_cancel().0;
        }
        question(&bench, q, ctx, chain, far)
    });
    bench.ask("found by a key among 100 values", |q| {
        let (ctx, chain) = line(98, false);
        let key = &KEYS[1];
        assert_eq!(ctx.get(key), walk(&chain, address(key)));
        let ours = looped(&bench, move |n| {
            for _ in 0..n {
                black_box(black_box(&ctx).get(key));
            }
        });
        let theirs = looped(&bench, move |n| {
            for _ in 0..n {
                black_box(walk::<u64>(black_box(&chain), address(key)));
            }
        });
        q.ours(ours).contender(CHAIN, theirs).at_most(0.3, CHAIN)
    });
    bench.ask("derive with a value, look it up, drop", |q| {
        let (ctx, chain) = line(3, false);
        q.ours(looped(&bench, move |n| {
            for number in 0..n {
                let below = ctx.with_value(Near(number));
                black_box(below.value::<Near>());
            }
        }))
        .contender(
            CHAIN,
            looped(&bench, move |n| {
                for number in 0..n {
                    let below = link(Some(&chain), 0, Near(number));
                    black_box(walk::<Near>(&below, 0));
                }
            }),
        )
    });
    bench.ask("derive with a value that must be dropped, drop", |q| {
        let (ctx, chain) = line(3, false);
        q.ours(looped(&bench, move |n| {
            for number in 0..n {
                drop(black_box(ctx.with_value(Box::new(number))));
            }
        }))
        .contender(
            CHAIN,
            looped(&bench, move |n| {
                for number in 0..n {
                    drop(black_box(link(Some(&chain), 0, Box::new(number))));
                }
            }),
        )
    });
    bench.finish();
}

/// `Far`, then one value for each of so many keys, then `Near`.
fn line(keys: usize, look: bool) -> (Context, Arc<Link>) {
    let (top, _handle) = Context::background().with_cancel();
    let mut ctx = top.with_value(Far(0));
    let mut chain = link(None, 0, Far(0));
    for (number, key) in (0..).zip(&KEYS[..keys]) {
        ctx = ctx.with_key(key, number);
        chain = link(Some(&chain), address(key), number);
        if look {
            assert!(ctx.value::<Missing>().is_none());
        }
    }
    (ctx.with_value(Near(1)), link(Some(&chain), 0, Near(1)))
}

type Ask = (fn(&Context) -> Option<u64>, fn(&Arc<Link>) -> Option<u64>);

fn near() -> Ask {
    (
        |ctx| ctx.value::<Near>().map(|value| value.0),
        |chain| walk::<Near>(chain, 0).map(|value| value.0),
    )
}

fn far() -> Ask {
    (
        |ctx| ctx.value::<Far>().map(|value| value.0),
        |chain| walk::<Far>(chain, 0).map(|value| value.0),
    )
}

fn missing() -> Ask {
    (
        |ctx| ctx.value::<Missing>().map(|value| value.0),
        |chain| walk::<Missing>(chain, 0).map(|value| value.0),
    )
}

fn looks(chain: Arc<Link>, ask: fn() -> Ask) -> impl FnMut(u64) {
    let (_, theirs) = ask();
    move |n| {
        for _ in 0..n {
            black_box(theirs(black_box(&chain)));
        }
    }
}

fn question<'a>(
    bench: &Bench,
    question: Question<'a>,
    ctx: Context,
    chain: Arc<Link>,
    ask: fn() -> Ask,
) -> Question<'a> {
    let (ours, theirs) = ask();
    assert_eq!(ours(&ctx), theirs(&chain));
    question
        .ours(looped(bench, move |n| {
            for _ in 0..n {
                black_box(ours(black_box(&ctx)));
            }
        }))
        .contender(CHAIN, looped(bench, looks(chain, ask)))
}
