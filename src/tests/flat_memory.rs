//! Registrations and links come and go, and leave nothing behind.
//!
//! The count of live objects is one for the process, so whoever reads it runs
//! in a process of its own.

#![cfg(feature = "internal-model")]

use super::tools::{
    Body, HOUR, alone, assert_left, assert_nothing_left, at_once, ms, on_clock, orders, poll, start,
};
use crate::{CancelHandle, Context, model, time};
use std::sync::{Arc, Barrier};
use std::task::Waker;
use std::thread;

/// More than may lie about at any time: one batch for each list and shard.
const FLAT: usize = 10_000;

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

// G16, V10, P47, K12: registrations come and go on a long-lived context and on
// short-lived ones, stopped, dropped, detached, run: little is left at any time.
#[test]
fn registrations_that_come_and_go_leave_the_heap_flat() {
    alone(
        "tests::flat_memory::registrations_that_come_and_go_leave_the_heap_flat",
        || {
            let (ctx, handle) = root();
            let held = Arc::new(());
            let closure = || {
                let held = held.clone();
                move |_: &crate::CancelError| drop(held)
            };
            let stays = ctx.after_cancel(closure());
            let mut most = 0;
            for i in 0..100_000 {
                let registration = ctx.after_cancel(closure());
                if i % 2 == 0 {
                    registration.stop();
                }
                drop(registration);
                // The second waits behind the first.
                let first = ctx.after_cancel(closure());
                let second = ctx.after_cancel(closure());
                drop(first);
                let (child, cancel_child) = ctx.with_cancel();
                child.after_cancel(closure()).detach();
                let late = child.after_cancel(closure());
                if i % 3 == 0 {
                    cancel_child.cancel();
                }
                drop((child, cancel_child));
                drop((second, late));
                assert_eq!(Arc::strong_count(&held), 2);
                most = most.max(model::live_objects());
            }
            assert!(most < 1_000, "{most}");
            handle.cancel();
            assert_eq!(Arc::strong_count(&held), 1);
            drop((stays, ctx, handle));
            assert_nothing_left();
        },
    );
}

// P39, P40, P46: registrations are stopped, dropped and joined on threads while
// their context is cancelled and dropped.
#[test]
fn races_of_registrations_leave_nothing_behind() {
    alone(
        "tests::flat_memory::races_of_registrations_leave_nothing_behind",
        || {
            let held = Arc::new(());
            for round in 0..1_000 {
                let (top, handle) = root();
                let (ctx, own) = top.with_cancel();
                let registrations = [(); 6].map(|()| {
                    let held = held.clone();
                    ctx.after_cancel(move |_| drop(held))
                });
                let [a, b, c, d, e, f] = registrations;
                f.detach();
                let bodies: Vec<Body> = vec![
                    Box::new(move || {
                        if round % 2 == 0 {
                            handle.cancel();
                        }
                        drop((top, handle));
                    }),
                    Box::new(move || drop((a.stop(), b, own))),
                    Box::new(move || drop((c.stop_and_join(), d))),
                    Box::new(move || {
                        ctx.after_cancel(|_| ()).detach();
                        drop((ctx, e));
                    }),
                ];
                at_once(bodies);
                assert_eq!(Arc::strong_count(&held), 1);
                if round % 100 == 0 {
                    assert_nothing_left();
                }
            }
            assert_nothing_left();
        },
    );
}

// V9, V10, V21, P47, D9: a hundred thousand links on long-lived parents, most
// never cancelled: little is left at any time.
#[test]
fn links_that_come_and_go_leave_the_heap_flat() {
    alone(
        "tests::flat_memory::links_that_come_and_go_leave_the_heap_flat",
        || {
            let (shutdown, stop) = root();
            let (server, _keep) = root();
            let mut most = 0;
            for i in 0..100_000 {
                let (connection, close) = root();
                let (request, cancel) = connection.link([&shutdown, &server]);
                let mut wait = request.with_value(i).cancelled_owned();
                assert!(poll(&mut wait, Waker::noop()).is_pending());
                match i % 4 {
                    0 => drop(cancel.cancel()),
                    1 => drop(close.cancel_with("closed")),
                    _ => {}
                }
                if i % 2 == 0 {
                    drop((connection, close));
                    drop((request, cancel, wait));
                } else {
                    drop((request, cancel, wait));
                    drop((connection, close));
                }
                most = most.max(model::live_objects());
            }
            assert!(most < FLAT, "{most}");
            assert!(!shutdown.is_cancelled());
            stop.cancel();
            drop((shutdown, stop, server, _keep));
            assert_nothing_left();
        },
    );
}

// V21, P46, P55: every drop order of a family with links, cancelled or not.
#[test]
fn no_drop_order_of_a_family_with_links_leaks() {
    alone(
        "tests::flat_memory::no_drop_order_of_a_family_with_links_leaks",
        || {
            for cancelled in 0..4 {
                for order in orders(5) {
                    let (a, cancel_a) = root();
                    let (b, cancel_b) = root();
                    let (middle, _) = b.with_cancel();
                    let (merged, cancel_merged) = a.link([&b, &middle]);
                    let (leaf, _) = merged.link([&middle]);
                    leaf.after_cancel(|_| ()).detach();
                    let mut held = [a, b, middle, merged, leaf].map(Some);
                    match cancelled {
                        0 => {}
                        1 => drop(cancel_a.cancel()),
                        2 => drop(cancel_b.cancel_with("b")),
                        _ => drop(cancel_merged.cancel()),
                    }
                    drop((cancel_a, cancel_b, cancel_merged));
                    for at in order {
                        held[at] = None;
                    }
                    assert_nothing_left();
                }
            }
        },
    );
}

