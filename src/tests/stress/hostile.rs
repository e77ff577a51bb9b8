//! Wakers and callbacks that panic, come back in, block and let go, while threads
//! cancel, drop and derive around them.

use super::tools::{Pair, Random, Wakes, counts, message, on_wake, peek, pick, poll, root};
use super::watchdog::{Counter, watched};
use ctxtree::{CancelledOwned, Context, Registration};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::task::Waker;

/// What the code of users may come to in one round.
struct Forest {
    nodes: Mutex<Vec<Option<Pair>>>,
    /// Waits and registrations that are dropped from within.
    held: Mutex<Vec<(Option<CancelledOwned>, Option<Registration>)>>,
    /// Another tree, on which a thread waits that somebody waits for.
    elsewhere: Pair,
    woken_there: AtomicBool,
    calls: Counter,
}

impl Forest {
    fn pick(&self, random: &mut Random) -> Option<Pair> {
        let nodes = self.nodes.lock().unwrap();
        nodes[random.below(nodes.len())].clone()
    }

    /// Something that user's code may do anywhere; panics last, if at all.
    fn misbehave(&self, seed: u64) {
        self.calls.add(1);
        let mut random = Random::new(seed);
        for _ in 0..1 + random.below(2) {
            match random.below(8) {
                0 => {
                    // The last handle, perhaps.
                    let at = random.below(self.nodes.lock().unwrap().len());
                    let gone = self.nodes.lock().unwrap()[at].take();
                    drop(gone);
                }
                1 => {
                    let _ = self.pick(&mut random).map(|(_, handle)| handle.cancel());
                }
                2 => {
                    let Some((ctx, _)) = self.pick(&mut random) else {
                        continue;
                    };
                    // Asked first: a cancel that begins between the two marks the
                    // parent a moment before the child (V4).
                    let done = ctx.is_cancelled();
                    let (child, handle) = ctx.with_cancel();
                    assert!(!done || child.is_cancelled());
                    let mut wait = child.cancelled();
                    let _ = peek(&mut wait);
                    handle.cancel();
                    assert!(peek(&mut wait).is_ready());
                }
                3 => {
                    let Some((ctx, _)) = self.pick(&mut random) else {
                        continue;
                    };
                    let runs = Arc::new(AtomicUsize::new(0));
                    drop(ctx.after_cancel(counts(&runs)));
                    assert!(runs.load(SeqCst) <= 1);
                }
                4 => {
                    let gone = self.held.lock().unwrap().pop();
                    drop(gone);
                }
                5 => {
                    // Until another thread was woken by what is done here.
                    self.elsewhere.1.cancel();
                    while !self.woken_there.load(SeqCst) {
                        std::thread::yield_now();
                    }
                }
                6 => drop(
                    self.pick(&mut random)
                        .map(|(ctx, _)| (ctx.tree(), ctx.live_children())),
                ),
                _ => panic!("hostile"),
            }
        }
    }
}

/// Runs user's code that may panic: with that text, or not at all.
fn survive<T>(f: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => Some(value),
        Err(panic) if message(&*panic) == "hostile" => None,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

// V12 to V17, P20 to P32: in each round threads cancel, drop, derive and wait on one
// small tree whose wakers and callbacks do all of that as well: whoever waits in
// good faith is woken once, every good callback runs at most once, nobody hangs,
// and no panic is another one than theirs.
#[test]
fn good_waits_end_whatever_the_others_do() {
    silence();
    watched(|watch| {
        let (rounds, calls) = (watch.count("rounds"), watch.count("calls of user's code"));
        for seed in 0..pick(30_000, 300) as u64 {
            round(seed, &calls);
            rounds.add(1);
        }
        assert!(calls.get() > rounds.get());
    });
}

/// Says nothing of the panics that are meant.
fn silence() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if message(info.payload()) != "hostile" {
            usual(info);
        }
    }));
}

fn round(seed: u64, calls: &Counter) {
    let mut random = Random::new(seed);
    let top = root();
    let mut nodes = vec![top.clone()];
    for _ in 0..4 {
        let above = nodes[random.below(nodes.len())].0.clone();
        let pair = match random.below(4) {
            0 => above.link([&nodes[random.below(nodes.len())].0]),
            _ => above.with_cancel(),
        };
        nodes.push(pair);
    }
    let contexts: Vec<Context> = nodes.iter().map(|(ctx, _)| ctx.clone()).collect();
    let forest = Arc::new(Forest {
        nodes: Mutex::new(nodes.into_iter().map(Some).collect()),
        held: Mutex::default(),
        elsewhere: root(),
        woken_there: AtomicBool::new(false),
        calls: calls.clone(),
    });
    // Those in good faith: each held here, so that they stay whatever goes.
    let runs = Arc::new(AtomicUsize::new(0));
    let mut good: Vec<(Arc<Wakes>, CancelledOwned)> = Vec::new();
    let mut kept: Vec<Registration> = Vec::new();
    for (at, ctx) in contexts.iter().enumerate() {
        for _ in 0..2 {
            let (wakes, waker) = Wakes::new();
            let mut wait = ctx.clone().cancelled_owned();
            assert!(poll(&mut wait, &waker).is_pending());
            good.push((wakes, wait));
            kept.push(ctx.after_cancel(counts(&runs)));
            let (seed, inside) = (seed * 100 + at as u64 * 10, forest.clone());
            let bad: Waker = on_wake(move || inside.misbehave(seed));
            let mut wait = ctx.clone().cancelled_owned();
            assert!(poll(&mut wait, &bad).is_pending());
            let inside = forest.clone();
            let registration = ctx.after_cancel(move |_| inside.misbehave(seed + 1));
            forest
                .held
                .lock()
                .unwrap()
                .push((Some(wait), Some(registration)));
        }
    }
    drop(contexts);
    let there = forest.elsewhere.0.clone();
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        // Also if a thread panics: else the one that waits there would not end.
        let _end = forest.elsewhere.1.clone().drop_guard();
        let forest = &forest;
        scope.spawn(move || {
            there.wait();
            forest.woken_there.store(true, SeqCst);
        });
        let start = &start;
        let threads = [0, 1, 2].map(|thread| {
            let top = top.clone();
            let seed = seed * 7 + thread;
            scope.spawn(move || {
                start.wait();
                let _ = match thread {
                    0 => survive(|| assert!(top.1.cancel_with("top") || top.0.is_cancelled())),
                    _ => survive(|| forest.misbehave(seed)),
                };
            })
        });
        start.wait();
        for thread in threads {
            thread.join().unwrap();
        }
    });
    assert!(top.0.is_cancelled());
    for (wakes, wait) in &mut good {
        assert!(peek(wait).is_ready());
        assert_eq!(wakes.count(), 1, "round {seed}");
    }
    assert_eq!(runs.load(SeqCst), kept.len(), "round {seed}");
    // Whoever holds itself by a waker is let go.
    let held = std::mem::take(&mut *forest.held.lock().unwrap());
    let _ = survive(|| drop(held));
    let nodes = std::mem::take(&mut *forest.nodes.lock().unwrap());
    let _ = survive(|| drop(nodes));
}
