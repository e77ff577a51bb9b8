//! Streams that end with a context.

use super::tools::{Hostile, OnDrop, Wakes, in_time, message, start};
use crate::time::ManualClock;
use crate::{CancelHandle, Context, StreamExt, UntilCancelled};
use futures_core::{FusedStream, Stream};
use futures_util::stream::{self, StreamExt as _};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{self, Poll, Waker};
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedSender};

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

/// What comes out of one end, put into the other.
fn channel<T: Send>() -> (UnboundedSender<T>, impl Stream<Item = T> + Unpin + Send) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let items = stream::poll_fn(move |task| receiver.poll_recv(task));
    (sender, items)
}

/// Polls once.
fn poll<S: Stream + Unpin>(stream: &mut S, waker: &Waker) -> Poll<Option<S::Item>> {
    Pin::new(stream).poll_next(&mut task::Context::from_waker(waker))
}

/// Polls once with a waker that does nothing.
fn peek<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    poll(stream, Waker::noop())
}

/// A stream that has ended, for good.
fn has_ended<S: Stream + Unpin>(cut: &mut UntilCancelled<'_, S>) -> bool {
    let ends = (0..3).all(|_| matches!(peek(cut), Poll::Ready(None)));
    ends && cut.is_terminated() && cut.size_hint() == (0, Some(0))
}

// S1: what was sent before comes out, and nothing after.
#[test]
fn a_stream_is_cut_between_items() {
    for below in [false, true] {
        for waiting in [false, true] {
            let (top, handle) = root();
            let child = top.with_cancel().0;
            let ctx = if below { &child } else { &top };
            let (sender, items) = channel();
            let mut cut = items.until_cancelled(ctx);
            for item in 1..=3 {
                sender.send(item).unwrap();
                assert_eq!(peek(&mut cut), Poll::Ready(Some(item)));
            }
            if waiting {
                assert_eq!(peek(&mut cut), Poll::Pending);
            }
            assert!(!cut.is_terminated());
            handle.cancel();
            // Both are ready now.
            sender.send(4).unwrap();
            assert!(has_ended(&mut cut));
            // It was not taken, so it is not lost.
            assert_eq!(peek(&mut cut.into_inner()), Poll::Ready(Some(4)));
        }
    }
}

/// A stream that always has an item, and counts its polls.
fn busy(polls: &Cell<usize>) -> impl Stream<Item = usize> {
    stream::poll_fn(|_| {
        polls.set(polls.get() + 1);
        Poll::Ready(Some(polls.get()))
    })
}

// T22: done at the first poll: the stream is never polled.
#[test]
fn a_stream_under_a_done_context_is_never_polled() {
    let (ctx, handle) = root();
    let polls = Cell::new(0);
    let mut made_before = busy(&polls).until_cancelled(&ctx);
    handle.cancel();
    let mut made_after = busy(&polls).until_cancelled(&ctx);
    assert!(has_ended(&mut made_before));
    assert!(has_ended(&mut made_after));
    assert_eq!(polls.get(), 0);
}

// A stream that always has an item ready is cut too, and asks nothing twice.
#[test]
fn a_busy_stream_is_cut() {
    let (ctx, handle) = root();
    let (wakes, waker) = Wakes::new();
    let polls = Cell::new(0);
    let mut cut = busy(&polls).until_cancelled(&ctx);
    for item in 1..=100 {
        assert_eq!(poll(&mut cut, &waker), Poll::Ready(Some(item)));
    }
    drop(waker);
    assert_eq!(Arc::strong_count(&wakes), 1, "no waker was kept");
    handle.cancel();
    assert!(has_ended(&mut cut));
    assert_eq!((polls.get(), wakes.count()), (100, 0));
}

