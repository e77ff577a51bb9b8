//! Programs for two or three threads at once.
//!
//! A small tree is set up, its handles are dealt out, and the threads start
//! together. What one thread can know is checked on the way: that a cancel that
//! has returned has marked what the thread had derived, that a child of a done
//! context is born done, that an answer never changes. The rest is checked when
//! all have stopped, against a `shadow` of the tree.

mod encode;
mod play;
mod run;
mod shadow;

use crate::Case;
use crate::tools::paste;
use arbitrary::{Arbitrary, Unstructured};
use std::fmt;

/// A tree, and what the threads do to it.
#[derive(Clone)]
pub struct Program {
    /// The contexts before the start. The first [`MOST_SEEDS`] are used.
    pub tree: Vec<Seed>,
    /// What the first thread does.
    pub first: Script,
    /// What the second thread does.
    pub second: Script,
    /// What the third thread does, if there is one.
    pub third: Option<Script>,
}

/// How large the tree may be before the start.
pub const MOST_SEEDS: usize = 8;
/// How many steps of a script are done.
pub const MOST_STEPS: usize = 24;
/// How often each program is run: what a race does differs from run to run.
pub const REPETITIONS: usize = 20;

/// A context of the tree before the start.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seed {
    /// 0 for `background`, 1 for a context that is never cancelled and outlives
    /// the run, else a seed before this one. Modulo how many there are.
    pub parent: u8,
    /// Whether it is made by `without_cancel`.
    pub shielded: bool,
    /// Whether its list of children is split into lanes.
    pub split: bool,
    /// How many waits are registered on it, modulo 4.
    pub waits: u8,
    /// Who gets handles: a bit for each thread, and 8 for one that is kept
    /// until all have stopped.
    pub holders: u8,
}

/// What one thread does.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Script {
    /// The first [`MOST_STEPS`] are done.
    pub steps: Vec<Step>,
    /// Whether the thread drops what it has left, at the same time as the
    /// others.
    pub drop_all: bool,
}

/// One step of a thread.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// How long to spin before.
    pub spin: u8,
    /// What to do then.
    pub act: Act,
}

/// Numbers choose among what the thread has, modulo how much that is. Where it
/// has nothing, nothing is done.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// Derives by `with_cancel`.
    Derive {
        /// A slot.
        slot: u8,
    },
    /// Derives by `without_cancel`.
    Shield {
        /// A slot.
        slot: u8,
    },
    /// Derives and drops.
    Churn {
        /// A slot.
        slot: u8,
        /// How many, modulo 40.
        times: u8,
    },
    /// Clones a handle.
    Clone {
        /// A slot.
        slot: u8,
    },
    /// Drops a handle.
    Drop {
        /// A slot.
        slot: u8,
    },
    /// Cancels without a cause.
    Cancel {
        /// One of the slots with a `CancelHandle`.
        handle: u8,
    },
    /// Cancels with a cause of its own.
    CancelWith {
        /// One of the slots with a `CancelHandle`.
        handle: u8,
    },
    /// Splits the list of children into lanes.
    Split {
        /// A slot.
        slot: u8,
    },
    /// Asks a context all there is to ask.
    Look {
        /// A slot.
        slot: u8,
    },
    /// Makes a wait, and polls it.
    Wait {
        /// A slot.
        slot: u8,
    },
    /// Polls a wait again.
    Poll {
        /// A wait.
        wait: u8,
        /// Which of its two wakers.
        waker: bool,
    },
    /// Drops a wait.
    DropWait {
        /// A wait.
        wait: u8,
    },
}

/// Not derived, as that ends each list after two elements on average, whatever
/// the length of the input.
impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let threads = bytes.int_in_range(2..=3)?;
        let mut scripts = [(); 3].map(|()| Script::default());
        for script in &mut scripts {
            script.drop_all = bytes.arbitrary()?;
        }
        let seeds = bytes.int_in_range(1..=MOST_SEEDS)?;
        let tree = (0..seeds)
            .map(|_| bytes.arbitrary())
            .collect::<arbitrary::Result<_>>()?;
        // The steps are mixed, so that what belongs together lies together.
        for _ in 0..threads * MOST_STEPS {
            if bytes.is_empty() {
                break;
            }
            let thread = bytes.int_in_range(0..=threads - 1)?;
            let script: &mut Script = &mut scripts[thread];
            script.steps.push(bytes.arbitrary()?);
        }
        let [first, second, third] = scripts;
        Ok(Program {
            tree,
            first,
            second,
            third: (threads == 3).then_some(third),
        })
    }
}

impl Case for Program {
    fn run(&self) {
        run::run(self);
    }
}

impl Program {
    /// Runs it, [`REPETITIONS`] times.
    ///
    /// # Panics
    ///
    /// If the library breaks a promise, or something leaks.
    pub fn run(&self) {
        Case::run(self);
    }

    fn scripts(&self) -> Vec<&Script> {
        [Some(&self.first), Some(&self.second), self.third.as_ref()]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// Prints a test that runs the program.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec!["tree: vec![".to_owned()];
        let seeds = self.tree.iter().take(MOST_SEEDS);
        lines.extend(seeds.map(|seed| format!("    {seed:?},")));
        lines.push("],".to_owned());
        script(&mut lines, "first: ", &self.first, "");
        script(&mut lines, "second: ", &self.second, "");
        match &self.third {
            None => lines.push("third: None,".to_owned()),
            Some(third) => script(&mut lines, "third: Some(", third, ")"),
        }
        let names = "{Act::*, Program, Script, Seed, Step}";
        paste(f, "cancel_attach", names, &lines)
    }
}

fn script(lines: &mut Vec<String>, open: &str, script: &Script, close: &str) {
    lines.push(format!("{open}Script {{"));
    lines.push("    steps: vec![".to_owned());
    let steps = script.steps.iter().take(MOST_STEPS);
    lines.extend(steps.map(|step| format!("        {step:?},")));
    lines.push("    ],".to_owned());
    lines.push(format!("    drop_all: {},", script.drop_all));
    lines.push(format!("}}{close},"));
}
