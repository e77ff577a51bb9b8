//! Places: so many may go on at once, and the others wait in a row.
//!
//! # What it is
//!
//! A semaphore for futures. It counts places; whoever finds none waits with a
//! waker, and is handed one in turn. Nobody overtakes: while somebody waits, a
//! place is taken by being handed one only.
//!
//! # How it works
//!
//! One word, `state`, has the places that are free, the number of those who
//! wait, and a role. Those who wait lie in a queue that belongs to the holder of
//! the role; in front of it is a stack, so that who comes or goes needs one
//! compare-and-swap and no role.
//!
//! 1. **take**: if a place is free and nobody waits, it is counted off.
//! 2. **wait**: the wait is counted, pushed on the stack, and then looks whether
//!    a place is free.
//! 3. **give back**: the place is counted, then the giver looks whether somebody
//!    waits.
//! 4. **work**: who finds both takes the role, moves what is on the stack into
//!    the queue, hands out what is free, and books that with the same
//!    compare-and-swap that gives the role back. What it hands out is woken
//!    afterwards, by the caller, outside everything.
//! 5. **give up**: a wait is marked off, its count is taken back, and if it is in
//!    the queue it is pushed once more, to be taken out. If a place came first,
//!    that is given back.
//!
//! Who makes the stack long takes the role too, so that waits which come and go
//! do not pile up while no place is given back. Who finds the role taken says so
//! in the word and goes: the holder then looks again.
//!
//! Why a role, and not one word for all: a place, a wait and the queue cannot
//! change in one step, but free places and a count of waits can, and all else may
//! lag behind those two. Why a stack in front: who pushed and stands still keeps
//! nobody else from being found, which the usual queue of many producers does not
//! promise. Why not cells in an endless array, as others do: their memory goes
//! when a whole segment is over, and one long wait keeps a segment.
//!
//! # States
//!
//! ```text
//! state   waits (33 bits) | free places (29 bits) | AGAIN | BUSY
//! stack   the newest | length (4 bits)
//! ```
//!
//! | `fate` of a wait | set by | meaning |
//! |---|---|---|
//! | `STACKED` | who pushes it; taken back by who takes the stack | it is on the stack |
//! | `OFF` | the owner | the owner is gone |
//! | `GRANTED` | the holder of the role | it has a place, unless OFF came first |
//! | `EDIT` | the owner, and taken back by it | its waker is being replaced |
//! | `LEFT` | who handed the place over | only the owner points to it |
//!
//! # Picture
//!
//! ```text
//!  poll ──push──► stack ──work──► queue ──grant──► chain ──► wake
//!  drop ──push──►   │               ▲
//!                   └── gone: out ──┘
//! ```
//!
//! # Invariants
//!
//! - **P1** The queue, and the links of all waits that are or were on the stack,
//!   belong to the holder of BUSY; `below` of a wait that is not STACKED belongs
//!   to its owner, and what is on a chain belongs to that chain.
//! - **P2** A wait is counted from before its push until its owner has marked it
//!   off, or the holder has booked the place that it got. So as long as anything
//!   in the queue or on the stack can get a place, the count is not 0.
//! - **P3** Free places grow fewer only where nobody is counted, or by what the
//!   holder books. So what it has seen free, after it took a stack, is free for
//!   those of that stack and of the queue until it books it.
//! - **P4** The first of GRANTED and OFF decides whether a wait has a place.
//! - **P5** Who sets STACKED pushes the wait. One that is off before a place came
//!   is freed by who takes it from the stack; one that got a place by the later
//!   of OFF and LEFT.
//! - **P6** The waker is the owner's if OFF came before GRANTED, or EDIT was there
//!   when GRANTED came; else it is of the chain. While EDIT is set it is the
//!   owner's to write.
//! - **P7** Where BUSY is not set, no place is free that somebody in the queue or
//!   on the stack could have, but for those whose pushers or givers have yet to
//!   look: both look at `state` after what they did, and the holder looks at it
//!   with the same compare-and-swap that gives the role back.
//!
//! # Orderings
//!
//! `state` decides, and is written by read-modify-writes only. It releases what
//! came before a place was given back to who gets it, and the queue from one
//! holder to the next. The stack is acquired by who pushes, too: it then sees
//! BUSY of whoever took the stack without it, and so its AGAIN is in time (P7).
//! `fate` hands over the waker, the place, and the memory.
//!
//! # Progress
//!
//! Taking, giving back, waiting and giving up are lock-free, and none of them
//! waits for another thread. A holder that stands still hands nothing out
//! meanwhile, and what comes and goes stays on the stack until it is back. It goes
//! on for as long as others have it look again, and wakes after that. Memory is
//! that of the live waits, and of as many as make a stack long.
//!
//! Models: `place_take_vs_give`, `place_wait_vs_give`, `place_wait_vs_take`,
//! `place_waits_vs_give`, `place_gives_vs_waits`, `place_gives_vs_queue`,
//! `place_served_vs_woken`, `place_give_up_vs_give`, `place_give_up_passes_on`,
//! `place_give_ups_from_the_queue`, `place_give_up_vs_work`,
//! `place_give_up_vs_give_vs_wait`, `place_repoll_vs_give`,
//! `places_dropped_last`.

