//! A million rounds each of what only one of two can win.

use super::tools::{HOUR, Pair, Random, Round, Wakes, duel, ms, peek, pick, poll, root};
use super::watchdog::alone;
use ctxtree::time::ManualClock;
use ctxtree::{CancelledOwned, Context, Reason, Registration, Stop};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// What became of one callback.
#[derive(Default)]
struct Fate {
    runs: AtomicUsize,
    dropped: AtomicUsize,
}

struct Held(Arc<Fate>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, SeqCst);
    }
}

fn register(ctx: &Context) -> (Registration, Arc<Fate>) {
    let fate = Arc::new(Fate::default());
    let held = Held(fate.clone());
    let registration = ctx.after_cancel(move |_| {
        held.0.runs.fetch_add(1, SeqCst);
    });
    (registration, fate)
}

// V13, G109, P2, P3, P37 to P40: a callback is run or prevented, once, and whoever
// stops it is told which.
#[test]
fn a_stop_against_a_cancel_resolves_once() {
    alone(|watch| {
        let make = |_: &mut Random| {
            let (ctx, handle) = root();
            let registered = register(&ctx);
            ((ctx, registered), handle)
        };
        type Here = (Context, (Registration, Arc<Fate>));
        let here = |(ctx, (registration, fate)): Here, random: &mut Random, round: &Round<'_>| {
            let runs = |fate: &Fate| fate.runs.load(SeqCst);
            let due = match random.below(6) {
                0 | 1 => match registration.stop() {
                    Stop::Prevented => Some(0),
                    Stop::Finished => {
                        assert_eq!(runs(&fate), 1);
                        Some(1)
                    }
                    Stop::Running => Some(1),
                    Stop::AlreadyStopped => panic!("nobody else stops it"),
                },
                2 => match registration.stop_and_join() {
                    Stop::Prevented => Some(0),
                    Stop::Finished => {
                        assert_eq!(runs(&fate), 1);
                        Some(1)
                    }
                    other => panic!("{other:?}"),
                },
                3 => {
                    drop(registration);
                    None
                }
                4 => {
                    registration.detach();
                    Some(1)
                }
                _ => {
                    // One more that comes meanwhile is run by one of the two.
                    let (late, fate) = register(&ctx);
                    round.await_other();
                    assert_eq!(runs(&fate), 1);
                    assert_eq!(late.stop(), Stop::Finished);
                    drop(registration);
                    Some(1)
                }
            };
            round.await_other();
            let ran = runs(&fate);
            assert!(
                due.is_none_or(|due| due == ran) && ran <= 1,
                "{due:?} {ran}"
            );
            assert_eq!(fate.dropped.load(SeqCst), 1);
        };
        duel(watch, pick(1_000_000, 20_000), make, here, |handle, _| {
            assert!(handle.cancel());
        });
    });
}

/// A context whose time comes in this round, and one below it.
struct Timed {
    own: Pair,
    below: Context,
    wait: CancelledOwned,
}

// V6, V9, V16, V18, D2, D3, P66 to P69: its time comes while a context is dropped, moved,
// cancelled, waited for or derived from: once, or not at all, and for all below.
#[test]
fn a_deadline_against_a_drop_comes_once_or_never() {
    alone(|watch| {
        let clock = ManualClock::new();
        let root = Context::background().with_clock(&clock);
        let began = clock.now();
        let mut made = 0;
        let make = move |_: &mut Random| {
            made += 1;
            let own = root.with_deadline(began + ms(made));
            let below = own.0.with_cancel().0;
            let wait = below.clone().cancelled_owned();
            (Timed { own, below, wait }, ())
        };
        let time = clock.clone();
        let here = move |timed: Timed, random: &mut Random, round: &Round<'_>| {
            let Timed {
                own,
                below,
                mut wait,
            } = timed;
            match random.below(9) {
                7 | 8 => {
                    // The last handles go in a callback of its own.
                    let ctx = own.0.clone();
                    drop((below, wait));
                    ctx.after_cancel(move |_| drop(own)).detach();
                    drop(ctx);
                }
                0 => {
                    // All go: there is nothing left to come.
                    drop((own, below, wait));
                }
                1 => {
                    drop(own);
                    round.await_other();
                    assert!(below.error().is_some_and(|error| error.is_timeout()));
                }
                2 => {
                    let moved = own.1.set_deadline(time.now() + HOUR);
                    round.await_other();
                    assert_eq!(own.0.is_cancelled(), !moved);
                    assert_eq!(below.is_cancelled(), !moved);
                }
                3 => {
                    let won = own.1.cancel();
                    assert!(below.is_cancelled());
                    let reason = own.0.reason().unwrap();
                    assert_eq!(won, reason == Reason::Cancelled);
                    round.await_other();
                    assert_eq!(below.reason(), Some(reason));
                }
                4 => {
                    let (wakes, waker) = Wakes::new();
                    if poll(&mut wait, &waker).is_pending() {
                        round.await_wake(&wakes);
                    }
                    assert!(peek(&mut wait).is_ready());
                }
                5 => {
                    let late = own.0.with_timeout(ms(1)).0;
                    drop(own);
                    round.await_other();
                    assert!(late.is_cancelled());
                }
                _ => {
                    let earlier = own.0.deadline().unwrap() - ms(1);
                    let moved = own.1.set_deadline(earlier);
                    assert!(!moved || own.0.is_cancelled());
                    round.await_other();
                    assert!(below.is_cancelled());
                }
            }
        };
        let time = clock.clone();
        duel(watch, pick(1_000_000, 20_000), make, here, move |(), _| {
            time.advance(ms(1))
        });
        assert_eq!(clock.outstanding(), 0);
    });
}

// V9, V10, V23, L6, L7, P58: a parent is counted, shown or cancelled while its many
// children go: nobody meets one that is freed, whose memory is written over.
#[test]
fn a_walk_against_drops_meets_no_freed_context() {
    const CHILDREN: usize = 4_000;
    alone(|watch| {
        let rounds = watch.count("rounds");
        for round in 0..pick(400, 12) {
            let (ctx, handle) = root();
            let mut children: Vec<Pair> = (0..CHILDREN).map(|_| ctx.with_cancel()).collect();
            if round % 2 == 0 {
                children.reverse();
            }
            let gone = Arc::new(AtomicUsize::new(0));
            let walkers: Vec<_> = (0..2)
                .map(|walker| {
                    let (ctx, gone) = (ctx.clone(), gone.clone());
                    watch.start("walks", move || {
                        while gone.load(SeqCst) == 0 {
                            match (walker, round % 3) {
                                (0, 0) => drop(ctx.tree()),
                                _ => assert!(ctx.live_children() <= CHILDREN),
                            }
                        }
                    })
                })
                .collect();
            let canceller = watch.start("cancels", move || {
                let _ = round % 5 != 0 || handle.cancel();
            });
            for (number, child) in children.into_iter().enumerate() {
                drop(child);
                if number % 200 == 0 {
                    // So that a walk is interrupted half-way on one processor, too.
                    std::thread::yield_now();
                }
            }
            gone.store(1, SeqCst);
            walkers
                .into_iter()
                .for_each(|walker| walker.join().unwrap());
            canceller.join().unwrap();
            assert_eq!(ctx.live_children(), 0);
            rounds.add(1);
        }
    });
}
