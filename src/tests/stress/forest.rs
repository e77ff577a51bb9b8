//! Everything at once, on threads, for a while.

use super::tools::{Pair, Random, Wakes, peek, pick, poll, root};
use super::watchdog::{Watch, watched};
use ctxtree::CancelHandle;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

const THREADS: u64 = 4;

/// What the threads share: some of the contexts there are.
struct Forest {
    nodes: Mutex<Vec<Pair>>,
    /// Threads that wait, and what ends them.
    waiting: Mutex<Vec<(CancelHandle, JoinHandle<()>)>>,
}

impl Forest {
    fn pick(&self, random: &mut Random) -> Pair {
        let nodes = self.nodes.lock().unwrap();
        nodes[random.below(nodes.len())].clone()
    }

    fn step(&self, watch: &Watch, random: &mut Random, own: &mut Vec<Pair>) {
        let (ctx, handle) = self.pick(random);
        match random.below(100) {
            0..40 => {
                let pair = if random.below(10) == 0 {
                    ctx.without_cancel().with_cancel()
                } else {
                    ctx.with_cancel()
                };
                let mut nodes = self.nodes.lock().unwrap();
                if nodes.len() < 200 {
                    nodes.push(pair);
                } else {
                    drop(nodes);
                    own.push(pair);
                }
            }
            40..65 => {
                let mut nodes = self.nodes.lock().unwrap();
                let at = random.below(nodes.len());
                if at > 0 {
                    let gone = nodes.swap_remove(at);
                    drop(nodes);
                    drop(gone);
                }
            }
            65..70 if ctx.error().is_none() => {
                // Only what was derived here, or all would soon be done.
                let (child, cancel_child) = ctx.with_cancel();
                let (below, _) = child.with_cancel();
                drop(child);
                cancel_child.cancel_with("branch");
                assert!(below.is_cancelled());
            }
            70..72 => {
                handle.cancel();
                assert!(ctx.is_cancelled());
                assert!(ctx.with_cancel().0.is_cancelled());
            }
            72..85 => {
                let (_, waker) = Wakes::new();
                let mut wait = ctx.clone().cancelled_owned();
                let ready = poll(&mut wait, &waker).is_ready();
                assert!(!ready || ctx.is_cancelled());
                assert!(peek(&mut wait).is_pending() || ctx.is_cancelled());
            }
            85 => {
                let mut waiting = self.waiting.lock().unwrap();
                if waiting.len() < 40 {
                    let thread = watch.start("waits", move || drop(ctx.wait()));
                    waiting.push((handle, thread));
                }
            }
            86..95 => {
                if let Some(error) = ctx.error() {
                    assert!(ctx.is_cancelled());
                    assert_eq!(error.origin(), ctx.error().unwrap().origin());
                    assert_eq!(error.cause().is_some(), ctx.cause().is_some());
                }
            }
            _ => {
                let _ = ctx.live_children();
                own.clear();
            }
        }
    }
}

// V3 to V9, V15, V16: threads derive, cancel, drop, wait and ask at random; at
// the end everything is done and everybody is back.
#[test]
fn a_forest_in_use_by_many_threads_ends() {
    watched(|watch| {
        let (top, stop) = root();
        let forest = Arc::new(Forest {
            nodes: Mutex::new(vec![top.with_cancel()]),
            waiting: Mutex::new(Vec::new()),
        });
        watch.tree(&top);
        let steps = watch.count("steps");
        let threads: Vec<_> = (0..THREADS)
            .map(|seed| {
                let forest = forest.clone();
                let (top, inside, steps) = (top.clone(), watch.clone(), steps.clone());
                watch.start("steps", move || {
                    let mut random = Random::new(seed + 1);
                    let mut own = Vec::new();
                    for _ in 0..pick(200_000, 10_000) {
                        forest.step(&inside, &mut random, &mut own);
                        steps.add(1);
                        let mut nodes = forest.nodes.lock().unwrap();
                        if nodes[0].0.is_cancelled() {
                            nodes[0] = top.with_cancel();
                        }
                    }
                    own
                })
            })
            .collect();
        let mut left: Vec<Pair> = Vec::new();
        for thread in threads {
            left.extend(thread.join().unwrap());
        }
        watch.phase("ends");
        stop.cancel_with("end");
        left.append(&mut forest.nodes.lock().unwrap());
        // What lies behind a shield is cancelled by its own handle.
        for (_, handle) in &left {
            handle.cancel();
        }
        assert!(left.iter().all(|(ctx, _)| ctx.is_cancelled()));
        let waiting = std::mem::take(&mut *forest.waiting.lock().unwrap());
        assert!(!waiting.is_empty());
        for (handle, thread) in waiting {
            handle.cancel();
            thread.join().unwrap();
        }
        drop(left);
        assert_eq!(top.live_children(), 0);
    });
}

// V9, V10, V11, P59: one hot parent: derived from, left and counted by many threads,
// so that its list splits; then cancelled in the middle of it.
#[test]
fn a_hot_parent_is_left_by_all_and_cancelled_meanwhile() {
    watched(|watch| {
        for cancelled in [false, true] {
            let (ctx, handle) = root();
            let stop = Arc::new(AtomicBool::new(false));
            let made = Arc::new(AtomicUsize::new(0));
            let threads: Vec<_> = (0..THREADS)
                .map(|seed| {
                    let (ctx, stop, made) = (ctx.clone(), stop.clone(), made.clone());
                    watch.start("derives", move || {
                        let mut random = Random::new(seed + 1);
                        let mut held: Vec<Pair> = Vec::new();
                        while !stop.load(SeqCst) {
                            made.fetch_add(1, SeqCst);
                            let was_done = ctx.is_cancelled();
                            let pair = ctx.with_cancel();
                            assert!(!was_done || pair.0.is_cancelled());
                            held.push(pair);
                            if held.len() > 50 {
                                drop(held.swap_remove(random.below(held.len())));
                            }
                            if random.below(50) == 0 {
                                let _ = ctx.live_children();
                            }
                        }
                        held
                    })
                })
                .collect();
            while made.load(SeqCst) < pick(1_000_000, 20_000) {
                std::thread::yield_now();
            }
            if cancelled {
                assert!(handle.cancel_with("hot"));
                let now = made.load(SeqCst);
                while made.load(SeqCst) < now + 1_000 {
                    std::thread::yield_now();
                }
            }
            stop.store(true, SeqCst);
            let held: Vec<_> = threads
                .into_iter()
                .flat_map(|t| t.join().unwrap())
                .collect();
            assert!(
                held.iter()
                    .all(|(child, _)| child.is_cancelled() == cancelled)
            );
            let live = if cancelled { 0 } else { held.len() };
            assert_eq!(ctx.live_children(), live);
            drop(held);
            assert_eq!(ctx.live_children(), 0);
        }
    });
}

// V16: many threads parked on contexts all over a tree come back.
#[test]
fn parked_threads_all_come_back() {
    watched(|watch| {
        let (top, handle) = root();
        let mut nodes = vec![top];
        for i in 0..60 {
            let (child, _) = nodes[i / 2].with_cancel();
            nodes.push(child);
        }
        let threads: Vec<_> = nodes
            .into_iter()
            .map(|ctx| watch.start("waits", move || ctx.wait()))
            .collect();
        handle.cancel_with("home");
        for thread in threads {
            assert_eq!(thread.join().unwrap().cause().unwrap().to_string(), "home");
        }
    });
}
