//! What hears of a cancel: wakers and callbacks, each in a cell that lies in
//! the wait lane of its node.
//!
//! # How it works
//!
//! Each cell starts with a [`Listener`]: its place in the lane, and one word,
//! `fate`, that decides everything between those who know of it. Who wins a
//! cancel *claims* the listeners it finds, on a [`Chain`] of its own, and
//! delivers along the chain when everything is marked. The owner may give up at
//! any moment. Who ends a node claims the callbacks that are left, and drops
//! them unrun.
//!
//! | `fate` | meaning | for |
//! |---|---|---|
//! | 0 | listening | both |
//! | `CLAIMED` | on a chain, whose holder will deliver it | both |
//! | `OFF` | the owner gave up: it is not delivered | both |
//! | `FIRED` | the waker was taken, the callback is running or has run | both |
//! | `REPLACED` | the waker to wake is in the slot | waiters |
//! | `UNRUN` | the callback was dropped with its context | callbacks |
//! | `GONE` | the registration was dropped or detached | callbacks |
//! | `UNLINKED` | the lane no longer points here | both |
//! | `RELEASED` | the chain no longer points here | both |
//!
//! # Invariants
//!
//! - **W1** `CLAIMED` is set once, and only where `OFF` is not: after `OFF`
//!   there is no claim.
//! - **W2** The first of `OFF`, `FIRED` and `UNRUN` decides who has the waker
//!   or the closure: the owner, the canceller, who ends the node.
//! - **W3** A cell is freed by whoever gives up the last hold on it. The lane
//!   holds it until `UNLINKED`, a chain from `CLAIMED` to `RELEASED`, a
//!   registration until `GONE`. The owner of a waiter has no hold of its own:
//!   it buries the waiter when it gives up.
//! - **W4** `UNLINKED` is set when no walk can come to the cell (L6), and after
//!   it there is no claim.
//! - **W5** Who stops a callback may use the node that it lies in if it took a
//!   pin before it set `OFF` and found neither `CLAIMED` nor `UNRUN`: the end of
//!   the node claims what is not off, and frees the node after every pin of
//!   that time.
//!
//! # Orderings
//!
//! All decisions are read-modify-writes of `fate`, so that they have one order,
//! and that order is all that most of them need: what a cell holds came to the
//! canceller with the push. Those that give up a hold (W3) are AcqRel, so that
//! the one who frees comes after all the others did. `FIRED` of a waiter
//! releases that the node is done, to a poll that comes too late with another
//! waker.
//!
//! Models: `wait_vs_cancel`, `wait_drop_vs_cancel`, `wait_repoll_vs_cancel`,
//! `callback_vs_cancel`, `stop_vs_cancel`, `stop_vs_last_handle`.

mod callback;
mod join;
mod slot;
mod waiter;

pub(crate) use callback::{Callback, Prevented, Stopped};
pub(crate) use slot::WakerSlot;
pub(crate) use waiter::Waiter;

use crate::error::CancelError;
use crate::list::{Link, Linked};
use crate::sync::Ordering::Relaxed;
use crate::sync::{AtomicU32, Cell, Site, prefetch};
use std::ptr::{NonNull, null_mut};
use std::task::Waker;

const CLAIMED: u32 = 1;
const OFF: u32 = 2;
const FIRED: u32 = 4;
const REPLACED: u32 = 8;
const UNRUN: u32 = 16;
const GONE: u32 = 32;
const UNLINKED: u32 = 64;
const RELEASED: u32 = 128;

/// What a listener starts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Waiter,
    Callback,
}

/// The start of every cell in a wait lane.
#[repr(C)]
pub(crate) struct Listener {
    link: Link,
    fate: AtomicU32,
    kind: Kind,
    /// The next on a chain.
    claim_next: Cell<*mut Listener>,
}

impl Listener {
    fn new(kind: Kind, fate: u32) -> Self {
        Self {
            link: Link::new(),
            fate: AtomicU32::new(fate),
            kind,
            claim_next: Cell::new(null_mut()),
        }
    }

    /// Takes the listener on a chain, in front of `next`, unless its owner gave
    /// up or another chain has it.
    ///
    /// # Safety
    ///
    /// The caller may follow the links of this lane (L7).
    unsafe fn claim(&self, next: *mut Listener) -> bool {
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut fate = self.fate.load(Relaxed, Site::FateClaimLoad);
        loop {
            if fate & (OFF | CLAIMED) != 0 {
                return false;
            }
            // Relaxed: decides by its place in the order of `fate`. On failure
            // Relaxed: looked at again.
            let swapped = self.fate.compare_exchange_weak(
                fate,
                fate | CLAIMED,
                Relaxed,
                Relaxed,
                Site::FateClaim,
            );
            match swapped {
                Ok(_) => break,
                Err(now) => fate = now,
            }
        }
        // SAFETY: only the one who claimed uses it (W1).
        unsafe { self.claim_next.set(next) };
        true
    }
}

// A chain or a registration may point to it too, but those have holds of their
// own (W3).
// SAFETY: `link` is the first field, and the layout is C's.
unsafe impl Linked for Listener {
    const WALKED_WHEN_CLOSED: bool = true;

    unsafe fn free(link: NonNull<Link>) {
        let at = link.cast::<Listener>();
        // SAFETY: the lane's hold is given up here at the earliest.
        match unsafe { at.as_ref() }.kind {
            // SAFETY: by the caller.
            Kind::Waiter => unsafe { Waiter::unlinked(at.cast()) },
            // SAFETY: by the caller.
            Kind::Callback => unsafe { Callback::unlinked(at.cast()) },
        }
    }
}

