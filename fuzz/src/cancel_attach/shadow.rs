//! What the threads note about each node while they run.
//!
//! Whether a node must be done in the end does not depend on who was faster: it
//! must if anything between it and the next shield was cancelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// A node of the library, as the threads know it.
pub(super) struct Shadow {
    parent: Option<Arc<Shadow>>,
    shielded: bool,
    /// Whether somebody has called cancel. Relaxed throughout: the shadow must
    /// not order what the library has to order.
    called: AtomicBool,
    won: Mutex<Option<Win>>,
}

/// The call that said it was the one that cancelled: the number of its cause.
type Win = Option<u32>;

impl Shadow {
    pub(super) fn new(parent: Option<&Arc<Shadow>>, shielded: bool) -> Arc<Shadow> {
        Arc::new(Shadow {
            parent: parent.cloned(),
            shielded,
            called: AtomicBool::new(false),
            won: Mutex::new(None),
        })
    }

    /// Noted before the call.
    pub(super) fn about_to_cancel(&self) {
        self.called.store(true, Relaxed);
    }

    /// Noted after a call that won.
    pub(super) fn has_won(&self, win: Win) {
        let mut won = self.won.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(won.replace(win).is_none(), "two cancels won");
    }

    pub(super) fn win(&self) -> Option<Win> {
        *self.won.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This node, then those above it.
    pub(super) fn upwards(&self) -> impl Iterator<Item = &Shadow> {
        std::iter::successors(Some(self), |node| node.parent.as_deref())
    }

    /// The same, as far as cancels come from.
    fn cancelled_by(&self) -> impl Iterator<Item = &Shadow> {
        let mut below_shield = true;
        self.upwards()
            .take_while(move |node| std::mem::replace(&mut below_shield, !node.shielded))
            .filter(|node| !node.shielded)
    }

    /// Whether a cancel of `other` reaches this node.
    pub(super) fn hears(&self, other: &Shadow) -> bool {
        self.cancelled_by().any(|node| std::ptr::eq(node, other))
    }

    /// Whether this node must be done when all have stopped.
    pub(super) fn must_be_done(&self) -> bool {
        self.cancelled_by().any(|node| node.called.load(Relaxed))
    }

    /// Whether only the calls on this node itself can have ended it.
    pub(super) fn ended_alone(&self) -> bool {
        let mut callers = self.cancelled_by().filter(|node| node.called.load(Relaxed));
        callers
            .next()
            .is_some_and(|first| std::ptr::eq(first, self))
            && callers.next().is_none()
    }

    /// The causes that this node may have in the end.
    pub(super) fn possible_causes(&self) -> Vec<Win> {
        self.cancelled_by().filter_map(Shadow::win).collect()
    }

    pub(super) fn is_child_of(&self, parent: &Shadow) -> bool {
        let above = self.parent.as_deref();
        above.is_some_and(|above| std::ptr::eq(above, parent))
    }
}
