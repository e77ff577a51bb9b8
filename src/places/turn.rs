//! One wait for a place, from the side of its owner.

use super::queued::{GivenUp, Queued};
use super::{Places, Wakers};
use std::fmt;
use std::ptr::NonNull;
use std::task::Waker;

/// A wait for a place: none before the first poll, and none after one that said
/// true. Whoever owns it gives up before it drops it.
pub(crate) struct Turn(Option<Wait>);

struct Wait {
    at: NonNull<Queued>,
    /// What it is in the queue of; only compared.
    places: *const Places,
}

// SAFETY: a wait is used by its owner and by the holder of the role, on whatever
// threads these are (P1, P6).
unsafe impl Send for Turn {}
// SAFETY: nothing can be done with a shared one.
unsafe impl Sync for Turn {}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn")
            .field("waits", &self.0.is_some())
            .finish_non_exhaustive()
    }
}

impl Turn {
    pub(crate) fn new() -> Self {
        Self(None)
    }

    /// True = it has a place now, which is the caller's to give back; `waker` is
    /// woken otherwise when it may have one. To be called with the same places
    /// until then. The clone of `waker` may panic: then all is as before.
    pub(crate) fn poll(&mut self, places: &Places, waker: &Waker) -> (bool, Wakers) {
        let Some(wait) = &self.0 else {
            return self.start(places, waker);
        };
        wait.check(places);
        // SAFETY: ours until `finish` or `give_up` (P5).
        let queued = unsafe { wait.at.as_ref() };
        if queued.has_place() {
            self.finish();
            return (true, Wakers::none());
        }
        // SAFETY: we are the owner.
        if unsafe { queued.would_wake(waker) } {
            return (false, Wakers::none());
        }
        let waker = waker.clone();
        // SAFETY: we are the owner.
        let replaced = unsafe { queued.replace(waker) };
        if replaced.granted {
            self.finish();
        }
        (replaced.granted, Wakers::old(replaced.wakers))
    }

    fn start(&mut self, places: &Places, waker: &Waker) -> (bool, Wakers) {
        if places.try_take() {
            return (true, Wakers::none());
        }
        let at = Queued::new(waker.clone());
        self.0 = Some(Wait { at, places });
        // SAFETY: just made, so STACKED and ours to push.
        let wakers = unsafe { places.enter(at) };
        // SAFETY: ours until `finish` or `give_up` (P5).
        let has_place = unsafe { at.as_ref() }.has_place();
        if has_place {
            self.finish();
        }
        (has_place, wakers)
    }

    /// It has a place.
    fn finish(&mut self) {
        if let Some(wait) = self.0.take() {
            // SAFETY: as it has a place; it is forgotten here.
            unsafe { Queued::finish(wait.at) };
        }
    }

    /// Leaves the queue, if it is in one. A place that it was handed and has not
    /// seen is passed on.
    pub(crate) fn give_up(&mut self, places: &Places) -> Wakers {
        let Some(wait) = self.0.take() else {
            return Wakers::none();
        };
        wait.check(places);
        // SAFETY: forgotten here, but for the push below.
        match unsafe { Queued::give_up(wait.at) } {
            GivenUp::Granted => places.give_back(),
            GivenUp::Off { waker, push } => {
                places.uncount();
                let wakers = if push {
                    // SAFETY: STACKED, and ours to push, as it says.
                    unsafe { places.ask_out(wait.at) }
                } else {
                    Wakers::none()
                };
                wakers.with_old(waker)
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let ended = self.0.is_none() || std::thread::panicking();
        debug_assert!(ended, "a turn was dropped that waits: its place is lost");
    }
}

impl Wait {
    fn check(&self, places: &Places) {
        assert!(
            std::ptr::eq(self.places, places),
            "a turn is for one semaphore, which does not move"
        );
    }
}
