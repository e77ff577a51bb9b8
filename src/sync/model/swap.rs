//! What is read often and replaced rarely: in a model, behind a lock.

use std::sync::Arc;

pub(crate) struct Swap<T>(loom::sync::Mutex<Option<Arc<T>>>);

impl<T> Swap<T> {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Mutex::new(None))
    }

    pub(crate) fn load(&self) -> Option<Arc<T>> {
        self.0.lock().expect("nobody panics here").clone()
    }

    pub(crate) fn store(&self, value: Option<Arc<T>>) {
        *self.0.lock().expect("nobody panics here") = value;
    }
}
