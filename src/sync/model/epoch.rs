//! Epochs, in one of three forms that a model chooses.
//!
//! - `Kept`: nothing that is deferred is freed before the execution ends. A pin
//!   does nothing, and above all orders nothing: the real collector's fences
//!   would stand in for orderings of our own that were left out.
//! - `Focused`: the real crossbeam-epoch on the engine's atomics, whose own
//!   interleavings are left out: nearly all the explosion of states comes from
//!   there.
//! - `Full`: the real one, and everything it does.
//!
//! Each execution has a collector, and each pin a registration of its own.

use super::super::{Site, recheck};
use super::engine;
use crossbeam_epoch::Collector;
use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;

/// Which epochs a model runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Epochs {
    /// What is deferred waits for the end.
    Kept,
    /// The real collector, not explored.
    Focused,
    /// The real collector, explored.
    Full,
}

thread_local! {
    // All of the model's threads run on one thread of the system.
    static EPOCHS: Cell<Epochs> = const { Cell::new(Epochs::Kept) };
    static COLLECTOR: RefCell<Option<Collector>> = const { RefCell::new(None) };
    static KEPT: RefCell<Vec<Box<dyn FnOnce()>>> = const { RefCell::new(Vec::new()) };
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// `None` where a pin does nothing.
pub(crate) struct Guard(Option<crossbeam_epoch::Guard>);

pub(super) fn begin(epochs: Epochs) {
    EPOCHS.set(epochs);
    DEPTH.set(0);
    // What an execution that failed has kept is not to be run.
    KEPT.take().into_iter().for_each(std::mem::forget);
    COLLECTOR.with_borrow_mut(|slot| {
        std::mem::forget(slot.take());
        if epochs != Epochs::Kept {
            *slot = Some(Collector::new());
        }
    });
}

/// Frees all that was deferred.
pub(super) fn end() {
    let collector = COLLECTOR.with_borrow_mut(Option::take);
    focused(|| drop(collector));
    // What is freed may be the last to keep something else, which is kept here
    // as there is no collector any more.
    while KEPT.with_borrow(|kept| !kept.is_empty()) {
        for free in KEPT.take() {
            free();
        }
    }
}

/// Runs `f`; unless the model wants it, without exploring what else could
/// happen meanwhile.
fn focused<R>(f: impl FnOnce() -> R) -> R {
    let focus = EPOCHS.get() == Epochs::Focused;
    if focus && DEPTH.replace(DEPTH.get() + 1) == 0 {
        engine::stop_exploring();
    }
    let result = f();
    if focus {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            engine::explore();
        }
    }
    result
}

pub(crate) fn pin() -> Guard {
    let collector = COLLECTOR.with_borrow(Option::clone);
    Guard(collector.map(|collector| {
        focused(|| {
            let guard = collector.register().pin();
            // On x86-64 the collector pins by a compare-and-swap instead of a
            // fence, which that processor makes as good as one and loom does
            // not: without this, a pin could be overlooked that no machine
            // overlooks. Meets the fence before the collector looks for pins.
            engine::fence(Ordering::SeqCst);
            guard
        })
    }))
}

impl Guard {
    /// # Safety
    ///
    /// `f` may run on any thread, at any later time, so all it touches must be
    /// its own by then and may be sent there.
    pub(crate) unsafe fn defer(&self, f: impl FnOnce() + 'static) {
        if !recheck(Site::Defer) {
            return f();
        }
        match &self.0 {
            None => KEPT.with_borrow_mut(|kept| kept.push(Box::new(f))),
            // SAFETY: handed on to the caller, in the same words.
            Some(guard) => focused(|| unsafe { guard.defer_unchecked(f) }),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(guard) = self.0.take() else { return };
        focused(|| {
            // What a pin defers is pushed to all at once, so that the next
            // unpin can collect it within the same short execution.
            guard.flush();
            drop(guard);
        });
    }
}