// S2: cut by an instant: at that instant and not before, and once.
#[test]
fn a_stream_is_cut_by_a_deadline() {
    let clock = ManualClock::new();
    let root = Context::background().with_clock(&clock);
    let second = Duration::from_secs(1);
    for below in [false, true] {
        let (top, _top) = root.with_timeout(second);
        let (own, _own) = root.with_deadline(clock.now() + second);
        let ctx = if below { top.with_cancel().0 } else { own };
        let (wakes, waker) = Wakes::new();
        let (sender, items) = channel();
        let mut cut = items.until_cancelled(&ctx);
        for item in 1..=3 {
            sender.send(item).unwrap();
            assert_eq!(poll(&mut cut, &waker), Poll::Ready(Some(item)));
            clock.advance(Duration::from_millis(100));
        }
        assert!(poll(&mut cut, &waker).is_pending());
        drop(waker);
        clock.set(ctx.deadline().unwrap() - Duration::from_nanos(1));
        assert_eq!(wakes.count(), 0);
        clock.advance(Duration::from_nanos(1));
        assert_eq!(wakes.count(), 1);
        sender.send(4).unwrap();
        assert!(has_ended(&mut cut));
        assert!(ctx.error().unwrap().is_timeout());
        assert_eq!(Arc::strong_count(&wakes), 1, "no waker is kept");
    }
    assert_eq!(clock.outstanding(), 0);
}

// S3: cut by an instant of the runtime, on its time.
#[cfg(feature = "tokio")]
#[test]
fn a_stream_is_cut_on_the_time_of_the_runtime() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    in_time(move || {
        runtime.block_on(async {
            let root = Context::background().with_driver(&crate::time::Timers::tokio());
            let (ctx, _handle) = root.with_timeout(Duration::from_millis(350));
            let ticks = stream::unfold(0, |count| async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Some((count, count + 1))
            });
            let mut cut = Box::pin(ticks.until_cancelled(&ctx));
            for count in 0..3 {
                assert_eq!(cut.next().await, Some(count));
            }
            // The next one would come 50 ms after that.
            assert_eq!(cut.next().await, None);
            let now = tokio::time::Instant::now().into_std();
            let late = now.checked_duration_since(ctx.deadline().unwrap());
            assert!(late.unwrap() < Duration::from_millis(3));
            assert!(cut.is_terminated());
            assert_eq!(cut.next().await, None);
            assert!(ctx.error().unwrap().is_timeout());
        });
    });
}

// D21: the end is the end: nothing is given again, and nothing is polled.
#[test]
fn a_cut_stream_ends_once_and_for_all() {
    let (ctx, handle) = root();
    let (wakes, waker) = Wakes::new();
    let polls = Cell::new(0);
    let mut cut = stream::poll_fn(|_| {
        polls.set(polls.get() + 1);
        Poll::<Option<()>>::Pending
    })
    .until_cancelled(&ctx);
    assert!(poll(&mut cut, &waker).is_pending());
    assert_eq!(wakes.count(), 0);
    handle.cancel();
    assert_eq!(wakes.count(), 1, "the task is woken to see the end");
    assert!(has_ended(&mut cut));
    assert_eq!((polls.get(), wakes.count()), (1, 1));
    drop(waker);
    assert_eq!(Arc::strong_count(&wakes), 1);
}

// The end of the stream itself: it would start again, and is not let.
#[test]
fn a_stream_that_ends_by_itself_is_not_polled_again() {
    let (ctx, handle) = root();
    let (wakes, waker) = Wakes::new();
    let polls = Cell::new(0);
    let mut cut = stream::poll_fn(|_| {
        polls.set(polls.get() + 1);
        match polls.get() {
            1 => Poll::Pending,
            2 => Poll::Ready(None),
            _ => Poll::Ready(Some(())),
        }
    })
    .until_cancelled(&ctx);
    assert!(poll(&mut cut, &waker).is_pending());
    assert_eq!(Arc::strong_count(&wakes), 3, "registered");
    assert_eq!(poll(&mut cut, &waker), Poll::Ready(None));
    drop(waker);
    assert_eq!(Arc::strong_count(&wakes), 1, "the end takes it back");
    handle.cancel();
    assert!(has_ended(&mut cut));
    assert_eq!((polls.get(), wakes.count()), (2, 0));
}

