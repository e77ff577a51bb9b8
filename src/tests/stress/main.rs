//! Stress: everything at once, for long, by the million, and with a watchdog.
//!
//! ```text
//! cargo test --test stress                        small sizes, a few seconds
//! STRESS=full cargo test --release --test stress  full sizes, some three minutes
//! ```
//!
//! Every test runs under [`watchdog`]: one that does not end in its time is
//! named, with what is known of it, and ends the process. A test that reads the
//! heap or the CPU time runs in a process of its own, for both are counted by
//! process.
//!
//! `.ci/stress-broken` shows for each kind of test a seeded bug that it finds.

mod barks;
mod churn;
mod depth;
mod forest;
mod heap;
mod hostile;
mod polling;
mod races;
mod spin;
mod sweep;
mod timers;
mod tools;
mod wakeups;
mod watchdog;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;
