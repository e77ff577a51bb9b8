//! Timers: what fires when a deadline comes.
//!
//! # What it is
//!
//! A hierarchical wheel for each of several shards, and in front of each wheel a
//! stack of requests, so that arming and disarming is one push on a word of
//! this thread's shard. Timers that are off before anybody looks at the stack,
//! as nearly all are, never enter a wheel.
//!
//! # How it works
//!
//! 1. **arm**: a timer is pushed on the stack of the thread's shard. If its
//!    moment comes before the driver would wake, the driver is woken.
//! 2. **disarm**: the timer is marked off. If it is in the wheel already, a
//!    request to take it out is pushed.
//! 3. **work off**: who makes a stack long, or the driver, takes the role at
//!    the wheel and puts timers where their moments say, or takes them out.
//! 4. **fire**: the driver takes what is due out of all wheels, marks all of it,
//!    then delivers.
//! 5. **move**: the moment is changed in place. Later: the timer is found in the
//!    wheel too early, and put where it belongs. Earlier: a request is pushed; if
//!    one is under way already, the driver is woken, as who pushed that did not
//!    know the moment.
//!
//! # States
//!
//! `at` is a moment, and DUE once it has come. `word` is the address of the
//! node, and bits:
//!
//! | bit | set by | meaning |
//! |---|---|---|
//! | `IN` | who arms | the shard points to it, or will |
//! | `QUEUED` | who pushes it; taken back by who takes the stack | it is on the stack |
//! | `OFF` | who marks the node done, or finds it dead | it does not fire any more |
//! | `FIRING` | the driver, unless OFF | the driver uses its node |
//! | `DEAD` | who is to bury the node | with FIRING: the driver is to do that |
//! | `FREED` | who frees the node | the shard frees the timer |
//! | `LEFT` | the shard | the node's free frees the timer |
//!
//! # Picture
//!
//! ```text
//!  node ──env──► timer ◄── requests ◄─push─ arm, disarm, move
//!    ▲              │          │
//!    └────word──────┘          ▼ work off
//!                           wheel ──due──► driver ──► mark, deliver
//! ```
//!
//! # Invariants
//!
//! - **D1** The wheel of a shard, and the ring of every timer of it, belong to
//!   the holder of BUSY.
//! - **D2** A moment that is DUE does not change any more. A move either comes
//!   before that, and counts, or learns of it.
//! - **D3** A timer is freed once: by the free of its node if it is not IN or has
//!   LEFT, else by the shard when it is FREED. FIRING is set only where OFF is
//!   not, and while it is set the node is neither buried nor freed.
//! - **D4** Who sets QUEUED pushes the timer, and is done with it; who takes it
//!   from the stack takes QUEUED back. So it is on the stack once.
//! - **D5** Who pushes after the driver has looked at the stack sees until when
//!   the driver sleeps, or a later word on it: the driver writes that nobody
//!   may count on it before it looks at the first stack.
//! - **D6** A clockwork lives as long as any node whose timer is part of it: the
//!   node with the clock, above all of them, keeps it, or the process does.
//!
//! # Orderings
//!
//! A push releases the timer and its node to who takes the stack; roles hand the
//! wheel on from release to acquire; both by the one word `requests`, which also
//! orders D5. Decisions about one timer are read-modify-writes of its word. The
//! moment is ordered by the request that follows its change.
//!
//! # Progress
//!
//! Arming, disarming and moving are lock-free and wait for nobody. A holder of
//! the role that is stopped delays the deadlines and the memory of its shard.
//!
//! Models: `driver_arm_vs_sleep`, `timer_disarm_vs_drain`, `deadline_vs_cancel`,
//! `deadline_vs_drop`, `set_deadline_vs_fire`.

mod cell;
mod env;
mod moment;
mod shard;
mod wheel;

pub(crate) use cell::{Asked, End, Timer};
pub(crate) use env::Env;
pub(crate) use moment::Moment;
pub(crate) use shard::Shard;

