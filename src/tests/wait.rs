//! Waits end, once, in order, and leave nothing behind.

use super::tools::{Random, Wakes, in_time, on_wake, peek, poll, start};
use crate::{CancelHandle, Context};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::task::Poll;
use std::thread;

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

// T8, T9, V16: a pending wait and one never polled; borrowed and owned.
#[test]
fn one_wake_for_who_was_polled_and_ready_for_all() {
    let (ctx, handle) = root();
    let (wakes, waker) = Wakes::new();
    let mut polled = ctx.cancelled();
    let mut fresh = ctx.cancelled();
    let mut polled_owned = ctx.clone().cancelled_owned();
    let mut fresh_owned = ctx.clone().cancelled_owned();
    assert!(poll(&mut polled, &waker).is_pending());
    assert!(poll(&mut polled_owned, &waker).is_pending());
    handle.cancel();
    assert_eq!(wakes.count(), 2);
    assert!(poll(&mut polled, &waker).is_ready());
    assert!(poll(&mut fresh, &waker).is_ready());
    assert!(poll(&mut polled_owned, &waker).is_ready());
    assert!(poll(&mut fresh_owned, &waker).is_ready());
    assert_eq!(wakes.count(), 2);
}

// T11, P45, D5, D12: those of a child are woken by its ancestor's cancel.
#[test]
fn waits_below_are_woken_too() {
    let (top, handle) = root();
    let (middle, _keep) = top.with_cancel();
    let (leaf, _keep) = middle.with_cancel();
    let (wakes, waker) = Wakes::new();
    let mut on_top = top.cancelled();
    let mut on_leaf = leaf.cancelled();
    assert!(poll(&mut on_top, &waker).is_pending());
    assert!(poll(&mut on_leaf, &waker).is_pending());
    handle.cancel();
    assert_eq!(wakes.count(), 2);
    assert!(peek(&mut on_top).is_ready() && peek(&mut on_leaf).is_ready());
}

// T13, T14: the child's cancel leaves the parent's wait, a later cancel of the
// parent does not wake the child's again.
#[test]
fn nobody_is_woken_twice_or_from_below() {
    let (parent, handle) = root();
    let (first, cancel_first) = parent.with_cancel();
    let (parent_wakes, waker) = Wakes::new();
    let mut on_parent = parent.cancelled();
    assert!(poll(&mut on_parent, &waker).is_pending());
    let (first_wakes, waker) = Wakes::new();
    let mut on_first = first.cancelled();
    assert!(poll(&mut on_first, &waker).is_pending());
    cancel_first.cancel();
    assert_eq!((parent_wakes.count(), first_wakes.count()), (0, 1));
    assert!(peek(&mut on_parent).is_pending());

    let (second, _keep) = parent.with_cancel();
    let (second_wakes, waker) = Wakes::new();
    let mut on_second = second.cancelled();
    assert!(poll(&mut on_second, &waker).is_pending());
    assert!(handle.cancel());
    let wakes = [&parent_wakes, &first_wakes, &second_wakes].map(|wakes| wakes.count());
    // The parent's last poll was with another waker.
    assert_eq!(wakes, [0, 1, 1]);
    assert!(peek(&mut on_parent).is_ready() && peek(&mut on_second).is_ready());
}

// T37, P43, V16.
#[test]
fn only_the_last_waker_is_woken() {
    let (ctx, handle) = root();
    let mut wait = ctx.cancelled();
    let (first, waker) = Wakes::new();
    assert!(poll(&mut wait, &waker).is_pending());
    drop(waker);
    let (second, waker) = Wakes::new();
    assert!(poll(&mut wait, &waker).is_pending());
    assert_eq!(Arc::strong_count(&first), 1, "the old one is not kept");
    assert!(poll(&mut wait, &waker).is_pending());
    handle.cancel();
    assert_eq!((first.count(), second.count()), (0, 1));
}

// P42, G35, G36, D6: made before the cancel, polled after; and made after.
#[test]
fn a_wait_made_before_and_polled_after_is_ready() {
    let (ctx, handle) = root();
    let mut before = ctx.cancelled();
    handle.cancel();
    let (wakes, waker) = Wakes::new();
    assert!(poll(&mut before, &waker).is_ready());
    assert!(poll(&mut ctx.cancelled(), &waker).is_ready());
    assert!(poll(&mut ctx.clone().cancelled_owned(), &waker).is_ready());
    assert_eq!(wakes.count(), 0);
    assert_eq!(ctx.wait().origin(), ctx.id());
}

