//! When nobody holds anything below: who counts, and what does not.

use super::tools::{HOUR, Wakes, in_time, ms, on_clock, peek, poll, start};
use crate::time::Timers;
use crate::{CancelHandle, Context, Key};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

fn is_idle(ctx: &Context) -> bool {
    let ready = peek(&mut ctx.idle()).is_ready();
    assert_eq!(ctx.wait_idle(Some(Duration::ZERO)), ready);
    ready
}

/// Fails unless `ctx` is idle only once `held` is dropped, and whoever waits is
/// woken by that.
#[track_caller]
fn assert_holds<T>(ctx: &Context, held: T) {
    let (wakes, waker) = Wakes::new();
    let mut idle = ctx.idle();
    assert!(poll(&mut idle, &waker).is_pending());
    assert!(!is_idle(ctx));
    assert_eq!(wakes.count(), 0);
    drop(held);
    assert_eq!(wakes.count(), 1);
    assert!(poll(&mut idle, &waker).is_ready());
    assert!(is_idle(ctx));
    assert_eq!(wakes.count(), 1);
}

// V22: with nothing below, at once, also when done; and for ever again.
#[test]
fn a_context_with_nothing_below_is_idle() {
    let (ctx, handle) = root();
    let clone = ctx.clone();
    for _ in 0..3 {
        assert!(is_idle(&ctx) && is_idle(&clone));
        assert!(ctx.wait_idle(None));
    }
    drop(ctx.with_cancel());
    assert!(is_idle(&ctx));
    handle.cancel();
    assert!(is_idle(&ctx));
    let (leaf, _keep) = ctx.with_cancel();
    assert!(is_idle(&leaf));
}

// V22: what is derived from these is attached nowhere.
#[test]
fn the_roots_are_always_idle() {
    for ctx in [Context::background(), Context::todo()] {
        let (_child, _keep) = ctx.with_cancel();
        let _shield = ctx.without_cancel();
        assert!(is_idle(&ctx));
        assert!(ctx.wait_idle(None));
        let (wakes, waker) = Wakes::new();
        assert!(poll(&mut ctx.idle(), &waker).is_ready());
        assert_eq!(wakes.count(), 0);
    }
}

// V22: a derived context of any kind counts while it is held.
#[test]
fn every_kind_of_context_counts() {
    static KEY: Key<u32> = Key::new("key");
    let (clock, _) = on_clock();
    let (ctx, _keep) = root();
    assert_holds(&ctx, ctx.with_cancel());
    assert_holds(&ctx, ctx.without_cancel());
    assert_holds(&ctx, ctx.with_value(7_u8));
    assert_holds(&ctx, ctx.with_key(&KEY, 7));
    assert_holds(&ctx, ctx.with_timeout(HOUR));
    assert_holds(&ctx, ctx.with_clock(&clock));
    assert_holds(&ctx, ctx.with_driver(&Timers::thread()));
    assert_holds(&ctx, ctx.derive().name("named").build());
    assert_holds(&ctx, ctx.derive().shield().value(7_u8).build());
    assert_holds(&ctx, ctx.link([&root().0]));
}

// V22: every handle to one counts: two to a context, and the last alone.
#[test]
fn every_kind_of_handle_counts() {
    let (ctx, _keep) = root();
    let child = || ctx.with_cancel().0;
    let handle = || ctx.with_cancel().1;
    assert_holds(&ctx, child());
    assert_holds(&ctx, handle());
    assert_holds(&ctx, handle().drop_guard());
    assert_holds(&ctx, child().cancelled_owned());
    let one = child();
    let other = one.clone();
    drop(one);
    assert_holds(&ctx, other);
    let mut polled = child().cancelled_owned();
    assert!(peek(&mut polled).is_pending());
    assert_holds(&ctx, polled);
}

// V22: what keeps no context does not: callbacks, snapshots, errors.
#[test]
fn what_holds_no_context_does_not_count() {
    let (ctx, _keep) = root();
    let (child, handle) = ctx.with_cancel();
    let registration = child.after_cancel(|_| ());
    child.after_cancel(|_| ()).detach();
    let snapshot = ctx.tree();
    let (done, cancel) = child.with_cancel();
    cancel.cancel();
    let error = done.error().unwrap();
    drop((done, cancel));
    assert_holds(&ctx, (child, handle));
    drop((registration, snapshot, error));
}