/// How many listeners are neither given up nor delivered.
#[derive(Clone, Copy, Default)]
pub(crate) struct Listening {
    pub(crate) waiters: usize,
    pub(crate) callbacks: usize,
}

impl Listening {
    /// Counts from `newest` on.
    ///
    /// # Safety
    ///
    /// `newest` starts a wait lane, and the caller may follow its links (L7).
    pub(crate) unsafe fn from(newest: *mut Link) -> Self {
        let mut listening = Self::default();
        let mut at = newest;
        while let Some(listener) = NonNull::new(at.cast::<Listener>()) {
            // SAFETY: valid, by the caller.
            let link = unsafe { listener.cast::<Link>().as_ref() };
            at = link.next();
            // SAFETY: the same.
            let listener = unsafe { listener.as_ref() };
            // Relaxed: a count of what changes meanwhile.
            let fate = listener.fate.load(Relaxed, Site::FateCount);
            let counted = usize::from(fate & (OFF | FIRED | UNRUN) == 0);
            match listener.kind {
                Kind::Waiter => listening.waiters += counted,
                Kind::Callback => listening.callbacks += counted,
            }
        }
        listening
    }
}

/// Listeners that were claimed, in the order to deliver them.
#[must_use = "what is claimed must be delivered or dropped"]
pub(crate) struct Chain {
    first: *mut Listener,
    last: *mut Listener,
}

// SAFETY: the listeners are the chain's (W3), and may be used on any thread.
unsafe impl Send for Chain {}

impl Chain {
    pub(crate) fn new() -> Self {
        Self {
            first: null_mut(),
            last: null_mut(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Claims all listeners from `newest` on, the oldest of them first, behind
    /// those claimed before.
    ///
    /// # Safety
    ///
    /// `newest` starts a wait lane that was closed by this thread or before, or
    /// the lane of a node's idlers, and the caller may follow its links (L7).
    pub(crate) unsafe fn claim_all(&mut self, newest: *mut Link) {
        let mut at = newest;
        // Newest first in the lane: each one goes in front.
        let (mut first, mut last) = (null_mut::<Listener>(), null_mut::<Listener>());
        while let Some(listener) = NonNull::new(at.cast::<Listener>()) {
            // SAFETY: valid, by the caller.
            let link = unsafe { listener.cast::<Link>().as_ref() };
            at = link.next();
            // SAFETY: the same.
            let listening = unsafe { listener.as_ref() };
            // SAFETY: by the caller.
            if unsafe { listening.claim(first) } {
                first = listener.as_ptr();
                if last.is_null() {
                    last = first;
                }
            }
        }
        self.append(Chain { first, last });
    }

    /// Puts another chain behind this one.
    pub(crate) fn append(&mut self, other: Chain) {
        if other.is_empty() {
            return;
        }
        if let Some(last) = NonNull::new(self.last).filter(|_| !self.is_empty()) {
            // SAFETY: claimed and not released, so valid (W3).
            let last = unsafe { last.as_ref() };
            // SAFETY: ours.
            unsafe { last.claim_next.set(other.first) };
        } else {
            self.first = other.first;
        }
        self.last = other.last;
    }

    /// The next listener, no longer on the chain.
    fn pop(&mut self) -> Option<NonNull<Listener>> {
        let listener = NonNull::new(self.first)?;
        // SAFETY: claimed and not released, so valid (W3).
        let claimed = unsafe { listener.as_ref() };
        // SAFETY: ours.
        self.first = unsafe { claimed.claim_next.get() };
        prefetch(self.first);
        Some(listener)
    }

    /// Delivers the next listener, if there is one: wakes it, or runs it with
    /// what `error` says. A panic of user's code comes out of here, and the rest
    /// may be delivered nevertheless.
    pub(crate) fn deliver(&mut self, error: impl FnOnce() -> CancelError) -> bool {
        let Some(listener) = self.pop() else {
            return false;
        };
        // SAFETY: claimed and not released, so valid (W3).
        match unsafe { listener.as_ref() }.kind {
            Kind::Waiter => {
                // SAFETY: claimed by us, and not used again.
                let waker = unsafe { Waiter::fire(listener.cast()) };
                waker.into_iter().for_each(Waker::wake);
            }
            // SAFETY: the same.
            Kind::Callback => unsafe { Callback::run(listener.cast(), error) },
        }
        true
    }

    /// The first listener, as a chain of its own.
    pub(crate) fn split_first(&mut self) -> Option<Chain> {
        let listener = self.pop()?;
        // SAFETY: claimed and not released, so valid (W3).
        let claimed = unsafe { listener.as_ref() };
        // SAFETY: ours.
        unsafe { claimed.claim_next.set(null_mut()) };
        Some(Chain {
            first: listener.as_ptr(),
            last: listener.as_ptr(),
        })
    }

    /// Drops the first callback unrun. User's code, whose panic comes out of
    /// here.
    ///
    /// There are no waiters on the chain.
    pub(crate) fn drop_unrun(&mut self) {
        if let Some(listener) = self.pop() {
            // SAFETY: a callback, claimed by us, and not used again.
            unsafe { Callback::drop_unrun(listener.cast()) };
        }
    }
}
