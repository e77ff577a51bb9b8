//! What Go's contexts are asked about the end of a deadline, on time that the
//! tests move.

use super::go_deadlines::WAYS;
use super::tools::{HOUR, in_time, ms, on_clock, outcome, start};
use crate::{CancelError, Context, Reason};
use std::io;
use std::sync::mpsc;
use std::time::Duration;

const EXCEEDED: Option<(Reason, Option<String>)> = Some((Reason::DeadlineExceeded, None));

// G48: the cause that was given with a deadline which an earlier one above
// forestalls is told by nobody; the earlier one's is.
#[test]
fn the_cause_of_a_forestalled_deadline_is_not_told() {
    for earlier in [None, Some("earlier")] {
        let (clock, top) = on_clock();
        let (above, _keep) = match earlier {
            None => top.with_timeout(ms(1)),
            Some(cause) => top.with_timeout_cause(ms(1), cause),
        };
        let (below, _keep) = above.with_timeout_cause(ms(2), "later");
        let (equal, _keep) = above.with_deadline_cause(clock.now() + ms(1), "equal");
        clock.advance(ms(3));
        for ctx in [&above, &below, &equal] {
            let expected = (Reason::DeadlineExceeded, earlier.map(str::to_owned));
            assert_eq!(outcome(ctx), Some(expected));
            assert_eq!(ctx.error().unwrap().origin(), above.id());
        }
    }
}

// G49: of equal deadlines the one above counts: the one below arms nothing and is
// never seen done before (Go arms a second timer, which may be first).
#[test]
fn of_equal_deadlines_the_one_above_fires() {
    let (clock, top) = on_clock();
    let at = clock.now() + ms(5);
    let (parent, _keep) = top.with_deadline_cause(at, "parent");
    let (child, _keep) = parent.with_deadline_cause(at, "child");
    let (leaf, _keep) = child.with_timeout(ms(5));
    assert_eq!(clock.outstanding(), 1);
    let above = parent.clone();
    let _kept = leaf.after_cancel(move |_| assert!(above.is_cancelled()));
    clock.advance(ms(5));
    for ctx in [&parent, &child, &leaf] {
        assert_eq!(ctx.cause().unwrap().to_string(), "parent");
        assert_eq!(ctx.error().unwrap().origin(), parent.id());
    }
}

// G50: below what is done already, a deadline that is over changes nothing.
#[test]
fn a_done_parent_wins_over_a_past_deadline() {
    let (clock, top) = on_clock();
    let (parent, handle) = top.with_cancel();
    handle.cancel_with("parent");
    let past = clock.now() - ms(1);
    for (child, handle) in [
        parent.with_deadline(past),
        parent.with_deadline_cause(past, "own"),
        parent.derive().deadline(past).deadline_cause("own").build(),
    ] {
        let expected = (Reason::Cancelled, Some("parent".to_owned()));
        assert_eq!(outcome(&child), Some(expected));
        assert_eq!(child.error().unwrap().origin(), parent.id());
        assert_eq!(child.deadline(), Some(past));
        assert!(!handle.cancel());
    }
    assert_eq!(clock.outstanding(), 0);
}

// G52: a timeout counts from construction; one that no clock can hold is none.
#[test]
fn a_timeout_counts_from_construction_and_overflow_means_none() {
    let (clock, top) = on_clock();
    clock.advance(ms(3));
    let (ctx, _keep) = top.with_timeout(ms(10));
    let at = clock.now() + ms(10);
    clock.advance(ms(9));
    assert_eq!((ctx.deadline(), ctx.remaining()), (Some(at), Some(ms(1))));
    for (never, handle) in [
        top.with_timeout(Duration::MAX),
        top.with_timeout_cause(Duration::MAX, "why"),
        top.derive().timeout(Duration::MAX).build(),
    ] {
        assert_eq!((never.deadline(), never.remaining()), (None, None));
        assert!(!never.to_string().contains("deadline"), "{never}");
        assert_eq!(clock.outstanding(), 1);
        assert!(handle.cancel_with("own"));
        assert_eq!(never.cause().unwrap().to_string(), "own");
    }
    let (never, _keep) = top.with_timeout(Duration::MAX);
    assert_eq!(never.to_string(), "background.with_clock.with_cancel");
    let (below, _keep) = ctx.with_timeout(Duration::MAX);
    assert_eq!(below.deadline(), Some(at), "the parent's");
    clock.advance(ms(1));
    assert!(below.is_cancelled() && !never.is_cancelled());
}

