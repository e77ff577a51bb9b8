//! Histories: many threads on one tree, and what they saw checked afterwards.
//!
//! # What is run
//!
//! A seed gives a small tree of contexts, some with a deadline or a second
//! parent, and eight threads with up to four calls each: derive, link, cancel
//! with a cause, ask, ask why, wait, drop, register a callback, stop one, set a
//! deadline, let time pass. Each call is written down with the moments when it
//! began and ended, so is each run of a callback. At the end those threads that
//! kept their handles ask why of each context they still hold.
//!
//! # What is checked
//!
//! Whether there is an order of moments, one or two of each call and within its
//! time, in which a plain sequential tree gives all the same answers. Only two
//! things are not one moment by design, and the specification says so:
//!
//! - A cancel is two. The first marks the one context, and says who won. The
//!   other comes before it returns: all below is marked by then (V3), no matter
//!   whether it won. In between a context may be live below one that is done
//!   (V4's window).
//! - A context inherits from a parent that is done at any moment, by itself. A
//!   child that is done thus proves its parent done before (V4), and has the
//!   very same cause and origin (V1, V6). So does a deadline that has come.
//!
//! | call | may happen when | and then |
//! |---|---|---|
//! | derive, link | always | the child is born done if a parent is done (V5) |
//! | cancel: true | the context is live | it is done, with that cause, for ever (V6) |
//! | cancel: false | it is done | |
//! | before a cancel returns | all below is done (V3) | |
//! | ask, ask why | as they say | |
//! | wait | it is done; a wait that never ends is a deadlock (V16) | |
//! | drop | always | it still relays (V9); no cancel need reach the context itself |
//! | a callback runs | it is registered, not run, not stopped (V13), its context is done, and so is all below the origin (V12) | it has run |
//! | stop | prevented: not run; finished: it has run; running: its context is done | prevented: it never runs |
//! | deadline set: true | the context is live | it has that deadline |
//! | before that returns | it is done, if the time had come and does not pass meanwhile | |
//! | deadline set: false | it is done when this returns, by that very deadline maybe | |
//! | time passes | always | it is later |
//! | before that returns | each context whose deadline has come is done, or something above it is, but for those whose deadline is set meanwhile | |
//!
//! Outside the order: a callback on a context that is held until the end has run
//! or was prevented (V13), a callback that was not run at once ran on the thread
//! that won the cancel, unless there is a link above (V17), and everything is freed.
//!
//! Who decides a link delivers what is below it, maybe before its cancel has reached
//! all that is elsewhere: of those callbacks only what is below them is checked.
//! Not checked: the order of deliveries, locations, what several threads that
//! let time pass at once leave to each other.

mod program;
mod record;
mod search;
mod spec;
mod verdict;

use crate::tools::{thread, wait};
use ctxtree::time::ManualClock;
use ctxtree::{CancelHandle, Context, Registration};
use program::{Call, Node, Program};
use record::{Answer, Event, Recorder, What};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use thread::ThreadId;

/// One thread's handles, by the number of the context.
type Held = Vec<Option<(Context, CancelHandle)>>;

/// What the threads share.
struct Stage {
    recorder: Recorder,
    clock: ManualClock,
    start: Instant,
    /// Who the threads are.
    threads: Mutex<HashMap<ThreadId, usize>>,
}

/// Runs any program, or that of the environment variable `PROGRAM`, on so many
/// schedules: how many it were.
///
/// # Panics
///
/// As [`check`].
#[cfg(ctxtree_shuttle)]
pub fn explore(epochs: crate::Epochs, schedules: usize) -> usize {
    use shuttle::rand::{RngCore, thread_rng};

    let seed = std::env::var("PROGRAM").ok();
    let seed: Option<u64> = seed.map(|text| text.parse().expect("PROGRAM is a number"));
    crate::schedules::explore(epochs, schedules, move || {
        // Drawn by shuttle, so that a schedule names its program.
        let drawn = thread_rng().next_u64();
        check(seed.unwrap_or(drawn));
    })
}

/// Runs the program of that seed, and checks its history.
///
/// # Panics
///
/// If nothing explains what was seen.
pub fn check(seed: u64) {
    let program = Arc::new(Program::draw(seed));
    let events = run(&program);
    if let Some(fault) = verdict::fault(&program, &events) {
        let mut events = events;
        events.sort_by_key(|event| event.began);
        let lines: Vec<String> = events.iter().map(|event| format!("  {event}\n")).collect();
        panic!("{fault}\n{program}history\n{}", lines.concat());
    }
}

fn run(program: &Arc<Program>) -> Vec<Event> {
    let clock = ManualClock::new();
    let stage = Arc::new(Stage {
        recorder: Recorder::default(),
        start: clock.now(),
        clock,
        threads: Mutex::default(),
    });
    let mut shared: Held = plant(program, &stage);
    shared.resize_with(program.nodes, || None);
    let threads: Vec<_> = (0..program.threads.len())
        .map(|index| {
            let (stage, program) = (stage.clone(), program.clone());
            let held = shared.clone();
            thread::spawn(move || {
                let mut actor = Actor {
                    index,
                    held,
                    registered: Vec::new(),
                    stage,
                };
                actor.stage.enter(index);
                for &call in &program.threads[index].calls {
                    actor.call(call);
                }
                actor.leave(&program)
            })
        })
        .collect();
    drop(shared);
    let kept: Vec<Held> = threads
        .into_iter()
        .map(|thread| thread.join().expect("a thread failed"))
        .collect();
    for (index, held) in kept.iter().enumerate() {
        for (node, held) in held.iter().enumerate() {
            if let Some((context, _)) = held {
                ask_why(&stage.recorder, index, node, context);
            }
        }
    }
    let events = stage.recorder.events();
    drop(kept);
    events
}

