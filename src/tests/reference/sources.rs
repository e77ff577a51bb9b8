//! Foreign sources as parents.

use super::{Facets, Node, Reference, sorted};

/// A place in [`Reference::sources`].
pub(super) type Source = usize;

pub(super) struct SourceState {
    node: Node,
    cause: Option<u32>,
    /// Whether it was registered, and has not fired by then.
    registered: bool,
    /// Whether it ended its node.
    fired: bool,
}

impl Reference {
    /// A new node that is also done when a source is. The source tells this
    /// cause then; it may be done by the time the node is made.
    pub(crate) fn derive_from(
        &mut self,
        parent: Node,
        facets: Facets,
        cause: Option<u32>,
        is_done: bool,
    ) -> (Node, Source) {
        let node = self.derive(parent, facets);
        let registered = self.nodes[node].end.is_none() && !is_done;
        if is_done {
            // Nothing to deliver, as nobody knows the node yet.
            self.cancel(node, cause, None);
            self.cancelled();
        }
        self.sources.push(SourceState {
            node,
            cause,
            registered,
            fired: false,
        });
        (node, self.sources.len() - 1)
    }

    /// A source fires: a call that cancels begins.
    pub(crate) fn fire(&mut self, source: Source) {
        let SourceState { node, cause, .. } = self.sources[source];
        if self.kept()[node] && self.nodes[node].end.is_none() {
            self.sources[source].fired = true;
            self.cancel(node, cause, None);
        } else {
            self.begin(Vec::new());
        }
    }

    /// The sources that exist, and are registered.
    pub(crate) fn sources(&self, kept: &[bool]) -> Vec<u32> {
        let alive = |source: &Source| {
            let state = &self.sources[*source];
            let waits = state.fired || self.nodes[state.node].end.is_none();
            state.registered && waits && kept[state.node]
        };
        let all = 0..self.sources.len();
        sorted(all.filter(alive).map(|source| source as u32))
    }
}
