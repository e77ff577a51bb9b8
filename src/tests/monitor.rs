//! Waits on a condition variable, which a cancel ends.

use super::tools::{HOUR, in_time, message, ms, on_clock, start};
use crate::{CancelHandle, Context, Reason};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Condvar, Mutex, mpsc};
use std::thread;

type Pair<T> = Arc<(Mutex<T>, Condvar)>;

fn pair<T>(value: T) -> Pair<T> {
    Arc::new((Mutex::new(value), Condvar::new()))
}

/// A thread that waits until the value is there or the context done, and then
/// says which. Returns when it waits, as far as that can be told.
fn waiter(ctx: &Context, pair: &Pair<Option<u32>>) -> thread::JoinHandle<Result<u32, String>> {
    let (sender, looked) = mpsc::channel();
    let (ctx, pair) = (ctx.clone(), pair.clone());
    let thread = {
        let pair = pair.clone();
        start(move || {
            let value = ctx.wait_while(&pair, |value| {
                let _ = sender.send(());
                value.is_none()
            });
            let value = value.map(|mut value| value.take().unwrap());
            value.map_err(|error| error.to_string())
        })
    };
    looked.recv().unwrap();
    // It has let the lock go: so it waits.
    drop(pair.0.lock().unwrap());
    thread
}

fn live() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

#[test]
fn what_is_there_already_is_given_at_once() {
    let (ctx, handle) = live();
    let pair = pair(7);
    for root in [&ctx, &Context::background()] {
        let guard = root.wait_while(&pair, |value| *value != 7).unwrap();
        assert_eq!(*guard, 7);
        assert!(pair.0.try_lock().is_err(), "it is locked");
    }
    drop(handle);
}

#[test]
fn what_comes_later_ends_the_wait() {
    in_time(|| {
        let (ctx, _handle) = live();
        for root in [&ctx, &Context::background()] {
            let pair = pair(None);
            let thread = waiter(root, &pair);
            // For nothing.
            pair.1.notify_all();
            *pair.0.lock().unwrap() = Some(5);
            pair.1.notify_one();
            assert_eq!(thread.join().unwrap(), Ok(5));
        }
    });
}

// G115
#[test]
fn a_cancel_ends_the_wait() {
    in_time(|| {
        let (ctx, handle) = live();
        let (below, _keep) = ctx.with_cancel();
        let pair = pair(None);
        let threads = [&ctx, &below, &below].map(|ctx| waiter(ctx, &pair));
        handle.cancel_with("enough");
        for thread in threads {
            let error = thread.join().unwrap().unwrap_err();
            assert_eq!(error, "context cancelled: enough");
        }
        assert!(pair.0.try_lock().is_ok(), "nobody has it");
    });
}

#[test]
fn a_cancel_ends_no_wait_of_others() {
    in_time(|| {
        let (ctx, handle) = live();
        let (other, _keep) = live();
        let pair = pair(None);
        let (mine, theirs) = (waiter(&ctx, &pair), waiter(&other, &pair));
        handle.cancel();
        assert!(mine.join().unwrap().is_err());
        *pair.0.lock().unwrap() = Some(1);
        pair.1.notify_all();
        assert_eq!(theirs.join().unwrap(), Ok(1));
    });
}

// V18: by the context's clock.
#[test]
fn a_deadline_ends_the_wait() {
    in_time(|| {
        let (clock, root) = on_clock();
        let (ctx, _handle) = root.with_timeout(HOUR);
        let pair = pair(None);
        let thread = waiter(&ctx, &pair);
        clock.advance(HOUR);
        assert_eq!(
            thread.join().unwrap().unwrap_err(),
            "context deadline exceeded"
        );

        let (ctx, _handle) = Context::background().with_timeout(ms(5));
        let done = ctx.wait_while(&pair, |value| value.is_none());
        assert_eq!(done.unwrap_err().reason(), Reason::DeadlineExceeded);
    });
}

// Without a look at the mutex: whoever has it.
#[test]
fn on_a_done_context_it_fails_at_once() {
    let (ctx, handle) = live();
    handle.cancel();
    let pair = pair(1);
    let held = pair.0.lock().unwrap();
    assert!(ctx.wait_while(&pair, |_| unreachable!()).is_err());
    drop(held);
}

// The callback runs on the thread that has the lock.
#[test]
fn the_condition_may_cancel() {
    in_time(|| {
        for holds in [true, false] {
            for looks in 1..=3 {
                let (ctx, handle) = live();
                let pair = pair(0);
                let pusher = pair.clone();
                let over = Arc::new(AtomicBool::new(false));
                let until = over.clone();
                // Wakes it until it has looked often enough.
                let waking = start(move || {
                    while !until.load(SeqCst) {
                        pusher.1.notify_all();
                        thread::yield_now();
                    }
                });
                let done = ctx.wait_while(&pair, |value| {
                    *value += 1;
                    if *value == looks {
                        assert!(handle.cancel());
                    }
                    *value < looks || holds
                });
                over.store(true, SeqCst);
                assert_eq!(done.is_err(), holds);
                drop(done);
                waking.join().unwrap();
            }
        }
    });
}

// V12: who cancels holds the lock, and lets it go later.
#[test]
fn who_holds_the_lock_may_cancel() {
    in_time(|| {
        for _ in 0..50 {
            let (ctx, handle) = live();
            let pair = pair(None);
            let thread = waiter(&ctx, &pair);
            let held = pair.0.lock().unwrap();
            assert!(handle.cancel());
            drop(held);
            assert!(thread.join().unwrap().is_err());
        }
    });
}

