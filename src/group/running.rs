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
//! - **R1** From the first poll on the future is not moved until it is dropped in
//!   its place.

use super::shared::{Seat, Shared};
use super::spawn::Run;
use crate::protocol::Panics;
use crate::sync::local_flag;
use std::any::Any;
use std::cell::RefCell;
use std::error::Error;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

local_flag! {
    /// The groups whose tasks this thread is polling, the innermost last.
    static POLLING: RefCell<Vec<usize>> = RefCell::new(Vec::new());
}

/// Whether this is called by a task of the group.
pub(super) fn is_inside<E>(shared: &Arc<Shared<E>>) -> bool {
    let group = Arc::as_ptr(shared).addr();
    let inside = POLLING.try_with(|polling| polling.borrow().contains(&group));
    inside.unwrap_or(false)
}

/// Says that this thread polls a task, as long as it lives.
struct Polling;

impl Polling {
    fn begin(group: usize) -> Polling {
        // Past the thread's locals nobody asks.
        let _ = POLLING.try_with(|polling| polling.borrow_mut().push(group));
        Polling
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        let _ = POLLING.try_with(|polling| polling.borrow_mut().pop());
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
        // SAFETY: it is dropped in its place, and not moved before (R1).
        let future = unsafe { Pin::new_unchecked(future) };
        let polling = Polling::begin(Arc::as_ptr(&seat.shared).addr());
        let polled = catch_unwind(AssertUnwindSafe(|| future.poll(cx)));
        drop(polling);
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
        let mut panics = Panics::new();
        let failure = match end {
            End::Well => None,
            End::Failed(error) => Some(super::shared::Failure::Error(error)),
            End::Panicked(payload) => Some(Shared::panicked(&seat.label(), payload)),
            End::Aborted => Some(Shared::aborted(&seat.label())),
        };
        if let Some(failure) = failure {
            seat.fail(failure, &mut panics);
        }
        let polling = Polling::begin(Arc::as_ptr(&seat.shared).addr());
        let dropped = catch_unwind(AssertUnwindSafe(|| self.future = None));
        drop(polling);
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
