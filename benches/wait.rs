//! What does one wait cost on a context that stays live: registered, polled
//! once, dropped?

mod support;

use std::hint::black_box;
use std::pin::pin;

use ctxtree::Context;
use support::Bench;
use support::bits::{poll_once, wakers};
use support::question::PEER;
use support::rounds::looped;
use tokio_util::sync::CancellationToken;

fn main() {
    let bench = Bench::start("wait");
    for (name, waker) in wakers() {
        bench.ask(&format!("register + poll + drop; {name}"), |q| {
            let (context, _handle) = Context::background().with_cancel();
            let token = CancellationToken::new();
            let (ours, peer) = (waker.clone(), waker.clone());
            q.ours(looped(&bench, move |n| {
                for _ in 0..n {
                    poll_once(pin!(black_box(&context).cancelled()), &ours);
                }
            }))
            .peer(looped(&bench, move |n| {
                for _ in 0..n {
                    poll_once(pin!(black_box(&token).cancelled()), &peer);
                }
            }))
            .at_most(0.75, PEER)
        });
    }
    bench.finish();
}
