//! Telling a subtree that a deadline above it is moved.
//!
//! # How it works
//!
//! Every node below gets the note MOVED, and its timer is armed if it is not;
//! then the start gets SPREAD. The walk is a `tour`. It leaves a node's note
//! before it looks at the heads of its lanes, by a read-modify-write: a child
//! that is not met is pushed later, and sees the note (M1). The constructor of
//! that child looks for it after the push, leaves it on the child, and arms the
//! child's timer.
//!
//! Shields are passed by, as no deadline goes through, and so are stubs: a link
//! takes over the cancels of its other parents, not their deadlines.
//!
//! A subtree is walked once. Whoever comes while another walk is under way walks
//! as well: when `tell_below` returns, all below is told.
//!
//! Models: `set_deadline_vs_attach`, `set_deadline_vs_attach_of_deadline`,
//! `set_deadlines_at_once`.

use super::deadline;
use super::dispose::Panics;
use super::tour::{self, Visit};
use crate::list::{Lane, Link, Note};
use crate::node::{Facets, Node};
use crate::sync::{Site, epoch, recheck};
use crate::timer::{Clockwork, Moment};
use std::ptr::NonNull;
use std::sync::Arc;

/// Tells `root`, which the caller keeps, and all that is below.
pub(super) fn tell_below(root: &Node) {
    if root.children.is_spread() {
        return;
    }
    let mut told = Told {
        to_wake: Vec::new(),
    };
    let pin = epoch::pin();
    told.tell(root);
    // SAFETY: kept by the caller, and the pin above.
    unsafe { tour::tour(root, &mut told) };
    drop(pin);
    // Nothing is held any more: this may be user's code.
    let mut panics = Panics::new();
    for clockwork in told.to_wake {
        panics.catch(|| clockwork.wake());
    }
    panics.resume();
}

/// A child that has just been attached to `parent`, and that nobody has a handle
/// to: it is told if its parent is.
#[inline]
pub(super) fn told_by(parent: &Node, child: &Node) {
    // Again, after the push: a walk that tells of a move may have passed (M1).
    if parent.is_moved() && recheck(Site::MovedRecheck) {
        // Nothing is below the child yet, and what will be sees its note.
        child.children.leave_note(Note::MOVED | Note::SPREAD);
    }
}

/// What a walk has told.
struct Told {
    /// Whose drivers are to be woken.
    to_wake: Vec<Arc<Clockwork>>,
}

impl Visit for Told {
    fn visit(&mut self, at: NonNull<Node>) -> bool {
        // SAFETY: the walk is at it.
        let node = unsafe { at.as_ref() };
        let goes_on = !node.is(Facets::SHIELDED) && !node.children.is_spread();
        if goes_on {
            self.tell(node);
        }
        goes_on
    }

    fn newest(&self, lane: &Lane) -> *mut Link {
        lane.look_in_order().link()
    }

    fn leave(&mut self, node: &Node) {
        node.children.leave_note(Note::SPREAD);
    }
}

impl Told {
    /// Leaves the note, and arms the timer.
    fn tell(&mut self, node: &Node) {
        node.children.leave_note(Note::MOVED);
        let Some(at) = node.own_timer_at() else {
            return;
        };
        // SAFETY: it goes with the node, which the walk is at.
        let timer = unsafe { at.as_ref() };
        // What is armed keeps its place among its equals. One without a moment is
        // armed by whoever is about to give it one.
        if timer.is_in() || timer.at() == Moment::NEVER {
            return;
        }
        if deadline::request(at) {
            self.wake_later(timer.shard().clockwork());
        }
    }

    /// Has a driver woken at the end: once for all that comes in a row.
    fn wake_later(&mut self, clockwork: &Clockwork) {
        let last = self.to_wake.last();
        if !last.is_some_and(|last| std::ptr::eq(&**last, clockwork)) {
            self.to_wake.extend(clockwork.keep());
        }
    }
}
