//! Waiting for a node to be done.
//!
//! A wait first looks at the state word. If the node is live it links a waiter
//! in the node's wait lane: a canceller closes that lane after it has written
//! the state word, so either it finds the waiter, or the waiter finds the lane
//! closed, and sees the word (T6). A wait that is polled again stores its waker
//! and looks again.
//!
//! Models: `wait_vs_cancel`, `wait_repoll_vs_cancel`, `wait_drop_vs_cancel`.

use super::NodeRef;
use super::dispose;
use crate::list::{self, Head, LazyPin, Link, Push, Reaped};
use crate::node::{Facets, Node};
use crate::sync::{Site, recheck};
use crate::wait_cell::{Listener, Waiter};
use std::ptr::NonNull;
use std::task::Waker;

/// The registration of one waiting future, if it has been polled.
pub(crate) struct Wait(Option<NonNull<Waiter>>);

// SAFETY: a waiter may be given up and freed on any thread.
unsafe impl Send for Wait {}
// SAFETY: through a shared reference nothing can be done.
unsafe impl Sync for Wait {}

impl std::panic::UnwindSafe for Wait {}
impl std::panic::RefUnwindSafe for Wait {}

impl Wait {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// Whether the node is done; if not, `waker` will be woken when it is.
    ///
    /// Who goes by more than that asks the node again, as for the error.
    ///
    /// If the waker's code panics, nothing stays registered.
    pub(crate) fn poll(&mut self, node: &NodeRef, waker: &Waker) -> bool {
        if node.is_done() {
            return true;
        }
        let node = node.node();
        if !node.is(Facets::CANCELABLE) {
            // Never done, so nothing is kept.
            return false;
        }
        match self.0.take() {
            None => {
                let Some(waiter) = register(node, waker) else {
                    return true;
                };
                self.0 = Some(waiter);
            }
            Some(waiter) => {
                let registered = Registered { node, waiter };
                // SAFETY: ours, and buried by nobody else.
                let registering = unsafe { waiter.as_ref() };
                // SAFETY: ours.
                let replaced = unsafe { registering.register(waker) };
                std::mem::forget(registered);
                self.0 = Some(waiter);
                dispose::drop_one(replaced);
            }
        }
        // Again, after the waker is in: who closed the lane before did not find it (T6).
        !node.state.load_known(Site::WaitLook).is_live() && recheck(Site::WaitRecheck)
    }

    /// Ends the registration.
    pub(crate) fn release(&mut self, node: &NodeRef) {
        if let Some(waiter) = self.0.take() {
            release(node.node(), waiter);
        }
    }
}

/// Ends a registration whose waker panics.
struct Registered<'n> {
    node: &'n Node,
    waiter: NonNull<Waiter>,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        release(self.node, self.waiter);
    }
}

/// Links a new waiter. None if the node is done, as the caller then sees.
fn register(node: &Node, waker: &Waker) -> Option<NonNull<Waiter>> {
    let waiter = Waiter::new(waker);
    // SAFETY: `waiter` is ours until the push, and buried when it is released.
    if unsafe { listen(node, waiter.cast()) } {
        return Some(waiter);
    }
    // SAFETY: never linked, and ours.
    unsafe { Waiter::free_unlinked(waiter) };
    None
}

/// Links a listener in the wait lane of `node`. False, and nothing is linked,
/// if the node is done, as the caller then sees (T6).
///
/// # Safety
///
/// The listener is the caller's alone until then, and stays valid until it is
/// unlinked. The caller has a handle to the node.
pub(super) unsafe fn listen(node: &Node, listener: NonNull<Link>) -> bool {
    if !node.children.peek().has(Head::WAITED)
        && node
            .children
            .mark_unless_closed(Head::WAITED)
            .has(Head::CLOSED)
    {
        return false;
    }
    let mut head = node.waits.peek();
    while !node.waits.is_closed(head) {
        // SAFETY: by the caller.
        match unsafe { node.waits.push(listener, head) } {
            Push::Done => return true,
            Push::Lost(now) => head = now,
        }
    }
    false
}

fn release(node: &Node, waiter: NonNull<Waiter>) {
    // SAFETY: ours until it is buried.
    let given_up = unsafe { waiter.as_ref() };
    // SAFETY: ours, and given up here only.
    let leftover = unsafe { given_up.give_up() };
    // SAFETY: linked there by `register`, and ours to give up.
    if !unsafe { node.waits.bury_quietly(waiter.cast(), list::batch(false)) } {
        let mut pin = LazyPin::new();
        // SAFETY: the same, and our handle keeps the node.
        let reaped = unsafe {
            node.waits
                .bury::<Listener>(waiter.cast(), list::batch(false), &mut pin, &mut || ())
        };
        debug_assert_eq!(reaped, Reaped::Open, "a wait lane is never orphaned");
    }
    // The waker's drop is user's code: last, outside everything (T8).
    dispose::drop_one(leftover);
}
