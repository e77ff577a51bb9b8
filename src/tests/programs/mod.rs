//! Programs for one thread: what the property tests make up, and the fuzz
//! target `ops` reads from its input.
//!
//! A program is a list of operations. `run` does each on the library and on the
//! `reference`, and compares what any handle can tell. The fuzz package takes
//! these files by path, so they name the library as a user does.

pub(crate) mod counted;
mod derive;
mod keys;
mod registered;
pub(crate) mod run;
mod script;
mod world;

pub(crate) use run::run;

use std::fmt;

/// Operations, done one after the other.
#[derive(Clone)]
pub(crate) struct Program {
    /// Whether handles are asked for more than their end after each operation:
    /// that is slow, and asking early may hide what goes wrong for who asks
    /// late.
    pub(crate) curious: bool,
    /// Whether all that can be cancelled in the end is.
    pub(crate) cancel_all: bool,
    /// Whether the handles that are left in the end go newest first.
    pub(crate) newest_first: bool,
    pub(crate) ops: Vec<Op>,
}

/// Numbers choose among what there is, modulo how many there are. Where there
/// is nothing to choose from, nothing is done.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Derives below a slot's context; 255 is `background` and 254 `todo`, here
    /// and below, and what else there is no slot for. The new handles go to
    /// new slots.
    Derive { from: u8, how: How },
    /// Derives and drops, so that the parent's list has dead children.
    Churn { slot: u8, times: u8 },
    /// Clones the handle in a slot, as the kind of handle it is; of a guard its
    /// context.
    Clone { slot: u8 },
    /// Drops the handle in a slot. A guard cancels.
    Drop { slot: u8 },
    /// Cancels without a cause, by one of the slots with a `CancelHandle`.
    Cancel { handle: u8 },
    /// Cancels with a new cause.
    CancelWith { handle: u8 },
    /// Makes a guard of a `CancelHandle`, or a `CancelHandle` of a guard.
    /// Nothing is done with a `Context`.
    Guard { slot: u8 },
    /// Splits the list of children into lanes.
    Split { slot: u8 },
    /// Compares everything that a slot can tell.
    Ask { slot: u8 },
    /// Compares whether nobody holds anything below a slot's context. From then
    /// on what goes below it is unlinked at once.
    Idle { slot: u8 },
    /// Makes a wait, which is not registered yet. What is to be done `then` is
    /// done by its wakers.
    Wait { slot: u8, then: List<Op> },
    /// Polls a wait with one of its two wakers.
    Poll { wait: u8, waker: bool },
    /// Drops a wait.
    DropWait { wait: u8 },
    /// Registers a callback, on a slot's context or a root.
    After { slot: u8, then: List<Op> },
    /// Stops a callback.
    Stop { registration: u8, join: bool },
    /// Drops a registration.
    DropRegistration { registration: u8 },
    /// Leaves a callback registered.
    Detach { registration: u8 },
    /// A source that can still fire does.
    Fire { source: u8 },
    /// Within a `then`: panics, and ends it. Elsewhere nothing.
    Panic,
}

/// What is derived.
#[derive(Clone, Debug)]
pub(crate) enum How {
    /// By `with_cancel`.
    Plain,
    /// By `without_cancel`.
    Shielded,
    /// By `with_value` or `with_key`, so often modulo 20, each below the one
    /// before and with the next key. Only the last is kept.
    Values { first: u8, times: u8 },
    /// By `link`, to slots or roots.
    Link { others: List<u8> },
    /// By `from_source`.
    Source {
        fires: Fires,
        sticky: bool,
        cause: bool,
    },
    /// By the builder.
    Built {
        named: bool,
        shielded: bool,
        keys: List<u8>,
        others: List<u8>,
    },
}

/// When a source is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fires {
    /// Before it is asked.
    Before,
    /// While it registers, by calling back.
    Meanwhile,
    /// While it registers, without telling.
    Silently,
    /// By an [`Op::Fire`], or never.
    Later,
}

/// A vector that prints an expression.
#[derive(Clone)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T: fmt::Debug> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List(vec!{:?})", self.0)
    }
}

/// Prints a test that runs the program, to be pasted into `properties.rs`.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "#[test]")?;
        writeln!(f, "fn pasted() {{")?;
        writeln!(
            f,
            "    use crate::tests::programs::{{Fires::*, How::*, Op::*}};"
        )?;
        writeln!(f, "    let program = Program {{")?;
        writeln!(f, "        curious: {},", self.curious)?;
        writeln!(f, "        cancel_all: {},", self.cancel_all)?;
        writeln!(f, "        newest_first: {},", self.newest_first)?;
        writeln!(f, "        ops: vec![")?;
        for op in &self.ops {
            writeln!(f, "            {op:?},")?;
        }
        writeln!(f, "        ],")?;
        writeln!(f, "    }};")?;
        let test = r#"concat!(module_path!(), "::pasted")"#;
        writeln!(f, "    again({test}, program);")?;
        write!(f, "}}")
    }
}
