//! Tasks: nodes of which more is known, and that can be told to go.
//!
//! Who aborts what is below a node has cancelled the node before. So what comes
//! later is born done, which whoever starts a task looks at, and what was there
//! is found by the walk: its lanes were closed by the cancel.
//!
//! Models: `abort_vs_poll`, `abort_vs_repoll`, `abort_vs_end`,
//! `stragglers_vs_end`.

use super::dispose::Panics;
use super::{NodeRef, attach, tour};
use crate::error::Id;
use crate::node::{Birth, Facets, Node, Task};
use crate::sync::{Site, epoch};
use std::borrow::Cow;
use std::panic::Location;
use std::ptr::NonNull;
use std::task::Waker;
use std::time::Instant;

/// What was seen of one task.
pub(crate) struct TaskRow {
    pub(crate) id: Id,
    pub(crate) name: Option<Box<str>>,
    pub(crate) birth: Birth,
    pub(crate) started: bool,
    pub(crate) cancelled: bool,
    pub(crate) aborted: bool,
}

impl NodeRef {
    /// The node of a task below this one.
    #[inline]
    pub(crate) fn derive_task(&self, name: Option<Cow<'static, str>>, birth: Birth) -> NodeRef {
        let facets = self.inherited().and(Facets::CANCELABLE);
        let node = Node::alloc_task(self.0, facets, name, birth);
        // SAFETY: new, made for this parent, to which we have a handle.
        unsafe { attach::attach(self.node(), node) };
        NodeRef(node)
    }

    /// What is known of the task that this is the node of.
    #[inline]
    pub(crate) fn task(&self) -> &Task {
        // SAFETY: kept by this handle, which is one to all of the node.
        let task = unsafe { Node::task(self.0) };
        task.expect("the node of a task")
    }

    /// When and where a node was made that is made now.
    pub(crate) fn birth(&self, location: &'static Location<'static>) -> Birth {
        Birth {
            at: self.time_now(),
            location,
        }
    }

    /// What time it is by the clock here.
    pub(crate) fn time_now(&self) -> Instant {
        match self.clockwork() {
            Some(clockwork) => clockwork.engine().now(),
            None => crate::sync::clock::now(),
        }
    }

    /// The tasks among the children of this node that are in and not over.
    pub(crate) fn tasks(&self) -> Vec<TaskRow> {
        let mut rows = Vec::new();
        let _pin = epoch::pin();
        let mut visit = |at: NonNull<Node>| {
            // SAFETY: in the walk's lane, under its pin.
            rows.extend(unsafe { row(at) });
            false
        };
        // SAFETY: our handle, and the pin above.
        unsafe { tour::tour(self.node(), &mut visit) };
        rows.reverse();
        rows
    }

    /// Tells all tasks below this node, which is cancelled, to go, but for those
    /// below shields. A waker that panics keeps none from being woken.
    pub(crate) fn abort_tasks(&self) {
        let mut wakers = Vec::new();
        let pin = epoch::pin();
        let mut visit = |at: NonNull<Node>| {
            // SAFETY: in the walk's lane, under its pin.
            wakers.extend(unsafe { Node::task(at) }.and_then(Task::abort));
            // SAFETY: the same.
            !unsafe { at.as_ref() }.is(Facets::SHIELDED)
        };
        // SAFETY: our handle, and the pin above.
        unsafe { tour::tour(self.node(), &mut visit) };
        drop(pin);
        let mut panics = Panics::new();
        for waker in wakers {
            panics.catch(|| Waker::wake(waker));
        }
        panics.resume();
    }
}

/// What is to be told of the task at this node, if it is one that is in.
///
/// # Safety
///
/// As `Node::task`.
unsafe fn row(at: NonNull<Node>) -> Option<TaskRow> {
    // SAFETY: by the caller.
    let task = unsafe { Node::task(at) }?;
    // SAFETY: by the caller.
    let node = unsafe { at.as_ref() };
    let progress = task.progress();
    progress.is_in.then(|| TaskRow {
        id: super::ask::id(node),
        name: node.name().map(Box::from),
        birth: task.birth,
        started: progress.started,
        cancelled: !node.state.load_known(Site::TaskState).is_live(),
        aborted: progress.aborted,
    })
}
