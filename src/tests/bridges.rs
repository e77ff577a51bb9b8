//! Foreign sources that are called back from elsewhere, fail, or lead back.

use super::foreign::Token;
use super::tools::{alone, in_time, message, start};
use crate::{CancelHandle, CancelSource, Cause, Context, Reason};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

type Pair = (Context, CancelHandle);
type Notify = Box<dyn FnOnce() + Send>;

fn root() -> Pair {
    Context::background().with_cancel()
}

/// Calls back on another thread, and waits for that, while it is registered
/// with.
struct Elsewhere(Option<Context>);

impl CancelSource for Elsewhere {
    fn is_cancelled(&self) -> bool {
        false
    }

    fn error(&self) -> Option<Cause> {
        Some("from elsewhere".into())
    }

    fn on_cancel(&self, notify: Notify) -> Box<dyn Send> {
        let parent = self.0.clone();
        let other = thread::spawn(move || {
            let child = parent.map(|parent| parent.with_cancel());
            notify();
            drop(child);
        });
        other.join().unwrap();
        Box::new(())
    }
}

// G138, P31: called back from another thread before `on_cancel` returns.
#[test]
fn a_source_may_call_back_from_another_thread_while_it_is_registered_with() {
    in_time(|| {
        let (parent, _keep) = root();
        for source in [Elsewhere(None), Elsewhere(Some(parent.clone()))] {
            let (ctx, handle) = parent.from_source(source);
            assert_eq!(ctx.cause().unwrap().to_string(), "from elsewhere");
            assert!(!handle.cancel() && !parent.is_cancelled());
        }
        assert_eq!(parent.live_children(), 0);
    });
}

/// Panics when it is asked why.
struct Mute(Arc<Mutex<Option<Notify>>>);

impl CancelSource for Mute {
    fn is_cancelled(&self) -> bool {
        false
    }

    fn error(&self) -> Option<Cause> {
        panic!("no comment")
    }

    fn on_cancel(&self, notify: Notify) -> Box<dyn Send> {
        *self.0.lock().unwrap() = Some(notify);
        Box::new(())
    }
}

// V14, G137: one that panics when it is asked why has cancelled all the same.
#[test]
fn a_source_that_cannot_say_why_cancels_all_the_same() {
    let slot = Arc::default();
    let (ctx, _keep) = Context::background().from_source(Mute(Arc::clone(&slot)));
    let (child, _keep) = ctx.with_cancel();
    let runs = Arc::new(AtomicUsize::new(0));
    let count = runs.clone();
    child
        .after_cancel(move |_| {
            count.fetch_add(1, SeqCst);
        })
        .detach();
    let notify = slot.lock().unwrap().take().unwrap();
    let panic = catch_unwind(AssertUnwindSafe(notify)).unwrap_err();
    assert_eq!(message(&*panic), "no comment");
    assert!(ctx.is_cancelled() && child.is_cancelled());
    assert_eq!(child.reason(), Some(Reason::Cancelled));
    assert!(child.cause().is_none());
    assert_eq!(runs.load(SeqCst), 1);
}

// V15, P23, P55: a callback drops the last handles of a context, and with them
// its source, while that source is calling back.
#[test]
fn a_callback_may_drop_the_source_that_calls_back() {
    in_time(|| {
        for token_too in [false, true] {
            let token = Token::default();
            let slot: Arc<Mutex<Vec<Box<dyn Send>>>> = Arc::default();
            let pair = Context::background().from_source(token.clone());
            let (below, _) = pair.0.with_cancel();
            let held = slot.clone();
            below
                .after_cancel(move |error| {
                    held.lock().unwrap().clear();
                    assert!(error.cause().is_some());
                })
                .detach();
            slot.lock().unwrap().push(Box::new((pair, below)));
            let calls = token.clone();
            let watch = Arc::downgrade(&slot);
            let mut kept = Some((token, slot));
            if token_too {
                kept = None;
            }
            calls.cancel(Some("theirs".into()));
            let left = kept.map(|(_, slot)| slot.lock().unwrap().len());
            assert!(left.unwrap_or(0) == 0);
            assert_eq!((calls.registrations(), calls.clones()), (0, 1));
            assert!(watch.upgrade().is_none());
        }
    });
}

/// A token that is done when a context is.
fn token_of(ctx: &Context) -> Token {
    let token = Token::default();
    let done = token.clone();
    ctx.after_cancel(move |error| done.cancel(error.cause().cloned()))
        .detach();
    token
}

// G130, P33, P55: two trees, each the source of the other: either ends both,
// also when both are cancelled at once, and dropping them ends the bridges.
#[test]
fn two_trees_may_be_bridged_both_ways() {
    in_time(|| {
        for round in 0..500 {
            let (left, cancel_left) = root();
            let (right, cancel_right) = root();
            let (from_right, from_left) = (token_of(&right), token_of(&left));
            let (left_end, _) = left.from_source(from_right.clone());
            let (right_end, _) = right.from_source(from_left.clone());
            // What ends at one side goes back to the other.
            let back = token_of(&left_end);
            let (round_trip, _) = right_end.from_source(back.clone());
            let other = start(move || {
                if round % 3 > 0 {
                    cancel_left.cancel_with("left");
                }
            });
            if round % 3 < 2 {
                cancel_right.cancel_with("right");
            }
            other.join().unwrap();
            for ctx in [&left_end, &right_end, &round_trip] {
                let cause = ctx.cause().unwrap().to_string();
                assert!(["left", "right"].contains(&cause.as_str()));
            }
            drop((left, right, left_end, right_end, round_trip));
            for token in [from_left, from_right, back] {
                assert_eq!((token.registrations(), token.callbacks()), (0, 0));
            }
        }
    });
}

// V25, G125: a source that is dropped at the very end of a thread.
#[test]
fn a_source_may_go_with_a_thread_local() {
    alone(
        "tests::bridges::a_source_may_go_with_a_thread_local",
        || {
            thread_local! {
                static KEPT: std::cell::RefCell<Vec<Pair>> = const { std::cell::RefCell::new(Vec::new()) };
            }
            let token = Token::default();
            let inside = token.clone();
            start(move || {
                KEPT.with(|kept| kept.borrow_mut().push(root()));
                for _ in 0..2 {
                    let pair = root().0.from_source(inside.clone());
                    let (linked, _) = root().0.link([&pair.0]);
                    linked.after_cancel(|_| ()).detach();
                    KEPT.with(|kept| kept.borrow_mut().push(pair));
                }
                drop(inside);
            })
            .join()
            .unwrap();
            assert_eq!((token.registrations(), token.clones()), (0, 1));
        },
    );
}
