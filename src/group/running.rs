//! A task that is under way.
//!
//! It is polled by whatever the spawner is. What it polls inside stays where it
//! is from the first poll on, as it lies in a box of its own.
//!
//! | state | future | seat |
//! |---|---|---|
//! | fresh | there, not pinned: it may be taken back | there |
//! | polled | there, pinned | there |
//! | over | dropped | left |
//!
//! - **G1** From the first poll on the future is not moved until it is dropped in
//!   its place.
//! - **G2** What a thread's `POLLING` leads to lies on its stack: a poll puts itself
//!   there and takes itself off before it returns, also where it panics.

use super::limit::Limit;
use super::shared::{Failure, Shared};
use super::spawn::Run;
use crate::admission::Class;
use crate::protocol::{NodeRef, Panics};
use crate::sync::local_flag;
use std::any::Any;
use std::cell::Cell;
use std::error::Error;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::ptr::null;
use std::sync::Arc;
use std::task::{self, Poll};

local_flag! {
    /// What this thread is polling, the innermost; null where it is no task. Without
    /// a destructor, so that it is there to the very end of a thread.
    static POLLING: Cell<*const Polling> = Cell::new(null());
}

/// A task that this thread polls, on the stack of the poll.
struct Polling {
    group: usize,
    /// It is over, and what runs is what hears of that: wakers and callbacks.
    ending: bool,
    /// What it polls around this one.
    outer: *const Polling,
}

/// Whether this is called by a task of the group. Who `blocks` is called by it,
/// too, where the end of the task is what it is called from: a waker may poll
/// somebody else there, but who blocks keeps the task from leaving.
pub(super) fn is_inside<E>(shared: &Arc<Shared<E>>, blocks: bool) -> bool {
    let group = Arc::as_ptr(shared).addr();
    let mut at = POLLING.with(Cell::get);
    // SAFETY: those on the way are on this thread's stack, below this call (G2).
    while let Some(polling) = unsafe { at.as_ref() } {
        if polling.group == group && (blocks || !polling.ending) {
            return true;
        }
        at = polling.outer;
    }
    false
}

/// Runs what is a task's of this group, or of its end, and catches its panic.
fn inside<T>(group: usize, ending: bool, run: impl FnOnce() -> T) -> std::thread::Result<T> {
    let outer = POLLING.with(Cell::get);
    let polling = Polling {
        group,
        ending,
        outer,
    };
    POLLING.with(|inner| inner.set(&raw const polling));
    let polled = catch_unwind(AssertUnwindSafe(run));
    POLLING.with(|inner| inner.set(outer));
    polled
}

/// What a task has of its group, given up at its end.
pub(super) struct Seat<E: Error + Send + Sync + Clone + 'static> {
    pub(super) shared: Arc<Shared<E>>,
    /// The context of the task.
    pub(super) node: Option<NodeRef>,
    pub(super) class: Class,
    /// Whether it has a place to give back.
    pub(super) placed: bool,
}

impl<E: Error + Send + Sync + Clone + 'static> Seat<E> {
    pub(super) fn node(&self) -> &NodeRef {
        self.node.as_ref().expect("there until the seat is left")
    }

    /// The task, for messages.
    pub(super) fn label(&self) -> String {
        match self.node().name() {
            Some(name) => format!("task `{name}`"),
            None => format!("task {}", self.node().id()),
        }
    }

    /// Notes a failure of the task.
    fn fail(&self, failure: Failure<E>, panics: &mut Panics) {
        let place = self.node().task().birth.location;
        self.shared.fail(failure, place, panics);
    }

    /// Gives it up.
    fn leave(&mut self, panics: &mut Panics) {
        let Some(node) = self.node.take() else {
            return;
        };
        // SAFETY: the seat is the task's, or of one that was not polled.
        let waker = unsafe { node.task().ends() };
        let limit = self.shared.limit.as_ref().filter(|_| self.placed);
        let next = limit.map(Limit::give_back);
        panics.catch(|| drop(node));
        let then = self.shared.admission.leave(self.class);
        self.shared.finish(then, panics);
        panics.catch(|| drop(waker));
        panics.catch(|| drop(next));
    }
}

