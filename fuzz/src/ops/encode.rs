//! From a program to bytes, for the seeds.

use super::programs::{Fires, How, List, Op};
use super::{DEEPEST, Program};

impl Program {
    /// Bytes that are decoded to this program.
    pub fn encode(&self) -> Vec<u8> {
        let program = &self.0;
        let flags = [program.curious, program.newest_first, program.cancel_all];
        let bits = flags.into_iter().enumerate();
        let mut bytes = vec![bits.map(|(bit, set)| u8::from(set) << bit).sum()];
        for op in &program.ops {
            put(&mut bytes, op, 0);
        }
        bytes
    }
}

fn put(bytes: &mut Vec<u8>, op: &Op, depth: usize) {
    match op {
        Op::Churn { slot, times } => bytes.extend([0, *slot, *times]),
        Op::Clone { slot } => bytes.extend([1, *slot]),
        Op::Drop { slot } => bytes.extend([2, *slot]),
        Op::Cancel { handle } => bytes.extend([3, *handle]),
        Op::CancelWith { handle } => bytes.extend([4, *handle]),
        Op::Guard { slot } => bytes.extend([5, *slot]),
        Op::Split { slot } => bytes.extend([6, *slot]),
        Op::Ask { slot } => bytes.extend([7, *slot]),
        Op::Wait { slot, then } => {
            bytes.extend([8, *slot]);
            put_then(bytes, then, depth);
        }
        Op::Poll { wait, waker } => bytes.extend([9, *wait, u8::from(*waker)]),
        Op::DropWait { wait } => bytes.extend([10, *wait]),
        Op::Panic => bytes.push(11),
        Op::After { slot, then } => {
            bytes.extend([12, *slot]);
            put_then(bytes, then, depth);
        }
        Op::Stop { registration, join } => {
            bytes.extend([13, *registration, u8::from(*join)]);
        }
        Op::DropRegistration { registration } => bytes.extend([14, *registration]),
        Op::Detach { registration } => bytes.extend([15, *registration]),
        Op::Fire { source } => bytes.extend([16, *source]),
        Op::Idle { slot } => bytes.extend([30, *slot]),
        Op::Derive { from, how } => {
            bytes.extend([17, *from]);
            put_how(bytes, how);
        }
    }
}

fn put_how(bytes: &mut Vec<u8>, how: &How) {
    let flags = |one: bool, other: bool| u8::from(one) << 4 | u8::from(other) << 5;
    match how {
        How::Shielded => bytes.push(0),
        How::Built {
            named,
            shielded,
            keys,
            others,
        } => {
            bytes.push(1 | flags(*named, *shielded));
            put_numbers(bytes, keys);
            put_numbers(bytes, others);
        }
        How::Values { first, times } => bytes.extend([2, *first, *times]),
        How::Link { others } => {
            bytes.push(3);
            put_numbers(bytes, others);
        }
        How::Source {
            fires,
            sticky,
            cause,
        } => {
            let fires = match fires {
                Fires::Before => 0,
                Fires::Meanwhile => 1,
                Fires::Silently => 2,
                Fires::Later => 3,
            };
            bytes.extend([4 | flags(*sticky, *cause), fires]);
        }
        How::Plain => bytes.push(5),
    }
}

fn put_numbers(bytes: &mut Vec<u8>, numbers: &List<u8>) {
    assert!(numbers.0.len() < 8, "seven numbers at most");
    bytes.push(numbers.0.len() as u8);
    bytes.extend(&numbers.0);
}

fn put_then(bytes: &mut Vec<u8>, then: &List<Op>, depth: usize) {
    if depth < DEEPEST {
        assert!(then.0.len() < 4, "three operations at most");
        bytes.push(then.0.len() as u8);
        for op in &then.0 {
            put(bytes, op, depth + 1);
        }
    }
}
