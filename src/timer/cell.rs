//! The timer of one deadline.

use super::env::Env;
use super::moment::Moment;
use super::shard::Shard;
use super::wheel::Ring;
use crate::sync::Ordering::{self, AcqRel, Acquire, Relaxed, Release};
use crate::sync::{AtomicPtr, AtomicUsize, Cell, Site, kept, memory, recheck};
use std::mem::offset_of;
use std::ptr::{NonNull, null_mut};

/// Beside a moment in `at`: it has come, and nobody moves it any more.
const DUE: usize = 1 << 63;

/// The shard points to it, or will.
const IN: usize = 1;
/// It is on the shard's stack of requests, or about to be.
const QUEUED: usize = 2;
/// It is not to fire any more.
const OFF: usize = 4;
/// The driver fires it, and may use its node.
const FIRING: usize = 8;
/// Its node was found dead.
const DEAD: usize = 1 << 48;
/// Its node is freed.
const FREED: usize = 1 << 49;
/// The shard does not point to it any more, and never will.
const LEFT: usize = 1 << 50;

const BITS: usize = IN | QUEUED | OFF | FIRING | DEAD | FREED | LEFT;

/// The timer of one deadline. See the module above for who may use what when.
#[repr(C)]
pub(crate) struct Timer {
    /// What the node hands down. First, so that a node's pointer to it is one to
    /// the timer.
    pub(crate) env: Env,
    at: AtomicUsize,
    /// The address of the node, and bits.
    word: AtomicPtr<()>,
    shard: *const Shard,
    /// The next on the stack of requests.
    request_next: Cell<*mut Timer>,
    /// The place in the wheel.
    ring: Ring,
}

kept!(Timer);

#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
const _: () = assert!(size_of::<Timer>() <= 64);

/// What became of a timer that was taken from the stack of requests.
pub(super) enum Taken {
    /// To be put where its moment says.
    Live,
    /// The shard is done with it.
    Over,
    /// The same, and the node is done with it too.
    Unused,
    /// It is being fired.
    Firing,
}

/// What comes of a request for a timer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    /// The caller pushes it.
    Push,
    /// Somebody else has pushed it, or is about to, and may not know the moment.
    Queued,
    /// It does not fire any more.
    Over,
}

/// Whether a dead node is the caller's to bury.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Ours,
    /// The driver uses it, and will bury it.
    Drivers,
}

fn bits(word: *mut ()) -> usize {
    word.addr() & BITS
}

fn with(word: *mut (), bits: usize) -> *mut () {
    word.map_addr(|addr| (addr & !BITS) | bits)
}

impl Timer {
    /// For a deadline at `at`. If it `starts`, the caller will
    /// [push](Shard::push) it, whatever happens meanwhile.
    #[inline]
    pub(crate) fn alloc(env: Env, at: Moment, shard: &Shard, starts: bool) -> NonNull<Timer> {
        let word = if starts { IN | QUEUED } else { 0 };
        let timer = memory::alloc_kept(Timer {
            env,
            at: AtomicUsize::new(at.bits()),
            word: AtomicPtr::new(with(null_mut(), word)),
            shard,
            request_next: Cell::new(null_mut()),
            ring: Ring::new(),
        });
        assert!(
            Shard::address_fits(timer.addr().get()),
            "a heap address must be below 2^48"
        );
        timer
    }

    /// Says whose it is, before anybody else knows of it.
    ///
    /// # Safety
    ///
    /// `timer` is the caller's alone.
    #[inline]
    pub(crate) unsafe fn belong_to<N>(timer: NonNull<Timer>, node: NonNull<N>) {
        // SAFETY: by the caller.
        let word = unsafe { &timer.as_ref().word };
        // Relaxed, both: published with the node, or with the push.
        let now = word.load(Relaxed, Site::TimerNew);
        let node = node.as_ptr().cast::<()>();
        let bits = bits(now);
        word.store(with(node, bits), Relaxed, Site::TimerSet);
    }

    /// Its node, for the driver that fires it.
    pub(crate) fn node<N>(&self) -> NonNull<N> {
        // Relaxed: the address never changes, and came with the request.
        let word = self.word.load(Relaxed, Site::TimerNode);
        NonNull::new(with(word, 0).cast()).expect("only a timer with a node fires")
    }

    pub(crate) fn shard(&self) -> &Shard {
        // SAFETY: shards live as long as the timers they are part of, which the
        // node keeps (D6).
        unsafe { &*self.shard }
    }

    /// The deadline.
    #[inline]
    pub(crate) fn at(&self) -> Moment {
        // Relaxed: a moment says nothing but itself.
        Moment::from_bits(self.at.load(Relaxed, Site::MomentAt) & !DUE)
    }

    /// Moves the deadline. What it was, or none if its time has come.
    pub(crate) fn set(&self, to: Moment) -> Option<Moment> {
        self.set_if(to, |_| true)
    }

