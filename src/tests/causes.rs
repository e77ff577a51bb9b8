//! Why a context is done, and what becomes of the objects that say so.

use super::tools::{alone, cause_on_drop, in_time, message, on_small_stack, peek, start};
use crate::{CancelError, CancelHandle, Cause, Context};
use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::task::Poll;

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

// V1, V6, P10: what is below tells the very same object.
#[test]
fn descendants_tell_the_very_same_cause() {
    let (top, handle) = root();
    let (middle, _keep) = top.with_cancel();
    let (leaf, _keep) = middle.with_cancel();
    let cause = Cause::new(io::Error::other("disk full"));
    handle.cancel_with(cause.clone());
    for ctx in [&top, &middle, &leaf] {
        let error = ctx.error().unwrap();
        assert!(ctx.cause().unwrap().ptr_eq(&cause));
        assert!(error.cause().unwrap().ptr_eq(&cause));
        assert!(error.source().unwrap().is::<io::Error>());
        assert_eq!(error.origin(), top.id());
        assert!(!error.is_timeout());
    }
}

// V1: origin and line of the cancel.
#[test]
fn errors_tell_where_the_cancel_began() {
    let at = |ctx: &Context| {
        let location = ctx.error().unwrap().location().unwrap();
        assert!(location.file().ends_with("causes.rs"));
        location.line()
    };
    let (ctx, handle) = root();
    let (leaf, _keep) = ctx.with_cancel();
    handle.cancel();
    assert_eq!(at(&leaf), line!() - 1);
    assert_eq!(leaf.error().unwrap().origin(), ctx.id());

    let (ctx, handle) = root();
    handle.cancel_with("why");
    assert_eq!(at(&ctx), line!() - 1);

    let (ctx, handle) = root();
    let guard = handle.drop_guard();
    let line = line!() - 1;
    drop(guard);
    assert_eq!(at(&ctx), line);

    let (_, inner) = ctx.with_cancel();
    inner.cancel();
    assert_eq!(at(inner.context()), line, "born done keeps the first line");
}

// V1, V6, P10: of racing cancels, one wins everything.
#[test]
fn reason_cause_origin_and_line_come_from_one_cancel() {
    in_time(|| {
        for _ in 0..500 {
            let (parent, p) = root();
            let (child, k) = parent.with_cancel();
            let (leaf, _keep) = child.with_cancel();
            let barrier = Arc::new(Barrier::new(2));
            let other = barrier.clone();
            let thread = start(move || {
                other.wait();
                (p.cancel_with("p"), line!())
            });
            barrier.wait();
            let (k_won, k_line) = (k.cancel_with("k"), line!());
            let (p_won, p_line) = thread.join().unwrap();
            assert!(p_won, "nobody else cancels the parent");
            let error = child.error().unwrap();
            let (cause, origin, line) = if k_won {
                ("k", child.id(), k_line)
            } else {
                ("p", parent.id(), p_line)
            };
            assert_eq!(error.cause().unwrap().to_string(), cause);
            assert_eq!(error.origin(), origin);
            assert_eq!(error.location().unwrap().line(), line);
            // The leaf has either, whole.
            let error = leaf.error().unwrap();
            let of_child = error.origin() == child.id();
            assert_eq!(
                error.cause().unwrap().to_string(),
                if of_child { "k" } else { "p" }
            );
        }
    });
}

// G35, G98, P9: done is never seen before the cause, nor before a wait made
// earlier is ready.
#[test]
fn whoever_sees_done_sees_the_cause_and_a_ready_wait() {
    in_time(|| {
        for round in 0..500 {
            let (top, handle) = root();
            let (ctx, _keep) = top.with_cancel();
            let thread = start(move || {
                let mut wait = ctx.cancelled();
                assert!(round % 2 == 0 || peek(&mut wait).is_pending() || ctx.is_cancelled());
                let cause = loop {
                    if let Some(cause) = ctx.cause() {
                        break cause;
                    }
                };
                assert_eq!(cause.to_string(), "the cause");
                assert!(ctx.is_cancelled());
                let Poll::Ready(error) = peek(&mut wait) else {
                    panic!("done, but the wait is pending");
                };
                assert!(error.cause().unwrap().ptr_eq(&cause));
            });
            handle.cancel_with("the cause");
            thread.join().unwrap();
        }
    });
}

