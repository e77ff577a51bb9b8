//! What is read often and replaced rarely. In a model a load may give what was
//! there before, as long as no ordering says that it was replaced.

use super::engine::{self, AtomicUsize};
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::sync::{Arc, Mutex};

pub(crate) struct Swap<T> {
    /// All that was ever there. Not locked while threads may switch.
    all: Mutex<Vec<Option<Arc<T>>>>,
    now: AtomicUsize,
}

impl<T> Swap<T> {
    pub(crate) fn new() -> Self {
        Self {
            all: Mutex::new(vec![None]),
            now: AtomicUsize::new(0),
        }
    }

    pub(crate) fn load(&self) -> Option<Arc<T>> {
        engine::schedule_point();
        let now = self.now.load(Acquire);
        self.all.lock().expect("nobody panics here")[now].clone()
    }

    pub(crate) fn store(&self, value: Option<Arc<T>>) {
        engine::schedule_point();
        let mut all = self.all.lock().expect("nobody panics here");
        let new = all.len();
        all.push(value);
        drop(all);
        self.now.swap(new, AcqRel);
    }
}
