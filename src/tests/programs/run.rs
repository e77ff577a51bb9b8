//! Does the operations, on the reference first and then on the library.
//!
//! A call that may run user's code is made while nothing is borrowed, with the
//! handle taken out of its slot: what the wakers and callbacks of that call do
//! are operations of their own, and the handle that is in use is not theirs.

use super::super::reference::{Callback, Delivery, Node};
use super::derive::derive;
use super::registered::{drop_registered, drop_registration, drop_wait, end, poll, stop};
use super::world::{Bell, Handle, Slot, Waiting, World};
use super::{List, Op, Program};
use ctxtree::{CancelError, CancelHandle, Cause};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task;

/// Runs a program. Nobody else may use the library in this process meanwhile,
/// as its objects are counted.
///
/// # Panics
///
/// If the library and the reference differ, or something leaks.
pub(crate) fn run(program: &Program) {
    let before = settled_objects();
    let shared = Shared(Arc::new(Mutex::new(World::new(program.curious))));
    for op in &program.ops {
        shared.step(op);
    }
    if program.cancel_all {
        let handles = shared.world().cancel_handles().len();
        for handle in 0..handles.min(256) {
            shared.step(&Op::Cancel {
                handle: handle as u8,
            });
        }
    }
    shared.tear_down(program.newest_first);
    assert_given_back(before);
}

/// How many objects the library has, once it has given back what it can: a
/// program that failed may have left some for later.
pub(crate) fn settled_objects() -> usize {
    loop {
        let before = ctxtree::model::live_objects();
        ctxtree::model::collect();
        if ctxtree::model::live_objects() == before {
            return before;
        }
    }
}

/// Fails unless the library gives back all that it allocated since it had
/// `before` objects. Every thread that used it must have ended.
pub(crate) fn assert_given_back(before: usize) {
    // One call frees a bounded number of objects, fewer under a sanitizer.
    for _ in 0..1000 {
        if ctxtree::model::live_objects() <= before {
            break;
        }
        ctxtree::model::collect();
    }
    assert_eq!(ctxtree::model::live_objects(), before, "objects leaked");
}

/// What a number means, where there are `len` things to choose from.
pub(crate) fn pick(number: u8, len: usize) -> Option<usize> {
    usize::from(number).checked_rem(len)
}

/// The panic of an [`Op::Panic`]: by which delivery.
struct Scripted(Delivery);

