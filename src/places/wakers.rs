//! What an operation leaves for last: the wakers of those who got a place, and
//! wakers to drop. All of it is the user's code.

use super::queued::{Granted, Queued};
use crate::payload::forget;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{NonNull, null_mut};
use std::task::Waker;

/// Wakers to wake and to drop. They are when this is dropped: all of them, and
/// then the first panic goes on.
#[must_use = "dropped where the user's code may run"]
pub(crate) struct Wakers {
    /// Those who got a place, in order.
    first: *mut Queued,
    last: *mut Queued,
    old: [Option<Waker>; 2],
}

// SAFETY: the waits on the chain are the chain's (P1), and may be let go on any
// thread.
unsafe impl Send for Wakers {}

impl Wakers {
    #[inline]
    pub(super) fn none() -> Self {
        Self::old([None, None])
    }

    /// Only to be dropped.
    #[inline]
    pub(super) fn old(old: [Option<Waker>; 2]) -> Self {
        Self {
            first: null_mut(),
            last: null_mut(),
            old,
        }
    }

    /// The same, with one more to be dropped.
    pub(super) fn with_old(mut self, waker: Waker) -> Self {
        debug_assert!(self.old[0].is_none(), "nothing else was replaced");
        self.old[0] = Some(waker);
        self
    }

    /// Hands a wait a place; false = its owner is gone.
    ///
    /// # Safety
    ///
    /// The caller has the role, and took it from the queue.
    pub(super) unsafe fn grant(&mut self, wait: NonNull<Queued>) -> bool {
        // SAFETY: by the caller.
        match unsafe { Queued::grant(wait) } {
            Granted::Off => return false,
            Granted::Seen => return true,
            Granted::Wake => {}
        }
        // SAFETY: it is not LEFT, so valid (P5).
        let next = unsafe { &wait.as_ref().next };
        // SAFETY: ours now (P1).
        unsafe { next.set(null_mut()) };
        match NonNull::new(self.last) {
            None => self.first = wait.as_ptr(),
            Some(last) => {
                // SAFETY: on the chain and not LEFT, so valid (P5).
                let next = unsafe { &last.as_ref().next };
                // SAFETY: the chain is ours (P1).
                unsafe { next.set(wait.as_ptr()) };
            }
        }
        self.last = wait.as_ptr();
        true
    }

    /// Wakes or drops one; false = there was none. A panic of the user's comes
    /// out of here, and the rest is still to be done.
    pub(crate) fn wake_next(&mut self) -> bool {
        let Some(wait) = NonNull::new(self.first) else {
            return self.old.iter_mut().any(|old| old.take().is_some());
        };
        // SAFETY: on the chain and not LEFT, so valid (P5).
        let next = unsafe { &wait.as_ref().next };
        // SAFETY: the chain is ours (P1).
        self.first = unsafe { next.get() };
        // SAFETY: it is off the chain.
        let (waker, wake) = unsafe { Queued::into_waker(wait) };
        if wake {
            waker.wake();
        }
        true
    }

    #[cold]
    fn wake_all(&mut self) {
        let mut first: Option<Box<dyn Any + Send>> = None;
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.wake_next())) {
                Ok(true) => {}
                Ok(false) => break,
                Err(panic) if first.is_none() => first = Some(panic),
                Err(panic) => forget(panic),
            }
        }
        match first {
            // The panic hook has reported it, and that is all.
            Some(panic) if std::thread::panicking() => forget(panic),
            Some(panic) => resume_unwind(panic),
            None => {}
        }
    }
}

impl Drop for Wakers {
    #[inline]
    fn drop(&mut self) {
        if !self.first.is_null() || self.old.iter().any(Option::is_some) {
            self.wake_all();
        }
    }
}
