//! One wheel, and the stack of requests in front of it.
//!
//! What is asked of a wheel is pushed on the stack, by one compare-and-swap; who
//! makes the stack long while nobody works on the wheel takes the role and the
//! stack with that same compare-and-swap, as the reaper of a list does. The
//! driver takes both whenever it runs. Who finds the role taken goes: the holder
//! looks again, and wakes the driver if that was here meanwhile.
//!
//! ```text
//! requests   top timer | length (14 bits) | BUSY | CALLED
//! ```

use super::cell::{Taken, Timer};
use super::moment::Moment;
use super::wheel::Wheel;
use super::{Clockwork, Due};
use crate::sync::Ordering::{AcqRel, Relaxed};
use crate::sync::{AtomicPtr, Site, Turn, limits, memory, recheck};
use std::ptr::{NonNull, null, null_mut};

const LEN_SHIFT: u32 = 48;
const MAX_LEN: usize = (1 << 14) - 1;
const LEN: usize = MAX_LEN << LEN_SHIFT;
/// Somebody works on the wheel.
const BUSY: usize = 1 << 62;
/// The driver came while somebody else did: it wants to be woken.
const CALLED: usize = 1 << 63;
const ADDRESS: usize = (1 << LEN_SHIFT) - 1;

/// A value of `requests`.
#[derive(Clone, Copy)]
struct Requests(*mut Timer);

impl Requests {
    fn top(self) -> *mut Timer {
        self.0.map_addr(|addr| addr & ADDRESS)
    }

    fn len(self) -> usize {
        (self.0.addr() & LEN) >> LEN_SHIFT
    }

    fn has(self, flag: usize) -> bool {
        self.0.addr() & flag != 0
    }

    fn pushed(self, timer: NonNull<Timer>) -> Self {
        let len = (self.len() + 1).min(MAX_LEN);
        let flags = self.0.addr() & (BUSY | CALLED);
        let top = timer.as_ptr();
        Self(top.map_addr(|addr| addr | len << LEN_SHIFT | flags))
    }

    fn is_long(self) -> bool {
        self.len() >= limits::REQUESTS
    }

    /// An empty stack after this one was taken, by the one who works now.
    fn taken(self) -> Self {
        let called = self.0.addr() & CALLED;
        Self(std::ptr::without_provenance_mut(called | BUSY))
    }

    /// The same stack, with other flags.
    fn with_flags(self, flags: usize) -> Self {
        Self(self.0.map_addr(|addr| addr & !(BUSY | CALLED) | flags))
    }
}

/// One wheel. On cache lines of its own.
#[repr(align(128))]
pub(crate) struct Shard {
    requests: AtomicPtr<Timer>,
    /// Whose turn it is at the wheel: the holder of BUSY (D1).
    wheel: Turn<Wheel>,
    clockwork: *const Clockwork,
}

/// Somebody else works on the wheel, and will wake the driver.
pub(super) struct Busy;

impl Shard {
    pub(super) fn new(now: Moment, shift: u32) -> Self {
        Self {
            requests: AtomicPtr::new(null_mut()),
            wheel: Turn::new(Wheel::new(now.tick(shift))),
            clockwork: null(),
        }
    }

    /// Whether a timer may lie at this address: the top 16 bits are the stack's.
    #[inline(always)]
    pub(super) fn address_fits(addr: usize) -> bool {
        addr & !ADDRESS == 0
    }

    pub(super) fn belong_to(&mut self, clockwork: *const Clockwork) {
        self.clockwork = clockwork;
    }

    pub(crate) fn clockwork(&self) -> &Clockwork {
        // SAFETY: the shard is part of it, and it does not move.
        unsafe { &*self.clockwork }
    }