    /// Moves the deadline, unless it is that late already. False if its time has
    /// come.
    ///
    /// Of several at once the latest counts, whoever is last. No request need
    /// follow: the driver comes for the earlier moment, and finds the later one.
    pub(crate) fn postpone(&self, to: Moment) -> bool {
        // Again: of moves at once the latest moment counts, whoever is last (D2).
        let wanted = |now| now < to || !recheck(Site::PostponeKeeps);
        self.set_if(to, wanted).is_some()
    }

    /// Moves the deadline if `wanted` where it is now. What it was, or none if
    /// its time has come.
    #[inline]
    fn set_if(&self, to: Moment, wanted: impl Fn(Moment) -> bool) -> Option<Moment> {
        // Relaxed, all: decided by the order of this word (D2); that the driver
        // sees it is the business of the request that follows.
        let mut now = self.at.load(Relaxed, Site::MomentSetLoad);
        loop {
            if now & DUE != 0 {
                return None;
            }
            if !wanted(Moment::from_bits(now)) {
                return Some(Moment::from_bits(now));
            }
            let swapped =
                self.at
                    .compare_exchange_weak(now, to.bits(), Relaxed, Relaxed, Site::MomentSet);
            match swapped {
                Ok(_) => return Some(Moment::from_bits(now)),
                Err(other) => now = other,
            }
        }
    }

    /// Says that its time has come, if it has: from then on it is not moved.
    pub(super) fn due(&self, now: Moment) -> bool {
        // Relaxed, all: as in `set`.
        let mut at = self.at.load(Relaxed, Site::MomentDueLoad);
        loop {
            if at & DUE != 0 {
                return true;
            }
            if Moment::from_bits(at) > now {
                return false;
            }
            let swapped =
                self.at
                    .compare_exchange_weak(at, at | DUE, Relaxed, Relaxed, Site::MomentDue);
            match swapped {
                Ok(_) => return true,
                Err(other) => at = other,
            }
        }
    }

    /// Changes the bits as `change` says, until it says none. What they were.
    #[inline(always)]
    fn update(
        &self,
        load: Site,
        swap: Site,
        (success, failure): (Ordering, Ordering),
        change: impl Fn(usize) -> Option<usize>,
    ) -> usize {
        let mut word = self.word.load(failure, load);
        loop {
            let before = bits(word);
            let Some(after) = change(before) else {
                return before;
            };
            let new = with(word, after);
            match self
                .word
                .compare_exchange_weak(word, new, success, failure, swap)
            {
                Ok(_) => return before,
                Err(now) => word = now,
            }
        }
    }

    /// Whether somebody armed it once, or will.
    pub(crate) fn is_in(&self) -> bool {
        // Relaxed: who arms it for nothing finds it armed.
        bits(self.word.load(Relaxed, Site::TimerIn)) & IN != 0
    }

    /// Asks for the timer to be put where its moment says.
    ///
    /// Whoever takes it from the stack later sees the moment as it is now.
    pub(crate) fn request(&self) -> Asked {
        // Release: shows the moment to whoever takes it; meets the Acquire in
        // `take`. Also where nothing changes, as the one who queued it before
        // did not know the moment. Acquire: who took it before is done with its
        // place on the stack; meets the Release there. On failure Relaxed:
        // looked at again.
        let orders = (AcqRel, Relaxed);
        let before = self.update(Site::TimerRequestLoad, Site::TimerRequest, orders, |bits| {
            let over = bits & (OFF | FIRING | LEFT) != 0;
            (!over).then_some(bits | IN | QUEUED)
        });
        match before {
            before if before & (OFF | FIRING | LEFT) != 0 => Asked::Over,
            before if before & QUEUED != 0 => Asked::Queued,
            _ => Asked::Push,
        }
    }

    /// The context is done: the timer is not needed any more. True = the caller
    /// pushes it.
    pub(crate) fn off(&self) -> bool {
        // Release: the node is done, as the driver then says that passes it by;
        // meets the Acquire in `fire` and `take`. Acquire: who took it from the
        // stack before is done with its place there; meets the Release in
        // `take`. On failure Relaxed: looked at again.
        let orders = (AcqRel, Relaxed);
        let before = self.update(Site::TimerOffLoad, Site::TimerOff, orders, |bits| {
            let to_queue = wants_request(bits);
            (bits & OFF == 0).then_some(bits | OFF | to_queue)
        });
        before & OFF == 0 && wants_request(before) != 0
    }

    /// The node is dead. Whose it is to bury, and whether the caller pushes the
    /// timer.
    pub(crate) fn end(&self) -> (End, bool) {
        // Release: what was done with the node comes before the burial, should
        // that be the driver's; meets the Acquire here, when the driver ends it
        // again for that. Acquire: what the driver did with the node comes before
        // our burial, meets the Release in `fired`; and as in `off`. On failure
        // Relaxed: looked at again.
        let orders = (AcqRel, Relaxed);
        let before = self.update(Site::TimerEndLoad, Site::TimerEnd, orders, |bits| {
            let to_queue = if bits & OFF == 0 {
                wants_request(bits)
            } else {
                0
            };
            Some(bits | OFF | DEAD | to_queue)
        });
        let end = if before & FIRING == 0 {
            End::Ours
        } else {
            End::Drivers
        };
        (end, before & OFF == 0 && wants_request(before) != 0)
    }

