//! Several parents: a node that is also done when one of others is.
//!
//! # How it works
//!
//! The node hangs below its parent like any other. In the list of each other
//! parent lies a *stub*: a node of its own that nobody but the link holds, and
//! that points back to the linked node. A walk that meets the stub crosses over
//! (see `mark`): it gives the linked node a record of its own, with the reason,
//! cause, origin and location of the cancel it comes from, and marks what lives
//! below it, before anything is delivered (V3, V12).
//!
//! A stub keeps its parent, as children do, so a link is also cancelled by what
//! is above a parent that nobody else holds any more. The link's stubs are its
//! ties: they go when it is done, or ends (V21).
//!
//! A parent that is done before its stub is linked does what a walk would have
//! done: the constructor crosses over itself.
//!
//! ```text
//!   parent               other
//!     │ children           │ children
//!     └──► linked ◄──away── stub ◄┘
//!             └─ ties: the handle of the stub
//! ```
//!
//! Cycles are impossible: a link is made after all its parents.
//!
//! Models: `link_vs_cancel`, `link_vs_two_cancels`, `link_drop_vs_cancel`,
//! `link_diamond_vs_cancel`.

use super::cancel::Claimed;
use super::{NodeRef, Planned, ask, attach, deadline, dispose, mark};
use crate::node::{Away, Facets, Far, Kind, Knots, Node, Plan, Ties, To};
use crate::state::{OwnedRecord, Word};
use crate::sync::Site;
use std::collections::HashSet;
use std::sync::Arc;

impl NodeRef {
    /// A node below this one that is also done when one of `others` is, with
    /// two handles.
    pub(crate) fn derive_linked<'a>(
        &self,
        plan: Plan,
        time: Option<Planned<'_>>,
        others: impl Iterator<Item = &'a NodeRef>,
    ) -> (NodeRef, NodeRef) {
        // What a shield keeps off comes by a stub, if it is asked for.
        let above = (!plan.facets.has(Facets::SHIELDED)).then_some(self);
        let others = distinct(above, others);
        let to = To::Contexts(others.len());
        let (one, another) = self.derive_far(plan, to, time);
        let node = one.node();
        let mut stubs = Vec::with_capacity(others.len());
        for other in others {
            if node.state.load_known(Site::LinkSeen).is_live() && other.is_cancelable() {
                stubs.push(stub(node, other));
            }
        }
        one.tie(Box::new(stubs));
        (one, another)
    }

    /// A node that something outside its parent's list will point to, with two
    /// handles.
    pub(super) fn derive_far(
        &self,
        mut plan: Plan,
        to: To,
        time: Option<Planned<'_>>,
    ) -> (NodeRef, NodeRef) {
        let away = Arc::new(Away::new());
        let far = Far {
            away: away.clone(),
            ties: Ties::new(),
            to,
        };
        plan.facets = plan.facets.and(Facets::HELD).and(Facets::FAR);
        let fresh = time.map(|time| deadline::prepare(self.node(), plan.facets, time));
        let timer = fresh.as_ref().map(deadline::Fresh::timer);
        let node = Node::alloc_plan(self.0, plan, 2, Some(far), timer);
        away.point(node);
        // SAFETY: new, made for this parent, to which we have a handle.
        unsafe { attach::attach(self.node(), node) };
        let pair = (NodeRef(node), NodeRef(node));
        if let Some(fresh) = fresh {
            fresh.start(pair.0.node());
        }
        pair
    }

    /// Ties a far node, or drops `knots` if it is done.
    pub(super) fn tie(&self, knots: Knots) {
        let node = self.node();
        let far = node.far().expect("a far node");
        // SAFETY: called by the constructor, once.
        let mut late = unsafe { far.ties.tie(knots) };
        if self.is_done() {
            // Done before it was tied, so that nobody may have come to cut.
            late = late.or_else(|| far.ties.cut());
        }
        dispose::drop_one(late);
    }
}

/// Each of `others` once, and without `above`, in their order.
fn distinct<'a>(
    above: Option<&NodeRef>,
    others: impl Iterator<Item = &'a NodeRef>,
) -> Vec<&'a NodeRef> {
    let mut others: Vec<&NodeRef> = others.filter(|&other| Some(other) != above).collect();
    // Few are as quickly compared as hashed, and need no table.
    if others.len() <= 8 {
        for at in (1..others.len()).rev() {
            if others[..at].contains(&others[at]) {
                others.remove(at);
            }
        }
    } else {
        let mut seen = HashSet::with_capacity(others.len());
        others.retain(|other| seen.insert(other.0));
    }
    others
}

/// Puts a stub of the new far node `node` into the list of `other`.
fn stub(node: &Node, other: &NodeRef) -> NodeRef {
    let far = Far {
        away: node.far().expect("a far node").away.clone(),
        ties: Ties::new(),
        to: To::Contexts(0),
    };
    let plan = Plan::of(Kind::Stub, Facets::HELD.and(Facets::STUB));
    let at = Node::alloc_plan(other.0, plan, 1, Some(far), None);
    // SAFETY: new, made for this parent, to which the caller has a handle.
    unsafe { attach::attach(other.node(), at) };
    let stub = NodeRef(at);
    // Born done: no walk comes to it, or none need.
    if let Some(record) = ask::record_like(stub.node()) {
        let word = Word::record(OwnedRecord::new(record));
        if node.state.finish_new(word, Site::LinkBorn) {
            // Nothing is below it yet, and nobody listens.
            mark::mark_all(node, true, &mut Claimed::new());
            if node.has_timer() && deadline::disarm(node) {
                deadline::wake_driver_of(node);
            }
        } else {
            // The cause lives on where it came from.
            drop(word.into_record());
        }
    }
    stub
}
