//! What a context hands down besides the cancel: values, and its time.

use super::Timer;
use crate::values::Values;
use std::ptr::null;

/// Where to find what a node hands down. A node without anything of its own has
/// that of its parent.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Env {
    /// The nearest set of values, or null.
    pub(crate) values: *const Values,
    /// The timer with the deadline that counts, as it was when the node was
    /// made; the bare one of its timers if there is a clock and no deadline;
    /// null if there is neither.
    pub(crate) time: *const Timer,
}

impl Env {
    pub(crate) const NONE: Env = Env {
        values: null(),
        time: null(),
    };
}
