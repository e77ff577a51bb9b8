//! Deadlines among the other layers: told, bounded, first or not.

use super::foreign::Token;
use super::tools::{HOUR, TICK, Wakes, ms, on_clock, orders, outcome, poll};
use crate::time::ManualClock;
use crate::{CancelHandle, Context, FutureExt, Key, Reason};
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Poll;
use std::time::Duration;

const EXCEEDED: Option<(Reason, Option<String>)> = Some((Reason::DeadlineExceeded, None));

/// One of each layer that lets deadlines through, with the handle where it has
/// one.
fn layers(parent: &Context) -> Vec<(Context, Option<CancelHandle>)> {
    static KEY: Key<u8> = Key::new("key");
    let with = |(ctx, handle)| (ctx, Some(handle));
    vec![
        with(parent.with_cancel()),
        (parent.with_value(1_u8), None),
        (parent.with_key(&KEY, 1), None),
        with(parent.derive().name("named").value("v").build()),
        with(parent.link([&Context::background()])),
        with(parent.from_source(Token::default())),
        with(parent.with_timeout(Duration::MAX)),
    ]
}

// D3, D10, C9, V18: a layer of any kind, on a layer of any kind, and a clone, tells
// the deadline above it and ends with it; what can be cancelled hides none.
#[test]
fn every_layer_tells_the_deadline_above_it() {
    let (clock, top) = on_clock();
    let (above, _keep) = top.with_timeout_cause(ms(5), "why");
    let at = clock.now() + ms(5);
    let mut all = layers(&above);
    for i in 0..all.len() {
        let more = layers(&all[i].0);
        all.extend(more);
    }
    let clones: Vec<Context> = all.iter().map(|(ctx, _)| ctx.clone()).collect();
    assert_eq!(clock.outstanding(), 1);
    for left in [ms(5), TICK, Duration::ZERO] {
        clock.set(at - left);
        for ctx in all.iter().map(|(ctx, _)| ctx).chain(&clones) {
            assert_eq!(ctx.deadline(), Some(at), "{ctx}");
            assert_eq!(ctx.remaining(), Some(left), "{ctx}");
            let origin = ctx.error().map(|error| error.origin());
            assert_eq!(origin, left.is_zero().then(|| above.id()), "{ctx}");
            let cause = ctx.cause().map(|cause| cause.to_string());
            assert_eq!(cause.is_some_and(|cause| cause == "why"), left.is_zero());
        }
    }
}

// I2, C7, V18: below a deadline, a later one loosens nothing and an earlier one
// tightens, for itself and what is below, and for nothing else.
#[test]
fn a_later_deadline_never_loosens_and_an_earlier_one_tightens() {
    let (clock, top) = on_clock();
    let began = clock.now();
    let (ctx, _keep) = top.with_timeout(ms(10));
    let (later, _keep) = ctx.with_timeout(HOUR);
    let (earlier, _keep) = later.with_timeout(ms(5));
    let (below, _keep) = earlier.with_timeout(ms(7));
    for (ctx, at) in [(&ctx, 10), (&later, 10), (&earlier, 5), (&below, 5)] {
        assert_eq!(ctx.deadline(), Some(began + ms(at)));
    }
    assert_eq!(clock.outstanding(), 2);
    clock.advance(ms(5));
    let done = |ctx: &Context| ctx.error().map(|error| error.origin());
    assert_eq!((done(&ctx), done(&later)), (None, None));
    assert_eq!(
        (done(&earlier), done(&below)),
        (Some(earlier.id()), Some(earlier.id()))
    );
    clock.advance(ms(5));
    assert_eq!((done(&ctx), done(&later)), (Some(ctx.id()), Some(ctx.id())));
    assert_eq!(done(&below), Some(earlier.id()), "for ever");
}

// C5, C6: cancelled before the time, or over and saying when it was.
#[test]
fn a_timeout_is_cancelled_or_says_when_it_was() {
    for early in [true, false] {
        let (clock, top) = on_clock();
        let (ctx, handle) = top.with_timeout(ms(10));
        let at = clock.now() + ms(10);
        clock.advance(if early { ms(5) } else { ms(50) });
        assert_eq!(handle.cancel(), early);
        let error = ctx.check().unwrap_err();
        assert_eq!(error.is_timeout(), !early);
        assert_eq!(ctx.deadline(), Some(at));
    }
}

// C8, P70: a timeout ends what runs under it and wakes it once; if the work ends
// at the very instant, its value is not thrown away.
#[test]
fn a_timeout_ends_what_runs_under_it() {
    for ends_too in [false, true] {
        let (clock, top) = on_clock();
        let (ctx, _keep) = top.with_timeout(ms(5));
        let (wakes, waker) = Wakes::new();
        let ready = Arc::new(AtomicBool::new(false));
        let work = |ready: Arc<AtomicBool>| {
            poll_fn(move |_| match ready.load(SeqCst) {
                true => Poll::Ready("the value"),
                false => Poll::Pending,
            })
        };
        let mut plain = pin!(ctx.run_until_cancelled(work(ready.clone())));
        let mut adapted = Box::pin(work(ready.clone()).with_context(&ctx));
        let mut endless = Box::pin(pending::<()>().with_context(&ctx));
        assert!(poll(&mut plain, &waker).is_pending());
        assert!(poll(&mut adapted, &waker).is_pending());
        assert!(poll(&mut endless, &waker).is_pending());
        clock.advance(ms(5) - TICK);
        assert_eq!(wakes.count(), 0);
        ready.store(ends_too, SeqCst);
        clock.advance(TICK);
        assert_eq!(wakes.count(), 3);
        for result in [poll(&mut plain, &waker), poll(&mut adapted, &waker)] {
            match result {
                Poll::Ready(Ok(value)) => assert!(ends_too && value == "the value"),
                Poll::Ready(Err(error)) => assert!(!ends_too && error.is_timeout()),
                Poll::Pending => panic!("still running"),
            }
        }
        assert!(matches!(poll(&mut endless, &waker), Poll::Ready(Err(_))));
    }
}

