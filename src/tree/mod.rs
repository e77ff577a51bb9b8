//! Looking at the live tree: [`Context::tree`] and what it gives.
//!
//! Plain data; the walk that collects it is the protocol's.

mod text;

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::context::Context;
use crate::error::{Id, Reason};
use crate::node;
use crate::protocol::{Label, Row};

/// What a context is, without what it holds. `Display` is its part of a path.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, tree::Kind};
///
/// let (ctx, _handle) = Context::background().with_cancel();
/// let kind = ctx.tree().nodes().next().unwrap().kind();
/// assert_eq!(kind, Kind::Cancel);
/// assert_eq!(kind.to_string(), "with_cancel");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// [`Context::background`].
    Background,
    /// [`Context::todo`].
    Todo,
    /// [`Context::with_cancel`].
    Cancel,
    /// [`Context::without_cancel`].
    Shield,
    /// Made by [`Context::derive`].
    Derived,
    /// [`Context::with_value`].
    Value,
    /// [`Context::with_key`].
    Key,
    /// [`Context::link`].
    Link,
    /// [`Context::from_source`].
    Source,
    /// [`Context::with_deadline`] or [`Context::with_timeout`].
    Deadline,
    /// [`Context::with_clock`] or [`Context::with_driver`].
    Clock,
    /// [`Context::scope`].
    Scope,
    /// [`TaskGroup`](crate::TaskGroup).
    Group,
    /// A task of one.
    Task,
    /// [`Drain`](crate::Drain).
    Drain,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Background => "background",
            Kind::Todo => "todo",
            Kind::Cancel => "with_cancel",
            Kind::Shield => "without_cancel",
            Kind::Derived => "derive",
            Kind::Value => "with_value",
            Kind::Key => "with_key",
            Kind::Link => "link",
            Kind::Source => "from_source",
            Kind::Deadline => "with_deadline",
            Kind::Clock => "with_clock",
            Kind::Scope => "scope",
            Kind::Group => "group",
            Kind::Task => "task",
            Kind::Drain => "drain",
        })
    }
}

impl Kind {
    fn of(kind: node::Kind) -> Kind {
        match kind {
            node::Kind::Background => Kind::Background,
            node::Kind::Todo => Kind::Todo,
            node::Kind::Cancel => Kind::Cancel,
            node::Kind::Shield => Kind::Shield,
            node::Kind::Derived => Kind::Derived,
            node::Kind::Value => Kind::Value,
            node::Kind::Key => Kind::Key,
            node::Kind::Link => Kind::Link,
            node::Kind::Source => Kind::Source,
            node::Kind::Deadline => Kind::Deadline,
            node::Kind::Clock => Kind::Clock,
            node::Kind::Scope => Kind::Scope,
            node::Kind::Group => Kind::Group,
            node::Kind::Task => Kind::Task,
            node::Kind::Drain => Kind::Drain,
            node::Kind::Stub => unreachable!("a stub is no context, and not shown"),
        }
    }
}

/// Whether a context was done when it was looked at.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, Reason, tree::State};
///
/// let (ctx, handle) = Context::background().with_cancel();
/// handle.cancel();
/// let state = ctx.tree().nodes().next().unwrap().state();
/// assert_eq!(state, State::Done(Reason::Cancelled));
/// assert_eq!(state.to_string(), "cancelled");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum State {
    /// Not done.
    Live,
    /// Done, for this reason.
    Done(Reason),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Live => "live",
            State::Done(Reason::Cancelled) => "cancelled",
            State::Done(Reason::DeadlineExceeded) => "deadline exceeded",
        })
    }
}

/// One context of a [`Snapshot`], as it was seen.
///
/// `Display` is its line in the text tree.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, Reason, tree::State};
///
/// let (server, stop) = Context::background().derive().name("server").build();
/// let (request, _) = server.with_cancel();
/// stop.cancel();
///
/// let tree = server.tree();
/// let [root, child] = [0, 1].map(|n| tree.nodes().nth(n).unwrap());
/// assert_eq!((root.name(), root.children()), (Some("server"), 1));
/// assert_eq!((child.id(), child.parent()), (request.id(), Some(server.id())));
/// assert_eq!((child.depth(), child.waiters(), child.callbacks()), (1, 0, 0));
/// assert_eq!(child.state(), State::Done(Reason::Cancelled));
/// assert_eq!(child.origin(), Some(server.id()));
/// assert!(!child.is_orphaned());
/// assert_eq!(root.to_string(), format!("server {}, cancelled", server.id()));
/// ```
#[derive(Clone, Debug)]
pub struct Node {
    id: Id,
    parent: Option<Id>,
    depth: usize,
    label: Label,
    name: Option<Box<str>>,
    state: State,
    origin: Option<Id>,
    orphaned: bool,
    children: usize,
    links: usize,
    waiters: usize,
    callbacks: usize,
    made: Option<(Duration, &'static Location<'static>)>,
}

