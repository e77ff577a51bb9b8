//! What Go's contexts are asked about deadlines, on time that the tests move.

use super::foreign::Token;
use super::tools::{HOUR, Random, TICK, Wakes, ms, on_clock, outcome, peek, poll};
use crate::time::ManualClock;
use crate::{CancelError, CancelHandle, Cause, Context, Key, Reason};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

type Pair = (Context, CancelHandle);

const EXCEEDED: Option<(Reason, Option<String>)> = Some((Reason::DeadlineExceeded, None));
const CANCELLED: Option<(Reason, Option<String>)> = Some((Reason::Cancelled, None));

/// The ways to give a child of a parent on this clock so much time.
pub(super) const WAYS: [fn(&Context, &ManualClock, Duration) -> Pair; 4] = [
    |parent, clock, after| parent.with_deadline(clock.now() + after),
    |parent, _, after| parent.with_timeout(after),
    |parent, clock, after| parent.derive().deadline(clock.now() + after).build(),
    |parent, _, after| parent.derive().timeout(after).build(),
];

// G7, G14, G15, G51: a child with a timeout is one of its parent's children,
// and its timer is armed, until its cancel, its time, the last drop, or the
// parent's cancel.
#[test]
fn a_child_with_a_timeout_comes_and_goes() {
    for give in WAYS {
        let (clock, top) = on_clock();
        let (parent, cancel_parent) = top.with_cancel();
        let between = parent.with_value(1_u8);
        for end in 0..4 {
            let (child, handle) = give(&between, &clock, HOUR);
            assert_eq!((between.live_children(), clock.outstanding()), (1, 1));
            clock.advance(HOUR - TICK);
            assert!(!child.is_cancelled());
            let kept = match end {
                0 => handle.cancel().then_some(child),
                1 => {
                    clock.advance(TICK);
                    Some(child)
                }
                2 => {
                    drop(child);
                    assert_eq!(clock.outstanding(), 1, "a handle is held");
                    drop(handle);
                    None
                }
                _ => cancel_parent.cancel().then_some(child),
            };
            assert_eq!((between.live_children(), clock.outstanding()), (0, 0));
            clock.advance(2 * HOUR);
            let expected = [CANCELLED, EXCEEDED, None, CANCELLED];
            assert_eq!(kept.as_ref().and_then(outcome), expected[end]);
        }
    }
}

// G24, G64: a random chain of layers with timeouts: when the first one is over,
// all that is below is done, and every value is readable before and after.
#[test]
fn a_random_chain_with_timeouts_expires() {
    static KEYS: [Key<usize>; 40] = [const { Key::new("layer") }; 40];
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let (clock, top) = on_clock();
        // What each layer has of its own.
        let mut layers: Vec<(Context, Option<Duration>, bool)> = Vec::new();
        let length = 30 + random.below(10);
        for (layer, key) in KEYS.iter().enumerate().take(length) {
            let at = layers.last().map_or(&top, |(ctx, ..)| ctx);
            // One of each at least.
            let kind = if layer < 4 { layer } else { random.below(4) };
            let after = ms(1 + random.below(20) as u64);
            let next = match kind {
                0 => (at.with_cancel().0, None, false),
                1 => (at.with_timeout(after).0, Some(after), false),
                2 => (at.with_key(key, layer), None, true),
                _ => {
                    let both = at.derive().key(key, layer).timeout(after);
                    (both.build().0, Some(after), true)
                }
            };
            layers.push(next);
        }
        let leaf = layers.last().unwrap().0.clone();
        let check_values = || {
            for (layer, (.., has)) in layers.iter().enumerate() {
                assert_eq!(leaf.get(&KEYS[layer]), has.then_some(&layer));
            }
        };
        check_values();
        let earliest = layers.iter().filter_map(|&(_, own, _)| own).min().unwrap();
        let first = layers.iter().position(|&(_, own, _)| own == Some(earliest));
        let first = first.unwrap();
        assert_eq!(leaf.deadline(), Some(clock.now() + earliest));
        clock.advance(earliest - TICK);
        assert!(!leaf.is_cancelled(), "seed {seed}");
        clock.advance(TICK);
        for (depth, (ctx, ..)) in layers.iter().enumerate() {
            let origin = ctx.error().map(|error| error.origin());
            let expected = (depth >= first).then_some(layers[first].0.id());
            assert_eq!(origin, expected, "seed {seed}, layer {depth}");
        }
        assert_eq!(outcome(&leaf), EXCEEDED);
        check_values();
        clock.advance(ms(20));
        assert_eq!(clock.outstanding(), 0);
    }
}

