//! Random programs against a sorted map.

mod lazy;

use super::super::LOOKS;
use super::Tested;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use std::collections::{BTreeMap, VecDeque};

/// What the wheel must do, in a way that is plainly right.
#[derive(Default)]
struct Oracle {
    now: u64,
    sequence: u64,
    /// By key, then by order of insertion.
    later: BTreeMap<(u64, u64), usize>,
    due: VecDeque<usize>,
}

impl Oracle {
    fn len(&self) -> usize {
        self.later.len() + self.due.len()
    }

    fn insert(&mut self, number: usize, key: u64) {
        if key <= self.now {
            self.due.push_back(number);
        } else {
            self.sequence += 1;
            self.later.insert((key, self.sequence), number);
        }
    }

    fn remove(&mut self, number: usize) {
        self.later.retain(|_, other| *other != number);
        self.due.retain(|other| *other != number);
    }

    fn advance(&mut self, to: u64) {
        while let Some(first) = self.later.first_entry().filter(|e| e.key().0 <= to) {
            self.due.push_back(first.remove());
        }
        self.now = self.now.max(to);
    }

    /// What `next` may say, from the words of its promise.
    fn next(&self) -> Option<u64> {
        if !self.due.is_empty() {
            return Some(self.now);
        }
        let (&(earliest, _), _) = self.later.first_key_value()?;
        // The width of the slot that it lies in: all bits below the highest
        // group of six that differs.
        let groups = (0..11).rev().map(|group| group * 6);
        let shift = groups
            .into_iter()
            .find(|&shift| earliest >> shift != self.now >> shift);
        let width = (1u64 << shift.unwrap()) - 1;
        let slot = (earliest & !width, 0)..=(earliest | width, u64::MAX);
        if self.later.range(slot).count() <= LOOKS {
            Some(earliest)
        } else {
            Some(earliest & !width)
        }
    }
}

/// How a key is chosen.
#[derive(Clone, Copy, Debug)]
enum Pick {
    /// This number.
    At(u64),
    /// So much after now.
    After(u64),
    /// So much before now.
    Before(u64),
    /// The key of an entry there is, or was.
    Same(usize),
    /// So far away that it agrees with `now` in the bits above this one, with
    /// these bits.
    Beside(u32, u64),
}

#[derive(Clone, Debug)]
enum Op {
    Insert(Pick),
    /// So many times the same key.
    Many(usize, Pick),
    Remove(usize),
    /// Removed, and inserted for another key.
    Move(usize, Pick),
    Advance(Pick),
    /// Follows `next` for so many steps.
    Follow(usize),
    Pop(usize),
}

/// Around a power of two.
fn boundary() -> impl Strategy<Value = u64> {
    (0..64u32, -1..=1i64).prop_map(|(bit, off)| (1u64 << bit).wrapping_add_signed(off))
}

/// A length of time of every order, up to 100 years of ticks: of 1 ns, or of
/// 2^19 ns.
fn length() -> impl Strategy<Value = u64> {
    const YEARS: u64 = 100 * 365 * 24 * 3600 * 1_000_000_000;
    (0..62u32, any::<u64>(), any::<bool>()).prop_map(|(bits, low, coarse)| {
        let length = low % (1 << bits) % YEARS;
        if coarse { length >> 19 } else { length }
    })
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        2 => boundary().prop_map(Pick::At),
        3 => boundary().prop_map(Pick::After),
        4 => length().prop_map(Pick::After),
        2 => (0..70u64).prop_map(Pick::After),
        1 => length().prop_map(Pick::Before),
        3 => any::<usize>().prop_map(Pick::Same),
        2 => (0..64u32, any::<u64>()).prop_map(|(bit, low)| Pick::Beside(bit, low)),
        1 => Just(Pick::At(u64::MAX)),
        1 => Just(Pick::At(0)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => pick().prop_map(Op::Insert),
        1 => (30..36usize, pick()).prop_map(|(times, pick)| Op::Many(times, pick)),
        3 => any::<usize>().prop_map(Op::Remove),
        2 => (any::<usize>(), pick()).prop_map(|(n, pick)| Op::Move(n, pick)),
        5 => pick().prop_map(Op::Advance),
        2 => (1..8usize).prop_map(Op::Follow),
        2 => (1..5usize).prop_map(Op::Pop),
    ]
}

