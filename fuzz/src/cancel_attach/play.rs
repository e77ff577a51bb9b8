//! One thread of a race, and what it checks on the way.

use super::shadow::Shadow;
use super::{Act, MOST_STEPS, Script};
use crate::tools::{Tally, assert_asks_agree, cause_number, pick};
use ctxtree::{CancelHandle, CancelledOwned, Cause, Context, Id};
use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{self, Poll, Waker};

/// A handle that a thread holds.
pub(super) struct Slot {
    pub(super) shadow: Arc<Shadow>,
    pub(super) handle: Handle,
    /// What it said when it was first seen done.
    answer: Option<Answer>,
}

pub(super) enum Handle {
    Observe(Context),
    Cancel(CancelHandle),
}

/// What must never change again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    pub(super) origin: Id,
    pub(super) cause: Option<u32>,
}

impl Slot {
    pub(super) fn new(shadow: Arc<Shadow>, handle: Handle) -> Slot {
        Slot {
            shadow,
            handle,
            answer: None,
        }
    }

    pub(super) fn context(&self) -> &Context {
        match &self.handle {
            Handle::Observe(context) => context,
            Handle::Cancel(handle) => handle.context(),
        }
    }

    pub(super) fn duplicate(&self) -> Slot {
        let handle = match &self.handle {
            Handle::Observe(context) => Handle::Observe(context.clone()),
            Handle::Cancel(handle) => Handle::Cancel(handle.clone()),
        };
        Slot {
            shadow: self.shadow.clone(),
            handle,
            answer: self.answer,
        }
    }

    /// Asks, and compares with what was said before.
    pub(super) fn observe(&mut self) -> Option<Answer> {
        let context = self.context();
        let answer = context.error().map(|error| {
            assert_asks_agree(context, &error);
            Answer {
                origin: error.origin(),
                cause: cause_number(&error),
            }
        });
        if self.answer.is_some() {
            assert_eq!(answer, self.answer, "a done context changed its mind");
        }
        self.answer = answer;
        answer
    }
}

/// A wait that a thread holds, with two wakers.
pub(super) struct Waiting {
    pub(super) shadow: Arc<Shadow>,
    future: CancelledOwned,
    bells: [Arc<Bell>; 2],
    last: Last,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Pending(bool),
    Ready,
}

/// Counts its wakes, and tells when the last one came.
#[derive(Default)]
struct Bell {
    wakes: AtomicUsize,
    stamp: AtomicUsize,
}

impl task::Wake for Bell {
    fn wake(self: Arc<Self>) {
        static STAMPS: AtomicUsize = AtomicUsize::new(1);
        self.stamp.store(STAMPS.fetch_add(1, SeqCst), SeqCst);
        self.wakes.fetch_add(1, SeqCst);
    }
}

impl Waiting {
    /// Makes a wait, and polls it.
    pub(super) fn new(shadow: Arc<Shadow>, context: Context) -> Waiting {
        let mut waiting = Waiting {
            shadow,
            future: context.cancelled_owned(),
            bells: Default::default(),
            last: Last::Ready,
        };
        waiting.poll(false);
        waiting
    }

    fn poll(&mut self, waker: bool) {
        let bell = Waker::from(self.bells[usize::from(waker)].clone());
        let mut task = task::Context::from_waker(&bell);
        self.last = match Pin::new(&mut self.future).poll(&mut task) {
            Poll::Pending => Last::Pending(waker),
            Poll::Ready(_) => Last::Ready,
        };
    }

    /// When all have stopped: exactly one wake for a wait that was pending.
    pub(super) fn assert_woken(&mut self) {
        let done = self.shadow.must_be_done();
        let wakes = self.bells.each_ref().map(|bell| bell.wakes.load(SeqCst));
        match self.last {
            Last::Pending(waker) if done => {
                let woken = wakes[usize::from(waker)];
                assert_eq!(woken, 1, "wakes of a wait that was pending");
            }
            Last::Pending(_) => assert_eq!(wakes, [0, 0], "woken while live"),
            Last::Ready => assert!(done, "ready while live"),
        }
        self.poll(false);
        assert_eq!(self.last == Last::Ready, done, "polled after all is over");
    }

    /// When its first waker was woken.
    pub(super) fn stamp(&self) -> usize {
        self.bells[0].stamp.load(SeqCst)
    }

    /// Drops it; checks what can be said whoever was faster.
    pub(super) fn give_up(self) -> [Quiet; 2] {
        drop(self.future);
        self.bells.map(Quiet)
    }
}

/// A waker of a wait that is gone.
pub(super) struct Quiet(Arc<Bell>);

impl Quiet {
    /// When all have stopped: no second wake, and nobody holds it.
    pub(super) fn assert_forgotten(&self) {
        assert!(self.0.wakes.load(SeqCst) <= 1, "woken twice");
        assert_eq!(Arc::strong_count(&self.0), 1, "a waker was kept");
    }
}

/// What a thread starts with, and what it has left.
#[derive(Default)]
pub(super) struct Hand {
    pub(super) slots: Vec<Slot>,
    pub(super) waits: Vec<Waiting>,
    pub(super) quiet: Vec<Quiet>,
    /// Causes that this thread gave, numbered from the thread's own thousand.
    pub(super) causes_made: u32,
}

impl Hand {
    /// Drops all handles and waits.
    pub(super) fn drop_all(&mut self) {
        self.slots.clear();
        for waiting in self.waits.drain(..) {
            self.quiet.extend(waiting.give_up());
        }
    }

