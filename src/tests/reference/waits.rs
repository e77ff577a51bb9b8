//! Waits that are registered on a node.

use super::cancels::{Delivery, Due};
use super::{Node, Reference};

/// A place in [`Reference::waits`].
pub(crate) type Wait = usize;

pub(super) struct WaitState {
    pub(super) node: Node,
    /// The waker to wake, while it is registered.
    pub(super) registered: Option<bool>,
    /// When it was registered, among all registrations.
    pub(super) since: usize,
}

impl Reference {
    /// A new wait, which holds its node.
    pub(crate) fn wait(&mut self, node: Node) -> Wait {
        self.hold(node);
        self.waits.push(WaitState {
            node,
            registered: None,
            since: 0,
        });
        self.waits.len() - 1
    }

    /// Polls; true = ready. The last waker counts, the place in the order is
    /// that of the first (V16, V17).
    pub(crate) fn poll(&mut self, wait: Wait, waker: bool) -> bool {
        let state = &mut self.waits[wait];
        if self.nodes[state.node].end.is_some() {
            return true;
        }
        if state.registered.replace(waker).is_none() {
            self.registrations += 1;
            state.since = self.registrations;
        }
        false
    }

    /// Waits for nodes that are done are due.
    pub(super) fn claim_waits(&mut self) -> Vec<Due> {
        let mut due = Vec::new();
        for (wait, state) in self.waits.iter_mut().enumerate() {
            if self.nodes[state.node].end.is_some() {
                due.extend(state.registered.take().map(|waker| Due {
                    delivery: Delivery::Wake { wait, waker },
                    node: state.node,
                    since: state.since,
                }));
            }
        }
        due
    }

    pub(crate) fn waits_for(&self, wait: Wait) -> Node {
        self.waits[wait].node
    }

    /// The waker that the library must keep. None need be kept for a wait that
    /// can never end.
    pub(crate) fn keeps_waker(&self, wait: Wait) -> Option<bool> {
        let state = &self.waits[wait];
        let registered = state.registered;
        registered.filter(|_| self.is_cancelable(state.node))
    }

    /// How many tasks wait for a node.
    pub(super) fn waiters(&self, node: Node) -> usize {
        let waits = 0..self.waits.len();
        let here = waits.filter(|&wait| self.waits[wait].node == node);
        here.filter(|&wait| self.keeps_waker(wait).is_some())
            .count()
    }

    /// Drops a wait. What is due to it does not come any more.
    pub(crate) fn drop_wait(&mut self, wait: Wait) {
        self.waits[wait].registered = None;
        self.withdraw(|due| matches!(due, Delivery::Wake { wait: dropped, .. } if dropped == wait));
        self.let_go(self.waits[wait].node);
    }
}
