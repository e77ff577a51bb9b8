//! What a node is, fixed when it is made.

use super::Given;
use crate::error::Cause;
use crate::timer::Clockwork;
use std::borrow::Cow;
use std::panic::Location;
use std::sync::Arc;
use std::time::Instant;

/// What a node is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Background,
    Todo,
    Cancel,
    Shield,
    Derived,
    Value,
    Key,
    Link,
    Source,
    Deadline,
    Clock,
    Scope,
    Group,
    Task,
    Drain,
    /// Stands in another parent's list for a node that is linked to it.
    Stub,
}

impl Kind {
    /// As a path shows it, if there is nothing more to say.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Background => "background",
            Self::Todo => "todo",
            Self::Cancel => "with_cancel",
            Self::Shield => "without_cancel",
            Self::Derived => "derive",
            Self::Link => "link",
            Self::Source => "from_source",
            Self::Deadline => "with_deadline",
            Self::Clock => "with_clock",
            Self::Scope => "scope",
            Self::Group => "group",
            Self::Task => "task",
            Self::Drain => "drain",
            Self::Stub => "stub",
            Self::Value => "with_value",
            Self::Key => "with_key",
        }
    }
}

/// What holds of a node from its making on, in bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facets(u16);

impl Facets {
    /// A cancel from above stops here.
    pub(crate) const SHIELDED: Self = Self(1);
    /// It may be done one day: somebody can cancel it, or something above it.
    pub(crate) const CANCELABLE: Self = Self(2);
    /// Who has no handle may hold it (N7). The statics have it as well, as their
    /// handles go in a way of their own too.
    pub(crate) const HELD: Self = Self(4);
    /// Something outside its parent's list points to it (F1).
    pub(crate) const FAR: Self = Self(8);

    /// It stands for a node elsewhere: no context.
    pub(crate) const STUB: Self = Self(16);
    /// It is in no list, as its parent has none.
    pub(crate) const ROOT: Self = Self(32);
    /// It has values of its own: `env` tells them.
    pub(crate) const VALUES: Self = Self(64);
    /// Some of them must be dropped.
    pub(crate) const DROPS: Self = Self(128);
    /// It was made with a deadline: `env` is part of its timer.
    pub(crate) const TIMED: Self = Self(256);
    /// It has an `env` of its own, and neither values nor a timer.
    pub(crate) const ENV: Self = Self(512);
    /// It has a clock of its own: deadlines above are another clock's.
    pub(crate) const CLOCK: Self = Self(1024);

    /// It is a task: what is known of that follows it in memory.
    pub(crate) const TASK: Self = Self(2048);

    /// Of a child's facets, those that hold as they do for its parent.
    pub(crate) const fn inherited(self) -> Self {
        Self(self.0 & Self::CANCELABLE.0)
    }

    /// Whether any of `facets` is among these.
    pub(crate) const fn has_any(self, facets: Self) -> bool {
        self.0 & facets.0 != 0
    }

    /// Whether all of `facets` are among these.
    pub(crate) const fn has(self, facets: Self) -> bool {
        self.0 & facets.0 == facets.0
    }

    pub(crate) const fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }
}

/// A node to be derived, with more than what most have.
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) facets: Facets,
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) values: Vec<Given>,
    /// What to say if its deadline comes.
    pub(crate) cause: Option<Cause>,
    /// A clock of its own.
    pub(crate) clock: Option<Arc<Clockwork>>,
    /// When and where it was made, if that is to be known.
    pub(crate) birth: Option<Birth>,
}

/// When and where a node was made.
#[derive(Clone, Copy)]
pub(crate) struct Birth {
    pub(crate) at: Instant,
    pub(crate) location: &'static Location<'static>,
}

impl Plan {
    pub(crate) fn of(kind: Kind, facets: Facets) -> Self {
        Self {
            kind,
            facets,
            name: None,
            values: Vec::new(),
            cause: None,
            clock: None,
            birth: None,
        }
    }
}