// V22: done and held still counts; done is not gone.
#[test]
fn a_done_context_counts_while_it_is_held() {
    for all in [false, true] {
        let (ctx, handle) = root();
        let (child, cancel) = ctx.with_cancel();
        let (grandchild, _) = child.with_cancel();
        if all {
            handle.cancel();
        } else {
            cancel.cancel();
        }
        assert!(grandchild.is_cancelled());
        drop((child, cancel));
        assert_holds(&ctx, grandchild);
        // Born done.
        if all {
            assert_holds(&ctx, ctx.with_cancel());
        }
    }
}

// V22: a cancel while somebody waits ends nothing by itself.
#[test]
fn a_cancel_does_not_end_the_wait() {
    let (ctx, handle) = root();
    let (child, _) = ctx.with_cancel();
    let (wakes, waker) = Wakes::new();
    let mut idle = ctx.idle();
    assert!(poll(&mut idle, &waker).is_pending());
    handle.cancel();
    assert!(poll(&mut idle, &waker).is_pending());
    drop(child);
    assert!(wakes.count() >= 1);
    assert!(peek(&mut idle).is_ready());
}

// V22: a grandchild counts though its parent is not held any more.
#[test]
fn an_orphan_counts() {
    let (ctx, _keep) = root();
    let (child, _) = ctx.with_cancel();
    let shield = child.without_cancel();
    let (grandchild, _) = shield.with_cancel();
    drop((child, shield));
    assert_holds(&ctx, grandchild);
}

// V22: one drop makes all above idle that hold nothing else below.
#[test]
fn the_last_leaf_makes_all_above_it_idle() {
    let (top, _keep) = root();
    let (middle, _keep_too) = top.with_cancel();
    let (low, _) = middle.with_cancel();
    let (leaf, _) = low.with_cancel();
    let (wakes, waker) = Wakes::new();
    let mut on_top = top.idle();
    let mut on_middle = middle.idle();
    assert!(poll(&mut on_top, &waker).is_pending());
    assert!(poll(&mut on_middle, &waker).is_pending());
    drop(low);
    assert!(!is_idle(&middle));
    drop(leaf);
    assert_eq!(wakes.count(), 1);
    assert!(peek(&mut on_middle).is_ready() && is_idle(&middle));
    assert!(!is_idle(&top), "the middle is held");
    drop(on_middle);
    drop((middle, _keep_too));
    assert_eq!(wakes.count(), 2);
    assert!(peek(&mut on_top).is_ready());
}

// V22: siblings, parents and other trees do not count.
#[test]
fn only_what_is_below_counts() {
    let (top, _keep) = root();
    let (ctx, _keep_too) = top.with_cancel();
    let (_sibling, _keep_this) = top.with_cancel();
    let (_other, _keep_that) = root();
    assert!(is_idle(&ctx));
    assert!(!is_idle(&top));
}

// V22: a link counts below its first parent until it is dropped, below its other
// ones until it is done.
#[test]
fn a_link_counts_below_both_parents() {
    let (first, _keep) = root();
    let (other, _keep_too) = root();
    let (merged, handle) = first.link([&other]);
    let (on_first, first_waker) = Wakes::new();
    let (on_other, other_waker) = Wakes::new();
    let mut first_idle = first.idle();
    let mut other_idle = other.idle();
    assert!(poll(&mut first_idle, &first_waker).is_pending());
    assert!(poll(&mut other_idle, &other_waker).is_pending());
    handle.cancel();
    assert_eq!((on_first.count(), on_other.count()), (0, 1));
    assert!(peek(&mut other_idle).is_ready() && is_idle(&other));
    assert!(peek(&mut first_idle).is_pending() && !is_idle(&first));
    drop((merged, handle));
    assert!(is_idle(&first));
}

// V22: one that is dropped before it is done leaves both.
#[test]
fn a_dropped_link_counts_nowhere() {
    let (first, _keep) = root();
    let (second, _keep_too) = root();
    let (third, _keep_three) = root();
    let (merged, handle) = first.link([&second, &third]);
    assert_eq!([&first, &second, &third].map(is_idle), [false; 3]);
    let (below, _) = merged.with_cancel();
    drop((merged, handle));
    assert_eq!([&first, &second, &third].map(is_idle), [false; 3]);
    drop(below);
    assert_eq!([&first, &second, &third].map(is_idle), [true; 3]);
}

