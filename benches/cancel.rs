//! What does a cancel cost for each context below it, for wide, deep and bushy
//! trees, and what does dropping them afterwards?

mod support;

use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use ctxtree::{CancelHandle, Cancelled, Context};
use support::Bench;
use support::bits::{CountWakes, poll_once};
use support::question::PEER;
use support::rounds::nanos_per;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

const MEASURES: &[&str] = &["cancel", "drop after"];

fn main() {
    let bench = Bench::start("cancel");
    // (children, goal, trees a round, rounds)
    for (children, goal, trees, rounds) in [
        (1_000, 0.30, 30, 101),
        (100_000, 0.30, 1, 41),
        (1_000_000, 0.40, 1, 15),
    ] {
        shape(
            &bench,
            &format!("{children} children"),
            goal,
            trees,
            rounds,
            |_| 0,
            children,
        );
    }
    shape(&bench, "chain of 100000", 0.4, 1, 31, |node| node, 100_000);
    // The root is not counted, so 2^17 - 1 below it make 2^17 in all.
    let below = (1 << 17) - 1;
    shape(
        &bench,
        "binary tree of 2^17",
        0.4,
        1,
        31,
        |node| node / 2,
        below,
    );
    waiters(&bench);
    bench.finish();
}

/// Builds a root and `count` nodes below it, where node `n` (from 0) goes under
/// `parent_of(n)`: 0 is the root, `k` the `k`th node made. Then times the
/// cancel of the root, and the drop of everything.
fn shape(
    bench: &Bench,
    title: &str,
    goal: f64,
    trees: usize,
    rounds: usize,
    parent_of: fn(usize) -> usize,
    count: usize,
) {
    bench.ask(title, |q| {
        let count = bench.pick(count, count.min(2_000));
        q.rounds(rounds)
            .measures(MEASURES)
            .ours(move || {
                rounds_of(trees, count, || {
                    let mut nodes: Vec<(Context, CancelHandle)> = Vec::with_capacity(count + 1);
                    nodes.push(Context::background().with_cancel());
                    for node in 0..count {
                        nodes.push(nodes[parent_of(node)].0.with_cancel());
                    }
                    let cancel = timed(|| assert!(nodes[0].1.cancel()));
                    assert!(nodes[count].0.is_cancelled());
                    [cancel, timed(|| drop(nodes))]
                })
            })
            .peer(move || {
                rounds_of(trees, count, || {
                    let mut nodes: Vec<CancellationToken> = Vec::with_capacity(count + 1);
                    nodes.push(CancellationToken::new());
                    for node in 0..count {
                        nodes.push(nodes[parent_of(node)].child_token());
                    }
                    let cancel = timed(|| nodes[0].cancel());
                    assert!(nodes[count].is_cancelled());
                    [cancel, timed(|| drop(nodes))]
                })
            })
            .at_most(goal, PEER)
    });
}

/// As `shape`, wide, with one pending wait on each child.
fn waiters(bench: &Bench) {
    bench.ask("100000 children with a waiter each", |q| {
        let count = bench.pick(100_000, 2_000);
        q.rounds(31)
            .measures(MEASURES)
            .ours(move || {
                rounds_of(1, count, || {
                    let (root, handle) = Context::background().with_cancel();
                    let nodes: Vec<_> = (0..count).map(|_| root.with_cancel()).collect();
                    let (wakes, waker) = counted();
                    let waits: Vec<Pin<Box<Cancelled<'_>>>> = nodes
                        .iter()
                        .map(|(node, _)| pending(node.cancelled(), &waker))
                        .collect();
                    let cancel = timed(|| assert!(handle.cancel()));
                    assert_eq!(wakes.wakes(), count);
                    let after = timed(|| drop(waits));
                    [cancel, after + timed(|| drop(nodes))]
                })
            })
            .peer(move || {
                rounds_of(1, count, || {
                    let root = CancellationToken::new();
                    let nodes: Vec<_> = (0..count).map(|_| root.child_token()).collect();
                    let (wakes, waker) = counted();
                    let waits: Vec<Pin<Box<WaitForCancellationFuture<'_>>>> = nodes
                        .iter()
                        .map(|node| pending(node.cancelled(), &waker))
                        .collect();
                    let cancel = timed(|| root.cancel());
                    assert_eq!(wakes.wakes(), count);
                    let after = timed(|| drop(waits));
                    [cancel, after + timed(|| drop(nodes))]
                })
            })
    });
}

/// One round: builds `trees` in turn and sums what was timed, per node.
fn rounds_of(trees: usize, nodes: usize, mut tree: impl FnMut() -> [Duration; 2]) -> Vec<f64> {
    let mut sums = [Duration::ZERO; 2];
    for _ in 0..trees {
        for (sum, part) in sums.iter_mut().zip(tree()) {
            *sum += part;
        }
    }
    sums.map(|sum| nanos_per(sum, (trees * nodes) as u64))
        .to_vec()
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn counted() -> (Arc<CountWakes>, Waker) {
    let wakes = Arc::new(CountWakes::default());
    (Arc::clone(&wakes), Waker::from(wakes))
}

/// Boxed on both sides, since one of the two futures must not move.
fn pending<F: Future>(wait: F, waker: &Waker) -> Pin<Box<F>> {
    let mut wait = Box::pin(wait);
    assert!(poll_once(wait.as_mut(), waker), "nothing is cancelled yet");
    wait
}