// V16: polled again it is ready again, with the same error.
#[test]
fn a_wait_stays_ready() {
    let (ctx, handle) = root();
    let mut wait = ctx.cancelled();
    assert!(peek(&mut wait).is_pending());
    handle.cancel_with("why");
    for _ in 0..3 {
        let Poll::Ready(error) = peek(&mut wait) else {
            panic!("not ready any more");
        };
        assert!(error.cause().unwrap().ptr_eq(&ctx.cause().unwrap()));
    }
}

// D16, K12, V16: an abandoned wait leaves no waker behind.
#[test]
fn abandoned_waits_keep_no_waker() {
    let (ctx, handle) = root();
    let (wakes, waker) = Wakes::new();
    let mut stays = ctx.cancelled();
    assert!(poll(&mut stays, &waker).is_pending());
    let with_one = Arc::strong_count(&wakes);
    for _ in 0..1_000 {
        let mut wait = ctx.cancelled();
        assert!(poll(&mut wait, &waker).is_pending());
        drop(wait);
        assert_eq!(Arc::strong_count(&wakes), with_one);
    }
    let many: Vec<_> = (0..1_000)
        .map(|_| {
            let mut wait = ctx.clone().cancelled_owned();
            assert!(poll(&mut wait, &waker).is_pending());
            wait
        })
        .collect();
    drop(many);
    assert_eq!(Arc::strong_count(&wakes), with_one);
    handle.cancel();
    assert_eq!(wakes.count(), 1);
}

// V16: those abandoned among others, in any order.
#[test]
fn waits_abandoned_at_random_leave_the_others() {
    for seed in 0..50 {
        let mut random = Random::new(seed);
        let (ctx, handle) = root();
        let mut waits = Vec::new();
        for _ in 0..200 {
            if random.below(3) == 0 && !waits.is_empty() {
                drop(waits.swap_remove(random.below(waits.len())));
            } else {
                let (wakes, waker) = Wakes::new();
                let mut wait = ctx.cancelled();
                assert!(poll(&mut wait, &waker).is_pending());
                waits.push((wakes, wait));
            }
        }
        handle.cancel();
        for (wakes, wait) in &mut waits {
            assert_eq!(wakes.count(), 1);
            assert!(peek(wait).is_ready());
        }
    }
}

