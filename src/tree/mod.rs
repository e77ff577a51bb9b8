//! Looking at the live tree: [`Context::tree`] and what it gives.
//!
//! Plain data; the walk that collects it is the protocol's.

mod dot;
mod html;
mod mermaid;
mod node;
mod snapshot;
mod text;

use crate::context::Context;
use crate::error::Reason;
use crate::node::Kind as NodeKind;
use std::fmt;

pub use node::Node;
pub use snapshot::Snapshot;

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
    fn of(kind: NodeKind) -> Kind {
        match kind {
            NodeKind::Background => Kind::Background,
            NodeKind::Todo => Kind::Todo,
            NodeKind::Cancel => Kind::Cancel,
            NodeKind::Shield => Kind::Shield,
            NodeKind::Derived => Kind::Derived,
            NodeKind::Value => Kind::Value,
            NodeKind::Key => Kind::Key,
            NodeKind::Link => Kind::Link,
            NodeKind::Source => Kind::Source,
            NodeKind::Deadline => Kind::Deadline,
            NodeKind::Clock => Kind::Clock,
            NodeKind::Scope => Kind::Scope,
            NodeKind::Group => Kind::Group,
            NodeKind::Task => Kind::Task,
            NodeKind::Drain => Kind::Drain,
            NodeKind::Stub => unreachable!("a stub is no context, and not shown"),
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
