//! What ties a node to more than its parent: other parents, foreign sources.
//!
//! # How it works
//!
//! Such a node is *far*: something outside its parent's list points to it, and
//! does not keep it. That something has an [`Away`], shared with the node, which
//! holds the pointer until the node ends. Who wants to use the node by it takes
//! a [hold](super::Node::try_hold), which only adds to a count that is not zero.
//!
//! What a node holds elsewhere, to hear from there, are its *ties*. They are cut
//! once: when the node is done, or when it ends.
//!
//! | `Ties` | meaning |
//! |---|---|
//! | 0 | the constructor is still tying |
//! | `TIED` | tied |
//! | `CUT` | cut while the constructor was tying: it cuts what it has |
//! | `TIED` + `CUT` | cut |
//!
//! # Invariants
//!
//! - **F1** The pointer of an `Away` is taken out before its node is freed, and
//!   the node is freed after every pin of that time: who read it under a pin may
//!   look at the node until it unpins.
//! - **F2** What is tied belongs to the constructor until `TIED` is set, then to
//!   whoever sets `CUT`; to the constructor, if `CUT` is set first.
//!
//! Models: `link_vs_cancel`, `link_drop_vs_cancel`, `source_vs_drop`.

use super::Node;
use crate::sync::Ordering::{Acquire, Relaxed, Release};
use crate::sync::{AtomicPtr, AtomicU32, Cell, Site, memory};
use std::ptr::{NonNull, null_mut};

/// A pointer to a node that does not keep it.
pub(crate) struct Away(AtomicPtr<Node>);

impl Away {
    /// To nowhere yet.
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// Points it to its node. Called by the constructor of the node, before
    /// anybody else knows of either.
    pub(crate) fn point(&self, node: NonNull<Node>) {
        // Relaxed: published with what it lies in.
        self.0.store(node.as_ptr(), Relaxed, Site::AwaySet);
    }

    /// The node, if it has not ended. The caller has a pin, and may look at the
    /// node while that lasts (F1).
    pub(crate) fn look(&self) -> Option<NonNull<Node>> {
        // Relaxed: the node was there before the pointer was published, and who
        // sees one that has ended finds no count to add to.
        NonNull::new(self.0.load(Relaxed, Site::AwayLook))
    }

    /// The node ends.
    pub(crate) fn clear(&self) {
        // Relaxed: see `look`; the free waits for pins (F1).
        self.0.store(null_mut(), Relaxed, Site::AwayClear);
    }
}

/// What a node holds elsewhere: opaque here, and dropped by user's rules.
pub(crate) type Knots = Box<dyn Send>;

const TIED: u32 = 1;
const CUT: u32 = 2;

/// The ties of a node.
pub(crate) struct Ties {
    state: AtomicU32,
    knots: Cell<*mut Knots>,
}

impl Ties {
    pub(crate) fn new() -> Self {
        Self {
            state: AtomicU32::new(0),
            knots: Cell::new(null_mut()),
        }
    }

    /// Ties `knots`. They come back if the ties were cut before.
    ///
    /// # Safety
    ///
    /// Called once, by the constructor of the node.
    pub(crate) unsafe fn tie(&self, knots: Knots) -> Option<Knots> {
        // SAFETY: the constructor's (F2).
        unsafe { self.knots.set(memory::alloc(knots).as_ptr()) };
        // Release: publishes the knots; meets the Acquire in `cut`.
        let before = self.state.fetch_or(TIED, Release, Site::Tie);
        // SAFETY: cut before they were tied: the constructor's (F2).
        (before & CUT != 0).then(|| unsafe { self.take() })
    }

    /// Cuts them. What was tied is for the caller to drop, if anything: outside
    /// everything, as it runs user's code.
    pub(crate) fn cut(&self) -> Option<Knots> {
        // Acquire: shows the knots; meets the Release in `tie`.
        let before = self.state.fetch_or(CUT, Acquire, Site::Cut);
        // SAFETY: we are the first to cut what was tied (F2).
        (before == TIED).then(|| unsafe { self.take() })
    }

    /// # Safety
    ///
    /// The knots are the caller's (F2), and are taken once.
    unsafe fn take(&self) -> Knots {
        // SAFETY: by the caller.
        let at = unsafe { self.knots.get() };
        let at = NonNull::new(at).expect("set before TIED");
        // SAFETY: `tie` put it there, and it is moved out once.
        unsafe { memory::take(at) }
    }
}

/// What a far node, or the stub of one in another parent's list, has more.
pub(crate) struct Far {
    /// Of a far node: the pointer to itself that others share. Of a stub: to the
    /// node it stands for.
    pub(crate) away: std::sync::Arc<Away>,
    pub(crate) ties: Ties,
    /// How `Display` tells where it is tied to.
    pub(crate) to: To,
}

/// Where a far node is tied to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum To {
    /// So many other contexts.
    Contexts(usize),
    /// A source of this type.
    Source(&'static str),
}
