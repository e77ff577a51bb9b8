//! Contexts of foreign sources that fire while they are cancelled or dropped.

use crate::tools::{Mutex, race};
use ctxtree::{CancelSource, Cause, Context};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

type Notify = Box<dyn FnOnce() + Send>;

/// A source that fires when told to. No part of the model but for what it
/// calls: no lock is held while it does.
#[derive(Clone)]
struct Bell(Arc<Inner>);

struct Inner {
    done: AtomicBool,
    notify: Mutex<Option<Notify>>,
}

impl Bell {
    fn new() -> Bell {
        Bell(Arc::new(Inner {
            done: AtomicBool::new(false),
            notify: Mutex::new(None),
        }))
    }

    fn fire(&self) {
        self.0.done.store(true, Ordering::SeqCst);
        let notify = self.0.notify.lock().unwrap().take();
        if let Some(notify) = notify {
            notify();
        }
    }
}

struct Deregister(Arc<Inner>);

impl Drop for Deregister {
    fn drop(&mut self) {
        let notify = self.0.notify.lock().unwrap().take();
        drop(notify);
    }
}

impl CancelSource for Bell {
    fn is_cancelled(&self) -> bool {
        self.0.done.load(Ordering::SeqCst)
    }

    fn error(&self) -> Option<Cause> {
        Some("bell".into())
    }

    fn on_cancel(&self, notify: Notify) -> Box<dyn Send> {
        *self.0.notify.lock().unwrap() = Some(notify);
        Box::new(Deregister(self.0.clone()))
    }
}

pub(crate) fn source_vs_derive() {
    let bell = Bell::new();
    let fired = bell.clone();
    let (ctx, ()) = race(
        move || Context::background().from_source(bell).0,
        move || fired.fire(),
    );
    assert_eq!(ctx.cause().unwrap().to_string(), "bell");
}

pub(crate) fn source_vs_cancel() {
    let bell = Bell::new();
    let (ctx, handle) = Context::background().from_source(bell.clone());
    let (won, ()) = race(move || handle.cancel_with("own"), move || bell.fire());
    let cause = ctx.cause().unwrap().to_string();
    assert_eq!(cause, if won { "own" } else { "bell" });
}

pub(crate) fn source_vs_drop() {
    let bell = Bell::new();
    let ctx = Context::background().from_source(bell.clone()).0;
    let weak = Arc::downgrade(&bell.0);
    race(move || drop(ctx), move || bell.fire());
    assert_eq!(weak.strong_count(), 0, "no cycle keeps the source");
}

pub(crate) fn source_vs_last_child() {
    let bell = Bell::new();
    let ctx = Context::background().from_source(bell.clone()).0;
    let child = ctx.with_cancel().0;
    drop(ctx);
    race(move || drop(child), move || bell.fire());
}

pub(crate) fn source_of_a_dropped_context_vs_child() {
    let bell = Bell::new();
    let ctx = Context::background().from_source(bell.clone()).0;
    let child = ctx.with_cancel().0;
    let seen = child.clone();
    race(move || drop(ctx), move || bell.fire());
    assert!(seen.is_cancelled());
    drop(child);
}
