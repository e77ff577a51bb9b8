//! Tokens of tokio-util that are made of contexts, and circles of both.

use super::tokens::{callbacks, of, root, wait};
use super::tokio_time::multi;
use super::tools::{HOUR, at_once, in_time, message, on_clock, on_wake};
use crate::{CancelHandle, Context, ContextToken, FutureExt, Reason};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

// V3: by every way that a context ends.
#[test]
fn a_token_of_a_context_is_cancelled_with_it() {
    type End = fn(&Context, &CancelHandle, &CancellationToken, &crate::time::ManualClock);
    let ends: [End; 4] = [
        |_, handle, _, _| drop(handle.clone().drop_guard()),
        |ctx, _, _, _| assert!(!ctx.is_cancelled()),
        |_, _, other, _| other.cancel(),
        |_, _, _, clock| clock.advance(HOUR),
    ];
    for (i, end) in ends.into_iter().enumerate() {
        let (clock, root) = on_clock();
        let other = CancellationToken::new();
        let (top, cancel_top) = root.with_timeout(HOUR);
        let (ctx, handle) = top.from_source(other.clone());
        let (below, _keep) = ctx.with_cancel();
        let bridges = [&ctx, &below].map(Context::cancellation_token);
        let into = below.cancellation_token().into_token();
        let tokens = bridges.each_ref().map(|bridge| bridge.token().clone());
        let part = tokens[1].child_token();
        assert!(!into.is_cancelled() && !part.is_cancelled());
        end(&ctx, &handle, &other, &clock);
        if i == 1 {
            cancel_top.cancel();
        }
        for token in [&tokens[0], &tokens[1], &part, &into] {
            assert!(token.is_cancelled(), "{i}");
        }
        let reason = if i == 3 {
            Reason::DeadlineExceeded
        } else {
            Reason::Cancelled
        };
        assert_eq!(below.reason(), Some(reason));
        drop(bridges);
    }
}

// V5: when the call returns.
#[test]
fn a_token_of_a_done_context_is_cancelled_from_the_start() {
    let (ctx, handle) = root();
    let (below, _keep) = ctx.with_cancel();
    handle.cancel();
    for ctx in [&ctx, &below, &below.with_value(1)] {
        assert!(ctx.cancellation_token().token().is_cancelled());
        assert!(ctx.cancellation_token().into_token().is_cancelled());
    }
    assert!(
        !below
            .without_cancel()
            .cancellation_token()
            .token()
            .is_cancelled()
    );
}

// G4: the callback is not kept.
#[test]
fn a_token_of_what_is_never_done_is_a_token_of_its_own() {
    for ctx in [
        Context::background(),
        Context::todo(),
        root().0.without_cancel(),
    ] {
        let bridge = ctx.cancellation_token();
        let token = ctx.cancellation_token().into_token();
        assert!(!bridge.token().is_cancelled() && !token.is_cancelled());
        token.cancel();
        assert!(!ctx.is_cancelled() && !bridge.token().is_cancelled());
    }
}

// V7: not the context, nor the other tokens of it.
#[test]
fn who_cancels_a_token_of_a_context_cancels_only_that() {
    let (ctx, handle) = root();
    let (first, second) = (ctx.cancellation_token(), ctx.cancellation_token());
    assert_ne!(first.token(), second.token());
    first.token().child_token().cancel();
    assert!(!first.token().is_cancelled());
    first.token().cancel();
    assert!(!ctx.is_cancelled() && ctx.check().is_ok() && !second.token().is_cancelled());
    assert_eq!(callbacks(&ctx), 2);
    assert!(handle.cancel_with("own"));
    assert!(second.token().is_cancelled());
    assert_eq!(ctx.cause().unwrap().to_string(), "own");
}

// V9, P47: dropped, it leaves neither a callback nor a cancel.
#[test]
fn a_dropped_bridge_leaves_its_token_as_it_is() {
    let (ctx, handle) = root();
    let bridge = ctx.cancellation_token();
    let token = bridge.token().clone();
    let (below, _keep) = Context::background().from_source(token.clone());
    assert_eq!(callbacks(&ctx), 1);
    drop(bridge);
    assert_eq!(callbacks(&ctx), 0);
    let stays = ctx.cancellation_token().into_token();
    assert_eq!(callbacks(&ctx), 1);
    handle.cancel();
    assert!(!token.is_cancelled() && !below.is_cancelled() && stays.is_cancelled());
    token.cancel();
    assert!(below.is_cancelled());
}

// V9, V13: a bridge keeps no context, and a drop cancels no token.
#[test]
fn a_token_outlives_its_context_uncancelled() {
    let (top, cancel_top) = root();
    let (ctx, handle) = top.with_cancel();
    let bridge = ctx.cancellation_token();
    let token = ctx.cancellation_token().into_token();
    assert_eq!(top.live_children(), 1);
    drop((ctx, handle));
    assert_eq!(top.live_children(), 0);
    cancel_top.cancel();
    assert!(!bridge.token().is_cancelled() && !token.is_cancelled());
}

