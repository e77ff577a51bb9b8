//! The tree: what happens to nodes when contexts are derived, cancelled,
//! waited for and dropped.
//!
//! # How it works
//!
//! | what | where | in short |
//! |---|---|---|
//! | derive | `attach` | push on the parent's list, then look whether the parent is done |
//! | cancel | `cancel` | decide on the state word, mark all below, then wake |
//! | walk | `mark` | depth first by parent and sibling links, no stack, no lock |
//! | wait | `wait` | push on the node's wait lane, which a cancel closes |
//! | wait for the rest | `idle` | every burial reaps; one that leaves nothing wakes who waits |
//! | call back | `callback` | the same for a closure, which holds no node |
//! | end in time | `deadline`, `moved`, `expire` | a timer, moved in place; the driver ends what is due |
//! | drop | `release` | bury the node; what its parent was kept for goes too |
//! | ask | `ask` | read the state word, follow one hop |
//! | hand values down | `value` | find the nearest set, go up from there (see `values`) |
//! | several parents | `link`, `source`, `hold` | a stub in each other parent's list; a count that may be joined |
//! | look | `snapshot` | walk as `mark` does, write nothing |
//! | run tasks | `task`, `tour` | nodes of which more is known; told to go, and reported |
//! | what users gave goes | `dispose` | last of all, outside everything |
//!
//! # Invariants
//!
//! - **T1** A child that is pushed before its parent's lane is closed is seen
//!   by the walk that closed it; one that is pushed later sees its parent done.
//!   Both decide on the lane's `head`.
//! - **T2** A child inherits what its parent's word says: the same ancestor if
//!   the parent inherits, else the parent. So all who mark a node write the
//!   same word (V1, V6).
//! - **T3** SETTLED in a node's word: every node that was attached below it
//!   before it was done is done. It is set after the walk of its lanes.
//! - **T4** When a call of `cancel` returns, whoever won, everything attached
//!   below before is done (V3).
//! - **T5** Only the winner of a state word claims listeners for delivery, only
//!   those of the node and of what inherits from it; a loser may be the winner of
//!   a link on its way. It delivers after all is marked (V12), holding
//!   no pin and no role. The end of a node claims the callbacks that are left,
//!   to drop them; each listener is claimed once (W1).
//! - **T6** A listener is not linked in a closed wait lane: who registers sees
//!   the node done instead. Both decide on the wait lane's `head`; whether a
//!   walk looks there is decided, by WAITED and CLOSED, on the children's
//!   `head`.
//! - **T7** A node that has no handle is detached exactly once: at once if it
//!   never had a child, else by whoever gives the last of its lanes up (N2).
//! - **T8** No user's code runs under a pin or in a role: wakers, callbacks, and
//!   the drop of wakers, closures, causes and values, come after.
//! - **T9** A snapshot reads the state of a node after those of all below it,
//!   and whoever writes that a node inherits releases what it acquired from the
//!   ancestor's word: shown done means the ancestor is shown done (V4).
//!
//! # Picture
//!
//! ```text
//!        root          handles: 2 (Context + CancelHandle)
//!         │ children.head ─► c3 ─► c2 ─► c1        parent ◄─ each
//!         │                        │
//!         │ waits.head ─► w1       └ children.head ─► g1
//! ```
//!
//! # Progress
//!
//! Everything is lock-free. A walk visits what was there when it closed each
//! lane; helpers do the same work instead of waiting for the winner. If the
//! winner is stopped between marking and waking, every context is done and
//! says so, and wake-ups wait for it.
//!
//! Models: see `loom-tests/README.md`.

mod ask;
mod attach;
mod callback;
mod cancel;
mod deadline;
mod dispose;
mod expire;
mod hold;
mod idle;
mod link;
mod mark;
mod moved;
mod release;
mod snapshot;
mod source;
mod task;
mod tour;
mod value;
mod wait;

pub(crate) use ask::Label;
pub(crate) use callback::Registered;
pub(crate) use deadline::Planned;
pub(crate) use dispose::Panics;
pub(crate) use expire::{Next, Thrown, run_once};
pub(crate) use idle::IdleWait;
pub(crate) use snapshot::Row;
pub(crate) use source::Foreign;
pub(crate) use task::TaskRow;
pub(crate) use wait::Wait;

use crate::error::{Cause, Id};
use crate::node::{self, Facets, Kind, MAX_HANDLES, Node, Plan};
use crate::sync::Ordering::{AcqRel, Acquire, Relaxed};
use crate::sync::{Site, const_fn};
use std::hash::{Hash, Hasher};
use std::panic::Location;
use std::ptr::NonNull;

/// A handle to a node: keeps it, and so all its ancestors.
pub(crate) struct NodeRef(NonNull<Node>);

// SAFETY: a node may be used, and its handles dropped, on any thread.
unsafe impl Send for NodeRef {}
// SAFETY: the same.
unsafe impl Sync for NodeRef {}

