//! One registered callback: a closure in a lane.
//!
//! The closure lies in the cell: one allocation for each registration. Unlike a
//! waiter it may lie in a node that nobody holds any more, so its owner, the
//! registration, has a hold of its own and goes to the node only while that is
//! known to be there (W5).
//!
//! | what | who | how |
//! |---|---|---|
//! | run | the holder of the chain it is claimed on | `FIRED` before `OFF` |
//! | dropped, prevented | the registration | `OFF` before `FIRED` and `UNRUN` |
//! | dropped, unrun | who ends the node, or registers on one that is never done | `UNRUN` before `OFF` |
//!
//! Whether a run is over is told by the word that the threads which wait for it
//! queue on (see `join`).

use super::join::{self, Joiners};
use super::{CLAIMED, FIRED, GONE, Kind, Listener, OFF, RELEASED, UNLINKED, UNRUN};
use crate::error::CancelError;
use crate::list;
use crate::sync::Ordering::{AcqRel, Relaxed};
use crate::sync::{Site, memory};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// One registered callback, whatever its closure.
#[repr(C)]
pub(crate) struct Callback {
    listener: Listener,
    /// Where it lies, if anywhere: for its owner to go to (W5).
    node: Option<NonNull<()>>,
    joiners: Joiners,
    does: &'static Does,
}

// SAFETY: the closure is `Send`, and all else is decided by `fate`.
unsafe impl Send for Callback {}
// SAFETY: the closure is touched only by whom W2 names.
unsafe impl Sync for Callback {}

/// What is done with a closure of one type.
struct Does {
    run: unsafe fn(NonNull<Callback>, CancelError),
    drop: unsafe fn(NonNull<Callback>),
    free: unsafe fn(NonNull<Callback>),
}

#[repr(C)]
struct Closed<F> {
    callback: Callback,
    closure: ManuallyDrop<F>,
}

impl<F: FnOnce(&CancelError) + Send + 'static> Closed<F> {
    const DOES: &'static Does = &Does {
        run: Self::run,
        drop: Self::drop,
        free: Self::free,
    };

    /// # Safety
    ///
    /// The closure is the caller's (W2), and is taken once.
    unsafe fn take(at: NonNull<Callback>) -> F {
        // SAFETY: `new` made it so.
        let closed = unsafe { at.cast::<Self>().as_ref() };
        let closure: *const ManuallyDrop<F> = &closed.closure;
        // SAFETY: by the caller.
        ManuallyDrop::into_inner(unsafe { closure.read() })
    }

    unsafe fn run(at: NonNull<Callback>, error: CancelError) {
        // SAFETY: by the caller.
        (unsafe { Self::take(at) })(&error);
    }

    unsafe fn drop(at: NonNull<Callback>) {
        // SAFETY: by the caller.
        drop(unsafe { Self::take(at) });
    }

    unsafe fn free(at: NonNull<Callback>) {
        // SAFETY: by the caller.
        unsafe { memory::free(at.cast::<Self>()) };
    }
}

/// What a stop found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stopped {
    /// It is off now, and the closure is the caller's to drop. If it is linked,
    /// it is the caller's to bury as well.
    Prevented {
        linked: bool,
    },
    /// It is off now, and was dropped before.
    Unrun,
    Running,
    Finished,
    Already,
}