mod queue;
mod queued;
mod stack;
mod turn;
mod wakers;

pub(crate) use turn::Turn;
pub(crate) use wakers::Wakers;

use crate::sync::Ordering::{Acquire, Relaxed, Release};
use crate::sync::{AtomicUsize, Site, Turn as Role, recheck};
use queue::Queue;
use queued::Queued;
use stack::Stack;
use std::fmt;
use std::ptr::NonNull;

/// Somebody works on the queue.
const BUSY: usize = 1;
/// Something was pushed meanwhile: the holder is to look again.
const AGAIN: usize = 2;
const ONE_FREE: usize = 1 << 2;
/// Above it nothing overflows into: more waits than this counts have no memory.
const ONE_WAIT: usize = 1 << 31;

/// A value of `state`.
#[derive(Clone, Copy)]
struct State(usize);

impl State {
    fn free(self) -> usize {
        self.0 % ONE_WAIT / ONE_FREE
    }

    fn waits(self) -> usize {
        self.0 / ONE_WAIT
    }

    fn has(self, flag: usize) -> bool {
        self.0 & flag != 0
    }
}

/// So many places, and those who wait for one.
pub(crate) struct Places {
    state: AtomicUsize,
    stack: Stack,
    /// Whose turn it is: the holder of BUSY (P1).
    queue: Role<Queue>,
}

// SAFETY: what it points to are waits, which may go anywhere, and who touches
// them is settled by P1.
unsafe impl Send for Places {}
// SAFETY: as above.
unsafe impl Sync for Places {}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Relaxed: for show.
        let state = State(self.state.load(Relaxed, Site::PlaceShow));
        f.debug_struct("Places")
            .field("free", &state.free())
            .field("waits", &state.waits())
            .finish()
    }
}

impl Places {
    /// The most places there can be. More make no difference: what takes them
    /// would not fit into memory. Twice as many can be counted, as a place that
    /// is not booked yet may be given back.
    pub(crate) const MAX: usize = ONE_WAIT / ONE_FREE / 2 - 1;

    /// So many places, all free; at most [`MAX`](Self::MAX).
    pub(crate) fn new(places: usize) -> Self {
        Self {
            state: AtomicUsize::new(places.min(Self::MAX) * ONE_FREE),
            stack: Stack::new(),
            queue: Role::new(Queue::new()),
        }
    }

    /// Takes a place, unless none is free or somebody waits for one. What was
    /// done before it was given back has then happened.
    #[inline]
    pub(crate) fn try_take(&self) -> bool {
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut now = State(self.state.load(Relaxed, Site::PlaceTakeLoad));
        while now.free() > 0 && now.waits() == 0 {
            // Acquire: what was done in the place before; meets the Release in
            // `give_back`. On failure Relaxed: looked at again.
            let swapped = self.state.compare_exchange_weak(
                now.0,
                now.0 - ONE_FREE,
                Acquire,
                Relaxed,
                Site::PlaceTake,
            );
            match swapped {
                Ok(_) => return true,
                Err(other) => now = State(other),
            }
        }
        false
    }

    /// Gives a place back, or on to who has waited longest. What is to be woken
    /// is the caller's to wake, last.
    #[inline]
    pub(crate) fn give_back(&self) -> Wakers {
        // Release: what was done in the place; meets the Acquire in `try_take`
        // and in `work`.
        let before = self.state.fetch_add(ONE_FREE, Release, Site::PlaceGive);
        debug_assert!(State(before).free() < 2 * Self::MAX, "no place was taken");
        let now = State(before + ONE_FREE);
        // A holder sees it when it leaves.
        if now.waits() == 0 || now.has(BUSY) {
            return Wakers::none();
        }
        self.see_to(false, false)
    }

    /// Counts a wait and puts it on the stack.
    ///
    /// # Safety
    ///
    /// It is STACKED, and its caller's to push (P5).
    unsafe fn enter(&self, wait: NonNull<Queued>) -> Wakers {
        // Relaxed: comes to the holder with the push (P2).
        self.state.fetch_add(ONE_WAIT, Relaxed, Site::PlaceWait);
        // SAFETY: by the caller.
        let long = unsafe { self.stack.push(wait) };
        // Again, after the push: places that were given back before found nobody
        // who waits (P7).
        if recheck(Site::PlaceWaitLooks) {
            self.see_to(true, long)
        } else {
            Wakers::none()
        }
    }