// The stream itself cancels: an item that it gives comes out, and is the last.
#[test]
fn a_stream_may_cancel_its_own_context() {
    let (ctx, handle) = root();
    let mut cut = stream::poll_fn(|_| {
        handle.cancel();
        Poll::Ready(Some("last"))
    })
    .until_cancelled(&ctx);
    assert_eq!(peek(&mut cut), Poll::Ready(Some("last")));
    assert!(has_ended(&mut cut));
    // Without one to give, it ends in the same poll.
    let (ctx, handle) = root();
    let mut cut = stream::poll_fn(|_| {
        handle.cancel();
        Poll::<Option<()>>::Pending
    })
    .until_cancelled(&ctx);
    assert!(has_ended(&mut cut));
}

// T37: the last waker is woken, and only that.
#[test]
fn only_the_last_waker_of_a_stream_is_woken() {
    let (ctx, handle) = root();
    let (first, first_waker) = Wakes::new();
    let (last, last_waker) = Wakes::new();
    let mut cut = stream::pending::<()>().until_cancelled(&ctx);
    assert!(poll(&mut cut, &first_waker).is_pending());
    assert!(poll(&mut cut, &last_waker).is_pending());
    handle.cancel();
    assert_eq!((first.count(), last.count()), (0, 1));
    assert!(has_ended(&mut cut));
}

// V16: an abandoned stream leaves nothing behind.
#[test]
fn a_dropped_stream_drops_what_it_has_and_its_wait() {
    let (ctx, handle) = root();
    let (wakes, waker) = Wakes::new();
    let drops = AtomicUsize::new(0);
    let drops = Arc::new(drops);
    let on_drop = {
        let drops = drops.clone();
        OnDrop(move || {
            drops.fetch_add(1, SeqCst);
        })
    };
    let mut cut = stream::poll_fn(move |_| {
        let _ = &on_drop;
        Poll::<Option<()>>::Pending
    })
    .until_cancelled(&ctx);
    assert!(poll(&mut cut, &waker).is_pending());
    drop(cut);
    assert_eq!(drops.load(SeqCst), 1);
    drop(waker);
    assert_eq!(Arc::strong_count(&wakes), 1);
    handle.cancel();
    assert_eq!(wakes.count(), 0);
}

// V14: a stream that panics panics out of the poll, and may go on.
#[test]
fn a_stream_may_panic() {
    let (ctx, handle) = root();
    let polls = Cell::new(0);
    let mut cut = stream::poll_fn(|_| {
        polls.set(polls.get() + 1);
        assert_ne!(polls.get(), 1, "no items yet");
        Poll::Ready(Some(polls.get()))
    })
    .until_cancelled(&ctx);
    let panic = catch_unwind(AssertUnwindSafe(|| peek(&mut cut)));
    assert!(message(&*panic.unwrap_err()).contains("no items yet"));
    assert_eq!(peek(&mut cut), Poll::Ready(Some(2)));
    handle.cancel();
    assert!(has_ended(&mut cut));
}

// V14: the waker that the end takes back panics in its drop.
#[test]
fn the_end_is_the_end_also_if_a_waker_panics() {
    let (ctx, _handle) = root();
    let polls = Cell::new(0);
    let mut cut = stream::poll_fn(|_| {
        polls.set(polls.get() + 1);
        match polls.get() {
            1 => Poll::Pending,
            2 => Poll::Ready(None),
            _ => Poll::Ready(Some(())),
        }
    })
    .until_cancelled(&ctx);
    let panics = Arc::new(AtomicUsize::new(0));
    let armed = panics.clone();
    let waker = Hostile::new().on_drop(move || {
        if armed.swap(0, SeqCst) == 1 {
            panic!("waker");
        }
    });
    let waker = waker.waker();
    assert!(poll(&mut cut, &waker).is_pending());
    panics.store(1, SeqCst);
    let panic = catch_unwind(AssertUnwindSafe(|| peek(&mut cut)));
    assert_eq!(message(&*panic.unwrap_err()), "waker");
    assert!(has_ended(&mut cut));
    assert_eq!(polls.get(), 2);
}

