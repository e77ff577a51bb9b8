//! Nodes with a time of their own: a deadline, a clock, a shield from those
//! above.
//!
//! What a node hands down is read through `env`: by its children when they are
//! made, who take over the pointer, and by whoever asks.

use super::{Facets, New, Node};
use crate::list::{self, Note};
use crate::sync::{kept, memory};
use crate::timer::{Clockwork, Env, Moment, Timer};
use std::ptr::{NonNull, null};

// Those without anything in the same allocation.
kept!(Node);

/// A node with an `env` of its own.
#[repr(C)]
struct EnvNode {
    node: Node,
    env: Env,
}

/// Gives up the timer of a node that is freed.
///
/// # Safety
///
/// It was the node's, and is given up once.
#[inline]
pub(super) unsafe fn free_timer(timer: NonNull<Timer>) {
    // SAFETY: the node was not freed until now (D3).
    if unsafe { timer.as_ref() }.node_freed() {
        // SAFETY: nobody else points to it any more (D3).
        unsafe { memory::free_kept(timer) };
    }
}

impl Node {
    /// What it hands down.
    pub(crate) fn env(&self) -> Env {
        // SAFETY: its own, or an ancestor's, which the node keeps, or that of
        // the statics.
        unsafe { *self.env }
    }

    /// The time that a child of `parent` hands down that has no deadline.
    pub(super) fn time_below(
        parent: NonNull<Node>,
        facets: Facets,
        clock: Option<&Clockwork>,
    ) -> *const Timer {
        if let Some(clock) = clock {
            return clock.bare();
        }
        // SAFETY: kept by whoever derives from it.
        let time = unsafe { parent.as_ref() }.env().time;
        if !facets.has(Facets::SHIELDED) {
            return time;
        }
        // SAFETY: null, or a timer above, kept by the parent.
        match unsafe { time.as_ref() } {
            // The clock goes through a shield, and the deadline does not.
            Some(timer) => timer.shard().clockwork().bare(),
            None => null(),
        }
    }

    /// A node with this time; an `env` of its own only if its parent has
    /// another.
    pub(super) fn alloc_env(new: New, time: *const Timer) -> NonNull<Node> {
        // SAFETY: kept by whoever derives from it.
        let above = unsafe { new.parent.as_ref() };
        if above.env().time == time {
            let env = above.env;
            return list::alloc_kept(new.with(env));
        }
        let env = Env {
            values: above.env().values,
            time,
        };
        let new = New {
            facets: new.facets.and(Facets::ENV),
            ..new
        };
        let at = list::alloc(EnvNode {
            node: new.with(null()),
            env,
        });
        let all = at.as_ptr();
        // SAFETY: a place in fresh memory, which nobody else knows of.
        let env = unsafe { &raw const (*all).env };
        // SAFETY: as above.
        unsafe { (*all).node.env = env };
        at.cast()
    }

    /// # Safety
    ///
    /// As `free`; the node has the facet ENV.
    pub(super) unsafe fn free_with_env(at: NonNull<Node>) {
        // SAFETY: by the caller; `alloc_env` made it.
        unsafe { memory::free(at.cast::<EnvNode>()) };
    }

    /// A node with a deadline, whose timer this is.
    #[inline]
    pub(super) fn alloc_timed(new: New, timer: NonNull<Timer>) -> NonNull<Node> {
        // The `env` of a timer comes first.
        let at = list::alloc_kept(new.with(timer.as_ptr().cast_const().cast()));
        // SAFETY: nobody else knows the timer yet.
        unsafe { Timer::belong_to(timer, at) };
        at
    }

    /// The same without anything else of its own.
    #[inline]
    pub(crate) fn alloc_deadline(
        parent: NonNull<Node>,
        kind: super::Kind,
        facets: Facets,
        timer: NonNull<Timer>,
    ) -> NonNull<Node> {
        let new = New {
            parent,
            kind,
            facets: facets.and(Facets::TIMED),
            handles: 2,
            extension: std::ptr::null_mut(),
        };
        Node::alloc_timed(new, timer)
    }

    /// The timer of its own deadline, if it has one.
    pub(crate) fn own_timer(&self) -> Option<&Timer> {
        // SAFETY: it goes with the node (D3).
        self.own_timer_at().map(|timer| unsafe { timer.as_ref() })
    }

    pub(crate) fn own_timer_at(&self) -> Option<NonNull<Timer>> {
        if self.is(Facets::TIMED) {
            // Then `env` is a pointer to all of the timer.
            NonNull::new(self.env.cast_mut().cast())
        } else if self.is_moved() {
            self.late()
        } else {
            None
        }
    }

    /// Whether it may have a timer.
    #[inline(always)]
    pub(crate) fn has_timer(&self) -> bool {
        self.is(Facets::TIMED) || self.is_moved()
    }

    /// Whether a deadline was moved, here or above: then `env` does not tell
    /// which one counts.
    #[inline(always)]
    pub(crate) fn is_moved(&self) -> bool {
        self.children.has_note(Note::MOVED)
    }

    /// The deadline that counts for it as long as none is moved.
    #[inline]
    pub(crate) fn first_deadline(&self) -> Moment {
        // SAFETY: its own, or an ancestor's, which the node keeps.
        match unsafe { self.env().time.as_ref() } {
            Some(timer) => timer.at(),
            None => Moment::NEVER,
        }
    }
}
