//! Timeouts that are pushed on.

use super::tools::{HOUR, TICK, in_time, ms, on_clock, outcome, start};
use crate::{Context, Reason};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

const LENGTH: Duration = Duration::from_secs(30);

// V18: it ends so long after the last touch, to the nanosecond.
#[test]
fn a_context_ends_so_long_after_the_last_touch() {
    let (clock, root) = on_clock();
    let (ctx, idle) = root.with_idle_timeout(LENGTH);
    assert_eq!((idle.context(), idle.length()), (&ctx, LENGTH));
    for _ in 0..5 {
        clock.advance(LENGTH - TICK);
        assert!(!ctx.is_cancelled());
        assert!(idle.touch());
        assert_eq!(ctx.remaining(), Some(LENGTH));
    }
    clock.advance(LENGTH - TICK);
    assert!(!ctx.is_cancelled());
    clock.advance(TICK);
    let error = ctx.error().unwrap();
    assert_eq!(error.reason(), Reason::DeadlineExceeded);
    assert_eq!(error.origin(), ctx.id());
    assert_eq!(clock.outstanding(), 0);
}

#[test]
fn a_touch_after_the_end_says_false() {
    let (clock, root) = on_clock();
    let (late, idle) = root.with_idle_timeout(LENGTH);
    clock.advance(LENGTH);
    assert!(!idle.touch() && late.is_cancelled());

    let (ctx, idle) = root.with_idle_timeout(LENGTH);
    idle.handle().cancel_with("by hand");
    let ends = ctx.deadline();
    clock.advance(LENGTH / 2);
    assert!(!idle.touch() && !idle.cancel());
    assert_eq!(ctx.deadline(), ends, "moved");
    let expected = (Reason::Cancelled, Some("by hand".to_owned()));
    assert_eq!(outcome(&ctx), Some(expected));

    let (parent, handle) = root.with_cancel();
    let (_ctx, idle) = parent.with_idle_timeout(LENGTH);
    handle.cancel();
    assert!(!idle.touch());
    assert_eq!(clock.outstanding(), 0);
}

#[test]
fn dropping_it_leaves_the_deadline_where_it_is() {
    let (clock, root) = on_clock();
    let (ctx, idle) = root.with_idle_timeout(LENGTH);
    clock.advance(LENGTH / 2);
    assert!(idle.clone().touch());
    drop(idle);
    assert!(!ctx.is_cancelled());
    clock.advance(LENGTH - TICK);
    assert!(!ctx.is_cancelled());
    clock.advance(TICK);
    assert!(ctx.is_cancelled());
}

// V18: never later than the deadline above, whichever was earlier at first.
#[test]
fn the_deadline_above_ends_it_whatever_is_touched() {
    for bound in [LENGTH / 2, LENGTH, 2 * LENGTH, 4 * LENGTH] {
        let (clock, root) = on_clock();
        let end = clock.now() + bound;
        let (request, _handle) = root.with_timeout(bound);
        let (ctx, idle) = request.with_idle_timeout(LENGTH);
        while clock.now() + LENGTH / 4 < end {
            clock.advance(LENGTH / 4);
            assert!(idle.touch());
            assert_eq!(ctx.deadline(), Some(end.min(clock.now() + LENGTH)));
        }
        clock.set(end - TICK);
        assert!(!ctx.is_cancelled() && idle.touch());
        clock.set(end);
        assert!(ctx.is_cancelled() && !idle.touch());
        assert_eq!(ctx.error().unwrap().origin(), request.id());
        assert_eq!(clock.outstanding(), 0);
    }
}

// V18: one that armed nothing, as the one above was earlier, ends by itself when
// that is moved.
#[test]
fn it_counts_on_when_the_deadline_above_is_moved() {
    let (clock, root) = on_clock();
    let (request, handle) = root.with_timeout(LENGTH / 2);
    let (ctx, idle) = request.with_idle_timeout(LENGTH);
    clock.advance(LENGTH / 4);
    assert!(idle.touch());
    assert!(handle.set_deadline(clock.now() + HOUR));
    assert_eq!(ctx.remaining(), Some(LENGTH));
    clock.advance(LENGTH);
    assert!(ctx.is_cancelled() && !request.is_cancelled());
}

#[test]
fn what_is_below_follows_the_touches() {
    let (clock, root) = on_clock();
    let (connection, idle) = root.with_idle_timeout(LENGTH);
    let (request, _handle) = connection.with_timeout(2 * LENGTH);
    clock.advance(LENGTH / 2);
    assert!(idle.touch());
    assert_eq!(request.remaining(), Some(LENGTH));
    clock.advance(LENGTH / 2);
    assert!(!request.is_cancelled());
    assert!(idle.touch());
    clock.advance(LENGTH / 2);
    assert!(idle.touch());
    // Its own deadline comes before that of the connection now.
    assert_eq!(request.remaining(), Some(LENGTH / 2));
    clock.advance(LENGTH / 2);
    assert!(request.is_cancelled() && !connection.is_cancelled());
}