impl Node {
    /// The identity of the context, as [`Context::id`].
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }

    /// The identity of its parent; `None` for the context that was asked.
    #[must_use]
    pub fn parent(&self) -> Option<Id> {
        self.parent
    }

    /// How far it is below the context that was asked, which is at 0.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// What the context is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::of(self.label.kind)
    }

    /// Its own name, as [`Context::name`].
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether it was done, and why.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The context at which the cancel began, as
    /// [`CancelError::origin`](crate::CancelError::origin); `None` for a live
    /// one.
    #[must_use]
    pub fn origin(&self) -> Option<Id> {
        self.origin
    }

    /// Whether nobody held it any more: it lives for what is below it, or
    /// linked to it.
    #[must_use]
    pub fn is_orphaned(&self) -> bool {
        self.orphaned
    }

    /// How many children of it are in the snapshot.
    #[must_use]
    pub fn children(&self) -> usize {
        self.children
    }

    /// How many contexts elsewhere have it as a further parent, by
    /// [`Context::link`], and are not done.
    #[must_use]
    pub fn links(&self) -> usize {
        self.links
    }

    /// How many tasks and threads waited for it to be done.
    ///
    /// One that has been woken does not count.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.waiters
    }

    /// How much time it had left until its own deadline, by its clock: zero once
    /// past, `None` if it was given none.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.label.remaining
    }

    /// How many callbacks were registered that had neither run nor been
    /// stopped.
    ///
    /// On `background` and `todo` there are none: there they are registered
    /// nowhere.
    #[must_use]
    pub fn callbacks(&self) -> usize {
        self.callbacks
    }

    /// How long ago it was made, by its clock.
    ///
    /// Known of contexts with a name, and of groups, scopes, drains and tasks;
    /// `None` for others, which do not look at a clock.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, time::ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let root = Context::background().with_clock(&clock);
    /// let line = line!() + 1;
    /// let (job, _handle) = root.derive().name("job").build();
    /// clock.advance(Duration::from_secs(3));
    /// let tree = job.tree();
    /// let node = tree.nodes().next().unwrap();
    /// assert_eq!(node.age(), Some(Duration::from_secs(3)));
    /// assert_eq!(node.location().unwrap().line(), line);
    /// assert_eq!(job.with_cancel().0.tree().nodes().next().unwrap().age(), None);
    /// ```
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.made.map(|(age, _)| age)
    }

    /// Where it was made, if its [age](Node::age) is known.
    #[must_use]
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.made.map(|(_, location)| location)
    }

    fn new(row: Row, parent: Option<&Node>) -> Node {
        Node {
            id: row.id,
            parent: parent.map(Node::id),
            depth: parent.map_or(0, |parent| parent.depth + 1),
            label: row.label,
            name: row.name,
            state: row
                .end
                .map_or(State::Live, |(reason, _)| State::Done(reason)),
            origin: row.end.map(|(_, origin)| origin),
            orphaned: !row.held,
            children: row.children,
            links: row.links,
            waiters: row.listening.waiters,
            callbacks: row.listening.callbacks,
            made: row.made,
        }
    }
}

/// A context and what lived below it, as [`Context::tree`] saw them.
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
/// numbers of links to it, waiters and callbacks. Line breaks and other control characters in a name are
/// escaped. Lines more than 32 levels down are indented no further, and begin
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
    nodes: Vec<Node>,
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
        text::dot(&self.nodes, &mut out).expect("a string takes all that is written");
        out
    }

    /// Puts the rows of the walk, where newer children come first, the other
    /// way round.
    fn new(rows: Vec<Row>) -> Snapshot {
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

impl Context {
    /// What lives below this context, itself included, without stopping anyone.
    ///
    /// It is collected while others derive, cancel, wait and drop, and none of
    /// them waits for it. So it is no picture of one moment:
    ///
    /// | a context below this one | is shown |
    /// |---|---|
    /// | derived before the call, and held, it or something below it, until its end | once, below its parent |
    /// | derived or dropped meanwhile | maybe; if so, once, below its parent |
    /// | dropped before the call, with all that was below it | not |
    ///
    /// | a shown context | says |
    /// |---|---|
    /// | done before the call | that it is done |
    /// | cancelled meanwhile, itself or above it | maybe that it is done |
    /// | done by a cancel from above | so; and all above it, up to where that began, say so too |
    /// | done by another parent, of a link | so; that parent may be shown as it was before |
    ///
    /// Counts and the rest are those of the moment at which the walk came by.
    /// `background` and `todo` keep no children and show only themselves.
    ///
    /// A link is shown below the context it was derived from; its other parents
    /// count it.
    ///
    /// Takes time and memory in proportion to what it shows, and constant stack.
    /// What others drop next to where it walks is freed when it is through. A
    /// cancelled link is kept for that long; if others drop it meanwhile, what
    /// users gave it is dropped by this call.
    ///
    /// # Memory ordering
    ///
    /// Where a context is shown done, what the thread that cancelled it did
    /// before is visible.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (root, stop) = Context::background().with_cancel();
    /// let (child, _) = root.with_cancel();
    /// let tree = root.tree();
    /// stop.cancel();
    /// drop(child);
    ///
    /// assert_eq!(tree.nodes().len(), 2, "it keeps what it saw");
    /// assert!(tree.to_string().lines().all(|line| line.contains("with_cancel")));
    /// assert_eq!(root.tree().nodes().len(), 1);
    /// ```
    #[must_use]
    #[doc(alias = "snapshot")]
    pub fn tree(&self) -> Snapshot {
        Snapshot::new(self.node().snapshot())
    }
}
