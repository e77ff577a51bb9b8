//! Callbacks that run when a node is cancelled.
//!
//! A registration links a callback in the wait lane of the node, among the
//! waiters, and has no handle: a callback keeps no context. A cancel claims and
//! runs it, or the end of the node claims and drops it. Stopping decides on the
//! callback's own word, under a pin taken before: if that says that neither has
//! claimed it, the node is still there to bury the callback in (W5).
//!
//! On a node that is done the callback runs at once, here. On `background` and
//! `todo`, which never are and never end, it is linked nowhere, and is dropped
//! with the registration.
//!
//! Models: `callback_vs_cancel`, `stop_vs_cancel`, `stop_vs_stop`,
//! `stop_vs_last_handle`, `detached_vs_last_handle_vs_cancel`.

use super::wait::listen;
use super::{NodeRef, ask, dispose};
use crate::error::CancelError;
use crate::list::{self, Head, LazyPin, Reaped};
use crate::node::Node;
use crate::sync::epoch;
use crate::wait_cell::{Callback, Listener, Prevented, Stopped};
use std::ptr::NonNull;

/// The owner's side of a callback.
pub(crate) struct Registered(NonNull<Callback>);

// SAFETY: all it does is decided by atomic operations, and the closure is
// `Send`.
unsafe impl Send for Registered {}
// SAFETY: the same; the closure is never shared.
unsafe impl Sync for Registered {}

impl std::panic::UnwindSafe for Registered {}
impl std::panic::RefUnwindSafe for Registered {}

impl NodeRef {
    /// Registers `f`, to run when the node is done. None: it is done, and `f`
    /// has run.
    pub(crate) fn register<F>(&self, f: F) -> Option<Registered>
    where
        F: FnOnce(&CancelError) + Send + 'static,
    {
        let node = self.node();
        if self.is_done() {
            f(&ask::error_of_done(node));
            return None;
        }
        if node.is_static() {
            return Some(Registered(Callback::new(None, f)));
        }
        let callback = Callback::new(Some(self.0.cast()), f);
        if !node.waits.peek().has(Head::CALLED) {
            node.waits.mark_unless_closed(Head::CALLED);
        }
        // SAFETY: ours until the push, and held by the lane then.
        if unsafe { listen(node, callback.cast()) } {
            return Some(Registered(callback));
        }
        // SAFETY: never linked, ours, and not used again.
        unsafe { Callback::run_unlinked(callback, || ask::error_of_done(node)) };
        None
    }
}

impl Registered {
    fn callback(&self) -> &Callback {
        // SAFETY: held by the registration (W3).
        unsafe { self.0.as_ref() }
    }

    /// Turns the callback off, and drops its closure, if it is not too late.
    pub(crate) fn stop(&self) -> Stopped {
        let stopped = self.turn_off();
        if let Stopped::Prevented { .. } = stopped {
            let callback = self.0;
            dispose::run_one(|| {
                // SAFETY: prevented by us, just now; we hold the callback.
                unsafe { Callback::drop_closure(callback) };
            });
        }
        stopped
    }

    /// The same but for the closure.
    fn turn_off(&self) -> Stopped {
        match self.callback().node() {
            None => self.callback().stop(),
            Some(node) => self.stop_at(node.cast()),
        }
    }

    /// The same for a callback that was linked at `node`.
    fn stop_at(&self, node: NonNull<Node>) -> Stopped {
        let _pin = epoch::pin();
        let stopped = self.callback().stop();
        if let Stopped::Prevented { linked: true } = stopped {
            // SAFETY: under a pin that is older than the stop, which found that
            // nobody had claimed the callback (W5).
            let node = unsafe { node.as_ref() };
            let (link, batch) = (self.0.cast(), list::batch(false));
            // SAFETY: linked there, and ours to give up.
            if !unsafe { node.waits.bury_quietly(link, batch) } {
                let mut pin = LazyPin::new();
                // SAFETY: the same.
                let reaped = unsafe {
                    node.waits
                        .bury::<Listener>(link, batch, &mut pin, &mut || ())
                };
                debug_assert_eq!(reaped, Reaped::Open, "a wait lane is never orphaned");
            }
        }
        stopped
    }

    /// Blocks until the run under way is over. False, at once: it is this
    /// thread that runs it.
    pub(crate) fn join(&self) -> bool {
        let runs_here = Callback::runs_here(self.0);
        if !runs_here {
            self.callback().join();
        }
        !runs_here
    }

    /// Leaves the callback to the context, for good.
    pub(crate) fn detach(self) {
        if self.callback().node().is_none() {
            // It can never run, so nobody else will drop it.
            self.stop();
        }
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: not used again, not even by a drop.
        unsafe { Callback::gone(this.0) };
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Stopped::Prevented { .. } = self.turn_off() {
            // SAFETY: prevented by us, just now, and not used again.
            dispose::drop_closure(unsafe { Prevented::new(self.0) });
        } else {
            // SAFETY: the registration goes.
            unsafe { Callback::gone(self.0) };
        }
    }
}
