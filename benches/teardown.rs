//! What does it cost to drop the middle of a tree while the leaves are still
//! held, and is it linear?

mod support;

use std::time::Instant;

use ctxtree::Context;
use support::Bench;
use support::question::PEER;
use support::rounds::nanos_per;
use tokio_util::sync::CancellationToken;

const MEASURES: &[&str] = &["middles and leaves", "middles alone"];

/// Bottom up is the end of the vector first: what was derived last.
#[derive(Clone, Copy)]
enum Order {
    BottomUp,
    TopDown,
}

/// Where a middle node hangs: in a chain, each under the one before it; flat,
/// all under the root.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Chain,
    Flat,
}

fn main() {
    let bench = Bench::start("teardown");
    // Only the chain can tell: there, a library that moves a dropped node's
    // children to its parent moves the same leaves again at every level.
    for (shape, form) in [(Shape::Chain, "a chain"), (Shape::Flat, "flat")] {
        for (order, way) in [(Order::BottomUp, "bottom up"), (Order::TopDown, "top down")] {
            bench.ask(
                &format!("2000 middles in {form} over 4000 leaves, {way}"),
                |q| {
                    let middles = bench.pick(2_000, 200);
                    let (root, _handle) = Context::background().with_cancel();
                    let token = CancellationToken::new();
                    let q = q
                        .rounds(41)
                        .measures(MEASURES)
                        .ours(move || {
                            tree(&root, middles, shape, order, |(c, _)| c.with_cancel(), {
                                |root: &Context| root.with_cancel()
                            })
                        })
                        .peer(move || {
                            tree(&token, middles, shape, order, |t| t.child_token(), {
                                |root: &CancellationToken| root.child_token()
                            })
                        });
                    match (shape, order) {
                        (Shape::Chain, Order::BottomUp) => q.at_most(0.05, PEER),
                        _ => q,
                    }
                },
            );
        }
    }
    bench.finish();
}

/// Builds the tree, times the drop of the middles and then of the leaves. Times
/// are per node, middles and leaves, in both measures.
fn tree<R, T>(
    root: &R,
    middles: usize,
    shape: Shape,
    order: Order,
    derive: impl Fn(&T) -> T,
    first: impl Fn(&R) -> T,
) -> Vec<f64> {
    let mut inner: Vec<T> = Vec::with_capacity(middles);
    let mut leaves: Vec<T> = Vec::with_capacity(2 * middles);
    for _ in 0..middles {
        let middle = match inner.last() {
            Some(last) if shape == Shape::Chain => derive(last),
            _ => first(root),
        };
        leaves.push(derive(&middle));
        leaves.push(derive(&middle));
        inner.push(middle);
    }
    if let Order::BottomUp = order {
        inner.reverse();
    }
    let nodes = 3 * middles as u64;
    let start = Instant::now();
    drop(inner);
    let half = start.elapsed();
    drop(leaves);
    let whole = start.elapsed();
    vec![nanos_per(whole, nodes), nanos_per(half, nodes)]
}
