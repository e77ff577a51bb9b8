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
//! | `sources` | what a node is derived from outside the tree |
//! | `look` | what a snapshot shows |
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
//! - Of several parents that are done when a node is made, the one it hangs below
//!   counts, then the first of the others as they were given.
//! - A link keeps those of its other parents that can be done, until it is done
//!   itself: what is above them still reaches it.
//! - Where a cancel reaches a node by several ways, as a link has them, what is
//!   on it comes before or after what is on either of its parents.
//! - A node that is kept for a link only counts as a live child, and is shown in
//!   a snapshot.
//! - A source that fires is kept by the node that it ended, as long as that is
//!   there. Else the end of a node is the end of its source.
//! - The parent that a node hangs below is no other parent of it, unless the node
//!   is shielded from it.
//! - On a root, a callback goes with its registration.

mod callbacks;
mod cancels;
mod look;
mod sources;
mod waits;

pub(crate) use callbacks::{Callback, Stop};
pub(crate) use cancels::{Delivery, End};
pub(crate) use look::Row;
pub(crate) use waits::Wait;

/// A place in [`Reference::nodes`]. A parent's is smaller than its children's.
pub(crate) type Node = usize;

/// The roots, which are never done.
pub(crate) const BACKGROUND: Node = 0;
pub(crate) const TODO: Node = 1;

/// What a value is found by. Two keys are the same if they have one number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) number: usize,
    /// Whether it is a type.
    pub(crate) is_type: bool,
    pub(crate) label: &'static str,
}

/// What a node is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// `background` or `todo`.
    Root,
    /// By `with_cancel`.
    Cancel,
    /// By `without_cancel`.
    Shield,
    /// By `with_value` or `with_key`.
    Value,
    /// By `link`.
    Link,
    /// By `from_source`.
    Source(&'static str),
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
    /// Its other parents, none twice.
    others: Vec<Node>,
    /// No two under one key.
    values: Vec<(Key, u32)>,
}

impl Facets {
    pub(crate) fn of(kind: Kind) -> Self {
        Self {
            kind,
            name: None,
            shielded: matches!(kind, Kind::Root | Kind::Shield),
            others: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Gives a value, which replaces one that was given before.
    pub(crate) fn give(&mut self, key: Key, value: u32) {
        self.values.retain(|(other, _)| other.number != key.number);
        self.values.push((key, value));
    }

    /// Gives another parent, besides the one it will hang below.
    pub(crate) fn link(&mut self, other: Node) {
        if !self.others.contains(&other) {
            self.others.push(other);
        }
    }

    /// What `Display` says of a node without a name.
    fn made_by(&self) -> String {
        match self.kind {
            Kind::Root => unreachable!("roots are named"),
            Kind::Cancel => "with_cancel".to_owned(),
            Kind::Shield => "without_cancel".to_owned(),
            Kind::Derived => "derive".to_owned(),
            Kind::Link => format!("link({})", self.others.len()),
            Kind::Source(label) => format!("from_source({label})"),
            Kind::Value => {
                let (key, _) = self.values[0];
                let what = if key.is_type { "value" } else { "key" };
                format!("with_{what}({})", key.label)
            }
        }
    }

    /// Whether a `CancelHandle` comes with the context.
    pub(crate) fn has_handle(&self) -> bool {
        !matches!(self.kind, Kind::Root | Kind::Shield | Kind::Value)
    }
}

struct NodeState {
    /// None for the roots.
    parent: Option<Node>,
    facets: Facets,
    handles: usize,
    end: Option<End>,
    /// Whether it keeps the cause itself: it was cancelled, or over a link.
    keeps_cause: bool,
}

pub(crate) struct Reference {
    nodes: Vec<NodeState>,
    waits: Vec<waits::WaitState>,
    callbacks: Vec<callbacks::CallbackState>,
    sources: Vec<sources::SourceState>,
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
            keeps_cause: false,
        };
        Self {
            nodes: vec![root("background"), root("todo")],
            waits: Vec::new(),
            callbacks: Vec::new(),
            sources: Vec::new(),
            registrations: 0,
            cancels: Vec::new(),
        }
    }

    /// A new node, without a handle yet. It is done if what it would be
    /// cancelled by is done (V5).
    pub(crate) fn derive(&mut self, parent: Node, mut facets: Facets) -> Node {
        if !facets.shielded {
            facets.others.retain(|&other| other != parent);
        }
        self.nodes.push(NodeState {
            parent: Some(parent),
            facets,
            handles: 0,
            end: None,
            keeps_cause: false,
        });
        let node = self.nodes.len() - 1;
        self.inherit(node);
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
        let title = self.title(node);
        match self.nodes[node].parent {
            None => title,
            Some(parent) => format!("{}.{title}", self.path(parent)),
        }
    }

    /// Its part of a path.
    pub(crate) fn title(&self, node: Node) -> String {
        let facets = &self.nodes[node].facets;
        facets.name.clone().unwrap_or_else(|| facets.made_by())
    }

    /// The nearest value under a key, here or above; nothing hides it but
    /// another one (V20).
    pub(crate) fn value(&self, node: Node, key: Key) -> Option<u32> {
        let NodeState { parent, facets, .. } = &self.nodes[node];
        let own = facets
            .values
            .iter()
            .find(|(own, _)| own.number == key.number);
        match own {
            Some((_, value)) => Some(*value),
            None => parent.and_then(|parent| self.value(parent, key)),
        }
    }

    /// Whether each node has a handle, or is linked to by one that is kept and
    /// not done, or has one below it that is kept.
    pub(crate) fn kept(&self) -> Vec<bool> {
        let mut kept: Vec<bool> = self.nodes.iter().map(|node| node.handles > 0).collect();
        for (node, state) in self.nodes.iter().enumerate().rev() {
            if let (true, Some(parent)) = (kept[node], state.parent) {
                kept[parent] = true;
            }
            if kept[node] && state.end.is_none() {
                for &other in &state.facets.others {
                    kept[other] |= self.is_cancelable(other);
                }
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

    /// The causes that exist.
    pub(crate) fn causes(&self, kept: &[bool]) -> Vec<u32> {
        let nodes = self.nodes.iter().zip(kept);
        let keeping = nodes.filter(|(node, kept)| **kept && node.keeps_cause);
        let mut causes = sorted(keeping.filter_map(|(node, _)| node.end?.cause));
        causes.dedup();
        causes
    }

    /// The values that exist: a node keeps its own, for all that is below.
    pub(crate) fn values(&self, kept: &[bool]) -> Vec<u32> {
        let nodes = self.nodes.iter().zip(kept).filter(|(_, kept)| **kept);
        let values = nodes.flat_map(|(node, _)| &node.facets.values);
        sorted(values.map(|(_, value)| *value))
    }
}

fn sorted(numbers: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    numbers
}
