//! Deadlines that are moved.

use super::foreign::Token;
use super::tools::{HOUR, Random, TICK, in_time, ms, on_clock, outcome, peek, start};
use crate::time::ManualClock;
use crate::{CancelHandle, Context, Reason};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

type Pair = (Context, CancelHandle);

const EXCEEDED: Option<(Reason, Option<String>)> = Some((Reason::DeadlineExceeded, None));

// V18: earlier or later, once or often: it fires at the last one that was set,
// and every way down tells that one.
#[test]
fn a_moved_deadline_fires_where_it_was_moved_to() {
    for moves in [
        &[20][..],
        &[5],
        &[20, 5],
        &[5, 20],
        &[30, 10, 20],
        &[10],
        &[3, 3, 3],
    ] {
        let (clock, top) = on_clock();
        let began = clock.now();
        let (ctx, handle) = top.with_timeout(ms(10));
        let (before, _keep) = ctx.with_value(1_u8).with_cancel();
        for &to in moves {
            assert!(handle.set_deadline(began + ms(to)));
            assert_eq!(ctx.deadline(), Some(began + ms(to)));
            assert_eq!(clock.outstanding(), 1);
        }
        let (after, _keep) = ctx.with_cancel();
        let last = ms(*moves.last().unwrap());
        for below in [&before, &after] {
            assert_eq!(below.deadline(), Some(began + last));
            assert_eq!(below.remaining(), Some(last));
        }
        clock.advance(last - TICK);
        assert!(!ctx.is_cancelled() && !before.is_cancelled(), "{moves:?}");
        clock.advance(TICK);
        for ctx in [&ctx, &before, &after] {
            assert_eq!(outcome(ctx), EXCEEDED);
            assert_eq!(ctx.error().unwrap().origin(), handle.context().id());
        }
        assert_eq!(clock.outstanding(), 0);
        clock.advance(HOUR);
        assert_eq!(after.deadline(), Some(began + last));
    }
}

// V18: into the past or to now: done when the call returns, which says that it
// moved; all that is below as well, and callbacks have run.
#[test]
fn a_deadline_moved_into_the_past_is_over_on_return() {
    for back in [Duration::ZERO, TICK, ms(7)] {
        for given in [None, Some(ms(10))] {
            let (clock, top) = on_clock();
            clock.advance(ms(8));
            let (ctx, handle) = match given {
                None => top.with_cancel(),
                Some(after) => top.with_timeout(after),
            };
            let (below, _keep) = ctx.with_cancel();
            let ran = Arc::new(Mutex::new(None));
            let (inside, leaf) = (ran.clone(), below.clone());
            let _kept = ctx.after_cancel(move |error| {
                assert!(leaf.is_cancelled());
                *inside.lock().unwrap() = Some(error.reason());
            });
            let at = clock.now() - back;
            assert!(handle.set_deadline(at));
            assert_eq!(*ran.lock().unwrap(), Some(Reason::DeadlineExceeded));
            for ctx in [&ctx, &below] {
                assert_eq!(outcome(ctx), EXCEEDED);
                assert_eq!(ctx.error().unwrap().origin(), handle.context().id());
                assert!(ctx.error().unwrap().location().is_none());
                assert_eq!(ctx.deadline(), Some(at));
            }
            assert!(!handle.set_deadline(at) && !handle.cancel());
            assert_eq!(clock.outstanding(), 0);
        }
    }
}

