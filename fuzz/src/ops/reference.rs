//! What the library should do, as plainly as it can be said: nodes in a vector,
//! found by looking at all of them.

use super::Kind;

/// A place in [`Reference::nodes`]. A parent's is smaller than its children's.
pub(super) type Node = usize;
/// A place in [`Reference::waits`].
pub(super) type Wait = usize;

/// The node that is never done.
pub(super) const BACKGROUND: Node = 0;

/// How a node ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct End {
    pub(super) origin: Node,
    pub(super) cause: Option<u32>,
    pub(super) line: u32,
}

struct NodeState {
    parent: Node,
    kind: Kind,
    handles: usize,
    end: Option<End>,
}

struct WaitState {
    node: Node,
    /// The waker to wake, while it is registered.
    registered: Option<bool>,
    /// When it was registered, among all waits.
    since: usize,
}

pub(super) struct Reference {
    nodes: Vec<NodeState>,
    waits: Vec<WaitState>,
    registrations: usize,
}

/// A wake that must come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wake {
    pub(super) wait: Wait,
    pub(super) waker: bool,
}

impl Reference {
    pub(super) fn new() -> Self {
        let background = NodeState {
            parent: BACKGROUND,
            kind: Kind::Shielded,
            handles: 1,
            end: None,
        };
        Self {
            nodes: vec![background],
            waits: Vec::new(),
            registrations: 0,
        }
    }

    /// A new node, without a handle yet.
    pub(super) fn derive(&mut self, parent: Node, kind: Kind) -> Node {
        let end = match kind {
            Kind::Shielded => None,
            Kind::Plain | Kind::Named => self.nodes[parent].end,
        };
        self.nodes.push(NodeState {
            parent,
            kind,
            handles: 0,
            end,
        });
        self.nodes.len() - 1
    }

    pub(super) fn hold(&mut self, node: Node) {
        self.nodes[node].handles += 1;
    }

    pub(super) fn let_go(&mut self, node: Node) {
        self.nodes[node].handles -= 1;
    }

    pub(super) fn kind(&self, node: Node) -> Kind {
        self.nodes[node].kind
    }

    pub(super) fn end(&self, node: Node) -> Option<End> {
        self.nodes[node].end
    }

    /// Cancels; the wakes that this must lead to, in any order.
    pub(super) fn cancel(&mut self, node: Node, cause: Option<u32>, line: u32) -> Vec<Wake> {
        if self.nodes[node].end.is_some() {
            return Vec::new();
        }
        let origin = node;
        self.nodes[node].end = Some(End {
            origin,
            cause,
            line,
        });
        for child in node + 1..self.nodes.len() {
            let above = self.nodes[self.nodes[child].parent].end;
            let below = &mut self.nodes[child];
            if below.end.is_none() && below.kind != Kind::Shielded {
                below.end = above;
            }
        }
        let mut wakes = Vec::new();
        for (wait, state) in self.waits.iter_mut().enumerate() {
            if self.nodes[state.node].end.is_some() {
                let waker = state.registered.take();
                wakes.extend(waker.map(|waker| Wake { wait, waker }));
            }
        }
        wakes
    }

    /// Whether the second wake may come after the first.
    pub(super) fn in_order(&self, first: Wake, second: Wake) -> bool {
        let (first, second) = (&self.waits[first.wait], &self.waits[second.wait]);
        if first.node == second.node {
            return first.since < second.since;
        }
        !self.path(first.node).contains(&second.node)
    }

    /// The nodes from `background` down to this one.
    pub(super) fn path(&self, node: Node) -> Vec<Node> {
        let mut path = vec![node];
        let mut at = node;
        while at != BACKGROUND {
            at = self.nodes[at].parent;
            path.push(at);
        }
        path.reverse();
        path
    }

    /// Whether each node has a handle, or something below it has.
    fn kept(&self) -> Vec<bool> {
        let mut kept: Vec<bool> = self.nodes.iter().map(|node| node.handles > 0).collect();
        for node in (1..self.nodes.len()).rev() {
            if kept[node] {
                kept[self.nodes[node].parent] = true;
            }
        }
        kept
    }

    pub(super) fn live_children(&self, node: Node) -> usize {
        if node == BACKGROUND {
            return 0;
        }
        let kept = self.kept();
        (node + 1..self.nodes.len())
            .filter(|&child| self.nodes[child].parent == node)
            .filter(|&child| kept[child] && self.nodes[child].end.is_none())
            .count()
    }

    /// How many causes exist: the node that was cancelled keeps its own.
    pub(super) fn causes(&self) -> usize {
        let kept = self.kept();
        let ends = self.nodes.iter().enumerate();
        ends.filter(|&(node, state)| {
            kept[node]
                && state
                    .end
                    .is_some_and(|end| end.origin == node && end.cause.is_some())
        })
        .count()
    }

    /// A new wait, which holds its node.
    pub(super) fn wait(&mut self, node: Node) -> Wait {
        self.hold(node);
        self.waits.push(WaitState {
            node,
            registered: None,
            since: 0,
        });
        self.waits.len() - 1
    }

    /// Polls; true = ready.
    pub(super) fn poll(&mut self, wait: Wait, waker: bool) -> bool {
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

    pub(super) fn waits_for(&self, wait: Wait) -> Node {
        self.waits[wait].node
    }

    pub(super) fn registered(&self, wait: Wait) -> Option<bool> {
        self.waits[wait].registered
    }

    pub(super) fn drop_wait(&mut self, wait: Wait) {
        self.waits[wait].registered = None;
        self.let_go(self.waits[wait].node);
    }
}
