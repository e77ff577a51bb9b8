//! Questions about a node: why it is done, who it is, where it hangs.

use super::{NodeRef, deadline};
use crate::error::{CancelError, Cause, Id, Reason};
use crate::list::Link;
use crate::node::{Kind, Node, ORPHAN, To};
use crate::state::{Record, View};
use crate::sync::Ordering::Relaxed;
use crate::sync::{Site, epoch, memory, unique_number};
use std::fmt;
use std::num::{NonZeroU64, NonZeroUsize};
use std::panic::Location;
use std::ptr::NonNull;
use std::time::Duration;

/// How a node ended, borrowed from the word that says so.
enum End<'n> {
    Plain(&'static Location<'static>),
    Expired,
    Record(&'n Record),
}

/// What a node is called, if it has no name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label {
    pub(crate) kind: Kind,
    /// The key or type of its value.
    of: &'static str,
    /// Where it is tied to besides.
    to: Option<To>,
    /// What remains of its own deadline, as far as the clock was asked.
    pub(crate) remaining: Option<Duration>,
}

impl Label {
    pub(super) fn new(node: &Node) -> Self {
        Self {
            kind: node.kind,
            of: node.value_label(),
            to: node.far().map(|far| far.to),
            remaining: None,
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.label())?;
        match (self.kind, self.to) {
            (Kind::Value | Kind::Key, _) => write!(f, "({})", self.of),
            (Kind::Link, Some(To::Contexts(others))) => write!(f, "({others})"),
            (Kind::Source, Some(To::Source(name))) => write!(f, "({name})"),
            (Kind::Deadline, _) => write!(f, "({:.1?})", self.remaining.unwrap_or_default()),
            _ => Ok(()),
        }
    }
}

/// The node where the cancel of `node` began, and what is written there. The
/// caller keeps `node`.
fn end(node: &Node) -> Option<(&Node, End<'_>)> {
    let mut node = node;
    let mut word = node.state.load(Site::AskWhy);
    if let View::Inherited(from) = word.view() {
        // The word that named it was written after its own.
        // SAFETY: it outlives every node that names it, so also the caller's
        // (S3).
        node = unsafe { &*from.as_ptr() };
        word = node.state.load_known(Site::AskOrigin);
    }
    let end = match word.view() {
        View::Live => return None,
        View::Plain(location) => End::Plain(location),
        View::Expired => End::Expired,
        // SAFETY: the record lives as long as the node has a handle or
        // something below (S4).
        View::Record(record) => End::Record(unsafe { memory::look(record) }),
        View::Inherited(_) => unreachable!("one hop leads to the reason (S2)"),
    };
    Some((node, end))
}

fn error(node: &Node) -> Option<CancelError> {
    let record = record_like(node)?;
    let origin = record.origin.expect("a copy tells the origin");
    Some(CancelError::new(
        record.reason,
        record.cause,
        origin,
        record.location,
    ))
}

/// A record that says why `node` is done, for another node to be done for the
/// same reason. The caller keeps `node`.
pub(super) fn record_like(node: &Node) -> Option<Record> {
    let (origin, end) = end(node)?;
    Some(match end {
        End::Plain(location) => Record {
            reason: Reason::Cancelled,
            cause: None,
            location: Some(location),
            origin: Some(id(origin)),
        },
        End::Expired => Record {
            reason: Reason::DeadlineExceeded,
            cause: None,
            location: None,
            origin: Some(id(origin)),
        },
        End::Record(record) => Record {
            reason: record.reason,
            cause: record.cause.clone(),
            location: record.location,
            origin: Some(record.origin.unwrap_or_else(|| id(origin))),
        },
    })
}

/// The error of a node that is done, as the caller, who keeps it, has seen.
pub(super) fn error_of_done(node: &Node) -> CancelError {
    error(node).expect("a done node has an error")
}

/// The node where the cancel began of a node that is done, as the caller, who
/// keeps it, has seen.
pub(super) fn origin_of_done(node: &Node) -> Id {
    let (origin, end) = end(node).expect("a done node has an end");
    match end {
        End::Record(Record {
            origin: Some(id), ..
        }) => *id,
        _ => id(origin),
    }
}

impl NodeRef {
    pub(crate) fn reason(&self) -> Option<Reason> {
        Some(match end(self.node())?.1 {
            End::Plain(_) => Reason::Cancelled,
            End::Expired => Reason::DeadlineExceeded,
            End::Record(record) => record.reason,
        })
    }

    pub(crate) fn cause(&self) -> Option<Cause> {
        match end(self.node())?.1 {
            End::Plain(_) | End::Expired => None,
            End::Record(record) => record.cause.clone(),
        }
    }

    pub(crate) fn error(&self) -> Option<CancelError> {
        error(self.node())
    }

    /// Name and label of every node from the root down to this one.
    pub(crate) fn path(&self) -> Vec<(Option<&str>, Label)> {
        let mut path = Vec::new();
        let mut at = Some(self.node());
        while let Some(node) = at {
            let remaining = deadline::own_remaining(node);
            let label = Label {
                remaining,
                ..Label::new(node)
            };
            path.push((node.name(), label));
            at = node.above();
        }
        path.reverse();
        path
    }

    /// How many children are not done, and held or kept by something below.
    pub(crate) fn live_children(&self) -> usize {
        let node = self.node();
        if node.is_static() {
            return 0;
        }
        let _pin = epoch::pin();
        let mut live = 0;
        for number in 0..node.lane_count(node.children.lanes_seen()) {
            let lane = node.lane(number);
            lane.enter();
            let mut at = lane.first();
            while let Some(child) = NonNull::new(at) {
                // SAFETY: in a lane we are counted in, under a pin (L7).
                let child = unsafe { child.cast::<Node>().as_ref() };
                live += usize::from(is_live(child));
                at = Link::next(&child.link);
            }
            lane.leave();
        }
        live
    }
}

fn is_live(node: &Node) -> bool {
    // Relaxed: a count of what changes meanwhile; zero means dead (N3).
    let held = node.handles.load(Relaxed, Site::CountHandles) & !ORPHAN != 0;
    // A stub is no context.
    held && node.kind != Kind::Stub && node.state.load_known(Site::CountState).is_live()
}

/// The number of this node, given to it when first asked for.
pub(super) fn id(node: &Node) -> Id {
    // Relaxed, here and below: a number publishes nothing but itself.
    let number = match NonZeroUsize::new(node.number.load(Relaxed, Site::NumberLoad)) {
        Some(number) => number.get() as u64,
        None => {
            let new = unique_number().get();
            match node
                .number
                .compare_exchange(0, new as usize, Relaxed, Relaxed, Site::NumberSet)
            {
                Ok(_) => new,
                Err(theirs) => theirs as u64,
            }
        }
    };
    Id::new(NonZeroU64::new(number).expect("numbers start at one"))
}
