//! The wheel by itself: at the ends of its slots, and against a sorted map.

mod programs;

use super::{LOOKS, Ring, Wheel};
use std::cell::Cell;
use std::ptr::NonNull;

/// What the wheel links here.
#[repr(C)]
struct Entry {
    ring: Ring,
    key: Cell<u64>,
    number: usize,
}

fn entry_of(at: NonNull<Ring>) -> &'static Entry {
    // SAFETY: every ring in these tests starts an entry, which is leaked as
    // far as the wheel can tell: `Tested` keeps it.
    unsafe { at.cast::<Entry>().as_ref() }
}

fn key_of(at: NonNull<Ring>) -> u64 {
    entry_of(at).key.get()
}

/// A wheel and all entries it was ever given.
struct Tested {
    wheel: Wheel,
    entries: Vec<NonNull<Entry>>,
}

impl Tested {
    fn new(now: u64) -> Self {
        Self {
            wheel: Wheel::new(now),
            entries: Vec::new(),
        }
    }

    fn entry(&self, number: usize) -> &Entry {
        // SAFETY: kept until the end.
        unsafe { self.entries[number].as_ref() }
    }

    fn is_linked(&self, number: usize) -> bool {
        // SAFETY: this thread has the wheel.
        unsafe { self.entry(number).ring.is_linked() }
    }

    fn insert(&mut self, key: u64) -> usize {
        let number = self.entries.len();
        let entry = Box::new(Entry {
            ring: Ring::new(),
            key: Cell::new(key),
            number,
        });
        self.entries.push(NonNull::from(Box::leak(entry)));
        assert!(!self.is_linked(number));
        self.insert_again(number, key);
        number
    }

    fn insert_again(&mut self, number: usize, key: u64) {
        self.entry(number).key.set(key);
        // SAFETY: linked nowhere, and kept until the end.
        unsafe { self.wheel.insert(self.entries[number].cast(), key) };
        assert!(self.is_linked(number));
    }

    fn remove(&mut self, number: usize) {
        // SAFETY: the callers know it to be linked.
        unsafe { self.wheel.remove(self.entries[number].cast()) };
        assert!(!self.is_linked(number));
    }

    fn advance(&mut self, to: u64) {
        // SAFETY: the key is read from the entry.
        unsafe { self.wheel.advance(to, key_of) };
    }

    fn next(&mut self) -> Option<u64> {
        // SAFETY: the key is read from the entry.
        unsafe { self.wheel.next(key_of) }
    }

    fn pop(&mut self) -> Option<usize> {
        // SAFETY: all entries are kept.
        let popped = unsafe { self.wheel.pop_due() }?;
        let number = entry_of(popped).number;
        assert!(!self.is_linked(number));
        Some(number)
    }

    fn pop_all(&mut self) -> Vec<usize> {
        std::iter::from_fn(|| self.pop()).collect()
    }
}

impl Drop for Tested {
    fn drop(&mut self) {
        for entry in self.entries.drain(..) {
            // SAFETY: leaked in `insert`, and the wheel is not used again.
            drop(unsafe { Box::from_raw(entry.as_ptr()) });
        }
    }
}

/// Zero, the powers of two and their neighbours, and the end.
fn boundaries() -> Vec<u64> {
    let around = |bit: u32| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1];
    let mut keys: Vec<u64> = (0..64).flat_map(around).collect();
    keys.extend([0, u64::MAX - 1, u64::MAX]);
    keys
}

// V18: never early, and none is missed.
#[test]
fn every_boundary_is_due_at_its_very_tick() {
    for start in boundaries() {
        let mut tested = Tested::new(start);
        let mut keys = boundaries();
        // Not in order.
        keys.sort_by_key(|key| key.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for &key in &keys {
            tested.insert(key);
        }
        let past: Vec<u64> = keys.iter().copied().filter(|&key| key <= start).collect();
        let mut fired = Vec::new();
        for number in tested.pop_all() {
            fired.push(keys[number]);
        }
        assert_eq!(fired, past);
        keys.retain(|&key| key > start);
        keys.sort_unstable();
        fired.clear();
        while let Some(next) = tested.next() {
            assert!(next > tested.wheel.now());
            // Nothing is due before.
            tested.advance(next - 1);
            assert_eq!(tested.pop(), None);
            tested.advance(next);
            let popped = tested.pop_all();
            assert!(!popped.is_empty());
            for number in popped {
                assert_eq!(tested.entry(number).key.get(), next);
                fired.push(next);
            }
        }
        assert_eq!(fired, keys);
    }
}

#[test]
fn one_step_over_everything_keeps_the_order() {
    for times in 1..4 {
        let mut tested = Tested::new(0);
        let mut expected = Vec::new();
        for time in 0..times {
            for key in boundaries() {
                expected.push((key, time, tested.insert(key)));
            }
        }
        // What is past at its insertion comes first, as it was inserted.
        expected.sort_by_key(|&(key, ..)| key);
        tested.advance(u64::MAX);
        let expected: Vec<usize> = expected.into_iter().map(|(.., number)| number).collect();
        assert_eq!(tested.pop_all(), expected);
    }
}

#[test]
fn a_step_back_does_nothing() {
    let mut tested = Tested::new(1_000);
    tested.insert(1_000);
    tested.insert(5_000);
    for to in [0, 999, 1_000] {
        tested.advance(to);
        assert_eq!(tested.wheel.now(), 1_000);
    }
    assert_eq!(tested.pop_all(), [0]);
    assert_eq!(tested.next(), Some(5_000));
    // Past even so.
    tested.insert(999);
    assert_eq!(tested.next(), Some(1_000));
    assert_eq!(tested.pop_all(), [2]);
}

#[test]
fn what_is_removed_leaves_nothing_behind() {
    let mut tested = Tested::new(77);
    let numbers: Vec<usize> = boundaries().iter().map(|&key| tested.insert(key)).collect();
    for number in numbers.into_iter().rev() {
        tested.remove(number);
    }
    assert_eq!(tested.wheel.len(), 0);
    assert_eq!(tested.next(), None);
    assert_eq!(tested.wheel.occupied, [0; super::LEVELS]);
    tested.advance(u64::MAX);
    assert_eq!(tested.pop(), None);
}

#[test]
fn an_entry_moves_once_a_level_at_most() {
    let mut tested = Tested::new(0);
    for key in boundaries() {
        tested.insert(key);
    }
    let asked = Cell::new(0);
    let count = |at| {
        asked.set(asked.get() + 1);
        key_of(at)
    };
    // Without `next`, which asks as well.
    for to in boundaries() {
        // SAFETY: the key is read from the entry.
        unsafe { tested.wheel.advance(to, count) };
    }
    let entries = tested.pop_all().len();
    assert_eq!(entries, boundaries().len());
    assert!(asked.get() <= entries * super::LEVELS, "{}", asked.get());
}

#[test]
fn next_looks_at_a_few_only() {
    let mut tested = Tested::new(0);
    let base = 1 << 40;
    for extra in 0..LOOKS as u64 {
        tested.insert(base + 100 + extra);
    }
    assert_eq!(tested.next(), Some(base + 100));
    let last = tested.insert(base + 99);
    assert_eq!(tested.next(), Some(base));
    tested.remove(last);
    assert_eq!(tested.next(), Some(base + 100));
}
