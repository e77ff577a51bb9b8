//! Waits racing with cancels, with drops and with other waits.

use crate::tools::{self, Wakes, poll, race, race3};
use ctxtree::{CancelHandle, CancelledOwned, Context};
use std::sync::Arc;

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

pub(crate) fn wait_vs_cancel() {
    let (root, cancel) = root();
    race(
        move || {
            tools::wait(root.cancelled());
            assert!(root.is_cancelled());
        },
        move || assert!(cancel.cancel()),
    );
}

pub(crate) fn wait_vs_cancel_of_the_parent() {
    let (root, cancel) = root();
    let (child, _handle) = root.with_cancel();
    race(
        move || {
            tools::wait(child.cancelled());
            assert!(child.is_cancelled());
        },
        move || assert!(cancel.cancel()),
    );
}

/// Polls a wait once, and gives it back with what it said.
fn polled(context: Context, wakes: Arc<Wakes>) -> (bool, CancelledOwned) {
    let mut wait = context.cancelled_owned();
    (poll(&mut wait, &wakes), wait)
}

pub(crate) fn two_waits_vs_cancel() {
    let (root, cancel) = root();
    let (one, two) = (root.clone(), root);
    let wakes = [Wakes::new(), Wakes::new()];
    let [first, second] = wakes.clone();
    let (one, two, ()) = race3(
        move || polled(one, first),
        move || polled(two, second),
        move || assert!(cancel.cancel()),
    );
    assert!(one.0 || wakes[0].count() == 1, "pending, so woken");
    assert!(two.0 || wakes[1].count() == 1, "pending, so woken");
}

pub(crate) fn wait_drop_vs_cancel() {
    let (root, cancel) = root();
    let wakes = Wakes::new();
    let seen = wakes.clone();
    race(
        move || {
            let mut wait = root.cancelled();
            poll(&mut wait, &wakes);
        },
        move || assert!(cancel.cancel()),
    );
    assert!(seen.count() <= 1, "woken at most once");
    assert_eq!(Arc::strong_count(&seen), 1, "no waker is left behind");
}

pub(crate) fn wait_drops_vs_cancel() {
    let (root, cancel) = root();
    let wakes = Wakes::new();
    let seen = wakes.clone();
    race(
        move || {
            let (mut one, mut two) = (root.cancelled(), root.cancelled());
            poll(&mut one, &wakes);
            poll(&mut two, &wakes);
            drop(one);
            drop(two);
        },
        move || assert!(cancel.cancel()),
    );
    assert!(seen.count() <= 2, "each woken at most once");
    assert_eq!(Arc::strong_count(&seen), 1, "no waker is left behind");
}

pub(crate) fn wait_repoll_vs_cancel() {
    let (root, cancel) = root();
    let (first, last) = (Wakes::new(), Wakes::new());
    let (first_seen, last_seen) = (first.clone(), last.clone());
    let ((ready, wait), ()) = race(
        move || {
            let mut wait = root.cancelled_owned();
            poll(&mut wait, &first);
            let ready = poll(&mut wait, &last);
            // It stays registered until the cancel is through.
            (ready, wait)
        },
        move || assert!(cancel.cancel()),
    );
    drop(wait);
    assert!(first_seen.count() <= 1 && last_seen.count() <= 1);
    assert!(
        ready || last_seen.count() == 1,
        "pending, so the last waker is woken"
    );
}

pub(crate) fn wait_and_last_handle_vs_cancel() {
    let (root, cancel) = root();
    let (child, handle) = root.with_cancel();
    drop(handle);
    let wakes = Wakes::new();
    let seen = wakes.clone();
    race(
        move || {
            let mut wait = child.cancelled();
            poll(&mut wait, &wakes);
            drop(wait);
            drop(child);
        },
        move || assert!(cancel.cancel()),
    );
    drop(root);
    assert!(seen.count() <= 1);
    assert_eq!(Arc::strong_count(&seen), 1, "no waker is left behind");
}

/// A wait, polled with each of so many wakers, goes with its context, which is
/// reaped at once.
fn reaped_wait_vs_cancel(polls: usize) {
    let (root, cancel) = root();
    let child = root.with_cancel().0;
    // With it there are enough dead children for somebody to reap.
    drop(root.with_cancel());
    let mut wait = child.clone().cancelled_owned();
    let mut seen = Vec::new();
    for _ in 0..polls {
        let wakes = Wakes::new();
        assert!(!poll(&mut wait, &wakes));
        seen.push(wakes);
    }
    race(
        move || {
            drop(wait);
            drop(child);
        },
        move || assert!(cancel.cancel()),
    );
    drop(root);
    for wakes in seen {
        assert!(wakes.count() <= 1);
        assert_eq!(Arc::strong_count(&wakes), 1, "no waker is left behind");
    }
}

pub(crate) fn wait_and_reaped_handle_vs_cancel() {
    reaped_wait_vs_cancel(1);
}

pub(crate) fn repolled_wait_and_reaped_handle_vs_cancel() {
    reaped_wait_vs_cancel(2);
}

pub(crate) fn wait_vs_two_cancels() {
    let (root, cancel) = root();
    let child = root.with_cancel().0;
    let cancel = Arc::new(cancel);
    let (first, second) = (cancel.clone(), cancel.clone());
    let wakes = Wakes::new();
    let waker = wakes.clone();
    let ((ready, wait), one, two) = race3(
        move || polled(child, waker),
        move || first.cancel(),
        move || second.cancel(),
    );
    assert!(one != two);
    assert!(ready || wakes.count() == 1, "pending, so woken");
    drop((wait, root));
}
