//! A snapshot, from the rows of the walk.

use super::{Node, dot, html, mermaid};
use crate::protocol::Row;

/// A context and what lived below it, as
/// [`Context::tree`](crate::Context::tree) saw them.
///
/// Plain data: it keeps no context, and goes stale as the tree goes on.
/// Names, states and counts are in it, values and causes never.
///
/// | picture | for |
/// |---|---|
/// | `Display`, a text tree | a log, a terminal, a test that failed |
/// | [`to_html`](Snapshot::to_html), a page | a browser, from a file or a server's debug route: any size, to fold and search |
/// | [`to_mermaid`](Snapshot::to_mermaid), a chart | an issue, a pull request or a wiki: up to 500 boxes |
/// | [`to_dot`](Snapshot::to_dot), a graph | Graphviz, for an image |
///
/// All of them take names as they are: nothing in a name can break a picture, or
/// put markup or a script into it.
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

    /// The tree as a flowchart for [Mermaid](https://mermaid.js.org), which
    /// GitHub, GitLab and others draw from a code block marked `mermaid`.
    ///
    /// A box a context, with the same text as in the text tree; done ones are
    /// filled, orphaned ones dashed. Names may hold anything: what Mermaid or
    /// Markdown would take as its own is escaped, or kept apart by characters of no
    /// width, and a backtick is shown as `\u{60}`. Of a name longer than 60
    /// characters the first 60 are shown, and an ellipsis.
    ///
    /// Viewers refuse a chart of more than 500 edges or 50,000 characters. What
    /// this gives is always below both. A tree that does not fit is shown from
    /// the top, level by level, as far as it does; each context with more below
    /// it has a round box there that tells how many, so that all are shown or
    /// counted once.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (server, _stop) = Context::background().derive().name("server").build();
    /// let (job, cancel) = server.derive().name("say \"hi\"").build();
    /// cancel.cancel();
    /// let chart = server.tree().to_mermaid();
    /// assert!(chart.starts_with("flowchart TD\n"));
    /// let [top, below] = [server.id(), job.id()].map(|id| id.to_string()[1..].to_owned());
    /// assert!(chart.contains(&format!("n0[\"server<br/>#35;{top}\"]\n")));
    /// assert!(chart.contains(&format!(
    ///     "n0 --> n1[\"say #34;hi#34;<br/>#35;{below}<br/>cancelled\"]:::done\n"
    /// )));
    ///
    /// let _more: Vec<_> = (0..999).map(|_| server.with_cancel()).collect();
    /// let chart = server.tree().to_mermaid();
    /// assert_eq!(chart.matches(" --> ").count(), 499);
    /// assert!(chart.ends_with("n0 --> m0([\"… 502 more below\"])\n"));
    /// ```
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let mut out = String::new();
        mermaid::flowchart(&self.nodes, &mut out).expect("a string takes all that is written");
        out
    }

    /// The tree as one page of HTML, to be served or opened from a file.
    ///
    /// A list of lists that fold, with the lines of the text tree, coloured by
    /// state for a light or a dark screen. A word or a choice (`live`, `done`,
    /// `orphaned`) leaves what fits, and what is above it. The keyboard does all
    /// that the mouse does. With more than 1,000 contexts only the first is
    /// unfolded. What is more than 32 levels down stands in one list, and begins
    /// with its depth in brackets.
    ///
    /// The page holds all it needs, and its content security policy forbids it to
    /// load anything, and any script or style but its own. Without the script
    /// it can be read and folded, but not searched. Names may hold anything. To
    /// serve it, send `Content-Type: text/html; charset=utf-8`; who may read
    /// names and counts of contexts is for the server to decide.
    ///
    /// Takes time and memory in proportion to what it shows, and constant stack.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, handle) = Context::background().derive().name("<b>a & b</b>").build();
    /// handle.cancel();
    /// let page = ctx.tree().to_html();
    /// assert!(page.starts_with("<!DOCTYPE html>\n"));
    /// assert!(page.contains(&format!(
    ///     "<li class=\"cancelled\"><bdi>&lt;b&gt;a &amp; b&lt;/b&gt;</bdi> {}, cancelled</li>",
    ///     ctx.id()
    /// )));
    /// assert!(!page.contains("<b>") && !page.contains("http://"));
    /// ```
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut out = String::new();
        html::page(&self.nodes, &mut out).expect("a string takes all that is written");
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
