//! The intrusive list of a node's children, and of its waiters.
//!
//! # What it is
//!
//! A list of [`Link`]s that live inside the things they link. Anybody pushes at
//! the head; whoever is done with a link says so on a second stack; one elected
//! thread at a time unlinks what is on it. Readers walk the list meanwhile. No
//! lock, and nobody ever waits.
//!
//! # How it works
//!
//! 1. **push**: one compare-and-swap on `head`. The old head is not touched.
//! 2. **bury**: one compare-and-swap pushes the link on `dead`. Nothing is
//!    unlinked.
//! 3. **reap**: who makes `dead` long enough, or finds the lane orphaned, while
//!    nobody reaps, takes the role and the whole stack with that same
//!    compare-and-swap, and unlinks it with plain doubly linked list code. Who
//!    finds the role taken pushes and goes: the holder looks again before it
//!    leaves, by a compare-and-swap of this word.
//! 4. **walk**: close `head`, count up `walkers`, follow `next`. A lane that is
//!    walked once only, by who closes it, needs no count: CLOSED says enough.
//! 5. **free**: if no walk is in the lane, a batch is freed at once; else it
//!    waits for the epoch.
//!
//! # Words
//!
//! ```text
//! head     newest link | CLOSED | SPLIT | WAITED | PARENT | QUIET
//! dead     top link of the dead stack | length (13 bits) | EAGER | BUSY | ORPHAN
//! walkers  how many walks are in this lane
//! ```
//!
//! | bit | set by | what others then do |
//! |---|---|---|
//! | `CLOSED` | a walk, after the owner's state word is done | a pusher sees the state word and marks its link itself |
//! | `SPLIT` | who found the head contended | push and walk also the further lanes |
//! | `WAITED` | the first waiter or callback of the owner | a walk also looks into the wait lane |
//! | `CALLED` (the same bit, in a wait lane) | the first callback | the end of the owner drops those that are left; it is freed by the epoch |
//! | `PARENT` | the first push | the owner has lanes to give up before it goes |
//! | `QUIET` | who looks whether all lanes are empty, on one that is | a push clears it: two looks tell whether there was one |
//! | `EAGER` | who waits for the lanes to be empty | every burial reaps at once, or the holder does; one that leaves the lane empty says so |
//! | `BUSY` | who takes the role | a burial is left to the holder |
//! | `ORPHAN` | the drop of the owner's last handle | every burial reaps at once, or the holder does; the one that finds the lane empty gives it up |
//!
//! # Picture
//!
//! ```text
//! head ─► E ─next─► D ─next─► C ─next─► B ─next─► A
//!                   ◄─prev─┘  ◄─prev─┘  ◄─prev─┘        E, D: no prev yet
//! dead ─► B ─reap_next─► D
//! ```
//!
//! # Invariants
//!
//! - **L1** Only the holder of the role (BUSY) writes `next` and `prev` of a linked
//!   link. A pusher writes those of its own, before it is linked.
//! - **L2** A link's `prev`, if not null, is its predecessor, and then that of
//!   every link below it is known too. Null: not known yet, or it is the head.
//! - **L3** Nothing is ever inserted but at the head, and an unlinked link
//!   keeps its `next`: a walk misses nobody who was there when it closed the
//!   lane.
//! - **L4** A linked link keeps the owner of its lane alive.
//! - **L5** A link is buried once, by whoever owns it then, and not used by
//!   that thread afterwards.
//! - **L6** A link is freed only after it is unlinked, by a reaper that
//!   afterwards read `walkers` as zero, and in a wait lane `head` as not closed,
//!   or after every pin of that time; or with the owner of its lane.
//! - **L7** Whoever follows links it does not own holds a pin, taken before it
//!   counted itself in `walkers` or, in a wait lane, closed it; or holds the
//!   role.
//! - **L8** A lane is given up by the holder of the role, once, when it is
//!   ORPHAN and empty; the role is never given back. Nobody touches it
//!   afterwards: who buries is done with the lane when its link is on the stack,
//!   and a link that is not keeps the lane from being empty.
//!
//! # Orderings
//!
//! Every change of `head` is a read-modify-write, so each pusher's Release
//! reaches every later Acquire of `head` whatever came between. That makes the
//! contents of links visible along `next`, whose own accesses are Relaxed. The
//! race of a reaper's free with a walker's entry is decided by the order of
//! read-modify-writes on `walkers`; those of burials, of ORPHAN and of the
//! reaper coming and leaving by their order on `dead`.
//!
//! # Progress
//!
//! Push and bury are lock-free, walk and reap never wait. A reaper that is
//! stopped delays memory, nobody's progress.
//!
//! Models: `cancel_vs_attach`, `detach_vs_detach`, `cancel_vs_detach_batch`,
//! `detach_from_the_middle`, `orphan_vs_two_child_drops`.