// V17: the token takes its turn among the callbacks.
#[test]
fn a_token_is_cancelled_in_its_turn() {
    let (ctx, handle) = root();
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |what: &'static str| {
        let order = order.clone();
        move || order.lock().unwrap().push(what)
    };
    let (first, last) = (note("first"), note("last"));
    ctx.after_cancel(move |_| first()).detach();
    let bridge = ctx.cancellation_token();
    let waiting = wait(bridge.token(), &on_wake(note("token")));
    ctx.after_cancel(move |_| last()).detach();
    handle.cancel();
    assert_eq!(*order.lock().unwrap(), ["first", "token", "last"]);
    drop(waiting);
}

// V14: as a callback that panics.
#[test]
fn a_panicking_waiter_of_a_token_stops_no_callback_of_the_context() {
    let (ctx, handle) = root();
    let bridge = ctx.cancellation_token();
    let waiting = wait(
        bridge.token(),
        &on_wake(|| resume_unwind(Box::new("waiter"))),
    );
    let (other, after) = (ctx.cancellation_token(), Arc::new(AtomicBool::new(false)));
    let ran = after.clone();
    ctx.after_cancel(move |_| ran.store(true, SeqCst)).detach();
    let panic = catch_unwind(AssertUnwindSafe(|| handle.cancel())).unwrap_err();
    assert_eq!(message(&*panic), "waiter");
    assert!(bridge.token().is_cancelled() && other.token().is_cancelled());
    assert!(after.load(SeqCst));
    drop(waiting);
}

// G130, P55: a token of a context is the source of one below it, or of one elsewhere
// that cancels the first.
#[test]
fn tokens_and_contexts_may_lead_in_a_circle() {
    in_time(|| {
        for theirs in [false, true] {
            let (ctx, handle) = root();
            let bridge = ctx.cancellation_token();
            let (below, cancel_below) = ctx.from_source(bridge.token().clone());
            let (back, _keep) = of(&below.cancellation_token().into_token());
            let backward = handle.clone();
            back.after_cancel(move |_| assert!(!backward.cancel() || theirs))
                .detach();
            if theirs {
                cancel_below.cancel_with("below");
                assert_eq!(below.cause().unwrap().to_string(), "below");
            } else {
                handle.cancel_with("above");
                assert_eq!(below.cause().unwrap().to_string(), "above");
            }
            assert!(ctx.is_cancelled() && bridge.token().is_cancelled());
            assert!(back.is_cancelled());
        }
    });
}

// P55: either ends the other; the first cause stays.
#[test]
fn a_token_and_a_context_may_be_one() {
    in_time(|| {
        for round in 0..300 {
            let token = CancellationToken::new();
            let (ctx, handle) = of(&token);
            let back = token.clone();
            let both = ctx.after_cancel(move |_| back.cancel());
            let (one, own) = (token.clone(), handle.clone());
            let won = at_once(vec![
                Box::new(move || {
                    if round % 3 > 0 {
                        one.cancel();
                    }
                    false
                }),
                Box::new(move || round % 3 < 2 && own.cancel_with("own")),
            ]);
            assert!(ctx.is_cancelled() && token.is_cancelled());
            let cause = ctx.cause().map(|cause| cause.to_string());
            assert_eq!(cause, won[1].then(|| "own".to_owned()));
            drop(both);
        }
    });
}

// V8: what stack it takes goes with the number of bridges in a row.
#[test]
fn a_row_of_bridges_ends_from_its_first_to_its_last() {
    in_time(|| {
        let (first, handle) = root();
        let mut row = vec![(first, None)];
        for _ in 0..100 {
            let bridge = row.last().unwrap().0.cancellation_token();
            let token = bridge.token().child_token();
            row.push((of(&token).0, Some(bridge)));
        }
        handle.cancel_with("why");
        assert!(row.iter().all(|(ctx, _)| ctx.is_cancelled()));
        assert!(row.last().unwrap().0.cause().is_none());
    });
}

// T20: tokio-util's own ways to wait, and ours.
#[test]
fn tasks_on_either_side_of_a_bridge_end() {
    in_time(|| {
        multi().block_on(async {
            let (ctx, handle) = root();
            let bridge = ctx.cancellation_token();
            let token = bridge.token().child_token();
            let (below, _keep) = of(&token);
            let endless = std::future::pending::<()>;
            let theirs = tokio::spawn(token.run_until_cancelled_owned(endless()));
            let ours = tokio::spawn(async move { endless().with_context(&below).await });
            tokio::task::yield_now().await;
            handle.cancel();
            assert!(theirs.await.unwrap().is_none());
            assert!(ours.await.unwrap().is_err());
        });
    });
}

#[test]
fn a_bridge_prints_its_token() {
    let (ctx, handle) = root();
    let bridge = ctx.cancellation_token();
    let text = |bridge: &ContextToken| format!("{bridge:?}");
    assert!(text(&bridge).contains("is_cancelled: false"));
    handle.cancel();
    assert!(text(&bridge).contains("is_cancelled: true"));
}
