//! Deadlines: a node that is done when its time comes.
//!
//! # How it works
//!
//! A node with a deadline has a [timer](crate::timer), which is armed unless a
//! deadline above comes no later: then that one ends it too. The first time that
//! a deadline is moved, all that is below is told (see `moved`): from then on
//! each of them has its own timer armed, and whoever asks for a deadline looks at
//! all on the path.
//!
//! | node | the deadline that counts |
//! |---|---|
//! | without the note MOVED | that of the timer its `env` names |
//! | with it | the earliest of its own and of those above, up to the first node without the note, to a shield or to a clock |
//!
//! The timer is taken off when the node is done, by whoever marked it, and when
//! it is dead. A node that the driver is firing then is left to the driver to
//! bury.
//!
//! # Invariants
//!
//! - **M1** Below a node with the note SPREAD every node has the note MOVED, as
//!   far as deadlines go through; so has every node that is attached there from
//!   then on, before anybody has it.
//! - **M2** A live node without the note MOVED, whose own deadline is not armed,
//!   has a deadline above it that comes no later, is armed, and was never moved.
//! - **M3** A deadline is moved only when its node has the note SPREAD.
//! - **M4** A first deadline that is given to a node while it is ended is taken off:
//!   by who ended it, or by who gave it and looks again. Both decide on the state
//!   word, by read-modify-writes.
//!
//! Models: `deadline_vs_cancel`, `deadline_vs_drop`, `set_deadline_vs_fire`,
//! `set_deadline_vs_attach`, `set_deadlines_at_once`, `late_deadline_vs_cancel`.

use super::{NodeRef, attach, cancel, moved};
use crate::error::Reason;
use crate::node::{Facets, Kind, Node};
use crate::state::{OwnedRecord, Record, Word};
use crate::sync::{Site, recheck};
use crate::timer::{Asked, Clockwork, End, Env, Moment, Timer};
use std::ptr::{NonNull, null};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A deadline for a node that is to be made, and what was the time then.
#[derive(Clone, Copy)]
pub(crate) struct Planned<'c> {
    pub(crate) at: Moment,
    pub(crate) now: Moment,
    pub(crate) clockwork: &'c Clockwork,
}

impl<'c> Planned<'c> {
    pub(crate) fn at(at: Instant, clockwork: &'c Clockwork) -> Self {
        Self {
            at: Moment::of(at),
            now: clockwork.now(),
            clockwork,
        }
    }

    /// None where the clock could not tell that time.
    #[inline]
    pub(crate) fn after(length: Duration, clockwork: &'c Clockwork) -> Option<Self> {
        let now = clockwork.now();
        let at = now.after(length)?;
        Some(Self { at, now, clockwork })
    }
}

/// The timer of a node that is not attached yet.
pub(super) struct Fresh {
    timer: NonNull<Timer>,
    at: Moment,
    start: Start,
}

/// What becomes of a new timer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Armed,
    /// A deadline above comes no later.
    Covered,
    /// It is past already.
    Past,
}

/// Makes the timer of a node below `above`.
#[inline]
pub(super) fn prepare(above: &Node, facets: Facets, planned: Planned<'_>) -> Fresh {
    let Planned { at, now, clockwork } = planned;
    let env = above.env();
    let shielded = facets.has(Facets::SHIELDED);
    let covered = !shielded && !above.is_moved() && above.first_deadline() <= at;
    let start = if at <= now {
        Start::Past
    } else if covered {
        Start::Covered
    } else {
        Start::Armed
    };
    let env = Env {
        values: env.values,
        time: if covered { env.time } else { null() },
    };
    let timer = Timer::alloc(env, at, clockwork.shard(), start == Start::Armed);
    if !covered {
        // SAFETY: nobody else knows of it.
        unsafe { (*timer.as_ptr()).env.time = timer.as_ptr() };
    }
    Fresh { timer, at, start }
}

impl Fresh {
    pub(super) fn timer(&self) -> NonNull<Timer> {
        self.timer
    }

