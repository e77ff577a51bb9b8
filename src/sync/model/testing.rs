//! What the model harness does around each execution.

use super::super::seed;
pub use super::epoch::Epochs;
pub(crate) use super::schedule::take as take_schedule;
use super::{NEXT_INDEX, epoch, memory, schedule};

/// Starts an execution on these epochs.
pub(crate) fn begin(epochs: Epochs) {
    memory::reset();
    schedule::begin();
    seed::begin();
    NEXT_INDEX.set(0);
    super::clock::begin();
    // What an execution that failed has left is not to be joined.
    super::SPAWNED.take().into_iter().for_each(std::mem::forget);
    epoch::begin(epochs);
}

/// Ends an execution: everything allocated in it must be freed.
pub(crate) fn end() {
    epoch::end();
    assert_eq!(memory::live(), [""; 0], "objects leaked");
}

/// Lets time pass.
pub(crate) fn pass(length: std::time::Duration) {
    super::clock::pass(length);
}

/// Waits until the timer threads have stopped.
pub(crate) fn join_drivers() {
    super::join_all();
}

/// How many heap objects of the library exist.
pub(crate) fn live_objects() -> usize {
    memory::live().len()
}
