//! A look at a subtree.

use super::{Node, NodeState, Reference};

/// What is shown of one node.
pub(crate) struct Row {
    pub(crate) node: Node,
    /// None for the node that was asked.
    pub(crate) parent: Option<Node>,
    pub(crate) depth: usize,
    /// Whether it lives for what is below it only.
    pub(crate) orphaned: bool,
    pub(crate) children: usize,
    pub(crate) waiters: usize,
    pub(crate) callbacks: usize,
}

impl Reference {
    /// A node and all below it that is held, or has something held below, done
    /// or not: parents before their children, those in the order they were
    /// derived in. A root knows no children.
    pub(crate) fn tree(&self, node: Node) -> Vec<Row> {
        let mut rows = Vec::new();
        self.look(node, None, 0, &self.held(), &mut rows);
        rows
    }

    fn look(
        &self,
        node: Node,
        parent: Option<Node>,
        depth: usize,
        held: &[bool],
        rows: &mut Vec<Row>,
    ) {
        let is_child = |child: &Node| {
            let of = self.nodes[*child].parent.filter(|_| held[*child]);
            of == Some(node) && self.nodes[node].parent.is_some()
        };
        let children: Vec<Node> = (0..self.nodes.len()).filter(is_child).collect();
        rows.push(Row {
            node,
            parent,
            depth,
            orphaned: self.nodes[node].handles == 0,
            children: children.len(),
            waiters: self.waiters(node),
            callbacks: self.callbacks_left(node),
        });
        for child in children {
            self.look(child, Some(node), depth + 1, held, rows);
        }
    }

    /// Whether it is shown where the cancel began that ended this node: not if
    /// it came over a link, or may have.
    pub(crate) fn shows_origin(&self, node: Node) -> bool {
        let NodeState {
            parent,
            facets,
            end,
            ..
        } = &self.nodes[node];
        let above = || parent.is_none_or(|parent| self.shows_origin(parent));
        match end {
            Some(end) if end.origin != node => facets.others.is_empty() && above(),
            _ => true,
        }
    }
}
