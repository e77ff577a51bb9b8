//! Deriving a node: link it, then see whether the parent is done.
//!
//! The push and the walk's close are read-modify-writes of one word, so either
//! the walk finds the child, or the push comes after the close and then sees
//! what the walker saw: a parent that is done (T1). In the second case, and
//! whenever the parent was done all along, the constructor marks the child
//! itself, before anybody has a handle to it: born done (V5).
//!
//! Models: `cancel_vs_attach`, `cancel_vs_two_attaches`, `split_vs_cancel`.

use super::{idle, mark, moved};
use crate::list::{Head, Push};
use crate::node::{Facets, Node};
use crate::sync::{Site, recheck, thread_index};
use std::ptr::NonNull;

/// Links the new node `child` below `parent`.
///
/// # Safety
///
/// `child` was made for this parent, which the caller keeps, and nobody else
/// knows it yet.
#[inline]
pub(super) unsafe fn attach(parent: &Node, child: NonNull<Node>) {
    // SAFETY: not handed out yet.
    let facets = unsafe { child.as_ref() }.facets;
    if facets.has(Facets::ROOT) {
        return;
    }
    // SAFETY: by the caller.
    unsafe { link(parent, child) };
    if facets.has(Facets::SHIELDED) {
        return;
    }
    // SAFETY: not handed out yet.
    let child = unsafe { child.as_ref() };
    moved::told_by(parent, child);
    let word = parent.state.load(Site::AttachLook);
    // Again, after the push: a walk that closed the list before found no child
    // here, and one that comes later finds it (T1).
    if !word.is_live() && recheck(Site::AttachRecheck) {
        // Nothing was ever attached below the child, and what will be is born
        // done as well: settled from the start (T3). If a walk was faster, it
        // wrote the same but for that bit, and settles it itself.
        child
            .state
            .finish_new(mark::inherit(parent, word).settled(), Site::AttachMark);
    }
}

/// # Safety
///
/// `child` is new and the caller's alone; `parent` is kept by the caller.
#[inline]
unsafe fn link(parent: &Node, child: NonNull<Node>) {
    let mut head = parent.children.peek();
    while !head.has(Head::SPLIT) {
        // SAFETY: `child` is the caller's alone, and buried when it dies.
        match unsafe { parent.children.push(child.cast(), head) } {
            Push::Done => return,
            Push::Lost(now) => head = now,
        }
        // No lanes are added behind a walk that closed the list.
        if parent.children.is_contended() && !head.has(Head::CLOSED) {
            split(parent);
            head = parent.children.peek();
        }
    }
    // SAFETY: the same.
    unsafe { link_in_lane(parent, child) };
}

/// Splits the list of `parent`, to which the caller then pushes a child.
#[cold]
pub(super) fn split(parent: &Node) {
    parent.split_lanes();
    idle::lanes_added(parent);
}

/// As `link`, for a parent whose list is split.
///
/// # Safety
///
/// As `link`.
#[cold]
unsafe fn link_in_lane(parent: &Node, child: NonNull<Node>) {
    let lanes = parent.lane_count(parent.children.lanes_seen()) - 1;
    // The number of lanes is a power of two.
    let number = 1 + (thread_index() & (lanes - 1));
    // SAFETY: a place in the child, which is the caller's alone.
    let place = unsafe { &raw mut (*child.as_ptr()).lane };
    // SAFETY: as above; published by the push.
    unsafe { place.write(number as u8) };
    let lane = parent.lane(number);
    let mut head = lane.peek();
    // SAFETY: `child` is the caller's alone, and buried when it dies.
    while let Push::Lost(now) = unsafe { lane.push(child.cast(), head) } {
        head = now;
    }
}
