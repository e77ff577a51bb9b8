//! Nodes of tasks: what is known of the task, behind the node.
//!
//! | `stage` | since |
//! |---|---|
//! | `NEW` | it was made |
//! | `ADMITTED` | its group let it in |
//! | `STARTED` | its first poll |
//! | `ENDED` | it is no more, though somebody may hold its context |
//!
//! Only one thread at a time writes the stage: who spawns the task, then the task.
//! `aborted` is set by anybody, for good: the task is to go at its next poll, for
//! which it is woken.
//!
//! Who aborts sets the flag and then takes the waker; a task that goes to sleep
//! puts its waker into the slot and then looks at the flag. The slot orders the
//! two: either the waker is found, or the flag is.
//!
//! A pointer to such a node is always one to all of it, made from the allocation
//! and never from a reference to the node alone.
//!
//! Models: `abort_vs_poll`, `abort_vs_repoll`, `abort_vs_end`.

use super::{Birth, Facets, Kind, New, Node};
use crate::list;
use crate::sync::Ordering::Relaxed;
use crate::sync::{AtomicU32, Site, kept, memory, recheck};
use crate::wait_cell::WakerSlot;
use std::borrow::Cow;
use std::ptr::{NonNull, null_mut};
use std::task::Waker;

const NEW: u32 = 0;
const ADMITTED: u32 = 1;
const STARTED: u32 = 2;
const ENDED: u32 = 3;

/// What is known of a task.
pub(crate) struct Task {
    pub(crate) birth: Birth,
    stage: AtomicU32,
    /// Not 0: yes.
    aborted: AtomicU32,
    slot: WakerSlot,
}

/// The node of a task.
#[repr(C)]
struct TaskNode {
    node: Node,
    task: Task,
}

kept!(TaskNode);

/// How far a task is.
#[derive(Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) started: bool,
    pub(crate) aborted: bool,
    /// Admitted, and not over.
    pub(crate) is_in: bool,
}

impl Task {
    /// Its group has let it in. Told before a spawner has the task.
    #[inline]
    pub(crate) fn admit(&self) {
        // Relaxed: for those who count.
        self.stage.store(ADMITTED, Relaxed, Site::TaskAdmit);
    }

    /// The task is polled, by itself. False if it has been aborted: then it has to
    /// go.
    #[inline]
    pub(crate) fn begins_poll(&self) -> bool {
        // Relaxed: for those who count.
        self.stage.store(STARTED, Relaxed, Site::TaskStart);
        // Relaxed: a guess; a task that goes to sleep looks again.
        self.aborted.load(Relaxed, Site::TaskLook) == 0
    }

    /// The task goes to sleep. False if it has been aborted: then it has to go.
    /// What was in the slot is for the caller to drop.
    ///
    /// # Safety
    ///
    /// Called by the task only.
    #[inline]
    pub(crate) unsafe fn sleeps(&self, waker: &Waker) -> (bool, Option<Waker>) {
        // SAFETY: by the caller.
        let old = unsafe { self.slot.register(waker) };
        // Relaxed: the slot shows what was set before the waker was taken.
        let aborted = self.aborted.load(Relaxed, Site::TaskRecheck) != 0;
        // Again, after the waker is in: who aborted before found none to wake.
        (!(aborted && recheck(Site::TaskSleeps)), old)
    }

    /// The task is over. Its waker is for the caller to drop.
    ///
    /// # Safety
    ///
    /// Called by the task only.
    #[inline]
    pub(crate) unsafe fn ends(&self) -> Option<Waker> {
        // Relaxed: for those who count.
        self.stage.store(ENDED, Relaxed, Site::TaskEnd);
        // SAFETY: by the caller.
        unsafe { self.slot.take_last() }
    }

    /// Has the task go at its next poll: the waker for that.
    pub(crate) fn abort(&self) -> Option<Waker> {
        // Relaxed: the slot releases it to a task that comes too late.
        self.aborted.store(1, Relaxed, Site::TaskAbort);
        // Relaxed: a guess, as a task that is over takes its waker itself.
        let stage = self.stage.load(Relaxed, Site::TaskAbortLook);
        (stage != ENDED).then(|| self.slot.take()).flatten()
    }

    pub(crate) fn progress(&self) -> Progress {
        // Relaxed, both: of the moment.
        let stage = self.stage.load(Relaxed, Site::TaskProgress);
        let aborted = self.aborted.load(Relaxed, Site::TaskAborted) != 0;
        Progress {
            started: stage == STARTED,
            aborted,
            is_in: stage == ADMITTED || stage == STARTED,
        }
    }
}

impl Node {
    /// The node of a task, with one handle, not attached yet.
    pub(crate) fn alloc_task(
        parent: NonNull<Node>,
        facets: Facets,
        name: Option<Cow<'static, str>>,
        birth: Birth,
    ) -> NonNull<Node> {
        let extension = match name {
            None => null_mut(),
            name => super::Extension::of(name, None, None, None, None),
        };
        let new = New {
            parent,
            kind: Kind::Task,
            facets: facets.and(Facets::TASK),
            handles: 1,
            extension,
        };
        let task = Task {
            birth,
            stage: AtomicU32::new(NEW),
            aborted: AtomicU32::new(0),
            slot: WakerSlot::new(),
        };
        let node = new.with(Node::env_below(parent));
        list::alloc_kept(TaskNode { node, task }).cast()
    }

    /// What is known of the task, if the node is one of a task.
    ///
    /// # Safety
    ///
    /// The node is valid for as long as the caller says, and `at` points to all
    /// of its memory.
    pub(crate) unsafe fn task<'n>(at: NonNull<Node>) -> Option<&'n Task> {
        // SAFETY: by the caller.
        let is_task = unsafe { at.as_ref() }.is(Facets::TASK);
        // SAFETY: such a node is part of one, and by the caller.
        is_task.then(|| unsafe { &(*at.cast::<TaskNode>().as_ptr()).task })
    }

    /// # Safety
    ///
    /// As `free`; the node has the facet TASK.
    pub(super) unsafe fn free_with_task(at: NonNull<Node>) {
        // SAFETY: by the caller; `alloc_task` made it.
        unsafe { memory::free_kept(at.cast::<TaskNode>()) };
    }
}
