//! What a drain tells: who is still there, and how it went.

use super::Phase;
use crate::tree::Node;
use std::cmp::Reverse;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

/// As many of those that are waited for are named in one line.
const NAMED: usize = 5;

/// Whom a drain is waiting for. Given to what
/// [`Drain::on_waiting`](crate::Drain::on_waiting) was given.
///
/// `Display` is one line that names the oldest few of those below which nobody is:
/// they hold up the others.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, Drain, Phase, time::ManualClock};
/// use std::future::Future;
/// use std::pin::pin;
/// use std::sync::mpsc;
/// use std::task::{Context as Task, Waker};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let (lines, seen) = mpsc::channel();
/// let drain = Drain::new(&Context::background().with_clock(&clock));
/// let drain = drain.on_waiting(move |waiting| {
///     assert_eq!(waiting.phase(), Phase::Draining);
///     assert_eq!(waiting.elapsed(), Duration::from_secs(1));
///     let names: Vec<_> = waiting.stragglers().map(|one| one.name()).collect();
///     assert_eq!(names, [Some("upload")]);
///     lines.send(waiting.to_string()).unwrap();
/// });
///
/// let (upload, handle) = drain.context().derive().name("upload").build();
/// let mut finish = pin!(drain.finish());
/// let mut task = Task::from_waker(Waker::noop());
/// assert!(finish.as_mut().poll(&mut task).is_pending());
/// clock.advance(Duration::from_secs(1));
/// assert!(finish.as_mut().poll(&mut task).is_pending());
/// let line = seen.recv().unwrap();
/// assert!(line.starts_with("draining for 1.0s, still waiting for 1: upload #"), "{line}");
///
/// drop((upload, handle));
/// assert!(finish.as_mut().poll(&mut task).is_ready());
/// ```
#[derive(Clone, Debug)]
pub struct Waiting {
    phase: Phase,
    elapsed: Duration,
    stragglers: Stragglers,
}

impl Waiting {
    pub(super) fn new(phase: Phase, elapsed: Duration, stragglers: Stragglers) -> Waiting {
        Waiting {
            phase,
            elapsed,
            stragglers,
        }
    }

    /// How far the drain is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// How long ago the drain began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The contexts below the drain's that somebody holds: the oldest first,
    /// then those of no known age.
    #[must_use]
    pub fn stragglers(&self) -> impl ExactSizeIterator<Item = &Node> + Clone {
        self.stragglers.0.iter()
    }

    /// What is done with it if nothing else was said.
    pub(super) fn print(&self) {
        // A closed standard error output is no reason to stop.
        let _ = writeln!(io::stderr(), "ctxtree: {self}");
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Waiting {
            phase,
            elapsed,
            stragglers,
        } = self;
        let count = stragglers.0.len();
        write!(f, "{phase} for {elapsed:.1?}, still waiting for {count}: ")?;
        stragglers.fmt(f)
    }
}

/// How a drain went. What [`Drain::finish`](crate::Drain::finish) gives.
///
/// `Display` is one line. Of those that are left it names the same ones as that of
/// [`Waiting`].
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, Drain, Phase};
/// use std::time::Duration;
///
/// let drain = Drain::new(&Context::background()).soft_limit(Duration::ZERO);
/// let drain = drain.hard_limit(Duration::ZERO);
/// let (stuck, _handle) = drain.context().derive().name("stuck").build();
///
/// let report = drain.finish_blocking();
/// assert!(stuck.is_cancelled());
/// assert!(!report.is_clean());
/// assert_eq!(report.reached(), Phase::Aborting);
/// assert_eq!(report.stragglers().next().unwrap().name(), Some("stuck"));
/// assert!(report.to_string().contains("1 left: stuck #"));
/// ```
#[derive(Clone, Debug)]
pub struct Report {
    pub(super) reached: Phase,
    pub(super) took: Duration,
    pub(super) at_begin: usize,
    pub(super) at_cancel: usize,
    pub(super) at_abort: usize,
    pub(super) stragglers: Stragglers,
}

impl Report {
    /// How far it had to go: [`Phase::Draining`] if all went by themselves,
    /// [`Phase::Cancelling`] if some had to be told to,
    /// [`Phase::Aborting`] if some did not listen.
    #[must_use]
    pub fn reached(&self) -> Phase {
        self.reached
    }

    /// How long it took, from its beginning.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }

    /// How many contexts were held below the drain's when it began.
    #[must_use]
    pub fn at_begin(&self) -> usize {
        self.at_begin
    }

    /// How many were held when they were cancelled.
    #[must_use]
    pub fn at_cancel(&self) -> usize {
        self.at_cancel
    }

    /// How many were held at the hard limit.
    #[must_use]
    pub fn at_abort(&self) -> usize {
        self.at_abort
    }

    /// Whether nobody is left.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.stragglers.0.is_empty()
    }

    /// The contexts that were still held at the end: the oldest first, then
    /// those of no known age.
    #[must_use]
    pub fn stragglers(&self) -> impl ExactSizeIterator<Item = &Node> + Clone {
        self.stragglers.0.iter()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "drained in {:.1?}: ", self.took)?;
        write!(f, "{} at the beginning, ", self.at_begin)?;
        write!(f, "{} when cancelled, ", self.at_cancel)?;
        write!(f, "{} at the hard limit, ", self.at_abort)?;
        match self.stragglers.0.len() {
            0 => f.write_str("none left"),
            count => {
                write!(f, "{count} left: ")?;
                self.stragglers.fmt(f)
            }
        }
    }
}

/// Contexts that somebody holds, the oldest first.
#[derive(Clone)]
pub(super) struct Stragglers(Arc<[Node]>);

impl Stragglers {
    pub(super) fn none() -> Stragglers {
        Stragglers(Arc::new([]))
    }

    pub(super) fn new(mut nodes: Vec<Node>) -> Stragglers {
        // Those without an age last, and else in the order of the tree.
        nodes.sort_by_key(|node| Reverse(node.age()));
        Stragglers(nodes.into())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Stragglers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Stragglers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The others are held up by these, as a request is by its sub-task.
        let last = self.0.iter().filter(|node| node.children() == 0);
        let mut named = 0;
        for (place, node) in last.take(NAMED).enumerate() {
            named += 1;
            if place > 0 {
                f.write_str(", ")?;
            }
            node.fmt_title(f)?;
            f.write_str(" (")?;
            if let Some(age) = node.age() {
                write!(f, "{age:.1?}, ")?;
            }
            write!(f, "{}", node.state())?;
            if let Some(location) = node.location() {
                write!(f, ", {location}")?;
            }
            f.write_str(")")?;
        }
        match self.0.len() - named {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
