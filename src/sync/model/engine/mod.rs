//! What explores the interleavings: loom, or shuttle.
//!
//! | | loom | shuttle |
//! |---|---|---|
//! | schedules | all, up to a bound | drawn at random, or by priorities |
//! | threads | two or three | as many as one likes |
//! | memory model | C11, with stale reads | sequentially consistent |
//! | plain memory | unordered uses fail | not checked |
//! | lost wake-ups | fail as deadlocks | the same |
//!
//! Both are one thread of the system whose stack is switched at a schedule
//! point. Our own atomics have one in front of each operation, so that under
//! shuttle they need be no more than those of std.

#[cfg(crossbeam_loom)]
mod loom;
#[cfg(crossbeam_loom)]
pub(crate) use self::loom::*;

#[cfg(not(crossbeam_loom))]
mod shuttle;
#[cfg(not(crossbeam_loom))]
pub(crate) use self::shuttle::*;
