//! Drains, and those they wait for. Nobody lets time pass here.

use crate::tools::race;
use ctxtree::time::ManualClock;
use ctxtree::{CancelHandle, Context, Drain};

/// A drain, and who cancels it from above.
fn drain() -> (Drain, CancelHandle) {
    let root = Context::background().with_clock(&ManualClock::new());
    let (parent, stop) = root.with_cancel();
    (Drain::new(&parent).on_waiting(|_| ()), stop)
}

fn child(drain: &Drain) -> Context {
    drain.context().with_cancel().0
}

pub(crate) fn drain_vs_last_drop() {
    let (drain, _stop) = drain();
    let held = child(&drain);
    race(
        move || drop(held),
        move || assert!(drain.finish_blocking().is_clean()),
    );
}

/// The cancel is seen before it has gone through all below.
pub(crate) fn drain_vs_cancel_from_above() {
    let (drain, stop) = drain();
    drop(child(&drain));
    race(
        move || stop.cancel(),
        move || {
            assert!(drain.finish_blocking().is_clean());
            assert!(child(&drain).is_cancelled(), "nothing can start any more");
        },
    );
}
