//! Depth and width cost no stack.

use super::tools::{DEPTH, Wakes, big, on_small_stack, peek, poll};
use crate::{CancelHandle, Context};
use std::fmt::{self, Write};

const MANY: usize = DEPTH;

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

/// A chain of `MANY` contexts, root first.
fn chain(top: &Context) -> Vec<Context> {
    let mut nodes = Vec::with_capacity(MANY);
    nodes.push(top.clone());
    for i in 1..MANY {
        let (below, _) = nodes[i - 1].with_cancel();
        nodes.push(below);
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

// V8, G31, P62, I5, D9: derive, cancel from the root, wake, ask.
#[test]
fn a_deep_chain_is_cancelled_on_a_small_stack() {
    let _one_by_one = big();
    on_small_stack(|| {
        let (top, handle) = root();
        let nodes = chain(&top);
        let leaf = nodes.last().unwrap();
        let (wakes, waker) = Wakes::new();
        let mut wait = leaf.cancelled();
        assert!(poll(&mut wait, &waker).is_pending());
        assert!(handle.cancel_with("deep"));
        assert_eq!(wakes.count(), 1);
        assert!(peek(&mut wait).is_ready());
        assert!(nodes.iter().all(Context::is_cancelled));
        assert_eq!(leaf.error().unwrap().origin(), top.id());
        assert!(leaf.with_cancel().0.cause().is_some());
    });
}

// V8, P62: Debug and Display.
#[test]
fn a_deep_chain_is_formatted_on_a_small_stack() {
    let _one_by_one = big();
    on_small_stack(|| {
        let (top, handle) = root();
        let nodes = chain(&top);
        let leaf = nodes.last().unwrap();
        let mut sink = Sink(0);
        write!(sink, "{leaf}").unwrap();
        assert_eq!(sink.0, "background".len() + MANY * ".with_cancel".len());
        write!(sink, "{leaf:?} {:?} {handle:?}", leaf.cancelled()).unwrap();
        assert_eq!(leaf.live_children(), 0);
        assert_eq!(leaf.name(), None);
    });
}

// V8, V9, P62: the handles go from the leaf up.
#[test]
fn a_deep_chain_is_dropped_from_its_leaf_on_a_small_stack() {
    let _one_by_one = big();
    on_small_stack(|| {
        let (top, _handle) = root();
        let mut nodes = chain(&top);
        while nodes.pop().is_some() {}
        assert_eq!(top.live_children(), 0);
        assert!(!top.is_cancelled());
    });
}

// V8, V9, P62: the handles go from the root down; the last one ends them all.
#[test]
fn a_deep_chain_is_dropped_from_its_root_on_a_small_stack() {
    let _one_by_one = big();
    on_small_stack(|| {
        let (top, _handle) = root();
        let mut nodes = chain(&top);
        let leaf = nodes.pop().unwrap();
        for node in nodes {
            drop(node);
        }
        assert_eq!(top.live_children(), 1);
        assert!(!leaf.is_cancelled());
        drop(leaf);
        assert_eq!(top.live_children(), 0);
    });
}

// V8, P62: the same once it is cancelled, and with shields in between.
#[test]
fn a_deep_done_chain_with_shields_is_dropped_on_a_small_stack() {
    let _one_by_one = big();
    on_small_stack(|| {
        let (top, handle) = root();
        let mut leaf = top.clone();
        for i in 0..MANY {
            leaf = match i % 100 {
                0 => leaf.without_cancel(),
                _ => leaf.with_cancel().0,
            };
        }
        handle.cancel();
        assert!(!leaf.is_cancelled());
        drop((top, handle));
        drop(leaf);
    });
}

// V8, V9, I5: wide.
#[test]
fn a_million_children_are_cancelled_and_dropped() {
    let _one_by_one = big();
    on_small_stack(|| {
        for cancelled in [true, false] {
            let (top, handle) = root();
            let children: Vec<Context> = (0..MANY).map(|_| top.with_cancel().0).collect();
            assert_eq!(top.live_children(), MANY);
            if cancelled {
                assert!(handle.cancel_with("wide"));
                assert!(children.iter().all(Context::is_cancelled));
                assert_eq!(top.live_children(), 0);
            }
            for child in children {
                drop(child);
            }
            assert_eq!(top.live_children(), 0);
        }
    });
}

// V9, P63: middles go before their leaves, and nothing is re-homed.
#[test]
fn many_middles_over_many_leaves_are_dropped_bottom_up() {
    on_small_stack(|| {
        let (top, _handle) = root();
        let mut middles = Vec::new();
        let mut leaves = Vec::new();
        let mut at = top.clone();
        for _ in 0..2_000 {
            leaves.extend((0..2).map(|_| at.with_cancel()));
            at = at.with_cancel().0;
            middles.push(at.clone());
        }
        drop(at);
        while middles.pop().is_some() {}
        assert_eq!(top.live_children(), 3);
        drop(leaves);
        assert_eq!(top.live_children(), 0);
    });
}
