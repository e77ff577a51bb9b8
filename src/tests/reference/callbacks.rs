//! Callbacks that are registered on a node.

use super::cancels::{Delivery, Due};
use super::{Node, Reference, TODO, sorted};

/// A place in [`Reference::callbacks`].
pub(crate) type Callback = usize;

pub(super) struct CallbackState {
    node: Node,
    /// When it was registered, among all registrations.
    since: usize,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// It will run if the node is cancelled, and is dropped if the node goes.
    Registered,
    /// A cancel under way will run it.
    Due,
    Running,
    Finished,
    Stopped,
}

/// What an attempt to stop says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    Prevented,
    Running,
    Finished,
    AlreadyStopped,
}

impl Reference {
    /// Registers a callback. On a node that is done it is due in this very
    /// call, which ends by [`Reference::cancelled`].
    pub(crate) fn after_cancel(&mut self, node: Node) -> Callback {
        self.registrations += 1;
        self.callbacks.push(CallbackState {
            node,
            since: self.registrations,
            stage: Stage::Registered,
        });
        let callback = self.callbacks.len() - 1;
        let due = self.nodes[node].end.map(|_| self.claim_callback(callback));
        self.begin(due.into_iter().collect());
        callback
    }

    /// Callbacks on nodes that are done are due. Those of a node that went
    /// before are gone.
    pub(super) fn claim_callbacks(&mut self, kept: &[bool]) -> Vec<Due> {
        let hit = |callback: &Callback| {
            let state = &self.callbacks[*callback];
            let done = kept[state.node] && self.nodes[state.node].end.is_some();
            done && state.stage == Stage::Registered
        };
        let hit: Vec<Callback> = (0..self.callbacks.len()).filter(hit).collect();
        let due = hit
            .into_iter()
            .map(|callback| self.claim_callback(callback));
        due.collect()
    }

    fn claim_callback(&mut self, callback: Callback) -> Due {
        let state = &mut self.callbacks[callback];
        state.stage = Stage::Due;
        Due {
            delivery: Delivery::Run { callback },
            node: state.node,
            since: state.since,
        }
    }

    pub(super) fn runs(&mut self, callback: Callback) {
        self.callbacks[callback].stage = Stage::Running;
    }

    /// A callback returns, or panics.
    pub(crate) fn ran(&mut self, callback: Callback) {
        self.callbacks[callback].stage = Stage::Finished;
    }

    pub(crate) fn registered_on(&self, callback: Callback) -> Node {
        self.callbacks[callback].node
    }

    /// `stop`, and `stop_and_join` where there is one thread; also a dropped
    /// registration, whoever asks.
    pub(crate) fn stop(&mut self, callback: Callback) -> Stop {
        match self.callbacks[callback].stage {
            Stage::Running => Stop::Running,
            Stage::Finished => Stop::Finished,
            Stage::Stopped => Stop::AlreadyStopped,
            Stage::Registered | Stage::Due => {
                self.callbacks[callback].stage = Stage::Stopped;
                self.withdraw(|due| due == Delivery::Run { callback });
                Stop::Prevented
            }
        }
    }

    /// The registration goes and leaves the callback, which is dropped on a
    /// root.
    pub(crate) fn detach(&mut self, callback: Callback) {
        if is_root(self.callbacks[callback].node) {
            self.stop(callback);
        }
    }

    /// How many callbacks a node would run.
    pub(super) fn callbacks_left(&self, node: Node) -> usize {
        let left = self.callbacks.iter().filter(|state| {
            state.node == node && state.stage == Stage::Registered && !is_root(node)
        });
        left.count()
    }

    /// The callbacks whose closures exist.
    pub(crate) fn closures(&self, kept: &[bool]) -> Vec<u32> {
        let alive = |callback: &Callback| {
            let CallbackState { node, stage, .. } = self.callbacks[*callback];
            match stage {
                Stage::Registered => kept[node] || is_root(node),
                Stage::Due | Stage::Running => true,
                Stage::Finished | Stage::Stopped => false,
            }
        };
        let all = 0..self.callbacks.len();
        sorted(all.filter(alive).map(|callback| callback as u32))
    }
}

/// The roots never end, and keep no callbacks.
fn is_root(node: Node) -> bool {
    node <= TODO
}
