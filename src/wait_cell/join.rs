//! Waiting for the end of a callback's run, or of its drop unrun, which counts
//! as one here.
//!
//! Who waits queues a [`Joiner`], which lies in its own frame, and parks. Who
//! runs the callback closes the queue at the end, by one swap, and lets all in
//! it go. A thread that waits for what it runs itself would wait for ever, so
//! each thread knows what it is running: a chain of frames, one for each run
//! within a run.
//!
//! | `queue` | meaning |
//! |---|---|
//! | null | nobody waits, no run is over |
//! | pointer | the newest who waits |
//! | `RELEASED` | the run is over |
//!
//! # Orderings
//!
//! The swap releases what the run did to everybody who then sees it over, and
//! acquires the joiners. Progress: a push is lock-free; who waits blocks, as it
//! asked to.
//!
//! Models: `stop_and_join_vs_cancel`, `stop_and_join_vs_last_handle`.

use crate::sync::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::sync::{AtomicPtr, AtomicU32, Site, local_flag, park};
use std::cell::Cell;
use std::ptr::{null, null_mut, without_provenance_mut};
use std::task::Waker;

/// Those who wait for the end of one run.
pub(super) struct Joiners {
    queue: AtomicPtr<Joiner>,
}

struct Joiner {
    next: *mut Joiner,
    waker: Waker,
    released: AtomicU32,
}

/// The queue when the run is over. No joiner lies at an odd address.
const RELEASED: *mut Joiner = without_provenance_mut(1);

impl Joiners {
    pub(super) fn new() -> Self {
        Self {
            queue: AtomicPtr::new(null_mut()),
        }
    }

    /// Whether the run is over; what it did is then visible.
    pub(super) fn are_released(&self) -> bool {
        // Acquire: what the run did; meets the Release in `release`.
        self.queue.load(Acquire, Site::JoinSeen) == RELEASED
    }

    /// Blocks until the run is over.
    pub(super) fn wait(&self) {
        let mut joiner = None;
        park::block_on(|waker| {
            let joiner = match &joiner {
                Some(joiner) => joiner,
                None => {
                    let new = joiner.insert(Joiner {
                        next: null_mut(),
                        waker: waker.clone(),
                        released: AtomicU32::new(0),
                    });
                    // SAFETY: it stays where it is until it is released: no
                    // panic comes between, and `wait` returns only then.
                    if !unsafe { self.push(new) } {
                        return Some(());
                    }
                    new
                }
            };
            // Acquire: what the run did, and the last use of the joiner; meets
            // the Release in `release`.
            (joiner.released.load(Acquire, Site::JoinReleased) != 0).then_some(())
        });
    }

    /// False if the run is over.
    ///
    /// # Safety
    ///
    /// `joiner` is valid until it is released.
    unsafe fn push(&self, joiner: &mut Joiner) -> bool {
        let at: *mut Joiner = joiner;
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut queue = self.queue.load(Relaxed, Site::JoinLoad);
        loop {
            if queue == RELEASED {
                // What the run did is seen by this.
                return !self.are_released();
            }
            // SAFETY: ours until it is pushed.
            unsafe { (*at).next = queue };
            // Release: publishes the joiner; meets the Acquire in `release`.
            // On failure Relaxed: looked at again.
            match self
                .queue
                .compare_exchange_weak(queue, at, Release, Relaxed, Site::JoinPush)
            {
                Ok(_) => return true,
                Err(now) => queue = now,
            }
        }
    }

    /// The run is over: lets all go who wait.
    fn release(&self) {
        // Release: what the run did; meets the Acquire in `are_released`.
        // Acquire: the joiners; meets the Release in `push`.
        let mut at = self.queue.swap(RELEASED, AcqRel, Site::JoinRelease);
        while !at.is_null() {
            // SAFETY: it is valid until it is released, below.
            let joiner = unsafe { &*at };
            let (next, waker) = (joiner.next, joiner.waker.clone());
            // Release: what the run did, and our last use of the joiner; meets
            // the Acquire in `wait`.
            joiner.released.store(1, Release, Site::JoinLetGo);
            waker.wake();
            at = next;
        }
    }
}

local_flag! {
    /// The innermost run on this thread, in the frame that runs it.
    static INNERMOST: Cell<*const Run> = Cell::new(null());
}

/// A run on this thread, and the one around it.
struct Run {
    what: *const (),
    around: *const Run,
}

/// Runs `f` as the run of `what`, for which `joiners` wait.
pub(super) fn run(what: *const (), joiners: &Joiners, f: impl FnOnce()) {
    let run = Run {
        what,
        around: INNERMOST.with(Cell::get),
    };
    INNERMOST.with(|innermost| innermost.set(&raw const run));
    let _over = Over { run: &run, joiners };
    f();
}

/// The end of a run, also by a panic.
struct Over<'r> {
    run: &'r Run,
    joiners: &'r Joiners,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        INNERMOST.with(|innermost| innermost.set(self.run.around));
        self.joiners.release();
    }
}

/// Whether this thread is in a run of `what`.
pub(super) fn is_running_here(what: *const ()) -> bool {
    let mut at = INNERMOST.with(Cell::get);
    // SAFETY: the frames of runs below us on this thread's stack.
    while let Some(run) = unsafe { at.as_ref() } {
        if run.what == what {
            return true;
        }
        at = run.around;
    }
    false
}
