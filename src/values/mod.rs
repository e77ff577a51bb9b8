//! Values: what a context hands down besides the cancel.
//!
//! # How it works
//!
//! A node that was given values has a set of them. Every node knows the nearest
//! set, its own or an ancestor's, so nodes without values cost a lookup
//! nothing. A set knows the next one above, and a lookup goes up from set to
//! set; the nearest value wins.
//!
//! A lookup that has passed [`VALUES_WALKED`](limits::VALUES_WALKED) sets makes
//! indexes: hash tables that answer for a set and for those above it, up to a
//! set with an index of its own. They are put a few sets above where the lookup
//! began, and at four times that distance, and so on as far as there is no
//! index, so that contexts further down share them.
//!
//! ```text
//!   set ─up─► set ─up─► set ─up─► set ─up─► set ─up─► ...
//!                        │                   │
//!                      index ───────next────►│
//!                                          index ──next──► null
//! ```
//!
//! A new index takes in the index it meets, unless that is more than twice as
//! large. So indexes on one path grow geometrically: a lookup passes a few sets
//! and then a logarithmic number of tables, usually one or two, and a path that
//! grows while it is read keeps each value in a logarithmic number of tables.
//!
//! # Invariants
//!
//! - **E1** A set, what it leads to by `up`, and their values are valid for
//!   whoever has a handle to a node that knows the set: nodes keep their
//!   ancestors, and a node's values go when it is dead (N3).
//! - **E2** An [`Id`] is made for one type, and the value under it has that
//!   type.
//! - **E3** An index is installed once, never changed, and goes with its set.
//!   It refers only to its own set and to sets above it.
//! - **E4** What an index names as `next` is null, or has an index.
//!
//! # Orderings
//!
//! The sets are published with the node they are part of. An index is published
//! by the Release of its installation and read by an Acquire.
//!
//! # Progress
//!
//! A lookup waits for nobody. Two that build the same index both finish; one of
//! the two is thrown away.
//!
//! Models: `value_lookup_vs_lookup`, `value_lookup_vs_drop`.

mod index;
mod key;

pub use key::Key;

use crate::sync::Ordering::{Acquire, Relaxed, Release};
use crate::sync::{AtomicPtr, Site, limits, memory};
use index::{Index, Table};
use std::any::TypeId;
use std::hash::{Hash, Hasher};
use std::ptr::{NonNull, null, null_mut};

/// What a value is found by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id {
    of: TypeId,
    /// Null: found by its type alone.
    key: *const (),
}

// SAFETY: the key is a `Key` in a static, which any thread may read.
unsafe impl Send for Id {}
// SAFETY: the same.
unsafe impl Sync for Id {}

