//! Cancels racing with attaches, with each other and with readers.

use crate::tools::{race, race3};
use ctxtree::{CancelHandle, Context, Reason, model};
use std::sync::Arc;

/// Shared outside the model: a handle that is not cloned is no event.
fn root() -> (Arc<Context>, CancelHandle) {
    let (root, cancel) = Context::background().with_cancel();
    (Arc::new(root), cancel)
}

fn child(parent: &Context) -> (Arc<Context>, CancelHandle) {
    let (child, cancel) = parent.with_cancel();
    (Arc::new(child), cancel)
}

pub(crate) fn cancel_vs_attach() {
    let (root, cancel) = root();
    let parent = root.clone();
    let (child, ()) = race(
        move || {
            let (child, _handle) = parent.with_cancel();
            if parent.is_cancelled() {
                let (late, _handle) = parent.with_cancel();
                assert!(late.is_cancelled(), "derived from a done context");
            }
            child
        },
        move || assert!(cancel.cancel()),
    );
    assert!(child.is_cancelled());
    assert_eq!(root.live_children(), 0);
}

pub(crate) fn cancel_with_cause_vs_attach() {
    let (root, cancel) = root();
    let parent = root.clone();
    let (child, ()) = race(
        move || {
            let child = parent.with_cancel().0;
            if let Some(error) = child.error() {
                assert_eq!(error.cause().expect("with a cause").to_string(), "why");
            }
            child
        },
        move || assert!(cancel.cancel_with("why")),
    );
    assert!(
        child
            .cause()
            .expect("inherited")
            .ptr_eq(&root.cause().expect("given"))
    );
}

pub(crate) fn cancel_vs_attach_with_collector() {
    let (root, cancel) = root();
    let (child, ()) = race(
        move || root.with_cancel().0,
        move || assert!(cancel.cancel()),
    );
    assert!(child.is_cancelled());
}

pub(crate) fn cancel_vs_two_attaches() {
    let (root, cancel) = root();
    let other = root.clone();
    let (one, two, ()) = race3(
        move || root.with_cancel().0,
        move || other.with_cancel().0,
        move || assert!(cancel.cancel()),
    );
    assert!(one.is_cancelled());
    assert!(two.is_cancelled());
}

pub(crate) fn cancel_vs_attach_below() {
    let (root, cancel) = root();
    let (middle, _handle) = child(&root);
    let (leaf, ()) = race(
        move || middle.with_cancel().0,
        move || assert!(cancel.cancel()),
    );
    assert!(leaf.is_cancelled());
    assert_eq!(leaf.error().map(|e| e.origin()), Some(root.id()));
}

/// Cancels twice at once: each call returns with `leaf` marked, and one wins.
fn cancel_twice(cancel: CancelHandle, leaf: Arc<Context>) {
    let cancel = Arc::new(cancel);
    let twice = [
        (cancel.clone(), leaf.clone()),
        (cancel.clone(), leaf.clone()),
    ];
    let [one, two] = twice.map(|(cancel, leaf)| {
        move || {
            let won = cancel.cancel();
            assert!(leaf.is_cancelled(), "returned means marked");
            won
        }
    });
    let (one, two) = race(one, two);
    assert!(one != two, "exactly one wins");
    drop((cancel, leaf));
}

pub(crate) fn cancel_vs_cancel() {
    let (root, cancel) = root();
    let (leaf, _handle) = child(&root);
    cancel_twice(cancel, leaf);
}

pub(crate) fn cancel_vs_cancel_vs_attach() {
    let (root, cancel) = root();
    let cancel = Arc::new(cancel);
    let (first, second) = (cancel.clone(), cancel.clone());
    let parent = root.clone();
    let (child, one, two) = race3(
        move || parent.with_cancel().0,
        move || first.cancel(),
        move || second.cancel(),
    );
    assert!(one != two, "exactly one wins");
    assert!(child.is_cancelled());
    drop(root);
}

pub(crate) fn cancel_vs_cancel_deep() {
    let (root, cancel) = root();
    let (middle, _handle) = child(&root);
    let (leaf, _handle) = child(&middle);
    cancel_twice(cancel, leaf);
}

