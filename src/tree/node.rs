//! One context of a snapshot.

use super::{Kind, State};
use crate::error::Id;
use crate::protocol::{Label, Row};
use std::panic::Location;
use std::time::Duration;

/// One context of a [`Snapshot`](super::Snapshot), as it was seen.
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
    pub(super) id: Id,
    pub(super) parent: Option<Id>,
    pub(super) depth: usize,
    pub(super) label: Label,
    pub(super) name: Option<Box<str>>,
    pub(super) state: State,
    pub(super) origin: Option<Id>,
    pub(super) orphaned: bool,
    pub(super) children: usize,
    pub(super) links: usize,
    pub(super) waiters: usize,
    pub(super) callbacks: usize,
    pub(super) made: Option<(Duration, &'static Location<'static>)>,
}

impl Node {
    /// The identity of the context, as [`Context::id`](crate::Context::id).
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

    /// Its own name, as [`Context::name`](crate::Context::name).
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
    /// [`Context::link`](crate::Context::link), and are not done.
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

    pub(super) fn new(row: Row, parent: Option<&Node>) -> Node {
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