// G33, G39, G44, G52, G104: whichever way the deadline was given, live until the
// very instant; then done, with waits, callbacks and all that is below.
#[test]
fn a_deadline_passes_at_its_instant() {
    for (way, give) in WAYS.into_iter().enumerate() {
        let (clock, top) = on_clock();
        let (ctx, handle) = give(&top, &clock, ms(1));
        let name = ["with_deadline(1.0ms)", "derive"][way / 2];
        assert_eq!(ctx.to_string(), format!("background.with_clock.{name}"));
        assert_eq!(ctx.deadline(), Some(clock.now() + ms(1)));
        let (below, _keep) = ctx.with_value(1_u8).with_cancel();
        let (wakes, waker) = Wakes::new();
        let mut wait = below.cancelled();
        assert!(poll(&mut wait, &waker).is_pending());
        let runs = Arc::new(AtomicUsize::new(0));
        let count = runs.clone();
        let _kept = ctx.after_cancel(move |error| {
            assert!(error.is_timeout());
            count.fetch_add(1, SeqCst);
        });
        clock.advance(ms(1) - TICK);
        assert!(!ctx.is_cancelled() && below.error().is_none());
        assert_eq!((wakes.count(), runs.load(SeqCst)), (0, 0));
        clock.advance(TICK);
        for ctx in [&ctx, &below] {
            let error = ctx.error().unwrap();
            assert_eq!(error.reason(), Reason::DeadlineExceeded);
            assert!(error.is_timeout() && error.cause().is_none());
            assert_eq!(error.origin(), handle.context().id());
            assert!(error.location().is_none(), "no line of code");
        }
        assert_eq!((wakes.count(), runs.load(SeqCst)), (1, 1));
        assert!(peek(&mut wait).is_ready() && !handle.cancel());
        assert_eq!(clock.outstanding(), 0);
    }
}

// G40: a deadline reaches what is below through a foreign parent that stands
// between; one that a foreign token relays is its cause.
#[test]
fn a_deadline_reaches_through_a_foreign_parent() {
    let (clock, top) = on_clock();
    let (above, _keep) = top.with_timeout(ms(1));
    let (between, _keep) = above.from_source(Token::default());
    let (below, _keep) = between.with_cancel();
    let token = Token::default();
    let relay = token.clone();
    let tells = move |error: &CancelError| relay.cancel(Some(Cause::new(error.clone())));
    let _kept = above.after_cancel(tells);
    let (relayed, _keep) = Context::background().from_source(token);
    assert_eq!(below.deadline(), above.deadline());
    assert_eq!(relayed.deadline(), None);
    clock.advance(ms(1));
    assert_eq!(outcome(&between), EXCEEDED);
    assert_eq!(outcome(&below), EXCEEDED);
    assert_eq!(below.error().unwrap().origin(), above.id());
    assert_eq!(relayed.reason(), Some(Reason::Cancelled));
    let cause = relayed.cause().unwrap();
    assert!(cause.downcast_ref::<CancelError>().unwrap().is_timeout());
}

// G132, G135: a child with a timeout below a foreign parent ends with either, and
// then leaves both timer and registration.
#[test]
fn a_timeout_below_a_foreign_parent_ends_with_it() {
    for foreign_first in [true, false] {
        let (clock, top) = on_clock();
        let token = Token::default();
        let (ctx, _) = top.from_source(token.clone());
        let (child, cancel) = ctx.with_timeout(ms(1));
        drop(ctx);
        assert_eq!((token.registrations(), clock.outstanding()), (1, 1));
        if foreign_first {
            token.cancel(None);
            assert_eq!(outcome(&child), CANCELLED);
            assert_eq!(clock.outstanding(), 0);
            clock.advance(ms(1));
        } else {
            clock.advance(ms(1));
            assert_eq!(outcome(&child), EXCEEDED);
            token.cancel(None);
        }
        assert!(!cancel.cancel());
        drop((child, cancel));
        assert_eq!((token.registrations(), token.callbacks()), (0, 0));
        assert_eq!((token.clones(), clock.outstanding()), (1, 0));
    }
}

