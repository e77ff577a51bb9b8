//! Wakers of waits for idle that panic, come back in, block.

use super::tools::{Hostile, OnDrop, Wakes, alone, in_time, message, on_wake, peek, poll, start};
use crate::{CancelHandle, Context};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

/// What `f` panics with.
fn panic_of<T>(f: impl FnOnce() -> T) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(f)).err()?;
    Some(message(&*panic).to_owned())
}

// V14, V22: a waker that panics stops no other; whoever dropped the last handle
// hears of it.
#[test]
fn a_panicking_waker_stops_no_other_wait() {
    for subset in 0..16_u32 {
        let (top, _keep) = root();
        let (ctx, _) = top.with_cancel();
        let (leaf, _) = ctx.with_cancel();
        let woken = Arc::new(AtomicUsize::new(0));
        let mut waits: Vec<_> = (0..4)
            .map(|i| {
                let woken = woken.clone();
                let waker = on_wake(move || {
                    woken.fetch_add(1, SeqCst);
                    assert!(subset & 1 << i == 0, "waker {i}");
                });
                let mut idle = top.idle();
                assert!(poll(&mut idle, &waker).is_pending());
                idle
            })
            .collect();
        drop(ctx);
        let panic = panic_of(|| drop(leaf));
        let first = (subset != 0).then(|| format!("waker {}", subset.trailing_zeros()));
        assert_eq!(panic, first, "{subset:04b}");
        assert_eq!(woken.load(SeqCst), 4);
        assert!(waits.iter_mut().all(|idle| peek(idle).is_ready()));
        assert!(top.wait_idle(None), "nothing is poisoned");
        assert!(!top.is_cancelled());
    }
}

// V14, V22: while the thread unwinds already.
#[test]
fn a_panicking_waker_does_not_abort_a_thread_that_unwinds() {
    alone(
        "tests::hostile_idlers::a_panicking_waker_does_not_abort_a_thread_that_unwinds",
        || {
            let (ctx, _keep) = root();
            let (child, _) = ctx.with_cancel();
            let (wakes, good) = Wakes::new();
            let mut first = ctx.idle();
            let mut second = ctx.idle();
            assert!(poll(&mut first, &on_wake(|| panic!("waker"))).is_pending());
            assert!(poll(&mut second, &good).is_pending());
            let panic = panic_of(move || {
                let _held = child;
                panic!("work");
            });
            assert_eq!(panic.as_deref(), Some("work"));
            assert_eq!(wakes.count(), 1);
        },
    );
}

// V14, V22: one whose clone or drop panics.
#[test]
fn a_waker_that_panics_when_cloned_or_dropped_is_survived() {
    let (ctx, _keep) = root();
    let (child, _) = ctx.with_cancel();
    let (wakes, good) = Wakes::new();
    let bad = Hostile::new().on_clone(|| panic!("clone")).waker();
    let armed = Arc::new(AtomicBool::new(false));
    let on = armed.clone();
    let worse = Hostile::new().on_drop(move || assert!(!on.swap(false, SeqCst), "drop"));
    let mut idle = ctx.idle();
    for _ in 0..2 {
        let panic = panic_of(|| poll(&mut idle, &bad));
        assert_eq!(panic.as_deref(), Some("clone"));
    }
    assert!(poll(&mut idle, &worse.waker()).is_pending());
    armed.store(true, SeqCst);
    assert_eq!(panic_of(|| poll(&mut idle, &good)).as_deref(), Some("drop"));
    assert!(poll(&mut idle, &good).is_pending());
    drop(child);
    assert_eq!(wakes.count(), 1);
    assert!(peek(&mut idle).is_ready());
}

// V15, V22: a waker may do everything with the context, wait for idle again too.
#[test]
fn a_woken_waker_may_use_the_tree() {
    in_time(|| {
        let (ctx, handle) = root();
        let (child, _) = ctx.with_cancel();
        let runs = Arc::new(AtomicUsize::new(0));
        let (inside, count) = (ctx.clone(), runs.clone());
        let waker = on_wake(move || {
            assert!(inside.wait_idle(None));
            let (next, cancel) = inside.with_cancel();
            assert!(!inside.wait_idle(Some(Duration::ZERO)));
            let mut idle = inside.idle();
            let (wakes, waker) = Wakes::new();
            assert!(poll(&mut idle, &waker).is_pending());
            cancel.cancel();
            drop((next, cancel));
            assert_eq!(wakes.count(), 1);
            assert!(peek(&mut idle).is_ready());
            assert_eq!(inside.live_children(), 0);
            handle.cancel();
            count.fetch_add(1, SeqCst);
        });
        let mut idle = ctx.idle();
        assert!(poll(&mut idle, &waker).is_pending());
        drop(child);
        assert_eq!(runs.load(SeqCst), 1);
        assert!(peek(&mut idle).is_ready());
        assert!(ctx.is_cancelled());
    });
}

// V15, V22: a waker blocks until another thread has used the tree.
#[test]
fn a_waker_may_block_until_another_thread_was_idle() {
    in_time(|| {
        let (ctx, _keep) = root();
        let (child, _) = ctx.with_cancel();
        let (ask, asked) = mpsc::channel::<mpsc::Sender<()>>();
        let inside = ctx.clone();
        let other = start(move || {
            for answer in asked {
                drop(inside.with_cancel());
                assert!(inside.wait_idle(None));
                answer.send(()).unwrap();
            }
        });
        let waker = on_wake(move || {
            let (answer, answered) = mpsc::channel();
            ask.send(answer).unwrap();
            answered.recv().unwrap();
        });
        let mut idle = ctx.idle();
        assert!(poll(&mut idle, &waker).is_pending());
        drop(child);
        assert!(peek(&mut idle).is_ready());
        drop((idle, waker));
        other.join().unwrap();
    });
}

// V15, V22: a waker, and a value in its drop, make another context idle and block
// until who waits for that has gone on.
#[test]
fn a_waker_or_a_value_may_block_until_a_wait_it_ended_has_gone_on() {
    for by_value in [false, true] {
        in_time(move || {
            let (one, _keep) = root();
            let (other, _keep_too) = root();
            let below_other = other.with_cancel();
            let (went_on, has_gone_on) = mpsc::channel();
            let waiting = start(move || {
                assert!(other.wait_idle(None));
                went_on.send(()).unwrap();
            });
            let below_other = Mutex::new(Some((below_other, has_gone_on)));
            let act = move || {
                let taken = below_other.lock().unwrap().take();
                if let Some((held, has_gone_on)) = taken {
                    drop(held);
                    has_gone_on.recv().unwrap();
                }
            };
            if by_value {
                drop(one.with_value(OnDrop(act)));
            } else {
                let (below_one, _) = one.with_cancel();
                let mut idle = one.idle();
                assert!(poll(&mut idle, &on_wake(act)).is_pending());
                drop(below_one);
                assert!(peek(&mut idle).is_ready());
            }
            waiting.join().unwrap();
        });
    }
}
