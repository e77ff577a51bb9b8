//! Black-box tests of the public surface, by theme.
//!
//! The numbers in the comments are those of the promises and of the
//! conformance cases that a test stands for.

mod auto_traits;
mod blocking;
mod cancel;
mod causes;
mod depth;
mod display;
mod hostile_wakers;
mod layering;
mod lifetime;
mod memory;
mod mixed;
mod overflow;
#[cfg(feature = "internal-model")]
mod programs;
mod promises;
#[cfg(feature = "internal-model")]
mod properties;
#[cfg(feature = "internal-model")]
mod reference;
mod run;
mod snapshot;
mod snapshot_in_use;
mod source_paths;
mod stress;
mod ties;
mod tools;
mod tree_text;
mod value_drops;
mod values;
mod wait;
