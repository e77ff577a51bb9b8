//! Random programs of many threads, and whether what they saw can be explained.
#![cfg(not(crossbeam_loom))]

#[cfg(not(ctxtree_shuttle))]
#[test]
fn every_history_has_an_order() {
    for seed in 0..200 {
        loom_tests::histories::check(seed);
    }
}

#[cfg(ctxtree_shuttle)]
mod on_schedules {
    use loom_tests::{Epochs, histories, schedules};
    use std::io::{Write, stdout};
    use std::process::Command;

    /// Past the capture of the test harness.
    fn say(text: &str) {
        writeln!(stdout(), "{text}").expect("there is an output");
    }

    #[test]
    fn every_history_has_an_order() {
        let ran = histories::explore(Epochs::Kept, schedules::wanted(10_000));
        say(&format!("histories: {ran} executions"));
    }

    #[test]
    fn every_history_with_the_collector_has_an_order() {
        let ran = histories::explore(Epochs::Full, schedules::wanted(10_000));
        say(&format!("histories with the collector: {ran} executions"));
    }

    /// Plants the bug, and fails if nothing fails.
    fn is_found(bug: &str, by: &str, scale: &str) {
        let output = Command::new(env!("CARGO_BIN_EXE_mutants"))
            .args(["--plant", bug, by])
            .env("SCHEDULES", scale)
            .env_remove("PROGRAM")
            .env_remove("REPLAY")
            .output()
            .expect("the gate can be run");
        let text = String::from_utf8_lossy(&output.stdout);
        let at = text
            .lines()
            .find_map(|line| line.strip_prefix("failed on schedule "));
        let at = at.unwrap_or_else(|| panic!("{bug} survives {by}: {text}"));
        say(&format!("{bug} found by {by}, execution {at}"));
    }

    #[test]
    fn histories_find_seeded_bugs() {
        for bug in HISTORY_BUGS {
            is_found(bug, "histories", "1");
        }
    }

    const HISTORY_BUGS: [&str; 4] = [
        "AttachRecheck.Skip",
        "Defer.Skip",
        "FreeDespiteWalk.Skip",
        "LoserHelps.Skip",
    ];

    /// What the gate finds with loom, and needs no stale read.
    #[test]
    fn models_find_looks_left_out() {
        let list = loom_tests::bugs::read();
        let skips = list.iter().filter(|(bug, model)| {
            bug.ends_with(".Skip") && !model.starts_with("- ") && !STALE.contains(&bug.as_str())
        });
        let mut found = 0;
        for (bug, model) in skips {
            is_found(bug, model, "100");
            found += 1;
        }
        assert!(found >= 15, "only {found} bugs are listed");
    }

    /// They matter only where a read may be stale.
    const STALE: [&str; 1] = ["IdleAgain.Skip"];
}
