//! From bytes to a program, and back for the seeds.

use super::{Program, Step, Then, When};
use arbitrary::{Arbitrary, Result, Unstructured};

/// The tick of a driver.
const TICK: u64 = 1 << 19;
const HOUR: u64 = 3_600_000_000_000;

/// How deep the callbacks of callbacks go.
const DEEPEST: usize = 1;

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let flags: u8 = bytes.arbitrary()?;
        let mut steps = Vec::new();
        while !bytes.is_empty() && steps.len() < super::MOST_STEPS {
            steps.push(step(bytes, 0)?);
        }
        Ok(Program {
            driven: flags & 1 != 0,
            newest_first: flags & 2 != 0,
            steps,
        })
    }
}

/// One byte says which step, the next are its numbers.
fn step(bytes: &mut Unstructured<'_>, depth: usize) -> Result<Step> {
    let code: u8 = bytes.arbitrary()?;
    Ok(match code % 32 {
        0..=4 => Step::Deadline {
            below: bytes.arbitrary()?,
            at: when(bytes)?,
            then: then(bytes, depth)?,
        },
        5 | 6 => Step::Timeout {
            below: bytes.arbitrary()?,
            after: span(bytes)?,
            then: then(bytes, depth)?,
        },
        7 | 8 => Step::Idle {
            below: bytes.arbitrary()?,
            length: span(bytes)?,
            then: then(bytes, depth)?,
        },
        9 => Step::Plain {
            below: bytes.arbitrary()?,
            then: then(bytes, depth)?,
        },
        10 => Step::Shield {
            below: bytes.arbitrary()?,
        },
        11 => Step::Many {
            below: bytes.arbitrary()?,
            at: when(bytes)?,
            apart: span(bytes)?,
            count: bytes.arbitrary()?,
        },
        12 => Step::Churn {
            below: bytes.arbitrary()?,
            at: when(bytes)?,
            times: bytes.arbitrary()?,
        },
        13..=16 => Step::Move {
            slot: bytes.arbitrary()?,
            to: when(bytes)?,
        },
        17 | 18 => Step::Touch {
            slot: bytes.arbitrary()?,
        },
        19 => Step::Cancel {
            slot: bytes.arbitrary()?,
        },
        20 | 21 => Step::Drop {
            slot: bytes.arbitrary()?,
        },
        22..=26 => Step::Advance { by: span(bytes)? },
        27 => Step::Set { to: when(bytes)? },
        28 | 29 => Step::Run,
        30 => Step::Count,
        _ => Step::Panic,
    })
}

fn when(bytes: &mut Unstructured<'_>) -> Result<When> {
    let code: u8 = bytes.arbitrary()?;
    Ok(match code % 8 {
        0 => When::Ago(span(bytes)?),
        1 | 2 => When::With(bytes.arbitrary()?),
        _ => When::In(span(bytes)?),
    })
}

/// Nanoseconds: few, ticks, powers of two and what lies beside them, or any.
fn span(bytes: &mut Unstructured<'_>) -> Result<u64> {
    let code: u8 = bytes.arbitrary()?;
    let mut n = || bytes.arbitrary::<u8>().map(u64::from);
    Ok(match code % 8 {
        0 => n()?,
        1 | 2 => n()? * TICK,
        3 => (n()? * TICK + n()? % 4).saturating_sub(2),
        4 => (1 << (n()? % 48)) + n()? % 8 - 1,
        5 => (1u64 << (n()? % 64)).saturating_add(n()? % 8) - 1,
        6 => n()? * HOUR,
        _ => bytes.arbitrary::<u64>()? >> (bytes.arbitrary::<u8>()? % 64),
    })
}

fn then(bytes: &mut Unstructured<'_>, depth: usize) -> Result<Then> {
    let mut steps = Vec::new();
    if depth < DEEPEST {
        let count: u8 = bytes.arbitrary()?;
        for _ in 0..(count % 8).saturating_sub(4) {
            steps.push(step(bytes, depth + 1)?);
        }
    }
    Ok(Then(steps))
}

impl Program {
    /// Bytes that are decoded to this program.
    pub fn encode(&self) -> Vec<u8> {
        let flags = u8::from(self.driven) | u8::from(self.newest_first) << 1;
        let mut bytes = vec![flags];
        for step in &self.steps {
            put_step(&mut bytes, step, 0);
        }
        bytes
    }
}

fn put_step(bytes: &mut Vec<u8>, step: &Step, depth: usize) {
    match step {
        Step::Deadline { below, at, then } => {
            bytes.extend([0, *below]);
            put_when(bytes, *at);
            put_then(bytes, then, depth);
        }
        Step::Timeout { below, after, then } => {
            bytes.extend([5, *below]);
            put_span(bytes, *after);
            put_then(bytes, then, depth);
        }
        Step::Idle {
            below,
            length,
            then,
        } => {
            bytes.extend([7, *below]);
            put_span(bytes, *length);
            put_then(bytes, then, depth);
        }
        Step::Plain { below, then } => {
            bytes.extend([9, *below]);
            put_then(bytes, then, depth);
        }
        Step::Shield { below } => bytes.extend([10, *below]),
        Step::Many {
            below,
            at,
            apart,
            count,
        } => {
            bytes.extend([11, *below]);
            put_when(bytes, *at);
            put_span(bytes, *apart);
            bytes.push(*count);
        }
        Step::Churn { below, at, times } => {
            bytes.extend([12, *below]);
            put_when(bytes, *at);
            bytes.push(*times);
        }
        Step::Move { slot, to } => {
            bytes.extend([13, *slot]);
            put_when(bytes, *to);
        }
        Step::Touch { slot } => bytes.extend([17, *slot]),
        Step::Cancel { slot } => bytes.extend([19, *slot]),
        Step::Drop { slot } => bytes.extend([20, *slot]),
        Step::Advance { by } => {
            bytes.push(22);
            put_span(bytes, *by);
        }
        Step::Set { to } => {
            bytes.push(27);
            put_when(bytes, *to);
        }
        Step::Run => bytes.push(28),
        Step::Count => bytes.push(30),
        Step::Panic => bytes.push(31),
    }
}

fn put_when(bytes: &mut Vec<u8>, when: When) {
    match when {
        When::Ago(length) => {
            bytes.push(0);
            put_span(bytes, length);
        }
        When::With(slot) => bytes.extend([1, slot]),
        When::In(length) => {
            bytes.push(3);
            put_span(bytes, length);
        }
    }
}

fn put_span(bytes: &mut Vec<u8>, nanos: u64) {
    bytes.push(7);
    bytes.extend(nanos.to_le_bytes());
    bytes.push(0);
}

fn put_then(bytes: &mut Vec<u8>, then: &Then, depth: usize) {
    if depth < DEEPEST {
        assert!(then.0.len() < 4, "a callback does three steps at most");
        bytes.push(4 + then.0.len() as u8);
        for step in &then.0 {
            put_step(bytes, step, depth + 1);
        }
    }
}