impl Callback {
    /// A callback for the node at `node`, or one that can never run.
    pub(crate) fn new<F: FnOnce(&CancelError) + Send + 'static>(
        node: Option<NonNull<()>>,
        closure: F,
    ) -> NonNull<Callback> {
        let linked = if node.is_some() { 0 } else { UNLINKED };
        let closed = list::alloc(Closed {
            callback: Callback {
                listener: Listener::new(Kind::Callback, linked),
                node,
                joiners: Joiners::new(),
                does: Closed::<F>::DOES,
            },
            closure: ManuallyDrop::new(closure),
        });
        closed.cast()
    }

    pub(crate) fn node(&self) -> Option<NonNull<()>> {
        self.node
    }

    /// Turns it off, unless something else came first.
    ///
    /// The caller has a pin, if the callback is linked (W5).
    pub(crate) fn stop(&self) -> Stopped {
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut fate = self.listener.fate.load(Relaxed, Site::FateStopLoad);
        loop {
            if fate & OFF != 0 {
                return Stopped::Already;
            }
            if fate & FIRED != 0 {
                return if self.joiners.are_released() {
                    Stopped::Finished
                } else {
                    Stopped::Running
                };
            }
            // Relaxed: decides by its place in the order of `fate` (W2). On
            // failure Relaxed: looked at again.
            let swapped = self.listener.fate.compare_exchange_weak(
                fate,
                fate | OFF,
                Relaxed,
                Relaxed,
                Site::FateStop,
            );
            match swapped {
                Ok(_) if fate & UNRUN != 0 => return Stopped::Unrun,
                Ok(_) => {
                    let linked = fate & (CLAIMED | UNLINKED) == 0;
                    return Stopped::Prevented { linked };
                }
                Err(now) => fate = now,
            }
        }
    }

    /// Whether this thread is running it right now, or dropping it unrun.
    pub(crate) fn runs_here(at: NonNull<Callback>) -> bool {
        join::is_running_here(at.as_ptr().cast())
    }

    /// Blocks until the run, or the drop unrun, that is under way on another
    /// thread is over.
    pub(crate) fn join(&self) {
        self.joiners.wait();
    }

    /// Drops the closure. User's code.
    ///
    /// # Safety
    ///
    /// `stop` said `Prevented`, and this is called once, before `gone`.
    pub(crate) unsafe fn drop_closure(at: NonNull<Callback>) {
        // SAFETY: by the caller.
        let does = unsafe { at.as_ref() }.does;
        // SAFETY: ours (W2).
        unsafe { (does.drop)(at) };
    }

    /// Gives the registration's hold up.
    ///
    /// # Safety
    ///
    /// Called once, by the registration, which does not use it again.
    pub(crate) unsafe fn gone(at: NonNull<Callback>) {
        // SAFETY: by the caller.
        unsafe { Self::give_up(at, GONE) };
    }

    /// The lane lets it go.
    ///
    /// # Safety
    ///
    /// No walk can come to it (L6).
    pub(super) unsafe fn unlinked(at: NonNull<Callback>) {
        // SAFETY: by the caller.
        unsafe { Self::give_up(at, UNLINKED) };
    }

    /// Gives a hold up, and frees the cell if it was the last (W3).
    ///
    /// # Safety
    ///
    /// The hold is the caller's, who does not use the cell again.
    unsafe fn give_up(at: NonNull<Callback>, hold: u32) {
        // SAFETY: held by the caller.
        let callback = unsafe { at.as_ref() };
        let does = callback.does;
        // AcqRel: what we did with it comes before the free, and if that is
        // ours to do, after all the others did. They meet each other.
        let before = callback
            .listener
            .fate
            .fetch_add(hold, AcqRel, Site::FateHold);
        let fate = before | hold;
        let on_chain = fate & (CLAIMED | RELEASED) == CLAIMED;
        if fate & (GONE | UNLINKED) == GONE | UNLINKED && !on_chain {
            // SAFETY: the last hold (W3).
            unsafe { (does.free)(at) };
        }
    }

    /// Sets `how` unless the owner was faster. True: the closure is the
    /// caller's (W2).
    fn decide(&self, how: u32) -> bool {
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut fate = self.listener.fate.load(Relaxed, Site::FateRunLoad);
        while fate & OFF == 0 {
            // Relaxed: decides by its place in the order of `fate` (W2); the
            // closure came with the push. On failure Relaxed: looked at again.
            let swapped = self.listener.fate.compare_exchange_weak(
                fate,
                fate | how,
                Relaxed,
                Relaxed,
                Site::FateRun,
            );
            match swapped {
                Ok(_) => return true,
                Err(now) => fate = now,
            }
        }
        false
    }

    /// Runs it, unless it was stopped, and lets it go. User's code, whose panic
    /// comes out of here.
    ///
    /// # Safety
    ///
    /// The caller claimed it, and does not use it again.
    pub(super) unsafe fn run(at: NonNull<Callback>, error: impl FnOnce() -> CancelError) {
        // SAFETY: claimed and not released (W3).
        let callback = unsafe { at.as_ref() };
        let released = Release(at);
        if callback.decide(FIRED) {
            let error = error();
            join::run(at.as_ptr().cast(), &callback.joiners, || {
                // SAFETY: ours (W2).
                unsafe { (callback.does.run)(at, error) };
            });
        }
        drop(released);
    }

    /// Runs one that was linked nowhere after all, and frees it. User's code,
    /// whose panic comes out of here.
    ///
    /// # Safety
    ///
    /// It was never linked, is the caller's alone, and is not used again.
    pub(crate) unsafe fn run_unlinked(at: NonNull<Callback>, error: impl FnOnce() -> CancelError) {
        /// Frees it, also when the closure panics.
        struct Free(NonNull<Callback>);
        impl Drop for Free {
            fn drop(&mut self) {
                // SAFETY: nobody else knows of it.
                let does = unsafe { self.0.as_ref() }.does;
                // SAFETY: the same.
                unsafe { (does.free)(self.0) };
            }
        }
        // SAFETY: the caller's.
        let does = unsafe { at.as_ref() }.does;
        let _free = Free(at);
        // SAFETY: the closure is still there, and nobody else knows of it.
        unsafe { (does.run)(at, error()) };
    }

    /// Drops the closure unrun, unless it was stopped, and lets it go. User's
    /// code, whose panic comes out of here.
    ///
    /// # Safety
    ///
    /// The caller claimed it, and does not use it again.
    pub(super) unsafe fn drop_unrun(at: NonNull<Callback>) {
        // SAFETY: claimed and not released (W3).
        let callback = unsafe { at.as_ref() };
        let released = Release(at);
        if callback.decide(UNRUN) {
            // As a run, for who waits until the closure uses nothing any more.
            join::run(at.as_ptr().cast(), &callback.joiners, || {
                // SAFETY: ours (W2).
                unsafe { (callback.does.drop)(at) };
            });
        }
        drop(released);
    }
}

/// A callback that its registration has stopped, with the hold of that. Drops
/// the closure, then gives the hold up.
pub(crate) struct Prevented(NonNull<Callback>);

impl Prevented {
    /// # Safety
    ///
    /// `stop` said `Prevented`, and the registration does not use it again.
    pub(crate) unsafe fn new(at: NonNull<Callback>) -> Self {
        Self(at)
    }
}

impl Drop for Prevented {
    fn drop(&mut self) {
        /// Gives the hold up, also when the closure's drop panics.
        struct Gone(NonNull<Callback>);
        impl Drop for Gone {
            fn drop(&mut self) {
                // SAFETY: the registration's hold, by `Prevented::new`.
                unsafe { Callback::gone(self.0) };
            }
        }
        let _gone = Gone(self.0);
        // SAFETY: by `Prevented::new`.
        unsafe { Callback::drop_closure(self.0) };
    }
}

/// Gives a chain's hold up, also when the closure panics.
struct Release(NonNull<Callback>);

impl Drop for Release {
    fn drop(&mut self) {
        // SAFETY: the chain's hold, given up once.
        unsafe { Callback::give_up(self.0, RELEASED) };
    }
}