// The condition goes first.
#[test]
fn a_value_that_comes_with_the_cancel_is_given() {
    in_time(|| {
        let (ctx, handle) = live();
        let pair = pair(None);
        let thread = waiter(&ctx, &pair);
        let mut held = pair.0.lock().unwrap();
        assert!(handle.cancel());
        *held = Some(3);
        drop(held);
        assert_eq!(thread.join().unwrap(), Ok(3));
    });
}

// Who has got the guard may wait for who cancels.
#[test]
fn a_cancel_does_not_wait_for_who_has_waited() {
    in_time(|| {
        for round in 0..300 {
            let (ctx, handle) = live();
            let pair = pair(0);
            let together = Arc::new(Barrier::new(2));
            let canceller = {
                let (pair, together) = (pair.clone(), together.clone());
                start(move || {
                    together.wait();
                    *pair.0.lock().unwrap() = 1;
                    pair.1.notify_all();
                    if round % 2 == 0 {
                        thread::yield_now();
                    }
                    handle.cancel();
                })
            };
            let mut looks = 0;
            let guard = ctx.wait_while(&pair, |value| {
                if looks == 0 {
                    together.wait();
                }
                looks += 1;
                *value == 0
            });
            let guard = guard.unwrap();
            canceller.join().unwrap();
            assert_eq!(*guard, 1);
        }
    });
}

// No wake is lost, wherever the cancel comes.
#[test]
fn a_cancel_that_races_the_wait_is_heard() {
    in_time(|| {
        let errors = Arc::new(AtomicUsize::new(0));
        for round in 0..3_000 {
            let (ctx, handle) = live();
            let pair = pair(0_u32);
            let looked = Arc::new(AtomicBool::new(false));
            let canceller = {
                let looked = looked.clone();
                start(move || {
                    while !looked.load(SeqCst) {
                        std::hint::spin_loop();
                    }
                    for _ in 0..round % 64 {
                        std::hint::spin_loop();
                    }
                    handle.cancel()
                })
            };
            let done = ctx.wait_while(&pair, |_| {
                looked.store(true, SeqCst);
                true
            });
            errors.fetch_add(usize::from(done.is_err()), SeqCst);
            drop(done);
            assert!(canceller.join().unwrap());
        }
        assert_eq!(errors.load(SeqCst), 3_000);
    });
}

// The same on a mutex that is hardly ever free.
#[test]
fn cancels_are_heard_while_others_want_the_lock() {
    in_time(|| {
        let pair = pair(0_u64);
        let over = Arc::new(AtomicBool::new(false));
        let busy: Vec<_> = (0..2)
            .map(|_| {
                let (pair, over) = (pair.clone(), over.clone());
                start(move || {
                    while !over.load(SeqCst) {
                        *pair.0.lock().unwrap() += 1;
                    }
                })
            })
            .collect();
        for _ in 0..200 {
            let (ctx, handle) = live();
            let waiters: Vec<_> = (0..2)
                .map(|_| {
                    let (ctx, pair) = (ctx.clone(), pair.clone());
                    start(move || ctx.wait_while(&pair, |_| true).is_err())
                })
                .collect();
            thread::yield_now();
            assert!(handle.cancel());
            for thread in waiters {
                assert!(thread.join().unwrap());
            }
        }
        over.store(true, SeqCst);
        for thread in busy {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_poisoned_mutex_is_a_panic() {
    in_time(|| {
        let (ctx, handle) = live();
        let pair = pair(None);
        let thread = waiter(&ctx, &pair);
        // A condition that panics poisons it, as it would anywhere.
        let panic = catch_unwind(AssertUnwindSafe(|| {
            let _guard = ctx.wait_while(&pair, |_| panic!("condition"));
        }));
        assert_eq!(message(&*panic.unwrap_err()), "condition");
        assert!(pair.0.is_poisoned());
        let panic = catch_unwind(AssertUnwindSafe(|| {
            let _guard = ctx.wait_while(&pair, |_| false);
        }));
        let panic = panic.unwrap_err();
        assert!(
            message(&*panic).contains("poisoned"),
            "{}",
            message(&*panic)
        );
        // Who waits is told when it wakes.
        handle.cancel();
        let panic = thread.join().unwrap_err();
        assert!(
            message(&*panic).contains("poisoned"),
            "{}",
            message(&*panic)
        );
        // Done goes first, and poison can be taken back.
        assert!(ctx.wait_while(&pair, |_| false).is_err());
        pair.0.clear_poison();
        assert!(Context::todo().wait_while(&pair, |_| false).is_ok());
    });
}

// V10, V16: no callback and no reference is left behind.
#[test]
fn a_wait_leaves_nothing_behind() {
    in_time(|| {
        let (ctx, handle) = live();
        let pair = pair(None);
        for round in 0..100 {
            let thread = waiter(&ctx, &pair);
            assert_eq!(callbacks(&ctx), 1);
            *pair.0.lock().unwrap() = Some(round);
            pair.1.notify_all();
            assert_eq!(thread.join().unwrap(), Ok(round));
            assert_eq!(callbacks(&ctx), 0);
        }
        let thread = waiter(&ctx, &pair);
        handle.cancel();
        assert!(thread.join().unwrap().is_err());
        drop(ctx);
        while Arc::strong_count(&pair) > 1 {
            thread::yield_now();
        }
    });
}

fn callbacks(ctx: &Context) -> usize {
    ctx.tree().nodes().next().unwrap().callbacks()
}