// V18, V1: what is done has no deadline to move.
#[test]
fn the_deadline_of_what_is_done_does_not_move() {
    let (clock, top) = on_clock();
    let (parent, cancel_parent) = top.with_cancel();
    let (cancelled, one) = top.with_timeout(ms(5));
    let (inherited, two) = parent.with_timeout(ms(5));
    let (expired, three) = top.with_timeout(Duration::ZERO);
    let (plain, four) = parent.with_cancel();
    one.cancel();
    cancel_parent.cancel();
    for (ctx, handle) in [
        (&cancelled, &one),
        (&inherited, &two),
        (&expired, &three),
        (&plain, &four),
    ] {
        let (before, told) = (outcome(ctx), ctx.deadline());
        for at in [clock.now() + HOUR, clock.now(), clock.now() - TICK] {
            assert!(!handle.set_deadline(at));
            assert_eq!((outcome(ctx), ctx.deadline()), (before.clone(), told));
        }
        assert_eq!(clock.outstanding(), 0);
    }
}

// V18: whatever can be cancelled can be given a deadline.
#[test]
fn a_deadline_is_added_to_what_has_none() {
    let (clock, top) = on_clock();
    let (other, _keep) = top.with_cancel();
    let never = top.with_timeout(Duration::MAX);
    for (ctx, handle) in [
        top.with_cancel(),
        top.derive().name("plain").build(),
        top.derive().value(1_u8).shield().build(),
        top.link([&other]),
        top.from_source(Token::default()),
        never,
    ] {
        let (below, _keep) = ctx.with_cancel();
        assert_eq!((ctx.deadline(), below.deadline()), (None, None));
        let at = clock.now() + ms(5);
        assert!(handle.set_deadline(at));
        assert_eq!((ctx.deadline(), below.deadline()), (Some(at), Some(at)));
        assert_eq!(clock.outstanding(), 1, "{ctx}");
        clock.advance(ms(5));
        assert_eq!((outcome(&ctx), outcome(&below)), (EXCEEDED, EXCEEDED));
    }
    assert!(!other.is_cancelled());
}

// V18: never past the parent's: that counts, and the child's own again if the
// parent's moves away.
#[test]
fn a_moved_deadline_is_bounded_by_those_above() {
    let (clock, top) = on_clock();
    let began = clock.now();
    let (parent, move_parent) = top.with_timeout(ms(10));
    let (child, move_child) = parent.with_timeout(ms(5));
    assert!(move_child.set_deadline(began + ms(20)));
    assert_eq!(child.deadline(), Some(began + ms(10)));
    assert!(move_parent.set_deadline(began + ms(30)));
    assert_eq!(child.deadline(), Some(began + ms(20)));
    clock.advance(ms(20) - TICK);
    assert!(!child.is_cancelled());
    clock.advance(TICK);
    assert_eq!(child.error().unwrap().origin(), child.id());
    assert!(!parent.is_cancelled());
}

// G47, V18: what armed nothing, as something above was to be first, keeps its own
// deadline, and fires at it when that which is above moves away, however deep it
// is and whoever is held in between.
#[test]
fn what_armed_nothing_is_armed_when_the_parent_moves_later() {
    for dropped in [false, true] {
        let (clock, top) = on_clock();
        let began = clock.now();
        let (ctx, handle) = top.with_timeout(ms(5));
        let at = |ctx: &Context, n| ctx.with_deadline_cause(began + ms(n), format!("{n}")).0;
        let child = at(&ctx, 10);
        let plain = child.with_value(1_u8);
        let deep = at(&plain, 20);
        let early = at(&plain, 7);
        let linked = plain.link([&top]).0;
        let below_link = at(&linked, 8);
        let shielded = at(&plain.without_cancel(), 6);
        assert_eq!(clock.outstanding(), 2, "the first and the shielded one");
        let id = child.id();
        if dropped {
            drop((child, plain, linked));
        }
        assert!(handle.set_deadline(began + ms(15)));
        assert_eq!(ctx.deadline(), Some(began + ms(15)));
        assert_eq!(deep.deadline(), Some(began + ms(10)));
        assert_eq!(early.deadline(), Some(began + ms(7)));
        assert_eq!(shielded.deadline(), Some(began + ms(6)));
        let all = [&ctx, &deep, &early, &below_link, &shielded];
        let mut done = Vec::new();
        for n in 1..=20 {
            clock.set(began + ms(n));
            for (i, ctx) in all.into_iter().enumerate() {
                if ctx.is_cancelled() && !done.iter().any(|&(at, _)| at == i) {
                    done.push((i, n));
                }
            }
        }
        assert_eq!(done, [(4, 6), (2, 7), (3, 8), (1, 10), (0, 15)]);
        assert_eq!(deep.error().unwrap().origin(), id);
        assert_eq!(deep.cause().unwrap().to_string(), "10");
        assert!(ctx.cause().is_none());
        assert_eq!(clock.outstanding(), 0);
    }
}

