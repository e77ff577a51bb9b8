//! The end of a node: its last handle is gone.
//!
//! # How it works
//!
//! A node that never had a child is buried in its parent's lane at once. One
//! that had is orphaned: it goes on relaying cancels to what lives below. Each
//! of its lanes is told (ORPHAN) and reaped; the reaper that finds such a lane
//! empty gives it up, and whoever gives up the last one buries the node, which
//! may be what its own parent was waiting for: a loop up the chain, never a
//! recursion.
//!
//! | `handles` | meaning |
//! |---|---|
//! | n, 1 or more | n handles |
//! | ORPHAN + n | n of (lanes not given up, orphaning under way) |
//! | 0 | being buried, or dead |
//!
//! What users gave is dropped after all of that (see `dispose`).
//!
//! Models: `orphan_two_lanes`, `orphan_vs_cancel`, `drops_vs_parent_drop`.

use super::dispose::Garbage;
use crate::list::{self, Head, LazyPin, Reaped, free_all};
use crate::node::{Node, ORPHAN};
use crate::sync::Ordering::{AcqRel, Relaxed};
use crate::sync::Site;
use crate::wait_cell::Waiter;
use std::ptr::NonNull;

/// Ends a node, or orphans it.
///
/// # Safety
///
/// The caller has just given the last handle up, having acquired what was done
/// through all the others.
#[inline]
pub(super) unsafe fn last_handle_gone(at: NonNull<Node>) {
    // SAFETY: not buried yet, and the caller is the one to do it.
    let node = unsafe { at.as_ref() };
    let mut garbage = Garbage::new();
    let head = node.children.peek();
    let dead = if head.has(Head::PARENT | Head::SPLIT) {
        orphan(node, head).then_some(at)
    } else {
        // Relaxed: for those who count; nobody else has a use for it.
        node.handles.store(0, Relaxed, Site::HandleZero);
        Some(at)
    };
    let mut next = dead;
    while let Some(at) = next {
        // SAFETY: dead, not buried, and ours to bury (T7).
        next = unsafe { bury(at, &mut garbage) };
    }
    garbage.drop_all();
}

/// Orphans a node whose list `head` tells of. True if nothing lives below it:
/// then it is the caller's to bury.
#[cold]
fn orphan(node: &Node, head: Head) -> bool {
    let lanes = node.lane_count(head);
    // Relaxed: published by the Release of each ORPHAN. One more than the
    // lanes, so that the node stays ours until all of them are told.
    node.handles
        .store(ORPHAN | (lanes + 1), Relaxed, Site::PendingStore);
    let mut pin = LazyPin::new();
    let mut given_up = 1;
    for number in 0..lanes {
        let lane = node.lane(number);
        lane.orphan();
        // SAFETY: a children lane, of a node that our own count keeps.
        if unsafe { lane.reap::<Node>(&mut pin) } == Reaped::Emptied {
            given_up += 1;
        }
    }
    give_up(node, given_up)
}

/// Gives lanes up. True if they were the last: the node is dead, and the
/// caller's to bury.
fn give_up(node: &Node, lanes: usize) -> bool {
    // Release: what we did in the lane comes before the burial; Acquire: what
    // the others did comes before ours. They meet each other.
    let before = node.handles.fetch_sub(lanes, AcqRel, Site::PendingDrop);
    if before != ORPHAN | lanes {
        return false;
    }
    // Relaxed: for those who count.
    node.handles.store(0, Relaxed, Site::HandleZero);
    true
}

/// Buries a dead node. The parent, if it was waiting for that and is now dead
/// as well.
///
/// # Safety
///
/// The node is dead (N3), not buried, and the caller's to bury (T7).
unsafe fn bury(at: NonNull<Node>, garbage: &mut Garbage) -> Option<NonNull<Node>> {
    // SAFETY: not buried yet.
    let node = unsafe { at.as_ref() };
    // SAFETY: no handle is left here or below, so nobody reads the record (S4).
    if let Some(record) = unsafe { node.state.take_record() } {
        garbage.push(record);
    }
    let head = node.children.peek();
    let mut pin = LazyPin::new();
    if head.has(Head::WAITED) {
        clear_waits(node, &mut pin);
    }
    let shared = head.has(Head::PARENT | Head::SPLIT);
    let Some(parent) = node.attached_to() else {
        // A root is in no list. Walks below it may still come up to it.
        if shared {
            // SAFETY: dead and in no list; by N4 only pins may be left.
            unsafe { pin.get().defer(move || Node::free(at)) };
        } else {
            // SAFETY: dead, in no list, and never had a child.
            unsafe { Node::free(at) };
        }
        return None;
    };
    let number = usize::from(node.lane);
    let lane = parent.lane(number);
    // SAFETY: the node is linked there, and ours to give up.
    if !unsafe { lane.bury(at.cast(), list::batch(number != 0), true, &mut pin) } {
        return None;
    }
    // SAFETY: a children lane; `bury` made the pin that keeps the parent.
    let reaped = unsafe { lane.reap::<Node>(&mut pin) };
    (reaped == Reaped::Emptied && give_up(parent, 1)).then(|| NonNull::from(parent))
}

/// Frees what is left in the wait lane of a dead node: waits given up, and not
/// reaped yet. Nobody adds to it any more; a walk may be looking.
#[cold]
fn clear_waits(node: &Node, pin: &mut LazyPin) {
    // SAFETY: no handle is left, so every wait is buried and nobody buries or
    // reaps here (T7).
    let (chain, walked) = unsafe { node.waits.clear() };
    if chain.is_null() {
        return;
    }
    if walked {
        // SAFETY: out of the lane; what a walk may be looking at waits for it.
        unsafe { pin.get().defer(move || free_all::<Waiter>(chain)) };
    } else {
        // SAFETY: out of the lane, and no walk can reach it (L6).
        unsafe { free_all::<Waiter>(chain) };
    }
}