use crate::payload;
use crate::sync::Ordering::Relaxed;
use crate::sync::{AtomicUsize, Site, lane_count, limits, memory, recheck, thread_index};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// What tells the time, and wakes the driver. Both may be user's code.
pub(crate) trait Engine: Send + Sync {
    fn now(&self) -> Instant;
    /// Has the driver run soon.
    fn wake(&self, clockwork: &Arc<Clockwork>);

    /// Whether it calls `run` by itself, so that another call leaves it with
    /// the wrong time to wake at.
    fn drives_itself(&self) -> bool {
        false
    }

    /// Whether `now` is the system's: then waits need no timer.
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    fn is_system_time(&self) -> bool {
        false
    }
}

/// A timer that is due, and FIRING.
pub(crate) struct Due {
    at: Moment,
    timer: NonNull<Timer>,
}

impl Due {
    /// Whose deadline it is.
    pub(crate) fn node<N>(&self) -> NonNull<N> {
        // SAFETY: valid until it has fired (D3).
        unsafe { self.timer.as_ref() }.node()
    }

    /// The driver does not use the node any more, unless it is to bury it: true.
    pub(crate) fn fired(self) -> bool {
        // Again: a node that ended meanwhile is left to the driver (D3).
        // SAFETY: valid until it has fired (D3).
        unsafe { self.timer.as_ref() }.fired() && recheck(Site::FiredBuries)
    }
}

/// What the driver found when it ran.
pub(crate) enum Found {
    /// What is due, the earliest first.
    Due(Vec<Due>),
    /// Nothing: it may sleep until then, unless it is woken.
    Nothing { next: Moment, busy: bool },
}

/// The shards of one driver, and what wakes it.
pub(crate) struct Clockwork {
    /// Until when the driver sleeps: who arms what comes earlier wakes it.
    sleeps_until: Alone<AtomicUsize>,
    shards: Box<[Shard]>,
    /// A tick has `1 << shift` nanoseconds.
    shift: u32,
    /// For those who have this clock and no deadline.
    bare: NonNull<Timer>,
    engine: ManuallyDrop<Box<dyn Engine>>,
    me: Weak<Clockwork>,
}

/// On cache lines of its own.
#[repr(align(128))]
struct Alone<T>(T);

// SAFETY: the shards are for all threads (D1), and the bare timer is only read.
unsafe impl Send for Clockwork {}
// SAFETY: the same.
unsafe impl Sync for Clockwork {}

/// Ticks of half a millisecond: deadlines are rounded up to them.
pub(crate) const COARSE: u32 = 19;
/// Ticks of a nanosecond.
pub(crate) const EXACT: u32 = 0;

impl Clockwork {
    /// One shard for every few threads.
    pub(crate) fn new(engine: Box<dyn Engine>) -> Arc<Clockwork> {
        Clockwork::with_shards(lane_count().min(limits::SHARDS), COARSE, engine)
    }

    /// One shard, so that what is due fires in the order of arming.
    pub(crate) fn ordered(engine: Box<dyn Engine>) -> Arc<Clockwork> {
        Clockwork::with_shards(1, EXACT, engine)
    }

    fn with_shards(count: usize, shift: u32, engine: Box<dyn Engine>) -> Arc<Clockwork> {
        let now = Moment::of(engine.now());
        Arc::new_cyclic(|me| {
            let mut shards: Box<[Shard]> = (0..count).map(|_| Shard::new(now, shift)).collect();
            for shard in &mut shards {
                shard.belong_to(me.as_ptr());
            }
            let bare = Timer::alloc(Env::NONE, Moment::NEVER, &shards[0], false);
            // SAFETY: ours, and nobody else knows of it.
            unsafe { (*bare.as_ptr()).env.time = bare.as_ptr() };
            Clockwork {
                // Nobody sleeps: who arms first wakes the driver.
                sleeps_until: Alone(AtomicUsize::new(Moment::NEVER.bits())),
                shards,
                shift,
                bare,
                engine: ManuallyDrop::new(engine),
                me: me.clone(),
            }
        })
    }

