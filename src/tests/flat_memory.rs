//! Registrations come and go, and leave nothing behind.
//!
//! The count of live objects is one for the process, so whoever reads it runs
//! in a process of its own.

#![cfg(feature = "internal-model")]

use super::tools::{alone, start};
use crate::{CancelHandle, Context, model};
use std::sync::{Arc, Barrier};

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

fn assert_nothing_left() {
    for _ in 0..1_000 {
        if model::live_objects() == 0 {
            break;
        }
        model::collect();
    }
    assert_eq!(model::live_objects(), 0);
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
                let barrier = Arc::new(Barrier::new(4));
                let bodies: [Box<dyn FnOnce() + Send>; 4] = [
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
                let threads = bodies.map(|body| {
                    let barrier = barrier.clone();
                    start(move || {
                        barrier.wait();
                        body();
                    })
                });
                threads.into_iter().for_each(|t| t.join().unwrap());
                assert_eq!(Arc::strong_count(&held), 1);
                if round % 100 == 0 {
                    assert_nothing_left();
                }
            }
            assert_nothing_left();
        },
    );
}