fn plant(program: &Program, stage: &Stage) -> Held {
    let top = Context::background().with_clock(&stage.clock);
    let mut shared: Held = Vec::new();
    for (node, (parents, deadline)) in program.shape.iter().enumerate() {
        let of = |parent: Node| &shared[parent].as_ref().expect("planted before").0;
        let pair = match (&parents[..], deadline) {
            ([], _) => top.with_cancel(),
            (&[parent], None) => of(parent).with_cancel(),
            (&[parent], &Some(at)) => of(parent).with_deadline(stage.at(at)),
            (&[parent, ref others @ ..], _) => of(parent).link(others.iter().map(|&at| of(at))),
        };
        stage.recorder.name(pair.0.id(), node);
        shared.push(Some(pair));
    }
    shared
}

fn ask_why(recorder: &Recorder, thread: usize, node: Node, context: &Context) {
    let event = recorder.begin(thread, What::Call(Call::AskWhy(node)));
    let why = context.error().map(|error| recorder.why(&error));
    recorder.end(event, Answer::Why(why));
}

impl Stage {
    fn at(&self, units: u64) -> Instant {
        self.start + Duration::from_millis(units)
    }

    /// The number of this thread.
    fn here(&self) -> usize {
        let threads = self.threads.lock().expect("nobody panics here");
        threads[&thread::current().id()]
    }

    fn enter(&self, index: usize) {
        let mut threads = self.threads.lock().expect("nobody panics here");
        threads.insert(thread::current().id(), index);
    }
}

/// One thread.
struct Actor {
    index: usize,
    held: Held,
    registered: Vec<(usize, Registration)>,
    stage: Arc<Stage>,
}

impl Actor {
    fn held(&self, node: Node) -> &(Context, CancelHandle) {
        self.held[node]
            .as_ref()
            .expect("a program uses what it has")
    }

    fn call(&mut self, call: Call) {
        let stage = self.stage.clone();
        let recorder = &stage.recorder;
        let event = recorder.begin(self.index, What::Call(call));
        let answer = match call {
            Call::Derive(parent, child) => {
                let pair = self.held(parent).0.with_cancel();
                self.named(child, pair)
            }
            Call::Link(parent, other, child) => {
                let pair = self.held(parent).0.link([&self.held(other).0]);
                self.named(child, pair)
            }
            Call::Cancel(node) => {
                let won = self.held(node).1.cancel_with(event.to_string());
                Answer::Yes(won)
            }
            Call::Ask(node) => Answer::Yes(self.held(node).0.is_cancelled()),
            Call::AskWhy(node) => {
                let error = self.held(node).0.error();
                Answer::Why(error.map(|error| recorder.why(&error)))
            }
            Call::Wait(node) => {
                wait(self.held(node).0.cancelled());
                Answer::Nothing
            }
            Call::Drop(node) => {
                self.held[node] = None;
                Answer::Nothing
            }
            Call::Register(node, callback) => {
                let registration = self.register(node, callback);
                self.registered.push((callback, registration));
                Answer::Nothing
            }
            Call::Stop(callback) => {
                let mut all = self.registered.iter();
                let found = all.find(|(number, _)| *number == callback);
                Answer::Stop(found.expect("a program stops its own").1.stop())
            }
            Call::SetDeadline(node, at) => {
                Answer::Yes(self.held(node).1.set_deadline(stage.at(at)))
            }
            Call::Advance(to) => {
                stage.clock.set(stage.at(to));
                Answer::Nothing
            }
        };
        recorder.end(event, answer);
        if let Call::Derive(_, child) | Call::Link(_, _, child) = call {
            ask_why(recorder, self.index, child, &self.held(child).0);
        }
    }

    fn named(&mut self, child: Node, pair: (Context, CancelHandle)) -> Answer {
        self.stage.recorder.name(pair.0.id(), child);
        self.held[child] = Some(pair);
        Answer::Nothing
    }

    fn register(&self, node: Node, callback: usize) -> Registration {
        let stage = self.stage.clone();
        self.held(node).0.after_cancel(move |error| {
            let why = stage.recorder.why(error);
            let (run, answer) = (What::Run(callback), Answer::Why(Some(why)));
            stage.recorder.note(stage.here(), run, answer);
        })
    }

    /// Gives up what it has, or hands it on.
    fn leave(mut self, program: &Program) -> Held {
        for (_, registration) in self.registered.drain(..) {
            registration.detach();
        }
        let shared = program.shape.len();
        if !program.threads[self.index].keeps {
            for node in shared..program.nodes {
                if self.held[node].is_some() {
                    self.call(Call::Drop(node));
                }
            }
            for node in 0..shared {
                if self.index != 0 || !program.is_link(node) {
                    self.held[node] = None;
                }
            }
        }
        self.held
    }
}
