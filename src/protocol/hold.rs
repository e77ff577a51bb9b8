//! Keeping a node for a while without a handle.
//!
//! Far nodes are reached by those who do not keep them: walks that come through
//! another parent, foreign sources that fire. Before they use the node they add
//! themselves to its count (N7), which fails once the node is dead. What they
//! give up again may be the last that keeps it, and then user's code runs: so
//! never under a pin or in a role.
//!
//! Models: `link_drop_vs_cancel`, `source_vs_drop`, `source_vs_last_child`.

use super::{cancel, release};
use crate::error::Cause;
use crate::node::{Away, Node};
use crate::sync::{Site, epoch};
use std::ptr::NonNull;

/// Keeps a node that has the facet HELD, handle or not.
pub(super) struct Hold(NonNull<Node>);

// SAFETY: a node may be used, and given up, on any thread.
unsafe impl Send for Hold {}

impl Hold {
    /// A hold on the node that `away` points to, unless it has ended.
    pub(super) fn at(away: &Away) -> Option<Hold> {
        let pin = epoch::pin();
        let at = away.look()?;
        // SAFETY: read under a pin (F1).
        let held = unsafe { at.as_ref() }.try_hold();
        drop(pin);
        held.then(|| Hold(at))
    }

    /// A hold on `node`, unless it has ended.
    ///
    /// # Safety
    ///
    /// The node is valid, and `node` points to all of its memory.
    pub(super) unsafe fn on(node: NonNull<Node>) -> Option<Hold> {
        // SAFETY: by the caller.
        unsafe { node.as_ref() }.try_hold().then(|| Hold(node))
    }

    pub(super) fn node(&self) -> &Node {
        // SAFETY: kept by this hold (N7).
        unsafe { self.0.as_ref() }
    }

    /// The node, for as long as the caller keeps this hold.
    pub(super) fn at_node(&self) -> NonNull<Node> {
        self.0
    }

    pub(super) fn is_live(&self) -> bool {
        self.node().state.load_known(Site::HoldAsk).is_live()
    }

    /// Cancels the node for what a source of its own said.
    pub(super) fn cancel(&self, cause: Option<Cause>) -> bool {
        cancel::cancel(self.node(), cause, None, false)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // SAFETY: our hold, given up.
        unsafe { release::let_go(self.0) };
    }
}
