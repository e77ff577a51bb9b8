//! Deadlines where user code does what it may: races, odd drops, odd places.

use super::fake_driver::{FakeDriver, Time};
use super::hostile_callbacks::{family, use_the_tree};
use super::tools::{
    Body, Drops, HOUR, alone, at_once, cause_on_drop, in_time, message, ms, on_clock, on_wake,
    once, orders, outcome, poll, start,
};
use crate::time::{ManualClock, Timers};
use crate::{CancelHandle, Cause, Context, Reason};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

type Pair = (Context, CancelHandle);
/// A limit for a context, and what is to hold of a wait on it.
type Wait = (Duration, fn(&Context) -> bool);

// V15: from a callback or a waker that a deadline calls: everything, on every
// context, on a clock and on a driver, in its step and in its run.
#[test]
fn what_a_deadline_calls_may_use_every_context() {
    in_time(|| {
        for (time, top) in Time::both() {
            for by_waker in [false, true] {
                let nodes = Arc::new(family());
                let (ctx, handle) = top.with_timeout(ms(5));
                let (below, _keep) = nodes[0].0.link([&ctx]);
                let inside = nodes.clone();
                let uses = once(move || {
                    use_the_tree(&inside);
                    assert!(!handle.set_deadline(Instant::now() + HOUR));
                    drop(handle);
                });
                let mut wait = below.cancelled();
                if by_waker {
                    assert!(poll(&mut wait, &on_wake(uses)).is_pending());
                } else {
                    below.after_cancel(move |_| uses()).detach();
                }
                time.pass(time.late(ms(5)));
                assert!(below.is_cancelled() && nodes.iter().all(|(ctx, _)| ctx.is_cancelled()));
                drop((ctx, wait));
                assert_eq!((top.live_children(), time.outstanding()), (0, 0));
            }
        }
    });
}

// G47, V18: what is derived while the deadline above moves away fires at its own
// time, whether it was made before the move, during it or after; so does what
// hangs below it.
#[test]
fn what_is_derived_while_the_parent_moves_fires_at_its_time() {
    in_time(|| {
        for round in 0..2_000 {
            let (clock, top) = on_clock();
            let (parent, handle) = top.with_timeout(ms(5));
            let far = clock.now() + HOUR;
            let barrier = Arc::new(Barrier::new(2));
            let (other, above) = (barrier.clone(), parent.clone());
            let thread = start(move || {
                other.wait();
                let mut made: Vec<Context> = Vec::new();
                for n in 0..4 {
                    let (child, _) = above.with_timeout(ms(6 + n));
                    let (plain, _) = child.with_cancel();
                    made.push(plain.with_timeout(ms(12)).0);
                }
                made
            });
            barrier.wait();
            for _ in 0..round % 97 {
                std::hint::spin_loop();
            }
            assert!(handle.set_deadline(far));
            let made = thread.join().unwrap();
            let began = far - HOUR;
            for (n, leaf) in (0..).zip(&made) {
                assert_eq!(leaf.deadline(), Some(began + ms(6 + n)), "round {round}");
                clock.set(began + ms(5 + n));
                assert!(!leaf.is_cancelled(), "round {round}");
                clock.set(began + ms(6 + n));
                assert!(leaf.is_cancelled(), "round {round}");
            }
            assert!(!parent.is_cancelled());
        }
    });
}

// P69, V18: moves of parent and child, and a cancel, at once: what is left says
// the truth, and no timer stays.
#[test]
fn moves_and_cancels_all_over_a_family_agree() {
    in_time(|| {
        for round in 0..1_000 {
            let (clock, top) = on_clock();
            let began = clock.now();
            let (parent, move_parent) = top.with_timeout(ms(5));
            let (child, move_child) = parent.with_timeout(ms(9));
            let (leaf, cancel_leaf) = child.with_timeout(ms(7));
            let bodies: Vec<Body> = vec![
                Box::new(move || assert!(move_parent.set_deadline(began + ms(20)))),
                Box::new(move || assert!(move_child.set_deadline(began + ms(15)))),
                Box::new(move || {
                    if round % 2 == 0 {
                        assert!(cancel_leaf.cancel());
                    } else {
                        assert!(cancel_leaf.set_deadline(began + ms(30)));
                    }
                }),
            ];
            at_once(bodies);
            assert_eq!(parent.deadline(), Some(began + ms(20)));
            assert_eq!(child.deadline(), Some(began + ms(15)));
            assert_eq!(leaf.is_cancelled(), round % 2 == 0);
            clock.set(began + ms(14));
            assert!(!parent.is_cancelled() && !child.is_cancelled());
            clock.set(began + ms(15));
            assert!(child.is_cancelled() && leaf.is_cancelled() && !parent.is_cancelled());
            clock.set(began + ms(20));
            assert!(parent.is_cancelled());
            assert_eq!(clock.outstanding(), 0);
        }
    });
}

