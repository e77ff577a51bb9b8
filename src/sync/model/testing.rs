//! What the model harness does around each execution.

pub(crate) use super::seed::{seed, seen};
use super::{NEXT_INDEX, epoch, memory};

/// Starts an execution; with `focus` the collector's own interleavings are
/// left out.
pub(crate) fn begin(focus: bool) {
    memory::reset();
    NEXT_INDEX.set(0);
    epoch::begin(focus);
}

/// Ends an execution: everything allocated in it must be freed.
pub(crate) fn end() {
    epoch::end();
    assert_eq!(memory::live(), 0, "objects leaked");
}

/// How many heap objects of the library exist.
pub(crate) fn live_objects() -> usize {
    memory::live()
}