/// The world, for whoever may get to do something in it.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<World>>);

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0
            .try_lock()
            .expect("borrowed, or a check failed before")
    }

    /// An operation of the program, or within a delivery.
    fn step(&self, op: &Op) {
        self.apply(op);
        let mut world = self.world();
        match world.reference.is_cancelling() {
            true => world.compare_ends(),
            false => world.compare(),
        }
    }

    fn apply(&self, op: &Op) {
        let mut world = self.world();
        let slots = world.slots.len();
        match op {
            Op::Derive { from, how } => derive(&mut world, *from, how),
            Op::Churn { slot, times } => {
                if let Some(slot) = pick(*slot, slots) {
                    for _ in 0..times % 40 {
                        drop(world.slots[slot].handle.context().with_cancel());
                    }
                }
            }
            Op::Clone { slot } => {
                if let Some(slot) = pick(*slot, slots) {
                    let Slot { node, handle, .. } = &world.slots[slot];
                    let (node, clone) = match handle {
                        Handle::Observe(context) => (*node, Handle::Observe(context.clone())),
                        Handle::Cancel(handle) => (*node, Handle::Cancel(handle.clone())),
                        Handle::Guard(guard, _) => (*node, Handle::Observe((**guard).clone())),
                    };
                    world.put(node, clone);
                }
            }
            Op::Drop { slot } => {
                if let Some(slot) = pick(*slot, slots) {
                    let slot = world.slots.remove(slot);
                    drop(world);
                    self.drop_handle(slot.node, slot.handle);
                }
            }
            Op::Cancel { handle } => {
                drop(world);
                self.cancel(*handle, false);
            }
            Op::CancelWith { handle } => {
                drop(world);
                self.cancel(*handle, true);
            }
            Op::Guard { slot } => {
                if let Some(slot) = pick(*slot, slots) {
                    let mut slot = world.slots.remove(slot);
                    slot.handle = match slot.handle {
                        Handle::Observe(context) => Handle::Observe(context),
                        Handle::Cancel(handle) => Handle::Guard(handle.drop_guard(), line!()),
                        Handle::Guard(guard, _) => Handle::Cancel(guard.disarm()),
                    };
                    world.put_back(slot);
                }
            }
            Op::Split { slot } => {
                if let Some(slot) = pick(*slot, slots) {
                    ctxtree::model::split(world.slots[slot].handle.context());
                }
            }
            Op::Ask { slot } => {
                if let Some(slot) = pick(*slot, slots) {
                    world.ask(slot);
                }
            }
            Op::Idle { slot } => {
                if let Some(slot) = pick(*slot, slots) {
                    world.ask_idle(slot);
                }
            }
            Op::Wait { slot, then } => self.wait(&mut world, *slot, then),
            Op::Poll { wait, waker } => {
                if let Some(wait) = pick(*wait, world.waits.len()) {
                    poll(&mut world, wait, *waker);
                }
            }
            Op::DropWait { wait } => {
                if let Some(wait) = pick(*wait, world.waits.len()) {
                    drop_wait(&mut world, wait);
                }
            }
            Op::After { slot, then } => {
                drop(world);
                self.after_cancel(*slot, then);
            }
            Op::Stop { registration, join } => {
                if let Some(place) = pick(*registration, world.registrations.len()) {
                    stop(&mut world, place, *join);
                }
            }
            Op::DropRegistration { registration } => {
                if let Some(place) = pick(*registration, world.registrations.len()) {
                    drop_registration(&mut world, place);
                }
            }
            Op::Detach { registration } => {
                if let Some(place) = pick(*registration, world.registrations.len()) {
                    let (callback, registration) = world.registrations.remove(place);
                    world.reference.detach(callback);
                    registration.detach();
                }
            }
            Op::Fire { source } => {
                let armed = world.sources.armed();
                if let Some(place) = pick(*source, armed.len()) {
                    let notify = world.sources.take(armed[place]);
                    world.reference.fire(armed[place] as usize);
                    drop(world);
                    self.delivering(notify);
                }
            }
            // Only a delivery knows what to do.
            Op::Panic => {}
        }
    }

    fn cancel(&self, number: u8, with_cause: bool) {
        let mut world = self.world();
        let handles = world.cancel_handles();
        let Some(place) = pick(number, handles.len()) else {
            return;
        };
        let slot = world.slots.remove(handles[place]);
        let Handle::Cancel(handle) = &slot.handle else {
            unreachable!("picked among the handles");
        };
        let (cause, line) = if with_cause {
            let number = world.number();
            let cause = Cause::new(world.causes.make(number));
            (Some((number, cause)), CANCEL_WITH_LINE)
        } else {
            (None, CANCEL_LINE)
        };
        let number = cause.as_ref().map(|(number, _)| *number);
        let wins = world.reference.cancel(slot.node, number, Some(line));
        drop(world);
        let won = self.delivering(|| match cause {
            None => do_cancel(handle),
            Some((_, cause)) => do_cancel_with(handle, cause),
        });
        if let Some(won) = won {
            assert_eq!(won, wins, "who won the cancel of node {}", slot.node);
        }
        self.world().put_back(slot);
    }

    fn drop_handle(&self, node: Node, handle: Handle) {
        if let Handle::Guard(_, line) = handle {
            self.world().reference.cancel(node, None, Some(line));
            self.delivering(|| drop(handle));
            self.world().reference.let_go(node);
        } else {
            self.world().reference.let_go(node);
            drop(handle);
        }
    }

    /// Makes a call that the reference knows to cancel. None: it panicked, as
    /// it had to.
    fn delivering<R>(&self, call: impl FnOnce() -> R) -> Option<R> {
        let result = catch(call);
        let panic = self.world().reference.cancelled();
        let thrown = result.as_ref().err().copied();
        assert_eq!(thrown, panic, "whose panic is resumed");
        result.ok()
    }

    /// Something is delivered: does what is to be done then.
    fn delivered(&self, delivery: Delivery, then: &List<Op>) {
        let mut world = self.world();
        world.reference.deliver(delivery);
        world.compare_ends();
        drop(world);
        let ran = catch(|| {
            for op in &then.0 {
                if let Op::Panic = op {
                    resume_unwind(Box::new(Scripted(delivery)));
                }
                self.step(op);
            }
        });
        let mut world = self.world();
        if let Delivery::Run { callback } = delivery {
            world.reference.ran(callback);
        }
        if ran.is_err() {
            world.reference.panics(delivery);
            drop(world);
            resume_unwind(Box::new(Scripted(delivery)));
        }
    }

    fn after_cancel(&self, slot: u8, then: &List<Op>) {
        let mut world = self.world();
        let (node, context) = world.slot_or_root(slot);
        let callback = world.reference.after_cancel(node);
        let mark = world.closures.make(callback as u32);
        drop(world);
        let (shared, then) = (self.clone(), then.clone());
        let registration = self.delivering(|| {
            context.after_cancel(move |error| {
                let _mark = mark;
                shared.runs(callback, error, &then);
            })
        });
        let registration = registration.map(|registration| (callback, registration));
        self.world().registrations.extend(registration);
        drop(context);
    }

    fn runs(&self, callback: Callback, error: &CancelError, then: &List<Op>) {
        let mut world = self.world();
        let node = world.reference.registered_on(callback);
        world.compare_told(node, error);
        drop(world);
        self.delivered(Delivery::Run { callback }, then);
    }

    fn wait(&self, world: &mut World, slot: u8, then: &List<Op>) {
        let (node, context) = world.slot_or_root(slot);
        let wait = world.reference.wait(node);
        let bells = [false, true].map(|waker| {
            Arc::new(Bell {
                wait,
                waker,
                world: self.clone(),
                then: then.clone(),
            })
        });
        let future = context.cancelled_owned();
        world.waits.push(Waiting {
            wait,
            future,
            bells,
        });
    }

    /// Drops what is left, and compares meanwhile.
    fn tear_down(&self, newest_first: bool) {
        let mut world = self.world();
        for slot in 0..world.slots.len() {
            world.ask(slot);
        }
        // Newest first also means: what is registered before what it is on.
        if newest_first {
            drop_registered(&mut world, true);
        }
        while !world.slots.is_empty() {
            let place = end(world.slots.len(), newest_first);
            let slot = world.slots.remove(place);
            drop(world);
            self.drop_handle(slot.node, slot.handle);
            world = self.world();
            world.compare();
        }
        drop_registered(&mut world, newest_first);
        assert_eq!(world.causes.live(), [], "causes leaked");
        assert_eq!(world.sources.objects.live(), [], "sources leaked");
        assert_eq!(
            world.sources.registrations.live(),
            [],
            "registrations leaked"
        );
        assert_eq!(world.closures.live(), [], "closures leaked");
        assert_eq!(world.values.live(), [], "values leaked");
    }
}

impl task::Wake for Bell {
    fn wake(self: Arc<Self>) {
        let (wait, waker) = (self.wait, self.waker);
        self.world
            .delivered(Delivery::Wake { wait, waker }, &self.then);
    }
}

/// Calls, and tells by which delivery it panicked. A check that failed goes on.
fn catch<R>(call: impl FnOnce() -> R) -> Result<R, Delivery> {
    let scripted = |panic: Box<dyn Any + Send>| match panic.downcast::<Scripted>() {
        Ok(scripted) => scripted.0,
        Err(other) => resume_unwind(other),
    };
    catch_unwind(AssertUnwindSafe(call)).map_err(scripted)
}

/// Where all cancels are called.
pub(super) const FILE: &str = file!();

const CANCEL_LINE: u32 = line!() + 3;
fn do_cancel(handle: &CancelHandle) -> bool {
    // The next line is the location of the cancel.
    handle.cancel()
}

const CANCEL_WITH_LINE: u32 = line!() + 3;
fn do_cancel_with(handle: &CancelHandle, cause: Cause) -> bool {
    // The next line is the location of the cancel.
    handle.cancel_with(cause)
}
