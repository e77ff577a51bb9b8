//! The hash table behind an index: open addressing, at most half full.

use super::{Entry, Id, Values};
use std::ptr::null;

/// Answers for a set and those above it, up to `next`.
pub(super) struct Index {
    /// Where to go on: null, or a set with an index (E4).
    pub(super) next: *const Values,
    pub(super) table: Table,
}

pub(super) struct Table {
    /// A power of two of places, or none.
    places: Vec<Entry>,
    len: usize,
    /// Leaves as many bits of a hash as count the places.
    shift: u32,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            places: Vec::new(),
            len: 0,
            shift: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.places.iter().filter(|entry| !entry.value.is_null())
    }

    /// The value of this id, or null.
    #[inline]
    pub(super) fn get(&self, id: Id, hash: u64) -> *const () {
        self.places[self.place(id, hash)].value
    }

    /// Where the id is, or would be. There are places, and free ones.
    #[inline]
    fn place(&self, id: Id, hash: u64) -> usize {
        let mask = self.places.len() - 1;
        let mut at = (hash >> self.shift) as usize;
        loop {
            let entry = &self.places[at & mask];
            if entry.value.is_null() || entry.id == id {
                return at & mask;
            }
            at += 1;
        }
    }

    /// Adds entries that are further away than all that are in here: an id that
    /// is known keeps its value.
    pub(super) fn insert_all<'e>(&mut self, entries: impl IntoIterator<Item = &'e Entry>) {
        for entry in entries {
            self.insert(entry);
        }
    }

    fn insert(&mut self, entry: &Entry) {
        if 2 * (self.len + 1) > self.places.len() {
            self.grow();
        }
        let place = self.place(entry.id, entry.id.hash());
        if self.places[place].value.is_null() {
            self.places[place] = *entry;
            self.len += 1;
        }
    }

    fn grow(&mut self) {
        let count = (2 * self.places.len()).max(16);
        let free = Entry {
            id: Id::of::<()>(None),
            value: null(),
        };
        let old = std::mem::replace(&mut self.places, vec![free; count]);
        self.shift = u64::BITS - count.trailing_zeros();
        for entry in old.iter().filter(|entry| !entry.value.is_null()) {
            let place = self.place(entry.id, entry.id.hash());
            self.places[place] = *entry;
        }
    }
}