// V18: moved earlier than what is below, it is first.
#[test]
fn a_deadline_moved_earlier_ends_what_is_below() {
    let (clock, top) = on_clock();
    let began = clock.now();
    let (ctx, handle) = top.with_timeout(ms(20));
    let (child, _keep) = ctx.with_timeout_cause(ms(10), "own");
    let (late, _keep) = child.with_timeout(ms(15));
    assert!(handle.set_deadline(began + ms(5)));
    let (new, _keep) = child.with_timeout(ms(8));
    for ctx in [&ctx, &child, &late, &new] {
        assert_eq!(ctx.deadline(), Some(began + ms(5)));
    }
    clock.advance(ms(5));
    for below in [&child, &late, &new] {
        assert_eq!(outcome(below), EXCEEDED);
        assert_eq!(below.error().unwrap().origin(), ctx.id());
    }
    assert_eq!(clock.outstanding(), 0);
}

// V15, V18: from a callback of the very deadline it is too late; those of others
// move, also into the past, and within the step that is under way.
#[test]
fn a_callback_may_move_deadlines() {
    let (clock, top) = on_clock();
    let began = clock.now();
    let (ctx, own) = top.with_timeout(ms(5));
    let (later, move_later) = top.with_timeout(ms(7));
    let (sooner, move_sooner) = top.with_timeout(HOUR);
    let (past, move_past) = top.with_timeout(HOUR);
    let log = Arc::new(Mutex::new(Vec::new()));
    let note = |ctx: &Context, name: &'static str| {
        let (log, clock) = (log.clone(), clock.clone());
        let note = move |_: &_| log.lock().unwrap().push((name, clock.now() - began));
        ctx.after_cancel(note).detach();
    };
    note(&later, "later");
    note(&sooner, "sooner");
    note(&past, "past");
    let _kept = ctx.after_cancel(move |_| {
        assert!(!own.set_deadline(began + HOUR));
        assert!(move_later.set_deadline(began + ms(12)));
        assert!(move_sooner.set_deadline(began + ms(9)));
        assert!(move_past.set_deadline(began));
    });
    clock.advance(ms(11));
    let expected = [("past", ms(5)), ("sooner", ms(9))];
    assert_eq!(*log.lock().unwrap(), expected);
    assert!(!later.is_cancelled());
    clock.advance(ms(1));
    assert_eq!(log.lock().unwrap().last(), Some(&("later", ms(12))));
}

/// What the random test below knows of a context.
struct Known {
    ctx: Context,
    handle: CancelHandle,
    parent: Option<usize>,
    own: Option<Instant>,
    /// Who ended it.
    origin: Option<usize>,
}

fn mark(known: &mut [Known], from: usize) {
    known[from].origin = Some(from);
    // Parents come before their children.
    for i in from + 1..known.len() {
        let above = known[i].parent.and_then(|parent| known[parent].origin);
        if known[i].origin.is_none() && above == Some(from) {
            known[i].origin = Some(from);
        }
    }
}

/// Brings what is known up to a time.
fn pass(known: &mut [Known], to: Instant) {
    while let Some((_, first)) = (0..known.len())
        .filter(|&i| known[i].origin.is_none())
        .filter_map(|i| known[i].own.map(|own| (own, i)))
        .filter(|&(own, _)| own <= to)
        .min()
    {
        mark(known, first);
    }
}

