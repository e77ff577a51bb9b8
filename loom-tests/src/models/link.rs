//! Contexts with several parents, racing with cancels and drops of all of them.

use crate::tools::{self, Wakes, poll, race, race3};
use ctxtree::{CancelHandle, Context};
use std::sync::Arc;

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

pub(crate) fn link_vs_cancel() {
    let (parent, _keep) = root();
    let (other, cancel) = root();
    let seen = other.clone();
    let ((link, _handle), ()) = race(
        move || parent.link([&seen]),
        move || assert!(cancel.cancel_with("cause")),
    );
    assert!(link.is_cancelled());
    assert_eq!(link.error().unwrap().origin(), other.id());
    assert!(link.cause().unwrap().ptr_eq(&other.cause().unwrap()));
}

pub(crate) fn link_vs_two_cancels() {
    let (parent, cancel_parent) = root();
    let (other, cancel_other) = root();
    let (link, handle) = parent.link([&other]);
    drop(handle);
    let wakes = Wakes::new();
    let mut wait = link.clone().cancelled_owned();
    assert!(!poll(&mut wait, &wakes));
    race(
        move || assert!(cancel_parent.cancel_with("parent")),
        move || assert!(cancel_other.cancel_with("other")),
    );
    assert_eq!(wakes.count(), 1);
    let cause = link.cause().unwrap();
    let of = |from: &Context| from.cause().unwrap().ptr_eq(&cause);
    assert_ne!(of(&parent), of(&other));
    drop((wait, link, parent, other));
}

pub(crate) fn link_drop_vs_cancel() {
    let (parent, _keep) = root();
    let (other, cancel) = root();
    let link = parent.link([&other]).0;
    race(move || drop(link), move || assert!(cancel.cancel()));
    drop((parent, other));
}

pub(crate) fn link_and_child_drop_vs_cancel() {
    let (other, cancel) = root();
    let link = Context::background().link([&other]).0;
    let child = link.with_cancel().0;
    drop(link);
    race(
        move || {
            let done = child.is_cancelled();
            drop(child);
            done
        },
        move || assert!(cancel.cancel_with("cause")),
    );
    drop(other);
}

pub(crate) fn last_handle_of_a_link_sees_the_child() {
    let (other, cancel) = root();
    let (link, handle) = Context::background().link([&other]);
    let (child, ()) = race(move || link.with_cancel().0, move || drop(handle));
    cancel.cancel();
    assert!(child.is_cancelled());
    drop(other);
}

pub(crate) fn link_of_a_dropped_parent_vs_cancel() {
    let (above, cancel) = root();
    let (other, handle) = above.with_cancel();
    drop(handle);
    let link = Context::background().link([&other]).0;
    let seen = link.clone();
    race(move || drop(other), move || assert!(cancel.cancel()));
    assert!(seen.is_cancelled());
    drop((link, above));
}

pub(crate) fn link_vs_losing_cancel() {
    let (other, cancel) = root();
    let link = Context::background().link([&other]).0;
    let child = link.with_cancel().0;
    let cancel = Arc::new(cancel);
    let (first, second) = (cancel.clone(), cancel);
    let (one, two) = (child.clone(), child);
    let (won, lost) = race(
        move || {
            let won = first.cancel();
            assert!(one.is_cancelled());
            won
        },
        move || {
            let won = second.cancel();
            assert!(two.is_cancelled());
            won
        },
    );
    assert!(won != lost);
    drop((link, other));
}

pub(crate) fn link_child_vs_cancel() {
    let (other, cancel) = root();
    let (link, handle) = Context::background().link([&other]);
    drop(handle);
    let (child, ()) = race(
        move || link.with_cancel().0,
        move || assert!(cancel.cancel()),
    );
    assert!(child.is_cancelled());
    drop(other);
}

pub(crate) fn link_diamond_vs_cancel() {
    let (root, cancel) = root();
    let (one, other) = (root.with_cancel().0, root.with_cancel().0);
    let (link, handle) = one.link([&other]);
    race(
        move || {
            tools::wait(link.cancelled());
            assert!(link.is_cancelled());
        },
        move || assert!(cancel.cancel()),
    );
    assert!(!handle.cancel());
    drop((one, other, root));
}

pub(crate) fn link_cancel_vs_cancel_of_other() {
    let (other, cancel) = root();
    let (link, handle) = Context::background().link([&other]);
    let (own, ()) = race(
        move || handle.cancel_with("own"),
        move || assert!(cancel.cancel_with("other")),
    );
    let cause = link.cause().unwrap().to_string();
    assert_eq!(cause, if own { "own" } else { "other" });
    drop((link, other));
}

pub(crate) fn two_links_vs_cancel() {
    let (other, cancel) = root();
    let (one, two) = (other.clone(), other);
    let link = |other: Context| move || Context::background().link([&other]).0;
    let (one, two, ()) = race3(link(one), link(two), move || assert!(cancel.cancel()));
    assert!(one.is_cancelled() && two.is_cancelled());
}