    /// Does what the script says, after a spin that shifts the threads against
    /// each other.
    pub(super) fn play(&mut self, script: &Script, causes: &Tally, shift: usize) {
        spin(shift);
        for step in script.steps.iter().take(MOST_STEPS) {
            spin(step.spin.into());
            self.act(step.act, causes);
        }
        for slot in &mut self.slots {
            slot.observe();
        }
        if script.drop_all {
            self.drop_all();
        }
    }

    fn act(&mut self, act: Act, causes: &Tally) {
        let (slots, waits) = (self.slots.len(), self.waits.len());
        match act {
            Act::Derive { slot } => {
                if let Some(slot) = pick(slot, slots) {
                    self.derive(slot);
                }
            }
            Act::Shield { slot } => {
                if let Some(slot) = pick(slot, slots) {
                    let above = &self.slots[slot];
                    let shadow = Shadow::new(Some(&above.shadow), true);
                    let shield = above.context().without_cancel();
                    assert!(!shield.is_cancelled(), "a shield is done");
                    self.slots.push(Slot::new(shadow, Handle::Observe(shield)));
                }
            }
            Act::Churn { slot, times } => {
                if let Some(slot) = pick(slot, slots) {
                    for _ in 0..times % 40 {
                        drop(self.slots[slot].context().with_cancel());
                    }
                }
            }
            Act::Clone { slot } => {
                if let Some(slot) = pick(slot, slots) {
                    self.slots.push(self.slots[slot].duplicate());
                }
            }
            Act::Drop { slot } => {
                if let Some(slot) = pick(slot, slots) {
                    self.slots.remove(slot);
                }
            }
            Act::Cancel { handle } => self.cancel(handle, None),
            Act::CancelWith { handle } => self.cancel(handle, Some(causes)),
            Act::Split { slot } => {
                if let Some(slot) = pick(slot, slots) {
                    ctxtree::model::split(self.slots[slot].context());
                }
            }
            Act::Look { slot } => {
                if let Some(slot) = pick(slot, slots) {
                    self.look(slot);
                }
            }
            Act::Wait { slot } => {
                if let Some(slot) = pick(slot, slots) {
                    let Slot { shadow, .. } = &self.slots[slot];
                    let context = self.slots[slot].context().clone();
                    self.waits.push(Waiting::new(shadow.clone(), context));
                }
            }
            Act::Poll { wait, waker } => {
                if let Some(wait) = pick(wait, waits) {
                    self.waits[wait].poll(waker);
                }
            }
            Act::DropWait { wait } => {
                if let Some(wait) = pick(wait, waits) {
                    let waiting = self.waits.remove(wait);
                    self.quiet.extend(waiting.give_up());
                }
            }
        }
    }

    fn derive(&mut self, slot: usize) {
        let above = &mut self.slots[slot];
        let inherited = above.observe();
        let (child, handle) = above.context().with_cancel();
        let shadow = Shadow::new(Some(&above.shadow), false);
        let mut child = Slot::new(shadow.clone(), Handle::Observe(child));
        if inherited.is_some() {
            assert_eq!(child.observe(), inherited, "born below a done context");
        }
        self.slots.push(child);
        self.slots.push(Slot::new(shadow, Handle::Cancel(handle)));
    }

    fn cancel(&mut self, number: u8, with: Option<&Tally>) {
        let handles: Vec<usize> = (0..self.slots.len())
            .filter(|&slot| matches!(self.slots[slot].handle, Handle::Cancel(_)))
            .collect();
        let Some(place) = pick(number, handles.len()) else {
            return;
        };
        let Slot { shadow, handle, .. } = &self.slots[handles[place]];
        let Handle::Cancel(handle) = handle else {
            unreachable!("picked among the handles");
        };
        shadow.about_to_cancel();
        let (won, number) = match with {
            None => (handle.cancel(), None),
            Some(causes) => {
                self.causes_made += 1;
                let number = self.causes_made;
                (
                    handle.cancel_with(Cause::new(causes.make(number))),
                    Some(number),
                )
            }
        };
        for slot in &self.slots {
            let reached = slot.shadow.hears(shadow);
            let done = !reached || slot.context().is_cancelled();
            assert!(done, "cancel has returned, and something below is live");
        }
        if won {
            shadow.has_won(number);
        }
    }

    fn look(&mut self, slot: usize) {
        let slot = &mut self.slots[slot];
        let _ = slot.context().live_children();
        assert_is_a_tree(slot.context());
        let _ = format!("{:?} {}", slot.context(), slot.context());
        let (answer, shadow) = (slot.observe(), slot.shadow.clone());
        let Some(answer) = answer else {
            return;
        };
        for above in &self.slots {
            let ancestor = shadow
                .upwards()
                .any(|node| std::ptr::eq(node, &*above.shadow));
            if ancestor && above.context().id() == answer.origin {
                let done = above.context().is_cancelled();
                assert!(done, "done by an ancestor that is live");
            }
        }
    }
}

/// What is shown below a context hangs together, whatever happens meanwhile.
fn assert_is_a_tree(context: &Context) {
    let shown = context.tree();
    let mut ids = HashSet::new();
    for node in shown.nodes() {
        match node.parent() {
            None => assert_eq!(node.id(), context.id(), "shown without a parent"),
            Some(parent) => assert!(ids.contains(&parent), "shown before its parent"),
        }
        assert!(ids.insert(node.id()), "shown twice");
    }
}

fn spin(times: usize) {
    for _ in 0..times {
        std::hint::spin_loop();
    }
}
