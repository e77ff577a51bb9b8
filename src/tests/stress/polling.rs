//! A large tree is cancelled again and again while others ask, derive and drop.

use super::tools::{Pair, Random, pick, root};
use super::watchdog::{Counter, watched};
use ctxtree::{Cause, Context};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

/// Children of each of the contexts in the middle.
const WIDTH: usize = 100;

/// What is cancelled next, or was just now.
struct Tree {
    top: Pair,
    cause: Cause,
    nodes: Vec<Context>,
}

fn tree(size: usize) -> Arc<Tree> {
    let top = root();
    let mut nodes = Vec::with_capacity(size);
    for _ in 0..size / WIDTH {
        let middle = top.0.with_cancel().0;
        nodes.extend((1..WIDTH).map(|_| middle.with_cancel().0));
        nodes.push(middle);
    }
    Arc::new(Tree {
        top,
        cause: Cause::from("again"),
        nodes,
    })
}

/// Asks one context of the tree, and sometimes derives below it.
fn ask(tree: &Tree, random: &mut Random) {
    let ctx = &tree.nodes[random.below(tree.nodes.len())];
    let was_done = ctx.is_cancelled();
    if was_done {
        assert!(tree.top.0.is_cancelled(), "parents first");
        assert!(ctx.cause().unwrap().ptr_eq(&tree.cause));
    }
    if random.below(16) == 0 {
        let child = ctx.with_cancel().0;
        assert!(!was_done || child.is_cancelled(), "born done");
        let (below, handle) = child.with_cancel();
        drop(child);
        assert!(!was_done || !handle.cancel());
        drop(below);
    }
}

// V2 to V5, V9, V11, P59: polls go on during the cancel; how many there were, and how
// long the longest took, is told and not judged.
#[test]
fn a_large_tree_is_cancelled_again_and_again_under_polling() {
    watched(|watch| {
        let size = pick(100_000, 4_000);
        let (rounds, pollers) = (pick(60, 6), 4);
        let current = Arc::new(RwLock::new(tree(size)));
        let stop = Arc::new(AtomicBool::new(false));
        let polls = watch.count("polls");
        let pollers: Vec<_> = (0..pollers)
            .map(|seed| {
                let (current, stop, polls) = (current.clone(), stop.clone(), polls.clone());
                watch.start("poller", move || {
                    let (mut random, mut longest) = (Random::new(seed + 1), Duration::ZERO);
                    while !stop.load(SeqCst) {
                        let tree = current.read().unwrap().clone();
                        for _ in 0..1_000 {
                            let began = Instant::now();
                            ask(&tree, &mut random);
                            longest = longest.max(began.elapsed());
                        }
                        polls.add(1_000);
                    }
                    longest
                })
            })
            .collect();
        let mut told: Vec<(usize, Duration)> = Vec::new();
        for round in 0..rounds {
            watch.phase(format_args!("round {round}"));
            let tree = current.read().unwrap().clone();
            watch.tree(&tree.top.0);
            polled(&polls, 2_000);
            let (before, began) = (polls.get(), Instant::now());
            assert!(tree.top.1.cancel_with(tree.cause.clone()));
            told.push((polls.get() - before, began.elapsed()));
            assert!(tree.nodes.iter().all(Context::is_cancelled));
            assert_eq!(tree.top.0.live_children(), 0);
            drop(tree);
            watch.no_tree();
            let next = self::tree(size);
            let gone = std::mem::replace(&mut *current.write().unwrap(), next);
            drop(gone);
        }
        stop.store(true, SeqCst);
        let longest = pollers.into_iter().map(|p| p.join().unwrap()).max();
        let during: usize = told.iter().map(|(polls, _)| polls).sum();
        let took: Duration = told.iter().map(|(_, took)| *took).sum();
        println!(
            "{rounds} cancels of {size} contexts took {took:?}; {during} polls meanwhile, {} in \
             all; the longest took {:?}",
            polls.get(),
            longest.unwrap(),
        );
    });
}

/// Waits until the others have polled so often more.
fn polled(polls: &Counter, more: usize) {
    let until = polls.get() + more;
    while polls.get() < until {
        std::thread::yield_now();
    }
}
