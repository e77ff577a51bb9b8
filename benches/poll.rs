//! What does asking a context whether it is cancelled cost, beside the one
//! atomic load that no answer can do without?

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ctxtree::Context;
use support::Bench;
use support::question::Question;
use support::rounds::{looped, two_threads};
use tokio_util::sync::CancellationToken;

/// The floor has the shape of a handle: a pointer in memory, and a word behind.
const FLOOR: &str = "acquire load";
/// Polls between two looks at the clock on two threads.
const CHUNK: u64 = 1 << 12;
const GOAL: f64 = 1.5;

fn main() {
    let bench = Bench::start("poll");
    for cancelled in [false, true] {
        let state = if cancelled { "cancelled" } else { "live" };
        bench.ask(&format!("{state}, 1 thread"), |q| {
            one_thread(&bench, q, cancelled)
        });
        bench.ask(&format!("{state}, 2 threads"), |q| {
            two(&bench, q, cancelled)
        });
    }
    bench.finish();
}

fn one_thread<'a>(bench: &Bench, question: Question<'a>, cancelled: bool) -> Question<'a> {
    let (context, token, word) = subjects(cancelled);
    question
        .ours(looped(bench, move |n| {
            polls(n, &context, Context::is_cancelled)
        }))
        .peer(looped(bench, move |n| {
            polls(n, &token, CancellationToken::is_cancelled)
        }))
        .contender(FLOOR, looped(bench, move |n| polls(n, &word, load)))
        .at_most(GOAL, FLOOR)
}

fn two<'a>(bench: &Bench, question: Question<'a>, cancelled: bool) -> Question<'a> {
    let (context, token, word) = subjects(cancelled);
    let ours = move |n| polls(n, &context, Context::is_cancelled);
    let peer = move |n| polls(n, &token, CancellationToken::is_cancelled);
    question
        .ours(two_threads(bench, CHUNK, ours))
        .peer(two_threads(bench, CHUNK, peer))
        .contender(
            FLOOR,
            two_threads(bench, CHUNK, move |n| polls(n, &word, load)),
        )
        .at_most(GOAL, FLOOR)
}

/// A child each, cancelled through its parent where it is: the common case, and
/// not one that a library could answer from the child's own call alone.
fn subjects(cancelled: bool) -> (Context, CancellationToken, Arc<AtomicUsize>) {
    let (root, handle) = Context::background().with_cancel();
    let (context, _own) = root.with_cancel();
    let root_token = CancellationToken::new();
    let token = root_token.child_token();
    if cancelled {
        handle.cancel();
        root_token.cancel();
    }
    assert_eq!(context.is_cancelled(), cancelled);
    assert_eq!(token.is_cancelled(), cancelled);
    (
        context,
        token,
        Arc::new(AtomicUsize::new(usize::from(cancelled))),
    )
}

#[inline(always)]
fn load(word: &Arc<AtomicUsize>) -> bool {
    word.load(Ordering::Acquire) != 0
}

/// Sixteen polls a turn, so that a quarter of a nanosecond is not lost in the
/// loop around it. The handle's address is unknown to the optimizer once a
/// turn. Each answer is branched on, as `if ctx.is_cancelled()` does; sums of
/// answers would be vectorized, and the vectors timed.
#[inline(always)]
fn polls<H>(times: u64, handle: &H, poll: impl Fn(&H) -> bool) {
    for _ in 0..times.div_ceil(16) {
        let handle = black_box(handle);
        macro_rules! four {
            () => {
                if poll(handle) {
                    black_box(());
                }
                if poll(handle) {
                    black_box(());
                }
                if poll(handle) {
                    black_box(());
                }
                if poll(handle) {
                    black_box(());
                }
            };
        }
        four!();
        four!();
        four!();
        four!();
    }
}