// V6, V1: a cancel, a deadline of its own, a cancel and a deadline of each parent,
// in every order: the first gives reason, cause and origin, for ever. Each
// deadline has a clock of its own, so that they can come in any order.
#[test]
fn the_first_of_cancels_and_deadlines_wins() {
    for order in orders(6) {
        let clocks = [(); 3].map(|()| ManualClock::new());
        let give = |parent: &Context, n: usize| {
            let name = ["own time", "parent's time", "other's time"][n];
            parent
                .with_clock(&clocks[n])
                .with_timeout_cause(ms(5), name)
        };
        let (parent, cancel_parent) = give(&Context::background(), 1);
        let (other, cancel_other) = give(&Context::background(), 2);
        let (linked, _keep) = parent.link([&other]);
        let (ctx, cancel) = give(&linked, 0);
        let (below, _keep) = ctx.with_cancel();
        let ids = [ctx.id(), parent.id(), other.id()];
        let mut first = None;
        for event in order {
            let n = event % 3;
            let by_time = event < 3;
            if by_time {
                clocks[n].advance(ms(5));
            } else {
                [&cancel, &cancel_parent, &cancel_other][n].cancel_with("cancel");
            }
            let (at, by_time) = *first.get_or_insert((n, by_time));
            for ctx in [&ctx, &below] {
                let error = ctx.error().unwrap();
                assert_eq!((error.origin(), error.is_timeout()), (ids[at], by_time));
                let cause = ["own time", "parent's time", "other's time"][at];
                let cause = if by_time { cause } else { "cancel" };
                assert_eq!(error.cause().unwrap().to_string(), cause);
                assert_eq!(error.location().is_none(), by_time);
            }
        }
    }
}

// V18, V21: a link takes the deadlines above its first parent, not those of the
// others: those end it when they pass, and are told by nobody below.
#[test]
fn a_link_has_the_deadline_of_its_first_parent() {
    let (clock, top) = on_clock();
    let (first, _keep) = top.with_timeout(ms(10));
    let (other, move_other) = top.with_timeout_cause(ms(5), "other");
    let (merged, _keep) = first.link([&other]);
    let (alone, _keep) = top.link([&other]);
    let (own, _keep) = alone.with_timeout(ms(7));
    let began = clock.now();
    assert_eq!(merged.deadline(), Some(began + ms(10)));
    assert_eq!((alone.deadline(), alone.remaining()), (None, None));
    assert_eq!(own.deadline(), Some(began + ms(7)));
    assert_eq!(clock.outstanding(), 3);
    assert!(move_other.set_deadline(began + ms(6)));
    clock.advance(ms(6));
    for ctx in [&merged, &alone, &own] {
        let error = ctx.error().unwrap();
        assert!(error.is_timeout());
        assert_eq!(error.cause().unwrap().to_string(), "other");
        assert_eq!(error.origin(), other.id());
    }
    assert!(!first.is_cancelled());
    assert_eq!((alone.deadline(), clock.outstanding()), (None, 1));
}

// V9, G51: what nobody holds and nothing lives below has no timer; what holds a
// place in between fires its deadline for those below.
#[test]
fn a_deadline_lives_as_long_as_something_below_it() {
    let (clock, top) = on_clock();
    let (ctx, handle) = top.with_timeout(ms(5));
    let id = ctx.id();
    let (below, _) = ctx.with_value(1_u8).with_cancel();
    drop((ctx, handle));
    assert_eq!((top.live_children(), clock.outstanding()), (1, 1));
    assert_eq!(below.deadline(), Some(clock.now() + ms(5)));
    clock.advance(ms(5));
    assert_eq!(outcome(&below), EXCEEDED);
    assert_eq!(below.error().unwrap().origin(), id);
    let (ctx, handle) = top.with_timeout(ms(5));
    let (below, _) = ctx.with_cancel();
    let wait = below.clone().cancelled_owned();
    drop((ctx, handle, below));
    assert_eq!(clock.outstanding(), 1);
    drop(wait);
    assert_eq!((top.live_children(), clock.outstanding()), (0, 0));
}

// V20: values of contexts that expired go when the last that sees them goes, not
// before, and the timer keeps none.
#[test]
fn a_timer_keeps_nothing_alive() {
    let (clock, top) = on_clock();
    let held = Arc::new(());
    for end in 0..3 {
        let value = top.derive().value(held.clone()).timeout(ms(5));
        let (ctx, handle) = value.deadline_cause("why").build();
        let closure = held.clone();
        ctx.after_cancel(move |_| drop(closure)).detach();
        assert_eq!(Arc::strong_count(&held), 3);
        match end {
            0 => clock.advance(ms(5)),
            1 => drop(handle.cancel()),
            _ => {}
        }
        assert_eq!(ctx.value::<Arc<()>>(), Some(&held));
        drop((ctx, handle));
        assert_eq!(Arc::strong_count(&held), 1, "way {end}");
        assert_eq!(clock.outstanding(), 0);
    }
}