    /// The time.
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        Moment::of(self.engine.now())
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        &**self.engine
    }

    /// The timer of those who have this clock and no deadline: it never fires.
    pub(crate) fn bare(&self) -> &Timer {
        // SAFETY: ours until the end.
        unsafe { self.bare.as_ref() }
    }

    /// The shard for timers that this thread arms.
    #[inline]
    pub(crate) fn shard(&self) -> &Shard {
        // A power of two.
        &self.shards[thread_index() & (self.shards.len() - 1)]
    }

    /// Has the driver run soon. The caller holds nothing: it may be user's code.
    #[cold]
    pub(crate) fn wake(&self) {
        if let Some(me) = self.me.upgrade() {
            self.engine.wake(&me);
        }
    }

    /// One more reference to this, for who is to wake the driver later.
    pub(crate) fn keep(&self) -> Option<Arc<Clockwork>> {
        self.me.upgrade()
    }

    /// Whether the driver sleeps longer than that, for who has pushed before.
    pub(crate) fn sleeps_past(&self, at: Moment) -> bool {
        // Rounded as `find` does: what comes in the tick that the driver sleeps
        // for is no reason to wake it.
        let fires = Moment::of_tick(at.tick_up(self.shift), self.shift);
        // Relaxed: as new as the caller's push has shown (D5).
        fires < Moment::from_bits(self.sleeps_until.0.load(Relaxed, Site::SleepsLoad))
    }

    /// Looks for what is due. Called by the driver, which does what is found,
    /// and comes back.
    pub(crate) fn find(&self) -> Found {
        // Relaxed: comes before the looks at the stacks, which release it (D5).
        let sleeps = &self.sleeps_until.0;
        sleeps.store(Moment::NEVER.bits(), Relaxed, Site::SleepsUnknown);
        let now = self.now();
        let mut due = Vec::new();
        let mut next = Moment::NEVER;
        let mut busy = false;
        for shard in &self.shards {
            match shard.turn(now, &mut due) {
                Ok(at) => next = at.map_or(next, |at| at.min(next)),
                Err(shard::Busy) => busy = true,
            }
        }
        if due.is_empty() {
            // Relaxed: who sees the value before wakes the driver for nothing.
            sleeps.store(next.bits(), Relaxed, Site::SleepsUntil);
            return Found::Nothing { next, busy };
        }
        // Relaxed: the driver looks at all stacks again before it sleeps (D5).
        sleeps.store(0, Relaxed, Site::SleepsNot);
        due.sort_by_key(|due| due.at);
        Found::Due(due)
    }

    /// Says that no driver sleeps: whoever arms wakes it.
    pub(crate) fn nobody_sleeps(&self) {
        // Relaxed: a driver that could not start has nothing to say.
        let never = Moment::NEVER.bits();
        self.sleeps_until
            .0
            .store(never, Relaxed, Site::SleepsNobody);
    }

    /// How many timers are armed, and not off; none if somebody works on a wheel
    /// just now.
    pub(crate) fn outstanding(&self) -> Option<usize> {
        let (mut all, mut wake) = (Some(0), false);
        for shard in &self.shards {
            match shard.outstanding() {
                Ok((len, called)) => {
                    all = all.map(|all| all + len);
                    wake |= called;
                }
                Err(shard::Busy) => all = None,
            }
        }
        if wake {
            self.wake();
        }
        all
    }
}

impl Drop for Clockwork {
    fn drop(&mut self) {
        for shard in &mut self.shards {
            shard.empty();
        }
        // SAFETY: nobody has this clock any more (D6).
        unsafe { memory::free_kept(self.bare) };
        // SAFETY: taken once, here.
        let engine = unsafe { ManuallyDrop::take(&mut self.engine) };
        // User's code, maybe where a node is freed: the hook has reported it, and
        // it must not break off what frees the others.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(engine))) {
            payload::forget(panic);
        }
    }
}
