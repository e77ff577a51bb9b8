//! A token of another library, for the tests of foreign parents.

use crate::{CancelSource, Cause};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

type Notify = Box<dyn FnOnce() + Send>;

/// Cancelled once, calls back whoever registered. Clones are one token.
#[derive(Clone, Default)]
pub(super) struct Token(Arc<Inner>);

#[derive(Default)]
struct Inner {
    done: AtomicBool,
    cause: Mutex<Option<Cause>>,
    callbacks: Mutex<BTreeMap<usize, Notify>>,
    registered: AtomicUsize,
    deregistered: AtomicUsize,
}

impl Token {
    /// Cancels and calls back, on this thread.
    pub(super) fn cancel(&self, cause: Option<Cause>) {
        *self.0.cause.lock().unwrap() = cause;
        self.0.done.store(true, SeqCst);
        loop {
            let first = self.0.callbacks.lock().unwrap().pop_first();
            let Some((_, notify)) = first else {
                return;
            };
            notify();
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.0.done.load(SeqCst)
    }

    /// How many are registered now.
    pub(super) fn registrations(&self) -> usize {
        self.0.registered.load(SeqCst) - self.0.deregistered.load(SeqCst)
    }

    /// How many ever were.
    pub(super) fn ever_registered(&self) -> usize {
        self.0.registered.load(SeqCst)
    }

    /// How many callbacks it still holds.
    pub(super) fn callbacks(&self) -> usize {
        self.0.callbacks.lock().unwrap().len()
    }

    /// How many clones of it there are.
    pub(super) fn clones(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

impl CancelSource for Token {
    fn is_cancelled(&self) -> bool {
        self.is_done()
    }

    fn error(&self) -> Option<Cause> {
        self.0.cause.lock().unwrap().clone()
    }

    fn on_cancel(&self, notify: Notify) -> Box<dyn Send> {
        let number = self.0.registered.fetch_add(1, SeqCst);
        self.0.callbacks.lock().unwrap().insert(number, notify);
        if self.is_done() {
            let notify = self.0.callbacks.lock().unwrap().remove(&number);
            if let Some(notify) = notify {
                notify();
            }
        }
        Box::new(Deregister(self.clone(), number))
    }
}

struct Deregister(Token, usize);

impl Drop for Deregister {
    fn drop(&mut self) {
        let inner = &self.0.0;
        let gone = inner.callbacks.lock().unwrap().remove(&self.1);
        inner.deregistered.fetch_add(1, SeqCst);
        drop(gone);
    }
}
