//! Futures that run until a context is done.

use super::tools::{OnDrop, Wakes, in_time, message, peek, poll, start};
use crate::{CancelError, CancelHandle, Context, FutureExt};
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T, CancelError>> + Send>>;

/// The three ways to run `work` under `ctx`, all behaving alike.
fn ways<T: 'static, F>(ctx: &Context, work: impl Fn() -> F) -> [Boxed<T>; 3]
where
    F: Future<Output = T> + Send + 'static,
{
    let (one, two) = (ctx.clone(), ctx.clone());
    let (borrowed, adapted) = (work(), work());
    [
        Box::pin(async move { one.run_until_cancelled(borrowed).await }),
        Box::pin(ctx.clone().run_until_cancelled_owned(work())),
        Box::pin(async move { adapted.with_context(&two).await }),
    ]
}

fn failed<T>(poll: Poll<Result<T, CancelError>>) -> bool {
    matches!(poll, Poll::Ready(Err(_)))
}

// T20, T23, D7: work that never ends, ends with the context.
#[test]
fn endless_work_ends_with_its_context() {
    for below in [false, true] {
        let (top, handle) = root();
        let ctx = if below {
            top.with_cancel().0
        } else {
            top.clone()
        };
        let (wakes, waker) = Wakes::new();
        let mut runs = ways(&ctx, pending::<()>);
        for run in &mut runs {
            assert!(poll(run, &waker).is_pending());
        }
        handle.cancel_with("stop");
        assert_eq!(wakes.count(), 3);
        for run in &mut runs {
            let Poll::Ready(Err(error)) = poll(run, &waker) else {
                panic!("still running");
            };
            assert_eq!(error.cause().unwrap().to_string(), "stop");
            assert_eq!(error.origin(), top.id());
        }
    }
}

// T21, T23.
#[test]
fn work_that_ends_first_gives_its_value() {
    let (ctx, handle) = root();
    for mut run in ways(&ctx, || ready(7)) {
        assert_eq!(peek(&mut run).map(Result::unwrap), Poll::Ready(7));
    }
    let (wakes, waker) = Wakes::new();
    for mut run in ways(&ctx, || {
        let mut polls = 0;
        poll_fn(move |_| {
            polls += 1;
            if polls == 3 {
                Poll::Ready(7)
            } else {
                Poll::Pending
            }
        })
    }) {
        assert!(poll(&mut run, &waker).is_pending());
        assert!(poll(&mut run, &waker).is_pending());
        assert_eq!(peek(&mut run).map(Result::unwrap), Poll::Ready(7));
    }
    drop(waker);
    assert_eq!(Arc::strong_count(&wakes), 1, "no waker is kept");
    handle.cancel();
    assert_eq!(wakes.count(), 0);
}

// T22, T23: done at the first poll: the work is never polled, only dropped.
#[test]
fn work_under_a_done_context_is_never_polled() {
    let (ctx, handle) = root();
    let (polls, drops) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let runs = ways(&ctx, || {
        let (polls, drops) = (polls.clone(), drops.clone());
        let on_drop = OnDrop(move || {
            drops.fetch_add(1, SeqCst);
        });
        poll_fn(move |_| {
            let _ = &on_drop;
            polls.fetch_add(1, SeqCst);
            Poll::Ready(())
        })
    });
    handle.cancel();
    for mut run in runs {
        assert!(failed(peek(&mut run)));
    }
    assert_eq!((polls.load(SeqCst), drops.load(SeqCst)), (0, 3));
}

// K9: Later, if both are ready at one poll, the value wins.
#[test]
fn the_value_wins_if_both_are_ready() {
    let (ctx, handle) = root();
    let mut runs = ways(&ctx, || {
        let mut polls = 0;
        poll_fn(move |_| {
            polls += 1;
            if polls > 1 {
                Poll::Ready(polls)
            } else {
                Poll::Pending
            }
        })
    });
    for run in &mut runs {
        assert!(peek(run).is_pending());
    }
    handle.cancel();
    for run in &mut runs {
        assert_eq!(peek(run).map(Result::unwrap), Poll::Ready(2));
    }
}

// The same where the work itself cancels, in its first poll and later.
#[test]
fn work_may_cancel_its_own_context() {
    let (ctx, handle) = root();
    let value = async {
        handle.cancel();
        7
    };
    let mut run = Box::pin(value.with_context(&ctx));
    assert_eq!(peek(&mut run).map(Result::unwrap), Poll::Ready(7));
    let (ctx, handle) = root();
    let mut run = Box::pin(ctx.run_until_cancelled(poll_fn(move |_| {
        handle.cancel_with("own");
        Poll::<()>::Pending
    })));
    let Poll::Ready(Err(error)) = peek(&mut run) else {
        panic!("done, but still running");
    };
    assert_eq!(error.cause().unwrap().to_string(), "own");
}

// Dropping it drops the work and the wait.
#[test]
fn a_dropped_run_drops_its_work_and_its_wait() {
    let (ctx, handle) = root();
    let (wakes, waker) = Wakes::new();
    let drops = Arc::new(AtomicUsize::new(0));
    let mut runs = ways(&ctx, || {
        let drops = drops.clone();
        let on_drop = OnDrop(move || {
            drops.fetch_add(1, SeqCst);
        });
        async move {
            let _on_drop = on_drop;
            pending::<()>().await;
        }
    });
    for run in &mut runs {
        assert!(poll(run, &waker).is_pending());
    }
    drop(runs);
    assert_eq!(drops.load(SeqCst), 3);
    drop(waker);
    assert_eq!(Arc::strong_count(&wakes), 1);
    assert!(handle.cancel());
    assert_eq!(wakes.count(), 0);
}

// V14: work that panics panics out of the run, and breaks nothing.
#[test]
fn work_may_panic() {
    let (ctx, handle) = root();
    for mut run in ways(&ctx, || async { panic!("work") }) {
        let panic = catch_unwind(AssertUnwindSafe(|| drop(peek(&mut run))));
        assert_eq!(message(&*panic.unwrap_err()), "work");
    }
    assert!(handle.cancel());
}

// What never ends anything runs as if alone.
#[test]
fn work_under_a_root_or_shield_runs_to_its_end() {
    let (done, handle) = root();
    handle.cancel();
    for ctx in [Context::background(), done.without_cancel()] {
        for mut run in ways(&ctx, || ready(7)) {
            assert_eq!(peek(&mut run).map(Result::unwrap), Poll::Ready(7));
        }
        for mut run in ways(&ctx, pending::<()>) {
            assert!(peek(&mut run).is_pending());
        }
    }
}

// T20, G121: on a real runtime, the cancel from another thread.
#[test]
fn tasks_of_a_runtime_end_with_their_context() {
    in_time(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (top, handle) = root();
            let tasks: Vec<_> = (0..100)
                .map(|i| {
                    let (ctx, _) = top.with_cancel();
                    match i % 3 {
                        0 => tokio::spawn(ctx.run_until_cancelled_owned(pending::<()>())),
                        1 => tokio::spawn(async move { pending().with_context(&ctx).await }),
                        _ => tokio::spawn(async move { Err(ctx.cancelled_owned().await) }),
                    }
                })
                .collect();
            let canceller = start(move || handle.cancel_with("stop"));
            for task in tasks {
                let error = task.await.unwrap().unwrap_err();
                assert_eq!(error.cause().unwrap().to_string(), "stop");
            }
            assert!(canceller.join().unwrap());
            assert_eq!(top.live_children(), 0);
        });
    });
}
