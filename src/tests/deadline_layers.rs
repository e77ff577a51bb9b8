//! Contexts with a deadline and more, and what is shown of them.

use super::foreign::Token;
use super::tools::{HOUR, TICK, ms, on_clock, outcome};
use crate::time::ManualClock;
use crate::tree::{Kind, State};
use crate::{Context, Key, Reason};
use std::time::{Duration, Instant};

static KEY: Key<u8> = Key::new("key");

// V18: a builder combines a deadline, and its cause, with whatever else.
#[test]
fn a_builder_combines_a_deadline_with_everything() {
    for bits in 0..32 {
        let has = |bit: usize| bits & 1 << bit != 0;
        let (clock, top) = on_clock();
        let (parent, _keep) = top.with_timeout_cause(ms(9), "parent's time");
        let (other, _keep) = top.with_timeout(HOUR);
        let mut derive = parent.derive();
        let late = if has(4) { ms(12) } else { ms(5) };
        derive = derive.timeout(late).deadline_cause("own time");
        if has(0) {
            derive = derive.name("request");
        }
        if has(1) {
            derive = derive.value("typed").key(&KEY, 7);
        }
        if has(2) {
            derive = derive.link(&other);
        }
        if has(3) {
            derive = derive.shield();
        }
        let (ctx, handle) = derive.build();
        let own_first = has(3) || !has(4);
        let left = if own_first { late } else { ms(9) };
        assert_eq!(ctx.remaining(), Some(left), "{bits}");
        assert_eq!(ctx.name(), has(0).then_some("request"));
        assert_eq!(ctx.value::<&str>(), has(1).then_some(&"typed"));
        assert_eq!(ctx.get(&KEY), has(1).then_some(&7));
        clock.advance(left - TICK);
        assert!(!ctx.is_cancelled());
        clock.advance(TICK);
        let cause = if own_first {
            "own time"
        } else {
            "parent's time"
        };
        let expected = (Reason::DeadlineExceeded, Some(cause.to_owned()));
        assert_eq!(outcome(&ctx), Some(expected), "{bits}");
        let origin = if own_first { ctx.id() } else { parent.id() };
        assert_eq!(ctx.error().unwrap().origin(), origin);
        assert_eq!(ctx.get(&KEY), has(1).then_some(&7));
        assert!(!handle.cancel());
    }
}

// V18, V21: and whatever else comes first, ends it, but for what a shield keeps
// away; the timer goes.
#[test]
fn a_built_context_is_ended_by_what_comes_first() {
    let (clock, top) = on_clock();
    for end in 0..3 {
        let (parent, cancel_parent) = top.with_cancel();
        let (other, cancel_other) = top.with_cancel();
        let build = |shield: bool| {
            let derive = parent.derive().timeout(ms(5)).deadline_cause("time");
            let derive = derive.link(&other).value(1_u8);
            if shield { derive.shield() } else { derive }.build()
        };
        let ((open, cancel_open), (shut, cancel_shut)) = (build(false), build(true));
        assert_eq!(clock.outstanding(), 2);
        let ended = match end {
            0 => (cancel_parent.cancel_with("end"), true, false),
            1 => (cancel_other.cancel_with("end"), true, true),
            _ => (
                cancel_open.cancel_with("end"),
                true,
                cancel_shut.cancel_with("end"),
            ),
        };
        assert_eq!((true, open.is_cancelled(), shut.is_cancelled()), ended);
        assert_eq!(clock.outstanding(), usize::from(!shut.is_cancelled()));
        clock.advance(ms(5));
        let text = |ctx: &Context| ctx.cause().unwrap().to_string();
        assert_eq!(text(&open), "end");
        assert_eq!(text(&shut), if end == 0 { "time" } else { "end" });
    }
}