impl<E: Error + Send + Sync + Clone + 'static> Drop for Seat<E> {
    fn drop(&mut self) {
        let mut panics = Panics::new();
        self.leave(&mut panics);
        panics.resume();
    }
}

/// A task that is under way.
pub(super) struct Running<F, E: Error + Send + Sync + Clone + 'static> {
    /// Before the seat: it goes first.
    future: Option<F>,
    polled: bool,
    seat: Option<Seat<E>>,
}

/// How a task ended.
enum End<E> {
    Well,
    Failed(E),
    Panicked(Box<dyn Any + Send>),
    Aborted,
}

impl<F, E> Running<F, E>
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Error + Send + Sync + Clone + 'static,
{
    pub(super) fn new(future: F, seat: Seat<E>) -> Running<F, E> {
        Running {
            future: Some(future),
            polled: false,
            seat: Some(seat),
        }
    }

    /// Polls the future. None: it goes on.
    fn poll_future(&mut self, cx: &mut task::Context<'_>) -> Option<End<E>> {
        let (Some(future), Some(seat)) = (&mut self.future, &self.seat) else {
            return None;
        };
        let node = seat.node();
        if !node.task().begins_poll() {
            return Some(End::Aborted);
        }
        self.polled = true;
        // SAFETY: it is dropped in its place, and not moved before (G1).
        let future = unsafe { Pin::new_unchecked(future) };
        let group = Arc::as_ptr(&seat.shared).addr();
        let polled = inside(group, false, || future.poll(cx));
        match polled {
            Ok(Poll::Ready(Ok(()))) => Some(End::Well),
            Ok(Poll::Ready(Err(error))) => Some(End::Failed(error)),
            Err(payload) => Some(End::Panicked(payload)),
            Ok(Poll::Pending) => {
                // SAFETY: this is the task.
                let (stays, old) = unsafe { node.task().sleeps(cx.waker()) };
                drop(old);
                (!stays).then_some(End::Aborted)
            }
        }
    }
}

impl<F, E: Error + Send + Sync + Clone + 'static> Running<F, E> {
    /// Ends it: notes a failure, drops the future, leaves.
    fn end(&mut self, end: End<E>) {
        let Some(seat) = self.seat.take() else {
            return;
        };
        let group = Arc::as_ptr(&seat.shared).addr();
        let ended = inside(group, true, || self.leave(group, seat, end));
        if let Err(payload) = ended {
            resume_unwind(payload);
        }
    }

    fn leave(&mut self, group: usize, seat: Seat<E>, end: End<E>) {
        let mut panics = Panics::new();
        let failure = match end {
            End::Well => None,
            End::Failed(error) => Some(Failure::Error(error)),
            End::Panicked(payload) => Some(Shared::panicked(&seat.label(), payload)),
            End::Aborted => Some(Shared::aborted(&seat.label())),
        };
        if let Some(failure) = failure {
            seat.fail(failure, &mut panics);
        }
        let dropped = inside(group, false, || self.future = None);
        if let Err(payload) = dropped {
            let failure = Shared::panicked(&seat.label(), payload);
            seat.fail(failure, &mut panics);
        }
        panics.catch(|| drop(seat));
        panics.resume();
    }
}

impl<F, E> Run for Running<F, E>
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Error + Send + Sync + Clone + 'static,
{
    fn poll(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        if self.seat.is_none() {
            return Poll::Ready(());
        }
        match self.poll_future(cx) {
            None => Poll::Pending,
            Some(end) => {
                self.end(end);
                Poll::Ready(())
            }
        }
    }

    fn name(&self) -> Option<&str> {
        self.seat.as_ref()?.node().name()
    }

    fn take_back(mut self: Box<Self>) -> Option<Box<dyn Any>> {
        if self.polled {
            return None;
        }
        let future = self.future.take();
        // Nothing has failed: it only leaves.
        drop(self.seat.take());
        Some(Box::new(future))
    }
}

impl<F, E: Error + Send + Sync + Clone + 'static> Drop for Running<F, E> {
    fn drop(&mut self) {
        self.end(End::Aborted);
    }
}
