//! Timers on a tokio runtime whose end has come: the runtime's, theirs, a thread's.

#[cfg(feature = "internal-model")]
use super::tokio_time::paused;
use super::tokio_time::{HOUR, MILLISECOND, end_of, multi, root, single};
#[cfg(feature = "internal-model")]
use super::tools::alone;
use super::tools::{OnDrop, in_time, start};
use crate::time::Timers;
use std::cell::RefCell;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

#[test]
fn the_task_ends_with_the_last_who_has_the_timers() {
    in_time(|| {
        let runtime = single();
        let tasks = || {
            // Lets what was aborted end.
            runtime.block_on(tokio::task::yield_now());
            runtime.metrics().num_alive_tasks()
        };
        assert_eq!(tasks(), 0);
        let timers = Timers::tokio_on(runtime.handle());
        assert_eq!(tasks(), 1);
        let (root, keep) = root(&timers);
        let (ctx, handle) = root.with_timeout(HOUR);
        drop((timers, root, keep, ctx));
        assert_eq!(tasks(), 1);
        start(move || drop(handle)).join().unwrap();
        assert_eq!(tasks(), 0);
    });
}

// What has come is fired by whoever arms the next one.
#[test]
fn without_its_runtime_a_deadline_is_noticed_by_the_next() {
    in_time(|| {
        let runtime = multi();
        let timers = Timers::tokio_on(runtime.handle());
        let (root, _root) = root(&timers);
        let (soon, _soon) = root.with_timeout(20 * MILLISECOND);
        let (far, handle) = root.with_timeout(HOUR);
        drop(runtime);
        // A runtime that was slow to go may have fired the first one itself.
        thread::sleep(25 * MILLISECOND);
        for _ in 0..3 {
            let (later, _later) = root.with_timeout(2 * HOUR);
            assert!(soon.is_cancelled());
            assert!(!far.is_cancelled() && !later.is_cancelled());
        }
        assert!(handle.set_deadline(Instant::now()));
        assert!(far.error().unwrap().is_timeout());
        assert_eq!(timers.outstanding(), 0);
    });
}

// The same where it was gone before the timers were made.
#[test]
fn timers_of_a_runtime_that_is_gone_may_be_armed() {
    in_time(|| {
        for runtime in [single(), multi()] {
            let handle = runtime.handle().clone();
            drop(runtime);
            let (root, _root) = root(&Timers::tokio_on(&handle));
            let (ctx, _handle) = root.with_timeout(MILLISECOND);
            thread::sleep(2 * MILLISECOND);
            let (_next, _handle) = root.with_timeout(HOUR);
            assert!(ctx.is_cancelled());
        }
    });
}

#[cfg(feature = "internal-model")]
#[test]
fn a_runtime_that_goes_with_deadlines_armed_leaks_nothing() {
    use crate::model;
    let name = "tests::tokio_ends::a_runtime_that_goes_with_deadlines_armed_leaks_nothing";
    alone(name, || {
        for runtime in [paused(), single(), multi()] {
            let timers = Timers::tokio_on(runtime.handle());
            let (root, keep) = root(&timers);
            let kept: Vec<_> = (1..100)
                .map(|n| {
                    (
                        root.with_timeout(HOUR * n),
                        root.with_timeout(MILLISECOND * n),
                    )
                })
                .collect();
            runtime.block_on(async { tokio::time::sleep(50 * MILLISECOND).await });
            drop(runtime);
            let _ = root.with_timeout(HOUR);
            drop((timers, root, keep, kept));
            for _ in 0..100 {
                model::collect();
                if model::live_objects() == 0 {
                    break;
                }
            }
            assert_eq!(model::live_objects(), 0);
        }
    });
}

// A thread past its thread-locals arms a deadline, before or after those of
// tokio are gone.
#[test]
fn deadlines_are_armed_by_the_end_of_a_thread() {
    thread_local! {
        static LAST: RefCell<Option<Box<dyn Send>>> = const { RefCell::new(None) };
    }
    in_time(|| {
        for tokio_first in [true, false] {
            let runtime = single();
            let timers = Timers::tokio_on(runtime.handle());
            let (root, _root) = root(&timers);
            let (send, receive) = mpsc::channel();
            let thread = start(move || {
                if tokio_first {
                    let _ = timers.now();
                }
                let last = OnDrop(move || send.send(root.with_timeout(MILLISECOND)).unwrap());
                LAST.set(Some(Box::new(last)));
                let _ = timers.now();
            });
            thread.join().unwrap();
            let (ctx, _handle) = receive.recv().unwrap();
            runtime.block_on(end_of(&ctx));
        }
    });
}
