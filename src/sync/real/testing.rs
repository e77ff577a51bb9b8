//! What tests may see of the back end.

use super::epoch;
use super::memory::LIVE;
use std::sync::atomic::Ordering;

/// How many heap objects of the library exist: nodes, waiters, lane arrays.
pub(crate) fn live_objects() -> usize {
    // Relaxed: a statistic.
    LIVE.load(Ordering::Relaxed)
}

/// Gives deferred memory back as far as no pin forbids it.
pub(crate) fn collect() {
    for _ in 0..8 {
        epoch::pin().flush();
    }
}
