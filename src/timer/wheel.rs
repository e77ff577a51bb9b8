//! A hierarchical timer wheel: what lies in it, and is due at which tick.
//!
//! A plain data structure. It knows no clock and no threads: whoever has it
//! says what time it is.
//!
//! # How it works
//!
//! A key is a tick, any `u64`. It is read as eleven groups of six bits, the
//! highest first. An entry lies on the level of the highest group in which its
//! key differs from `now`, in the slot that this group of the key numbers: far
//! keys on high levels, in wide slots. Each slot is a ring of entries in order
//! of arrival.
//!
//! [`advance`](Wheel::advance) goes from one occupied slot to the next. When the
//! time reaches the start of a slot, the highest difference of every key in it
//! lies further down, so its entries move to lower levels, or to the due ring
//! if their time has come. As a higher level begins where the one below ends,
//! the next slot is the first one of the lowest level that has any.
//!
//! Keys belong to the owner of the entries. The wheel is told one at the
//! insertion, and asks again whenever it moves an entry. So a key that is
//! moved later may be left to be found; one that is moved earlier and must
//! fire then is removed and inserted again.
//!
//! # Picture
//!
//! ```text
//! now = 2|17|5, in groups of six bits
//!
//! level 2   slot  3 ─► 3|40|9 ─► 3|0|0         moved down at 3|0|0
//! level 1   slot 18 ─► 2|18|7                  moved down at 2|18|0
//!           slot 63 ─► 2|63|63                 moved down at 2|63|0
//! level 0   slot  6 ─► 2|17|6 ─► 2|17|6        due at 2|17|6
//! due ring          ─► 2|17|4 ─► 2|17|5
//! ```
//!
//! # Invariants
//!
//! - **R1** Whoever has the wheel has the [`Ring`] of all that is linked in it.
//!   Each is in one circle, with one head, which is the wheel's. What is in no
//!   circle has null pointers.
//! - **R2** Between two calls an entry lies where the key that it was placed by,
//!   and `now`, say together: in the due ring if the key is not after `now`, else
//!   on the level of the highest difference, in the slot of the key's group.
//! - **R3** A slot with entries has its bit in `occupied`, and heads. A slot
//!   with a bit starts after `now`, and equals it in all groups above its own.
//!   The bit of a slot whose entries were removed stays until the slot is met.
//! - **R4** Heads stay where they are as long as the wheel lives, which itself
//!   may be moved.
//! - **R5** `len` is the number of entries in all circles.
//!
//! R2 and R3 hold while time passes: if `to` is before the start of the first
//! slot with a bit, then for every such slot `now <= to < start`, and as `now`
//! and `start` are equal above the slot's level, `to` is so too; in the group of
//! the level it is less. So nothing changes its place.
//!
//! # Order
//!
//! By R2 all entries that were placed by one key are in one ring, at any time.
//! Entries join a ring at its end, and a slot is emptied from the front. So
//! equal keys become due in the order of their insertion; different ones in the
//! order of keys, as slots are met in the order of their starts. An entry whose
//! key was moved without telling the wheel comes among its equals as if it were
//! inserted when the wheel asks.
//!
//! # Complexity
//!
//! Insert, remove and pop take constant time. An entry moves at most once for
//! each level before it is due, and a bit is cleared once for each time it was
//! set, so for each insertion `advance` takes constant time too, and none for
//! the time that passes. A level is 1 KiB, allocated at its first use and kept.

mod ring;
#[cfg(all(test, not(any(crossbeam_loom, ctxtree_shuttle))))]
mod tests;

pub(crate) use ring::Ring;

use ring::{after, first, heads, push, unlink};
use std::ptr::NonNull;

/// Bits of a key in one group.
const GROUP: u32 = 6;
/// Slots of a level: one for each value of a group.
const SLOTS: usize = 1 << GROUP;
/// Groups in a key.
const LEVELS: usize = u64::BITS.div_ceil(GROUP) as usize;
/// Entries that [`Wheel::next`] looks at, at most.
const LOOKS: usize = 32;

