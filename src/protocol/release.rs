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
//! | n, 1 or more | n handles and holds |
//! | ORPHAN + n | n of (lanes not given up, holds, orphaning under way) |
//! | 0, ORPHAN + 0 | being buried, or dead |
//!
//! What users gave is dropped after all of that, but the values of a dead node
//! before it is buried, in between (see `dispose`).
//!
//! Models: `orphan_two_lanes`, `orphan_vs_cancel`, `orphan_vs_child_drop`,
//! `value_drop_vs_lookup`.

use super::dispose::{self, Garbage, Panics};
use super::{cancel, deadline, idle};
use crate::list::{self, Head, LazyPin, Reaped};
use crate::node::{Facets, Node, ORPHAN};
use crate::sync::Ordering::{AcqRel, Acquire, Relaxed};
use crate::sync::Site;
use crate::timer::{Clockwork, End};
use crate::wait_cell::Chain;
use std::ptr::NonNull;
use std::sync::Arc;

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
    let head = node.children.peek();
    let called = || head.has(Head::WAITED) && node.waits.peek().has(Head::CALLED);
    let plain = !head.has(Head::PARENT | Head::SPLIT)
        && !node.is(Facets::DROPS)
        && !node.state.owns_record()
        && !node.has_deadline_cause()
        && !called();
    if let (true, Some(parent)) = (plain, node.attached_to()) {
        // Relaxed: for those who count; nobody else has a use for it.
        node.handles.store(0, Relaxed, Site::HandleZero);
        if node.has_timer() {
            let (ours, to_wake) = ends_timer(node);
            if let Some(clockwork) = to_wake {
                let mut garbage = Garbage::new();
                garbage.knots.push(Box::new(ToWake(clockwork)));
                // SAFETY: dead, not buried, and ours to bury (T7).
                return unsafe { bury_all(at, garbage) };
            }
            if !ours {
                return;
            }
        }
        let number = usize::from(node.lane);
        // SAFETY: dead, linked there, and ours to bury (T7).
        if unsafe {
            parent
                .lane(number)
                .bury_quietly(at.cast(), list::batch(number != 0))
        } {
            return;
        }
    }
    // SAFETY: not buried so far; the caller's promise is handed on.
    unsafe { last_handle_gone_slow(at) };
}

/// A driver that is to be woken: with the rest of what runs user's code.
struct ToWake(Arc<Clockwork>);

