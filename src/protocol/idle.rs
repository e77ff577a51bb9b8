//! Waiting until nothing lives below a node.
//!
//! # How it works
//!
//! Who waits links a waiter among the node's idlers and makes every children
//! lane eager: each burial there reaps at once, and a reaper that leaves a lane
//! empty asks for a look while it still has the role, for until then the node is
//! there (L8). So does who waits, after it linked its waiter.
//!
//! One thread at a time looks, for all who asked (see `node::idlers`): it makes
//! the lanes quiet one after the other, which an empty one lets it, and then
//! goes over them once more. If none was pushed to since, there was a moment at
//! which all of them were empty; then it claims the waiters that were there
//! before it began, and wakes them in the end, outside of everything (T8). A
//! waiter that was claimed says that there was such a moment since it came,
//! whatever has been derived since.
//!
//! | who | does | then asks |
//! |---|---|---|
//! | waits | links a waiter | always |
//! | reaps | empties an eager lane | always |
//! | splits the list | makes the new lanes eager, pushes a child | no: when that child goes |
//!
//! # Why a moment, and not one look at each lane
//!
//! What is about to end may derive a sibling first. With several lanes, the
//! sibling may be pushed to a lane that was seen empty, and the other be gone
//! when its lane is looked at, though something lived all the time. The second
//! look sees that: the push comes before the end of the other, which the look
//! at its lane acquired (see `Lane::quieten`).
//!
//! Who splits the list while another begins to wait: both write the first
//! lane's `head` by read-modify-writes, so either who waits sees the lanes, or
//! who splits sees that somebody waits.
//!
//! # Progress
//!
//! Lock-free. Who looks goes on as long as others ask, and wakes what it has
//! claimed when it has left the role: one that is stopped in it delays those
//! wake-ups.
//!
//! Models: `idle_vs_last_drop`, `idle_vs_two_drops`, `idle_vs_successor`,
//! `idle_vs_split`, `idle_repoll_vs_drop`, `idle_drop_vs_drop`.

use super::NodeRef;
use super::dispose::{self, Panics};
use crate::list::{self, Head, LazyPin, Push, Reaped};
use crate::node::{Idlers, Node};
use crate::sync::{Site, epoch, recheck};
use crate::wait_cell::{Chain, Listener, Waiter};
use std::ptr::NonNull;
use std::task::Waker;

/// One wait until nothing lives below a node.
pub(crate) struct IdleWait {
    waiter: Option<NonNull<Waiter>>,
    over: bool,
}

// SAFETY: a waiter may be given up and freed on any thread.
unsafe impl Send for IdleWait {}
// SAFETY: through a shared reference nothing can be done.
unsafe impl Sync for IdleWait {}

impl IdleWait {
    pub(crate) const fn new() -> Self {
        Self {
            waiter: None,
            over: false,
        }
    }

    /// Whether there was a moment since the first poll at which nothing lived
    /// below `node`; if not, `waker` will be woken when there is one.
    ///
    /// If the waker's code panics, nothing stays registered.
    pub(crate) fn poll(&mut self, node: &NodeRef, waker: &Waker) -> bool {
        if self.over {
            return true;
        }
        let node = node.node();
        if let Some(waiter) = self.waiter.take() {
            let registered = Registered { node, waiter };
            // SAFETY: ours, and buried by nobody else.
            let waiting = unsafe { waiter.as_ref() };
            // SAFETY: ours.
            let replaced = unsafe { waiting.register(waker) };
            self.over = waiting.has_fired();
            if !self.over {
                std::mem::forget(registered);
                self.waiter = Some(waiter);
            }
            dispose::drop_one(replaced);
            return self.over;
        }
        if node.is_static() || node.children.is_all_and_empty() {
            self.over = true;
            return true;
        }
        let waiter = register(node.make_idlers(), waker);
        let mut chain = Chain::new();
        // Whoever is looking may be late to tell.
        self.over = ask_all(node, &mut chain) || node.children.is_all_and_empty();
        self.waiter = Some(waiter);
        let mut panics = Panics::new();
        if self.over {
            // Before the others are woken, of which it is one.
            panics.catch(|| self.end(node));
        }
        panics.catch(|| deliver(chain));
        panics.resume();
        self.over
    }

    /// Ends the wait.
    pub(crate) fn release(&mut self, node: &NodeRef) {
        self.end(node.node());
    }

    fn end(&mut self, node: &Node) {
        if let Some(waiter) = self.waiter.take() {
            release(node, waiter);
        }
    }
}

/// Ends a wait whose waker panics, or that is over.
struct Registered<'n> {
    node: &'n Node,
    waiter: NonNull<Waiter>,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        release(self.node, self.waiter);
    }
}

