//! Programs of timers: armed, moved, disarmed and fired, on one thread.
//!
//! Contexts with deadlines are derived below a root whose time the program sets,
//! so that every request goes through the stack, the wheel and back. What must
//! fire, when and in which order, and when the driver must run next, is compared
//! with a sorted map (`oracle`).

mod bytes;
mod oracle;
mod play;
mod world;

use crate::Case;
use crate::tools::{alone, paste};
use std::fmt;

/// A time, and what is done with timers on it.
#[derive(Clone, PartialEq, Eq)]
pub struct Program {
    /// Whether time is a driver's, which has ticks and runs only when told to.
    /// Else it is a manual clock's.
    pub driven: bool,
    /// Whether what is left in the end goes newest first.
    pub newest_first: bool,
    /// The first [`MOST_STEPS`] are done.
    pub steps: Vec<Step>,
}

/// How many steps of a program are done.
pub const MOST_STEPS: usize = 200;
/// How many contexts a program derives.
pub const MOST_NODES: usize = 300;

/// Numbers choose among the contexts that the program holds, modulo how many
/// there are. 255 as `below` is the root, and so is any where there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Derives by `with_deadline`.
    Deadline {
        /// A slot or the root.
        below: u8,
        /// The deadline.
        at: When,
        /// What its callback does.
        then: Then,
    },
    /// Derives by `with_timeout`.
    Timeout {
        /// A slot or the root.
        below: u8,
        /// Nanoseconds.
        after: u64,
        /// What its callback does.
        then: Then,
    },
    /// Derives by `with_idle_timeout`.
    Idle {
        /// A slot or the root.
        below: u8,
        /// Nanoseconds.
        length: u64,
        /// What its callback does.
        then: Then,
    },
    /// Derives by `with_cancel`.
    Plain {
        /// A slot or the root.
        below: u8,
        /// What its callback does.
        then: Then,
    },
    /// Derives by `without_cancel`.
    Shield {
        /// A slot or the root.
        below: u8,
    },
    /// Derives so many by `with_deadline`, and keeps them.
    Many {
        /// A slot or the root.
        below: u8,
        /// The first deadline.
        at: When,
        /// Nanoseconds from one to the next.
        apart: u64,
        /// How many, modulo 100.
        count: u8,
    },
    /// Derives and drops, so that requests pile up.
    Churn {
        /// A slot or the root.
        below: u8,
        /// The deadline of all.
        at: When,
        /// How many, modulo 100.
        times: u8,
    },
    /// Moves a deadline, or gives one.
    Move {
        /// A slot. Nothing is done with a shield.
        slot: u8,
        /// The new deadline.
        to: When,
    },
    /// Touches what has an idle timeout.
    Touch {
        /// A slot. Nothing is done with others.
        slot: u8,
    },
    /// Cancels.
    Cancel {
        /// A slot. Nothing is done with a shield.
        slot: u8,
    },
    /// Drops all handles that a slot has.
    Drop {
        /// A slot.
        slot: u8,
    },
    /// Lets so many nanoseconds pass. A manual clock fires what comes due, a
    /// driver has to be run. Not within a callback.
    Advance {
        /// Nanoseconds.
        by: u64,
    },
    /// Sets the time, also back: that a manual clock ignores. Not within a
    /// callback.
    Set {
        /// The new time.
        to: When,
    },
    /// Runs the driver. Not within a callback.
    Run,
    /// Counts what is armed, which works the requests off.
    Count,
    /// Within a callback: panics, and ends it. Elsewhere nothing.
    Panic,
}

/// An instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So many nanoseconds from now.
    In(u64),
    /// So many nanoseconds before.
    Ago(u64),
    /// When a slot's own deadline is; now, if it has none.
    With(u8),
}

/// What a callback does.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Then(pub Vec<Step>);

impl fmt::Debug for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Then(vec!{:?})", self.0)
    }
}

impl Case for Program {
    fn run(&self) {
        let _alone = alone();
        play::run(self);
    }
}

impl Program {
    /// Runs it.
    ///
    /// # Panics
    ///
    /// If the library and the oracle differ, or something leaks.
    pub fn run(&self) {
        Case::run(self);
    }
}

/// Prints a test that runs the program.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![
            format!("driven: {},", self.driven),
            format!("newest_first: {},", self.newest_first),
            "steps: vec![".to_owned(),
        ];
        let steps = self.steps.iter().take(MOST_STEPS);
        lines.extend(steps.map(|step| format!("    {step:?},")));
        lines.push("],".to_owned());
        paste(f, "wheel", "{Program, Step::*, Then, When::*}", &lines)
    }
}