/// Polls a wait for `ctx` with a waker that logs `name`.
fn log_when_woken(
    log: &Arc<Mutex<Vec<(&'static str, thread::ThreadId)>>>,
    ctx: &Context,
    name: &'static str,
) -> crate::CancelledOwned {
    let log = log.clone();
    let waker = on_wake(move || log.lock().unwrap().push((name, thread::current().id())));
    let mut wait = ctx.clone().cancelled_owned();
    assert!(poll(&mut wait, &waker).is_pending());
    wait
}

// V17, P18: parents before children, first come first served on one context,
// all by the thread that cancels.
#[test]
fn wakes_come_in_order_from_the_thread_that_cancels() {
    let (top, handle) = root();
    let (middle, _keep) = top.with_cancel();
    let (leaf, _keep) = middle.with_cancel();
    let log = Arc::new(Mutex::new(Vec::new()));
    let _waits = [
        log_when_woken(&log, &leaf, "leaf 1"),
        log_when_woken(&log, &top, "top 1"),
        log_when_woken(&log, &middle, "middle 1"),
        log_when_woken(&log, &top, "top 2"),
        log_when_woken(&log, &leaf, "leaf 2"),
        log_when_woken(&log, &middle, "middle 2"),
        log_when_woken(&log, &leaf, "leaf 3"),
    ];
    handle.cancel();
    let log = log.lock().unwrap();
    let names: Vec<_> = log.iter().map(|&(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "top 1", "top 2", "middle 1", "middle 2", "leaf 1", "leaf 2", "leaf 3"
        ]
    );
    assert!(log.iter().all(|&(_, by)| by == thread::current().id()));
}

// V17: a repoll keeps the place; a wait made anew goes to the end.
#[test]
fn a_repoll_keeps_its_place_in_the_order() {
    let (ctx, handle) = root();
    let log = Arc::new(Mutex::new(Vec::new()));
    let gone = log_when_woken(&log, &ctx, "gone");
    let mut first = log_when_woken(&log, &ctx, "unused");
    let _second = log_when_woken(&log, &ctx, "second");
    drop(gone);
    let _third = log_when_woken(&log, &ctx, "third");
    let again = log.clone();
    let waker = on_wake(move || {
        again
            .lock()
            .unwrap()
            .push(("first", thread::current().id()))
    });
    assert!(poll(&mut first, &waker).is_pending());
    handle.cancel();
    let names: Vec<_> = log.lock().unwrap().iter().map(|&(name, _)| name).collect();
    assert_eq!(names, ["first", "second", "third"]);
}

// V12, P16: whoever is woken finds the whole subtree done.
#[test]
fn all_is_marked_before_anybody_is_woken() {
    let (top, handle) = root();
    let mut all = vec![top.clone()];
    for i in 0..300 {
        let (child, _) = all[i / 3].with_cancel();
        all.push(child);
    }
    let all = Arc::new(all);
    let good = Arc::new(AtomicUsize::new(0));
    let waits: Vec<_> = (0..all.len())
        .step_by(7)
        .map(|at| {
            let (all_too, good) = (all.clone(), good.clone());
            let waker = on_wake(move || {
                if all_too.iter().all(Context::is_cancelled) {
                    good.fetch_add(1, SeqCst);
                }
            });
            let mut wait = all[at].clone().cancelled_owned();
            assert!(poll(&mut wait, &waker).is_pending());
            wait
        })
        .collect();
    handle.cancel();
    assert_eq!(good.load(SeqCst), waits.len());
}

// T1, T2, T3, V16, P41, D6, D14: waits race the cancel, on the context, a clone
// and a child, borrowed, owned and blocking.
#[test]
fn no_wake_up_is_lost() {
    in_time(|| {
        for _ in 0..1_000 {
            let (ctx, handle) = root();
            let (child, _keep) = ctx.with_cancel();

            let barrier = Arc::new(Barrier::new(3));
            let (one, two) = (barrier.clone(), barrier.clone());
            let first = start(move || {
                one.wait();
                block_on(child.cancelled())
            });
            let second = start(move || {
                two.wait();
                ctx.wait()
            });
            barrier.wait();
            handle.cancel_with("now");
            for thread in [first, second] {
                assert_eq!(thread.join().unwrap().cause().unwrap().to_string(), "now");
            }
        }
    });
}

/// Polls until ready, parked in between by `std` alone.
fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    let thread = thread::current();
    let waker = on_wake(move || thread.unpark());
    loop {
        match poll(&mut future, &waker) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

// V16, T37, P41: a wait that is polled again and again, each time with a new
// waker, while the cancel comes: the last waker is woken, or the poll is ready.
#[test]
fn a_repoll_that_races_the_cancel_is_woken_or_ready() {
    in_time(|| {
        for _ in 0..500 {
            let (ctx, handle) = root();
            let barrier = Arc::new(Barrier::new(2));
            let other = barrier.clone();
            let thread = start(move || {
                let mut wait = ctx.cancelled();
                other.wait();
                loop {
                    let (wakes, waker) = Wakes::new();
                    if poll(&mut wait, &waker).is_ready() {
                        return;
                    }
                    if ctx.is_cancelled() {
                        // Not polled again: then it must be woken.
                        while wakes.count() == 0 {
                            thread::yield_now();
                        }
                        return;
                    }
                }
            });
            barrier.wait();
            handle.cancel();
            thread.join().unwrap();
        }
    });
}

// V16: a wait dropped while the cancel comes: woken at most once, and neither
// waker nor context is kept.
#[test]
fn a_wait_dropped_during_the_cancel_leaves_nothing() {
    in_time(|| {
        for _ in 0..500 {
            let (top, _keep) = root();
            let (ctx, handle) = top.with_cancel();
            let (wakes, waker) = Wakes::new();
            let mut wait = ctx.cancelled_owned();
            assert!(poll(&mut wait, &waker).is_pending());
            drop(waker);
            let barrier = Arc::new(Barrier::new(2));
            let other = barrier.clone();
            let thread = start(move || {
                other.wait();
                drop(wait);
            });
            barrier.wait();
            handle.cancel();
            drop(handle);
            thread.join().unwrap();
            assert!(wakes.count() <= 1);
            assert_eq!(Arc::strong_count(&wakes), 1);
        }
    });
}

// G4: what can never be done keeps no waker.
#[test]
fn waits_on_the_roots_keep_no_waker() {
    let (wakes, waker) = Wakes::new();
    let mut waits = [Context::background(), Context::todo()].map(Context::cancelled_owned);
    for wait in &mut waits {
        assert!(poll(wait, &waker).is_pending());
        assert!(poll(wait, &waker).is_pending());
    }
    drop(waker);
    assert_eq!(Arc::strong_count(&wakes), 1);
}

// G4: so does a shield, which can never be done either.
#[test]
fn a_wait_on_a_shield_keeps_no_waker() {
    let (ctx, _handle) = root();
    let shield = ctx.without_cancel();
    let (wakes, waker) = Wakes::new();
    let mut wait = shield.cancelled();
    assert!(poll(&mut wait, &waker).is_pending());
    drop(waker);
    assert_eq!(Arc::strong_count(&wakes), 1);
}
