//! What is read often and replaced rarely. In a model it orders nothing: who
//! needs an order brings it.

use std::sync::{Arc, Mutex};

pub(crate) struct Swap<T>(Mutex<Option<Arc<T>>>);

impl<T> Swap<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(crate) fn load(&self) -> Option<Arc<T>> {
        super::schedule_point();
        self.0.lock().expect("nobody panics here").clone()
    }

    pub(crate) fn store(&self, value: Option<Arc<T>>) {
        super::schedule_point();
        *self.0.lock().expect("nobody panics here") = value;
    }
}