// V10, V21, P15, P47: links are made, dropped and cancelled on threads while
// their parents come and go.
#[test]
fn races_of_links_leave_nothing_behind() {
    alone(
        "tests::flat_memory::races_of_links_leave_nothing_behind",
        || {
            for round in 0..1_000 {
                let parents = [root(), root()];
                let barrier = Arc::new(Barrier::new(4));
                let mut threads = Vec::new();
                for i in 0..2 {
                    let (barrier, one, other) = (
                        barrier.clone(),
                        parents[i].0.clone(),
                        parents[1 - i].0.clone(),
                    );
                    threads.push(start(move || {
                        barrier.wait();
                        for _ in 0..5 {
                            let (merged, cancel) = one.link([&other]);
                            let (below, _) = merged.with_cancel();
                            drop(merged);
                            if round % 3 == 0 {
                                cancel.cancel();
                            }
                            drop((below, cancel));
                        }
                    }));
                }
                for (i, (ctx, handle)) in parents.into_iter().enumerate() {
                    let barrier = barrier.clone();
                    threads.push(start(move || {
                        barrier.wait();
                        if round % 2 == i {
                            handle.cancel_with("why");
                        }
                        drop((ctx, handle));
                    }));
                }
                threads.into_iter().for_each(|t| t.join().unwrap());
                if round % 100 == 0 {
                    assert_nothing_left();
                }
            }
            assert_nothing_left();
        },
    );
}

// V10, V18, P47, P67: timeouts come and go on one parent and on many, on a clock
// and on the default timers: dropped, cancelled, moved, or over.
#[test]
fn timeouts_that_come_and_go_leave_the_heap_flat() {
    alone(
        "tests::flat_memory::timeouts_that_come_and_go_leave_the_heap_flat",
        || {
            // What the default timers are made of stays.
            let kept = time::default_driver();
            assert_eq!(kept.outstanding(), 0);
            let stays = model::live_objects();
            let (clock, on_clock) = on_clock();
            let (parent, _keep) = root();
            let background = Context::background();
            // Rounds in a row with more than there should be.
            let mut over = 0;
            for i in 0..100_000 {
                let above = [&on_clock, &parent, &background][i % 3];
                let (ctx, handle) = above.with_timeout(HOUR);
                let (below, cancel) = ctx.with_timeout(HOUR - ms(1));
                match i % 5 {
                    0 => drop(cancel.cancel()),
                    1 => drop(handle.set_deadline(ctx.deadline().unwrap() - ms(2))),
                    2 => drop(handle.set_deadline(ctx.deadline().unwrap() + ms(2))),
                    3 => drop(handle.set_deadline(clock.now())),
                    _ => {}
                }
                drop((ctx, handle));
                drop((below, cancel));
                let live = model::live_objects();
                if live < FLAT / 2 {
                    over = 0;
                } else {
                    // The timers' thread may have been stopped half-way, and what
                    // is given up there waits until it goes on (V10).
                    over += 1;
                    assert!(over < 10_000, "{live}");
                    thread::sleep(ms(1));
                }
            }
            assert_eq!(clock.outstanding(), 0);
            // Armed all at once, and then gone.
            let held: Vec<_> = (0..10_000).map(|_| on_clock.with_timeout(ms(5))).collect();
            clock.advance(ms(5));
            drop(held);
            drop((clock, on_clock, parent, _keep));
            assert_eq!(kept.outstanding(), 0);
            assert_left(stays);
        },
    );
}

// P46, P67, V9: every drop order of a family with deadlines and clocks, whether the
// time passes before, in between, after, or never.
#[test]
fn no_drop_order_of_a_family_with_deadlines_leaks() {
    alone(
        "tests::flat_memory::no_drop_order_of_a_family_with_deadlines_leaks",
        || {
            for passes in 0..7 {
                for order in orders(5) {
                    let (clock, top) = on_clock();
                    let time = clock.clone();
                    let (a, move_a) = top.with_timeout_cause(ms(5), "a".to_owned());
                    let (b, _) = a.derive().value(vec![1]).timeout(ms(9)).build();
                    let (c, _) = b.with_clock(&clock).with_timeout(ms(3));
                    let (d, _) = c.link([&a]);
                    c.after_cancel(|_| ()).detach();
                    if passes % 2 == 0 {
                        move_a.set_deadline(clock.now() + ms(7));
                    }
                    drop((top, move_a));
                    let mut held = [Some(a), Some(b), Some(c), Some(d)];
                    let mut clock = Some(clock);
                    for (step, at) in order.into_iter().enumerate() {
                        if step == passes {
                            time.advance(ms(10));
                        }
                        match held.get_mut(at) {
                            Some(ctx) => *ctx = None,
                            None => clock = None,
                        }
                    }
                    assert!(clock.is_none());
                    assert_eq!(time.outstanding(), 0);
                    drop(time);
                    assert_nothing_left();
                }
            }
        },
    );
}