    /// Arms the timer of `node`, which has just been attached and is still the
    /// caller's alone to hand out; or ends the node, if its time has come.
    #[inline]
    pub(super) fn start(self, node: &Node) {
        // SAFETY: it goes with the node.
        let timer = unsafe { self.timer.as_ref() };
        let starts = self.start == Start::Armed;
        if !node.state.load_known(Site::DeadlineBorn).is_live() {
            // Born done.
            timer.off();
        } else if self.start == Start::Past {
            expire(node);
        } else if self.start == Start::Covered && node.is_moved() {
            // What was above may have been moved since.
            arm(self.timer);
        }
        if starts {
            // SAFETY: it was made to be pushed here.
            let wake = unsafe { timer.shard().push(self.timer, Some(self.at)) };
            if wake {
                // SAFETY: the node is the caller's, and keeps its timer.
                unsafe { self.timer.as_ref() }.shard().clockwork().wake();
            }
        }
    }
}

/// Arms a timer, or moves it to where its moment says, unless it is off. True =
/// the caller wakes the driver, when it holds nothing.
pub(super) fn request(at: NonNull<Timer>) -> bool {
    // SAFETY: the caller keeps its node, or is in a walk that does.
    let timer = unsafe { at.as_ref() };
    match timer.request() {
        Asked::Push => {
            // SAFETY: ours to push, by the request.
            let called = unsafe { timer.shard().push(at, None) };
            // Asked after the push. If the moment is moved in between, who did it
            // wakes the driver: that takes the timer, or its look at the stack
            // came before the push and shows the moment here.
            called || timer.shard().clockwork().sleeps_past(timer.at())
        }
        // Again: who queued it may have seen the moment before, and not woken the
        // driver for this one (D5).
        Asked::Queued => recheck(Site::MoveWakes),
        Asked::Over => false,
    }
}

/// The same for a caller that holds nothing.
fn arm(at: NonNull<Timer>) {
    if request(at) {
        // SAFETY: the caller keeps its node.
        unsafe { at.as_ref() }.shard().clockwork().wake();
    }
}

/// The word of a node whose deadline has come.
///
/// # Safety
///
/// The node is not dead, or its burial is the caller's.
pub(super) unsafe fn word(node: &Node) -> Word<Node> {
    // SAFETY: by the caller.
    match unsafe { node.deadline_cause() } {
        None => Word::expired(),
        Some(cause) => Word::record(OwnedRecord::new(Record {
            reason: Reason::DeadlineExceeded,
            cause: Some(cause),
            location: None,
            origin: None,
        })),
    }
}

/// Ends a node whose deadline has come, and which the caller has a handle to.
fn expire(node: &Node) {
    // SAFETY: kept by the handle.
    let word = unsafe { word(node) };
    cancel::cancel_by(node, word, true);
}

/// The timer of a node that is done is not needed any more. True = the caller
/// wakes its driver, when it holds nothing.
#[inline]
pub(super) fn disarm(node: &Node) -> bool {
    node.own_timer_at().is_some_and(disarm_timer)
}

/// Wakes the driver of a node with a timer, for a caller that holds nothing.
#[cold]
pub(super) fn wake_driver_of(node: &Node) {
    if let Some(timer) = node.own_timer() {
        timer.shard().clockwork().wake();
    }
}

fn disarm_timer(at: NonNull<Timer>) -> bool {
    // SAFETY: it goes with the node, which the caller keeps or is in a walk to.
    let timer = unsafe { at.as_ref() };
    // SAFETY: ours to push, by `off`.
    timer.off() && unsafe { timer.shard().push(at, None) }
}

/// Ends the timer of a dead node. Whether the node is the caller's to bury, and
/// the driver to be woken once that is done: it may be user's code.
pub(super) fn end(at: NonNull<Timer>) -> (End, Option<Arc<Clockwork>>) {
    // SAFETY: it goes with the node, which is not buried yet.
    let timer = unsafe { at.as_ref() };
    let (end, push) = timer.end();
    // SAFETY: ours to push, by `end`; what the node keeps keeps the shard.
    let called = push && unsafe { timer.shard().push(at, None) };
    let to_wake = called.then(|| timer.shard().clockwork().keep());
    (end, to_wake.flatten())
}

/// The deadline that counts for `node`, which the caller keeps.
#[inline]
pub(super) fn effective(node: &Node) -> Moment {
    if node.is_moved() {
        earliest(node)
    } else {
        node.first_deadline()
    }
}

#[cold]
fn earliest(node: &Node) -> Moment {
    let mut earliest = Moment::NEVER;
    let mut at = Some(node);
    while let Some(node) = at {
        if !node.is_moved() {
            return earliest.min(node.first_deadline());
        }
        if let Some(timer) = node.own_timer() {
            earliest = earliest.min(timer.at());
        }
        if node.is_any(Facets::SHIELDED.and(Facets::CLOCK)) {
            break;
        }
        at = node.above();
    }
    earliest
}

