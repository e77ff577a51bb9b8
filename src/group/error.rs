//! Why a task was not spawned, and how a group ended.

use super::stragglers::Stragglers;
use std::error::Error;
use std::fmt;

/// A task was not spawned: it comes back, and was not polled.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, SpawnError, TaskGroup};
///
/// let group = TaskGroup::<std::fmt::Error>::new(&Context::background());
/// group.close();
/// let error = group.try_spawn(async { Ok(()) }).unwrap_err();
/// assert!(matches!(error, SpawnError::Closed(_)));
/// assert_eq!(error.to_string(), "the task group is closed");
/// drop(error.into_task());
/// ```
#[non_exhaustive]
pub enum SpawnError<F> {
    /// The group is closed: by [`close`](crate::TaskGroup::close), by a join that
    /// is over, or because it was dropped.
    Closed(F),
    /// The group's context is done.
    Cancelled(F),
    /// All places of a [limited](crate::TaskGroup::limit) group are taken.
    Full(F),
    /// The spawner refused the task, and said why.
    Spawner(F, Box<dyn Error + Send + Sync>),
}

impl<F> SpawnError<F> {
    /// The task.
    pub fn into_task(self) -> F {
        match self {
            SpawnError::Closed(task)
            | SpawnError::Cancelled(task)
            | SpawnError::Full(task)
            | SpawnError::Spawner(task, _) => task,
        }
    }
}

/// Prints what went wrong, not the task.
impl<F> fmt::Debug for SpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpawnError::Closed(_) => f.write_str("Closed(..)"),
            SpawnError::Cancelled(_) => f.write_str("Cancelled(..)"),
            SpawnError::Full(_) => f.write_str("Full(..)"),
            SpawnError::Spawner(_, why) => write!(f, "Spawner(.., {why:?})"),
        }
    }
}

impl<F> fmt::Display for SpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpawnError::Closed(_) => f.write_str("the task group is closed"),
            SpawnError::Cancelled(_) => f.write_str("the task group was cancelled"),
            SpawnError::Full(_) => f.write_str("all places of the task group are taken"),
            SpawnError::Spawner(_, why) => write!(f, "the spawner refused a task: {why}"),
        }
    }
}

impl<F> Error for SpawnError<F> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            SpawnError::Spawner(_, why) => Some(&**why),
            _ => None,
        }
    }
}

/// Not all tasks of a group ended well.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, JoinError, TaskGroup};
/// use std::fmt;
///
/// let group = TaskGroup::new(&Context::background());
/// group.try_spawn(async { Err(fmt::Error) }).unwrap();
/// match group.join_blocking(None) {
///     Err(JoinError::Failed { error, others }) => {
///         assert_eq!(error, fmt::Error);
///         assert!(others.is_empty());
///     }
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum JoinError<E> {
    /// A task failed first, with this error. It is the cause of the others'
    /// cancel, and their errors come in the order in which they ended.
    Failed {
        /// The first.
        error: E,
        /// The rest.
        others: Vec<E>,
    },
    /// A task panicked first: which, and what it said. Another join has resumed
    /// the panic.
    Panicked(String),
    /// A task was dropped before its end first: by [`abort`], by its spawner, or
    /// with its runtime. Which.
    ///
    /// [`abort`]: crate::TaskGroup::abort
    Aborted(String),
    /// The join was awaited by a task of the same group, which it would wait for
    /// for ever.
    FromInside,
    /// The time ran out. These were still there; they go on.
    TimedOut(Stragglers),
}

impl<E> JoinError<E> {
    /// The error of the task that failed first, if it was an error.
    pub fn error(&self) -> Option<&E> {
        match self {
            JoinError::Failed { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for JoinError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Failed { error, others } if others.is_empty() => write!(f, "{error}"),
            JoinError::Failed { error, others } => {
                write!(f, "{error} (and {} more failed)", others.len())
            }
            JoinError::Panicked(what) | JoinError::Aborted(what) => f.write_str(what),
            JoinError::FromInside => f.write_str("a task joined its own group"),
            JoinError::TimedOut(stragglers) => write!(f, "{stragglers}"),
        }
    }
}

impl<E: Error + 'static> Error for JoinError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            JoinError::Failed { error, .. } => Some(error),
            JoinError::TimedOut(stragglers) => Some(stragglers),
            _ => None,
        }
    }
}
