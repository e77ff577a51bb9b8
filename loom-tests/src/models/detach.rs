//! Drops racing with drops, with attaches and with walks.

use crate::tools::{race, race3};
use ctxtree::{CancelHandle, Context, model};

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

fn child(parent: &Context) -> Context {
    parent.with_cancel().0
}

pub(crate) fn cancel_vs_detach() {
    let (root, cancel) = root();
    let (one, two) = (child(&root), child(&root));
    race(move || drop(one), move || assert!(cancel.cancel()));
    assert!(two.is_cancelled());
}

pub(crate) fn cancel_vs_detach_batch() {
    let (root, cancel) = root();
    let leaving: Vec<Context> = (0..model::BATCH).map(|_| child(&root)).collect();
    let stays = child(&root);
    race(move || drop(leaving), move || assert!(cancel.cancel()));
    assert!(stays.is_cancelled());
}

pub(crate) fn cancel_vs_detach_batch_with_collector() {
    cancel_vs_detach_batch();
}

pub(crate) fn cancel_vs_detach_batch_focused() {
    cancel_vs_detach_batch();
}

pub(crate) fn orphan_vs_cancel_focused() {
    orphan_vs_cancel();
}

pub(crate) fn count_vs_detach_batch() {
    let (root, _cancel) = root();
    let stays = child(&root);
    let leaving: Vec<Context> = (0..model::BATCH).map(|_| child(&root)).collect();
    let counted = root.clone();
    let (live, ()) = race(move || counted.live_children(), move || drop(leaving));
    assert!((1..=1 + model::BATCH).contains(&live));
    assert_eq!(root.live_children(), 1);
    drop(stays);
}

pub(crate) fn count_vs_attach() {
    let (root, _cancel) = root();
    let (counted, parent) = (root.clone(), root);
    let (live, kept) = race(move || counted.live_children(), move || child(&parent));
    assert!(live <= 1);
    drop(kept);
}

pub(crate) fn detach_vs_detach() {
    let (root, _cancel) = root();
    let one = child(&root);
    let others: Vec<Context> = (1..model::BATCH).map(|_| child(&root)).collect();
    race(move || drop(one), move || drop(others));
    assert_eq!(root.live_children(), 0);
    assert_eq!(
        model::unreaped(&root),
        0,
        "a full batch is reaped by somebody"
    );
}

pub(crate) fn detach_vs_detach_vs_attach() {
    let (root, _cancel) = root();
    let (one, two) = (child(&root), child(&root));
    let parent = root.clone();
    let ((), (), three) = race3(move || drop(one), move || drop(two), move || child(&parent));
    assert_eq!(root.live_children(), 1);
    drop(three);
}

pub(crate) fn detach_vs_detach_vs_cancel() {
    let (root, cancel) = root();
    let (one, two, three) = (child(&root), child(&root), child(&root));
    race3(
        move || drop(one),
        move || drop(two),
        move || assert!(cancel.cancel()),
    );
    assert!(three.is_cancelled());
}

pub(crate) fn detach_from_the_middle() {
    let (root, _cancel) = root();
    let (oldest, middle, newest) = (child(&root), child(&root), child(&root));
    let parent = root.clone();
    let ((), (), fresh) = race3(
        move || drop(middle),
        move || drop(newest),
        move || child(&parent),
    );
    assert_eq!(root.live_children(), 2);
    drop(oldest);
    drop(fresh);
}

pub(crate) fn detach_of_the_newest_vs_attach() {
    let (root, _cancel) = root();
    let (oldest, older) = (child(&root), child(&root));
    let newest: Vec<Context> = (0..model::BATCH).map(|_| child(&root)).collect();
    let parent = root.clone();
    let ((), fresh) = race(move || drop(newest), move || child(&parent));
    // Whatever the reaper left behind, the next one finds its way.
    drop(child(&root));
    drop(oldest);
    assert_eq!(root.live_children(), 2);
    drop((older, fresh));
}

pub(crate) fn handles_dropped_together() {
    let (root, cancel) = root();
    let again = root.clone();
    race3(
        move || drop(root),
        move || drop(cancel),
        move || drop(again),
    );
}

pub(crate) fn last_handle_sees_the_child() {
    let (root, cancel) = root();
    race(
        move || {
            let child = child(&root);
            drop(root);
            drop(child);
        },
        move || drop(cancel),
    );
}

pub(crate) fn orphan_vs_child_drop() {
    let (root, cancel) = root();
    let one = child(&root);
    drop(cancel);
    race(move || drop(root), move || drop(one));
}

pub(crate) fn orphan_vs_two_child_drops() {
    let (root, cancel) = root();
    let (one, two) = (child(&root), child(&root));
    drop(cancel);
    race3(move || drop(root), move || drop(one), move || drop(two));
}

pub(crate) fn orphan_cause_vs_child_read() {
    let (root, cancel) = root();
    let one = child(&root);
    assert!(cancel.cancel_with("why"));
    drop(cancel);
    race(
        move || drop(root),
        move || {
            assert_eq!(one.cause().expect("inherited").to_string(), "why");
            drop(one);
        },
    );
}

pub(crate) fn orphan_two_lanes() {
    let (root, cancel) = root();
    let one = child(&root);
    model::split(&root);
    let two = child(&root);
    drop(cancel);
    race3(move || drop(root), move || drop(one), move || drop(two));
}

pub(crate) fn orphan_vs_cancel() {
    let (root, cancel) = root();
    let middle = child(&root);
    let (one, two) = (child(&middle), child(&middle));
    let ((), (), one) = race3(
        move || drop(middle),
        move || assert!(cancel.cancel()),
        move || {
            drop(two);
            one
        },
    );
    assert!(one.is_cancelled());
}

pub(crate) fn orphan_chain() {
    let (root, cancel) = root();
    let middle = child(&root);
    let leaf = child(&middle);
    drop(cancel);
    race(
        move || {
            drop(root);
            drop(middle);
        },
        move || drop(leaf),
    );
}
