//! The models of `ctxtree`, and what runs them.
//!
//! A model is a body that makes contexts, lets two or three threads loose on
//! them, and asserts what must hold afterwards. Under `--cfg crossbeam_loom`
//! it runs once for every interleaving and every stale read that the memory
//! model allows, up to its bound; under `--cfg ctxtree_shuttle` on schedules drawn
//! at random; without either, once over std's threads. Every object of the library
//! must be freed at the end of each run.
//!
//! The thread that runs the body only makes contexts, spawns and joins: loom
//! misses conflicts with it.

pub mod bugs;
#[cfg(not(crossbeam_loom))]
pub mod histories;
pub mod models;
mod run;
#[cfg(ctxtree_shuttle)]
pub mod schedules;
mod tools;

pub use run::{Outcome, run};

/// Which epochs a model runs on. Over std it is always the real collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Epochs {
    /// What is deferred waits for the end; a pin orders nothing.
    Kept,
    /// The real collector, whose own interleavings are not explored.
    Focused,
    /// The real collector, explored.
    Full,
}

/// One model.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    /// The name, which is also that of its test.
    pub name: &'static str,
    /// What it shows.
    pub promise: &'static str,
    /// How many threads it spawns.
    pub threads: usize,
    /// How often a thread may be interrupted in one execution, at most.
    pub bound: usize,
    /// The epochs it runs on.
    pub epochs: Epochs,
    /// What is run.
    pub body: fn(),
}

/// Runs the model of this name and prints what it took.
///
/// # Panics
///
/// If the model fails, explores fewer than two executions, does not exist, or
/// meets an ordering or a look again that the list of bugs does not name.
pub fn check(name: &str) {
    let model = models::ALL.iter().find(|model| model.name == name);
    let model = model.unwrap_or_else(|| panic!("no model is called `{name}`"));
    let outcome = run(model);
    println!("model {name}: {outcome}");
    assert!(model.threads >= 2, "a model of one thread shows nothing");
    if cfg!(any(crossbeam_loom, ctxtree_shuttle)) {
        assert!(outcome.executions > 1, "only one execution was explored");
    }
    #[cfg(any(crossbeam_loom, ctxtree_shuttle))]
    bugs::check();
}
