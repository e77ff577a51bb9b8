//! A million contexts deep on a stack of 64 KiB: every operation there is.

use super::tools::{HOUR, Hand, Wakes, counts, ms, peek, pick, poll, root};
use super::watchdog::{Watch, in_child, on_small_stack};
use ctxtree::time::ManualClock;
use ctxtree::{Context, Drain, Key, Phase, Registration, Stop, TaskGroup};
use std::fmt::{self, Error, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// How deep: a million with full sizes.
fn depth() -> usize {
    pick(1_000_000, 20_000)
}

/// A chain of contexts, the root first.
fn chain(watch: &Watch, top: &Context, below: impl Fn(&Context, usize) -> Context) -> Vec<Context> {
    watch.phase("derives");
    let mut nodes = Vec::with_capacity(depth());
    nodes.push(top.clone());
    for i in 1..depth() {
        nodes.push(below(&nodes[i - 1], i));
    }
    nodes
}

/// Counts what is written.
struct Sink(usize);

impl Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// Lets go of them all: from the leaf up, or from the root down.
fn let_go<T>(watch: &Watch, mut all: Vec<T>, from_leaf: bool) {
    watch.phase("lets go");
    if from_leaf {
        while all.pop().is_some() {}
    } else {
        all.into_iter().for_each(drop);
    }
}

// V8, V17, P62: a callback and a wait on each: run, parents first; or stopped; or
// dropped unrun with their contexts.
#[test]
fn a_deep_chain_with_callbacks_and_waits_ends() {
    on_small_stack(|watch| {
        for end in ["cancel", "stop", "drop from the root", "drop from the leaf"] {
            let (top, handle) = root();
            let nodes = chain(watch, &top, |above, _| above.with_cancel().0);
            watch.phase(format_args!("registers, to {end}"));
            let runs = Arc::new(AtomicUsize::new(0));
            let registered: Vec<Registration> = (0..nodes.len())
                .map(|i| {
                    let runs = runs.clone();
                    nodes[i].after_cancel(move |_| {
                        assert_eq!(runs.fetch_add(1, SeqCst), i, "parents first");
                    })
                })
                .collect();
            let (wakes, waker) = Wakes::new();
            let mut waits: Vec<_> = nodes
                .iter()
                .cloned()
                .map(Context::cancelled_owned)
                .collect();
            assert!(waits.iter_mut().all(|wait| poll(wait, &waker).is_pending()));
            match end {
                "cancel" => {
                    assert!(handle.cancel());
                    assert_eq!(
                        (runs.load(SeqCst), wakes.count()),
                        (nodes.len(), nodes.len())
                    );
                    assert!(waits.iter_mut().all(|wait| peek(wait).is_ready()));
                }
                "stop" => {
                    assert!(registered.iter().all(|r| r.stop() == Stop::Prevented));
                }
                _ => {}
            }
            drop((top, handle, waits));
            if end == "stop" || end == "cancel" {
                drop(registered);
            } else {
                registered.into_iter().for_each(Registration::detach);
            }
            let ran = runs.load(SeqCst);
            let_go(watch, nodes, end != "drop from the root");
            assert_eq!(runs.load(SeqCst), ran);
            assert_eq!(Arc::strong_count(&runs), 1, "{end}");
        }
    });
}

static LEAF: Key<usize> = Key::new("leaf");

// V8, V20, V23, P62: values, names, paths, snapshots.
#[test]
fn a_deep_chain_is_looked_up_and_shown() {
    on_small_stack(|watch| {
        let (top, _handle) = root();
        let nodes = chain(watch, &top.with_value(7_u8), |above, i| match i % 1_000 {
            0 => above.with_key(&LEAF, i),
            1 => above.derive().name("named").build().0,
            _ => above.with_cancel().0,
        });
        let leaf = nodes.last().unwrap();
        watch.phase("looks up");
        assert_eq!(leaf.value::<u8>(), Some(&7));
        assert_eq!(leaf.get(&LEAF), Some(&((nodes.len() - 1) / 1_000 * 1_000)));
        assert_eq!(leaf.value::<String>(), None);
        watch.phase("shows");
        let mut sink = Sink(0);
        write!(sink, "{leaf} {leaf:?} {:?}", leaf.cancelled()).unwrap();
        assert!(sink.0 > nodes.len());
        let tree = top.tree();
        assert_eq!(tree.nodes().count(), nodes.len() + 1);
        write!(sink, "{tree}").unwrap();
        assert!(tree.to_dot().lines().count() > nodes.len());
        assert!(tree.to_mermaid().ends_with(" more below\"])\n"));
        assert!(tree.to_html().lines().count() > nodes.len());
        drop(tree);
        let_go(watch, nodes, false);
        assert_eq!(top.live_children(), 0);
    });
}

// V8, V18, P62: a deadline at the top and one at each level, moved and passed.
#[test]
fn a_deep_chain_of_deadlines_is_moved_and_passes() {
    on_small_stack(|watch| {
        let clock = ManualClock::new();
        let (top, handle) = Context::background().with_clock(&clock).with_timeout(HOUR);
        let nodes = chain(watch, &top, |above, i| match i % 2 {
            0 => above.with_timeout(2 * HOUR).0,
            _ => above.with_cancel().0,
        });
        let leaf = nodes.last().unwrap();
        watch.phase("moves");
        assert_eq!(leaf.deadline(), Some(clock.now() + HOUR));
        assert!(handle.set_deadline(clock.now() + 3 * HOUR));
        assert_eq!(leaf.deadline(), Some(clock.now() + 2 * HOUR));
        clock.advance(2 * HOUR);
        assert!(nodes[2..].iter().all(Context::is_cancelled));
        assert!(!nodes[1].is_cancelled());
        assert!(handle.cancel());
        drop((top, handle));
        let_go(watch, nodes, false);
        assert_eq!(clock.outstanding(), 0);
    });
}

// V8, V22, P62: idle at the top, told once the last one below is gone.
#[test]
fn a_deep_chain_becomes_idle() {
    on_small_stack(|watch| {
        for (from_leaf, cancelled) in [(true, false), (false, false), (false, true)] {
            let (top, handle) = root();
            let mut nodes = chain(watch, &top, |above, _| above.with_cancel().0);
            let (wakes, waker) = Wakes::new();
            let mut idles: Vec<_> = nodes.iter().step_by(1_000).map(Context::idle).collect();
            assert!(idles.iter_mut().all(|idle| poll(idle, &waker).is_pending()));
            drop(idles);
            let mut idle = top.idle();
            assert!(poll(&mut idle, &waker).is_pending());
            if cancelled {
                handle.cancel();
            }
            let last = if from_leaf { 0 } else { nodes.len() - 1 };
            let last = if last == 0 {
                nodes.swap_remove(1)
            } else {
                nodes.pop().unwrap()
            };
            let_go(watch, nodes, from_leaf);
            assert_eq!(wakes.count(), 0);
            drop(last);
            assert_eq!(wakes.count(), 1);
            assert!(peek(&mut idle).is_ready());
        }
    });
}

// V8, V21, P62: each linked to the one before it: beside it, or above it as well.
#[test]
fn a_deep_chain_of_links_is_cancelled_and_dropped() {
    on_small_stack(|watch| {
        for (beside, end) in [
            (true, 0),
            (false, 0),
            (true, 1),
            (false, 1),
            (true, 2),
            (false, 2),
        ] {
            let (top, handle) = root();
            let (other, _keep) = root();
            let nodes = chain(watch, &top, |before, _| match beside {
                // The one before is the second parent of a root.
                true => Context::background().link([before]).0,
                false => before.link([&other]).0,
            });
            let runs = Arc::new(AtomicUsize::new(0));
            let leaf = nodes.last().unwrap();
            leaf.after_cancel(counts(&runs)).detach();
            if end == 0 {
                watch.phase("cancels");
                assert!(handle.cancel_with("deep"));
                assert!(nodes.iter().all(Context::is_cancelled));
                assert_eq!(leaf.error().unwrap().origin(), top.id());
                assert_eq!(runs.load(SeqCst), 1);
            }
            drop((top, handle));
            let_go(watch, nodes, end == 1);
            assert_eq!(Arc::strong_count(&runs), 1);
        }
    });
}

// V8, V22, P62: groups in groups: joined, or aborted, or forgotten.
#[test]
fn deeply_nested_groups_end() {
    on_small_stack(|watch| {
        let hand = Hand::default();
        for end in 0..3 {
            let (top, handle) = root();
            let mut groups: Vec<TaskGroup<Error>> = Vec::new();
            watch.phase("derives");
            let mut at = top.clone();
            for _ in 0..depth() / 10 {
                let group = TaskGroup::with_spawner(&at, hand.spawner());
                at = group.context().clone();
                groups.push(group);
            }
            let last = groups.last().unwrap();
            last.try_spawn(std::future::pending()).unwrap();
            drop(at);
            watch.phase("ends");
            match end {
                0 => {
                    assert!(handle.cancel());
                    drop(hand.take());
                    assert!(last.join_blocking(None).is_err());
                }
                1 => {
                    groups[0].abort();
                    for mut task in hand.take() {
                        assert!(peek(&mut task).is_ready());
                    }
                    assert!(top.tree().nodes().count() > groups.len());
                }
                _ => {}
            }
            let_go(watch, groups, end == 1);
            drop(hand.take());
            assert!(top.wait_idle(None));
        }
    });
}

// V8, V22, P62: a drain above a deep chain.
#[test]
fn a_drain_above_a_deep_chain_ends() {
    on_small_stack(|watch| {
        let drain = Drain::new(&Context::background());
        let drain = drain.soft_limit(ms(10)).hard_limit(ms(10));
        let nodes = chain(watch, drain.context(), |above, _| above.with_cancel().0);
        watch.phase("drains");
        let report = drain.finish_blocking();
        assert_eq!(report.reached(), Phase::Aborting);
        assert_eq!(report.stragglers().count(), nodes.len() - 1);
        assert!(
            nodes
                .iter()
                .all(|ctx| ctx.is_cancelled() && ctx.is_draining())
        );
        let_go(watch, nodes, false);
    });
}

/// As deep as a chain of contexts is here.
fn recurse(left: usize) -> usize {
    match std::hint::black_box(left) {
        0 => 0,
        left => 1 + std::hint::black_box(recurse(left - 1)),
    }
}

// V8: what recursed with depth would not survive the tests of this room.
#[test]
fn a_recursion_as_deep_is_found_out() {
    let recursion = || on_small_stack(|_| assert_eq!(recurse(depth()), depth()));
    in_child(recursion, &[], |output| {
        assert!(!output.status.success(), "it passed");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("overflowed its stack"), "{said}");
    });
}