fn check(known: &[Known], clock: &ManualClock, seed: u64) {
    let mut armed = 0;
    for i in 0..known.len() {
        let mut earliest = known[i].own;
        let mut at = known[i].parent;
        while let Some(above) = at {
            earliest = earliest.into_iter().chain(known[above].own).min();
            at = known[above].parent;
        }
        let Known { ctx, origin, .. } = &known[i];
        let told = ctx.error().map(|error| error.origin());
        let expected = origin.map(|origin| known[origin].ctx.id());
        assert_eq!(told, expected, "seed {seed}, context {i}");
        assert_eq!(ctx.deadline(), earliest, "seed {seed}, context {i}");
        armed += usize::from(origin.is_none() && known[i].own.is_some());
    }
    assert!(clock.outstanding() <= armed, "seed {seed}");
}

// V6, V18, I2, P68: random trees, deadlines given, moved and passed at random: what a
// list of them says.
#[test]
fn random_deadlines_do_what_a_list_of_them_does() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let (clock, top) = on_clock();
        let mut known: Vec<Known> = Vec::new();
        for step in 0..60 {
            // No two alike.
            let after = ms(random.below(50) as u64) + (step + 1) * TICK;
            let at = clock.now() + after;
            let some = random.below(known.len().max(1));
            match random.below(6) {
                _ if known.is_empty() => known.push(make(&top, None, Some(at))),
                0 => known.push(make(&known[some].ctx, Some(some), None)),
                1 | 2 => known.push(make(&known[some].ctx, Some(some), Some(at))),
                3 | 4 => {
                    let moved = known[some].handle.set_deadline(at);
                    assert_eq!(moved, known[some].origin.is_none(), "seed {seed}");
                    if moved {
                        known[some].own = Some(at);
                    }
                }
                _ => clock.advance(ms(random.below(8) as u64)),
            }
            if let Some(last) = known.last().filter(|last| last.origin.is_none()) {
                // Born done.
                let above = last.parent.and_then(|parent| known[parent].origin);
                known.last_mut().unwrap().origin = above;
            }
            pass(&mut known, clock.now());
            check(&known, &clock, seed);
        }
        clock.advance(ms(100));
        pass(&mut known, clock.now());
        check(&known, &clock, seed);
        assert_eq!(clock.outstanding(), 0);
    }
}

fn make(from: &Context, parent: Option<usize>, own: Option<Instant>) -> Known {
    let (ctx, handle): Pair = match own {
        None => from.with_cancel(),
        Some(at) => from.with_deadline(at),
    };
    Known {
        ctx,
        handle,
        parent,
        own,
        origin: None,
    }
}

// V18, P69: a move races the time: it says whether it was in time, and what it
// says is so.
#[test]
fn a_move_that_races_the_time_is_told_the_truth() {
    in_time(|| {
        let mut seen = [0; 2];
        for round in 0..1_000 {
            let (clock, top) = on_clock();
            let (ctx, handle) = top.with_timeout(ms(1));
            let far = clock.now() + HOUR;
            let barrier = Arc::new(Barrier::new(2));
            let (other, passes) = (barrier.clone(), clock.clone());
            let thread = start(move || {
                other.wait();
                passes.advance(ms(1));
            });
            barrier.wait();
            for _ in 0..round % 50 {
                std::hint::spin_loop();
            }
            let moved = handle.set_deadline(far);
            assert_eq!(ctx.is_cancelled(), !moved);
            thread.join().unwrap();
            assert_eq!(ctx.is_cancelled(), !moved);
            assert_eq!(clock.outstanding(), usize::from(moved));
            assert_eq!(peek(&mut ctx.cancelled()).is_ready(), !moved);
            seen[usize::from(moved)] += 1;
            clock.set(far);
            assert_eq!(outcome(&ctx), EXCEEDED);
        }
        assert_eq!(seen.iter().sum::<usize>(), 1_000);
    });
}
