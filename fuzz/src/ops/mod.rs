//! Programs for one thread.
//!
//! What they are, how they are run and what they are compared with is in the
//! library's own tests, from which it is taken here. Only the way from bytes to
//! a program is new.

#[path = "../../../src/tests/programs/mod.rs"]
pub(crate) mod programs;
#[path = "../../../src/tests/reference/mod.rs"]
mod reference;

mod encode;

use crate::Case;
use crate::tools::alone;
use arbitrary::{Arbitrary, Result, Unstructured};
use programs::{Fires, How, List, Op};
use std::fmt;

/// Operations, done one after the other.
#[derive(Clone)]
pub struct Program(programs::Program);

/// A longer program costs more than it finds: the comparison after each
/// operation looks at everything there is.
const MOST_OPS: usize = 200;

/// How deep the callbacks of callbacks go.
const DEEPEST: usize = 2;

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let flags: u8 = bytes.arbitrary()?;
        let mut ops = Vec::new();
        while !bytes.is_empty() && ops.len() < MOST_OPS {
            ops.push(op(bytes, 0)?);
        }
        Ok(Program(programs::Program {
            curious: flags & 1 != 0,
            newest_first: flags & 2 != 0,
            cancel_all: flags & 4 != 0,
            ops,
        }))
    }
}

/// One byte says which operation, the next are its numbers.
fn op(bytes: &mut Unstructured<'_>, depth: usize) -> Result<Op> {
    let code: u8 = bytes.arbitrary()?;
    let mut n = || bytes.arbitrary::<u8>();
    Ok(match code % 32 {
        0 => Op::Churn {
            slot: n()?,
            times: n()?,
        },
        1 => Op::Clone { slot: n()? },
        2 => Op::Drop { slot: n()? },
        3 => Op::Cancel { handle: n()? },
        4 => Op::CancelWith { handle: n()? },
        5 => Op::Guard { slot: n()? },
        6 => Op::Split { slot: n()? },
        7 => Op::Ask { slot: n()? },
        8 => Op::Wait {
            slot: n()?,
            then: then(bytes, depth)?,
        },
        9 => Op::Poll {
            wait: n()?,
            waker: n()? & 1 != 0,
        },
        10 => Op::DropWait { wait: n()? },
        11 => Op::Panic,
        12 => Op::After {
            slot: n()?,
            then: then(bytes, depth)?,
        },
        13 => Op::Stop {
            registration: n()?,
            join: n()? & 1 != 0,
        },
        14 => Op::DropRegistration { registration: n()? },
        15 => Op::Detach { registration: n()? },
        16 => Op::Fire { source: n()? },
        30 => Op::Idle { slot: n()? },
        _ => Op::Derive {
            from: n()?,
            how: how(bytes)?,
        },
    })
}

fn how(bytes: &mut Unstructured<'_>) -> Result<How> {
    let code: u8 = bytes.arbitrary()?;
    let flag = |bit: u8| code & bit != 0;
    Ok(match code % 16 {
        0 => How::Shielded,
        1 => How::Built {
            named: flag(16),
            shielded: flag(32),
            keys: numbers(bytes)?,
            others: numbers(bytes)?,
        },
        2 => How::Values {
            first: bytes.arbitrary()?,
            times: bytes.arbitrary()?,
        },
        3 => How::Link {
            others: numbers(bytes)?,
        },
        4 => How::Source {
            fires: match bytes.arbitrary::<u8>()? % 4 {
                0 => Fires::Before,
                1 => Fires::Meanwhile,
                2 => Fires::Silently,
                _ => Fires::Later,
            },
            sticky: flag(16),
            cause: flag(32),
        },
        _ => How::Plain,
    })
}

/// A few numbers.
fn numbers(bytes: &mut Unstructured<'_>) -> Result<List<u8>> {
    let count: u8 = bytes.arbitrary()?;
    let numbers = (0..count % 8).map(|_| bytes.arbitrary());
    Ok(List(numbers.collect::<Result<_>>()?))
}

fn then(bytes: &mut Unstructured<'_>, depth: usize) -> Result<List<Op>> {
    let mut ops = Vec::new();
    if depth < DEEPEST {
        let count: u8 = bytes.arbitrary()?;
        for _ in 0..count % 4 {
            ops.push(op(bytes, depth + 1)?);
        }
    }
    Ok(List(ops))
}

impl Case for Program {
    fn run(&self) {
        let _alone = alone();
        programs::run(&self.0);
    }
}

impl Program {
    /// These operations, looked at closely.
    pub(crate) fn of(ops: Vec<Op>) -> Program {
        Program(programs::Program {
            curious: true,
            newest_first: false,
            cancel_all: false,
            ops,
        })
    }

    /// Runs it.
    ///
    /// # Panics
    ///
    /// If the library and the reference differ, or something leaks.
    pub fn run(&self) {
        Case::run(self);
    }
}

/// Prints a test that runs the program, for the library's `properties`.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