// G53: what becomes of an expired deadline as an I/O error.
#[test]
fn an_expired_deadline_becomes_an_io_error_that_says_so() {
    let (clock, top) = on_clock();
    let (ctx, _keep) = top.with_timeout_cause(ms(1), "too slow");
    clock.advance(ms(1));
    let error = io::Error::from(ctx.error().unwrap());
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let inner = error
        .get_ref()
        .unwrap()
        .downcast_ref::<CancelError>()
        .unwrap();
    assert!(inner.is_timeout() && inner.cause().unwrap().to_string() == "too slow");
}

// G55, C8: a thread that waits for what never comes ends with the deadline's text.
#[test]
fn a_blocked_wait_ends_with_the_text_of_the_deadline() {
    in_time(|| {
        for give in WAYS {
            let (clock, top) = on_clock();
            let (ctx, _keep) = give(&top, &clock, ms(1));
            let (started, has_started) = mpsc::channel();
            let thread = start(move || {
                started.send(()).unwrap();
                ctx.wait().to_string()
            });
            has_started.recv().unwrap();
            clock.advance(ms(1));
            assert_eq!(thread.join().unwrap(), "context deadline exceeded");
        }
    });
}

// G70: the path tells what remains of each deadline, by its clock.
#[test]
fn a_deadline_prints_the_time_that_remains() {
    let (clock, top) = on_clock();
    let (ctx, _keep) = top.with_timeout(ms(30_000));
    let (below, cancel) = ctx.with_deadline(clock.now() + HOUR);
    let path = |own: &str, below: &str| {
        format!("background.with_clock.with_deadline({own}).with_deadline({below})")
    };
    assert_eq!(below.to_string(), path("30.0s", "3600.0s"));
    clock.advance(ms(100));
    assert_eq!(below.to_string(), path("29.9s", "3599.9s"));
    clock.advance(ms(29_880));
    assert_eq!(below.to_string(), path("20.0ms", "3570.0s"));
    cancel.cancel();
    clock.advance(ms(30));
    let over = format!("{:.1?}", Duration::ZERO);
    assert_eq!(below.to_string(), path(&over, "3570.0s"));
    assert_eq!(
        ctx.to_string(),
        format!("background.with_clock.with_deadline({over})")
    );
    let (named, _keep) = top.derive().name("request").timeout(ms(1)).build();
    assert_eq!(named.to_string(), "background.with_clock.request");
}

// G118: a shield has none, and what is below it only its own.
#[test]
fn a_shield_drops_the_deadline() {
    let (clock, top) = on_clock();
    let (ctx, _keep) = top.with_timeout(ms(1));
    let shield = ctx.without_cancel();
    let (under, _keep) = shield.with_timeout(ms(5));
    let (moved, move_it) = shield.with_cancel();
    let (below_moved, _keep) = moved.with_timeout(ms(9));
    assert!(move_it.set_deadline(clock.now() + ms(7)));
    assert_eq!(moved.deadline(), Some(clock.now() + ms(7)));
    assert_eq!(below_moved.deadline(), moved.deadline());
    assert_eq!((shield.deadline(), shield.remaining()), (None, None));
    assert_eq!(under.deadline(), Some(clock.now() + ms(5)));
    clock.advance(ms(1));
    let late = ctx.without_cancel();
    for shield in [&shield, &late] {
        assert!(!shield.is_cancelled() && shield.error().is_none());
        assert_eq!(shield.deadline(), None);
        assert!(!shield.with_cancel().0.is_cancelled());
    }
    assert!(!under.is_cancelled());
    clock.advance(ms(4));
    assert_eq!(outcome(&under), EXCEEDED);
}

// G3: a root has no deadline.
#[test]
fn a_root_has_no_deadline() {
    let (_clock, on_clock) = on_clock();
    for root in [Context::background(), Context::todo(), on_clock] {
        assert_eq!((root.deadline(), root.remaining()), (None, None));
        let (child, _keep) = root.with_cancel();
        assert_eq!((child.deadline(), child.remaining()), (None, None));
    }
}
