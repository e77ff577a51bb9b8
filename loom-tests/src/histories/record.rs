//! What was called and what came back, in the order of time.
//!
//! No part of what is explored: no thread is switched in the middle.

use super::program::{Call, Node};
use ctxtree::{CancelError, Id, Reason, Stop};
use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;

/// Why a context is done: the number of its cause, and who had it first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Why {
    pub(super) cause: Cause,
    pub(super) origin: Node,
}

/// The cause of an end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Cause {
    /// A cancel, the event of that number.
    Cancel(usize),
    /// A deadline.
    Deadline,
}

/// What came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Nothing,
    Yes(bool),
    Why(Option<Why>),
    Stop(Stop),
}

/// What an event is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    Call(Call),
    /// The callback of that number runs.
    Run(usize),
}

/// A call, or the run of a callback.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) thread: usize,
    pub(super) what: What,
    pub(super) answer: Answer,
    /// When it began.
    pub(super) began: usize,
    /// When it ended; an event without duration ends when it begins.
    pub(super) ended: usize,
}

#[derive(Default)]
struct Inner {
    time: usize,
    events: Vec<Event>,
    ids: HashMap<Id, Node>,
}

/// Where all threads write down what they do.
#[derive(Default)]
pub(super) struct Recorder(Mutex<Inner>);

impl Recorder {
    fn with<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        // A failed assertion of one thread is not to hide behind another's.
        f(&mut self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// The context of that number.
    pub(super) fn name(&self, id: Id, node: Node) {
        self.with(|inner| inner.ids.insert(id, node));
    }

    /// A call begins: its number.
    pub(super) fn begin(&self, thread: usize, what: What) -> usize {
        self.with(|inner| {
            inner.time += 1;
            inner.events.push(Event {
                thread,
                what,
                answer: Answer::Nothing,
                began: inner.time,
                ended: usize::MAX,
            });
            inner.events.len() - 1
        })
    }

    /// It ends.
    pub(super) fn end(&self, event: usize, answer: Answer) {
        self.with(|inner| {
            inner.time += 1;
            inner.events[event].ended = inner.time;
            inner.events[event].answer = answer;
        });
    }

    /// Something without duration.
    pub(super) fn note(&self, thread: usize, what: What, answer: Answer) {
        self.with(|inner| {
            inner.time += 1;
            inner.events.push(Event {
                thread,
                what,
                answer,
                began: inner.time,
                ended: inner.time,
            });
        });
    }

    /// What an error says.
    ///
    /// # Panics
    ///
    /// If it contradicts itself, or names what nobody has done.
    pub(super) fn why(&self, error: &CancelError) -> Why {
        let origin = self.with(|inner| inner.ids.get(&error.origin()).copied());
        let cause = error.cause().map(|cause| cause.to_string());
        let cause = match (error.reason(), cause) {
            (Reason::Cancelled, Some(text)) => {
                Cause::Cancel(text.parse().expect("the cause is the number of a call"))
            }
            (Reason::DeadlineExceeded, None) => Cause::Deadline,
            odd => panic!("nobody gave {odd:?}"),
        };
        Why {
            cause,
            origin: origin.expect("the origin is a context of this program"),
        }
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.with(|inner| inner.events.clone())
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (began, ended, thread) = (self.began, self.ended, self.thread);
        write!(f, "{began:>4} to {ended:>4}  thread {thread}: ")?;
        write!(f, "{:?} -> {:?}", self.what, self.answer)
    }
}
