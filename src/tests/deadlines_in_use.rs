//! Deadlines that threads use in every way at once: nothing is lost, nothing is
//! left, and whoever looks sees something that was so.

#![cfg(feature = "internal-model")]

use super::fake_driver::{FakeDriver, TICK};
use super::tools::{
    Body, HOUR, Random, alone, assert_nothing_left, at_once, in_time, ms, on_clock, start,
};
use crate::time::{ManualClock, Timers};
use crate::{CancelHandle, Context, Key};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

static KEY: Key<Vec<u8>> = Key::new("key");

// V9, V10, P46, P66, P67, P69: a family whose deadlines fire while it is cancelled, moved,
// derived from and dropped on threads.
#[test]
fn races_of_deadlines_leave_nothing_behind() {
    alone(
        "tests::deadlines_in_use::races_of_deadlines_leave_nothing_behind",
        || {
            for round in 0..1_500 {
                let (clock, top) = on_clock();
                let (driver, timers, on_driver) = FakeDriver::new();
                let (parent, cancel) = match round % 2 {
                    0 => top.with_timeout_cause(ms(5), "parent".to_owned()),
                    _ => on_driver.with_timeout_cause(ms(5), "parent".to_owned()),
                };
                let at = parent.deadline().unwrap();
                let (child, own) = parent.derive().key(&KEY, vec![1]).timeout(ms(4)).build();
                let (late, move_late) = child.with_timeout(ms(9));
                late.after_cancel(|_| ()).detach();
                let bodies: Vec<Body> = vec![
                    Box::new(move || {
                        clock.advance(ms(5));
                        driver.advance(ms(5) + TICK);
                        timers.run();
                        drop((clock, top, timers, on_driver));
                    }),
                    Box::new(move || {
                        if round % 3 == 0 {
                            own.cancel_with("own".to_owned());
                        } else {
                            own.set_deadline(at);
                        }
                        drop((child, own));
                    }),
                    Box::new(move || {
                        let (more, _) = late.with_timeout(ms(1));
                        drop(late);
                        move_late.set_deadline(at + HOUR);
                        drop((more, move_late));
                    }),
                    Box::new(move || {
                        if round % 5 == 0 {
                            cancel.cancel();
                        } else if round % 5 == 1 {
                            cancel.set_deadline(at + HOUR);
                        }
                        drop((parent, cancel));
                    }),
                ];
                at_once(bodies);
                if round % 100 == 0 {
                    assert_nothing_left();
                }
            }
            assert_nothing_left();
        },
    );
}

/// What the threads of the test below hold.
struct Family {
    held: Vec<(Context, CancelHandle)>,
}

impl Family {
    fn step(&mut self, clock: &ManualClock, random: &mut Random) {
        let some = random.below(self.held.len());
        let after = ms(1 + random.below(30) as u64);
        let (ctx, handle) = &self.held[some];
        match random.below(8) {
            0 | 1 => self.held.push(ctx.with_timeout(after)),
            2 => self.held.push(ctx.with_cancel()),
            3 => self
                .held
                .push(ctx.derive().name("x").value(1_u8).timeout(after).build()),
            4 if some > 0 => drop(self.held.swap_remove(some)),
            5 if some > 0 => drop(handle.cancel()),
            6 => drop(handle.set_deadline(clock.now() + after)),
            _ => {
                let told = ctx.deadline();
                assert!(told.is_none_or(|at| at <= clock.now() + HOUR));
                let _ = (ctx.remaining(), format!("{ctx} {ctx:?}"));
            }
        }
        if self.held.len() > 60 {
            self.held.truncate(10);
        }
    }
}

// V18, V23: threads derive, move, cancel and drop in one tree while time passes
// and others look: no look fails, and in the end no timer is left.
#[test]
fn a_tree_of_deadlines_in_use_may_be_looked_at() {
    in_time(|| {
        let (clock, top) = on_clock();
        let (root, stop) = top.with_cancel();
        let over = Arc::new(AtomicBool::new(false));
        let workers: Vec<_> = (0..2)
            .map(|seed| {
                let (root, clock) = (root.clone(), clock.clone());
                start(move || {
                    let mut random = Random::new(seed);
                    let mut family = Family {
                        held: vec![root.with_cancel()],
                    };
                    for _ in 0..15_000 {
                        family.step(&clock, &mut random);
                        if family.held[0].0.is_cancelled() {
                            family.held[0] = root.with_cancel();
                        }
                    }
                })
            })
            .collect();
        let (looks, at, ended) = (root.clone(), clock.clone(), over.clone());
        let looker = start(move || {
            while !ended.load(SeqCst) {
                for node in looks.tree().nodes() {
                    assert!(node.remaining().is_none_or(|left| left <= HOUR));
                }
                let _ = at.outstanding();
            }
        });
        while workers.iter().any(|worker| !worker.is_finished()) {
            clock.advance(ms(1));
            thread::yield_now();
        }
        workers
            .into_iter()
            .for_each(|worker| worker.join().unwrap());
        over.store(true, SeqCst);
        looker.join().unwrap();
        assert_eq!((root.live_children(), clock.outstanding()), (0, 0));
        assert!(stop.cancel());
    });
}

// V18, P70: on a thread of their own, with nothing else to wake it, deadlines that
// are armed, moved and waited for by threads are never lost.
#[test]
fn no_deadline_is_lost_in_real_time() {
    in_time(|| {
        let timers = Timers::thread();
        let top = Context::background().with_driver(&timers);
        let fired = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..3)
            .map(|seed| {
                let (top, fired) = (top.clone(), fired.clone());
                start(move || {
                    let mut random = Random::new(seed);
                    for _ in 0..150 {
                        let length = Duration::from_micros(random.below(3_000) as u64);
                        let (ctx, handle) = match random.below(3) {
                            0 => top.with_timeout(length),
                            1 => top.with_timeout(HOUR),
                            _ => top.with_cancel(),
                        };
                        let at = Instant::now() + length;
                        let moved = handle.set_deadline(at);
                        assert!(moved || ctx.is_cancelled());
                        let error = ctx.wait_timeout(Duration::from_secs(20));
                        assert!(error.expect("it was lost").is_timeout());
                        assert!(!moved || Instant::now() >= at);
                        fired.fetch_add(1, SeqCst);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!((fired.load(SeqCst), timers.outstanding()), (450, 0));
    });
}
