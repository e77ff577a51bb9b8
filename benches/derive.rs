//! What does a context of one's own cost, from `with_cancel` to the drop of
//! both handles: bare, contended, as a request that waits, and as a small tree?

mod support;

use std::hint::black_box;
use std::pin::pin;
use std::task::Waker;

use ctxtree::{CancelHandle, Context};
use support::Bench;
use support::bits::{Floor, poll_once, wakers};
use support::question::PEER;
use support::rounds::{looped, two_threads};
use tokio_util::sync::CancellationToken;

/// Operations between two looks at the clock on two threads.
const CHUNK: u64 = 64;

fn main() {
    let bench = Bench::start("derive");
    bare(&bench);
    contended(&bench);
    for (name, waker) in wakers() {
        request(&bench, name, &waker);
    }
    small_tree(&bench);
    bench.finish();
}

fn bare(bench: &Bench) {
    bench.ask("derive + drop, 1 thread", |q| {
        let (parent, _handle) = parent();
        let token = CancellationToken::new();
        let floor = Floor::default();
        q.ours(looped(bench, move |n| (0..n).for_each(|_| derive(&parent))))
            .peer(looped(bench, move |n| {
                (0..n).for_each(|_| derive_token(&token))
            }))
            .contender(
                Floor::NAME,
                looped(bench, move |n| (0..n).for_each(|_| floor.turn())),
            )
            .at_most(0.35, PEER)
            .at_most(2.0, Floor::NAME)
    });
}

fn contended(bench: &Bench) {
    bench.ask("derive + drop, 2 threads of one parent", |q| {
        let (parent, _handle) = parent();
        let token = CancellationToken::new();
        let ours = move |n| (0..n).for_each(|_| derive(&parent));
        let peer = move |n| (0..n).for_each(|_| derive_token(&token));
        q.ours(two_threads(bench, CHUNK, ours))
            .peer(two_threads(bench, CHUNK, peer))
            .at_most(0.30, PEER)
    });
}

fn request(bench: &Bench, name: &str, waker: &Waker) {
    bench.ask(&format!("a request: derive, wait, drop; {name}"), |q| {
        let (parent, _handle) = parent();
        let token = CancellationToken::new();
        let (ours, peer) = (waker.clone(), waker.clone());
        q.ours(looped(bench, move |n| {
            for _ in 0..n {
                let (context, handle) = black_box(&parent).with_cancel();
                poll_once(pin!(context.cancelled()), &ours);
                black_box(&handle);
            }
        }))
        .peer(looped(bench, move |n| {
            for _ in 0..n {
                let token = black_box(&token).child_token();
                poll_once(pin!(token.cancelled()), &peer);
            }
        }))
        .at_most(0.6, PEER)
    });
}

fn small_tree(bench: &Bench) {
    bench.ask("a parent with 2 children, derived and dropped", |q| {
        let (root, _handle) = parent();
        let token = CancellationToken::new();
        q.ours(looped(bench, move |n| {
            for _ in 0..n {
                let middle = black_box(&root).with_cancel();
                let first = middle.0.with_cancel();
                let second = middle.0.with_cancel();
                black_box((&middle, &first, &second));
            }
        }))
        .peer(looped(bench, move |n| {
            for _ in 0..n {
                let middle = black_box(&token).child_token();
                let first = middle.child_token();
                let second = middle.child_token();
                black_box((&middle, &first, &second));
            }
        }))
        .at_most(0.5, PEER)
    });
}

fn parent() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

fn derive(parent: &Context) {
    drop(black_box(black_box(parent).with_cancel()));
}

fn derive_token(parent: &CancellationToken) {
    drop(black_box(black_box(parent).child_token()));
}
