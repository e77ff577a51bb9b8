//! Those who wait until nothing lives below a node, and the role of who looks.
//!
//! | `role` | meaning |
//! |---|---|
//! | 0 | nobody looks |
//! | `LOOKING` | one thread looks whether all lanes are empty |
//! | `LOOKING`, `AGAIN` | something has changed since: it looks again |
//!
//! Whoever empties a lane and whoever starts to wait ask for a look, by a
//! read-modify-write of this one word. So of two of them the later sees what the
//! earlier did, or the one who looks for both does.

use super::Node;
use crate::list::Lane;
use crate::sync::Ordering::{Acquire, Relaxed, Release};
use crate::sync::{AtomicPtr, AtomicU32, Site, memory, recheck};
use crate::wait_cell::Listener;
use std::ptr::{NonNull, null_mut};

const LOOKING: u32 = 1;
const AGAIN: u32 = 2;

/// Those who wait until nothing lives below a node.
pub(crate) struct Idlers {
    /// Waiters only; it is never closed, and walked by who has the role.
    pub(crate) lane: Lane,
    role: AtomicU32,
}

impl Idlers {
    fn new() -> Idlers {
        Idlers {
            lane: Lane::new(),
            role: AtomicU32::new(0),
        }
    }

    /// Asks for a look. True if it is the caller's to do.
    pub(crate) fn ask(&self) -> bool {
        // Release: what the caller did comes before the look; meets the Acquire
        // in `begin`.
        let before = self.role.fetch_or(LOOKING | AGAIN, Release, Site::IdleAsk);
        before & LOOKING == 0
    }

    /// Begins a look, for all who asked so far.
    pub(crate) fn begin(&self) {
        // Acquire: what they did; meets the Release in `ask`.
        let before = self.role.fetch_sub(AGAIN, Acquire, Site::IdleBegin);
        debug_assert_eq!(before, LOOKING | AGAIN, "somebody asked");
    }

    /// Ends a look. False if somebody asked since: then another one begins.
    pub(crate) fn end(&self) -> bool {
        // Relaxed, both: who looks next goes by what those who ask release.
        let ended = self
            .role
            .compare_exchange(LOOKING, 0, Relaxed, Relaxed, Site::IdleEnd);
        // Again: who asked during the look left it to us, and may have done so
        // after the look had passed what has changed.
        ended.is_ok() || !recheck(Site::IdleAgain)
    }

    /// # Safety
    ///
    /// From `Node::make_idlers`, and nobody uses it any more.
    pub(super) unsafe fn free(at: NonNull<Idlers>) {
        // SAFETY: still valid here.
        let idlers = unsafe { at.as_ref() };
        // SAFETY: by the caller; it links waiters only.
        unsafe { idlers.lane.sweep::<Listener>() };
        // SAFETY: by the caller.
        unsafe { memory::free(at) };
    }
}

impl Node {
    /// Those who wait until nothing lives below, if anybody ever did.
    pub(crate) fn idlers(&self) -> Option<&Idlers> {
        // Acquire: shows them; meets the Release in `make_idlers`.
        let at = self.extension()?.idlers.load(Acquire, Site::IdlersLoad);
        // SAFETY: valid as long as the node (N5).
        unsafe { at.as_ref() }
    }

    /// The same, made if there are none.
    pub(crate) fn make_idlers(&self) -> &Idlers {
        if let Some(idlers) = self.idlers() {
            return idlers;
        }
        let new = memory::alloc(Idlers::new());
        let place: &AtomicPtr<Idlers> = &self.make_extension().idlers;
        // Release: publishes them; meets the Acquire in `idlers`. On failure
        // Acquire: we use the other's.
        match place.compare_exchange(
            null_mut(),
            new.as_ptr(),
            Release,
            Acquire,
            Site::IdlersInstall,
        ) {
            // SAFETY: valid as long as the node (N5).
            Ok(_) => unsafe { new.as_ref() },
            Err(other) => {
                // SAFETY: never published.
                unsafe { memory::free(new) };
                // SAFETY: valid as long as the node (N5).
                unsafe { &*other }
            }
        }
    }
}
