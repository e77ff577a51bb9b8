//! Telling a subtree that a deadline above it is moved.
//!
//! # How it works
//!
//! Every node below gets the note MOVED, and its timer is armed if it is not;
//! then the start gets SPREAD. The walk goes as the marking one does (see
//! `mark`). It leaves a node's note before it looks at the heads of its lanes,
//! by a read-modify-write: a child that is not met is pushed later, and sees the
//! note (M1). The constructor of that child looks for it after the push, leaves
//! it on the child, and arms the child's timer.
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
use crate::list::{Link, Note};
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
    let mut walk = Walk {
        root,
        owner: root,
        lane: 0,
        child: None,
        to_wake: Vec::new(),
    };
    let pin = epoch::pin();
    walk.run();
    drop(pin);
    // Nothing is held any more: this may be user's code.
    let mut panics = Panics::new();
    for clockwork in walk.to_wake {
        panics.catch(|| clockwork.wake());
    }
    panics.resume();
}

/// A child that has just been attached to `parent`, and that nobody has a handle
/// to: it is told if its parent is.
#[inline]
pub(super) fn told_by(parent: &Node, child: &Node) {
    if parent.is_moved() && recheck(Site::MovedRecheck) {
        // Nothing is below the child yet, and what will be sees its note.
        child.children.leave_note(Note::MOVED | Note::SPREAD);
    }
}

struct Walk<'t> {
    root: &'t Node,
    /// Whose lane the walk is in.
    owner: &'t Node,
    lane: usize,
    /// The child of `owner` to look at next.
    child: Option<NonNull<Link>>,
    /// Whose drivers are to be woken.
    to_wake: Vec<Arc<Clockwork>>,
}

impl Walk<'_> {
    fn run(&mut self) {
        self.tell(self.root);
        self.enter();
        loop {
            let Some(child) = self.child else {
                if !self.up() {
                    return;
                }
                continue;
            };
            // SAFETY: in a lane we are counted in, under a pin (L7).
            let child = unsafe { child.cast::<Node>().as_ref() };
            self.child = NonNull::new(child.link.next());
            let apart = Facets::SHIELDED.and(Facets::STUB);
            if child.is_any(apart) || child.children.is_spread() {
                continue;
            }
            self.tell(child);
            self.owner = child;
            self.lane = 0;
            self.enter();
        }
    }

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

    /// Starts a lane of `owner`.
    fn enter(&mut self) {
        let lane = self.owner.lane(self.lane);
        lane.enter();
        self.child = NonNull::new(lane.look_in_order().link());
    }

    /// Ends a lane of `owner`, and goes on in its next lane, or with its next
    /// sibling. False at the end.
    fn up(&mut self) -> bool {
        let owner = self.owner;
        owner.lane(self.lane).leave();
        self.lane += 1;
        if self.lane < owner.lane_count(owner.children.lanes_seen()) {
            self.enter();
            return true;
        }
        owner.children.leave_note(Note::SPREAD);
        if std::ptr::eq(owner, self.root) {
            return false;
        }
        // It was reached through its parent's lane, in which we are counted.
        self.owner = owner.attached_to().expect("reached through its parent");
        self.lane = usize::from(owner.lane);
        self.child = NonNull::new(owner.link.next());
        true
    }
}
