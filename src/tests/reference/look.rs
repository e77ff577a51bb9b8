//! A look at a subtree.

use super::{Node, Reference};

/// What is shown of one node.
pub(crate) struct Row {
    pub(crate) node: Node,
    /// None for the node that was asked.
    pub(crate) parent: Option<Node>,
    pub(crate) depth: usize,
    /// Whether it lives for what is below it, or linked to it, only.
    pub(crate) orphaned: bool,
    pub(crate) children: usize,
    pub(crate) links: usize,
    pub(crate) waiters: usize,
    pub(crate) callbacks: usize,
}

impl Reference {
    /// A node and all below it that is kept, done or not: parents before their
    /// children, those in the order they were derived in. A root knows no
    /// children.
    pub(crate) fn tree(&self, node: Node, kept: &[bool]) -> Vec<Row> {
        let mut rows = Vec::new();
        self.look(node, None, 0, kept, &mut rows);
        rows
    }

    /// Whether nobody holds anything below a node (V22).
    pub(crate) fn is_idle(&self, node: Node) -> bool {
        let kept = self.kept();
        let of = |child: &Node| kept[*child] && self.nodes[*child].parent == Some(node);
        let children = (0..self.nodes.len()).filter(of);
        children.count() + self.links_to(node, &kept) == 0
    }

    /// How many nodes hear from this one as another parent.
    fn links_to(&self, node: Node, kept: &[bool]) -> usize {
        let linked = self.nodes.iter().zip(kept).filter(|(linked, kept)| {
            **kept && linked.end.is_none() && linked.facets.others.contains(&node)
        });
        match self.is_cancelable(node) {
            true => linked.count(),
            false => 0,
        }
    }

    fn look(
        &self,
        node: Node,
        parent: Option<Node>,
        depth: usize,
        kept: &[bool],
        rows: &mut Vec<Row>,
    ) {
        let is_child = |child: &Node| {
            let of = self.nodes[*child].parent.filter(|_| kept[*child]);
            of == Some(node) && self.nodes[node].parent.is_some()
        };
        let children: Vec<Node> = (0..self.nodes.len()).filter(is_child).collect();
        rows.push(Row {
            node,
            parent,
            depth,
            orphaned: self.nodes[node].handles == 0,
            children: children.len(),
            links: self.links_to(node, kept),
            waiters: self.waiters(node),
            callbacks: self.callbacks_left(node),
        });
        for child in children {
            self.look(child, Some(node), depth + 1, kept, rows);
        }
    }
}
