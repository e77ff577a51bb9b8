//! The end of what users gave: dropped last, outside everything, in a loop.
//!
//! The drop of a cause or of a value may run any code, and may drop other
//! contexts, whose causes and values may hold further ones. What comes up while
//! this thread is already dropping is queued for that outer loop, so a chain of
//! any length takes constant stack (V8). A panic stops none of the others (V14).
//!
//! A dead node with values is buried after they are dropped, as then anybody
//! may free it. So a nested release leaves it to the outer loop whole.

use super::release;
use crate::node::Node;
use crate::state::OwnedRecord;
use crate::sync::local_flag;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{NonNull, null_mut};

/// What is still to be dropped.
pub(super) enum Garbage {
    Record(OwnedRecord),
    /// A dead node, not buried, and this thread's to bury (T7): its values go
    /// first.
    Node(NonNull<Node>),
}

local_flag! {
    /// The queue of the outer loop on this thread, in that loop's own frame;
    /// null while there is none. Without a destructor, so that it is there to
    /// the very end of a thread.
    static QUEUE: Cell<*mut Vec<Garbage>> = Cell::new(null_mut());
}

/// Drops what a release has taken out, the node `first` before the rest, or
/// leaves it to the loop this runs in.
#[cold]
pub(super) fn drop_all(first: Option<NonNull<Node>>, mut garbage: Vec<Garbage>) {
    if let Some(queue) = NonNull::new(QUEUE.with(Cell::get)) {
        // SAFETY: the frame of the outer loop is below us on this thread's
        // stack, and that loop holds no reference while it runs user's code.
        let queue = unsafe { &mut *queue.as_ptr() };
        queue.append(&mut garbage);
        queue.extend(first.map(Garbage::Node));
        return;
    }
    let queue: *mut Vec<Garbage> = &raw mut garbage;
    QUEUE.with(|outer| outer.set(queue));
    let mut panics = Panics::new();
    let mut next = first.map(Garbage::Node);
    loop {
        // SAFETY: a place in this frame; other references to it do not outlast
        // the calls that made them.
        let Some(garbage) = next.take().or_else(|| unsafe { &mut *queue }.pop()) else {
            break;
        };
        match garbage {
            Garbage::Record(record) => panics.catch(|| drop(record)),
            // SAFETY: dead and ours; the queue as above.
            Garbage::Node(at) => unsafe { release::end(at, queue, &mut panics) },
        }
    }
    QUEUE.with(|outer| outer.set(null_mut()));
    panics.resume();
}

/// Drops what is the user's. While this thread unwinds, a panic in it is
/// reported and goes no further: it would abort.
pub(super) fn drop_one<T>(value: T) {
    if std::thread::panicking() {
        let mut panics = Panics::new();
        panics.catch(|| drop(value));
        panics.resume();
    } else {
        drop(value);
    }
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