// V22: a supervisor whose task derives its successor before it ends is never
// without one: a pending wait does not end.
#[test]
fn a_successor_made_in_time_keeps_the_context_busy() {
    let (ctx, _keep) = root();
    let (mut task, _) = ctx.with_cancel();
    let mut idle = ctx.idle();
    assert!(peek(&mut idle).is_pending());
    for _ in 0..1_000 {
        let (next, _) = ctx.with_cancel();
        drop(std::mem::replace(&mut task, next));
        assert!(peek(&mut idle).is_pending());
        assert!(!is_idle(&ctx));
    }
    // One below the one before it, which is gone then.
    for _ in 0..1_000 {
        let (next, _) = task.with_cancel();
        task = next;
        assert!(peek(&mut idle).is_pending());
    }
    drop(task);
    assert!(peek(&mut idle).is_ready());
}

// V22: there was such a moment while the wait was on, though it is over.
#[test]
fn a_moment_that_is_over_was_one() {
    let (ctx, _keep) = root();
    let (child, _) = ctx.with_cancel();
    let (wakes, waker) = Wakes::new();
    let mut idle = ctx.idle();
    assert!(poll(&mut idle, &waker).is_pending());
    drop(child);
    let (_late, _) = ctx.with_cancel();
    assert_eq!(wakes.count(), 1);
    assert!(peek(&mut idle).is_ready());
    assert!(!is_idle(&ctx));
}

// V22, V19: a wait ends with its time, by the clock of the context.
#[test]
fn a_blocking_wait_ends_with_its_time() {
    in_time(|| {
        let (clock, top) = on_clock();
        let (ctx, _keep) = top.with_cancel();
        let (child, _) = ctx.with_cancel();
        assert!(!ctx.wait_idle(Some(Duration::ZERO)));
        let waiting = ctx.clone();
        let (ended, has_ended) = mpsc::channel();
        let thread = start(move || {
            let idle = waiting.wait_idle(Some(ms(20)));
            ended.send(()).unwrap();
            idle
        });
        assert!(has_ended.recv_timeout(ms(50)).is_err(), "by real time");
        while !thread.is_finished() {
            clock.advance(ms(1));
            thread::yield_now();
        }
        assert!(!thread.join().unwrap());
        drop(child);
        assert!(ctx.wait_idle(Some(Duration::ZERO)));
        assert_eq!(clock.outstanding(), 0);
    });
}

// V22: by real time too; and no time is too long.
#[test]
fn a_blocking_wait_takes_any_length() {
    in_time(|| {
        let (ctx, _keep) = root();
        let (child, _) = ctx.with_cancel();
        let began = Instant::now();
        assert!(!ctx.wait_idle(Some(ms(20))));
        assert!(began.elapsed() >= ms(20));
        let threads = [None, Some(HOUR), Some(Duration::MAX)].map(|at_most| {
            let ctx = ctx.clone();
            start(move || ctx.wait_idle(at_most))
        });
        thread::sleep(ms(10));
        assert!(threads.iter().all(|thread| !thread.is_finished()));
        drop(child);
        for thread in threads {
            assert!(thread.join().unwrap());
        }
    });
}

// V22: a cancel of the context does not end a blocking wait either.
#[test]
fn a_blocking_wait_goes_on_after_a_cancel() {
    in_time(|| {
        let (ctx, handle) = root();
        let (child, _) = ctx.with_cancel();
        let waiting = ctx.clone();
        let thread = start(move || waiting.wait_idle(None));
        handle.cancel();
        thread::sleep(ms(10));
        assert!(!thread.is_finished());
        drop(child);
        assert!(thread.join().unwrap());
    });
}

// K13: who cancels can wait until all who heard it are gone.
#[test]
fn who_cancels_can_wait_until_the_others_are_gone() {
    in_time(|| {
        let (ctx, handle) = root();
        let working = Arc::new(AtomicUsize::new(4));
        for _ in 0..4 {
            let (mine, _) = ctx.with_cancel();
            let working = working.clone();
            start(move || {
                mine.wait();
                thread::sleep(ms(2));
                working.fetch_sub(1, SeqCst);
            });
        }
        assert!(!ctx.wait_idle(Some(ms(1))));
        handle.cancel();
        assert!(ctx.wait_idle(None));
        assert_eq!(working.load(SeqCst), 0);
    });
}
