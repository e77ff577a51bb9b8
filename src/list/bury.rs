//! Giving links up: one at a time, all of a lane at once, and the lane itself.
//!
//! A burial pushes the link on the dead stack and leaves the rest to a reaper.
//! What makes the burier call one, the length of the stack and ORPHAN, is in the
//! same word, so that it is decided by the push itself.

use super::word::{Dead, Head};
use super::{Lane, LazyPin, Link, Linked, Reaped};
use crate::sync::Ordering::{Relaxed, Release};
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
            if new.is_orphan() || new.len() >= batch {
                return false;
            }
            // SAFETY: the link is ours until the compare-and-swap below.
            let buried = unsafe { link.as_ref() };
            // SAFETY: nobody else uses `reap_next` of a link that is not
            // buried.
            unsafe { buried.reap_next.set(dead.link()) };
            // Release: publishes `reap_next`, and that we are done with the
            // link; meets the Acquire in `take_dead` and `clear_if_quiet`. On
            // failure Relaxed.
            let swapped = self.dead.compare_exchange(
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

    /// Gives `link` up, and reaps.
    ///
    /// # Safety
    ///
    /// As [`bury_quietly`](Self::bury_quietly) and [`reap`](Self::reap). The
    /// owner may go away as soon as the link is buried, unless something else
    /// keeps it: then `pin` must have been made.
    #[cold]
    pub(crate) unsafe fn bury_and_reap<T: Linked>(
        &self,
        link: NonNull<Link>,
        pin: &mut LazyPin,
    ) -> Reaped {
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut dead = Dead::from_ptr(self.dead.load(Relaxed, Site::BuryLoad));
        loop {
            let new = dead.pushed(link.as_ptr());
            // SAFETY: the link is ours until the compare-and-swap below.
            let buried = unsafe { link.as_ref() };
            // SAFETY: nobody else uses `reap_next` of a link that is not
            // buried.
            unsafe { buried.reap_next.set(dead.link()) };
            // Release: as in `bury_quietly`. On failure Relaxed.
            let swapped = self.dead.compare_exchange(
                dead.as_ptr(),
                new.as_ptr(),
                Release,
                Relaxed,
                Site::BuryReap,
            );
            match swapped {
                Ok(_) => break,
                Err(now) => dead = Dead::from_ptr(now),
            }
        }
        // SAFETY: by the caller.
        unsafe { self.reap::<T>(pin) }
    }

    /// Empties the lane for good, and frees what was buried.
    ///
    /// # Safety
    ///
    /// Nobody pushes, buries or reaps here any more, all of that comes before
    /// this call, and all that is linked is buried.
    pub(crate) unsafe fn clear<T: Linked>(&self, pin: &mut LazyPin) {
        // Relaxed: nobody adds to it any more.
        let chain = Dead::from_ptr(self.dead.load(Relaxed, Site::ClearDead)).link();
        // Relaxed: a walk that counts itself in from now on sees this; meets
        // the Acquire in `enter`, by way of `nobody_walks`. A swap, as every
        // change of this word is a read-modify-write.
        self.head
            .swap(Head::EMPTY.as_ptr(), Relaxed, Site::ClearHead);
        // SAFETY: out of the lane, and nobody else's.
        unsafe { self.dispose::<T>(chain, pin) };
    }

    /// Says that the owner has no handle left: nothing is pushed any more, and
    /// the reaper that finds the lane empty gives it up.
    pub(crate) fn orphan(&self) {
        self.orphaned.set();
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut dead = Dead::from_ptr(self.dead.load(Relaxed, Site::OrphanLoad));
        loop {
            let new = dead.orphaned();
            // Release: publishes every push, and the owner's count of lanes,
            // to the reaper that acts on ORPHAN; meets the Acquire in
            // `take_dead`. On failure Relaxed.
            let swapped = self.dead.compare_exchange(
                dead.as_ptr(),
                new.as_ptr(),
                Release,
                Relaxed,
                Site::Orphan,
            );
            match swapped {
                Ok(_) => return,
                Err(now) => dead = Dead::from_ptr(now),
            }
        }
    }
}