mod bury;
mod reap;
mod word;

pub(crate) use reap::Reaped;
pub(crate) use word::Head;

use crate::sync::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::sync::{AtomicPtr, AtomicU32, Cell, Site, Witness, epoch, limits, memory};
use std::ptr::{NonNull, null_mut};
use word::Dead;

/// The place in a lane of whatever starts with it.
#[repr(C)]
pub(crate) struct Link {
    /// The next on the dead stack. Written by who buries, then the reaper's.
    pub(crate) reap_next: Cell<*mut Link>,
    /// The next newer link, as far as the reaper knows (L2).
    prev: Cell<*mut Link>,
    /// The next older link.
    next: AtomicPtr<Link>,
}

impl Link {
    crate::sync::const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                reap_next: Cell::new(null_mut()),
                prev: Cell::new(null_mut()),
                next: AtomicPtr::new(null_mut()),
            }
        }
    }

    /// The next older link, for a walk.
    pub(crate) fn next(&self) -> *mut Link {
        // Relaxed: by L3 it is a link pushed earlier than this one, whose
        // contents came with the Acquire of `head` that led here; that it is
        // not freed yet is L6.
        self.next.load(Relaxed, Site::LinkNext)
    }
}

/// What a lane links.
///
/// # Safety
///
/// The type starts with its [`Link`] (`repr(C)`).
pub(crate) unsafe trait Linked: 'static {
    /// Whether walks close the lane and are not counted in it: then what is
    /// unlinked from a closed lane waits for the epoch.
    const WALKED_WHEN_CLOSED: bool;

    /// Frees it, without running any user's code.
    ///
    /// # Safety
    ///
    /// `link` may be freed by L6.
    unsafe fn free(link: NonNull<Link>);
}

/// One list, or one of several lanes that a contended list is split into.
#[repr(C)]
pub(crate) struct Lane {
    head: AtomicPtr<Link>,
    dead: AtomicPtr<Link>,
    walkers: AtomicU32,
    /// Pushes that lost a race so far, a hint; and what the owner of the lane has
    /// to say to those who push later.
    notes: AtomicU32,
    /// What the owner's last handle saw to before ORPHAN.
    orphaned: Witness,
}

/// What the owner of a lane says to those who push later.
pub(crate) struct Note;

impl Note {
    /// A deadline was moved, here or above.
    pub(crate) const MOVED: u32 = 1 << 31;
    /// And all that is below has that note.
    pub(crate) const SPREAD: u32 = 1 << 30;

    const ALL: u32 = Self::MOVED | Self::SPREAD;
}

/// What became of a push.
pub(crate) enum Push {
    /// Linked.
    Done,
    /// Another push was faster, or the head says something new: the head now.
    Lost(Head),
}

/// A pin that is made when first needed.
pub(crate) struct LazyPin(Option<epoch::Guard>);

impl LazyPin {
    pub(crate) fn new() -> Self {
        Self(None)
    }

    pub(crate) fn get(&mut self) -> &epoch::Guard {
        self.0.get_or_insert_with(epoch::pin)
    }
}