impl Id {
    #[inline]
    pub(crate) fn of<T: 'static>(key: Option<&'static Key<T>>) -> Id {
        Id {
            of: TypeId::of::<T>(),
            key: key.map_or(null(), |key| std::ptr::from_ref(key).cast()),
        }
    }

    /// The name of the key, or that of the type.
    ///
    /// # Safety
    ///
    /// The id was made for a `T`.
    pub(crate) unsafe fn label<T: 'static>(self) -> &'static str {
        // SAFETY: null, or from a `'static` key of this type, by the caller.
        match unsafe { self.key.cast::<Key<T>>().as_ref() } {
            Some(key) => key.name(),
            None => std::any::type_name::<T>(),
        }
    }

    fn hash(self) -> u64 {
        let mut bits = Bits(self.key.addr() as u64);
        self.of.hash(&mut bits);
        bits.0.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

/// Takes the bits of a [`TypeId`] as they are: they are a hash already.
struct Bits(u64);

impl Hasher for Bits {
    fn write_u64(&mut self, bits: u64) {
        self.0 = self.0.rotate_left(26) ^ bits;
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// One value of a set.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) id: Id,
    /// Where it lies; null in an empty place of a table only.
    pub(crate) value: *const (),
}

/// What depends on the types of a set's values. All take the address of the
/// node that the set is part of, as it was allocated.
pub(crate) struct How {
    /// The name that a node of one value shows.
    pub(crate) label: unsafe fn(Id) -> &'static str,
    /// Drops the value of this number; none if that would do nothing.
    pub(crate) drop: Option<unsafe fn(NonNull<()>, usize)>,
    /// Frees the node, whose values are dropped.
    pub(crate) free: unsafe fn(NonNull<()>),
}

/// The values of one node.
pub(crate) struct Values {
    up: *const Values,
    entries: *const [Entry],
    index: AtomicPtr<Index>,
    pub(crate) how: &'static How,
}

impl Values {
    /// A set below `up`, without entries yet.
    pub(crate) fn new(up: *const Values, how: &'static How) -> Self {
        Self {
            up,
            entries: &[],
            index: AtomicPtr::new(null_mut()),
            how,
        }
    }

    /// Says where the entries are, before the set is used.
    ///
    /// # Safety
    ///
    /// `at` is valid, and the caller's alone. The entries stay there as long as
    /// the set, there is at least one, and each names a value of the type that
    /// its id was made for (E2).
    pub(crate) unsafe fn set_entries(at: *mut Values, entries: *const [Entry]) {
        // SAFETY: by the caller.
        unsafe { (*at).entries = entries };
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        // SAFETY: by `set_entries` they live as long as the set.
        unsafe { &*self.entries }
    }

    fn index(&self) -> Option<&Index> {
        // Acquire: shows the index; meets the Release in `install`.
        let at = self.index.load(Acquire, Site::ValueIndexLoad);
        // SAFETY: it goes with the set (E3).
        NonNull::new(at).map(|at| unsafe { memory::look(at) })
    }

    /// Where the value of this id lies, as seen from the set `start`. Null if
    /// there is none.
    ///
    /// # Safety
    ///
    /// `start` is null, or valid by E1.
    pub(crate) unsafe fn find(start: *const Values, id: Id) -> *const () {
        let mut at = start;
        let mut walked = 0;
        // SAFETY: valid by E1, as all that it leads to.
        while let Some(set) = unsafe { at.as_ref() } {
            if let Some(index) = set.index() {
                // SAFETY: E1, and `next` is one of the sets above (E3).
                return unsafe { Self::find_indexed(index, id) };
            }
            if walked == limits::VALUES_WALKED {
                // SAFETY: by the caller.
                unsafe { build(start) };
                (at, walked) = (start, 0);
                continue;
            }
            if let Some(entry) = set.entries().iter().find(|entry| entry.id == id) {
                return entry.value;
            }
            at = set.up;
            walked += 1;
        }
        null()
    }

    /// # Safety
    ///
    /// The set of `index` is valid by E1.
    unsafe fn find_indexed(mut index: &Index, id: Id) -> *const () {
        let hash = id.hash();
        loop {
            let found = index.table.get(id, hash);
            if !found.is_null() {
                return found;
            }
            // SAFETY: null, or valid by E1.
            let next = unsafe { index.next.as_ref() }.and_then(Values::index);
            // Null, as every other `next` has an index (E4).
            let Some(next) = next else {
                return null();
            };
            index = next;
        }
    }

    /// Gives the set's index an end.
    ///
    /// # Safety
    ///
    /// Nobody can reach the set any more.
    pub(crate) unsafe fn free_index(&self) {
        // Relaxed: whoever frees a node comes after all its users.
        let index = self.index.load(Relaxed, Site::ValueIndexFree);
        if let Some(index) = NonNull::new(index) {
            // SAFETY: the set's own, and it goes (E3).
            unsafe { memory::free(index) };
        }
    }
}

/// How far above the start of a lookup its nearest index is made.
const NEAREST: usize = limits::VALUES_WALKED / 2;
/// The next one is this many times as far.
const APART: usize = 4;

/// Makes the indexes that a lookup from `start` needs.
///
/// # Safety
///
/// `start` is valid by E1.
#[cold]
unsafe fn build(start: *const Values) {
    let mut places = [null::<Values>(); 16];
    let mut count = 0;
    let (mut at, mut walked, mut distance) = (start, 0, NEAREST);
    // SAFETY: valid by E1, as all that it leads to.
    while let Some(set) = unsafe { at.as_ref() } {
        if set.index().is_some() {
            break;
        }
        if walked == distance && count < places.len() {
            places[count] = at;
            count += 1;
            distance *= APART;
        }
        at = set.up;
        walked += 1;
    }
    // The furthest first: the nearer ones end where it begins.
    for &place in places[..count].iter().rev() {
        distance /= APART;
        // Further away only where as much lies above as below.
        if distance == NEAREST || 2 * distance <= walked {
            // SAFETY: one of the sets above `start`.
            install(unsafe { &*place });
        }
    }
}

/// Makes an index for `place` and what lies above it.
fn install(place: &Values) {
    let mut table = Table::new();
    let mut at: *const Values = place;
    // SAFETY: valid by E1, as all that it leads to.
    while let Some(set) = unsafe { at.as_ref() } {
        match set.index() {
            None => {
                table.insert_all(set.entries());
                at = set.up;
            }
            Some(index) if index.table.len() > 2 * table.len() => break,
            Some(index) => {
                table.insert_all(index.table.entries());
                at = index.next;
            }
        }
    }
    let new = memory::alloc(Index { next: at, table });
    // Release: publishes the index; meets the Acquire in `index`. On failure
    // Relaxed: the other one is read by whoever looks again.
    let installed = place.index.compare_exchange(
        null_mut(),
        new.as_ptr(),
        Release,
        Relaxed,
        Site::ValueIndexInstall,
    );
    if installed.is_err() {
        // SAFETY: never published.
        unsafe { memory::free(new) };
    }
}