impl std::panic::UnwindSafe for NodeRef {}
impl std::panic::RefUnwindSafe for NodeRef {}

impl NodeRef {
    const_fn! {
        pub(crate) fn background() -> NodeRef {
            NodeRef(node::background())
        }
    }

    const_fn! {
        pub(crate) fn todo() -> NodeRef {
            NodeRef(node::todo())
        }
    }

    #[inline(always)]
    fn node(&self) -> &Node {
        // SAFETY: valid while this handle counts (N1).
        unsafe { self.0.as_ref() }
    }

    /// A node below this one, with one handle.
    pub(crate) fn derive(&self, plan: Plan) -> NodeRef {
        let node = Node::alloc_plan(self.0, plan, 1, None, None);
        // SAFETY: new, made for this parent, to which we have a handle.
        unsafe { attach::attach(self.node(), node) };
        NodeRef(node)
    }

    /// A node below this one, with two handles.
    pub(crate) fn derive_pair(&self, kind: Kind, facets: Facets) -> (NodeRef, NodeRef) {
        let node = Node::alloc(self.0, kind, facets, 2);
        // SAFETY: new, made for this parent, to which we have a handle.
        unsafe { attach::attach(self.node(), node) };
        (NodeRef(node), NodeRef(node))
    }

    /// The same, by a plan, and with a deadline.
    pub(crate) fn derive_plan(&self, plan: Plan, time: Option<Planned<'_>>) -> (NodeRef, NodeRef) {
        let fresh = time.map(|time| deadline::prepare(self.node(), plan.facets, time));
        let timer = fresh.as_ref().map(deadline::Fresh::timer);
        let node = Node::alloc_plan(self.0, plan, 2, None, timer);
        // SAFETY: new, made for this parent, to which we have a handle.
        unsafe { attach::attach(self.node(), node) };
        let pair = (NodeRef(node), NodeRef(node));
        if let Some(fresh) = fresh {
            fresh.start(pair.0.node());
        }
        pair
    }

    /// Of a child's facets, those that hold as they do here.
    pub(crate) fn inherited(&self) -> Facets {
        self.node().facets.inherited()
    }

    #[inline(always)]
    pub(crate) fn is_done(&self) -> bool {
        !self.node().state.load(Site::Ask).is_live()
    }

    pub(crate) fn is_cancelable(&self) -> bool {
        self.node().is(Facets::CANCELABLE)
    }

    /// Cancels the node; true if this call decided it.
    pub(crate) fn cancel(
        &self,
        cause: Option<Cause>,
        location: &'static Location<'static>,
    ) -> bool {
        cancel::cancel(self.node(), cause, Some(location), true)
    }

    pub(crate) fn id(&self) -> Id {
        ask::id(self.node())
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.node().name()
    }
}

impl Clone for NodeRef {
    #[inline]
    fn clone(&self) -> Self {
        let node = self.node();
        if !node.is_static() {
            // Relaxed: the new handle comes from one that exists, which
            // carries everything.
            let before = node.handles.fetch_add(1, Relaxed, Site::HandleClone);
            if before > MAX_HANDLES {
                std::process::abort();
            }
        }
        NodeRef(self.0)
    }
}

impl Drop for NodeRef {
    #[inline]
    fn drop(&mut self) {
        let node = self.node();
        if node.is(Facets::HELD) {
            // SAFETY: our handle, given up.
            return unsafe { release::let_go(self.0) };
        }
        // Acquire: all that was done through other handles comes before the
        // end of the node; meets the Release below. A plain load will do: a
        // handle is only ever made from a handle, so if ours is the last
        // nobody can add one.
        if node.handles.load(Acquire, Site::HandlePeek) != 1 {
            // Release: what we did comes before the end of the node; meets the
            // Acquire of whoever ends it. Acquire: should that be us.
            if node.handles.fetch_sub(1, AcqRel, Site::HandleDrop) != 1 {
                return;
            }
        }
        // SAFETY: that was the last handle, so nobody else ends the node.
        unsafe { release::last_handle_gone(self.0) };
    }
}

impl PartialEq for NodeRef {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for NodeRef {}

impl Hash for NodeRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Puts the handle count near its end, for the test of what happens there.
#[cfg(feature = "internal-model")]
impl NodeRef {
    pub(crate) fn pretend_handles(&self, count: u32) {
        // Relaxed: one thread, in a test.
        self.node().handles.store(count, Relaxed, Site::HandleClone);
    }

    pub(crate) fn split(&self) {
        attach::split(self.node());
        if self.node().idlers().is_some() {
            // Who splits a list then pushes a child.
            drop(self.derive(Plan::of(Kind::Shield, Facets::SHIELDED)));
        }
    }

    /// Dead nodes still linked below this one.
    pub(crate) fn unreaped(&self) -> usize {
        let node = self.node();
        (0..node.lane_count(node.children.lanes_seen()))
            .map(|lane| node.lane(lane).unreaped())
            .sum()
    }
}