#[test]
fn causes_are_made_of_texts_and_errors() {
    let boxed: Box<dyn Error + Send + Sync> = Box::new(fmt::Error);
    let shared: Arc<dyn Error + Send + Sync> = Arc::new(fmt::Error);
    for cause in [
        Cause::new(fmt::Error),
        Cause::from(boxed),
        Cause::from(shared),
    ] {
        let (ctx, handle) = root();
        handle.cancel_with(cause);
        let cause = ctx.cause().unwrap();
        assert!(cause.downcast_ref::<fmt::Error>().is_some());
        assert!(cause.as_error().is::<fmt::Error>());
        assert!(cause.downcast_ref::<io::Error>().is_none());
    }
    assert_eq!(Cause::from("a").to_string(), "a");
    assert_eq!(Cause::from("b".to_owned()).to_string(), "b");
    assert!(!Cause::from("a").ptr_eq(&Cause::from("a")));
}

/// Counts its drops.
fn counted(drops: &Arc<AtomicUsize>) -> Cause {
    let drops = drops.clone();
    cause_on_drop(move || {
        drops.fetch_add(1, SeqCst);
    })
}

#[test]
fn a_cause_is_dropped_once_with_the_last_that_can_tell_it() {
    let drops = Arc::new(AtomicUsize::new(0));
    let (top, handle) = root();
    let (leaf, _) = top.with_cancel();
    handle.cancel_with(counted(&drops));
    assert!(!handle.cancel_with(counted(&drops)));
    assert_eq!(drops.load(SeqCst), 1, "the loser's goes at once");
    drop((top, handle));
    let kept = leaf.cause();
    drop(leaf);
    assert_eq!(drops.load(SeqCst), 1);
    drop(kept);
    assert_eq!(drops.load(SeqCst), 2);
}

// V14, P28: a panic in the drop of a cause comes out where the last handle
// goes; the other causes are dropped too.
#[test]
fn a_cause_that_panics_in_its_drop_stops_no_other() {
    let drops = Arc::new(AtomicUsize::new(0));
    let mut ctx = Context::background();
    for i in 0..5 {
        // Behind a shield, so that each has a cause of its own.
        let (child, handle) = ctx.without_cancel().with_cancel();
        let drops = drops.clone();
        handle.cancel_with(cause_on_drop(move || {
            drops.fetch_add(1, SeqCst);
            if i != 3 {
                panic!("cause {i}");
            }
        }));
        ctx = child;
    }
    let panic = catch_unwind(AssertUnwindSafe(|| drop(ctx))).unwrap_err();
    assert_eq!(drops.load(SeqCst), 5);
    assert!(message(&*panic).starts_with("cause "));
    // The thread's queue is in order: the next one works as the first did.
    let (ctx, handle) = root();
    handle.cancel_with(counted(&drops));
    drop((ctx, handle));
    assert_eq!(drops.load(SeqCst), 6);
}

// V14, P28.
#[test]
fn a_cause_that_panics_while_unwinding_does_not_abort() {
    alone(
        "tests::causes::a_cause_that_panics_while_unwinding_does_not_abort",
        || {
            let panic = catch_unwind(|| {
                let (ctx, handle) = root();
                handle.cancel_with(cause_on_drop(|| panic!("cause")));
                drop(handle);
                let _ctx = ctx;
                panic!("work");
            });
            assert_eq!(message(&*panic.unwrap_err()), "work");
        },
    );
}

