//! The cause of a context whose work came to its end.

use std::error::Error;
use std::fmt;

/// The cause of a context that is done because its work is over: nobody asked
/// it to stop.
///
/// A [scope](crate::Context::scope) ends its context with it when it returns, a
/// [task group](crate::TaskGroup) when its last main task has ended.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, Finished, Scope};
///
/// let scope = |scope: &Scope<'_, '_, std::fmt::Error>| Ok(scope.context().clone());
/// let ctx = Context::background().scope(scope).unwrap();
/// let cause = ctx.cause().unwrap();
/// assert!(cause.downcast_ref::<Finished>().is_some());
/// assert_eq!(cause.to_string(), "finished");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Finished;

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("finished")
    }
}

impl Error for Finished {}
