//! Tokens of tokio-util as parents of contexts.

use super::tools::{Wakes, in_time, message, on_wake, once, peek, poll};
use crate::{CancelHandle, CancelSource, Context};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

type Pair = (Context, CancelHandle);

pub(super) fn root() -> Pair {
    Context::background().with_cancel()
}

pub(super) fn of(token: &CancellationToken) -> Pair {
    Context::background().from_source(token.clone())
}

/// A wait on the token, registered.
pub(super) fn wait(
    token: &CancellationToken,
    waker: &Waker,
) -> Pin<Box<WaitForCancellationFutureOwned>> {
    let mut wait = Box::pin(token.clone().cancelled_owned());
    assert!(poll(&mut wait, waker).is_pending());
    wait
}

/// How many callbacks are registered with the context.
pub(super) fn callbacks(ctx: &Context) -> usize {
    let tree = ctx.tree();
    let node = tree.nodes().next().unwrap();
    assert_eq!(node.id(), ctx.id());
    node.callbacks()
}

// V21, G6, G131: everything below is done, with no cause and no line of code.
#[test]
fn a_cancel_of_a_token_reaches_what_is_below() {
    let token = CancellationToken::new();
    let (ctx, handle) = of(&token);
    let (child, _keep) = ctx.with_cancel();
    let (wakes, waker) = Wakes::new();
    let below = child.with_value(1);
    let mut wait = below.cancelled();
    assert!(poll(&mut wait, &waker).is_pending());
    assert!(ctx.is_cancelable() && ctx.check().is_ok());
    let text = ctx.to_string();
    assert!(text.starts_with("background.from_source(tokio_util::"));
    assert!(text.ends_with("::CancellationToken)"), "{text}");

    token.cancel();
    for ctx in [&ctx, &child, &below] {
        let error = ctx.error().unwrap();
        assert_eq!(error.to_string(), "context cancelled");
        assert_eq!(error.origin(), handle.context().id());
        assert!(error.cause().is_none() && error.location().is_none());
    }
    assert_eq!(wakes.count(), 1);
    assert!(peek(&mut wait).is_ready());
    assert!(!handle.cancel_with("late") && ctx.cause().is_none());
    token.cancel();
    assert_eq!(wakes.count(), 1);
}

// G19, V5: the token may be cancelled by one above it.
#[test]
fn a_context_of_a_cancelled_token_is_born_done() {
    let parent = CancellationToken::new();
    let before = parent.child_token();
    parent.cancel();
    for token in [&parent, &before, &before.child_token()] {
        let (top, _keep) = root();
        let (ctx, handle) = top.from_source(token.clone());
        assert!(ctx.is_cancelled() && !handle.cancel());
        assert!(!top.is_cancelled());
        assert_eq!(top.live_children(), 0);
    }
}

// V7: neither by the context, nor by what is below, nor by the last drop.
#[test]
fn a_context_never_cancels_the_token_it_was_made_of() {
    let token = CancellationToken::new();
    let (ctx, handle) = of(&token);
    let (sibling, _keep) = of(&token);
    let (child, cancel_child) = ctx.with_cancel();
    cancel_child.cancel();
    assert!(!ctx.is_cancelled());
    handle.cancel_with("own");
    drop((ctx, handle, child, cancel_child, of(&token)));
    assert!(!token.is_cancelled() && !sibling.is_cancelled());
    token.cancel();
    assert!(sibling.is_cancelled());
}

// The token itself, a clone and one above it do; one below and one beside it do not.
#[test]
fn whatever_cancels_the_token_cancels_the_context() {
    for how in 0..5 {
        let top = CancellationToken::new();
        let token = top.child_token();
        let (ctx, _keep) = of(&token);
        match how {
            0 => token.cancel(),
            1 => token.clone().cancel(),
            2 => top.cancel(),
            3 => drop(token.clone().drop_guard()),
            _ => {
                token.child_token().cancel();
                top.child_token().cancel();
                assert!(!ctx.is_cancelled());
                continue;
            }
        }
        assert!(ctx.is_cancelled(), "{how}");
    }
}

// T12: the context keeps the token, which nobody can cancel then but those above.
#[test]
fn a_token_that_only_a_context_holds_is_still_cancelled_from_above() {
    let top = CancellationToken::new();
    let middle = top.child_token();
    let (ctx, _keep) = of(&middle.child_token());
    let (alone, _keep) = of(&CancellationToken::new());
    drop(middle);
    assert!(!ctx.is_cancelled() && !alone.is_cancelled());
    top.cancel();
    assert!(ctx.is_cancelled() && !alone.is_cancelled());
}

// V13, G127: once, before it returns if the token is done; never after the drop of
// what it returned, which drops it.
#[test]
fn a_token_calls_back_once_or_not_at_all() {
    for (before, deregister, expected) in [
        (false, false, 1),
        (true, false, 1),
        (false, true, 0),
        (true, true, 1),
    ] {
        let token = CancellationToken::new();
        let runs = Arc::new(AtomicUsize::new(0));
        let count = runs.clone();
        if before {
            token.cancel();
        }
        let registration = token.on_cancel(Box::new(move || {
            count.fetch_add(1, SeqCst);
        }));
        assert_eq!(runs.load(SeqCst), usize::from(before));
        let mut kept = Some(registration);
        if deregister {
            kept = None;
            assert_eq!(Arc::strong_count(&runs), 1, "it is gone");
        }
        token.cancel();
        assert_eq!(runs.load(SeqCst), expected);
        assert_eq!(Arc::strong_count(&runs), 1);
        drop(kept);
        assert_eq!(runs.load(SeqCst), expected);
        assert!(CancelSource::error(&token).is_none());
        assert!(CancelSource::is_cancelled(&token));
    }
}

