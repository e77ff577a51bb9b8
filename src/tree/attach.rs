//! Deriving a node: link it, then see whether the parent is done.
//!
//! The push and the walk's close are read-modify-writes of one word, so either
//! the walk finds the child, or the push comes after the close and then sees
//! what the walker saw: a parent that is done (T1). In the second case, and
//! whenever the parent was done all along, the constructor marks the child
//! itself, before anybody has a handle to it: born done (V5).
//!
//! Models: `cancel_vs_attach`, `cancel_vs_two_attaches`, `split_vs_cancel`.

use super::mark;
use crate::list::{Head, Push};
use crate::node::{Kind, Node};
use crate::sync::Ordering::Relaxed;
use crate::sync::{Site, limits, recheck, thread_index};
use std::borrow::Cow;
use std::ptr::NonNull;

/// A new node below `parent`, which the caller keeps.
#[inline]
pub(super) fn derive(
    parent: NonNull<Node>,
    kind: Kind,
    handles: usize,
    name: Option<Cow<'static, str>>,
) -> NonNull<Node> {
    let child = Node::alloc(parent, kind, handles, name);
    // SAFETY: the caller has a handle to it.
    let above = unsafe { parent.as_ref() };
    if above.is_static() {
        return child;
    }
    // SAFETY: nobody else knows the child yet.
    unsafe { link(above, child) };
    if kind == Kind::Shield {
        return child;
    }
    let word = above.state.load(Site::AttachLook);
    if !word.is_live() && recheck(Site::AttachRecheck) {
        // SAFETY: not handed out yet.
        let child = unsafe { child.as_ref() };
        // Nothing was ever attached below the child, and what will be is born
        // done as well: settled from the start (T3). If a walk was faster, it
        // wrote the same but for that bit, and settles it itself.
        child
            .state
            .finish_new(mark::inherit(above, word).settled(), Site::AttachMark);
    }
    child
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
        // Relaxed: a count that publishes nothing.
        let lost = parent.contention.fetch_add(1, Relaxed, Site::Contention);
        // No lanes are added behind a walk that closed the list.
        if lost.saturating_add(1) >= limits::CONTENDED && !head.has(Head::CLOSED) {
            parent.split_lanes();
            head = parent.children.peek();
        }
    }
    // SAFETY: the same.
    unsafe { link_in_lane(parent, child) };
}

/// The same for a parent whose list is split.
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
    unsafe { place.write(number as u16) };
    let lane = parent.lane(number);
    let mut head = lane.peek();
    // SAFETY: `child` is the caller's alone, and buried when it dies.
    while let Push::Lost(now) = unsafe { lane.push(child.cast(), head) } {
        head = now;
    }
}
