//! Timers: what fires, what does not, and how many are armed.

use super::fake_driver::Time;
use super::tools::{HOUR, Random, in_time, ms, on_clock, orders, outcome, start};
use crate::{CancelHandle, Context, Reason};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

const NS: Duration = Duration::from_nanos(1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Gives memory back, so that it is used again.
fn collect() {
    #[cfg(feature = "internal-model")]
    crate::model::collect();
}

// P66: what is gone, done or moved has left no timer that ends another context,
// though others live where it did.
#[test]
fn a_stale_timer_cancels_no_other_context() {
    for (time, top) in Time::both() {
        let mut held: Vec<(Context, CancelHandle)> = Vec::new();
        for round in 0..4_000 {
            let (parent, cancel_parent) = top.with_cancel();
            let (ctx, handle) = parent.with_timeout(ms(5));
            match round % 5 {
                0 => drop((ctx, handle)),
                1 => assert!(handle.cancel()),
                2 => assert!(handle.set_deadline(time.now() + HOUR)),
                3 => assert!(handle.set_deadline(time.now())),
                _ => assert!(cancel_parent.cancel()),
            }
            held.push(match round % 3 {
                0 => top.with_timeout(HOUR),
                1 => top.with_cancel(),
                _ => top.derive().timeout(2 * HOUR).value(round).build(),
            });
            if round % 200 == 0 {
                collect();
            }
            if round % 1_000 == 0 {
                time.pass(ms(1));
            }
        }
        time.pass(time.late(ms(10)));
        assert!(held.iter().all(|(ctx, _)| !ctx.is_cancelled()));
        assert_eq!(
            time.outstanding(),
            held.iter()
                .filter(|(ctx, _)| ctx.deadline().is_some())
                .count()
        );
        drop(held);
        assert_eq!(time.outstanding(), 0);
    }
}

// P67: the count of armed timers is true, whatever the order in which two of one
// instant are armed, ended and fired, and whatever ends them.
#[test]
fn the_count_of_timers_is_true_in_every_order() {
    const WAYS: usize = 5;
    for order in orders(5) {
        for way in 0..WAYS {
            for (time, top) in Time::both() {
                let at = time.now() + ms(5);
                let (parent, cancel_parent) = top.with_cancel();
                let mut made: [Option<(Context, CancelHandle)>; 2] = [None, None];
                let (mut over, mut expected) = (false, [0; 2]);
                for &event in &order {
                    match event {
                        0 | 1 => {
                            // A few nanoseconds apart, so within one tick.
                            let at = at + event as u32 * NS;
                            made[event] = Some(parent.with_deadline(at));
                            let live = !over && !parent.is_cancelled();
                            expected[event] = usize::from(live);
                        }
                        2 | 3 => {
                            let Some((ctx, handle)) = made[event - 2].take() else {
                                continue;
                            };
                            expected[event - 2] = 0;
                            match way {
                                0 => drop(handle.cancel()),
                                1 => drop(handle),
                                2 => drop(handle.set_deadline(time.now())),
                                3 => {
                                    cancel_parent.cancel();
                                    expected = [0; 2];
                                }
                                _ => {
                                    handle.set_deadline(at + HOUR);
                                    handle.set_deadline(at);
                                    handle.cancel();
                                }
                            }
                            drop(ctx);
                        }
                        _ => {
                            time.pass(time.late(ms(5) + NS));
                            over = true;
                            expected = [0; 2];
                        }
                    }
                    let sum: usize = expected.iter().sum();
                    assert_eq!(time.outstanding(), sum, "{order:?}, way {way}");
                }
                for (ctx, _) in made.iter().flatten() {
                    assert!(ctx.is_cancelled() || !over);
                }
                drop(made);
                assert_eq!(time.outstanding(), 0);
                time.pass(HOUR);
                assert_eq!(parent.live_children(), 0);
            }
        }
    }
}

// P68: as far away as two to whatever nanoseconds: not before, and at once or
// within a tick; also from a time that is one short of such a boundary.
#[test]
fn deadlines_at_powers_of_two_fire_in_time() {
    for before in [0, 1, 6, 12, 19, 25, 31, 37, 43, 49, 55] {
        for (time, top) in Time::both() {
            let boundary = Duration::from_nanos((1 << before) - 1);
            time.pass(boundary);
            let began = time.now();
            let mut passed = Duration::ZERO;
            let powers: Vec<(Duration, Context, CancelHandle)> = (0..60)
                .map(|k| {
                    let after = Duration::from_nanos(1 << k);
                    let (ctx, handle) = top.with_deadline(began + after);
                    (after, ctx, handle)
                })
                .collect();
            for (k, (after, ctx, _)) in powers.iter().enumerate() {
                if let Some(most) = (*after - NS).checked_sub(passed) {
                    time.pass(most);
                    passed += most;
                    assert!(!ctx.is_cancelled(), "{before}, {k}: early");
                }
                if let Some(rest) = time.late(*after).checked_sub(passed) {
                    time.pass(rest);
                    passed += rest;
                }
                assert_eq!(
                    ctx.reason(),
                    Some(Reason::DeadlineExceeded),
                    "{before}, {k}"
                );
            }
            assert_eq!(time.outstanding(), 0);
        }
    }
}

// P68: a hundred years, all over which something is due: at each step exactly
// what is due is done.
#[test]
fn a_hundred_years_pass() {
    for (time, top) in Time::both() {
        let mut random = Random::new(100);
        let began = time.now();
        let mut waits: Vec<(Duration, Context)> = Vec::new();
        let far = |random: &mut Random| {
            let bits = random.below(62);
            Duration::from_nanos(random.below(1 << bits) as u64).min(100 * YEAR)
        };
        let mut passed = Duration::ZERO;
        while passed < 100 * YEAR {
            for _ in 0..20 {
                let after = passed + far(&mut random);
                waits.push((after, top.with_deadline(began + after).0));
            }
            let length = far(&mut random).max(YEAR / 4).min(5 * YEAR);
            time.pass(length);
            passed += length;
            for (after, ctx) in &waits {
                let late = time.late(*after);
                assert!(ctx.is_cancelled() || late > passed, "{after:?} is late");
                assert!(
                    !ctx.is_cancelled() || *after <= passed,
                    "{after:?} is early"
                );
            }
            waits.retain(|(_, ctx)| !ctx.is_cancelled());
            assert_eq!(time.outstanding(), waits.len());
        }
    }
}

// P68: zero and the past end at once, what is huge never comes, and nothing of it
// panics; what is too far to be held counts as far away.
#[test]
fn odd_lengths_are_no_trouble() {
    for (time, top) in Time::both() {
        let now = time.now();
        assert!(top.with_timeout(Duration::ZERO).0.is_cancelled());
        assert!(top.with_deadline(now).0.is_cancelled());
        assert!(top.with_deadline(now - NS).0.is_cancelled());
        assert_eq!(time.outstanding(), 0);
        let mut far: Vec<(Context, CancelHandle)> = vec![top.with_timeout(Duration::MAX)];
        for years in [120, 136, 137, 200, 1_000, 1_000_000, 200_000_000_000] {
            let length = Duration::from_secs(years * YEAR.as_secs());
            far.push(top.with_timeout(length));
            if let Some(at) = now.checked_add(length) {
                let (ctx, handle) = top.with_cancel();
                assert!(handle.set_deadline(at));
                far.push((ctx, handle));
                far.push(top.with_deadline(at));
            }
        }
        for (ctx, handle) in &far {
            let _ = (
                ctx.deadline(),
                ctx.remaining(),
                format!("{ctx} {ctx:?} {handle:?}"),
            );
        }
        let (near, _keep) = top.with_timeout(ms(1));
        time.pass(time.late(ms(1)));
        assert!(near.is_cancelled());
        time.pass(100 * YEAR);
        for (ctx, handle) in &far {
            assert!(!ctx.is_cancelled());
            assert!(handle.set_deadline(time.now() + ms(1)));
        }
        time.pass(time.late(ms(1)));
        assert!(far.iter().all(|(ctx, _)| ctx.is_cancelled()));
        assert_eq!(time.outstanding(), 0);
    }
}

// V19, P68: as far as it can go: all that is armed is over, and it stays there.
#[test]
fn a_clock_may_go_to_its_end() {
    for far in [true, false] {
        let (clock, top) = on_clock();
        let began = clock.now();
        let near = top.with_timeout(ms(5));
        let later = top.with_timeout(1_000_000 * HOUR);
        let last = top.with_deadline(began + 200 * YEAR);
        if far {
            clock.advance(Duration::MAX);
        } else if let Some(at) = began.checked_add(Duration::from_secs(1 << 60)) {
            clock.set(at);
        }
        let end = clock.now();
        assert!(near.0.is_cancelled() && later.0.is_cancelled() && last.0.is_cancelled());
        assert!(end > began + 1_000_000 * HOUR);
        clock.advance(Duration::MAX);
        clock.advance(HOUR);
        assert!(clock.now() >= end && clock.outstanding() == 0);
        assert!(top.with_timeout(Duration::ZERO).0.is_cancelled());
        let (after, handle) = top.with_timeout(HOUR);
        let _ = (after.deadline(), after.remaining(), after.to_string());
        assert!(handle.cancel() || after.is_cancelled());
    }
}

// P69, V6: a cancel and the deadline at once: one of them wins, reason, cause,
// origin and what cancel returns all tell the same one.
#[test]
fn a_cancel_and_a_deadline_at_once_have_one_winner() {
    in_time(|| {
        let mut wins = [0; 2];
        for round in 0..2_000 {
            let (clock, top) = on_clock();
            let (parent, cancel_parent) = top.with_cancel();
            let (ctx, handle) = parent.with_timeout_cause(ms(1), "time");
            let (below, _keep) = ctx.with_cancel();
            let barrier = Arc::new(Barrier::new(2));
            let (other, passes) = (barrier.clone(), clock.clone());
            let thread = start(move || {
                other.wait();
                passes.advance(ms(1));
            });
            barrier.wait();
            for _ in 0..round % 64 {
                std::hint::spin_loop();
            }
            let by_parent = round % 2 == 0;
            let won = if by_parent {
                cancel_parent.cancel_with("cancel");
                ctx.reason() == Some(Reason::Cancelled)
            } else {
                handle.cancel_with("cancel")
            };
            assert!(ctx.is_cancelled() && below.is_cancelled());
            thread.join().unwrap();
            let (reason, cause, origin) = match (won, by_parent) {
                (false, _) => (Reason::DeadlineExceeded, "time", ctx.id()),
                (true, false) => (Reason::Cancelled, "cancel", ctx.id()),
                (true, true) => (Reason::Cancelled, "cancel", parent.id()),
            };
            for ctx in [&ctx, &below] {
                assert_eq!(outcome(ctx), Some((reason, Some(cause.to_owned()))));
                let error = ctx.error().unwrap();
                assert_eq!(error.origin(), origin);
                assert_eq!(error.location().is_some(), won);
            }
            assert_eq!(clock.outstanding(), 0);
            wins[usize::from(won)] += 1;
        }
        assert_eq!(wins.iter().sum::<usize>(), 2_000);
    });
}

// P66, P67, P69: threads arm, cancel, drop and move while another passes the time: each
// context ends as its handle was told, and no timer is left.
#[test]
fn timers_are_armed_and_ended_on_threads_while_time_passes() {
    in_time(|| {
        for (time, top) in Time::both() {
            let time = Arc::new(time);
            let threads: Vec<_> = (0..3)
                .map(|seed| {
                    let (time, top) = (time.clone(), top.clone());
                    start(move || churn(&time, &top, seed))
                })
                .collect();
            while threads.iter().any(|thread| !thread.is_finished()) {
                time.pass(ms(1));
                std::thread::yield_now();
            }
            let kept: Vec<(Context, Instant)> = threads
                .into_iter()
                .flat_map(|t| t.join().unwrap())
                .collect();
            assert!(time.outstanding() <= kept.len());
            time.pass(time.late(ms(100)));
            for (ctx, at) in &kept {
                assert!(ctx.is_cancelled());
                assert_eq!(
                    (ctx.deadline(), outcome(ctx).unwrap().0),
                    (Some(*at), Reason::DeadlineExceeded)
                );
            }
            drop(kept);
            assert_eq!((top.live_children(), time.outstanding()), (0, 0));
        }
    });
}

fn churn(time: &Time, top: &Context, seed: u64) -> Vec<(Context, Instant)> {
    let mut random = Random::new(seed);
    let mut kept = Vec::new();
    for i in 0..20_000 {
        let at = time.now() + ms(1 + random.below(50) as u64);
        let (ctx, handle) = top.with_deadline(at);
        match random.below(5) {
            0 if i % 8 == 0 => kept.push((ctx, at)),
            1 => {
                let won = handle.cancel();
                assert_eq!(ctx.error().unwrap().is_timeout(), !won);
            }
            2 => {
                let at = at + ms(3);
                if handle.set_deadline(at) && i % 8 == 0 {
                    kept.push((ctx, at));
                }
            }
            3 => {
                let moved = handle.set_deadline(time.now() + HOUR);
                assert_ne!(moved, ctx.is_cancelled());
            }
            _ => drop((ctx, handle)),
        }
    }
    kept
}