/// Where a slot is.
#[derive(Clone, Copy)]
struct Slot {
    level: usize,
    index: usize,
}

impl Slot {
    /// Bits of a key below its group.
    fn shift(self) -> u32 {
        GROUP * self.level as u32
    }
}

/// All bits from this one on.
fn from(bit: u32) -> u64 {
    u64::MAX.checked_shl(bit).unwrap_or(0)
}

/// A timer wheel.
pub(super) struct Wheel {
    now: u64,
    /// Entries (R5).
    len: usize,
    /// For each level a bit for each slot (R3).
    occupied: [u64; LEVELS],
    /// The heads of each level's slots, from its first use on.
    levels: [Option<NonNull<[Ring; SLOTS]>>; LEVELS],
    /// The head of the due ring.
    due: NonNull<[Ring; 1]>,
}

// SAFETY: the heads are its own, and the entries go with it (R1).
unsafe impl Send for Wheel {}

impl Wheel {
    /// An empty wheel at this tick.
    pub(super) fn new(now: u64) -> Wheel {
        Wheel {
            now,
            len: 0,
            occupied: [0; LEVELS],
            levels: [None; LEVELS],
            due: heads(),
        }
    }

    /// The tick that it is.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// How many entries are linked, the due ones included.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Links `at` for the tick `key`: as the last of the due ring if that is now
    /// or past.
    ///
    /// # Safety
    ///
    /// `at` is linked nowhere, and stays valid until it is removed or popped.
    /// From here to there it is whoever has the wheel that may use it (R1).
    pub(super) unsafe fn insert(&mut self, at: NonNull<Ring>, key: u64) {
        // SAFETY: by the caller.
        unsafe { self.place(at, key) };
        self.len += 1;
    }

    /// Takes `at` out.
    ///
    /// # Safety
    ///
    /// It is linked in this wheel.
    pub(super) unsafe fn remove(&mut self, at: NonNull<Ring>) {
        // SAFETY: by the caller.
        unsafe { unlink(at) };
        self.len -= 1;
    }

    /// Lets it be the tick `to`, if that is later, and makes due what has a key
    /// up to then: in the order of keys, equal ones in that of insertion.
    ///
    /// `key` tells the key of an entry now. It is asked for each entry that
    /// moves, which goes where the answer says.
    ///
    /// # Safety
    ///
    /// `key` uses no wheel. It may use the entry that it is given.
    pub(super) unsafe fn advance(&mut self, to: u64, key: impl Fn(NonNull<Ring>) -> u64) {
        while let Some(slot) = self.first_slot() {
            let start = self.start(slot);
            if start > to {
                break;
            }
            self.now = start;
            let head = self.head(slot);
            // SAFETY: this wheel's.
            while let Some(at) = unsafe { first(head) } {
                let key = key(at);
                // SAFETY: linked in this wheel. Its new place is another, as
                // `now` has the group of this slot.
                unsafe { self.put(at, key) };
            }
            self.vacate(slot);
        }
        self.now = self.now.max(to);
    }

    /// Takes the first of the due ring out.
    ///
    /// # Safety
    ///
    /// What is linked is valid still, as [`insert`](Self::insert) asks.
    pub(super) unsafe fn pop_due(&mut self) -> Option<NonNull<Ring>> {
        // SAFETY: this wheel's.
        let at = unsafe { first(self.due.cast()) }?;
        // SAFETY: linked in this wheel.
        unsafe { self.remove(at) };
        Some(at)
    }

