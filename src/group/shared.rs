//! What a group and its tasks share.
//!
//! | thing | is |
//! |---|---|
//! | `context` | what the tasks work under; done when one fails, and at the end |
//! | `admission` | who is in, and whether anybody may come in |
//! | `over` | done when all is over: who joins waits for it |
//! | `failures` | what went wrong, in order |
//!
//! A task that ends gives back, one after the other: its future, its place, its
//! context, its count. So whoever sees the count go sees the rest gone.

use super::limit::Limit;
use super::spawn::Spawn;
use crate::admission::{Admission, Then};
use crate::context::Context;
use crate::error::{Cause, Finished};
use crate::failures::Failures;
use crate::handle::CancelHandle;
use crate::payload;
use crate::protocol::{NodeRef, Panics};
use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::{Mutex, PoisonError};

/// In this order: what each task changes lies beside the count of who shares it.
#[repr(C)]
pub(super) struct Shared<E> {
    pub(super) admission: Admission,
    pub(super) context: Context,
    pub(super) cancel: CancelHandle,
    pub(super) over: Context,
    end: CancelHandle,
    pub(super) limit: Option<Limit>,
    pub(super) failures: Failures<Failure<E>>,
    pub(super) spawner: Box<dyn Spawn>,
    pub(super) location: &'static Location<'static>,
}

/// How a task failed.
pub(super) enum Failure<E> {
    Error(E),
    Panic(Panic),
    /// Its future was dropped before its end.
    Aborted(Box<str>),
}

/// A panic of a task.
pub(super) struct Panic {
    /// Until a join resumes it.
    payload: Mutex<Option<Box<dyn Any + Send>>>,
    pub(super) message: Box<str>,
}

/// Why the others were cancelled, where that is no error of their own type.
#[derive(Debug)]
struct Reason(String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Reason {}

impl Panic {
    fn new(task: &str, payload: Box<dyn Any + Send>) -> Panic {
        let message = match payload::text(&*payload) {
            Some(text) => format!("{task} panicked: {text}"),
            None => format!("{task} panicked"),
        };
        Panic {
            payload: Mutex::new(Some(payload)),
            message: message.into(),
        }
    }

    /// What to resume, for the first who asks.
    pub(super) fn take(&self) -> Option<Box<dyn Any + Send>> {
        self.payload
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn is_unseen(&self) -> bool {
        self.payload
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }
}

impl<E: Error + Send + Sync + Clone + 'static> Shared<E> {
    pub(super) fn new(
        (context, cancel): (Context, CancelHandle),
        spawner: Box<dyn Spawn>,
        location: &'static Location<'static>,
    ) -> Shared<E> {
        let (over, end) = Context::background().with_cancel();
        Shared {
            admission: Admission::new(),
            context,
            cancel,
            over,
            end,
            limit: None,
            failures: Failures::new(),
            spawner,
            location,
        }
    }

    /// The node of a task.
    pub(super) fn derive_task(
        &self,
        name: Option<Cow<'static, str>>,
        location: &'static Location<'static>,
    ) -> NodeRef {
        let group = self.context.node();
        group.derive_task(name, group.birth(location))
    }

    /// Does what a change of the admission has left to do. It may run user's
    /// code, whose panics go to `panics`.
    pub(super) fn finish(&self, then: Then, panics: &mut Panics) {
        let mut then = then;
        if then == Then::WindUp {
            panics.catch(|| self.cancel_for(Cause::new(Finished)));
            then = self.admission.wound_up();
        }
        if then == Then::Over {
            panics.catch(|| {
                self.end.cancel();
            });
        }
    }

    /// Cancels for what nobody asked for by a call of its own: the place is that
    /// of the group.
    pub(super) fn cancel_for(&self, cause: Cause) {
        self.context.node().cancel(Some(cause), self.location);
    }

    /// Notes a failure of a task that was spawned there. The first one cancels
    /// the others.
    pub(super) fn fail(
        &self,
        failure: Failure<E>,
        place: &'static Location<'static>,
        panics: &mut Panics,
    ) {
        let Some(failure) = self.failures.push(failure) else {
            return;
        };
        let mut cause = None;
        // The clone is user's code.
        panics.catch(|| {
            cause = Some(match failure {
                Failure::Error(error) => Cause::new(error.clone()),
                Failure::Panic(panic) => Cause::new(Reason(panic.message.to_string())),
                Failure::Aborted(which) => Cause::new(Reason(which.to_string())),
            });
        });
        let cause = cause.unwrap_or_else(|| "a task failed".into());
        panics.catch(|| {
            self.context.node().cancel(Some(cause), place);
        });
    }

    /// The first panic of a task.
    pub(super) fn first_panic(&self) -> Option<&Panic> {
        let panics = self.failures.iter().filter_map(|failure| match failure {
            Failure::Panic(panic) => Some(panic),
            _ => None,
        });
        panics.last()
    }

    /// Whether a task panicked, and no join has resumed that.
    pub(super) fn has_unseen_panic(&self) -> bool {
        self.first_panic().is_some_and(Panic::is_unseen)
    }

    pub(super) fn aborted(name: &str) -> Failure<E> {
        Failure::Aborted(format!("{name} was dropped before its end").into())
    }

    pub(super) fn panicked(name: &str, payload: Box<dyn Any + Send>) -> Failure<E> {
        Failure::Panic(Panic::new(name, payload))
    }

    /// Lets nobody in any more: how many were in when this call decided that, if
    /// it did. It may run user's code, whose panics go to `panics`.
    pub(super) fn close(&self, panics: &mut Panics) -> Option<usize> {
        let (closed, then) = self.admission.close();
        if let Some(limit) = &self.limit {
            panics.catch(|| limit.close());
        }
        self.finish(then, panics);
        closed
    }

    /// The same for who has nothing else to do. Whether this call decided it.
    pub(super) fn close_now(&self) -> bool {
        let mut panics = Panics::new();
        let closed = self.close(&mut panics);
        panics.resume();
        closed.is_some()
    }
}
