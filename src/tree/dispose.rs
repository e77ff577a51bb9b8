//! The end of what users gave: dropped last, outside everything, in a loop.
//!
//! The drop of a cause may run any code, and may drop other contexts, whose
//! causes may hold further ones. What comes up while this thread is already
//! dropping is queued for that outer loop, so a chain of any length takes
//! constant stack (V8). A panic stops none of the others (V14).

use crate::state::OwnedRecord;
use crate::sync::local_flag;
use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

local_flag! {
    /// What the outer loop on this thread has still to drop; `None` while
    /// there is no such loop.
    static QUEUE: RefCell<Option<Vec<OwnedRecord>>> = RefCell::new(None);
}

/// Drops what a release has taken out, or leaves it to the loop this runs in.
#[cold]
pub(super) fn drop_all(mut records: Vec<OwnedRecord>) {
    let queued = QUEUE.try_with(|queue| match &mut *queue.borrow_mut() {
        Some(waiting) => {
            waiting.append(&mut records);
            true
        }
        free => {
            *free = Some(Vec::new());
            false
        }
    });
    // Past its thread-locals, a thread drops what it has without a queue.
    if matches!(queued, Ok(true)) {
        return;
    }
    let mut panics = Panics::new();
    while let Some(record) = records.pop() {
        panics.catch(|| drop(record));
        if records.is_empty() {
            let _ = QUEUE.try_with(|queue| {
                if let Some(waiting) = &mut *queue.borrow_mut() {
                    records.append(waiting);
                }
            });
        }
    }
    if queued.is_ok() {
        let _ = QUEUE.try_with(|queue| queue.borrow_mut().take());
    }
    panics.resume();
}

/// Keeps the first panic of several pieces of user's code.
pub(super) struct Panics(Option<Box<dyn Any + Send>>);

impl Panics {
    pub(super) fn new() -> Self {
        Self(None)
    }

    pub(super) fn catch(&mut self, f: impl FnOnce()) {
        let Err(panic) = catch_unwind(AssertUnwindSafe(f)) else {
            return;
        };
        if self.0.is_none() {
            self.0 = Some(panic);
        } else {
            forget(panic);
        }
    }

    /// Goes on with the first panic, unless this thread unwinds already: then
    /// the panic hook has reported it, and that is all.
    pub(super) fn resume(self) {
        if let Some(panic) = self.0 {
            if std::thread::panicking() {
                forget(panic);
            } else {
                resume_unwind(panic);
            }
        }
    }
}

/// Drops a panic's payload, which may itself panic, and so on.
fn forget(panic: Box<dyn Any + Send>) {
    if let Err(next) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // A payload whose drop panics twice over gets no third chance.
        std::mem::forget(next);
    }
}
