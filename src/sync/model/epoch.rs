//! The real crossbeam-epoch, on loom's atomics.
//!
//! Each execution has a collector, and each pin a registration of its own. A
//! model may leave the collector's own interleavings out ("focus", the
//! default): nearly all the explosion of states comes from there.

use crossbeam_epoch::Collector;
use std::cell::{Cell, RefCell};

thread_local! {
    static COLLECTOR: RefCell<Option<Collector>> = const { RefCell::new(None) };
    static FOCUS: Cell<bool> = const { Cell::new(true) };
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

pub(crate) struct Guard(Option<crossbeam_epoch::Guard>);

pub(super) fn begin(focus: bool) {
    FOCUS.set(focus);
    DEPTH.set(0);
    COLLECTOR.with_borrow_mut(|slot| *slot = Some(Collector::new()));
}

/// Drops the collector, and so frees all that was deferred.
pub(super) fn end() {
    let collector = COLLECTOR.with_borrow_mut(Option::take);
    focused(|| drop(collector));
}

/// Runs `f` without exploring what else could happen meanwhile.
fn focused<R>(f: impl FnOnce() -> R) -> R {
    let focus = FOCUS.get();
    if focus && DEPTH.replace(DEPTH.get() + 1) == 0 {
        loom::stop_exploring();
    }
    let result = f();
    if focus {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            loom::explore();
        }
    }
    result
}

pub(crate) fn pin() -> Guard {
    let collector = COLLECTOR.with_borrow(|slot| {
        slot.clone()
            .expect("a model runs between `testing::begin` and `testing::end`")
    });
    focused(|| {
        let guard = collector.register().pin();
        // On x86-64 the collector pins by a compare-and-swap instead of a
        // fence, which that processor makes as good as one and loom does not:
        // without this, a pin could be overlooked that no machine overlooks.
        loom::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        Guard(Some(guard))
    })
}

impl Guard {
    /// # Safety
    ///
    /// `f` may run on any thread, at any later time, so all it touches must be
    /// its own by then and may be sent there.
    pub(crate) unsafe fn defer(&self, f: impl FnOnce()) {
        let guard = self.0.as_ref().expect("present until dropped");
        // SAFETY: handed on to the caller, in the same words.
        focused(|| unsafe { guard.defer_unchecked(f) });
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let guard = self.0.take();
        focused(|| {
            // What a pin defers is pushed to all at once, so that the next
            // unpin can collect it within the same short execution.
            if let Some(guard) = &guard {
                guard.flush();
            }
            drop(guard);
        });
    }
}