// A cause without a deadline is used by nobody; given in any order it is the
// deadline's.
#[test]
fn a_deadline_cause_needs_a_deadline() {
    let (clock, top) = on_clock();
    let (none, cancel_none) = top.derive().deadline_cause("unused").build();
    let (first, _keep) = top.derive().deadline_cause("used").timeout(ms(1)).build();
    assert_eq!((none.deadline(), clock.outstanding()), (None, 1));
    clock.advance(HOUR);
    assert_eq!(first.cause().unwrap().to_string(), "used");
    assert!(!none.is_cancelled() && cancel_none.cancel());
    assert!(none.cause().is_none());
}

// Nothing is derived, armed or begun before `build`: a timeout counts from the
// call that gave it, at the earliest, and from `build` at the latest.
#[test]
fn a_builder_arms_nothing_before_build() {
    let (clock, top) = on_clock();
    let derive = top
        .derive()
        .deadline(clock.now() + ms(5))
        .deadline_cause("why");
    assert_eq!((top.live_children(), clock.outstanding()), (0, 0));
    assert!(format!("{derive:?}").contains("Derive"));
    drop(derive);
    let derive = top.derive().deadline(clock.now() + ms(5));
    clock.advance(ms(5));
    let (ctx, _keep) = derive.build();
    assert!(ctx.is_cancelled());
}

// V20: values pass through deadlines and clocks, and are shadowed below them.
#[test]
fn values_pass_through_deadlines_and_clocks() {
    let clock = ManualClock::new();
    let above = Context::background().with_value("above").with_key(&KEY, 1);
    let (ctx, _keep) = above.with_clock(&clock).with_timeout(ms(1));
    let below = ctx.with_clock(&ManualClock::new()).with_timeout(ms(1)).0;
    for ctx in [&ctx, &below] {
        assert_eq!(
            (ctx.value::<&str>(), ctx.get(&KEY)),
            (Some(&"above"), Some(&1))
        );
        assert_eq!(ctx.value::<u8>(), None);
    }
    let shadow = below.with_value("below");
    clock.advance(ms(1));
    assert!(shadow.is_cancelled());
    assert_eq!(
        (shadow.value(), shadow.get(&KEY)),
        (Some(&"below"), Some(&1))
    );
}

// V20: all values of a long chain of deadlines and clocks are found.
#[test]
fn a_clock_is_no_end_of_a_chain_of_values() {
    static KEYS: [Key<usize>; 40] = [const { Key::new("k") }; 40];
    let (clock, mut at) = on_clock();
    for (i, key) in KEYS.iter().enumerate() {
        at = match i % 3 {
            0 => at.with_clock(&clock).with_key(key, i),
            1 => at.derive().key(key, i).timeout(HOUR).build().0,
            _ => at.with_timeout(HOUR).0.with_key(key, i),
        };
    }
    for (i, key) in KEYS.iter().enumerate() {
        assert_eq!(at.get(key), Some(&i));
    }
    assert!(at.value::<u8>().is_none());
}

// V18: a shield keeps the clock and drops the deadline.
#[test]
fn a_shield_keeps_the_clock() {
    let (clock, top) = on_clock();
    let (ctx, _keep) = top.with_timeout(ms(5));
    let (built, _keep) = ctx.derive().shield().build();
    for shield in [ctx.without_cancel(), built] {
        assert_eq!((shield.deadline(), shield.remaining()), (None, None));
        let armed = clock.outstanding();
        let (under, _keep) = shield.with_timeout(HOUR);
        assert_eq!(clock.outstanding(), armed + 1);
        assert_eq!(under.deadline(), Some(clock.now() + HOUR));
        assert_eq!(under.remaining(), Some(HOUR));
    }
}

// A clock is a layer: it counts as a child, cancels pass, names print.
#[test]
fn a_clock_is_a_layer_like_others() {
    let clock = ManualClock::new();
    let (parent, handle) = Context::todo().with_cancel();
    let on_clock = parent.with_clock(&clock);
    assert_eq!(parent.live_children(), 1);
    assert_eq!(on_clock.to_string(), "todo.with_cancel.with_clock");
    assert!(on_clock.is_cancelable() && on_clock.name().is_none());
    assert!(!Context::todo().with_clock(&clock).is_cancelable());
    let debug = format!("{on_clock:?} {clock:?}");
    assert!(debug.contains(&on_clock.id().to_string()) && debug.contains("ManualClock"));
    handle.cancel_with("why");
    assert_eq!(on_clock.cause().unwrap().to_string(), "why");
    assert!(parent.with_clock(&clock).is_cancelled());
    assert!(on_clock.with_timeout(ms(1)).0.is_cancelled());
    assert_eq!((parent.live_children(), clock.outstanding()), (0, 0));
}

