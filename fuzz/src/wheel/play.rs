//! Does the steps, on the oracle and on the library.
//!
//! A call that may run callbacks is made while nothing is borrowed: what they do
//! are steps of their own.

use super::oracle::{Call, Node};
use super::world::{By, Slot, Source, World};
use super::{MOST_NODES, MOST_STEPS, Program, Step, Then, When};
use crate::tools::{assert_given_back, pick, settled_objects};
use ctxtree::{CancelError, Context};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

pub(super) fn run(program: &Program) {
    let before = settled_objects();
    let shared = Shared(Arc::new(Mutex::new(World::new(program.driven))));
    for step in program.steps.iter().take(MOST_STEPS) {
        shared.step(step);
        shared.world().compare();
    }
    shared.tear_down(program.newest_first);
    drop(shared);
    assert_given_back(before);
}

/// The panic of a [`Step::Panic`]: in whose callback.
struct Scripted(Node);

#[derive(Clone)]
struct Shared(Arc<Mutex<World>>);

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0
            .try_lock()
            .expect("borrowed, or a check failed before")
    }

    fn step(&self, step: &Step) {
        let mut world = self.world();
        let inside = !world.calls.is_empty();
        match step {
            Step::Deadline { below, at, then } => self.deadline(&mut world, *below, *at, then),
            Step::Timeout { below, after, then } => {
                self.derive(&mut world, *below, Some(*after), then, |above| {
                    let (context, handle) = above.with_timeout(Duration::from_nanos(*after));
                    (context, By::Handle(handle))
                });
            }
            Step::Idle {
                below,
                length,
                then,
            } => {
                self.derive(&mut world, *below, Some(*length), then, |above| {
                    let length = Duration::from_nanos(*length);
                    let (context, idle) = above.with_idle_timeout(length);
                    (context, By::Idle(idle))
                });
            }
            Step::Plain { below, then } => {
                self.derive(&mut world, *below, None, then, |above| {
                    let (context, handle) = above.with_cancel();
                    (context, By::Handle(handle))
                });
            }
            Step::Shield { below } => {
                let (above, context) = world.above(*below);
                if world.oracle.len() < MOST_NODES {
                    let node = world.oracle.derive(above, true, None);
                    let made = context.without_cancel();
                    self.put(&mut world, node, made, By::Nothing, &Then::default());
                }
            }
            Step::Many {
                below,
                at,
                apart,
                count,
            } => {
                let (first, _) = world.when(*at);
                for number in 0..count % 100 {
                    let after = first - world.oracle.now;
                    let after = after.saturating_add(i128::from(*apart) * i128::from(number));
                    let at = match u64::try_from(after) {
                        Ok(after) => When::In(after),
                        Err(_) if after < 0 => When::Ago((-after) as u64),
                        Err(_) => When::In(u64::MAX),
                    };
                    self.deadline(&mut world, *below, at, &Then::default());
                }
            }
            Step::Churn { below, at, times } => {
                let (_, context) = world.above(*below);
                let (_, at) = world.when(*at);
                for _ in 0..times % 100 {
                    drop(context.with_deadline(at));
                }
            }
            Step::Move { slot, to } => {
                let Some(slot) = picked(&world, *slot) else {
                    return;
                };
                let (to, instant) = world.when(*to);
                drop(world);
                self.call(
                    &slot,
                    |world, call| world.oracle.set_deadline(slot.node, to, call),
                    || slot.by.handle().expect("picked").set_deadline(instant),
                );
            }
            Step::Touch { slot } => {
                let Some(slot) = picked(&world, *slot) else {
                    return;
                };
                let By::Idle(idle) = &slot.by else {
                    return;
                };
                let length = idle.length().as_nanos() as i128;
                let to = (world.oracle.now + length).min(world.oracle.last);
                drop(world);
                self.call(
                    &slot,
                    |world, _| world.oracle.postpone(slot.node, to),
                    || idle.touch(),
                );
            }
            Step::Cancel { slot } => {
                let Some(slot) = picked(&world, *slot) else {
                    return;
                };
                drop(world);
                self.call(
                    &slot,
                    |world, call| world.oracle.cancel(slot.node, false, call),
                    || slot.by.handle().expect("picked").cancel(),
                );
            }
            Step::Drop { slot } => {
                if let Some(place) = pick(*slot, world.slots.len()) {
                    let slot = world.slots.remove(place);
                    let within = world.oracle.running.is_some();
                    world.oracle.let_go(slot.node, within);
                    drop(slot);
                }
            }
            Step::Advance { by } if !inside => {
                let to = world.oracle.now + i128::from(*by);
                if let Source::Manual(clock) = &world.source {
                    let clock = clock.clone();
                    drop(world);
                    self.pass(to, || clock.advance(Duration::from_nanos(*by)));
                } else {
                    world.set_time(to);
                }
            }
            Step::Set { to } if !inside => {
                let (to, instant) = world.when(*to);
                if let Source::Manual(clock) = &world.source {
                    let clock = clock.clone();
                    drop(world);
                    self.pass(to, || clock.set(instant));
                } else {
                    world.set_time(to);
                }
            }
            Step::Run if !inside => {
                if let Source::Driven(_, timers) = &world.source {
                    let timers = timers.clone();
                    drop(world);
                    let next = self
                        .running(|| timers.run())
                        .expect("a driver's panics stay");
                    self.world().ran(next);
                }
            }
            Step::Count => world.count(),
            // Not here, or for callbacks only.
            Step::Advance { .. } | Step::Set { .. } | Step::Run | Step::Panic => {}
        }
    }

    fn deadline(&self, world: &mut World, below: u8, at: When, then: &Then) {
        let (time, instant) = world.when(at);
        let (above, context) = world.above(below);
        if world.oracle.len() == MOST_NODES {
            return;
        }
        let wakes = world.wakes();
        let node = world.oracle.derive(above, false, Some(time));
        let (made, handle) = context.with_deadline(instant);
        let woken = world.wakes() > wakes;
        assert!(!woken || world.sleeps_past(time), "woken for nothing");
        self.put(world, node, made, By::Handle(handle), then);
    }

    /// Derives what is counted from now.
    fn derive(
        &self,
        world: &mut World,
        below: u8,
        after: Option<u64>,
        then: &Then,
        make: impl FnOnce(&Context) -> (Context, By),
    ) {
        let (above, context) = world.above(below);
        if world.oracle.len() == MOST_NODES {
            return;
        }
        let at = after.map(|after| world.oracle.now + i128::from(after));
        // What the clock could not tell is no deadline.
        let at = at.filter(|&at| at <= world.oracle.last);
        let node = world.oracle.derive(above, false, at);
        let (made, by) = make(&context);
        self.put(world, node, made, by, then);
    }

    fn put(&self, world: &mut World, node: Node, context: Context, by: By, then: &Then) {
        world.know(node, &context);
        let is_done = world.oracle.end(node).is_some();
        let born = context.is_cancelled();
        assert_eq!(born, is_done, "whether node {node} is born done");
        if !is_done {
            let (shared, then) = (self.clone(), then.clone());
            let tells = move |error: &CancelError| shared.tells(node, error, &then);
            context.after_cancel(tells).detach();
        }
        world.slots.push(Slot { node, context, by });
    }

    /// The callback of a node.
    fn tells(&self, node: Node, error: &CancelError, then: &Then) {
        if self.0.is_poisoned() {
            // A check has failed, and the rest is of no interest.
            return;
        }
        let call = self.world().told(node, error);
        for step in &then.0 {
            if let Step::Panic = step {
                let mut world = self.world();
                let mut calls = world.calls.iter_mut();
                let (_, panic) = calls.find(|(under, _)| *under == call).expect("under way");
                panic.get_or_insert(node);
                drop(world);
                resume_unwind(Box::new(Scripted(node)));
            }
            self.step(step);
            self.world().see();
        }
    }

    /// Makes a call that delivers what the oracle says, and compares what it
    /// returns.
    fn call(
        &self,
        slot: &Slot,
        expected: impl FnOnce(&mut World, Call) -> bool,
        call: impl FnOnce() -> bool,
    ) {
        let mut world = self.world();
        world.oracle.hold(slot.node);
        let number = world.begin();
        let due = expected(&mut world, number);
        drop(world);
        let said = self.returned(number, call);
        if let Some(said) = said {
            assert_eq!(said, due, "what a call on node {} says", slot.node);
        }
        let mut world = self.world();
        let within = world.oracle.running.is_some();
        world.oracle.let_go(slot.node, within);
    }

    /// Makes a call. None: it panicked, as it had to.
    fn returned<R>(&self, number: Call, call: impl FnOnce() -> R) -> Option<R> {
        let result = catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
            let scripted = panic.downcast::<Scripted>();
            // A check that failed goes on.
            scripted.unwrap_or_else(|other| resume_unwind(other)).0
        });
        let mut world = self.world();
        let (under, due) = world.calls.pop().expect("begun before");
        assert_eq!(under, number);
        world.oracle.returns(number);
        let due = due.filter(|_| !world.swallows(number));
        let panic = result.as_ref().err().copied();
        assert_eq!(panic, due, "whose panic is resumed");
        result.ok()
    }

    /// A call that fires.
    fn running<R>(&self, call: impl FnOnce() -> R) -> Option<R> {
        let mut world = self.world();
        let number = world.begin();
        world.oracle.run(number);
        drop(world);
        // What it ended, and nobody was told of, is seen before it is over.
        let said = self.returned(number, || {
            let said = catch_unwind(AssertUnwindSafe(call));
            self.world().see();
            said.unwrap_or_else(|panic| resume_unwind(panic))
        });
        let mut world = self.world();
        world.oracle.nobody_runs();
        let overdue = world.oracle.overdue();
        assert!(overdue.is_empty(), "never fired: {overdue:?}");
        said
    }

    /// Time passes on a manual clock.
    fn pass(&self, to: i128, call: impl FnOnce()) {
        self.running(call);
        let world = self.world();
        let now = to.min(world.oracle.last);
        assert!(world.oracle.now >= now, "time stands still");
    }

    fn tear_down(&self, newest_first: bool) {
        let mut world = self.world();
        world.compare_ends();
        while !world.slots.is_empty() {
            let place = if newest_first {
                world.slots.len() - 1
            } else {
                0
            };
            let slot = world.slots.remove(place);
            world.oracle.let_go(slot.node, false);
            drop(slot);
            world.count();
        }
        assert_eq!(world.oracle.outstanding(), 0..=0);
    }
}

/// A slot that can be cancelled.
fn picked(world: &World, number: u8) -> Option<Slot> {
    let slot = &world.slots[pick(number, world.slots.len())?];
    slot.by.handle().map(|_| slot.clone())
}

impl World {
    /// A call begins.
    fn begin(&mut self) -> Call {
        self.began += 1;
        self.calls.push((self.began, None));
        self.began
    }

    /// Whether the panics of this call go no further.
    fn swallows(&self, call: Call) -> bool {
        matches!(self.source, Source::Driven(..)) && self.oracle.running == Some(call)
    }
}
