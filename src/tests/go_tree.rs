//! What Go's contexts, and those of Go-like crates, are asked about the tree.

use super::foreign::Token;
use super::tools::{Wakes, alone, in_time, peek, poll, start};
use crate::{CancelHandle, Cause, Context, FutureExt, Reason};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, mpsc};
use std::thread;
use std::time::Duration;

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

// G18: cancel returns while the work it ends still goes on.
#[test]
fn a_cancel_does_not_wait_for_the_work() {
    in_time(|| {
        let (ctx, handle) = root();
        let (child, _keep) = ctx.with_cancel();
        let (release, released) = mpsc::channel::<()>();
        let (ended, has_ended) = mpsc::channel();
        let worker = start(move || {
            child.wait();
            released.recv().unwrap();
            ended.send(()).unwrap();
        });
        assert!(handle.cancel());
        assert!(has_ended.try_recv().is_err());
        release.send(()).unwrap();
        has_ended.recv().unwrap();
        worker.join().unwrap();
    });
}

// C4, C9: all clones are one context: whichever is cancelled, asked or waited
// for, wherever it was cloned, and cloned before or after.
#[test]
fn clones_see_the_same_cancel() {
    let (ctx, handle) = root();
    let (child, _keep) = ctx.with_cancel();
    let before = [ctx.clone(), handle.context().clone(), ctx.clone().clone()];
    let below = child.clone();
    let (wakes, waker) = Wakes::new();
    let mut waits: Vec<_> = before.iter().map(Context::cancelled).collect();
    for wait in &mut waits {
        assert!(poll(wait, &waker).is_pending());
    }
    assert!(handle.clone().cancel_with("once"));
    assert_eq!(wakes.count(), waits.len());
    let cause = ctx.cause().unwrap();
    let after = [ctx.clone(), handle.context().clone()];
    for ctx in before.iter().chain(&after).chain([&child, &below]) {
        let error = ctx.error().unwrap();
        assert!(error.cause().unwrap().ptr_eq(&cause));
        assert_eq!(error.origin(), handle.context().id());
    }
}

// G102: a cause of its own hides no reason, nor the reason the cause.
#[test]
fn reason_and_cause_are_both_told() {
    let (ctx, handle) = root();
    let (child, _keep) = ctx.with_cancel();
    handle.cancel_with(Cause::new(io::Error::from(io::ErrorKind::NotFound)));
    for ctx in [&ctx, &child] {
        let error = ctx.check().unwrap_err();
        assert!(matches!(error.reason(), Reason::Cancelled));
        let cause = error.cause().unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(cause.kind(), io::ErrorKind::NotFound);
        assert_eq!(ctx.reason(), Some(Reason::Cancelled));
        assert!(ctx.cause().unwrap().downcast_ref::<io::Error>().is_some());
    }
}

// K11: the first cancel wins and says so; the loser is told that it lost, can
// read what won, and keeps its own cause if it kept a clone.
#[test]
fn who_cancels_second_may_tell_both_causes() {
    let (ctx, handle) = root();
    assert!(handle.cancel_with("first"));
    let mine = Cause::from("second");
    assert!(!handle.cancel_with(mine.clone()));
    assert_eq!(ctx.cause().unwrap().to_string(), "first");
    assert!(!ctx.cause().unwrap().ptr_eq(&mine));
    assert_eq!(mine.to_string(), "second");
}

// K7: a context that is never done may be a constant; one that is done already
// may be kept in a `static` all the same.
#[test]
fn contexts_may_be_kept_in_statics() {
    const NEVER: Context = Context::background();
    static DONE: LazyLock<Context> = LazyLock::new(|| {
        let (ctx, handle) = Context::background().with_cancel();
        handle.cancel_with("from the start");
        ctx
    });
    assert_eq!(NEVER, Context::background());
    assert!(!NEVER.is_cancelled());
    for _ in 0..2 {
        assert_eq!(DONE.cause().unwrap().to_string(), "from the start");
        assert!(DONE.with_cancel().0.is_cancelled());
    }
}