// V6, P10: a cause that was given with a deadline is dropped once, with the last
// that can tell it, whatever became of the deadline.
#[test]
fn the_cause_of_a_deadline_is_dropped_once() {
    let drops = Drops::default();
    for end in 0..8 {
        let (clock, top) = on_clock();
        let before = drops.count();
        let cause = Cause::new(drops.value());
        let (parent, cancel_parent) = top.with_timeout(ms(5));
        let (ctx, handle) = match end {
            4 => parent.with_timeout_cause(Duration::MAX, cause),
            5 => parent.with_timeout_cause(Duration::ZERO, cause),
            6 => {
                cancel_parent.cancel();
                parent.with_timeout_cause(ms(1), cause)
            }
            7 => {
                drop(parent.derive().deadline_cause(cause).timeout(ms(1)));
                assert_eq!(drops.count(), before + 1, "never built");
                continue;
            }
            _ => parent.with_timeout_cause(ms(if end == 3 { 9 } else { 1 }), cause),
        };
        match end {
            0 => assert!(handle.cancel()),
            1 | 3 => clock.advance(ms(10)),
            _ => {}
        }
        let kept = ctx.cause();
        assert_eq!(kept.is_some(), end == 1 || end == 5, "way {end}");
        drop((parent, cancel_parent, ctx, handle, top));
        clock.advance(HOUR);
        let told = usize::from(kept.is_some());
        assert_eq!(drops.count(), before + 1 - told, "way {end}");
        drop(kept);
        assert_eq!(drops.count(), before + 1);
    }
}

// V14, V15: a cause that uses the tree, or panics, where it is dropped.
#[test]
fn the_cause_of_a_deadline_may_do_anything_in_its_drop() {
    in_time(|| {
        let (clock, top) = on_clock();
        let (inside, passes) = (top.clone(), clock.clone());
        let cause = cause_on_drop(once(move || {
            let (child, _keep) = inside.with_timeout(ms(5));
            passes.advance(ms(5));
            assert!(child.is_cancelled());
            panic!("dropped");
        }));
        let (ctx, handle) = top.with_timeout_cause(HOUR, cause);
        let (other, _keep) = top.with_timeout(ms(1));
        assert!(handle.cancel() && !other.is_cancelled());
        let panic = catch_unwind(AssertUnwindSafe(|| drop((ctx, handle)))).unwrap_err();
        assert_eq!(message(&*panic), "dropped");
        assert!(other.is_cancelled());
        assert_eq!((top.live_children(), clock.outstanding()), (0, 0));
    });
}

// V15, V20: a value that moves the clock, and so ends other contexts, where it is
// dropped: also within a step of that clock.
#[test]
fn a_value_may_move_the_clock_in_its_drop() {
    in_time(|| {
        let (clock, top) = on_clock();
        let held: Arc<Mutex<Option<Pair>>> = Arc::default();
        let passes = clock.clone();
        let value = super::tools::OnDrop(once(move || passes.advance(ms(7))));
        *held.lock().unwrap() = Some(top.derive().value(value).timeout(ms(9)).build());
        let (first, _keep) = top.with_timeout(ms(5));
        let (second, _keep) = top.with_timeout(ms(12));
        let (third, _keep) = top.with_timeout(ms(13));
        let frees = held.clone();
        first
            .after_cancel(move |_| {
                let gone = frees.lock().unwrap().take();
                drop(gone);
            })
            .detach();
        let began = clock.now();
        clock.advance(ms(6));
        assert_eq!(clock.now(), began + ms(12));
        assert!(second.is_cancelled() && !third.is_cancelled());
        assert_eq!(clock.outstanding(), 1);
    });
}

// V9, V25: timers, what is below them and their driver go in any order; the driver
// goes with the last of them, once.
#[test]
fn a_driver_goes_with_the_last_that_needs_it() {
    for armed in [false, true] {
        for order in orders(4) {
            let (driver, timers, top) = FakeDriver::new();
            let (ctx, handle) = top.with_timeout(HOUR);
            let below = ctx.with_value(1_u8);
            if armed {
                timers.run();
            }
            assert_eq!(driver.holders(), 2);
            let mut timers = Some(timers);
            let mut held = [Some(top), Some(ctx), Some(below)];
            let mut handle = Some(handle);
            for at in order {
                match held.get_mut(at) {
                    Some(ctx) => *ctx = None,
                    None => timers = None,
                }
            }
            assert!(timers.is_none());
            assert!(handle.as_ref().is_some_and(CancelHandle::cancel));
            handle = None;
            assert!(handle.is_none());
            settle(|| driver.holders() == 1);
        }
    }
}

