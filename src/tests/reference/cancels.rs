//! Cancels: what becomes done, and what must be delivered.
//!
//! All that a cancel reaches is marked before anything is delivered (V12). The
//! deliveries come from the call that won, before it returns. Each may itself
//! do anything, so that cancels nest: a cancel within a delivery has its own
//! deliveries, and all of them come before it returns.
//!
//! Among the deliveries of one cancel the order is that of registration within
//! a node, and parents before children (V17). Else it is not promised.

use super::callbacks::Callback;
use super::waits::Wait;
use super::{Node, Reference};

/// How a node ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct End {
    /// Where the cancel began.
    pub(crate) origin: Node,
    pub(crate) cause: Option<u32>,
    /// The line that cancelled.
    pub(crate) line: u32,
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
    /// What a node is done by when it is made, or when something becomes done.
    pub(super) fn end_from_above(&self, node: Node) -> Option<End> {
        let state = &self.nodes[node];
        if state.facets.shielded {
            return None;
        }
        self.nodes[state.parent?].end
    }

    /// A call of `cancel` begins. True: it is the one that cancels.
    pub(crate) fn cancel(&mut self, node: Node, cause: Option<u32>, line: u32) -> bool {
        let end = End {
            origin: node,
            cause,
            line,
        };
        let wins = self.nodes[node].end.is_none();
        if wins {
            self.nodes[node].end = Some(end);
            self.mark();
        }
        let mut due = self.claim_waits();
        due.extend(self.claim_callbacks());
        self.begin(due);
        wins
    }

    /// A call begins that must deliver this.
    pub(super) fn begin(&mut self, due: Vec<Due>) {
        self.cancels.push(Cancel { due, panic: None });
    }

    /// All that hangs on something done becomes done.
    fn mark(&mut self) {
        let live = |at: &Self, node: Node| at.nodes[node].end.is_none();
        for node in 0..self.nodes.len() {
            if live(self, node) {
                self.nodes[node].end = self.end_from_above(node);
            }
        }
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
                false => self.is_below(first.node, other.node),
            };
            assert!(!before, "{first:?} came before {other:?}");
        }
        let cancel = self.cancels.last_mut();
        cancel.expect("found above").due.remove(place);
        if let Delivery::Run { callback } = delivery {
            self.runs(callback);
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