// P23: from within the call, and while another thread makes it.
#[test]
fn what_on_cancel_returned_may_be_dropped_in_the_callback() {
    in_time(|| {
        for elsewhere in [false, true] {
            let token = CancellationToken::new();
            let slot: Arc<Mutex<Option<Box<dyn Send>>>> = Arc::default();
            let held = slot.clone();
            let registration = token.on_cancel(Box::new(move || {
                let drop_it = move || drop(held.lock().unwrap().take());
                if elsewhere {
                    std::thread::spawn(drop_it).join().unwrap();
                } else {
                    drop_it();
                }
            }));
            *slot.lock().unwrap() = Some(registration);
            token.cancel();
            assert!(slot.lock().unwrap().is_none());
            assert_eq!(Arc::strong_count(&slot), 1);
        }
    });
}

// V14, D18: more waits than tokio-util wakes at a time, before and behind.
#[test]
fn a_panic_below_a_token_keeps_no_waiter_of_it_from_being_woken() {
    let token = CancellationToken::new();
    let child = token.child_token();
    let (wakes, waker) = Wakes::new();
    let mut waits = Vec::new();
    let mut contexts = Vec::new();
    for i in 0..100 {
        let token = if i % 2 == 0 { &token } else { &child };
        waits.push(wait(token, &waker));
        let (ctx, keep) = of(token);
        ctx.after_cancel(|_| resume_unwind(Box::new("callback")))
            .detach();
        contexts.push((ctx, keep));
    }
    token.cancel();
    assert_eq!(wakes.count(), 100);
    assert!(contexts.iter().all(|(ctx, _)| ctx.is_cancelled()));
    drop(waits);
}

// V14: where the caller is ours, it is told.
#[test]
fn a_panic_under_a_token_that_is_done_comes_out_of_the_call() {
    let token = CancellationToken::new();
    token.cancel();
    let call = || drop(token.on_cancel(Box::new(|| panic!("at once"))));
    let panic = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
    assert_eq!(message(&*panic), "at once");
}

// K10, V14: a waker of somebody else's; who is behind it is forgotten by tokio-util.
#[test]
fn a_context_survives_a_panicking_waker_of_its_token() {
    let token = CancellationToken::new();
    let (wakes, waker) = Wakes::new();
    let bad = on_wake(|| resume_unwind(Box::new("waker")));
    let before = of(&token);
    let waits = [wait(&token, &bad), wait(&token, &waker)];
    let after = of(&token);
    assert!(catch_unwind(AssertUnwindSafe(|| token.cancel())).is_err());
    for (ctx, handle) in [before, after] {
        handle.cancel();
        assert!(ctx.is_cancelled());
    }
    assert!(of(&token).0.is_cancelled());
    assert!(wakes.count() <= 1);
    drop(waits);
}

// V12: no waker runs before all tokens are done, and no callback before all is marked.
#[test]
fn all_is_marked_on_either_side_before_anything_runs() {
    let token = CancellationToken::new();
    let child = token.child_token();
    let (ctx, _keep) = of(&token);
    let (below, _keep) = ctx.with_cancel();
    let seen = Arc::new(AtomicBool::new(false));
    let (look, under, both) = (seen.clone(), below.clone(), (token.clone(), child));
    ctx.after_cancel(move |_| {
        let all = under.is_cancelled() && both.0.is_cancelled() && both.1.is_cancelled();
        look.store(all, SeqCst);
    })
    .detach();
    token.cancel();
    assert!(seen.load(SeqCst));
}

// V15, D19: no lock of ours or of theirs is held.
#[test]
fn a_callback_under_a_token_may_use_tokens_and_contexts() {
    in_time(|| {
        for last in [false, true] {
            let top = CancellationToken::new();
            let token = top.child_token();
            let pair = of(&token);
            let (ctx, tokens) = (pair.0.clone(), (top.clone(), token.clone()));
            let done = Arc::new(AtomicBool::new(false));
            let finished = done.clone();
            let own = once(move || {
                let (top, token) = tokens;
                token.cancel();
                top.cancel();
                let (again, _) = ctx.from_source(token.child_token());
                assert!(again.is_cancelled() && of(&token).0.is_cancelled());
                assert!(ctx.cancellation_token().token().is_cancelled());
                assert!(
                    std::thread::spawn(move || top.is_cancelled())
                        .join()
                        .unwrap()
                );
                let bridge = root().0.cancellation_token();
                drop((pair, ctx, token, bridge));
                finished.store(true, SeqCst);
            });
            let (held, _) = of(&token);
            held.after_cancel(move |_| own()).detach();
            if last {
                drop(token);
            }
            top.cancel();
            assert!(done.load(SeqCst) && held.is_cancelled());
        }
    });
}

// V9, V21: when the context goes, nothing of it is left with the token.
#[test]
fn a_dropped_context_leaves_its_token() {
    let token = CancellationToken::new();
    let (top, _keep) = root();
    let held = Arc::new(());
    for keep_child in [false, true] {
        let (ctx, handle) = top.from_source(token.clone());
        let (child, _) = ctx.with_cancel();
        let owned = held.clone();
        ctx.after_cancel(move |_| drop(owned)).detach();
        drop((ctx, handle));
        if keep_child {
            // A middle that nobody holds still relays.
            token.cancel();
            assert!(child.is_cancelled());
        }
        drop(child);
        assert_eq!((Arc::strong_count(&held), top.live_children()), (1, 0));
    }
}