// D4: contexts cross threads, and every task that waits on one is woken.
#[test]
fn many_tasks_of_many_threads_wait_on_one_context() {
    in_time(|| {
        let (ctx, handle) = root();
        let (polled, all_polled) = mpsc::channel();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (ctx, polled) = (ctx.clone(), polled.clone());
                start(move || {
                    let tasks = [(); 5].map(|()| Wakes::new());
                    let mut waits: Vec<_> = tasks.iter().map(|_| ctx.cancelled()).collect();
                    for (wait, (_, waker)) in waits.iter_mut().zip(&tasks) {
                        assert!(poll(wait, waker).is_pending());
                    }
                    polled.send(()).unwrap();
                    ctx.wait();
                    // The wakes come after the context is seen done.
                    while tasks.iter().any(|(wakes, _)| wakes.count() == 0) {
                        thread::yield_now();
                    }
                    assert!(waits.iter_mut().all(|wait| peek(wait).is_ready()));
                })
            })
            .collect();
        all_polled.iter().take(4).for_each(drop);
        handle.cancel();
        threads.into_iter().for_each(|t| t.join().unwrap());
    });
}

// P20: once one thread has seen it done, nobody it tells sees it live, be it
// the context itself, its ancestor, or a wait made earlier.
#[test]
fn nobody_sees_it_live_after_another_saw_it_done() {
    in_time(|| {
        for _ in 0..200 {
            let (top, handle) = root();
            let (ctx, _keep) = top.with_cancel();
            let told = Arc::new(AtomicBool::new(false));
            let (hears, early, above) = (told.clone(), ctx.clone().cancelled_owned(), top);
            let listener = start(move || {
                let mut early = early;
                while !hears.load(SeqCst) {
                    std::hint::spin_loop();
                }
                assert!(peek(&mut early).is_ready());
                assert!(above.is_cancelled());
            });
            let seer = start(move || {
                while !ctx.is_cancelled() {
                    std::hint::spin_loop();
                }
                told.store(true, SeqCst);
            });
            handle.cancel();
            seer.join().unwrap();
            listener.join().unwrap();
        }
    });
}

// P13: no child is passed over for its kind or for never having been used:
// fresh, named, held by its handle alone, by a wait alone, under a dropped
// middle, done before.
#[test]
fn children_of_every_state_are_reached() {
    let (top, handle) = root();
    let (fresh, _) = top.with_cancel();
    let (named, _) = top.derive().name("named").build();
    let (_, only_handle) = top.with_cancel();
    let mut only_wait = top.with_cancel().0.cancelled_owned();
    let (middle, middle_handle) = top.with_cancel();
    let (leaf, _) = middle.with_cancel();
    drop((middle, middle_handle));
    let (done, cancel_done) = top.with_cancel();
    let (below_done, _) = done.with_cancel();
    cancel_done.cancel_with("before");
    let (wakes, waker) = Wakes::new();
    assert!(poll(&mut only_wait, &waker).is_pending());

    assert!(handle.cancel_with("now"));
    for ctx in [&fresh, &named, only_handle.context(), &leaf] {
        assert_eq!(ctx.cause().unwrap().to_string(), "now");
    }
    assert_eq!(wakes.count(), 1);
    assert!(peek(&mut only_wait).is_ready());
    for ctx in [&done, &below_done] {
        assert_eq!(ctx.cause().unwrap().to_string(), "before");
    }
}

// P44: a task that is woken and does nothing about it is not woken again.
#[test]
fn who_ignores_a_cancel_is_not_woken_again() {
    let (top, handle) = root();
    let (ctx, cancel_ctx) = top.with_cancel();
    let (wakes, waker) = Wakes::new();
    let mut wait = ctx.cancelled();
    assert!(poll(&mut wait, &waker).is_pending());
    assert!(cancel_ctx.cancel());
    assert!(!cancel_ctx.cancel());
    assert!(handle.cancel());
    for _ in 0..100 {
        assert!(ctx.with_cancel().0.is_cancelled());
        thread::yield_now();
    }
    assert_eq!(wakes.count(), 1);
}

/// How many ticks of processor time, of 10 ms mostly, this thread has used.
#[cfg(target_os = "linux")]
fn ticks() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    // The name of the thread, in brackets, may hold anything.
    let (_, numbers) = text.rsplit_once(") ").unwrap();
    let numbers: Vec<_> = numbers.split(' ').skip(11).take(2).collect();
    numbers.iter().map(|n| n.parse::<u64>().unwrap()).sum()
}

// P44: a thread that waits, and one that sleeps, use no processor.
#[cfg(target_os = "linux")]
#[test]
fn a_blocked_thread_uses_no_processor() {
    in_time(|| {
        let (ctx, _handle) = root();
        let before = ticks();
        assert!(ctx.wait_timeout(Duration::from_millis(100)).is_none());
        assert!(ctx.sleep(Duration::from_millis(100)).is_ok());
        let used = ticks() - before;
        assert!(used < 5, "{used}");
    });
}

