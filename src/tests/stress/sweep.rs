//! Every count of children before a cancel and after it, on several threads; and
//! cancels that meet.

use super::heap::{SLACK, live};
use super::tools::{Pair, Wakes, pick, poll, root};
use super::watchdog::alone;
use ctxtree::{CancelledOwned, Cause, Context};
use std::sync::{Arc, Barrier};

/// Before and after a cancel: from none to so many.
const MOST: usize = 16;

/// A child that is waited for, and says when it is freed.
struct Child {
    ctx: Context,
    wait: CancelledOwned,
    wakes: Arc<Wakes>,
    pending: bool,
}

impl Child {
    fn below(parent: &Context, freed: &Arc<()>) -> Child {
        let (ctx, handle) = parent.derive().value(freed.clone()).build();
        drop(handle);
        let (wakes, waker) = Wakes::new();
        let mut wait = ctx.clone().cancelled_owned();
        let pending = poll(&mut wait, &waker).is_pending();
        Child {
            ctx,
            wait,
            wakes,
            pending,
        }
    }

    fn check(mut self, cause: &Cause) {
        let error = self.ctx.error().expect("every child is done");
        assert!(error.cause().unwrap().ptr_eq(cause));
        // Ready at once, it may have been woken all the same.
        let wakes = self.wakes.count();
        assert!(wakes == 1 || wakes == 0 && !self.pending, "{wakes} wakes");
        let waited = poll(&mut self.wait, std::task::Waker::noop());
        assert!(waited.is_ready());
    }
}

// V3, V5, V9, V10, V16, I1: as many before as after, shared out among threads: all
// are done by the same cause, each wait is woken once, and all are freed.
#[test]
fn children_before_and_after_a_cancel_are_all_done_and_all_freed() {
    alone(|watch| {
        let rounds = watch.count("rounds");
        let repeats = pick(40, 1);
        // The first round pays for what stays.
        let mut before = 0;
        for repeat in 0..=repeats {
            for threads in [1, 2, 4] {
                for (early, late) in (0..=MOST).flat_map(|n| (0..=MOST).map(move |m| (n, m))) {
                    if rounds.get() % 64 == 0 {
                        watch.phase(format_args!(
                            "repeat {repeat}: {early} before, {late} after, {threads} threads"
                        ));
                    }
                    round(early, late, threads);
                    rounds.add(1);
                }
            }
            if repeat == 0 {
                before = live();
            }
        }
        let grown = live() - before;
        assert!(grown < SLACK, "{grown} bytes more than before");
    });
}

fn round(early: usize, late: usize, threads: usize) {
    let (top, handle) = root();
    let cause = Cause::from("swept");
    let freed = Arc::new(());
    let share = |of: usize, thread: usize| (thread..of).step_by(threads).len();
    let start = Barrier::new(threads + 1);
    let children: Vec<Child> = std::thread::scope(|scope| {
        let derivers: Vec<_> = (0..threads)
            .map(|thread| {
                let (top, start, freed) = (&top, &start, &freed);
                scope.spawn(move || {
                    let below = |_| Child::below(top, freed);
                    let mut children: Vec<Child> = (0..share(early, thread)).map(below).collect();
                    start.wait();
                    children.extend((0..share(late, thread)).map(below));
                    children
                })
            })
            .collect();
        start.wait();
        assert!(handle.cancel_with(cause.clone()));
        derivers
            .into_iter()
            .flat_map(|d| d.join().unwrap())
            .collect()
    });
    assert_eq!(children.len(), early + late);
    assert_eq!(top.live_children(), 0);
    assert_eq!(Arc::strong_count(&freed), 1 + early + late);
    for child in children {
        child.check(&cause);
    }
    assert_eq!(Arc::strong_count(&freed), 1, "every child is freed");
}

// V3, P10: several cancel one tree at once, at the top and further down: one wins
// each, and whoever returns finds all below marked.
#[test]
fn whoever_cancels_returns_with_all_marked() {
    alone(|watch| {
        let rounds = watch.count("rounds");
        for round in 0..pick(1_000, 40) {
            watch.phase(format_args!("round {round}"));
            let (top, nodes) = tree(if round % 4 == 0 { 10_000 } else { 200 });
            watch.tree(&top.0);
            let start = Barrier::new(3);
            let won: usize = std::thread::scope(|scope| {
                let cancellers = [0, 1, 2].map(|number| {
                    let (top, start, nodes) = (&top, &start, &nodes);
                    scope.spawn(move || {
                        start.wait();
                        // Late on purpose, at times: the walk is under way then.
                        while number > 0 && round % 8 < 4 && !top.0.is_cancelled() {
                            std::hint::spin_loop();
                        }
                        if number == 2 {
                            nodes[0].1.cancel();
                            assert!(nodes[0].0.is_cancelled());
                            return 0;
                        }
                        let won = top.1.cancel();
                        // The oldest first: a walk comes to them last.
                        assert!(nodes.iter().all(|node| node.0.is_cancelled()));
                        usize::from(won)
                    })
                });
                cancellers.map(|one| one.join().unwrap()).iter().sum()
            });
            assert_eq!(won, 1);
            assert!(nodes.iter().all(|node| node.0.is_cancelled()));
            rounds.add(1);
        }
    });
}

/// A tree of so many contexts, the oldest first.
fn tree(size: usize) -> (Pair, Vec<Pair>) {
    let top = root();
    let mut nodes: Vec<Pair> = Vec::with_capacity(size);
    for i in 0..size {
        let above = if i % 3 == 0 { &top.0 } else { &nodes[i / 3].0 };
        nodes.push(above.with_cancel());
    }
    (top, nodes)
}
