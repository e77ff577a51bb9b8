//! Waits until nobody holds anything below, racing with those who hold it.

use crate::tools::{Wakes, poll, race, race3, thread, wait};
use ctxtree::{CancelHandle, Context, model};
use std::sync::Arc;

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

fn child(parent: &Context) -> Context {
    parent.with_cancel().0
}

/// Waits, and sees what the holders did before they let go.
fn wait_and_see(root: Context, seen: Vec<Arc<model::Witness>>) -> impl FnOnce() {
    move || {
        wait(root.idle());
        for seen in seen {
            seen.check();
        }
    }
}

/// Lets go of `held`, and says so before.
fn let_go(held: Context) -> (impl FnOnce(), Arc<model::Witness>) {
    let gone = Arc::new(model::Witness::new());
    let told = gone.clone();
    let body = move || {
        told.set();
        drop(held);
    };
    (body, gone)
}

pub(crate) fn idle_vs_last_drop() {
    let (root, _cancel) = root();
    let (drops, gone) = let_go(child(&root));
    race(drops, wait_and_see(root, vec![gone]));
}

pub(crate) fn idle_vs_two_drops() {
    let (root, _cancel) = root();
    let (first, one) = let_go(child(&root));
    let (second, two) = let_go(child(&root));
    race3(first, second, wait_and_see(root, vec![one, two]));
}

pub(crate) fn idle_vs_drops_in_two_lanes() {
    let (root, _cancel) = root();
    let (first, one) = let_go(child(&root));
    model::split(&root);
    let (second, two) = let_go(child(&root));
    race3(first, second, wait_and_see(root, vec![one, two]));
}

pub(crate) fn idle_vs_orphan() {
    let (root, _cancel) = root();
    let middle = child(&root);
    let (drops, gone) = let_go(child(&middle));
    race3(drops, move || drop(middle), wait_and_see(root, vec![gone]));
}

pub(crate) fn idle_vs_derive() {
    let (root, _cancel) = root();
    let (drops, gone) = let_go(child(&root));
    let deriving = root.clone();
    race(
        move || {
            let next = child(&deriving);
            drops();
            drop(next);
        },
        wait_and_see(root, vec![gone]),
    );
}

/// The one that goes is in a lane that is looked at after that of the one
/// that comes.
pub(crate) fn idle_vs_successor() {
    let (root, _cancel) = root();
    model::split(&root);
    let fills_the_first_lane = child(&root);
    let parent = root.clone();
    let goes = thread::spawn(move || child(&parent)).join().unwrap();
    drop(fills_the_first_lane);
    let parent = root.clone();
    let (comes, ()) = race(
        move || {
            let comes = child(&parent);
            drop(goes);
            comes
        },
        move || {
            let mut idle = root.idle();
            assert!(!poll(&mut idle, &Wakes::new()), "one of the two was there");
        },
    );
    drop(comes);
}

pub(crate) fn idle_vs_split() {
    let (root, _cancel) = root();
    let (drops, gone) = let_go(child(&root));
    let splitting = root.clone();
    race(
        move || {
            model::split(&splitting);
            let next = child(&splitting);
            drops();
            drop(next);
        },
        wait_and_see(root, vec![gone]),
    );
}

pub(crate) fn idle_repoll_vs_drop() {
    let (root, _cancel) = root();
    let (drops, gone) = let_go(child(&root));
    race(drops, move || {
        let mut idle = root.idle();
        let first = Wakes::new();
        if !poll(&mut idle, &first) {
            wait(&mut idle);
        }
        gone.check();
    });
}

pub(crate) fn idle_drop_vs_drop() {
    let (root, _cancel) = root();
    let (drops, _gone) = let_go(child(&root));
    let wakes = Wakes::new();
    let woken = wakes.clone();
    race(drops, move || {
        let mut idle = root.idle();
        poll(&mut idle, &woken)
    });
    assert!(wakes.count() <= 1);
}

pub(crate) fn two_idles_vs_drop() {
    let (root, _cancel) = root();
    let (drops, gone) = let_go(child(&root));
    race(drops, move || {
        let mut other = root.idle();
        poll(&mut other, &Wakes::new());
        wait_and_see(root.clone(), vec![gone])();
        wait(&mut other);
    });
}

/// A name is kept where those who wait are: that place is there before them.
pub(crate) fn idle_vs_idle() {
    let (root, _cancel) = Context::background().derive().name("root").build();
    let held = child(&root);
    let other = root.clone();
    let waits = |root: Context| move || poll(&mut root.idle(), &Wakes::new());
    let ready = race(waits(root), waits(other));
    assert_eq!(ready, (false, false));
    drop(held);
}

pub(crate) fn idle_vs_link_drop() {
    let (root, _cancel) = root();
    let (elsewhere, _stop) = self::root();
    let (link, _keep) = elsewhere.link([&root]);
    drop(_keep);
    let (drops, gone) = let_go(link);
    race(drops, wait_and_see(root, vec![gone]));
}

/// Who begins to wait while another looks is not told of what was before.
pub(crate) fn idle_vs_look_in_progress() {
    let (root, _cancel) = root();
    let held = child(&root);
    let parent = root.clone();
    // From now on whoever drops looks.
    assert!(!poll(&mut root.idle(), &Wakes::new()));
    let ((), kept) = race(
        move || drop(held),
        move || {
            let kept = child(&parent);
            let mut idle = parent.idle();
            let wakes = Wakes::new();
            assert!(!poll(&mut idle, &wakes), "one is held");
            assert!(!poll(&mut idle, &wakes), "and was all the time");
            drop(idle);
            kept
        },
    );
    drop(kept);
    drop(root);
}