pub(crate) fn cancel_vs_cancel_observed() {
    let (root, cancel) = root();
    let (one, _handle) = child(&root);
    let (two, _handle) = child(&root);
    let cancel = Arc::new(cancel);
    let (first, second) = (cancel.clone(), cancel.clone());
    let (seen, both) = (one.clone(), (one.clone(), two.clone()));
    let (a, b, ()) = race3(
        move || first.cancel(),
        move || {
            let won = second.cancel();
            assert!(
                both.0.is_cancelled() && both.1.is_cancelled(),
                "returned means marked"
            );
            won
        },
        move || {
            let done = seen.is_cancelled();
            assert!(!done || root.is_cancelled(), "parents first");
        },
    );
    assert!(a != b, "exactly one wins");
}

pub(crate) fn cancel_vs_cancel_nested() {
    let (root, cancel_root) = root();
    let (middle, cancel_middle) = child(&root);
    let (leaf, _handle) = child(&middle);
    let (upper, lower) = (leaf.clone(), leaf.clone());
    let (root_won, middle_won) = race(
        move || {
            let won = cancel_root.cancel();
            assert!(upper.is_cancelled(), "returned means marked");
            won
        },
        move || {
            let won = cancel_middle.cancel();
            assert!(lower.is_cancelled(), "returned means marked");
            won
        },
    );
    assert!(root_won);
    let origin = if middle_won { middle.id() } else { root.id() };
    assert_eq!(
        leaf.error().map(|e| e.origin()),
        Some(origin),
        "the nearest that was done first"
    );
}

pub(crate) fn cancel_vs_poll() {
    let (root, cancel) = root();
    let seen = root.clone();
    race(
        move || {
            if seen.is_cancelled() {
                let error = seen.error().expect("done");
                assert_eq!(error.reason(), Reason::Cancelled);
                assert_eq!(error.cause().expect("with a cause").to_string(), "why");
                assert!(error.location().is_some());
                assert_eq!(error.origin(), seen.id());
            }
        },
        move || assert!(cancel.cancel_with("why")),
    );
}

pub(crate) fn cancel_vs_poll_below() {
    let (root, cancel) = root();
    let (child, _handle) = child(&root);
    let parent = root.clone();
    race(
        move || {
            if let Some(error) = child.error() {
                assert_eq!(error.cause().expect("with a cause").to_string(), "why");
                assert_eq!(error.origin(), parent.id());
                assert!(parent.is_cancelled(), "parents first");
            }
        },
        move || assert!(cancel.cancel_with("why")),
    );
}

pub(crate) fn cancel_vs_cancel_causes() {
    let (root, cancel) = root();
    let (child, _handle) = child(&root);
    let other = cancel.clone();
    let (one, two) = race(
        move || cancel.cancel_with("one"),
        move || other.cancel_with("two"),
    );
    assert!(one != two, "exactly one wins");
    let cause = root.cause().expect("both gave one");
    assert_eq!(cause.to_string(), if one { "one" } else { "two" });
    assert!(child.cause().expect("inherited").ptr_eq(&cause));
}

pub(crate) fn split_vs_cancel() {
    let (root, cancel) = root();
    let (first, second) = (root.clone(), root.clone());
    let (one, two, ()) = race3(
        move || {
            model::split(&first);
            first.with_cancel().0
        },
        move || second.with_cancel().0,
        move || assert!(cancel.cancel()),
    );
    assert!(one.is_cancelled());
    assert!(two.is_cancelled());
}

pub(crate) fn split_vs_attach() {
    let (root, cancel) = root();
    let (first, second, third) = (root.clone(), root.clone(), root.clone());
    let children = race3(
        move || first.with_cancel(),
        move || second.with_cancel(),
        move || third.with_cancel(),
    );
    assert_eq!(root.live_children(), 3);
    assert!(cancel.cancel());
    assert!(children.0.0.is_cancelled());
    assert!(children.1.0.is_cancelled());
    assert!(children.2.0.is_cancelled());
}
