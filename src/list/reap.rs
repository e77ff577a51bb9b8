//! The elected reaper: unlinks and frees what was buried.
//!
//! | BUSY in `dead` | meaning |
//! |---|---|
//! | clear | nobody reaps; fewer than a batch are buried, and none if the lane is orphaned or eager |
//! | set | one thread reaps; what is buried meanwhile it takes before it leaves |
//!
//! The role is taken and left by compare-and-swaps of the word that burials,
//! ORPHAN and EAGER go to, so nothing can come between a last look and the leaving.
//!
//! Who waits for an eager lane to be empty is told by a reaper that finds it so,
//! before it leaves: until then the owner of the lane is there (L8).

use super::{Dead, Head, Lane, LazyPin, Link, Linked};
use crate::sync::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::sync::{Site, prefetch, recheck};
use std::ptr::{NonNull, null_mut};

/// What a reap found.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reaped {
    /// The lane lives on, or somebody else sees to it.
    Open,
    /// The lane is orphaned and empty, and this call is the one to give it up
    /// (L8).
    Emptied,
}

impl Lane {
    /// Unlinks and frees `batch`, and whatever is buried until the role can be
    /// left.
    ///
    /// # Safety
    ///
    /// The caller has just taken the role and `batch` with it, when the stack
    /// was `dead`. The lane links `T`s only.
    pub(super) unsafe fn reap<T: Linked>(
        &self,
        batch: *mut Link,
        dead: Dead,
        long: usize,
        pin: &mut LazyPin,
        emptied: &mut dyn FnMut(),
    ) -> Reaped {
        let (mut batch, mut dead) = (batch, dead);
        loop {
            if !batch.is_null() {
                // SAFETY: we hold the role, and the batch is ours.
                unsafe { self.unlink_all(batch) };
                // SAFETY: it is unlinked; the links are `T`s.
                unsafe { self.dispose::<T>(batch, pin) };
            }
            if dead.is_orphan() {
                self.orphaned.check();
                if self.is_empty() {
                    // The role is kept for ever (L8).
                    return Reaped::Emptied;
                }
            } else if dead.is_eager() && self.is_empty() {
                emptied();
            }
            match self.leave_role(dead, long) {
                None => return Reaped::Open,
                Some(more) => (batch, dead) = (more.link(), more),
            }
        }
    }

    /// Gives the role back, or takes what there is to do first: links enough to
    /// be reaped, any if the lane is orphaned or eager, or the news that it is.
    fn leave_role(&self, seen: Dead, long: usize) -> Option<Dead> {
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut dead = Dead::from_ptr(self.dead.load(Relaxed, Site::LeaveLoad));
        loop {
            let left = dead.left();
            let news = left.is_orphan() != seen.is_orphan() || left.is_eager() != seen.is_eager();
            let done = if seen.is_impatient() {
                dead.link().is_null() && !news
            } else {
                !left.wants_reaper(long)
            };
            // Again: what was buried while we had the role found no other reaper,
            // and an owner that left or waits meanwhile goes by us (L8).
            let new = if done || !recheck(Site::LookAgain) {
                left
            } else {
                dead.taken()
            };
            // Release: the next reaper sees what we did to the links; meets the
            // Acquire of whoever takes the role. Acquire: if we go on, as there.
            // On failure Relaxed.
            let swapped = self.dead.compare_exchange_weak(
                dead.as_ptr(),
                new.as_ptr(),
                AcqRel,
                Relaxed,
                Site::Leave,
            );
            match swapped {
                Ok(_) if new.is_busy() => return Some(dead),
                Ok(_) => return None,
                Err(now) => dead = Dead::from_ptr(now),
            }
        }
    }

    fn is_empty(&self) -> bool {
        // Relaxed: after ORPHAN, whose Acquire showed every push. After EAGER a
        // hint: the lane was empty after our own last change of it, or whoever
        // reaps what was pushed since asks again.
        Head::from_ptr(self.head.load(Relaxed, Site::ReapEmpty))
            .link()
            .is_null()
    }