/// Links a new waiter.
fn register(idlers: &Idlers, waker: &Waker) -> NonNull<Waiter> {
    let waiter = Waiter::new(waker);
    let mut head = idlers.lane.peek();
    // SAFETY: ours until the push, and buried when it is released; the caller
    // has a handle to the node, which keeps the lane.
    while let Push::Lost(now) = unsafe { idlers.lane.push(waiter.cast(), head) } {
        head = now;
    }
    waiter
}

fn release(node: &Node, waiter: NonNull<Waiter>) {
    let Some(idlers) = node.idlers() else {
        unreachable!("a waiter was linked there");
    };
    // SAFETY: ours until it is buried.
    let given_up = unsafe { waiter.as_ref() };
    // SAFETY: ours, and given up here only.
    let leftover = unsafe { given_up.give_up() };
    let mut pin = LazyPin::new();
    // SAFETY: linked there by `register`, and ours to give up; our handle keeps
    // the node.
    let reaped = unsafe {
        idlers
            .lane
            .bury::<Listener>(waiter.cast(), list::batch(false), &mut pin, &mut || ())
    };
    debug_assert_eq!(reaped, Reaped::Open, "this lane is never orphaned");
    drop(pin);
    // The waker's drop is user's code: last, outside everything (T8).
    dispose::drop_one(leftover);
}

/// Makes the lanes of `node` eager, and asks for a look, as who waits does. True
/// if there was a moment without anything below.
fn ask_all(node: &Node, chain: &mut Chain) -> bool {
    let mut pin = LazyPin::new();
    let head = node.children.look_in_order();
    make_eager(node, 0, node.lane_count(head), &mut pin, &mut || {
        look(node, chain);
    });
    look(node, chain)
}

fn make_eager(node: &Node, from: usize, to: usize, pin: &mut LazyPin, emptied: &mut dyn FnMut()) {
    for number in from..to {
        let batch = list::batch(number != 0);
        // SAFETY: a children lane, of a node to which the caller has a handle.
        unsafe { node.lane(number).make_eager::<Node>(batch, pin, emptied) };
    }
}

/// Sees to lanes that were just added to `node`, to which the caller is about
/// to push a child.
pub(super) fn lanes_added(node: &Node) {
    if node.idlers().is_some() {
        let to = node.lane_count(node.children.lanes_seen());
        make_eager(node, 1, to, &mut LazyPin::new(), &mut || ());
    }
}

/// Wakes who waited. Nothing of what that drops is left to a loop that this may
/// run in: a waker may wait for it.
pub(super) fn deliver(mut chain: Chain) {
    if !chain.is_empty() {
        let mut wake = || chain.deliver(|| unreachable!("no callback waits for this"));
        dispose::outside(|| dispose::run_all(&mut wake));
    }
}

/// Looks whether all lanes are empty, for the caller and all who ask meanwhile,
/// unless somebody is at it, who then does. True if this call found a moment at
/// which they were; the waiters to wake go to `chain`.
///
/// The caller keeps the node: by a handle, or by the role of one of its lanes.
pub(super) fn look(node: &Node, chain: &mut Chain) -> bool {
    let Some(idlers) = node.idlers().filter(|idlers| idlers.ask()) else {
        return false;
    };
    let mut found = false;
    loop {
        idlers.begin();
        found |= tell(node, idlers, chain);
        if idlers.end() {
            return found;
        }
    }
}

/// Whether there was a moment at which all lanes were empty. The caller has the
/// role of who looks, so nobody else makes lanes quiet.
fn is_quiet(node: &Node) -> bool {
    let Some(head) = node.children.quieten() else {
        return false;
    };
    if !head.has(Head::SPLIT) {
        return true;
    }
    let lanes = node.lane_count(node.children.lanes_seen());
    let all = (1..lanes).all(|number| node.lane(number).quieten().is_some());
    // Again: a lane that was empty first may have got a link from one that was
    // looked at later, before that was empty.
    let mut again = (0..lanes).map(|number| node.lane(number).is_quiet());
    all && (again.all(|quiet| quiet) || !recheck(Site::IdleTwice))
}

/// Claims the waiters that are linked now, if there is a moment from now on at
/// which all lanes are empty: true. Who comes meanwhile may come after that
/// moment, and asks for a look of its own.
fn tell(node: &Node, idlers: &Idlers, chain: &mut Chain) -> bool {
    if idlers.lane.first().is_null() {
        return is_quiet(node);
    }
    let _pin = epoch::pin();
    idlers.lane.enter();
    let newest = idlers.lane.first();
    let quiet = is_quiet(node);
    if quiet {
        // SAFETY: counted in under a pin (L7).
        unsafe { chain.claim_all(newest) };
    }
    idlers.lane.leave();
    quiet
}