    /// Puts a request on the stack, for a timer that is to fire at `at`, or not
    /// any more. True = the caller wakes the driver, when it holds nothing.
    ///
    /// # Safety
    ///
    /// The timer is the caller's to push (D4), and part of this shard, which is
    /// valid. It is not the caller's to look at afterwards.
    #[inline]
    pub(crate) unsafe fn push(&self, timer: NonNull<Timer>, at: Option<Moment>) -> bool {
        // SAFETY: ours until it is pushed.
        let pushed = unsafe { timer.as_ref() };
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut now = Requests(self.requests.load(Relaxed, Site::RequestLoad));
        let taken = loop {
            pushed.set_request_next(now.top());
            let more = now.pushed(timer);
            let take = more.is_long() && !now.has(BUSY);
            let new = if take { more.taken() } else { more };
            // Release: publishes the timer and its node; meets the Acquire of
            // whoever takes the stack. Acquire: shows until when the driver
            // sleeps, if it looked here before (D5), meets the Release in
            // `take`; and the wheel, if we take the role. On failure Relaxed.
            let swapped =
                self.requests
                    .compare_exchange_weak(now.0, new.0, AcqRel, Relaxed, Site::Request);
            match swapped {
                Ok(_) => break take,
                Err(other) => now = Requests(other),
            }
        };
        // Again: the driver may have looked at this stack before the push, and
        // sleep for longer than to `at` (D5).
        let early =
            at.is_some_and(|at| self.clockwork().sleeps_past(at)) && recheck(Site::ArmWakes);
        if taken {
            // SAFETY: we have just taken the role and the stack.
            return unsafe { self.work_off(timer.as_ptr()) } || early;
        }
        early
    }

    /// Does what the stack asks for, and gives the role back. True = the driver
    /// was here meanwhile, and is to be woken.
    ///
    /// # Safety
    ///
    /// The caller has the role, and took `stack` with it.
    #[cold]
    #[inline(never)]
    unsafe fn work_off(&self, stack: *mut Timer) -> bool {
        let mut stack = stack;
        loop {
            // SAFETY: by the role (D1).
            let wheel = unsafe { self.wheel.take() };
            // SAFETY: the stack is ours.
            unsafe { self.apply(wheel, stack) };
            match self.leave() {
                Err(called) => return called,
                Ok(more) => stack = more,
            }
        }
    }

    /// Gives the role back: whether the driver was here meanwhile. Or takes the
    /// stack, if that has become long.
    fn leave(&self) -> Result<*mut Timer, bool> {
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut now = Requests(self.requests.load(Relaxed, Site::RequestLeaveLoad));
        loop {
            let new = if now.is_long() {
                now.taken()
            } else {
                now.with_flags(0)
            };
            // Release: the next one sees what we did to the wheel; meets the
            // Acquire of whoever takes the role. Acquire: the timers, if we take
            // more; meets the Release in `push`. On failure Relaxed.
            let swapped = self.requests.compare_exchange_weak(
                now.0,
                new.0,
                AcqRel,
                Relaxed,
                Site::RequestLeave,
            );
            match swapped {
                Ok(_) if new.has(BUSY) => return Ok(now.top()),
                // Again: a driver that found the wheel busy has left it to us to
                // wake it (D5).
                Ok(_) => return Err(now.has(CALLED) && recheck(Site::CalledWakes)),
                Err(other) => now = Requests(other),
            }
        }
    }

    /// The driver's turn: does what the stack asks for, and takes out what is due
    /// at `now`. When there is something to do next.
    pub(super) fn turn(&self, now: Moment, due: &mut Vec<Due>) -> Result<Option<Moment>, Busy> {
        let mut stack = self.take()?;
        let shift = self.clockwork().shift;
        loop {
            // SAFETY: by the role (D1).
            let wheel = unsafe { self.wheel.take() };
            // SAFETY: the stack is ours.
            unsafe { self.apply(wheel, stack) };
            let key = |ring| {
                // SAFETY: what is in the wheel are timers.
                let timer = unsafe { Timer::of_ring(ring) };
                // SAFETY: what is in the wheel is valid (D3).
                unsafe { timer.as_ref() }.at().tick_up(shift)
            };
            // SAFETY: what is in the wheel is valid (D3).
            unsafe { wheel.advance(now.tick(shift), key) };
            // SAFETY: the same.
            unsafe { self.take_due(wheel, now, due) };
            // SAFETY: the same.
            let next = unsafe { wheel.next(key) };
            match self.leave() {
                Ok(more) => stack = more,
                // We are the driver.
                Err(_) => return Ok(next.map(|tick| Moment::of_tick(tick, shift))),
            }
        }
    }

    /// Takes the role and the stack.
    fn take(&self) -> Result<*mut Timer, Busy> {
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut now = Requests(self.requests.load(Relaxed, Site::RequestTakeLoad));
        loop {
            let busy = now.has(BUSY);
            let new = if busy {
                now.with_flags(BUSY | CALLED)
            } else {
                now.taken()
            };
            // Acquire: the timers and the wheel; meets the Release in `push` and
            // `leave`. Release: until when the driver sleeps, to who pushes
            // later (D5); meets the Acquire in `push`. On failure Relaxed.
            let swapped = self.requests.compare_exchange_weak(
                now.0,
                new.0,
                AcqRel,
                Relaxed,
                Site::RequestTake,
            );
            match swapped {
                Ok(_) if busy => return Err(Busy),
                Ok(_) => return Ok(now.top()),
                Err(other) => now = Requests(other),
            }
        }
    }