// G74: what is printed of a context with a deadline, live and done.
#[test]
fn debug_tells_a_deadline_context_as_any_other() {
    let (clock, top) = on_clock();
    let (ctx, handle) = top.with_timeout_cause(ms(5), "too slow");
    let before = format!("{ctx:?} {handle:?}");
    assert!(
        before.contains("live") && !before.contains("too slow"),
        "{before}"
    );
    clock.advance(ms(5));
    for after in [format!("{ctx:?}"), format!("{handle:?}")] {
        assert!(
            after.contains("context deadline exceeded: too slow"),
            "{after}"
        );
    }
}

// V23: a snapshot names kinds and states, and says what remains of the deadline
// of each context's own.
#[test]
fn a_snapshot_tells_deadlines() {
    let (clock, top) = on_clock();
    let (server, _stop) = top.with_cancel();
    let (request, _keep) = server.with_timeout(ms(50));
    let (below, _keep) = request.with_timeout(HOUR);
    let (moved, move_it) = request.derive().name("moved").build();
    let (_foreign, _keep) = server.from_source(Token::default());
    let clocked = server.with_clock(&clock);
    assert!(move_it.set_deadline(clock.now() + ms(20)));
    clock.advance(ms(10));
    let look = || {
        let tree = server.tree();
        let of = |ctx: &Context| {
            let node = tree.nodes().find(|node| node.id() == ctx.id()).unwrap();
            (node.kind(), node.remaining(), node.state())
        };
        [
            of(&server),
            of(&request),
            of(&below),
            of(&moved),
            of(&clocked),
        ]
    };
    let hour = HOUR - ms(10);
    assert_eq!(
        look(),
        [
            (Kind::Cancel, None, State::Live),
            (Kind::Deadline, Some(ms(40)), State::Live),
            (Kind::Deadline, Some(hour), State::Live),
            (Kind::Derived, Some(ms(10)), State::Live),
            (Kind::Clock, None, State::Live),
        ]
    );
    assert_eq!(Kind::Deadline.to_string(), "with_deadline");
    assert_eq!(Kind::Clock.to_string(), "with_clock");
    clock.advance(ms(10));
    let exceeded = State::Done(Reason::DeadlineExceeded);
    assert_eq!(look()[3], (Kind::Derived, Some(Duration::ZERO), exceeded));
    assert_eq!(look()[1], (Kind::Deadline, Some(ms(30)), State::Live));
    let text = server.tree().to_string();
    assert!(
        text.contains("with_deadline") && text.contains("deadline exceeded"),
        "{text}"
    );
}

// V18, P68: an instant before the process began is over, whatever clock.
#[test]
fn an_instant_before_the_process_is_over() {
    let long_ago = (0..40).rev().find_map(|k| {
        let back = Duration::from_secs(1 << k);
        Instant::now().checked_sub(back)
    });
    let long_ago = long_ago.unwrap();
    let (clock, top) = on_clock();
    for root in [Context::background(), top] {
        let (ctx, handle) = root.with_deadline_cause(long_ago, "past");
        let expected = (Reason::DeadlineExceeded, Some("past".to_owned()));
        assert_eq!(outcome(&ctx), Some(expected));
        assert_eq!(ctx.remaining(), Some(Duration::ZERO));
        assert!(!handle.set_deadline(Instant::now() + HOUR));
        let (ctx, handle) = root.with_timeout(HOUR);
        assert!(handle.set_deadline(long_ago) && ctx.is_cancelled());
    }
    clock.set(long_ago);
    assert!(clock.now() > long_ago);
}