#[test]
fn a_length_of_zero_is_the_end_at_once() {
    let (ctx, idle) = Context::background().with_idle_timeout(Duration::ZERO);
    assert_eq!(ctx.reason(), Some(Reason::DeadlineExceeded));
    assert!(!idle.touch());
    let (parent, handle) = Context::background().with_cancel();
    handle.cancel();
    let (ctx, idle) = parent.with_idle_timeout(Duration::ZERO);
    assert_eq!(ctx.reason(), Some(Reason::Cancelled));
    assert!(!idle.touch());
}

#[test]
fn a_length_beyond_time_is_none() {
    let (clock, root) = on_clock();
    for length in [Duration::MAX, Duration::from_secs(1 << 40)] {
        let (ctx, idle) = root.with_idle_timeout(length);
        assert_eq!(ctx.deadline(), None);
        assert!(idle.touch());
        clock.advance(HOUR);
        assert!(idle.touch() && !ctx.is_cancelled());
        assert_eq!(clock.outstanding(), 0);
        assert!(idle.cancel());
        assert!(!idle.touch());
    }
}

// The clock comes so far that the next end would lie beyond what it can tell.
#[test]
fn touches_at_the_end_of_time_count() {
    let (clock, root) = on_clock();
    let century = Duration::from_secs(100 * 365 * 24 * 3_600);
    let (ctx, idle) = root.with_idle_timeout(2 * century);
    for _ in 0..2 {
        clock.advance(century);
        assert!(idle.touch() && !ctx.is_cancelled());
    }
    assert!(ctx.deadline().is_some());
}

// A move by hand to an earlier time counts, until the next touch.
#[test]
fn it_may_be_moved_by_hand_as_well() {
    let (clock, root) = on_clock();
    let (ctx, idle) = root.with_idle_timeout(LENGTH);
    assert!(idle.handle().set_deadline(clock.now() + LENGTH / 2));
    assert_eq!(ctx.remaining(), Some(LENGTH / 2));
    assert!(idle.touch());
    assert_eq!(ctx.remaining(), Some(LENGTH));
    // A touch never makes it earlier.
    assert!(idle.handle().set_deadline(clock.now() + 2 * LENGTH));
    assert!(idle.touch());
    assert_eq!(ctx.remaining(), Some(2 * LENGTH));
    assert!(idle.handle().set_deadline(clock.now()) && ctx.is_cancelled());
    assert!(!idle.touch());
}

// V18: never early, though the threads read the clock in one order and move the
// deadline in another.
#[test]
fn of_many_touches_the_latest_counts() {
    in_time(|| {
        let (clock, root) = on_clock();
        let (ctx, idle) = root.with_idle_timeout(LENGTH);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (clock, idle) = (clock.clone(), idle.clone());
                start(move || {
                    for _ in 0..2_000 {
                        clock.advance(ms(1));
                        let now = clock.now();
                        assert!(idle.touch());
                        assert!(idle.context().deadline().unwrap() >= now + LENGTH);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(ctx.deadline(), Some(clock.now() + LENGTH));
        clock.advance(LENGTH - TICK);
        assert!(!ctx.is_cancelled());
        clock.advance(TICK);
        assert!(ctx.is_cancelled());
    });
}

// V18: either the touch counts, and there is the whole length again, or it says
// false.
#[test]
fn a_touch_that_races_the_end_counts_or_says_so() {
    in_time(|| {
        let mut counted = 0;
        for round in 0..500 {
            let (clock, root) = on_clock();
            let (ctx, idle) = root.with_idle_timeout(LENGTH);
            clock.advance(LENGTH - TICK);
            let together = Arc::new(Barrier::new(3));
            let touches: Vec<_> = (0..2)
                .map(|_| {
                    let (together, idle) = (together.clone(), idle.clone());
                    start(move || {
                        together.wait();
                        idle.touch()
                    })
                })
                .collect();
            together.wait();
            // So that some are in time wherever this runs.
            while round % 50 == 0 && touches.iter().any(|t| !t.is_finished()) {
                thread::yield_now();
            }
            clock.advance(TICK);
            let touches: Vec<bool> = touches.into_iter().map(|t| t.join().unwrap()).collect();
            let any = touches.contains(&true);
            assert_eq!(any, !ctx.is_cancelled());
            counted += usize::from(any);
            if any {
                clock.advance(LENGTH - TICK - TICK);
                assert!(!ctx.is_cancelled(), "not early");
                clock.advance(TICK + TICK);
                assert!(ctx.is_cancelled());
            }
        }
        assert!(counted >= 10, "{counted} are in time");
    });
}

// V18, in real time: never early, by whoever touched last.
#[test]
fn a_real_one_ends_after_the_last_touch_and_not_before() {
    in_time(|| {
        let length = ms(40);
        let (ctx, idle) = Context::background().with_idle_timeout(length);
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let idle = idle.clone();
                start(move || {
                    let mut last = None;
                    for _ in 0..100 {
                        let before = Instant::now();
                        if !idle.touch() {
                            break;
                        }
                        last = Some(before);
                        thread::sleep(ms(1));
                    }
                    last
                })
            })
            .collect();
        let error = ctx.wait();
        let ended = Instant::now();
        assert!(error.is_timeout());
        for thread in threads {
            if let Some(last) = thread.join().unwrap() {
                assert!(ended >= last + length);
            }
        }
    });
}