impl Drop for ToWake {
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// Takes the timer of a dead node off. False if the driver uses the node: then it
/// will bury it. And the driver to be woken later.
fn ends_timer(node: &Node) -> (bool, Option<Arc<Clockwork>>) {
    let Some(timer) = node.own_timer_at() else {
        return (true, None);
    };
    let (end, to_wake) = deadline::end(timer);
    (end == End::Ours, to_wake)
}

/// # Safety
///
/// As `last_handle_gone`.
#[cold]
#[inline(never)]
unsafe fn last_handle_gone_slow(at: NonNull<Node>) {
    // SAFETY: not buried yet, and the caller is the one to do it.
    let node = unsafe { at.as_ref() };
    let head = node.children.peek();
    let dead = if head.has(Head::PARENT | Head::SPLIT) {
        orphan(node, head)
    } else {
        // Relaxed: for those who count; nobody else has a use for it.
        node.handles.store(0, Relaxed, Site::HandleZero);
        true
    };
    if dead {
        // SAFETY: dead, not buried, and ours to bury (T7).
        unsafe { bury_all(at, Garbage::new()) };
    }
}

/// Buries a dead node, and those above it that were waiting for that. Then drops
/// what users gave, and with it what is `garbage` already.
///
/// # Safety
///
/// As `bury`.
pub(super) unsafe fn bury_all(at: NonNull<Node>, mut garbage: Garbage) {
    let mut idlers = Chain::new();
    let mut next = Some(at);
    while let Some(at) = next {
        // SAFETY: dead and not buried.
        let node = unsafe { at.as_ref() };
        let (ours, to_wake) = ends_timer(node);
        if let Some(clockwork) = to_wake {
            garbage.knots.push(Box::new(ToWake(clockwork)));
        }
        if !ours {
            next = None;
            break;
        }
        if node.is(Facets::DROPS) {
            break;
        }
        // SAFETY: dead, not buried, and ours to bury (T7); the garbage is ours.
        next = unsafe { bury(at, &raw mut garbage, &mut idlers) };
    }
    if idlers.is_empty() {
        return dispose::drop_all(next, garbage);
    }
    let mut panics = Panics::new();
    panics.catch(|| idle::deliver(idlers));
    panics.catch(|| dispose::drop_all(next, garbage));
    panics.resume();
}

/// Ends a dead node: drops its values, then buries it, and so on up the chain
/// as long as that is the caller's to do.
///
/// # Safety
///
/// The node is dead (N3), not buried, and the caller's to bury (T7). `garbage`
/// is that of this thread's loop, and nobody else uses it but user's code that
/// runs here.
pub(super) unsafe fn end(at: NonNull<Node>, garbage: *mut Garbage, panics: &mut Panics) {
    let mut next = Some(at);
    while let Some(at) = next {
        // SAFETY: dead and not buried.
        let node = unsafe { at.as_ref() };
        let (ours, to_wake) = ends_timer(node);
        if let Some(clockwork) = to_wake {
            // SAFETY: by the caller; no user's code runs here.
            let garbage = unsafe { &mut *garbage };
            garbage.knots.push(Box::new(ToWake(clockwork)));
        }
        if !ours {
            return;
        }
        let values = node.values_to_drop();
        for number in 0..values {
            // SAFETY: dead, not buried, and ours; each value once.
            panics.catch(|| unsafe { Node::drop_value(at, number) });
        }
        let mut idlers = Chain::new();
        // SAFETY: dead, not buried, and ours to bury (T7); the garbage by the
        // caller.
        next = unsafe { bury(at, garbage, &mut idlers) };
        panics.catch(|| idle::deliver(idlers));
    }
}

/// Orphans a node whose list `head` tells of. True if nothing lives below it:
/// then it is the caller's to bury.
fn orphan(node: &Node, head: Head) -> bool {
    let lanes = node.lane_count(head);
    // Relaxed: published by the Release of each ORPHAN. One more than the
    // lanes, so that the node stays ours until all of them are told.
    node.handles
        .store(orphaned(lanes), Relaxed, Site::PendingStore);
    orphan_lanes(node, lanes)
}

/// The count of a node whose lanes are being orphaned.
fn orphaned(lanes: usize) -> u32 {
    ORPHAN | (lanes as u32 + 1)
}

/// Tells all lanes, and gives up those that are empty.
fn orphan_lanes(node: &Node, lanes: usize) -> bool {
    let mut pin = LazyPin::new();
    let mut given_up = 1;
    for number in 0..lanes {
        // SAFETY: a children lane, of a node that our own count keeps.
        let reaped = unsafe {
            node.lane(number)
                .orphan::<Node>(list::batch(number != 0), &mut pin)
        };
        given_up += u32::from(reaped == Reaped::Emptied);
    }
    give_up(node, given_up)
}

/// Gives one of the things up that keep a node with the facet HELD, and ends or
/// orphans it if it was the last (N7).
///
/// # Safety
///
/// The caller has a handle or a hold, and gives it up.
#[cold]
pub(super) unsafe fn let_go(at: NonNull<Node>) {
    // SAFETY: kept by what is given up.
    let node = unsafe { at.as_ref() };
    if node.is_static() {
        return;
    }
    // Acquire, here and on failure: if ours is the last, all that was done
    // through the others comes before the end; meets the Release below.
    let mut count = node.handles.load(Acquire, Site::LetGoLoad);
    let dead = loop {
        if cfg!(any(debug_assertions, crossbeam_loom, ctxtree_shuttle)) {
            assert_ne!(count & !ORPHAN, 0, "what is given up was counted");
        }
        let head = node.children.peek();
        let lanes = head
            .has(Head::PARENT | Head::SPLIT)
            .then(|| node.lane_count(head));
        let left = match (count, lanes) {
            (1, None) => 0,
            (1, Some(lanes)) => orphaned(lanes),
            _ => count - 1,
        };
        // Release: what we did comes before the end of the node; Acquire: what
        // the others did, if that is ours. They meet each other.
        let swapped = node
            .handles
            .compare_exchange_weak(count, left, AcqRel, Acquire, Site::LetGo);
        match (swapped, lanes) {
            (Err(now), _) => count = now,
            (Ok(1), Some(lanes)) => break orphan_lanes(node, lanes),
            (Ok(_), _) => break left & !ORPHAN == 0,
        }
    };
    if dead {
        // SAFETY: dead, not buried, and ours to bury (T7).
        unsafe { bury_all(at, Garbage::new()) };
    }
}

/// Gives lanes up. True if they were the last: the node is dead, and the
/// caller's to bury.
fn give_up(node: &Node, lanes: u32) -> bool {
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
/// as well. Who waited for the parent to be idle goes to `idlers`.
///
/// # Safety
///
/// The node is dead (N3), not buried, and the caller's to bury (T7). `garbage` is
/// as in `end`.
unsafe fn bury(
    at: NonNull<Node>,
    garbage: *mut Garbage,
    idlers: &mut Chain,
) -> Option<NonNull<Node>> {
    // SAFETY: not buried yet.
    let node = unsafe { at.as_ref() };
    // SAFETY: by the caller; not used any more where nodes are freed, as with
    // the last one of a driver that goes, and that may be user's code.
    let garbage = unsafe { &mut *garbage };
    // SAFETY: no handle is left here or below, so nobody reads the record (S4).
    garbage.records.extend(unsafe { node.state.take_record() });
    // SAFETY: dead, and ours.
    if let Some(cause) = unsafe { node.take_deadline_cause() } {
        garbage.knots.push(Box::new(cause));
    }
    if let Some(far) = node.far().filter(|_| node.is(Facets::FAR)) {
        far.away.clear();
        garbage.knots.extend(far.ties.cut());
    }
    let mut pin = LazyPin::new();
    if node.waits.peek().has(Head::CALLED) {
        pin.get();
        // What no canceller has claimed is dropped unrun. There are callbacks
        // only: a wait has a handle.
        // SAFETY: under a pin.
        unsafe { cancel::claim_listeners(node, &mut garbage.unrun) };
    }
    let Some(parent) = node.attached_to() else {
        // SAFETY: dead and in no list, so that nobody points to it (N4).
        unsafe { Node::free(at) };
        return None;
    };
    let number = usize::from(node.lane);
    let lane = parent.lane(number);
    // A pointer to all of the parent, also if it is part of something larger.
    let above = NonNull::new(node.parent.cast_mut());
    let batch = list::batch(number != 0);
    let mut emptied = || {
        idle::look(parent, idlers);
    };
    // SAFETY: the node is linked there, and ours to give up.
    let reaped = unsafe { lane.bury::<Node>(at.cast(), batch, &mut pin, &mut emptied) };
    above.filter(|_| reaped == Reaped::Emptied && give_up(parent, 1))
}
