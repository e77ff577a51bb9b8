//! What does replacing a random child cost while many others of the same parent
//! stay, as in a server with that many requests in flight?

mod support;

use std::hint::black_box;

use ctxtree::Context;
use support::Bench;
use support::bits::Random;
use support::question::PEER;
use support::rounds::looped_for;
use tokio_util::sync::CancellationToken;

fn main() {
    let bench = Bench::start("churn");
    for live in [10_000, 200_000] {
        bench.ask(&format!("{live} live"), |q| {
            let live = bench.pick(live, live / 50);
            // Long enough that refilling the caches after the other
            // contender's turn is a small part of the round.
            let times = bench.pick(100_000, 200);
            let (context, _handle) = Context::background().with_cancel();
            let token = CancellationToken::new();
            q.rounds(61)
                .ours(looped_for(
                    times,
                    replacer(live, move || context.with_cancel()),
                ))
                .peer(looped_for(
                    times,
                    replacer(live, move || token.child_token()),
                ))
                .at_most(0.40, PEER)
        });
    }
    bench.finish();
}

/// Fills the places, and ages them: after a few times as many replacements,
/// neighbours in the list are no longer neighbours in memory.
fn replacer<T>(live: usize, make: impl Fn() -> T) -> impl FnMut(u64) {
    let mut places: Vec<T> = (0..live).map(|_| make()).collect();
    let mut random = Random::new();
    let mut replace = move |times: u64| {
        for _ in 0..times {
            let place = random.below(live);
            places[place] = black_box(make());
        }
    };
    replace(4 * live as u64);
    replace
}