    /// Unlinks a batch. Links at the head are only stepped over, and go all
    /// together in the end: those who come and go in turns cost nothing more.
    ///
    /// # Safety
    ///
    /// The caller holds the role, and `batch` is what it took from `dead`.
    unsafe fn unlink_all(&self, batch: *mut Link) {
        // Acquire: shows the links pushed since the last look, which we are
        // about to read; meets the Release in `push`.
        let newest = Head::from_ptr(self.head.load(Acquire, Site::ReapHead)).link();
        let mut first = newest;
        let mut at = batch;
        let mut filled = false;
        while let Some(link) = NonNull::new(at) {
            if at != first && !filled {
                // SAFETY: the rest of the batch is ours.
                unsafe { prefetch_neighbours(at) };
                // SAFETY: we hold the role, and saw this link by an Acquire.
                unsafe { fill_prev(first) };
                filled = true;
            }
            // SAFETY: a buried link is valid until it is disposed of (L6).
            let link = unsafe { link.as_ref() };
            if at == first {
                // Relaxed: by L1 only reapers write it, and we hold the role.
                first = link.next.load(Relaxed, Site::StepOver);
            } else {
                // SAFETY: we hold the role, the link is linked (L5), and not
                // the first, so its `prev` is known.
                unsafe { unlink(link) };
            }
            // SAFETY: ours since the link was buried.
            at = unsafe { link.reap_next.get() };
        }
        if first != newest {
            // SAFETY: we hold the role; what lies between is ours.
            unsafe { self.behead(newest, first) };
        }
    }

    /// Makes `first` follow whatever is in front of `newest`.
    ///
    /// # Safety
    ///
    /// The caller holds the role, `newest` was the head, and all from there up
    /// to `first` goes.
    unsafe fn behead(&self, newest: *mut Link, first: *mut Link) {
        loop {
            // Acquire: shows the links pushed since the last look, which we
            // are about to read; meets the Release in `push`.
            let head = Head::from_ptr(self.head.load(Acquire, Site::BeheadLoad));
            if head.link() != newest {
                // SAFETY: we hold the role, and saw this head by an Acquire.
                return unsafe { close_gap(head.link(), newest, first) };
            }
            let new = head.with_link(first);
            // Release: what those did who gave the links up, to whoever finds
            // the lane empty; meets the Acquire in `quieten` and in
            // `is_all_and_empty`. A walk that may not see the old head any more
            // is ordered after this by `walkers` (L6). On failure Relaxed: a
            // push or a bit came between, look again.
            let swapped = self.head.compare_exchange_weak(
                head.as_ptr(),
                new.as_ptr(),
                Release,
                Relaxed,
                Site::Behead,
            );
            if swapped.is_ok() {
                // SAFETY: `first` is linked, or null.
                return unsafe { set_prev(first, null_mut()) };
            }
        }
    }

    /// Frees what was unlinked, now or when nobody can be looking.
    ///
    /// # Safety
    ///
    /// The batch is unlinked and the caller's, and links `T`s.
    pub(super) unsafe fn dispose<T: Linked>(&self, batch: *mut Link, pin: &mut LazyPin) {
        if batch.is_null() {
            return;
        }
        // Again, after the unlinking: a walk that came before may still be at what
        // was unlinked (L6).
        if self.nobody_walks::<T>() || !recheck(Site::FreeDespiteWalk) {
            // SAFETY: L6, as no walk is in the lane.
            return unsafe { free_all::<T>(batch) };
        }
        let free = move || {
            // SAFETY: by then L6 holds.
            unsafe { free_all::<T>(batch) };
        };
        // SAFETY: the batch is unlinked and nobody else's; what is freed may be
        // freed by any thread.
        unsafe { pin.get().defer(free) };
    }
}