// V15: the drop of a cause may use the tree, its own thread included.
#[test]
fn a_cause_may_use_the_tree_in_its_drop() {
    in_time(|| {
        let (top, stop) = root();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (ctx, handle) = top.with_cancel();
        let seen = log.clone();
        let top_again = top.clone();
        handle.cancel_with(cause_on_drop(move || {
            let (child, cancel_child) = top_again.with_cancel();
            cancel_child.cancel_with(cause_on_drop({
                let seen = seen.clone();
                move || seen.lock().unwrap().push("inner")
            }));
            assert!(child.wait().cause().is_some());
            drop((child, cancel_child));
            assert!(stop.cancel());
            assert!(top_again.is_cancelled());
            seen.lock().unwrap().push("outer");
        }));
        drop((ctx, handle));
        assert!(top.is_cancelled());
        assert_eq!(*log.lock().unwrap(), ["outer", "inner"]);
    });
}

/// A cause that holds another context.
#[derive(Debug)]
struct Holds(#[expect(dead_code, reason = "held, not read")] Option<Context>);

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "holds")
    }
}

impl Error for Holds {}

/// A context whose cause holds a context whose cause holds one, and so on.
fn chain(length: usize) -> Context {
    let mut last = None;
    for _ in 0..length {
        let (ctx, handle) = root();
        handle.cancel_with(Cause::new(Holds(last.take())));
        last = Some(ctx);
    }
    last.unwrap()
}

// V8, V25.
#[test]
fn a_long_chain_of_causes_is_dropped_on_a_small_stack() {
    on_small_stack(|| drop(chain(100_000)));
}

// V8: the same where the cause is one that lost, and so never got in.
#[test]
fn a_long_chain_behind_a_losing_cause_is_dropped_on_a_small_stack() {
    on_small_stack(|| {
        let (ctx, handle) = root();
        handle.cancel();
        assert!(!handle.cancel_with(Cause::new(Holds(Some(chain(100_000))))));
        assert!(ctx.cause().is_none());
    });
}

// V8: and where it hangs below a deep chain of contexts.
#[test]
fn a_chain_of_causes_below_a_chain_of_contexts_is_dropped_on_a_small_stack() {
    on_small_stack(|| {
        let mut ctx = Context::background();
        for _ in 0..10_000 {
            let (child, handle) = ctx.without_cancel().with_cancel();
            handle.cancel_with(Cause::new(Holds(Some(chain(3)))));
            ctx = child;
        }
        drop(ctx);
    });
}

// G53, I6: never `Interrupted`, which the standard library retries.
#[test]
fn an_error_becomes_an_io_error_that_is_not_retried() {
    let (ctx, handle) = root();
    handle.cancel_with("closed");
    let error = io::Error::from(ctx.error().unwrap());
    assert_eq!(error.kind(), io::ErrorKind::Other);
    let inner = error.get_ref().unwrap();
    let inner = inner.downcast_ref::<CancelError>().unwrap();
    assert!(inner.cause().unwrap().ptr_eq(&ctx.cause().unwrap()));
}

// V14, P28: the cause that panics is one that lost.
#[test]
fn a_losing_cause_that_panics_while_unwinding_does_not_abort() {
    alone(
        "tests::causes::a_losing_cause_that_panics_while_unwinding_does_not_abort",
        || {
            struct CancelsLate(CancelHandle);
            impl Drop for CancelsLate {
                fn drop(&mut self) {
                    assert!(!self.0.cancel_with(cause_on_drop(|| panic!("cause"))));
                }
            }
            let (_ctx, handle) = root();
            handle.cancel();
            let panic = catch_unwind(AssertUnwindSafe(|| {
                let _late = CancelsLate(handle);
                panic!("work");
            }));
            assert_eq!(message(&*panic.unwrap_err()), "work");
        },
    );
}

// V8: at the end of a thread, after the library's thread-locals are gone.
#[test]
fn a_long_chain_of_causes_is_dropped_at_the_end_of_a_small_thread() {
    alone(
        "tests::causes::a_long_chain_of_causes_is_dropped_at_the_end_of_a_small_thread",
        || {
            thread_local! {
                static LAST: RefCell<Option<Context>> = const { RefCell::new(None) };
            }
            on_small_stack(|| {
                // Registered first, so dropped last.
                LAST.with(|last| *last.borrow_mut() = Some(root().0));
                drop(chain(2));
                LAST.with(|last| *last.borrow_mut() = Some(chain(100_000)));
            });
        },
    );
}
