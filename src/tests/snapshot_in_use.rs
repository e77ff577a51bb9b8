//! The live tree, looked at while others derive, cancel and drop.

use super::snapshot::{CANCELLED, check, named};
use super::tools::{Random, Wakes, in_time, poll, start};
use crate::tree::Node;
use crate::{Context, Id, model};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Barrier};

/// What many threads keep doing while snapshots are taken: families come and
/// go, their branches are cancelled, their middles dropped first, on one parent.
fn disturb(parent: &Context, other: &Context, random: &mut Random) {
    let (tied, cancel_tied) = other.with_cancel();
    let (linked, _) = parent.link([&tied, other]);
    let _below_linked = linked.with_cancel();
    if random.below(2) == 0 {
        drop(linked);
        cancel_tied.cancel_with("tied");
    }
    let (middle, cancel) = parent.with_cancel();
    let (inner, cancel_inner) = middle
        .with_value(String::from("dropped"))
        .derive()
        .name("inner")
        .build();
    let leaves: Vec<Context> = (0..random.below(4))
        .map(|_| inner.with_cancel().0)
        .collect();
    let mut wait = inner.clone().cancelled_owned();
    let _ = poll(&mut wait, &Wakes::new().1);
    let _registration = inner.after_cancel(|_| ());
    middle.after_cancel(|_| ()).detach();
    match random.below(6) {
        0 => drop((middle, cancel)),
        1 => drop((inner, wait)),
        2 => drop(cancel.cancel_with("branch")),
        3 => drop(cancel_inner.cancel()),
        4 => {
            cancel_inner.cancel_with("inner");
            cancel.cancel();
        }
        _ => drop(leaves),
    }
}

// V4, V23: nothing that is kept is missed or shown twice, and nothing is shown
// done below what is shown live.
#[test]
fn snapshots_of_a_tree_in_use_hold_what_they_promise() {
    in_time(|| {
        let (top, stop) = named(&Context::background(), "top");
        // Kept all the time, some of it below middles that nobody holds.
        let mut kept = vec![top.clone()];
        let mut orphans = 0;
        let mut random = Random::new(7);
        for n in 0..60 {
            let parent = kept[random.below(kept.len())].clone();
            if n % 3 == 0 {
                let middle = parent.with_cancel().0;
                kept.push(middle.with_cancel().0);
                orphans += 1;
            } else {
                kept.push(parent.with_cancel().0);
            }
        }
        model::split(&kept[1]);
        let over = Arc::new(AtomicBool::new(false));
        let together = Arc::new(Barrier::new(4));
        let threads: Vec<_> = (1..=3)
            .map(|seed| {
                let (kept, over, together) = (kept.clone(), over.clone(), together.clone());
                start(move || {
                    let mut random = Random::new(seed);
                    together.wait();
                    while !over.load(SeqCst) {
                        let [one, other] = [(); 2].map(|()| random.below(8));
                        disturb(&kept[one], &kept[other], &mut random);
                    }
                })
            })
            .collect();
        together.wait();
        let ids: HashSet<Id> = kept.iter().map(Context::id).collect();
        // Looks at what is live, as many as it takes to see families, then at what is
        // done.
        let (mut most, mut live, mut done_looks) = (0, 0, 0);
        while done_looks < 100 {
            let ends = live >= 500 && most > kept.len() + orphans;
            if ends && done_looks == 0 {
                stop.cancel_with("all");
            }
            live += usize::from(!ends);
            done_looks += usize::from(ends);
            let tree = top.tree();
            check(&tree);
            let held = tree.nodes().filter(|node| ids.contains(&node.id()));
            let held: Vec<&Node> = held.collect();
            assert_eq!(held.len(), kept.len(), "all that is kept is shown");
            assert!(held.iter().all(|node| !node.is_orphaned()));
            let done = held.iter().filter(|node| node.state() == CANCELLED).count();
            assert_eq!(done, if ends { kept.len() } else { 0 });
            assert!(tree.nodes().len() >= kept.len() + orphans);
            most = most.max(tree.nodes().len());
        }
        over.store(true, SeqCst);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(top.tree().nodes().len(), kept.len() + orphans);
    });
}

// V4, V23: one wave of marks after the other, looked at from the side.
#[test]
fn a_snapshot_during_a_cancel_shows_no_child_done_below_a_live_one() {
    in_time(|| {
        for round in 0..300 {
            let (top, stop) = Context::background().with_cancel();
            let mut kept = vec![top.clone()];
            for n in 0..100 {
                kept.push(kept[n / 3].with_cancel().0);
            }
            let looked = top.clone();
            let looking = Arc::new(AtomicBool::new(false));
            let begun = looking.clone();
            let looker = start(move || {
                loop {
                    let tree = looked.tree();
                    begun.store(true, SeqCst);
                    check(&tree);
                    if tree.nodes().all(|node| node.state() == CANCELLED) {
                        return tree.nodes().len();
                    }
                }
            });
            while !looking.load(SeqCst) {
                std::hint::spin_loop();
            }
            if round % 2 == 0 {
                stop.cancel_with("why");
            } else {
                stop.cancel();
            }
            assert_eq!(looker.join().unwrap(), kept.len());
        }
    });
}