    /// The tick at which [`advance`](Self::advance) has something to do next:
    /// now, if anything is due. Never later than the earliest key that an entry
    /// was placed by; that very key, unless more than [`LOOKS`] entries share
    /// its slot, and otherwise the start of that slot.
    ///
    /// `key` is asked as in `advance`: an entry that is met in a slot which is
    /// not its own any more moves to where it belongs.
    ///
    /// # Safety
    ///
    /// As for `advance`.
    pub(super) unsafe fn next(&mut self, key: impl Fn(NonNull<Ring>) -> u64) -> Option<u64> {
        let mut looks = LOOKS;
        loop {
            // SAFETY: this wheel's.
            if unsafe { first(self.due.cast()) }.is_some() {
                return Some(self.now);
            }
            let slot = self.first_slot()?;
            let start = self.start(slot);
            let last = start | !from(slot.shift());
            let head = self.head(slot);
            let (mut earliest, mut moved) = (None, false);
            // SAFETY: this wheel's.
            let mut at = unsafe { after(head) };
            while at != head && looks > 0 {
                looks -= 1;
                // SAFETY: linked in this wheel.
                let following = unsafe { after(at) };
                let key = key(at);
                if (start..=last).contains(&key) {
                    earliest = Some(earliest.map_or(key, |earliest| key.min(earliest)));
                } else {
                    // SAFETY: linked in this wheel. Its new place is another, by
                    // R2.
                    unsafe { self.put(at, key) };
                    moved = true;
                }
                at = following;
            }
            // SAFETY: this wheel's.
            if unsafe { first(head) }.is_none() {
                self.vacate(slot);
            } else if !moved {
                // Not seen to the end: one of the others may be the earliest.
                return if at == head { earliest } else { Some(start) };
            }
        }
    }

    /// The occupied slot that starts first, by R3.
    fn first_slot(&self) -> Option<Slot> {
        let level = self.occupied.iter().position(|&bits| bits != 0)?;
        let index = self.occupied[level].trailing_zeros() as usize;
        Some(Slot { level, index })
    }

    /// The first tick of an occupied slot, by R3.
    fn start(&self, slot: Slot) -> u64 {
        self.now & from(slot.shift() + GROUP) | (slot.index as u64) << slot.shift()
    }

    /// The head of an occupied slot.
    fn head(&self, slot: Slot) -> NonNull<Ring> {
        let level = self.levels[slot.level].expect("an occupied slot has a head");
        // SAFETY: one of the array.
        unsafe { level.cast::<Ring>().add(slot.index) }
    }

    /// Says that a slot is empty.
    fn vacate(&mut self, slot: Slot) {
        self.occupied[slot.level] &= !(1 << slot.index);
    }

    /// Moves `at` to the place of `key`.
    ///
    /// # Safety
    ///
    /// It is linked in this wheel, elsewhere.
    unsafe fn put(&mut self, at: NonNull<Ring>, key: u64) {
        // SAFETY: by the caller.
        unsafe { unlink(at) };
        // SAFETY: not linked any more, and as valid as before.
        unsafe { self.place(at, key) };
    }

    /// Links `at` where R2 says.
    ///
    /// # Safety
    ///
    /// As for `insert`.
    unsafe fn place(&mut self, at: NonNull<Ring>, key: u64) {
        let head = if key <= self.now {
            self.due.cast()
        } else {
            // Not zero, as they differ.
            let level = ((key ^ self.now).ilog2() / GROUP) as usize;
            let index = (key >> (GROUP * level as u32)) as usize % SLOTS;
            self.levels[level].get_or_insert_with(heads);
            self.occupied[level] |= 1 << index;
            self.head(Slot { level, index })
        };
        // SAFETY: this wheel's head; the rest by the caller.
        unsafe { push(head, at) };
    }
}

impl Drop for Wheel {
    /// Leaves what is still linked alone; it may not be used as linked again.
    fn drop(&mut self) {
        for level in self.levels.into_iter().flatten() {
            // SAFETY: from a box, in `heads`, and nobody's after this.
            drop(unsafe { Box::from_raw(level.as_ptr()) });
        }
        // SAFETY: the same.
        drop(unsafe { Box::from_raw(self.due.as_ptr()) });
    }
}
