//! Ten million contexts, waits, callbacks and deadlines come and go: the heap
//! stays as it was.
//!
//! On one thread the most that was ever held counts as well. On several it does
//! not: one that is stopped in the middle keeps what the others gave up there
//! until it goes on (V10).

use super::heap::{SLACK, live};
use super::tools::{HOUR, ms, pick, root};
use super::watchdog::{Watch, alone};
use ctxtree::time::ManualClock;
use ctxtree::{Cause, Context, Stop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};
use std::task::Waker;
#[cfg(feature = "tokio")]
use tokio_util::sync::CancellationToken;

type Step = fn(&Context, usize);

/// Rounds between two looks at the heap.
const EVERY: usize = 1_000;

fn derive(parent: &Context, _: usize) {
    drop(parent.with_cancel());
}

fn wait(parent: &Context, i: usize) {
    let (ctx, handle) = parent.with_cancel();
    let mut wait = ctx.cancelled();
    assert!(super::tools::poll(&mut wait, Waker::noop()).is_pending());
    if i % 4 == 0 {
        handle.cancel();
    }
    // One on the parent, that is given up.
    assert!(super::tools::poll(&mut parent.cancelled(), Waker::noop()).is_pending());
}

fn callbacks(parent: &Context, i: usize) {
    let first = parent.after_cancel(|_| ());
    let second = parent.after_cancel(|_| unreachable!("it is stopped"));
    if i % 2 == 0 {
        assert_eq!(first.stop(), Stop::Prevented);
    }
    drop(first);
    assert_eq!(second.stop_and_join(), Stop::Prevented);
    if i % 8 == 0 {
        let (ctx, handle) = parent.with_cancel();
        ctx.after_cancel(|_| ()).detach();
        drop(handle.drop_guard());
    }
}

fn timeouts(parent: &Context, i: usize) {
    if i % 8 == 1 {
        // The last handles go in a callback, while the deadline fires.
        let own = parent.with_timeout(ms(1));
        let ctx = own.0.clone();
        ctx.after_cancel(move |_| drop(own)).detach();
        drop(ctx);
        let clock = parent
            .value::<ManualClock>()
            .expect("it hands its clock down");
        clock.advance(ms(1));
        return;
    }
    let (ctx, handle) = parent.with_timeout(HOUR);
    if i % 4 == 0 {
        let now = ctx.deadline().unwrap() - HOUR;
        handle.set_deadline(now);
    }
}

/// Both ways, on a context and on a token that live long.
#[cfg(feature = "tokio")]
fn bridges(parent: &Context, i: usize) {
    let token = parent.value::<CancellationToken>().expect("handed down");
    let bridge = parent.cancellation_token();
    let (ctx, handle) = parent.from_source(token.clone());
    let own = ctx.cancellation_token().into_token();
    if i % 4 == 0 {
        handle.cancel();
    }
    if i % 8 == 0 {
        // Ended by the other side.
        let part = bridge.token().child_token();
        let (below, _) = parent.from_source(part.clone());
        part.cancel();
        assert!(below.is_cancelled());
    }
    assert_eq!(own.is_cancelled(), i % 4 == 0);
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        // Without a word on the standard error.
        std::panic::resume_unwind(Box::new("bomb"));
    }
}

impl std::fmt::Debug for Bomb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bomb")
    }
}

impl std::fmt::Display for Bomb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bomb")
    }
}

impl std::error::Error for Bomb {}

/// A cause and a value whose drops panic.
fn bombs(parent: &Context, _: usize) {
    let (ctx, handle) = parent.with_value(Bomb).with_cancel();
    handle.cancel_with(Cause::new(Bomb));
    let gone = catch_unwind(AssertUnwindSafe(|| drop((ctx, handle))));
    assert!(gone.is_err(), "it panics");
}

/// So many steps, shared out among so many threads.
fn churn(watch: &Watch, parent: &Context, threads: usize, steps: usize, step: Step) {
    let done = watch.count("steps");
    let (most, base) = (AtomicIsize::new(0), live());
    let run = || {
        for i in 0..steps / threads {
            step(parent, i);
            if i % EVERY == 0 {
                done.add(EVERY);
                most.fetch_max(live(), Relaxed);
            }
        }
    };
    if threads == 1 {
        run();
        let grown = most.load(Relaxed) - base;
        assert!(grown < SLACK, "{grown} bytes more at one time");
    } else {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(run);
            }
        });
    }
}

/// On one thread and on several, after as much as makes all that stays.
fn stays_flat(watch: &Watch, parent: Context, steps: usize, step: Step) {
    for threads in [1, 4] {
        watch.phase(format_args!("warms up on {threads} threads"));
        churn(watch, &parent, threads, steps / 20, step);
        // Whatever the threads left for others to collect.
        let settle = || (0..20_000).for_each(|i| step(&parent, i));
        settle();
        let before = live();
        watch.phase(format_args!("on {threads} threads"));
        churn(watch, &parent, threads, steps, step);
        settle();
        let grown = live() - before;
        assert!(grown < SLACK, "{grown} bytes more, {threads} threads");
    }
    assert_eq!(parent.live_children(), 0);
}

// V9, V10, D9, P47.
#[test]
fn ten_million_contexts_come_and_go() {
    alone(|watch| stays_flat(watch, root().0, pick(10_000_000, 100_000), derive));
}

// V10, V16, P47: abandoned, or woken.
#[test]
fn ten_million_waits_come_and_go() {
    alone(|watch| stays_flat(watch, root().0, pick(10_000_000, 60_000), wait));
}

// V10, V13, G16, K12: registered, and stopped, dropped, joined or run.
#[test]
fn ten_million_callbacks_come_and_go() {
    alone(|watch| stays_flat(watch, root().0, pick(10_000_000, 60_000), callbacks));
}

// V10, V18, P67: armed, and dropped or over.
#[test]
fn millions_of_deadlines_come_and_go() {
    alone(|watch| {
        let clock = ManualClock::new();
        let parent = Context::background().with_clock(&clock);
        let parent = parent.with_value(clock.clone());
        stays_flat(watch, parent, pick(2_000_000, 60_000), timeouts);
        assert_eq!(clock.outstanding(), 0);
    });
}

// V9, V10, V21, P47: tokens of a context, and contexts of a token.
#[cfg(feature = "tokio")]
#[test]
fn a_million_bridges_come_and_go() {
    let parent = || root().0.with_value(CancellationToken::new());
    alone(move |watch| stays_flat(watch, parent(), pick(1_000_000, 20_000), bridges));
}

// V14, V9: what a drop that panics lay in is freed all the same.
#[test]
fn drops_that_panic_leave_nothing() {
    alone(|watch| stays_flat(watch, root().0, pick(1_000_000, 20_000), bombs));
}