/// Gives back what was deferred, until this is so.
fn settle(is_so: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if is_so() {
            return;
        }
        #[cfg(feature = "internal-model")]
        crate::model::collect();
        thread::yield_now();
    }
    panic!("something is kept");
}

// V25: deadlines in the destructor of a thread-local, on the default timers, after
// the library's own thread-locals are gone.
#[test]
fn deadlines_work_in_the_destructor_of_a_thread_local() {
    alone(
        "tests::hostile_deadlines::deadlines_work_in_the_destructor_of_a_thread_local",
        || {
            struct AtExit(Arc<Mutex<Option<Pair>>>);
            impl Drop for AtExit {
                fn drop(&mut self) {
                    let (far, handle) = Context::background().with_timeout(HOUR);
                    assert!(far.remaining().unwrap() > HOUR / 2);
                    assert!(handle.set_deadline(Instant::now() + HOUR));
                    assert!(handle.cancel() && !far.error().unwrap().is_timeout());
                    let (clock, top) = on_clock();
                    let (ctx, _keep) = top.with_timeout(ms(5));
                    clock.advance(ms(5));
                    assert!(ctx.is_cancelled());
                    drop(Context::background().with_timeout(HOUR));
                    let kept = Context::background().with_timeout(ms(5));
                    *self.0.lock().unwrap() = Some(kept);
                }
            }
            thread_local! {
                static AT_EXIT: RefCell<Option<AtExit>> = const { RefCell::new(None) };
            }
            let slot: Arc<Mutex<Option<Pair>>> = Arc::default();
            for first in [true, false] {
                let kept = slot.clone();
                let set = move || AT_EXIT.with(|at| *at.borrow_mut() = Some(AtExit(kept)));
                let thread = start(move || {
                    if first {
                        set();
                        drop(Context::background().with_timeout(HOUR));
                    } else {
                        drop(Context::background().with_timeout(HOUR));
                        set();
                    }
                });
                thread.join().unwrap();
                let (ctx, _keep) = slot.lock().unwrap().take().unwrap();
                assert!(ctx.wait().is_timeout());
            }
        },
    );
}

// V19: waits with a limit follow a driver of one's own, too.
#[test]
fn waits_follow_the_driver_of_their_context() {
    in_time(|| {
        let (driver, timers, top) = FakeDriver::new();
        let waits: [Wait; 3] = [
            (1_000 * HOUR, |ctx| ctx.sleep(ms(20)).is_ok()),
            (1_000 * HOUR, |ctx| ctx.wait_timeout(ms(20)).is_none()),
            (ms(20), |ctx| {
                ctx.wait_timeout(HOUR)
                    .is_some_and(|error| error.is_timeout())
            }),
        ];
        for (limit, wait) in waits {
            let (ctx, _keep) = top.with_timeout(limit);
            let (began, by) = (driver.time(), driver.clone());
            let thread = start(move || (wait(&ctx), by.time()));
            while !thread.is_finished() {
                driver.advance(ms(1));
                timers.run();
                thread::yield_now();
            }
            let (held, ended) = thread.join().unwrap();
            assert!(held && ended >= began + ms(20));
        }
        assert_eq!(timers.outstanding(), 0);
    });
}

// V14: while a thread unwinds, deadlines may be armed, moved and dropped, and time
// may pass; what panics within does not abort.
#[test]
fn an_unwinding_thread_may_use_deadlines() {
    alone(
        "tests::hostile_deadlines::an_unwinding_thread_may_use_deadlines",
        || {
            struct Uses(ManualClock, Context, Timers);
            impl Drop for Uses {
                fn drop(&mut self) {
                    let (ctx, handle) = self.1.with_timeout_cause(ms(5), "why");
                    ctx.after_cancel(|_| panic!("callback")).detach();
                    assert!(handle.set_deadline(self.0.now() + ms(3)));
                    self.0.advance(ms(5));
                    let why = Some("why".to_owned());
                    assert_eq!(outcome(&ctx), Some((Reason::DeadlineExceeded, why)));
                    self.2.run();
                }
            }
            let (clock, top) = on_clock();
            let (driver, timers, on_driver) = FakeDriver::new();
            let (ctx, _keep) = on_driver.with_timeout(ms(1));
            ctx.after_cancel(|_| panic!("callback")).detach();
            driver.advance(ms(5));
            let panic = catch_unwind(AssertUnwindSafe(|| {
                let _uses = Uses(clock, top, timers);
                panic!("work");
            }));
            assert_eq!(message(&*panic.unwrap_err()), "work");
            assert!(ctx.is_cancelled());
        },
    );
}