// G121: a generator sends numbers until its context is done; its consumer stops
// at five and cancels; the generator's thread ends.
#[test]
fn a_generator_ends_with_its_context() {
    in_time(|| {
        let (ctx, handle) = root();
        let (send, numbers) = mpsc::sync_channel(0);
        let generator = start(move || {
            let mut n = 1;
            while ctx.check().is_ok() && send.send(n).is_ok() {
                n += 1;
            }
        });
        let mut got = Vec::new();
        for n in &numbers {
            got.push(n);
            if n == 5 {
                break;
            }
        }
        handle.cancel();
        drop(numbers);
        generator.join().unwrap();
        assert_eq!(got, [1, 2, 3, 4, 5]);
    });
}

// C1, C2, C3: a long operation that asks now and then ends, on another thread,
// by the cancel of its own context and by one above it.
#[test]
fn a_long_operation_ends_with_an_error() {
    in_time(|| {
        for cancel_above in [false, true] {
            let (parent, cancel_parent) = root();
            let (ctx, cancel_ctx) = parent.with_cancel();
            let steps = Arc::new(AtomicUsize::new(0));
            let counted = steps.clone();
            let work = start(move || {
                loop {
                    ctx.check()?;
                    counted.fetch_add(1, Relaxed);
                }
                #[expect(unreachable_code, reason = "gives the closure its type")]
                Ok::<(), crate::CancelError>(())
            });
            while steps.load(Relaxed) < 1_000 {
                thread::yield_now();
            }
            let handle = if cancel_above {
                cancel_parent
            } else {
                cancel_ctx
            };
            assert!(handle.cancel_with("enough"));
            let error = work.join().unwrap().unwrap_err();
            assert_eq!(error.to_string(), "context cancelled: enough");
            assert_eq!(error.origin(), handle.context().id());
        }
    });
}

// D15: clones, and futures that are dropped before they are polled, break no
// count of who is there.
#[test]
fn clones_and_unpolled_futures_break_no_count() {
    let (top, _keep) = root();
    let (ctx, handle) = top.with_cancel();
    for _ in 0..100 {
        drop((ctx.clone(), handle.clone(), handle.clone().clone()));
        drop(ctx.clone().run_until_cancelled_owned(async {}));
        drop(ctx.clone().cancelled_owned());
        drop((ctx.cancelled(), async {}.with_context(&ctx)));
        assert_eq!(top.live_children(), 1);
    }
    drop((ctx, handle));
    assert_eq!(top.live_children(), 0);
    let unpolled = top.with_cancel().0.run_until_cancelled_owned(async {});
    assert_eq!(top.live_children(), 1);
    drop(unpolled);
    assert_eq!(top.live_children(), 0);
}

#[cfg(target_os = "linux")]
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

// G125, V25: nothing starts a thread, whatever is derived, waited for,
// registered or cancelled.
#[cfg(target_os = "linux")]
#[test]
fn no_operation_starts_a_thread() {
    alone("tests::go_tree::no_operation_starts_a_thread", || {
        let before = threads();
        let (top, handle) = root();
        let (child, _keep) = top.with_cancel();
        let (named, cancel_named) = child.derive().name("named").build();
        let (below, _keep) = named.with_value(1).without_cancel().with_cancel();
        assert_eq!(below.value(), Some(&1));
        let mut waits = [&top, &child, &named, &below].map(Context::cancelled);
        assert!(waits.iter_mut().all(|wait| peek(wait).is_pending()));
        named.after_cancel(|_| ()).detach();
        let (linked, _keep) = below.link([&named]);
        let (foreign, _keep) = linked.from_source(Token::default());
        assert!(top.tree().nodes().count() > 1);
        let registration = below.after_cancel(|_| ());
        assert!(below.wait_timeout(Duration::from_millis(1)).is_none());
        assert_eq!(threads(), before);
        cancel_named.cancel();
        handle.cancel_with("all");
        child.wait();
        assert!(linked.is_cancelled() && foreign.is_cancelled());
        child.after_cancel(|_| ()).detach();
        registration.stop_and_join();
        let (late, _keep) = child.with_cancel();
        assert!(late.is_cancelled());
        assert_eq!(threads(), before);
    });
}
