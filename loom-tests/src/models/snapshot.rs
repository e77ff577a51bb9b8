//! Snapshots taken while others attach, detach and cancel.

use crate::tools::{Wakes, poll, race, race3};
use ctxtree::tree::{Snapshot, State};
use ctxtree::{CancelHandle, Context, Id, model};

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

fn child(parent: &Context) -> Context {
    parent.with_cancel().0
}

/// What holds of every snapshot, whatever goes on meanwhile.
fn check(tree: &Snapshot) {
    let nodes: Vec<_> = tree.nodes().collect();
    for (place, node) in nodes.iter().enumerate() {
        let before = &nodes[..place];
        assert!(before.iter().all(|other| other.id() != node.id()), "once");
        let parent = node.parent();
        let above = before.iter().find(|other| Some(other.id()) == parent);
        assert_eq!(place == 0, above.is_none(), "below its parent");
        let origin = nodes.iter().find(|other| Some(other.id()) == node.origin());
        let live = origin.is_some_and(|origin| origin.state() == State::Live);
        assert!(!live, "parents first");
    }
}

/// The depth at which `id` is shown.
fn depth(tree: &Snapshot, id: Id) -> Option<usize> {
    tree.nodes()
        .find(|node| node.id() == id)
        .map(|node| node.depth())
}

pub(crate) fn snapshot_vs_attach() {
    let (root, _cancel) = root();
    let (looked, parent) = (root.clone(), root.clone());
    let (tree, kept) = race(
        move || looked.tree(),
        move || {
            let child = child(&parent);
            let below = child.derive().name("below").build().0;
            (child, below)
        },
    );
    check(&tree);
    assert!((1..=3).contains(&tree.nodes().len()));
    let last = tree.nodes().next_back().expect("the root at least");
    assert_eq!(last.name().is_some(), last.depth() == 2);
    let after = root.tree();
    check(&after);
    assert_eq!(depth(&after, kept.1.id()), Some(2));
}

pub(crate) fn snapshot_vs_cancel() {
    let (root, cancel) = root();
    let child = child(&root);
    let (tree, ()) = race(
        move || root.tree(),
        move || assert!(cancel.cancel_with("why")),
    );
    check(&tree);
    assert_eq!(tree.nodes().len(), 2);
    drop(child);
}

pub(crate) fn snapshot_vs_attach_vs_cancel() {
    let (root, cancel) = root();
    let (looked, parent) = (root.clone(), root.clone());
    let (tree, child, ()) = race3(
        move || looked.tree(),
        move || child(&parent),
        move || assert!(cancel.cancel()),
    );
    check(&tree);
    assert!(child.is_cancelled());
    drop(root);
}

pub(crate) fn snapshot_vs_detach() {
    let (root, _cancel) = root();
    let older = child(&root);
    let leaving: Vec<_> = (0..model::BATCH).map(|_| root.with_cancel()).collect();
    // Its cause is freed by who drops it.
    assert!(leaving[0].1.cancel_with("why"));
    let newer = child(&root);
    let looked = root.clone();
    let (tree, ()) = race(move || looked.tree(), move || drop(leaving));
    check(&tree);
    for kept in [&older, &newer] {
        assert_eq!(depth(&tree, kept.id()), Some(1));
    }
    assert_eq!(root.tree().nodes().len(), 3);
}

pub(crate) fn snapshot_vs_orphan() {
    let (root, _cancel) = root();
    let (middle, cancel_middle) = root.with_cancel();
    let leaf = child(&middle);
    let looked = root.clone();
    let (tree, (), ()) = race3(
        move || looked.tree(),
        move || drop(middle),
        move || drop(cancel_middle),
    );
    check(&tree);
    assert_eq!(depth(&tree, leaf.id()), Some(2));
    let after = root.tree();
    assert!(after.nodes().nth(1).expect("kept").is_orphaned());
    drop(leaf);
    assert_eq!(root.tree().nodes().len(), 1);
}

pub(crate) fn snapshot_vs_listeners_dropped() {
    let (root, _cancel) = root();
    let wakes = Wakes::new();
    let [mut kept, mut dropped] = [root.clone(), root.clone()].map(Context::cancelled_owned);
    assert!(!poll(&mut kept, &wakes), "nobody cancelled");
    assert!(!poll(&mut dropped, &wakes), "nobody cancelled");
    let registration = root.after_cancel(|_| unreachable!());
    let looked = root.clone();
    let (tree, ()) = race(
        move || looked.tree(),
        // A batch, so they are reaped.
        move || drop((dropped, registration)),
    );
    let count = |tree: &Snapshot| {
        let node = tree.nodes().next().expect("the root");
        (node.waiters(), node.callbacks())
    };
    let (waiters, callbacks) = count(&tree);
    assert!((1..=2).contains(&waiters) && callbacks <= 1);
    assert_eq!(count(&root.tree()), (1, 0));
    drop(kept);
}

pub(crate) fn snapshot_vs_link() {
    let (root, _cancel) = root();
    let (other, cancel_other) = Context::background().with_cancel();
    let (linked, _) = root.link([&other]);
    let (looked, expected) = (root.clone(), other.id());
    let (tree, ()) = race(
        move || looked.tree(),
        move || assert!(cancel_other.cancel_with("why")),
    );
    let [top, link] = [0, 1].map(|place| tree.nodes().nth(place).expect("kept"));
    assert!(top.state() == State::Live, "down only");
    let origin = (link.state() != State::Live).then_some(expected);
    assert_eq!(link.origin(), origin, "that of the other parent");
    drop((linked, other));
}

pub(crate) fn snapshot_vs_link_born_done() {
    let (root, _keep) = Context::background().with_cancel();
    let (other, cancel) = Context::background().with_cancel();
    cancel.cancel_with("cause");
    let origin = other.id();
    let seen = root.clone();
    let (link, tree) = race(move || root.link([&other]).0, move || seen.tree());
    assert!(link.is_cancelled());
    for node in tree.nodes().skip(1) {
        assert!(node.origin().is_none_or(|shown| shown == origin));
    }
}

pub(crate) fn snapshot_vs_link_drop() {
    let (root, _cancel) = root();
    let (other, cancel_other) = Context::background().with_cancel();
    let (linked, _) = root.link([&other]);
    let below = child(&linked);
    drop(linked);
    assert!(cancel_other.cancel_with("why"));
    let (looked, expected) = (root.clone(), other.id());
    let (tree, ()) = race(move || looked.tree(), move || drop(below));
    check(&tree);
    for node in tree.nodes().skip(1) {
        assert_eq!(node.origin(), Some(expected));
    }
    assert_eq!(root.tree().nodes().len(), 1);
    drop(other);
}
