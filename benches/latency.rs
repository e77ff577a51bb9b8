//! Does a cancel of a million children stall those who poll the root meanwhile,
//! more than it stalls the polling of a word that has nothing to do with it?

mod support;

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use ctxtree::Context;
use support::Bench;
use support::stats::Histogram;
use tokio_util::sync::CancellationToken;

const MEASURES: &[&str] = &["worst", "p99.99", "p99.9"];
const UNRELATED: &str = "unrelated atomic";

fn main() {
    let bench = Bench::start("latency");
    bench.ask(
        "poll of the root while 1000000 children are cancelled",
        |q| {
            let children = bench.pick(1_000_000, 5_000);
            let beside = std::rc::Rc::new(RefCell::new(Vec::new()));
            let left = std::rc::Rc::clone(&beside);
            // The worst of a round is mostly the scheduler's doing, so the
            // unrelated word is polled in the very same loop, turn by turn: the
            // interruptions fall on both alike.
            q.rounds(21)
                .in_order()
                .measures(MEASURES)
                .ours(move || {
                    let (root, handle) = Context::background().with_cancel();
                    let nodes: Vec<_> = (0..children).map(|_| root.with_cancel()).collect();
                    let (ours, unrelated) = poll_during(
                        || root.is_cancelled(),
                        || {
                            handle.cancel();
                        },
                    );
                    drop(nodes);
                    *left.borrow_mut() = unrelated;
                    ours
                })
                .contender(UNRELATED, move || beside.borrow().clone())
                .peer(move || {
                    let root = CancellationToken::new();
                    let nodes: Vec<_> = (0..children).map(|_| root.child_token()).collect();
                    let (peer, _) = poll_during(|| root.is_cancelled(), || root.cancel());
                    drop(nodes);
                    peer
                })
                .no_worse_than(UNRELATED)
        },
    );
    println!("each poll is timed by itself: subtract nothing, the clock is in both");
    bench.finish();
}

/// Another thread runs `cancel`; this one polls the root and an unrelated word
/// by turns until it has returned. Worst, p99.99 and p99.9 of each.
fn poll_during(poll: impl Fn() -> bool, cancel: impl FnOnce() + Send) -> (Vec<f64>, Vec<f64>) {
    let (ready, go, done) = (
        AtomicBool::new(false),
        AtomicBool::new(false),
        AtomicBool::new(false),
    );
    // A line of its own, as the word of any other context would have.
    let unrelated = Box::new([const { AtomicBool::new(false) }; 128]);
    let (mut root, mut other) = (Histogram::new(), Histogram::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            ready.store(true, Ordering::Release);
            while !go.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
            cancel();
            done.store(true, Ordering::Release);
        });
        while !ready.load(Ordering::Acquire) {
            thread::yield_now();
        }
        go.store(true, Ordering::Release);
        let mut before = Instant::now();
        let mut sample = |histogram: &mut Histogram, answer: &dyn Fn() -> bool| {
            black_box(answer());
            let after = Instant::now();
            histogram.record((after - before).as_nanos() as u64);
            before = after;
        };
        loop {
            sample(&mut root, &poll);
            sample(&mut other, &|| unrelated[64].load(Ordering::Acquire));
            if done.load(Ordering::Acquire) {
                break;
            }
        }
    });
    (summary(&root), summary(&other))
}

fn summary(histogram: &Histogram) -> Vec<f64> {
    vec![
        histogram.worst(),
        histogram.quantile(0.9999),
        histogram.quantile(0.999),
    ]
}
