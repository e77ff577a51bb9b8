//! Who is still there: the report of a join that ran out of time.

use crate::context::Context;
use crate::error::Id;
use crate::protocol::TaskRow;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

/// The tasks of a group that were not over, oldest first.
///
/// Taken without stopping anyone: one that was just about to end may be in it.
/// `Display` is one line, with the oldest few.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, TaskGroup, TaskState};
/// use std::time::Duration;
///
/// let group = TaskGroup::<std::fmt::Error>::new(&Context::background());
/// let (go, wait) = std::sync::mpsc::channel::<()>();
/// let task = group.task("slow").try_spawn(async move { wait.recv().ok(); Ok(()) });
/// # task.unwrap();
/// let stragglers = group.stragglers();
/// let slow = stragglers.iter().next().unwrap();
/// assert_eq!(slow.name(), Some("slow"));
/// assert!(slow.age() < Duration::from_secs(60));
/// assert!(matches!(slow.state(), TaskState::Unstarted | TaskState::Running));
/// assert!(stragglers.to_string().starts_with("1 task has not ended: `slow`"));
/// drop(go);
/// group.join_blocking(None).unwrap();
/// assert!(group.stragglers().is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Stragglers(Vec<Straggler>);

/// One of [`Stragglers`].
///
/// # Examples
///
/// See [`Stragglers`].
#[derive(Clone, Debug)]
pub struct Straggler {
    id: Id,
    name: Option<Box<str>>,
    age: Duration,
    state: TaskState,
    location: &'static Location<'static>,
}

/// How far a task is that has not ended.
///
/// # Examples
///
/// See [`Stragglers`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum TaskState {
    /// It has not been polled yet.
    Unstarted,
    /// It has been polled, and nobody has told it to stop.
    Running,
    /// Its context is done, and it goes on nevertheless.
    Cancelled,
    /// It goes at its next poll. One that blocks its thread has no next poll.
    Aborted,
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            TaskState::Unstarted => "not started",
            TaskState::Running => "running",
            TaskState::Cancelled => "cancelled",
            TaskState::Aborted => "aborted",
        })
    }
}

impl Straggler {
    fn of(row: TaskRow, now: Instant) -> Straggler {
        let state = if row.aborted {
            TaskState::Aborted
        } else if row.cancelled {
            TaskState::Cancelled
        } else if row.started {
            TaskState::Running
        } else {
            TaskState::Unstarted
        };
        Straggler {
            id: row.id,
            name: row.name,
            age: now.saturating_duration_since(row.birth.at),
            state,
            location: row.birth.location,
        }
    }

    /// The identity of its context.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }

    /// Its name, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// How long ago it was spawned, by the clock of the group.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.age
    }

    /// How far it was.
    #[must_use]
    pub fn state(&self) -> TaskState {
        self.state
    }

    /// Where it was spawned.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

/// The name or else the id, then age, state and place.
impl fmt::Display for Straggler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "`{}`", name.escape_debug())?,
            None => write!(f, "{}", self.id)?,
        }
        write!(f, " ({:.1?}, {}, {})", self.age, self.state, self.location)
    }
}

impl Stragglers {
    /// Those below `group`.
    pub(super) fn of(group: &Context) -> Stragglers {
        let rows = group.node().tasks();
        let now = group.node().time_now();
        let mut all: Vec<_> = rows
            .into_iter()
            .map(|row| Straggler::of(row, now))
            .collect();
        all.sort_by_key(|straggler| std::cmp::Reverse(straggler.age));
        Stragglers(all)
    }

    /// Each of them, the oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Straggler> + Clone {
        self.0.iter()
    }

    /// How many there were.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Stragglers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        match self.len() {
            0 => return f.write_str("all tasks have ended"),
            1 => f.write_str("1 task has not ended: ")?,
            n => write!(f, "{n} tasks have not ended: ")?,
        }
        for (place, straggler) in self.0.iter().take(SHOWN).enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{straggler}")?;
        }
        match self.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl Error for Stragglers {}
