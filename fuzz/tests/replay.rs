//! What needs no libFuzzer: the stored inputs, and programs from a fixed seed.

use ctxtree_fuzz::{Case, cancel_attach, ops};
use std::path::Path;

/// Replays every file in `fuzz/regressions/NAME`.
fn replay_all<P: Case>(target: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("regressions")
        .join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("a folder that can be read").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no inputs in {}", folder.display());
    for file in files {
        ctxtree_fuzz::replay::<P>(&file);
    }
}

/// How many times as many seeded programs to run: `FUZZ_TIMES=100`.
fn times() -> usize {
    std::env::var("FUZZ_TIMES").map_or(1, |n| n.parse().expect("FUZZ_TIMES is a number"))
}

/// Where the seeded programs start: `FUZZ_SEED=7`.
fn seed() -> u64 {
    std::env::var("FUZZ_SEED").map_or(1, |n| n.parse().expect("FUZZ_SEED is a number"))
}

#[test]
fn ops_regressions() {
    replay_all::<ops::Program>("ops");
}

#[test]
fn cancel_attach_regressions() {
    replay_all::<cancel_attach::Program>("cancel_attach");
}

#[test]
fn ops_seeded() {
    ctxtree_fuzz::run_seeded::<ops::Program>(seed(), 500 * times(), 1200);
}

#[test]
fn cancel_attach_seeded() {
    ctxtree_fuzz::run_seeded::<cancel_attach::Program>(seed(), 100 * times(), 500);
}