    /// Takes back the count of a wait that is off.
    fn uncount(&self) {
        // Relaxed: nothing is published; it only comes after OFF, which is
        // before this in the same thread (P2).
        self.state.fetch_sub(ONE_WAIT, Relaxed, Site::PlaceUnwait);
    }

    /// Puts a wait that is off on the stack, to be taken out of the queue.
    ///
    /// # Safety
    ///
    /// As `enter`.
    unsafe fn ask_out(&self, wait: NonNull<Queued>) -> Wakers {
        // SAFETY: by the caller.
        if unsafe { self.stack.push(wait) } {
            self.see_to(true, true)
        } else {
            Wakers::none()
        }
    }

    /// Takes the role and works, if there is something to do. Who has `pushed`
    /// and finds the role taken has the holder look again.
    fn see_to(&self, pushed: bool, long: bool) -> Wakers {
        // Relaxed: a guess, which the compare-and-swap checks; and not older
        // than what the last one to take the stack found (P7).
        let mut now = State(self.state.load(Relaxed, Site::PlaceRoleLoad));
        loop {
            let new = if now.has(BUSY) {
                if !pushed || now.has(AGAIN) {
                    return Wakers::none();
                }
                now.0 | AGAIN
            } else if long || now.free() > 0 && now.waits() > 0 {
                now.0 | BUSY
            } else {
                return Wakers::none();
            };
            // Acquire: the queue, if we take the role; meets the Release in
            // `leave`. On failure Relaxed: looked at again.
            let swapped =
                self.state
                    .compare_exchange_weak(now.0, new, Acquire, Relaxed, Site::PlaceRole);
            match swapped {
                Ok(_) if now.has(BUSY) => return Wakers::none(),
                // SAFETY: we have just taken the role.
                Ok(_) => return unsafe { self.work() },
                Err(other) => now = State(other),
            }
        }
    }

    /// Moves the stack into the queue, hands out what is free, and gives the role
    /// back.
    ///
    /// # Safety
    ///
    /// The caller has the role.
    #[cold]
    #[inline(never)]
    unsafe fn work(&self) -> Wakers {
        let mut wakers = Wakers::none();
        loop {
            let stack = self.stack.take();
            // SAFETY: by the role (P1).
            let queue = unsafe { self.queue.take() };
            // SAFETY: the stack is ours.
            unsafe { queue.apply(stack) };
            // Acquire: what was done in the places; meets the Release in
            // `give_back`. After the stack was taken (P3).
            let free = State(self.state.load(Acquire, Site::PlaceFree)).free();
            let mut given = 0;
            while given < free {
                let Some(wait) = queue.pop() else { break };
                // SAFETY: it was in the queue, so valid (P5).
                if unsafe { wakers.grant(wait) } {
                    given += 1;
                }
            }
            if !self.leave(given, queue.is_empty()) {
                return wakers;
            }
        }
    }

    /// Books what was given, and gives the role back; true = it was kept, as
    /// there is more to do.
    fn leave(&self, given: usize, queue_is_empty: bool) -> bool {
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut now = State(self.state.load(Relaxed, Site::PlaceLeaveLoad));
        loop {
            let booked = State(now.0 - given * (ONE_FREE + ONE_WAIT));
            // Again, both: who came or gave back while the role was taken has left
            // it to us (P7).
            let again = booked.has(AGAIN) && recheck(Site::PlaceLeaveAgain);
            let freed = booked.free() > 0 && !queue_is_empty && recheck(Site::PlaceLeaveFreed);
            let kept = again || freed;
            let left = booked.0 & !(AGAIN | BUSY);
            let new = if kept { left | BUSY } else { left };
            // Release: the queue; meets the Acquire in `see_to`. On failure
            // Relaxed: looked at again.
            let swapped =
                self.state
                    .compare_exchange_weak(now.0, new, Release, Relaxed, Site::PlaceLeave);
            match swapped {
                Ok(_) => return kept,
                Err(other) => now = State(other),
            }
        }
    }
}

impl Drop for Places {
    /// Frees what is off, which is all that there is: who waits gives up before.
    fn drop(&mut self) {
        let stack = self.stack.take();
        // SAFETY: nobody else is there.
        let queue = unsafe { self.queue.take() };
        // SAFETY: the stack is ours.
        unsafe { queue.apply(stack) };
        let ended = queue.is_empty() || std::thread::panicking();
        debug_assert!(ended, "a wait outlives its places");
    }
}
