//! What the library should do, as plainly as it can be said: nodes in a vector,
//! found by looking at all of them. One thread, nothing freed, no cleverness.
//!
//! It says what every handle must answer, what must be delivered by a cancel
//! and which of it in which order, and what must still be kept. It is not told
//! what the library did: the one thing it leaves open is the order among nodes
//! of which neither is above the other, and there it follows (`cancels`).
//!
//! | file | what |
//! |---|---|
//! | this | nodes: derived, held, done; what a handle can ask |
//! | `cancels` | what a cancel marks, and what it must deliver |
//! | `waits`, `callbacks` | what is registered on a node |
//!
//! # Where the contract leaves a choice
//!
//! - A wait that is due to be woken, and is polled before it is its turn, is
//!   ready, and still woken. One that is dropped before its turn is not.
//! - A callback that is due runs, also if what comes before it lets go of the
//!   last handle of its node. One that is stopped before its turn does not.
//! - A callback that was dropped with its node was prevented: that is what the
//!   first `stop` says.
//! - On a node that can never be done, a callback goes with its registration,
//!   whether or not the node is still there.

mod callbacks;
mod cancels;
mod waits;

pub(crate) use callbacks::{Callback, Stop};
pub(crate) use cancels::{Delivery, End};
pub(crate) use waits::Wait;

/// A place in [`Reference::nodes`]. A parent's is smaller than its children's.
pub(crate) type Node = usize;

/// The roots, which are never done.
pub(crate) const BACKGROUND: Node = 0;
pub(crate) const TODO: Node = 1;

/// What a node is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// `background` or `todo`.
    Root,
    /// By `with_cancel`.
    Cancel,
    /// By `without_cancel`.
    Shield,
    /// By the builder.
    Derived,
}

/// What a node is made with.
#[derive(Clone, Debug)]
pub(crate) struct Facets {
    pub(crate) kind: Kind,
    pub(crate) name: Option<String>,
    /// Whether a cancel from above stops here.
    pub(crate) shielded: bool,
}

impl Facets {
    pub(crate) fn of(kind: Kind) -> Self {
        Self {
            kind,
            name: None,
            shielded: matches!(kind, Kind::Root | Kind::Shield),
        }
    }

    /// What `Display` says of a node without a name.
    fn made_by(&self) -> String {
        match self.kind {
            Kind::Root => unreachable!("roots are named"),
            Kind::Cancel => "with_cancel".to_owned(),
            Kind::Shield => "without_cancel".to_owned(),
            Kind::Derived => "derive".to_owned(),
        }
    }

    /// Whether a `CancelHandle` comes with the context.
    pub(crate) fn has_handle(&self) -> bool {
        matches!(self.kind, Kind::Cancel | Kind::Derived)
    }
}

struct NodeState {
    /// None for the roots.
    parent: Option<Node>,
    facets: Facets,
    handles: usize,
    end: Option<End>,
}

pub(crate) struct Reference {
    nodes: Vec<NodeState>,
    waits: Vec<waits::WaitState>,
    callbacks: Vec<callbacks::CallbackState>,
    /// How many registrations there were: their order.
    registrations: usize,
    /// Cancels under way, the innermost last.
    cancels: Vec<cancels::Cancel>,
}

impl Reference {
    pub(crate) fn new() -> Self {
        let root = |name: &str| NodeState {
            parent: None,
            facets: Facets {
                name: Some(name.to_owned()),
                ..Facets::of(Kind::Root)
            },
            handles: 1,
            end: None,
        };
        Self {
            nodes: vec![root("background"), root("todo")],
            waits: Vec::new(),
            callbacks: Vec::new(),
            registrations: 0,
            cancels: Vec::new(),
        }
    }

    /// A new node, without a handle yet. It is done if what it would be
    /// cancelled by is done (V5).
    pub(crate) fn derive(&mut self, parent: Node, facets: Facets) -> Node {
        self.nodes.push(NodeState {
            parent: Some(parent),
            facets,
            handles: 0,
            end: None,
        });
        let node = self.nodes.len() - 1;
        self.nodes[node].end = self.end_from_above(node);
        node
    }

    /// One more handle.
    pub(crate) fn hold(&mut self, node: Node) {
        self.nodes[node].handles += 1;
    }

    /// One handle less. That cancels nothing (V9).
    pub(crate) fn let_go(&mut self, node: Node) {
        self.nodes[node].handles -= 1;
    }

    /// Why a node is done.
    pub(crate) fn end(&self, node: Node) -> Option<End> {
        self.nodes[node].end
    }

    /// Whether it may ever be done: somebody can cancel it, or what is above.
    pub(crate) fn is_cancelable(&self, node: Node) -> bool {
        let NodeState { parent, facets, .. } = &self.nodes[node];
        let from_above = parent.is_some_and(|parent| self.is_cancelable(parent));
        facets.has_handle() || !facets.shielded && from_above
    }

    /// Its own name, not an ancestor's.
    pub(crate) fn name(&self, node: Node) -> Option<&str> {
        let facets = &self.nodes[node].facets;
        facets.name.as_deref().filter(|_| facets.kind != Kind::Root)
    }

    /// `Display`.
    pub(crate) fn path(&self, node: Node) -> String {
        let NodeState { parent, facets, .. } = &self.nodes[node];
        let part = facets.name.clone().unwrap_or_else(|| facets.made_by());
        match parent {
            None => part,
            Some(parent) => format!("{}.{part}", self.path(*parent)),
        }
    }

    /// Whether `above` is on the path from `node` to the root, or `node`.
    fn is_below(&self, node: Node, above: Node) -> bool {
        node == above
            || self.nodes[node]
                .parent
                .is_some_and(|p| self.is_below(p, above))
    }

    /// Whether each node has a handle, or something below it has.
    pub(crate) fn kept(&self) -> Vec<bool> {
        let mut kept: Vec<bool> = self.nodes.iter().map(|node| node.handles > 0).collect();
        for (node, state) in self.nodes.iter().enumerate().rev() {
            if let (true, Some(parent)) = (kept[node], state.parent) {
                kept[parent] = true;
            }
        }
        kept
    }

    /// Direct children that are not done, and kept. A root knows none.
    pub(crate) fn live_children(&self, node: Node, kept: &[bool]) -> usize {
        let children = self.nodes.iter().zip(kept);
        let live = children
            .filter(|(child, kept)| **kept && child.parent == Some(node) && child.end.is_none());
        match self.nodes[node].facets.kind {
            Kind::Root => 0,
            _ => live.count(),
        }
    }

    /// The causes that exist: the node that was cancelled keeps its own.
    pub(crate) fn causes(&self, kept: &[bool]) -> Vec<u32> {
        let nodes = self.nodes.iter().enumerate();
        let causes = nodes.filter_map(|(node, state)| {
            let own = state.end.filter(|end| kept[node] && end.origin == node);
            own?.cause
        });
        sorted(causes)
    }
}

fn sorted(numbers: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    numbers
}