/// A start, too: the groups that are equal are not always zero.
fn programs() -> impl Strategy<Value = (u64, Vec<Op>)> {
    let now = prop_oneof![Just(0), boundary(), length(), any::<u64>()];
    (now, proptest::collection::vec(op(), 1..50))
}

struct Run {
    tested: Tested,
    oracle: Oracle,
}

impl Run {
    fn key(&self, pick: Pick) -> u64 {
        let now = self.oracle.now;
        match pick {
            Pick::At(key) => key,
            Pick::After(length) => now.saturating_add(length),
            Pick::Before(length) => now.saturating_sub(length),
            Pick::Same(n) => match self.tested.entries.len() {
                0 => now,
                count => self.tested.entry(n % count).key.get(),
            },
            Pick::Beside(bit, low) => {
                let below = (1u64 << bit) - 1;
                now & !below | low & below
            }
        }
    }

    /// One of those that are linked.
    fn linked(&self, n: usize) -> Option<usize> {
        let all = self.oracle.later.values().chain(&self.oracle.due);
        all.copied().nth(n % self.oracle.len().max(1))
    }

    fn insert(&mut self, pick: Pick) {
        let key = self.key(pick);
        let number = self.tested.insert(key);
        self.oracle.insert(number, key);
    }

    fn advance(&mut self, to: u64) {
        self.tested.advance(to);
        self.oracle.advance(to);
    }

    fn pop(&mut self) {
        assert_eq!(self.tested.pop(), self.oracle.due.pop_front());
    }

    fn op(&mut self, op: &Op) {
        match *op {
            Op::Insert(pick) => self.insert(pick),
            Op::Many(times, pick) => (0..times).for_each(|_| self.insert(pick)),
            Op::Remove(n) => {
                if let Some(number) = self.linked(n) {
                    self.tested.remove(number);
                    self.oracle.remove(number);
                }
            }
            Op::Move(n, pick) => {
                if let Some(number) = self.linked(n) {
                    let key = self.key(pick);
                    self.tested.remove(number);
                    self.tested.insert_again(number, key);
                    self.oracle.remove(number);
                    self.oracle.insert(number, key);
                }
            }
            Op::Advance(pick) => self.advance(self.key(pick)),
            Op::Follow(steps) => {
                for _ in 0..steps {
                    let next = self.tested.next();
                    assert_eq!(next, self.oracle.next());
                    let Some(next) = next else { break };
                    self.advance(next);
                    self.pop();
                }
            }
            Op::Pop(times) => (0..times).for_each(|_| self.pop()),
        }
        assert_eq!(self.tested.wheel.len(), self.oracle.len());
        assert_eq!(self.tested.wheel.now(), self.oracle.now);
    }
}

fn run(start: u64, ops: &[Op]) {
    let mut run = Run {
        tested: Tested::new(start),
        oracle: Oracle {
            now: start,
            ..Oracle::default()
        },
    };
    for op in ops {
        run.op(op);
        assert_eq!(run.tested.next(), run.oracle.next(), "after {op:?}");
    }
    run.advance(u64::MAX);
    for _ in 0..=run.oracle.len() {
        run.pop();
    }
    assert_eq!(run.tested.next(), None);
    assert_eq!(run.tested.wheel.len(), 0);
}

/// Always the same cases.
fn check<T: std::fmt::Debug>(cases: u32, strategy: impl Strategy<Value = T>, run: impl Fn(&T)) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::XorShift, &[7; 16]);
    let result = TestRunner::new_with_rng(config, rng).run(&strategy, |case| {
        run(&case);
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, case)) => panic!("{reason}\n\n{case:?}"),
        Err(TestError::Abort(reason)) => panic!("gave up: {reason}"),
    }
}

// V18: the wheel under it.
#[test]
fn programs_do_what_a_sorted_map_does() {
    check(6_000, programs(), |(start, ops)| run(*start, ops));
}