#[test]
fn the_size_is_at_most_that_of_the_stream() {
    let (ctx, handle) = root();
    let mut cut = stream::iter(1..=3).until_cancelled(&ctx);
    assert_eq!(cut.size_hint(), (0, Some(3)));
    assert_eq!(peek(&mut cut), Poll::Ready(Some(1)));
    assert_eq!(cut.size_hint(), (0, Some(2)));
    assert_eq!(
        stream::repeat(1).until_cancelled(&ctx).size_hint(),
        (0, None)
    );
    handle.cancel();
    assert!(has_ended(&mut cut));
}

// What never ends anything leaves a stream whole.
#[test]
fn a_stream_under_a_root_or_shield_is_whole() {
    let (done, handle) = root();
    handle.cancel();
    for ctx in [Context::background(), done.without_cancel()] {
        let mut cut = stream::iter(1..=3).until_cancelled(&ctx);
        for item in 1..=3 {
            assert_eq!(peek(&mut cut), Poll::Ready(Some(item)));
        }
        assert!(has_ended(&mut cut));
        assert!(peek(&mut stream::pending::<()>().until_cancelled(&ctx)).is_pending());
    }
}

#[test]
fn a_cut_stream_prints_its_context() {
    let (ctx, handle) = Context::background().derive().name("feed").build();
    let cut = stream::pending::<()>().until_cancelled(&ctx);
    let id = ctx.id();
    let live = format!("UntilCancelled {{ id: {id}, name: \"feed\", state: live }}");
    assert_eq!(format!("{cut:?}"), live);
    handle.cancel();
    let done = live.replace("live", "context cancelled");
    assert_eq!(format!("{cut:?}"), done);
}

// A stream that must not move, pinned, as `async` blocks make them.
#[test]
fn a_stream_that_may_not_move_is_cut() {
    let (ctx, handle) = root();
    let ticks = stream::unfold(0, |count| async move {
        tokio::task::yield_now().await;
        Some((count, count + 1))
    });
    let mut cut = Box::pin(ticks.until_cancelled(&ctx));
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(async {
        for count in 0..3 {
            assert_eq!(cut.next().await, Some(count));
        }
        handle.cancel();
        assert_eq!(cut.next().await, None);
        assert_eq!(cut.next().await, None);
    });
}

// S1: on a real runtime, the cancel from another thread.
#[test]
fn streams_in_tasks_of_a_runtime_end_with_their_context() {
    in_time(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (top, handle) = root();
            let mut senders = Vec::new();
            let mut tasks = Vec::new();
            for _ in 0..100 {
                let (sender, items) = channel();
                let (taken, mut seen) = mpsc::unbounded_channel();
                let (ctx, _) = top.with_cancel();
                tasks.push(tokio::spawn(async move {
                    let mut all = Vec::new();
                    let mut cut = items.until_cancelled(&ctx);
                    while let Some(item) = cut.next().await {
                        all.push(item);
                        taken.send(()).unwrap();
                    }
                    all
                }));
                for item in 1..=3 {
                    sender.send(item).unwrap();
                    seen.recv().await.unwrap();
                }
                senders.push(sender);
            }
            let canceller = start(move || handle.cancel());
            assert!(canceller.join().unwrap());
            for sender in &senders {
                // Nobody takes it any more, whether the task has ended or not.
                let _ = sender.send(4);
            }
            for task in tasks {
                assert_eq!(task.await.unwrap(), [1, 2, 3]);
            }
            assert_eq!(top.live_children(), 0);
        });
    });
}

/// It is `Send` if the stream in it is, and `Unpin` too.
const fn crosses_threads<T: Send + Sync + Unpin>() {}

const _: () = {
    crosses_threads::<UntilCancelled<'static, stream::Pending<()>>>();
};
