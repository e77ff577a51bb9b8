//! The driver of the benches. Its point is interleaving: on a shared machine
//! the clock speed and the neighbours change from second to second, so the
//! contenders of one question take turns in rounds of a few milliseconds, in
//! one process, and every ratio is taken within a round before the median is.

#![allow(dead_code, reason = "each bench uses a part of it")]

pub(crate) mod bits;
pub(crate) mod heap;
pub(crate) mod question;
pub(crate) mod rounds;
pub(crate) mod stats;

use std::cell::RefCell;

use question::{Question, Verdict};

/// One bench binary: how thoroughly it runs and what came out.
pub(crate) struct Bench {
    name: &'static str,
    quick: bool,
    filter: Option<String>,
    verdicts: RefCell<Vec<Verdict>>,
}

impl Bench {
    /// Reads the command line. `cargo bench` passes `--bench`; without it
    /// (`cargo test --benches`, or the bare binary) the run is a quick one, so
    /// that a smoke test never takes minutes.
    pub(crate) fn start(name: &'static str) -> Bench {
        let mut quick = std::env::var_os("CTXTREE_BENCH_QUICK").is_some_and(|v| v != "0");
        let mut timed = false;
        let mut filter = None;
        for argument in std::env::args().skip(1) {
            match argument.as_str() {
                "--bench" => timed = true,
                "--quick" | "--test" => quick = true,
                // Test runners ask every binary for its tests; it has none.
                "--list" => std::process::exit(0),
                option if option.starts_with('-') => {}
                word => filter = Some(word.to_owned()),
            }
        }
        let quick = quick || !timed;
        let cores = std::thread::available_parallelism().map_or(0, |n| n.get());
        let how = if quick {
            "quick: a smoke test, smaller than the titles say"
        } else {
            "full"
        };
        println!("{name}: {how}; {cores} cores; times in ns, lower is better\n");
        Bench {
            name,
            quick,
            filter,
            verdicts: RefCell::new(Vec::new()),
        }
    }

    /// The first in a full run, the second in a quick one.
    pub(crate) fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Asks one question, unless a word on the command line excludes it. The
    /// contenders are only built when they are going to run.
    pub(crate) fn ask<'a>(&self, title: &str, build: impl FnOnce(Question<'a>) -> Question<'a>) {
        if self
            .filter
            .as_ref()
            .is_some_and(|word| !title.contains(word.as_str()))
        {
            return;
        }
        let rounds = self.pick(151, 3);
        let verdicts = build(Question::new(title, rounds, self.quick)).run();
        self.verdicts.borrow_mut().extend(verdicts);
    }

    /// Prints how many goals were met; a quick run judges none. Times never
    /// fail a run: that is for whoever reads them, with the spread beside them.
    pub(crate) fn finish(self) {
        let verdicts = self.verdicts.into_inner();
        if verdicts.is_empty() {
            return;
        }
        let met = verdicts.iter().filter(|v| v.met).count();
        println!("{}: {met} of {} goals met", self.name, verdicts.len());
        for verdict in verdicts.iter().filter(|v| !v.met) {
            println!("  missed: {}", verdict.line);
        }
    }
}