/// # Safety
///
/// The caller holds the role, and the batch is what is left of its own.
unsafe fn prefetch_neighbours(batch: *mut Link) {
    let mut at = batch;
    while let Some(link) = NonNull::new(at) {
        // SAFETY: a buried link is valid until it is disposed of (L6).
        let link = unsafe { link.as_ref() };
        // SAFETY: `prev` is ours, by the role (L1).
        prefetch(unsafe { link.prev.get() });
        prefetch(link.next());
        // SAFETY: `reap_next` is ours since the link was buried.
        at = unsafe { link.reap_next.get() };
    }
}

/// # Safety
///
/// The caller holds the role, and `link` is linked and has its `prev`.
unsafe fn unlink(link: &Link) {
    // Relaxed: by L1 only reapers write it, and we hold the role.
    let next = link.next.load(Relaxed, Site::UnlinkNext);
    // SAFETY: by the role (L1).
    let prev = unsafe { link.prev.get() };
    // SAFETY: by L2 it is the predecessor, linked and valid.
    let newer = unsafe { &*prev };
    // Relaxed: a walk that may not see the old `next` any more is ordered
    // after this by `walkers` (L6).
    newer.next.store(next, Relaxed, Site::UnlinkPrev);
    // SAFETY: `next` is linked, or null.
    unsafe { set_prev(next, prev) };
}

/// Finds the link pushed just after `newest`, and makes `first` follow it.
///
/// # Safety
///
/// The caller holds the role, and `head`, read by an Acquire, is newer than
/// `newest`, which was the head.
unsafe fn close_gap(head: *mut Link, newest: *mut Link, first: *mut Link) {
    let mut at = head;
    loop {
        // SAFETY: linked, so valid; `newest` comes before the end.
        let newer = unsafe { &*at };
        // Relaxed: a pusher's own write, which came with the head.
        let next = newer.next.load(Relaxed, Site::GapNext);
        if next == newest {
            // Relaxed: as in `unlink`.
            newer.next.store(first, Relaxed, Site::GapClose);
            // Not `at`: below a link whose `prev` is known all are (L2), and
            // what is below `first` may never have been filled.
            // SAFETY: `first` is linked, or null.
            return unsafe { set_prev(first, null_mut()) };
        }
        at = next;
    }
}

/// Writes `prev` of every link from `head` down to the first that has it.
///
/// # Safety
///
/// The caller holds the role, and `head` is the head, read by an Acquire.
unsafe fn fill_prev(head: *mut Link) {
    let mut at = head;
    while let Some(newer) = NonNull::new(at) {
        // SAFETY: linked, so valid.
        let newer = unsafe { newer.as_ref() };
        // Relaxed: as in `unlink`; a pusher's own write came with the head.
        let next = newer.next.load(Relaxed, Site::FillNext);
        let Some(older) = NonNull::new(next) else {
            return;
        };
        // SAFETY: linked, so valid.
        let older = unsafe { older.as_ref() };
        // SAFETY: by the role (L1).
        if !unsafe { older.prev.get() }.is_null() {
            return;
        }
        // SAFETY: by the role (L1).
        unsafe { older.prev.set(at) };
        at = next;
    }
}

/// # Safety
///
/// The caller holds the role, and `link` is linked or null.
unsafe fn set_prev(link: *mut Link, prev: *mut Link) {
    if let Some(link) = NonNull::new(link) {
        // SAFETY: linked, so valid.
        let link = unsafe { link.as_ref() };
        // SAFETY: by the role (L1).
        unsafe { link.prev.set(prev) };
    }
}

/// # Safety
///
/// Every link of the chain may be freed (L6), and they are `T`s.
unsafe fn free_all<T: Linked>(chain: *mut Link) {
    let mut at = chain;
    while let Some(link) = NonNull::new(at) {
        // SAFETY: not freed yet.
        let links = unsafe { link.as_ref() };
        // SAFETY: the chain is ours.
        at = unsafe { links.reap_next.get() };
        // SAFETY: by the caller.
        unsafe { T::free(link) };
    }
}
