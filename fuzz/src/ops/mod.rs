//! Programs for one thread.
//!
//! After each operation everything that a handle can tell is compared with the
//! `reference`.

mod reference;
mod run;

use crate::Case;
use crate::tools::paste;
use arbitrary::{Arbitrary, Unstructured};
use std::fmt;

/// Operations, done one after the other.
#[derive(Clone)]
pub struct Program {
    /// Whether the handles that are left in the end go newest first.
    pub newest_first: bool,
    /// The first [`MOST_OPS`] of them are done.
    pub ops: Vec<Op>,
}

/// A longer program costs more than it finds: the comparison after each
/// operation looks at everything there is.
pub const MOST_OPS: usize = 200;

/// Numbers choose among what there is, modulo how many there are. Where there
/// is nothing to choose from, nothing is done.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Op {
    /// Derives below a slot's context, or below `background`. The new handles
    /// go to new slots.
    Derive {
        /// A slot, or the number after the last.
        from: u8,
        /// What is derived.
        kind: Kind,
    },
    /// Derives and drops, so that the parent's list has dead children.
    Churn {
        /// A slot.
        slot: u8,
        /// How many, modulo 40: beyond the batch of a split list.
        times: u8,
    },
    /// Clones the handle in a slot, as the kind of handle it is.
    Clone {
        /// A slot.
        slot: u8,
    },
    /// Drops the handle in a slot. A guard cancels.
    Drop {
        /// A slot.
        slot: u8,
    },
    /// Cancels without a cause.
    Cancel {
        /// One of the slots with a `CancelHandle`.
        handle: u8,
    },
    /// Cancels with a new cause.
    CancelWith {
        /// One of the slots with a `CancelHandle`.
        handle: u8,
    },
    /// Makes a guard of a `CancelHandle`, or a `CancelHandle` of a guard.
    Guard {
        /// A slot. Nothing is done with a `Context`.
        slot: u8,
    },
    /// Splits the list of children into lanes.
    Split {
        /// A slot.
        slot: u8,
    },
    /// Compares what costs too much to compare after each operation.
    Ask {
        /// A slot.
        slot: u8,
    },
    /// Makes a wait, which is not registered yet.
    Wait {
        /// A slot, or the number after the last for `background`.
        slot: u8,
    },
    /// Polls a wait.
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

/// What is derived.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By `with_cancel`.
    Plain,
    /// By `derive().name()`.
    Named,
    /// By `without_cancel`.
    Shielded,
}

/// Not derived, as that ends the list after two elements on average, whatever
/// the length of the input.
impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let newest_first = bytes.arbitrary()?;
        let mut ops = Vec::new();
        while !bytes.is_empty() && ops.len() < MOST_OPS {
            ops.push(bytes.arbitrary()?);
        }
        Ok(Program { newest_first, ops })
    }
}

impl Case for Program {
    fn run(&self) {
        run::run(self);
    }
}

impl Program {
    /// Runs it.
    ///
    /// # Panics
    ///
    /// If the library and the reference differ, or something leaks.
    pub fn run(&self) {
        Case::run(self);
    }
}

/// Prints a test that runs the program.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![
            format!("newest_first: {},", self.newest_first),
            "ops: vec![".to_owned(),
        ];
        let done = self.ops.iter().take(MOST_OPS);
        lines.extend(done.map(|op| format!("    {op:?},")));
        lines.push("],".to_owned());
        paste(f, "ops", "{Kind::*, Op::*, Program}", &lines)
    }
}
