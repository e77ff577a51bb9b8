//! A snapshot, from the rows of the walk.

use super::{Node, dot};
use crate::protocol::Row;

/// A context and what lived below it, as
/// [`Context::tree`](crate::Context::tree) saw them.
///
/// Plain data: it keeps no context, and goes stale as the tree goes on.
/// `Display` is a text tree, [`to_dot`](Snapshot::to_dot) is for Graphviz.
/// Names, states and counts are in it, values and causes never.
///
/// # Text
///
/// One line a context, children indented below their parent: the name, or what
/// made it, then the id. A done one says `cancelled` or `deadline exceeded`; one
/// that nobody holds any more, but something below it, says `orphaned`; then the
/// numbers of links to it, waiters and callbacks. Line breaks and other control
/// characters in a name are escaped, and so are those that turn the direction
/// of text. Lines more than 32 levels down are indented no further, and begin
/// with their depth in brackets.
///
/// # Examples
///
/// ```
/// use ctxtree::Context;
///
/// let (server, _stop) = Context::background().derive().name("server").build();
/// let (request, cancel) = server.derive().name("GET /").build();
/// let (query, _) = request.with_cancel();
/// let log = server.without_cancel();
/// let ids = [server.id(), request.id(), query.id(), log.id()];
/// cancel.cancel();
/// drop((request, cancel));
///
/// let [server_id, request_id, query_id, log_id] = ids;
/// let lines = [
///     format!("server {server_id}"),
///     format!("  GET / {request_id}, cancelled, orphaned"),
///     format!("    with_cancel {query_id}, cancelled"),
///     format!("  without_cancel {log_id}"),
/// ];
/// assert!(server.tree().to_string().lines().eq(lines));
/// ```
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) nodes: Vec<Node>,
}

impl Snapshot {
    /// Every context of the snapshot, the one that was asked first.
    ///
    /// A parent comes before its children, and all that is below a child before
    /// the next child. Children come in the order they were derived in, where
    /// one thread derived them all.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (root, _stop) = Context::background().with_cancel();
    /// let (child, _) = root.with_cancel();
    /// let tree = root.tree();
    /// let nodes: Vec<_> = tree.nodes().collect();
    /// assert_eq!(nodes.len(), 2);
    /// assert_eq!((nodes[0].id(), nodes[0].children()), (root.id(), 1));
    /// assert_eq!((nodes[1].id(), nodes[1].parent()), (child.id(), Some(root.id())));
    /// ```
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = &Node> + ExactSizeIterator + Clone {
        self.nodes.iter()
    }

    /// The tree in the language of [Graphviz](https://graphviz.org), for `dot`.
    ///
    /// A box a context, with the same text as in the text tree; done ones are
    /// filled, orphaned ones dashed. Names may hold anything.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, _handle) = Context::background().derive().name("a \"b\"").build();
    /// let dot = ctx.tree().to_dot();
    /// assert!(dot.starts_with("digraph contexts {\n"));
    /// assert!(dot.contains(r#"[label="a \"b\"\n#"#));
    /// ```
    #[must_use]
    pub fn to_dot(&self) -> String {
        let mut out = String::new();
        dot::graph(&self.nodes, &mut out).expect("a string takes all that is written");
        out
    }

    /// Puts the rows of the walk, where newer children come first, the other
    /// way round.
    pub(super) fn new(rows: Vec<Row>) -> Snapshot {
        // The oldest child of each row, and its next newer sibling.
        let mut first = vec![None; rows.len()];
        let mut next = vec![None; rows.len()];
        for (at, row) in rows.iter().enumerate() {
            if let Some(parent) = row.parent {
                next[at] = first[parent].replace(at);
            }
        }
        let mut rows: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
        let mut nodes = Vec::<Node>::with_capacity(rows.len());
        // The rows from the first one down to the last one moved, each with its
        // place among the nodes.
        let mut path = Vec::<(usize, usize)>::new();
        let mut at = (!rows.is_empty()).then_some(0);
        while let Some(row) = at {
            let parent = path.last().map(|&(_, place)| &nodes[place]);
            let moved = rows[row].take().expect("a row is met once");
            let node = Node::new(moved, parent);
            path.push((row, nodes.len()));
            nodes.push(node);
            at = first[row];
            while at.is_none() {
                let Some((done, _)) = path.pop() else { break };
                at = next[done];
            }
        }
        Snapshot { nodes }
    }
}