// G41, G46, G47: of two deadlines on a path the earlier one counts, wherever it
// is and whatever stands between; one that cannot be first arms no timer.
#[test]
fn the_earliest_deadline_of_the_path_counts() {
    for give_above in WAYS {
        for give_below in WAYS {
            for above_first in [true, false] {
                let (clock, top) = on_clock();
                let (short, long) = (ms(1), 1_000 * HOUR);
                let (first, second) = if above_first {
                    (short, long)
                } else {
                    (long, short)
                };
                let (above, _keep) = give_above(&top, &clock, first);
                let (between, _keep) = above.with_value(1_u8).with_cancel();
                let (below, cancel) = give_below(&between, &clock, second);
                assert_eq!(clock.outstanding(), if above_first { 1 } else { 2 });
                let at = clock.now() + short;
                assert_eq!(below.deadline(), Some(at));
                assert_eq!(above.deadline(), Some(clock.now() + first));
                assert_eq!(between.deadline(), above.deadline());
                assert_eq!(below.remaining(), Some(short));
                clock.advance(short);
                assert_eq!(outcome(&below), EXCEEDED);
                assert_eq!(above.is_cancelled(), above_first);
                let origin = if above_first { &above } else { &below };
                assert_eq!(below.error().unwrap().origin(), origin.id());
                assert!(!cancel.cancel());
                // As before, though time is over.
                clock.advance(HOUR);
                assert_eq!(below.deadline(), Some(at));
                assert_eq!(below.remaining(), Some(Duration::ZERO));
            }
        }
    }
}

// G42, G43, G44: past or now: done when the constructor returns, with no timer.
#[test]
fn a_deadline_that_is_over_is_over_at_once() {
    let (clock, top) = on_clock();
    clock.advance(ms(10));
    let now = clock.now();
    for (at, (ctx, handle)) in [
        (now, top.with_deadline(now)),
        (now, top.with_timeout(Duration::ZERO)),
        (now, top.derive().timeout(Duration::ZERO).build()),
        (now - TICK, top.with_deadline(now - TICK)),
        (now - ms(10), top.derive().deadline(now - ms(10)).build()),
    ] {
        assert_eq!(outcome(&ctx), EXCEEDED);
        assert_eq!(ctx.error().unwrap().origin(), ctx.id());
        assert!(ctx.error().unwrap().location().is_none());
        assert_eq!(ctx.deadline(), Some(at));
        assert_eq!(ctx.remaining(), Some(Duration::ZERO));
        assert!(!handle.cancel() && peek(&mut ctx.cancelled()).is_ready());
        let runs = Arc::new(AtomicUsize::new(0));
        let count = runs.clone();
        ctx.after_cancel(move |_| {
            count.fetch_add(1, SeqCst);
        })
        .detach();
        assert_eq!(runs.load(SeqCst), 1);
        assert_eq!(ctx.with_cancel().0.error().unwrap().origin(), ctx.id());
        assert_eq!((top.live_children(), clock.outstanding()), (0, 0));
    }
}

// G45, G46: a cancel before the time: done on return, cancelled, and for ever;
// the deadline is told as before.
#[test]
fn a_cancel_before_the_time_is_a_cancel() {
    let (clock, top) = on_clock();
    let (above, _keep) = top.with_timeout(ms(1_000));
    let (between, _keep) = above.from_source(Token::default());
    let (child, cancel) = between.with_timeout(1_000 * HOUR);
    let at = clock.now() + ms(1_000);
    assert!(cancel.cancel());
    assert_eq!(outcome(&child), CANCELLED);
    assert!(!child.error().unwrap().is_timeout());
    assert_eq!(child.deadline(), Some(at));
    clock.advance(2_000 * HOUR);
    assert_eq!(outcome(&child), CANCELLED);
    assert_eq!(outcome(&between), EXCEEDED);
    assert_eq!(child.deadline(), Some(at));
}
