//! The elected reaper: unlinks and frees what was buried.
//!
//! | `reaper` | meaning |
//! |---|---|
//! | `IDLE` | nobody reaps |
//! | `BUSY` | somebody does |
//! | `AGAIN` | somebody does, and must look once more before leaving |

use super::{Dead, Head, Lane, LazyPin, Link, Linked};
use crate::sync::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::sync::{Site, prefetch, recheck};
use std::ptr::{NonNull, null_mut};

pub(super) const IDLE: u32 = 0;
const BUSY: u32 = 1;
const AGAIN: u32 = 2;

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
    /// Unlinks what is buried, unless somebody is at it, who then looks again.
    ///
    /// # Safety
    ///
    /// The lane links `T`s only. If its owner may go away meanwhile, `pin` is
    /// made.
    pub(crate) unsafe fn reap<T: Linked>(&self, pin: &mut LazyPin) -> Reaped {
        if !self.take_role() {
            return Reaped::Open;
        }
        // SAFETY: by the caller.
        unsafe { self.reap_in_role::<T>(pin) }
    }

    /// # Safety
    ///
    /// As `reap`, and the caller has just got the role.
    unsafe fn reap_in_role<T: Linked>(&self, pin: &mut LazyPin) -> Reaped {
        loop {
            let dead = self.take_dead();
            if !dead.link().is_null() {
                // SAFETY: we hold the role, and the batch is ours.
                unsafe { self.unlink_all(dead.link()) };
                // SAFETY: it is unlinked; the links are `T`s.
                unsafe { self.dispose::<T>(dead.link(), pin) };
            }
            if dead.is_orphan() {
                self.orphaned.check();
            }
            if dead.is_orphan() && self.is_empty() {
                // The role is kept for ever (L8): whoever still comes for it
                // leaves again.
                return Reaped::Emptied;
            }
            if self.leave_role() {
                return Reaped::Open;
            }
        }
    }

    /// Empties the lane of an owner without handles, if all that was ever
    /// linked here is buried, and nobody reaps or is about to. False if not so.
    ///
    /// A burial that reaps leaves the dead stack at `batch` or longer until a
    /// reaper takes it, and sets TAKEN for ever. In the role nobody else takes.
    /// So if there are as many links as there were burials when we looked, and
    /// these were fewer than a batch, then every burial is over, and none of
    /// those who made them comes back: only walks still touch this lane.
    ///
    /// # Safety
    ///
    /// The owner has no handle left, all that was done through them comes
    /// before this call, and the caller keeps the owner.
    pub(crate) unsafe fn clear_if_quiet<T: Linked>(&self, batch: usize, pin: &mut LazyPin) -> bool {
        // Relaxed: spares most of those who cannot succeed the rest.
        let dead = Dead::from_ptr(self.dead.load(Relaxed, Site::QuietPeek));
        if dead.was_taken() || dead.len() >= batch || !self.take_free_role(Site::QuietRole) {
            return false;
        }
        if self.all_is_buried(batch) {
            // The role is kept for ever (L8).
            // SAFETY: all that is linked is buried, and no reaper comes.
            unsafe { self.clear::<T>(pin) };
            return true;
        }
        if !self.leave_role() {
            // SAFETY: the caller keeps the owner, which is not orphaned yet.
            let reaped = unsafe { self.reap_in_role::<T>(pin) };
            debug_assert_eq!(reaped, Reaped::Open);
        }
        false
    }

    /// Whether as many are buried as are linked. The caller holds the role.
    fn all_is_buried(&self, batch: usize) -> bool {
        // Acquire: what the buriers did comes before the free; meets the
        // Release in `bury_quietly`. An old value shows fewer burials, never
        // too many; TAKEN it shows, as the role's last holder set it.
        let dead = Dead::from_ptr(self.dead.load(Acquire, Site::QuietDead));
        if dead.was_taken() || dead.len() >= batch {
            return false;
        }
        let mut linked = 0;
        // Its Relaxed will do: nobody pushes any more, and nobody unlinks.
        let mut at = self.peek().link();
        while let Some(link) = NonNull::new(at) {
            linked += 1;
            if linked > dead.len() && recheck(Site::QuietCount) {
                return false;
            }
            // SAFETY: nobody unlinks while we hold the role.
            at = unsafe { link.as_ref() }.next();
        }
        true
    }

    /// Takes the role if nobody has it.
    fn take_free_role(&self, site: Site) -> bool {
        // Acquire: shows what the last reaper did to the links; meets the
        // Release in `leave_role`. On failure Relaxed: the caller goes away, or
        // a swap decides.
        self.reaper
            .compare_exchange(IDLE, BUSY, Acquire, Relaxed, site)
            .is_ok()
    }

    fn take_role(&self) -> bool {
        if self.take_free_role(Site::RoleTake) {
            return true;
        }
        // Release: what we buried is seen by who looks again because of us;
        // meets the Acquire in `leave_role`. Acquire: as above, should the
        // role have come free meanwhile.
        self.reaper.swap(AGAIN, AcqRel, Site::RoleAgain) == IDLE
    }

    /// Gives the role back; false if somebody came for it meanwhile.
    fn leave_role(&self) -> bool {
        // Release: the next reaper sees what we did; meets the Acquire in
        // `take_role`. On failure Relaxed: the swap below acquires.
        match self
            .reaper
            .compare_exchange(BUSY, IDLE, Release, Relaxed, Site::RoleLeave)
        {
            Ok(_) => true,
            Err(_) if !recheck(Site::RoleLookAgain) => {
                self.reaper.swap(IDLE, Release, Site::RoleLeave);
                true
            }
            Err(_) => {
                // Acquire: what the one who left AGAIN buried comes before our
                // next look; meets the Release in `take_role`. A swap: a note
                // left after it must not be overwritten unread.
                self.reaper.swap(BUSY, Acquire, Site::RoleStay);
                false
            }
        }
    }

    fn take_dead(&self) -> Dead {
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut dead = Dead::from_ptr(self.dead.load(Relaxed, Site::TakeLoad));
        loop {
            // Acquire: shows the links, and with ORPHAN all that was ever
            // pushed; meets the Release in `bury` and `orphan`. Also where
            // nothing changes: that ORPHAN is not set yet must be decided in
            // the order of this word. On failure Relaxed.
            let taken = dead.taken();
            let swapped = self.dead.compare_exchange(
                dead.as_ptr(),
                taken.as_ptr(),
                Acquire,
                Relaxed,
                Site::TakeDead,
            );
            match swapped {
                Ok(_) => return dead,
                Err(now) => dead = Dead::from_ptr(now),
            }
        }
    }

    fn is_empty(&self) -> bool {
        // Relaxed: asked only after ORPHAN, whose Acquire showed every push.
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
            // Relaxed: as a read-modify-write it passes on what the pushers
            // released; a walk that may not see the old head any more is
            // ordered after this by `walkers` (L6). On failure Relaxed: a push
            // or a bit came between, look again.
            let swapped = self.head.compare_exchange(
                head.as_ptr(),
                new.as_ptr(),
                Relaxed,
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
        let mut later = batch;
        if self.nobody_walks() {
            later = null_mut();
            let mut at = batch;
            while let Some(link) = NonNull::new(at) {
                // SAFETY: not freed yet.
                let links = unsafe { link.as_ref() };
                // SAFETY: ours since it was buried.
                at = unsafe { links.reap_next.get() };
                // SAFETY: unlinked, and ours.
                if unsafe { T::only_its_lane_points_here(link) } || !recheck(Site::FreeAfterEpoch) {
                    // SAFETY: L6, as no walk is in the lane.
                    unsafe { T::free(link) };
                } else {
                    // SAFETY: ours since it was buried.
                    unsafe { links.reap_next.set(later) };
                    later = link.as_ptr();
                }
            }
        } else if !recheck(Site::FreeDespiteWalk) {
            // SAFETY: none; this is a seeded bug, which only a model can plant.
            return unsafe { free_all::<T>(batch) };
        }
        if !later.is_null() {
            let free = move || {
                // SAFETY: by then L6 holds.
                unsafe { free_all::<T>(later) };
            };
            // SAFETY: the batch is unlinked and nobody else's; what is freed
            // may be freed by any thread.
            unsafe { pin.get().defer(free) };
        }
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
            // SAFETY: `first` is linked, or null.
            return unsafe { set_prev(first, at) };
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
