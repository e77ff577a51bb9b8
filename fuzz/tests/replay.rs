//! What needs no libFuzzer: the stored inputs, and programs from a fixed seed.

use ctxtree_fuzz::{Case, cancel_attach, decode, ops, wheel};
use std::path::{Path, PathBuf};

/// Replays every file in `fuzz/regressions/NAME`, and in `fuzz/seeds/NAME`.
fn replay_all<P: Case>(target: &str) {
    for kind in ["regressions", "seeds"] {
        replay_folder::<P>(&folder(kind).join(target));
    }
}

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind)
}

fn replay_folder<P: Case>(folder: &Path) {
    let mut files: Vec<_> = std::fs::read_dir(folder)
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
fn wheel_regressions() {
    replay_all::<wheel::Program>("wheel");
}

/// What a seed says is what its file means. If not: `cargo run --example
/// write_seeds`, in `fuzz`.
#[test]
fn stored_seeds_are_those_of_the_source() {
    for (target, seeds) in ctxtree_fuzz::seeds::all() {
        let folder = folder("seeds").join(target);
        let stored = std::fs::read_dir(&folder)
            .expect("a folder of seeds")
            .count();
        assert_eq!(stored, seeds.len(), "seeds of {target}");
        for (name, bytes) in seeds {
            let stored = std::fs::read(folder.join(name)).expect("a seed");
            assert_eq!(stored, bytes, "{target}/{name}");
            let again = match target {
                "ops" => decode::<ops::Program>(&bytes).map(|program| program.encode()),
                "wheel" => decode::<wheel::Program>(&bytes).map(|program| program.encode()),
                _ => decode::<cancel_attach::Program>(&bytes).map(|program| program.encode()),
            };
            assert_eq!(
                again,
                Some(bytes),
                "{target}/{name} is read as another program"
            );
        }
    }
}

#[test]
fn ops_seeded() {
    ctxtree_fuzz::run_seeded::<ops::Program>(seed(), 500 * times(), 1200);
}

#[test]
fn cancel_attach_seeded() {
    ctxtree_fuzz::run_seeded::<cancel_attach::Program>(seed(), 100 * times(), 500);
}

#[test]
fn wheel_seeded() {
    ctxtree_fuzz::run_seeded::<wheel::Program>(seed(), 2_000 * times(), 1200);
}
