//! How far a drain is, and what it cancels with.

use std::error::Error;
use std::fmt;

/// How far a [`Drain`](crate::Drain) is. Later ones are greater.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, Drain, Phase};
///
/// let drain = Drain::new(&Context::background());
/// assert_eq!(drain.phase(), Phase::Running);
/// drain.begin();
/// assert_eq!(drain.phase(), Phase::Draining);
/// assert!(Phase::Draining < Phase::Cancelling);
/// assert_eq!(Phase::Draining.to_string(), "draining");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Phase {
    /// Nobody has asked for the end.
    Running,
    /// No new work is to be taken on; what has begun goes on to its end.
    Draining,
    /// The contexts are cancelled; what is there is to stop.
    Cancelling,
    /// The tasks that have not stopped are dropped where they wait.
    Aborting,
    /// Over: there is a report.
    Done,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Phase::Running => "running",
            Phase::Draining => "draining",
            Phase::Cancelling => "cancelling",
            Phase::Aborting => "aborting",
            Phase::Done => "done",
        })
    }
}

/// The cause of the cancel by a [`Drain`](crate::Drain).
///
/// Whoever is cancelled can tell a shutdown from all else by it.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, Drain, Shutdown};
///
/// let drain = Drain::new(&Context::background());
/// let request = drain.context().with_cancel().0;
/// drop(drain);
///
/// let cause = request.cause().unwrap();
/// assert!(cause.downcast_ref::<Shutdown>().is_some());
/// assert_eq!(cause.to_string(), "shutting down");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub struct Shutdown;

impl fmt::Display for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("shutting down")
    }
}

impl Error for Shutdown {}
