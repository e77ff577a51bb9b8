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
use crate::node::{Knots, Node};
use crate::payload::forget;
use crate::state::OwnedRecord;
use crate::sync::local_flag;
use crate::wait_cell::{Chain, Prevented};
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{NonNull, null_mut};

/// What users gave, taken out of nodes that end.
pub(super) struct Garbage {
    /// The causes of cancels.
    pub(super) records: Vec<OwnedRecord>,
    /// What tied far nodes to others.
    pub(super) knots: Vec<Knots>,
    /// Callbacks that will never run.
    pub(super) unrun: Chain,
    /// Callbacks whose registrations were dropped.
    prevented: Vec<Prevented>,
    /// Dead nodes, not buried, and this thread's to bury (T7): their values go
    /// first.
    nodes: Vec<NonNull<Node>>,
}

impl Garbage {
    pub(super) fn new() -> Self {
        Self {
            records: Vec::new(),
            knots: Vec::new(),
            unrun: Chain::new(),
            prevented: Vec::new(),
            nodes: Vec::new(),
        }
    }

    /// Nothing to drop, as a release finds. It adds no nodes.
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.knots.is_empty() && self.unrun.is_empty()
    }

    /// One thing to drop.
    fn next(&mut self) -> Option<Item> {
        let knots = self.knots.pop().map(Item::Knots);
        knots
            .or_else(|| self.records.pop().map(Item::Record))
            .or_else(|| self.unrun.split_first().map(Item::Unrun))
            .or_else(|| self.prevented.pop().map(Item::Prevented))
            .or_else(|| self.nodes.pop().map(Item::Node))
    }
}

/// One thing to drop.
enum Item {
    Record(OwnedRecord),
    Knots(Knots),
    /// A chain of one.
    Unrun(Chain),
    Prevented(Prevented),
    Node(NonNull<Node>),
}

local_flag! {
    /// The garbage of the outer loop on this thread, in that loop's own frame;
    /// null while there is none. Without a destructor, so that it is there to
    /// the very end of a thread.
    static OUTER: Cell<*mut Garbage> = Cell::new(null_mut());
}

/// Drops what a release has taken out, the values of the dead node `first`
/// before the rest, or leaves it to the loop this runs in. `first` is the
/// caller's to bury (T7), which is done here.
pub(super) fn drop_all(first: Option<NonNull<Node>>, garbage: Garbage) {
    if first.is_some() || !garbage.is_empty() {
        drop_some(first.map(Item::Node), garbage);
    }
}

/// Drops the closure of a callback that was stopped, or leaves it to the loop
/// this runs in: closures may own registrations, whose closures own further
/// ones.
pub(super) fn drop_closure(prevented: Prevented) {
    drop_some(Some(Item::Prevented(prevented)), Garbage::new());
}

#[cold]
fn drop_some(first: Option<Item>, mut garbage: Garbage) {
    if let Some(outer) = NonNull::new(OUTER.with(Cell::get)) {
        // SAFETY: the frame of the outer loop is below us on this thread's
        // stack, and that loop holds no reference while it runs user's code.
        let outer = unsafe { &mut *outer.as_ptr() };
        outer.records.append(&mut garbage.records);
        outer.knots.append(&mut garbage.knots);
        outer.unrun.append(garbage.unrun);
        match first {
            Some(Item::Node(node)) => outer.nodes.push(node),
            Some(Item::Prevented(prevented)) => outer.prevented.push(prevented),
            _ => {}
        }
        return;
    }
    let all: *mut Garbage = &raw mut garbage;
    OUTER.with(|outer| outer.set(all));
    let mut panics = Panics::new();
    let mut next = first;
    loop {
        // SAFETY: a place in this frame; other references to it do not outlast
        // the calls that made them.
        let Some(item) = next.take().or_else(|| unsafe { &mut *all }.next()) else {
            break;
        };
        match item {
            Item::Record(record) => panics.catch(|| drop(record)),
            Item::Knots(knots) => panics.catch(|| drop(knots)),
            Item::Prevented(prevented) => panics.catch(|| drop(prevented)),
            Item::Unrun(mut callback) => panics.catch(|| callback.drop_unrun()),
            // SAFETY: dead and ours; the garbage as above.
            Item::Node(at) => unsafe { release::end(at, all, &mut panics) },
        }
    }
    OUTER.with(|outer| outer.set(null_mut()));
    panics.resume();
}

/// Runs `f` as if no loop were under way on this thread: what it drops is dropped
/// before it returns.
pub(super) fn outside(f: impl FnOnce()) {
    struct Again(*mut Garbage);

    impl Drop for Again {
        fn drop(&mut self) {
            OUTER.with(|outer| outer.set(self.0));
        }
    }

    let _again = Again(OUTER.with(|outer| outer.replace(null_mut())));
    f();
}

/// Drops what is the user's. While this thread unwinds, a panic in it is
/// reported and goes no further: it would abort.
pub(super) fn drop_one<T>(value: T) {
    run_one(|| drop(value));
}

/// The same for a drop that is not that of a value.
pub(super) fn run_one(f: impl FnOnce()) {
    if std::thread::panicking() {
        let mut panics = Panics::new();
        panics.catch(f);
        panics.resume();
    } else {
        f();
    }
}

/// Runs `f` until it says that there is no more, whatever panics: the first panic
/// goes on in the end, as in `drop_one`.
pub(super) fn run_all(mut f: impl FnMut() -> bool) {
    let mut panics = Panics::new();
    let mut more = true;
    while more {
        // After a panic there may be more.
        panics.catch(|| {
            while f() {}
            more = false;
        });
    }
    panics.resume();
}

/// Keeps the first panic of several pieces of user's code.
pub(crate) struct Panics(Option<Box<dyn Any + Send>>);

impl Panics {
    pub(crate) fn new() -> Self {
        Self(None)
    }

    pub(crate) fn catch(&mut self, f: impl FnOnce()) {
        let Err(panic) = catch_unwind(AssertUnwindSafe(f)) else {
            return;
        };
        if self.0.is_none() {
            self.0 = Some(panic);
        } else {
            forget(panic);
        }
    }

    /// Lets the panics be.
    pub(super) fn forget(self) {
        if let Some(panic) = self.0 {
            forget(panic);
        }
    }

    /// Goes on with the first panic, unless this thread unwinds already: then
    /// the panic hook has reported it, and that is all.
    pub(crate) fn resume(self) {
        if let Some(panic) = self.0 {
            if std::thread::panicking() {
                forget(panic);
            } else {
                resume_unwind(panic);
            }
        }
    }
}