    /// The node is freed. True = the caller frees the timer.
    pub(crate) fn node_freed(&self) -> bool {
        // On failure, and before, Acquire: what the shard did comes before the
        // free, if that is the caller's; meets the Release in `take`; what the
        // driver did was acquired in `end`. Release: what was done through the
        // node comes before the free, should that be the shard's, which the
        // success decides; meets the Acquire in `take`.
        let orders = (Release, Acquire);
        let before = self.update(Site::TimerFreedLoad, Site::TimerFreed, orders, |bits| {
            let unused = bits & IN == 0 || bits & LEFT != 0;
            (!unused).then_some(bits | FREED)
        });
        before & IN == 0 || before & LEFT != 0
    }

    /// Takes it from the stack of requests. `unlink` takes it out of the wheel,
    /// if it is there, before the shard gives it up; it may be called twice.
    pub(super) fn take(&self, mut unlink: impl FnMut()) -> Taken {
        // Acquire, here and on failure: the moment as whoever asked for this
        // knew it, meets the Release in `request`; and what was done through
        // the node comes before the free, meets the Release in `node_freed`.
        let mut word = self.word.load(Acquire, Site::TimerTakeLoad);
        loop {
            let before = bits(word);
            let firing = before & FIRING != 0;
            let over = before & OFF != 0 && !firing;
            if over {
                unlink();
                if before & FREED != 0 {
                    return Taken::Unused;
                }
            }
            let after = (before & !QUEUED) | if over { LEFT } else { 0 };
            // Release: what the shard did with it comes before the free; meets
            // the Acquire in `node_freed`.
            let new = with(word, after);
            let swapped =
                self.word
                    .compare_exchange_weak(word, new, AcqRel, Acquire, Site::TimerTake);
            match swapped {
                Ok(_) if firing => return Taken::Firing,
                Ok(_) if over => return Taken::Over,
                Ok(_) => return Taken::Live,
                Err(now) => word = now,
            }
        }
    }

    /// Takes it out to be fired. False if it is off: then it is queued, and who
    /// takes it from the stack gives it up.
    ///
    /// It is due, and unlinked.
    pub(super) fn fire(&self) -> bool {
        // Relaxed: the node came with the request, and ends only if this is not
        // the first (D3). On failure Acquire, and before: if it is off, the node
        // is done; meets the Release in `off`.
        let orders = (Relaxed, Acquire);
        let before = self.update(Site::TimerFireLoad, Site::TimerFire, orders, |bits| {
            (bits & OFF == 0).then_some(bits | FIRING)
        });
        before & OFF == 0
    }

    /// It has been fired: the driver does not use the node any more, unless it
    /// is to bury it: true. The timer is not the caller's to look at afterwards.
    pub(crate) fn fired(&self) -> bool {
        // Release: our uses of the node come before its end; meets the Acquire
        // in `end`. What others did with it is acquired there too: a burial that
        // is left to us ends the timer again. On failure Relaxed: looked at
        // again.
        let orders = (Release, Relaxed);
        let before = self.update(Site::TimerFiredLoad, Site::TimerFired, orders, |bits| {
            let left = if bits & QUEUED == 0 { LEFT } else { 0 };
            Some((bits & !FIRING) | OFF | left)
        });
        before & DEAD != 0
    }

    pub(super) fn set_request_next(&self, next: *mut Timer) {
        // SAFETY: it is the caller's to push, or to take from the stack (D4).
        unsafe { self.request_next.set(next) };
    }

    pub(super) fn request_next(&self) -> *mut Timer {
        // SAFETY: the caller took the stack that it is on (D4).
        unsafe { self.request_next.get() }
    }

    /// Its place in the wheel.
    pub(super) fn ring(timer: NonNull<Timer>) -> NonNull<Ring> {
        // SAFETY: a place in the timer.
        unsafe { timer.byte_add(offset_of!(Timer, ring)) }.cast()
    }

    /// The timer that this place in a wheel is part of.
    ///
    /// # Safety
    ///
    /// It came from `ring`.
    pub(super) unsafe fn of_ring(ring: NonNull<Ring>) -> NonNull<Timer> {
        // SAFETY: by the caller it lies in a timer.
        unsafe { ring.byte_sub(offset_of!(Timer, ring)) }.cast()
    }
}

/// QUEUED if the shard points to the timer, and would not hear of its end.
fn wants_request(bits: usize) -> usize {
    if bits & (IN | QUEUED | FIRING | LEFT) == IN {
        QUEUED
    } else {
        0
    }
}
