//! How the parts of a scope fail.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::context::Context;
use crate::error::{Cause, Finished};
use crate::payload;

type Payload = Box<dyn Any + Send>;

/// What the threads of one scope share.
pub(super) struct Shared<E> {
    pub(super) context: Context,
    error: Mutex<Option<E>>,
    panic: Mutex<Option<Payload>>,
}

/// What failed: whose code, and the line that started it.
pub(super) struct Part {
    /// None for the closure of the scope, which is no thread.
    pub(super) thread: Option<Option<Cow<'static, str>>>,
    pub(super) location: &'static Location<'static>,
}

/// Nothing panics while one of these is locked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<E: Error + Send + Sync + Clone + 'static> Shared<E> {
    pub(super) fn new(context: Context) -> Self {
        Self {
            context,
            error: Mutex::new(None),
            panic: Mutex::new(None),
        }
    }

    /// Runs a part of the scope: what it gives, unless it fails.
    pub(super) fn watch<T>(&self, part: &Part, work: impl FnOnce() -> Result<T, E>) -> Option<T> {
        let watched = catch_unwind(AssertUnwindSafe(|| match work() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(error, part);
                None
            }
        }));
        watched.unwrap_or_else(|panic| {
            self.panicked(panic, part);
            None
        })
    }

    /// Keeps the first error, and cancels with it. May panic: `E` is the user's,
    /// and so is who listens to the cancel.
    fn fail(&self, error: E, part: &Part) {
        let cause = error.clone();
        let mut first = lock(&self.error);
        if first.is_some() {
            // What is dropped here may use the scope.
            drop(first);
            return;
        }
        *first = Some(error);
        drop(first);
        let node = self.context.node();
        node.cancel(Some(Cause::new(cause)), part.location);
    }

    /// Keeps the first panic, and cancels with a text that tells of it.
    fn panicked(&self, panic: Payload, part: &Part) {
        let cause = Cause::from(format!("{part} panicked{}", Said(&*panic)));
        self.keep(panic);
        let cancel = || self.context.node().cancel(Some(cause), part.location);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(cancel)) {
            self.keep(panic);
        }
    }

    fn keep(&self, panic: Payload) {
        let mut first = lock(&self.panic);
        if first.is_none() {
            *first = Some(panic);
        } else {
            drop(first);
            payload::forget(panic);
        }
    }

    /// The end of the scope, after that of all its threads.
    pub(super) fn end<T>(
        &self,
        given: Option<T>,
        location: &'static Location<'static>,
    ) -> Result<T, E> {
        let finish = || {
            let finished = Cause::new(Finished);
            self.context.node().cancel(Some(finished), location)
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(finish)) {
            self.keep(panic);
        }
        let (error, panic) = (lock(&self.error).take(), lock(&self.panic).take());
        if let Some(panic) = panic {
            // Dropped by an unwinding they would abort if they panic.
            drop_quietly(given);
            drop_quietly(error);
            resume_unwind(panic);
        }
        match (error, given) {
            (Some(error), _) => Err(error),
            (None, Some(value)) => Ok(value),
            (None, None) => unreachable!("the closure gave a value, failed or panicked"),
        }
    }
}

fn drop_quietly<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        payload::forget(panic);
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.thread {
            None => f.write_str("the closure of the scope"),
            Some(None) => f.write_str("a thread of the scope"),
            Some(Some(name)) => write!(f, "thread `{name}` of the scope"),
        }
    }
}

/// The text that came with a panic, if any.
struct Said<'a>(&'a (dyn Any + Send));

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        payload::text(self.0).map_or(Ok(()), |text| write!(f, ": {text}"))
    }
}