impl Lane {
    crate::sync::const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                head: AtomicPtr::new(null_mut()),
                dead: AtomicPtr::new(null_mut()),
                walkers: AtomicU32::new(0),
                notes: AtomicU32::new(0),
                orphaned: Witness::new(),
            }
        }
    }

    /// The head, for those who only want to know what to try.
    #[inline(always)]
    pub(crate) fn peek(&self) -> Head {
        // Relaxed: whatever is done with it is decided by a compare-and-swap.
        Head::from_ptr(self.head.load(Relaxed, Site::HeadPeek))
    }

    /// Whether the lane is closed; if so, the caller sees the owner done.
    pub(crate) fn is_closed(&self, head: Head) -> bool {
        // Acquire: the owner is done, and the caller goes by that; meets the
        // Release in `close`. Once closed, always closed.
        head.has(Head::CLOSED)
            && Head::from_ptr(self.head.load(Acquire, Site::HeadSeenClosed)).has(Head::CLOSED)
    }

    /// Tries to link `link` in front of `head`, which was read here.
    ///
    /// If the lane was closed before, the caller sees the owner's state word as
    /// done from here on.
    ///
    /// # Safety
    ///
    /// - `link` is not linked, is the caller's alone, and stays valid until it
    ///   is buried.
    /// - The caller keeps the owner of the lane alive.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, link: NonNull<Link>, head: Head) -> Push {
        // SAFETY: the link is the caller's and so valid.
        let linked = unsafe { link.as_ref() };
        // Relaxed: published by the compare-and-swap below.
        linked.next.store(head.link(), Relaxed, Site::PushNext);
        let new = head.with_link(link.as_ptr()).with(Head::PARENT);
        // Release: publishes the link and all it is the start of; meets the
        // Acquire in `first` and the reaper. Acquire: after CLOSED the
        // pusher must see the owner done; meets the Release in `close`. On
        // failure Relaxed: the caller looks again.
        let swapped = self.head.compare_exchange_weak(
            head.as_ptr(),
            new.as_ptr(),
            AcqRel,
            Relaxed,
            Site::Push,
        );
        match swapped {
            Ok(_) => Push::Done,
            Err(now) => Push::Lost(Head::from_ptr(now)),
        }
    }

    /// Notes that a push lost a race. True if that happens often here.
    pub(crate) fn is_contended(&self) -> bool {
        // Relaxed, both: a count that publishes nothing, and stops in time.
        let lost = self.notes.load(Relaxed, Site::ContentionLook) & !Note::ALL;
        if lost >= limits::CONTENDED {
            return true;
        }
        self.notes.fetch_add(1, Relaxed, Site::Contention);
        lost + 1 >= limits::CONTENDED
    }

    /// Leaves notes for those who push later. They see them when somebody has
    /// then [looked](Self::look_in_order) at the head.
    pub(crate) fn leave_note(&self, notes: u32) {
        // Release: what was done before SPREAD is left; meets the Acquire in
        // `is_spread`. The other note is released by the look at the head.
        self.notes.fetch_or(notes, Release, Site::NoteLeave);
    }

    /// Whether the note SPREAD was left: then all below has the other one.
    pub(crate) fn is_spread(&self) -> bool {
        // Acquire: shows what was done below; meets the Release in `leave_note`.
        self.notes.load(Acquire, Site::NoteSpread) & Note::SPREAD != 0
    }

    /// Whether one of these notes was left.
    #[inline(always)]
    pub(crate) fn has_note(&self, notes: u32) -> bool {
        // Relaxed: after a push it came with the Acquire of that.
        self.notes.load(Relaxed, Site::NoteLook) & notes != 0
    }

    /// The head, for a walk that is counted in and whose caller has something
    /// to say to those who push later: who is not met sees what was written
    /// before.
    pub(crate) fn look_in_order(&self) -> Head {
        // Acquire: shows the links, and the lanes behind SPLIT; meets the
        // Release in `push` and `mark_unless_closed`. Release, by a
        // read-modify-write: shows the notes to every later push; meets the
        // Acquire there.
        Head::from_ptr(self.head.read_in_order(AcqRel, Site::HeadInOrder))
    }

    /// Whether the lane is empty; if so, it says so until the next push. The
    /// head then.
    pub(crate) fn quieten(&self) -> Option<Head> {
        let mut head = self.peek();
        loop {
            if !head.link().is_null() {
                return None;
            }
            let quiet = head.with(Head::QUIET);
            // Acquire: what those did who gave up what was linked; meets the
            // Release in `behead`. On failure Relaxed: looked at again.
            let swapped = self.head.compare_exchange_weak(
                head.as_ptr(),
                quiet.as_ptr(),
                Acquire,
                Relaxed,
                Site::Quieten,
            );
            match swapped {
                Ok(_) => return Some(quiet),
                Err(now) => head = Head::from_ptr(now),
            }
        }
    }

    /// Whether nothing was pushed since the lane was [quiet](Self::quieten).
    pub(crate) fn is_quiet(&self) -> bool {
        // Relaxed: a push that comes before the end of something that was linked
        // in another lane is seen, by the Acquire that showed that lane empty.
        Head::from_ptr(self.head.load(Relaxed, Site::QuietLook)).has(Head::QUIET)
    }

    /// Whether this is the only lane, and empty.
    pub(crate) fn is_all_and_empty(&self) -> bool {
        // Acquire: what those did who gave up what was linked; meets the Release
        // in `behead`.
        let head = Head::from_ptr(self.head.load(Acquire, Site::QuietAsk));
        head.link().is_null() && !head.has(Head::SPLIT)
    }

    /// Sets `bits` in the head, unless it is closed. What the head was before.
    ///
    /// If it was closed, the caller sees the owner's state word as done.
    pub(crate) fn mark_unless_closed(&self, bits: usize) -> Head {
        let mut head = self.peek();
        loop {
            if self.is_closed(head) {
                return head;
            }
            // Release: with SPLIT, publishes the lanes; meets the Acquire in
            // `lanes_seen`. Acquire: who waits for the lanes to be empty, and
            // did not see SPLIT, is seen; meets the Release in `look_in_order`.
            // On failure Relaxed: looked at again.
            let new = head.with(bits);
            let swapped = self.head.compare_exchange_weak(
                head.as_ptr(),
                new.as_ptr(),
                AcqRel,
                Relaxed,
                Site::HeadMark,
            );
            match swapped {
                Ok(_) => return head,
                Err(now) => head = Head::from_ptr(now),
            }
        }
    }

    /// The head, with the lanes that a SPLIT in it tells of.
    pub(crate) fn lanes_seen(&self) -> Head {
        // Acquire: shows the lanes behind SPLIT; meets the Release in
        // `mark_unless_closed`.
        Head::from_ptr(self.head.load(Acquire, Site::HeadLanes))
    }

    /// Closes the lane: a later push sees the owner done. The head as closed,
    /// to decide by; what it links is read from [`first`](Self::first).
    ///
    /// The owner's state word is done, as this thread has seen.
    #[inline]
    pub(crate) fn close(&self) -> Head {
        // Relaxed, here and on failure: if another walk closed it, that one
        // released what pushers must see.
        let mut head = self.peek();
        while !head.has(Head::CLOSED) {
            let closed = head.with(Head::CLOSED);
            // Release: publishes that the owner is done to every later push;
            // meets the Acquire in `push`.
            let swapped = self.head.compare_exchange_weak(
                head.as_ptr(),
                closed.as_ptr(),
                Release,
                Relaxed,
                Site::Close,
            );
            match swapped {
                Ok(_) => head = closed,
                Err(now) => head = Head::from_ptr(now),
            }
        }
        head
    }

    /// The newest link, for a walk that is counted in.
    #[inline]
    pub(crate) fn first(&self) -> *mut Link {
        // Acquire: shows the links; meets the Release in `push`. After `close`
        // it shows all that was pushed before, as this word never goes back.
        Head::from_ptr(self.head.load(Acquire, Site::First)).link()
    }

    /// Counts a walk in. The caller holds a pin (L7).
    pub(crate) fn enter(&self) {
        // Acquire: if a reaper read zero before us, we see what it unlinked;
        // meets the Release in `nobody_walks`.
        let before = self.walkers.fetch_add(1, Acquire, Site::WalkEnter);
        debug_assert!(before < u32::MAX / 2);
    }

    /// Counts a walk out.
    pub(crate) fn leave(&self) {
        // Release: our reads come before the free of what we read; meets the
        // Acquire in `nobody_walks`.
        self.walkers.fetch_sub(1, Release, Site::WalkLeave);
    }

    /// Whether no walk can reach what this thread has unlinked.
    fn nobody_walks<T: Linked>(&self) -> bool {
        // AcqRel, by a read-modify-write: a walk that counts itself in later
        // in this word's order sees what we unlinked, so it cannot reach it;
        // one earlier is seen here. Meets `enter` (Release) and `leave`
        // (Acquire).
        if self.walkers.read_in_order(AcqRel, Site::WalkersRead) != 0 {
            return false;
        }
        // Release, by a read-modify-write: the same for a walk that closes the
        // lane instead; meets the Acquire in `first`, as the close does not
        // break the chain of this word's read-modify-writes.
        !T::WALKED_WHEN_CLOSED
            || !Head::from_ptr(self.head.read_in_order(Release, Site::WalkedRead)).has(Head::CLOSED)
    }

    /// The dead links that were not reaped yet, for counting.
    #[cfg(feature = "internal-model")]
    pub(crate) fn unreaped(&self) -> usize {
        // Relaxed: a count of what changes meanwhile.
        Dead::from_ptr(self.dead.load(Relaxed, Site::CountDead)).len()
    }
}

/// Moves a `T` to the heap, where lanes can link it.
#[inline(always)]
pub(crate) fn alloc<T>(value: T) -> NonNull<T> {
    linkable(memory::alloc(value))
}

/// The same for what comes and goes often.
#[inline(always)]
pub(crate) fn alloc_kept<T: memory::Kept>(value: T) -> NonNull<T> {
    linkable(memory::alloc_kept(value))
}

#[inline(always)]
fn linkable<T>(at: NonNull<T>) -> NonNull<T> {
    assert!(
        word::address_fits(at.addr().get()),
        "a heap address must be a multiple of 16 below 2^48"
    );
    at
}

/// How many dead links a lane may collect before somebody reaps.
pub(crate) fn batch(split: bool) -> usize {
    if split {
        limits::BATCH_SPLIT
    } else {
        limits::BATCH
    }
}
