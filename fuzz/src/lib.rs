//! Random programs against `ctxtree`. See `fuzz/README.md`.
//!
//! | module | what |
//! |---|---|
//! | [`ops`] | one thread, compared after each operation with a plain reference |
//! | [`cancel_attach`] | two or three threads at once, checked when they have met again |
//! | [`wheel`] | deadlines on a clock that is set, compared with a sorted map |
//!
//! Each has a `Program`, which is decoded from the bytes of an input, prints
//! itself as a Rust test, and runs itself. Nothing here needs libFuzzer.

pub mod cancel_attach;
pub mod ops;
pub mod seeds;
mod tools;
pub mod wheel;

use arbitrary::{Arbitrary, Unstructured};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

/// A program of one of the targets.
pub trait Case: for<'a> Arbitrary<'a> + fmt::Debug {
    /// Runs it. Panics if the library did something wrong.
    fn run(&self);
}

/// The program that libFuzzer would make of these bytes, if it makes one.
pub fn decode<P: Case>(bytes: &[u8]) -> Option<P> {
    let too_short = bytes.len() < P::size_hint(0).0;
    if too_short {
        return None;
    }
    P::arbitrary_take_rest(Unstructured::new(bytes)).ok()
}

/// Runs a program, and prints it if it fails.
///
/// # Panics
///
/// If it fails.
pub fn run<P: Case>(program: &P) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| program.run())) {
        eprintln!("{program:?}");
        resume_unwind(panic);
    }
}

/// Runs the program in one file, and prints it if it fails.
///
/// # Panics
///
/// If it fails, or the file cannot be read.
pub fn replay<P: Case>(file: &Path) {
    let bytes = std::fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    eprintln!("{}", file.display());
    if let Some(program) = decode::<P>(&bytes) {
        run(&program);
    }
}

/// Replays the files named on the command line: what a target does when it is
/// built without libFuzzer. With `--show` in front, it prints their programs
/// instead.
pub fn replay_arguments<P: Case>() {
    let mut files: Vec<_> = std::env::args_os().skip(1).collect();
    let show = files.first().is_some_and(|first| first == "--show");
    if show {
        files.remove(0);
    }
    for file in &files {
        if !show {
            replay::<P>(Path::new(file));
        } else if let Ok(Some(program)) = std::fs::read(file).map(|bytes| decode::<P>(&bytes)) {
            println!("{program:?}");
        }
    }
}

/// Runs `count` programs made of pseudo-random bytes, always the same for the
/// same `seed`.
///
/// # Panics
///
/// If one fails. It is printed before.
pub fn run_seeded<P: Case>(seed: u64, count: usize, longest: usize) {
    let mut state = seed;
    let mut next = || {
        // SplitMix64: any generator will do, this one fits on three lines.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    for _ in 0..count {
        let length = next() as usize % longest;
        let bytes: Vec<u8> = (0..length).map(|_| next() as u8).collect();
        if let Some(program) = decode::<P>(&bytes) {
            run(&program);
        }
    }
}
