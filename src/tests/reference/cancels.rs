//! Cancels: what becomes done, and what must be delivered.
//!
//! All that a cancel reaches is marked before anything is delivered (V12). The
//! deliveries come from the call that won, before it returns. Each may itself
//! do anything, so that cancels nest: a cancel within a delivery has its own
//! deliveries, and all of them come before it returns.
//!
//! Among the deliveries of one cancel the order is that of registration within
//! a node, and parents before children (V17), where the cancel reached the
//! child by that one way. Else it is not promised.

use super::callbacks::Callback;
use super::waits::Wait;
use super::{Node, NodeState, Reference};

/// How a node ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct End {
    /// Where the cancel began.
    pub(crate) origin: Node,
    pub(crate) cause: Option<u32>,
    /// The line that cancelled, if a line did.
    pub(crate) line: Option<u32>,
}

/// What a cancel must deliver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Delivery {
    /// Wakes a wait, by the last of its wakers.
    Wake {
        wait: Wait,
        waker: bool,
    },
    Run {
        callback: Callback,
    },
}

/// A delivery that has not come yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) delivery: Delivery,
    pub(super) node: Node,
    pub(super) since: usize,
}

/// A call that cancels.
pub(super) struct Cancel {
    due: Vec<Due>,
    /// The first delivery that panicked: the call goes on with that (V14).
    panic: Option<Delivery>,
}

impl Reference {
    /// A node that is not done, below or linked to one that is, becomes done for
    /// the same reason.
    pub(super) fn inherit(&mut self, node: Node) {
        let NodeState { parent, facets, .. } = &self.nodes[node];
        let parent = parent.filter(|_| !facets.shielded);
        let from_parent = parent.and_then(|parent| self.nodes[parent].end);
        let mut others = facets.others.iter();
        let over_link = || others.find_map(|&other| self.nodes[other].end);
        let keeps_cause = from_parent.is_none();
        if let Some(end) = from_parent.or_else(over_link) {
            self.finish(node, end, keeps_cause);
        }
    }

    fn finish(&mut self, node: Node, end: End, keeps_cause: bool) {
        let state = &mut self.nodes[node];
        if state.end.is_none() {
            state.end = Some(end);
            state.keeps_cause = keeps_cause;
        }
    }

    /// A call of `cancel` begins. True: it is the one that cancels.
    pub(crate) fn cancel(&mut self, node: Node, cause: Option<u32>, line: Option<u32>) -> bool {
        let end = End {
            origin: node,
            cause,
            line,
        };
        let wins = self.nodes[node].end.is_none();
        // A link that becomes done lets go of its other parents, but not yet.
        let kept = self.kept();
        self.finish(node, end, true);
        // A parent's place is before its children's, also where it is linked.
        for below in node + 1..self.nodes.len() {
            self.inherit(below);
        }
        let mut due = self.claim_waits();
        due.extend(self.claim_callbacks(&kept));
        self.begin(due);
        wins
    }

    /// A call begins that must deliver this.
    pub(super) fn begin(&mut self, due: Vec<Due>) {
        self.cancels.push(Cancel { due, panic: None });
    }

    /// Something is delivered.
    ///
    /// # Panics
    ///
    /// If it is not due, or not yet.
    pub(crate) fn deliver(&mut self, delivery: Delivery) {
        let cancel = self.cancels.last();
        let due = cancel.map_or(&[][..], |cancel| &cancel.due);
        let place = due.iter().position(|due| due.delivery == delivery);
        let Some(place) = place else {
            panic!("{delivery:?} came, and is not due; due: {due:?}");
        };
        let first = due[place];
        for other in due {
            let before = match other.node == first.node {
                true => other.since < first.since,
                false => self.comes_from(first.node, other.node),
            };
            assert!(!before, "{first:?} came before {other:?}");
        }
        let cancel = self.cancels.last_mut();
        cancel.expect("found above").due.remove(place);
        if let Delivery::Run { callback } = delivery {
            self.runs(callback);
        }
    }

    /// Whether a cancel that reached `node` came by way of `above`, as far as
    /// there was one way only.
    fn comes_from(&self, node: Node, above: Node) -> bool {
        let NodeState { parent, facets, .. } = &self.nodes[node];
        let parent = parent.filter(|_| !facets.shielded);
        let parents = parent.iter().chain(&facets.others);
        let mut done = parents.filter(|&&parent| self.nodes[parent].end.is_some());
        match (done.next(), done.next()) {
            (Some(&only), None) => only == above || self.comes_from(only, above),
            _ => false,
        }
    }

    /// Takes back what is due and will not be delivered any more.
    pub(super) fn withdraw(&mut self, what: impl Fn(Delivery) -> bool) {
        for cancel in &mut self.cancels {
            cancel.due.retain(|due| !what(due.delivery));
        }
    }

    /// A delivery of the innermost cancel panics. That stops no other.
    pub(crate) fn panics(&mut self, delivery: Delivery) {
        let cancel = self.cancels.last_mut().expect("a cancel under way");
        cancel.panic.get_or_insert(delivery);
    }

    /// The innermost call of `cancel` returns, or panics with what is told.
    ///
    /// # Panics
    ///
    /// If something is still due.
    pub(crate) fn cancelled(&mut self) -> Option<Delivery> {
        let cancel = self.cancels.pop().expect("a cancel under way");
        assert!(cancel.due.is_empty(), "never came: {:?}", cancel.due);
        cancel.panic
    }

    /// Whether a cancel is under way.
    pub(crate) fn is_cancelling(&self) -> bool {
        !self.cancels.is_empty()
    }
}
