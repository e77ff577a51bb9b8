//! Chains of what users keep in each other take no stack.
//!
//! A callback may own a context, whose callback owns the next one, and so on.
//! When the first goes they all go: in a loop, whatever holds what.

use super::tools::{OnDrop, cause_on_drop, on_small_stack, once};
use crate::{CancelError, CancelHandle, CancelSource, Cause, Context, Registration, Stop};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const LONG: usize = 20_000;

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

/// Drops what it holds when it is called or dropped.
fn holds<T: Send + 'static>(held: T) -> impl FnOnce(&CancelError) + Send + 'static {
    move |_| drop(held)
}

/// A context with a callback that owns one with a callback that owns one; the
/// last owns `end`.
fn contexts(end: &Arc<()>) -> (Context, CancelHandle) {
    let (mut ctx, mut handle) = root();
    ctx.after_cancel(holds(end.clone())).detach();
    for _ in 0..LONG {
        let (next, next_handle) = root();
        next.after_cancel(holds((ctx, handle))).detach();
        (ctx, handle) = (next, next_handle);
    }
    (ctx, handle)
}

// V8, V13: contexts that closures own, never cancelled.
#[test]
fn contexts_owned_by_callbacks_are_dropped_on_a_small_stack() {
    on_small_stack(|| {
        let end = Arc::new(());
        drop(contexts(&end));
        assert_eq!(Arc::strong_count(&end), 1);
    });
}

// V8: the same behind one that runs, and behind one that is stopped.
#[test]
fn contexts_behind_a_callback_that_ran_are_dropped_on_a_small_stack() {
    on_small_stack(|| {
        let end = Arc::new(());
        let (_ctx, handle) = contexts(&end);
        assert!(handle.cancel());
        assert_eq!(Arc::strong_count(&end), 1);

        let (ctx, _handle) = root();
        let registration = ctx.after_cancel(holds(contexts(&end)));
        assert_eq!(registration.stop(), Stop::Prevented);
        assert_eq!(Arc::strong_count(&end), 1);
    });
}

// V8: registrations that closures own: the drop of the first stops all.
#[test]
fn registrations_owned_by_callbacks_are_dropped_on_a_small_stack() {
    on_small_stack(|| {
        let (ctx, handle) = root();
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = |held: Option<Registration>| {
            let runs = runs.clone();
            ctx.after_cancel(move |_| {
                runs.fetch_add(1, SeqCst);
                drop(held);
            })
        };
        let mut last = counted(None);
        for _ in 0..LONG {
            last = counted(Some(last));
        }
        drop(last);
        assert_eq!(Arc::strong_count(&runs), 1);
        handle.cancel();
        assert_eq!(runs.load(SeqCst), 0);
    });
}

// V8, V20: values, causes and closures in turn.
#[test]
fn what_values_causes_and_callbacks_own_is_dropped_on_a_small_stack() {
    on_small_stack(|| {
        let end = Arc::new(());
        let mut held: Box<dyn FnOnce() + Send> = Box::new({
            let end = end.clone();
            move || drop(end)
        });
        for i in 0..LONG {
            let (ctx, handle) = root();
            held = match i % 3 {
                0 => {
                    let cause = cause_on_drop(once(move || drop(held)));
                    handle.cancel_with(cause);
                    Box::new(move || drop((ctx, handle)))
                }
                1 => {
                    ctx.after_cancel(holds(held)).detach();
                    Box::new(move || drop((ctx, handle)))
                }
                _ => {
                    let value = ctx.with_value(OnDrop(once(move || drop(held))));
                    Box::new(move || drop((ctx, handle, value)))
                }
            };
        }
        held();
        assert_eq!(Arc::strong_count(&end), 1);
    });
}

/// A source that owns something, and never fires.
struct Owns<T>(T);

impl<T: Send + Sync> CancelSource for Owns<T> {
    fn is_cancelled(&self) -> bool {
        false
    }

    fn error(&self) -> Option<Cause> {
        None
    }

    fn on_cancel(&self, notify: Box<dyn FnOnce() + Send>) -> Box<dyn Send> {
        Box::new(notify)
    }
}

// V8, V21, P55: sources that own contexts with sources, and links in between:
// the first is dropped, or cancelled and dropped.
#[test]
fn what_sources_own_is_dropped_on_a_small_stack() {
    on_small_stack(|| {
        for cancelled in [false, true] {
            let end = Arc::new(());
            let (mut ctx, mut handle) = Context::background().from_source(Owns(end.clone()));
            for i in 0..LONG {
                let below = if i % 2 == 0 {
                    Context::background()
                } else {
                    Context::background().link([&ctx]).0
                };
                (ctx, handle) = below.from_source(Owns((ctx, handle)));
            }
            if cancelled {
                assert!(handle.cancel());
            }
            drop((ctx, handle));
            assert_eq!(Arc::strong_count(&end), 1);
        }
    });
}

// V8, V21: a chain of links that is dropped by the callback of its first.
#[test]
fn links_owned_by_callbacks_are_dropped_on_a_small_stack() {
    on_small_stack(|| {
        for cancelled in [false, true] {
            let end = Arc::new(());
            let (first, cancel_first) = root();
            let mut ctx = first.clone();
            for _ in 0..LONG {
                let (next, _) = Context::background().link([&ctx]);
                next.after_cancel(holds((ctx, end.clone()))).detach();
                ctx = next;
            }
            if cancelled {
                assert!(cancel_first.cancel());
                assert_eq!(Arc::strong_count(&end), 1);
            }
            drop(ctx);
            assert_eq!(Arc::strong_count(&end), 1);
        }
    });
}
