//! Giving links up: one at a time, all of a lane at once, and the lane itself.
//!
//! A burial pushes the link on the dead stack and leaves the rest to a reaper.
//! How many are buried, whether the lane is orphaned and whether somebody reaps
//! are in that same word, so the push itself decides who has to: whoever makes
//! the stack long enough while nobody reaps takes the role and the whole stack
//! with the same compare-and-swap.

use super::word::{Dead, Head};
use super::{Lane, LazyPin, Link, Linked, Reaped};
use crate::sync::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::sync::Site;
use std::ptr::NonNull;

impl Lane {
    /// Gives `link` up, to be unlinked and freed in time. False, and nothing
    /// has changed, if the caller would then have to reap.
    ///
    /// On success neither the link nor the lane is touched again.
    ///
    /// # Safety
    ///
    /// `link` is linked in this lane and the caller's to give up (L5).
    #[inline(always)]
    pub(crate) unsafe fn bury_quietly(&self, link: NonNull<Link>, batch: usize) -> bool {
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut dead = Dead::from_ptr(self.dead.load(Relaxed, Site::BuryLoad));
        loop {
            let new = dead.pushed(link.as_ptr());
            if new.wants_reaper(batch) {
                return false;
            }
            // SAFETY: the link is ours until the compare-and-swap below.
            let buried = unsafe { link.as_ref() };
            // SAFETY: nobody else uses `reap_next` of a link that is not
            // buried.
            unsafe { buried.reap_next.set(dead.link()) };
            // Release: publishes `reap_next`, and that we are done with the
            // link; meets the Acquire of whoever takes the stack. On failure
            // Relaxed.
            let swapped = self.dead.compare_exchange_weak(
                dead.as_ptr(),
                new.as_ptr(),
                Release,
                Relaxed,
                Site::Bury,
            );
            match swapped {
                Ok(_) => return true,
                Err(now) => dead = Dead::from_ptr(now),
            }
        }
    }

    /// Gives `link` up, and reaps if that is then the caller's to do. In the
    /// role it calls `emptied` if it leaves nothing in an eager lane.
    ///
    /// # Safety
    ///
    /// As [`bury_quietly`](Self::bury_quietly), and the lane links `T`s only.
    #[cold]
    pub(crate) unsafe fn bury<T: Linked>(
        &self,
        link: NonNull<Link>,
        batch: usize,
        pin: &mut LazyPin,
        emptied: &mut dyn FnMut(),
    ) -> Reaped {
        // SAFETY: by the caller.
        while !unsafe { self.bury_quietly(link, batch) } {
            // Relaxed: a guess, which the compare-and-swap checks.
            let dead = Dead::from_ptr(self.dead.load(Relaxed, Site::BuryReapLoad));
            if !dead.pushed(link.as_ptr()).wants_reaper(batch) {
                continue;
            }
            // SAFETY: the link is ours; nobody else uses its `reap_next`.
            let buried = unsafe { link.as_ref() };
            // SAFETY: the same.
            unsafe { buried.reap_next.set(dead.link()) };
            // Acquire: shows what is buried, what the last reaper did, and
            // with ORPHAN all that was ever pushed; meets the Release of the
            // burials, of `leave_role` and of `orphan`. Our own link goes
            // straight into the batch. On failure Relaxed.
            let taken = dead.taken();
            let swapped = self.dead.compare_exchange_weak(
                dead.as_ptr(),
                taken.as_ptr(),
                Acquire,
                Relaxed,
                Site::BuryReap,
            );
            if swapped.is_ok() {
                // SAFETY: we have the role, and the batch is ours.
                return unsafe { self.reap::<T>(link.as_ptr(), dead, batch, pin, emptied) };
            }
        }
        Reaped::Open
    }

    /// Says that the owner has no handle left: nothing is pushed any more, and
    /// the reaper that finds the lane empty gives it up. Reaps, unless somebody
    /// is at it, who then sees to that.
    ///
    /// # Safety
    ///
    /// The lane links `T`s only. The caller keeps the owner.
    pub(crate) unsafe fn orphan<T: Linked>(&self, batch: usize, pin: &mut LazyPin) -> Reaped {
        self.orphaned.set();
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut dead = Dead::from_ptr(self.dead.load(Relaxed, Site::OrphanLoad));
        loop {
            let busy = dead.is_busy();
            let new = if busy {
                dead.orphaned()
            } else {
                dead.taken().orphaned()
            };
            // Release: publishes every push, and the owner's count of lanes,
            // to the reaper that acts on ORPHAN; meets the Acquire of whoever
            // takes the stack. Acquire: as in `bury`, should that be us. On
            // failure Relaxed.
            let swapped = self.dead.compare_exchange_weak(
                dead.as_ptr(),
                new.as_ptr(),
                AcqRel,
                Relaxed,
                Site::Orphan,
            );
            match swapped {
                Ok(_) if busy => return Reaped::Open,
                Ok(_) => {
                    // SAFETY: we have the role, and the batch is ours.
                    return unsafe { self.reap::<T>(dead.link(), new, batch, pin, &mut || ()) };
                }
                Err(now) => dead = Dead::from_ptr(now),
            }
        }
    }

    /// Says that somebody waits for the lane to be empty: from now on every
    /// burial reaps at once. Reaps, unless somebody is at it, who then sees to
    /// that; as in [`bury`](Self::bury) with `emptied`.
    ///
    /// # Safety
    ///
    /// The lane links `T`s only. The caller has a handle to the owner.
    pub(crate) unsafe fn make_eager<T: Linked>(
        &self,
        batch: usize,
        pin: &mut LazyPin,
        emptied: &mut dyn FnMut(),
    ) {
        // Relaxed: a guess, which the compare-and-swap checks; and EAGER is
        // never taken back.
        let mut dead = Dead::from_ptr(self.dead.load(Relaxed, Site::EagerLoad));
        while !dead.is_eager() {
            let busy = dead.is_busy();
            let new = if busy {
                dead.eager()
            } else {
                dead.taken().eager()
            };
            // Release: publishes what the owner keeps for those who wait, to
            // the reaper that acts on EAGER; meets the Acquire of whoever takes
            // the stack. Acquire: as in `bury`, should that be us. On failure
            // Relaxed.
            let swapped = self.dead.compare_exchange_weak(
                dead.as_ptr(),
                new.as_ptr(),
                AcqRel,
                Relaxed,
                Site::Eager,
            );
            match swapped {
                Ok(_) if busy => return,
                Ok(_) => {
                    // SAFETY: we have the role, and the batch is ours.
                    let reaped = unsafe { self.reap::<T>(dead.link(), new, batch, pin, emptied) };
                    debug_assert_eq!(reaped, Reaped::Open, "the owner has a handle");
                    return;
                }
                Err(now) => dead = Dead::from_ptr(now),
            }
        }
    }

    /// Lets all that is still linked go, buried or not.
    ///
    /// # Safety
    ///
    /// Nobody pushes, buries, reaps or walks here any more, all of that comes
    /// before this call, and the lane links `T`s only.
    pub(crate) unsafe fn sweep<T: Linked>(&self) {
        // Relaxed: all that ever came here is seen, by the caller.
        let mut at = Head::from_ptr(self.head.load(Relaxed, Site::SweepHead)).link();
        while let Some(link) = NonNull::new(at) {
            // SAFETY: linked, so not freed yet.
            at = unsafe { link.as_ref() }.next();
            // SAFETY: by the caller.
            unsafe { T::free(link) };
        }
    }
}
