//! Black-box tests of the public surface, by theme.
//!
//! The numbers in the comments are those of the promises and of the
//! conformance cases that a test stands for.

mod cancel;
mod causes;
mod depth;
mod hostile_wakers;
mod layering;
mod lifetime;
mod source_paths;
mod tools;
mod wait;
