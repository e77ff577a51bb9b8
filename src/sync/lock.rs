//! A lock around a few lines of our own.

use super::backend::raw::Mutex;
use std::sync::PoisonError;

/// Something that is changed under a lock, in short steps that run nobody
/// else's code.
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Runs `step` under the lock. What is to be dropped is moved out of it.
    pub(crate) fn with<R>(&self, step: impl FnOnce(&mut T) -> R) -> R {
        step(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