    /// Does what a stack of requests asks for, in the order of the requests.
    ///
    /// # Safety
    ///
    /// The caller has the role, and the stack.
    unsafe fn apply(&self, wheel: &mut Wheel, stack: *mut Timer) {
        let shift = self.clockwork().shift;
        let mut at = stack;
        let mut oldest = null_mut();
        while let Some(timer) = NonNull::new(at) {
            // SAFETY: on the stack, so valid (D3).
            let this = unsafe { timer.as_ref() };
            at = this.request_next();
            crate::sync::prefetch(at);
            this.set_request_next(oldest);
            oldest = timer.as_ptr();
        }
        at = oldest;
        while let Some(timer) = NonNull::new(at) {
            // SAFETY: on the stack, so valid (D3).
            let this = unsafe { timer.as_ref() };
            // Before it is taken: then it may be pushed again.
            at = this.request_next();
            let mut unlink = || {
                // SAFETY: by the role, and if linked, then in this wheel.
                unsafe { remove(wheel, timer) };
            };
            match this.take(&mut unlink) {
                Taken::Live => {
                    unlink();
                    let key = this.at().tick_up(shift);
                    // SAFETY: in no ring, and it stays valid while it is (D3).
                    unsafe { wheel.insert(Timer::ring(timer), key) };
                }
                // SAFETY: nobody else points to it any more (D3).
                Taken::Unused => unsafe { memory::free_kept(timer) },
                Taken::Over | Taken::Firing => {}
            }
        }
    }

    /// Takes out of the wheel what is to fire.
    ///
    /// # Safety
    ///
    /// The caller has the role.
    unsafe fn take_due(&self, wheel: &mut Wheel, now: Moment, due: &mut Vec<Due>) {
        let shift = self.clockwork().shift;
        // SAFETY: by the role; what is in the wheel is valid (D3).
        while let Some(ring) = unsafe { wheel.pop_due() } {
            // SAFETY: what is in the wheel are timers.
            let timer = unsafe { Timer::of_ring(ring) };
            // SAFETY: valid until it is given up (D3).
            let this = unsafe { timer.as_ref() };
            let at = this.at();
            if !this.due(now) {
                // It was moved: at the earliest when the tick is over.
                let key = this.at().tick_up(shift).max(wheel.now() + 1);
                // SAFETY: in no ring now.
                unsafe { wheel.insert(ring, key) };
            } else if this.fire() {
                due.push(Due { at, timer });
            }
        }
    }

    /// How many timers are in the wheel when all is done that the stack asks
    /// for, and whether the caller wakes the driver.
    pub(super) fn outstanding(&self) -> Result<(usize, bool), Busy> {
        let mut stack = self.take()?;
        loop {
            // SAFETY: by the role (D1).
            let wheel = unsafe { self.wheel.take() };
            // SAFETY: the stack is ours.
            unsafe { self.apply(wheel, stack) };
            let len = wheel.len();
            match self.leave() {
                Ok(more) => stack = more,
                Err(called) => return Ok((len, called)),
            }
        }
    }

    /// Gives up the timers that are off, which is all of them: nobody uses the
    /// shard any more (D6).
    pub(super) fn empty(&mut self) {
        let stack = self.take().map_or(null_mut(), |stack| stack);
        // SAFETY: nobody else is there.
        let wheel = unsafe { self.wheel.take() };
        // SAFETY: the stack is ours.
        unsafe { self.apply(wheel, stack) };
        debug_assert_eq!(wheel.len(), 0, "a timer outlives its clockwork");
    }
}

/// Unlinks a timer that may be in the wheel.
///
/// # Safety
///
/// The caller has the role; the timer is valid, and in this wheel or in none.
unsafe fn remove(wheel: &mut Wheel, timer: NonNull<Timer>) {
    let ring = Timer::ring(timer);
    // SAFETY: by the caller.
    let place = unsafe { ring.as_ref() };
    // SAFETY: by the role (D1).
    if unsafe { place.is_linked() } {
        // SAFETY: by the caller.
        unsafe { wheel.remove(ring) };
    }
}