/// The own deadline of `node`, and whose clock tells how far off it is.
pub(super) fn own_deadline(node: &Node) -> Option<(Moment, &Clockwork)> {
    let timer = node.own_timer()?;
    let at = timer.at();
    (at != Moment::NEVER).then(|| (at, timer.shard().clockwork()))
}

/// What remains of it. The caller holds nothing: the clock may be user's code.
pub(super) fn own_remaining(node: &Node) -> Option<Duration> {
    own_deadline(node).map(|(at, clockwork)| at.since(clockwork.now()))
}

impl NodeRef {
    /// What tells the time here, if it was said: a clock above, or that of a
    /// deadline above.
    #[inline]
    pub(crate) fn clockwork(&self) -> Option<&Clockwork> {
        // SAFETY: its own, or an ancestor's, which our handle keeps.
        let timer = unsafe { self.node().env().time.as_ref() }?;
        Some(timer.shard().clockwork())
    }

    /// The deadline that counts.
    pub(crate) fn deadline(&self) -> Moment {
        effective(self.node())
    }

    /// A node below this one with a deadline, with two handles.
    #[inline]
    pub(crate) fn derive_deadline(&self, planned: Planned<'_>) -> (NodeRef, NodeRef) {
        let fresh = prepare(self.node(), Facets::CANCELABLE, planned);
        let timer = fresh.timer();
        let node = Node::alloc_deadline(self.0, Kind::Deadline, Facets::CANCELABLE, timer);
        // SAFETY: new, made for this parent, to which we have a handle.
        unsafe { attach::attach(self.node(), node) };
        let pair = (NodeRef(node), NodeRef(node));
        fresh.start(pair.0.node());
        pair
    }

    /// Moves the deadline of the node, or gives it one. False if it is done.
    pub(crate) fn set_deadline(&self, to: Planned<'_>) -> bool {
        let node = self.node();
        if self.is_done() {
            return false;
        }
        let timer = node.own_timer_at().unwrap_or_else(|| {
            node.make_late(|| {
                let env = node.env();
                let timer = Timer::alloc(env, Moment::NEVER, to.clockwork.shard(), false);
                // SAFETY: nobody else knows of it yet.
                unsafe { Timer::belong_to(timer, self.0) };
                timer
            })
        });
        // SAFETY: it goes with the node, to which we have a handle.
        let moving = unsafe { timer.as_ref() };
        // A timer that came before the default driver was replaced stays with the
        // one it has. Asked before anything moves: it may be user's code.
        let clockwork = moving.shard().clockwork();
        let now = match std::ptr::eq(clockwork, to.clockwork) {
            true => to.now,
            false => clockwork.now(),
        };
        // Before it moves: nobody below relies on it any more (M3).
        moved::tell_below(node);
        let Some(before) = moving.set(to.at) else {
            // Its time has come: if the driver has not ended it yet, we do.
            expire(node);
            return false;
        };
        if to.at <= now {
            // SAFETY: kept by the handle.
            return cancel::cancel_by(node, unsafe { word(node) }, true);
        }
        if to.at < before {
            arm(timer);
        }
        let is_done = if node.is(Facets::TIMED) {
            // Whoever ended it knew of the timer, and took it off.
            self.is_done()
        } else {
            // Again: whoever ended it meanwhile may not have known of the timer (M4).
            recheck(Site::LateRecheck) && !node.state.look_in_order(Site::MoveLook)
        };
        if is_done {
            if disarm(node) {
                wake_driver_of(node);
            }
            return false;
        }
        true
    }

    /// Moves the deadline that the node was made with, if `to` is later. False if
    /// it is done.
    pub(crate) fn postpone_deadline(&self, to: Moment) -> bool {
        let node = self.node();
        if self.is_done() {
            return false;
        }
        // Before it moves, as in `set_deadline` (M3).
        moved::tell_below(node);
        let timer = node.own_timer();
        if timer.is_some_and(|timer| !timer.postpone(to)) {
            // Its time has come: if the driver has not ended it yet, we do.
            expire(node);
            return false;
        }
        !self.is_done()
    }

    /// Whether this very node is done because its own deadline came.
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    pub(crate) fn is_expired_here(&self) -> bool {
        let word = self.node().state.load_known(Site::DeadlineAsk);
        word.own_reason() == Some(Reason::DeadlineExceeded)
    }
}
