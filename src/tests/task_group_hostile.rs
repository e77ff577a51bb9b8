//! Task groups among errors, wakers and callbacks that panic, or come back in.

use super::group_tools::{
    Fail, Forever, Gate, Group, Hand, block_on, boxed, done, failed, panic_of, until_cancelled,
};
use super::tools::{Hostile, OnDrop, Wakes, alone, in_time, peek, poll};
use crate::{Context, JoinError, SpawnError, TaskGroup};
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// An error that panics when it is cloned or dropped, once it is told to.
#[derive(Debug)]
struct Bad {
    clones: Arc<AtomicBool>,
    drops: Arc<AtomicBool>,
}

impl Bad {
    fn new(at_clone: bool, at_drop: bool) -> Bad {
        Bad {
            clones: Arc::new(AtomicBool::new(at_clone)),
            drops: Arc::new(AtomicBool::new(at_drop)),
        }
    }
}

impl Clone for Bad {
    fn clone(&self) -> Bad {
        assert!(!self.clones.swap(false, SeqCst), "clone of an error");
        Bad {
            clones: self.clones.clone(),
            drops: self.drops.clone(),
        }
    }
}

impl Drop for Bad {
    fn drop(&mut self) {
        let panics = self.drops.swap(false, SeqCst);
        assert!(!panics, "drop of an error");
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad")
    }
}

impl Error for Bad {}

// V14, V22: an error that panics when it is cloned for its siblings is not lost,
// nor is anybody left waiting.
#[test]
fn an_error_that_panics_when_cloned_is_a_failure() {
    for at_end in [false, true] {
        let hand = Hand::default();
        let group = TaskGroup::with_spawner(&Context::background(), hand.clone());
        let gone = Arc::new(());
        let inside = gone.clone();
        let bad = Bad::new(!at_end, false);
        let clones = bad.clones.clone();
        group
            .try_spawn(async move {
                let _inside = inside;
                Err(bad)
            })
            .unwrap();
        let ctx = group.context().clone();
        let sibling = ctx.clone().cancelled_owned();
        group
            .try_spawn(async move {
                sibling.await;
                Ok(())
            })
            .unwrap();
        let task = hand.take().unwrap();
        let thrown = panic_of(|| block_on(task));
        assert!(thrown.is_none_or(|text| text == "clone of an error"));
        assert_eq!(Arc::strong_count(&gone), 1);
        assert!(ctx.is_cancelled(), "the sibling is told");
        hand.run();
        assert!(group.is_empty());
        if at_end {
            // The clone for who joins.
            clones.store(true, SeqCst);
            assert!(panic_of(|| block_on(group.join()).is_ok()).is_some());
            assert!(matches!(
                block_on(group.join()),
                Err(JoinError::Failed { .. })
            ));
        } else {
            let joined = panic_of(|| assert!(block_on(group.join()).is_err()));
            drop(joined);
            assert!(panic_of(|| assert!(block_on(group.join()).is_err())).is_none());
        }
    }
}

// V14, V22: one that panics when it is dropped, with its group or its cause, does
// not abort, also while the thread unwinds.
#[test]
fn an_error_that_panics_when_dropped_is_survived() {
    alone(
        "tests::task_group_hostile::an_error_that_panics_when_dropped_is_survived",
        || {
            for unwinding in [false, true] {
                let hand = Hand::default();
                let group = TaskGroup::with_spawner(&Context::background(), hand.clone());
                for _ in 0..3 {
                    group
                        .try_spawn(async { Err(Bad::new(false, true)) })
                        .unwrap();
                }
                while let Some(task) = hand.take() {
                    let thrown = panic_of(|| block_on(task));
                    assert!(thrown.is_none_or(|text| text == "drop of an error"));
                }
                assert!(group.is_empty() && group.context().is_cancelled());
                let panic = panic_of(move || {
                    let _group = group;
                    assert!(!unwinding, "work");
                });
                let text = if unwinding {
                    "work"
                } else {
                    "drop of an error"
                };
                assert_eq!(panic.as_deref(), Some(text));
            }
        },
    );
}

// V14, V22: callbacks on the group's context panic: its tasks end, and are joined.
#[test]
fn a_panicking_callback_stops_no_join() {
    for how in 0..4 {
        let (hand, group) = Hand::group(&Context::background());
        group
            .context()
            .after_cancel(|_| panic!("callback"))
            .detach();
        let ctx = group.context().clone();
        group.try_spawn(until_cancelled(&ctx)).unwrap();
        let (wakes, mut join) = super::group_tools::join_of(&group);
        let thrown = match how {
            0 => panic_of(|| group.cancel()),
            1 => panic_of(|| group.abort()),
            2 => {
                let failing = group.try_spawn(async { Err(Fail(1)) });
                failing.unwrap();
                hand.take()
                    .map(|sibling| {
                        let thrown = panic_of(|| hand.run());
                        block_on(sibling);
                        thrown
                    })
                    .unwrap()
            }
            _ => {
                let sibling = hand.take().unwrap();
                group.try_spawn(Forever(())).unwrap();
                let lost = hand.take().unwrap();
                let thrown = panic_of(|| drop(lost));
                block_on(sibling);
                thrown
            }
        };
        assert_eq!(thrown.as_deref(), Some("callback"), "{how}");
        hand.run();
        assert!(group.is_empty(), "{how}");
        assert_eq!(wakes.count(), 1);
        assert!(peek(&mut join).is_ready());
    }
}

// V15, V22: a callback on the group's context may use the group.
#[test]
fn a_callback_may_use_the_group() {
    in_time(|| {
        for how in 0..3 {
            let (hand, group) = Hand::group(&Context::background());
            let group = Arc::new(group);
            let ran = Arc::new(AtomicUsize::new(0));
            let (inside, count) = (Arc::downgrade(&group), ran.clone());
            group
                .context()
                .after_cancel(move |_| {
                    let group = inside.upgrade().unwrap();
                    let error = group.try_spawn(done()).unwrap_err();
                    assert!(!matches!(error, SpawnError::Full(_)));
                    assert!(!group.cancel());
                    group.close();
                    group.abort();
                    drop(group.stragglers());
                    assert!(group.is_closed());
                    assert!(!format!("{group:?}").is_empty());
                    count.fetch_add(1, SeqCst);
                })
                .detach();
            let (ctx, gate) = (group.context().clone(), Gate::new());
            group.try_spawn(until_cancelled(&ctx)).unwrap();
            group.try_spawn(gate.failing(2)).unwrap();
            hand.run();
            match how {
                0 => drop(group.cancel()),
                1 => group.abort(),
                _ => gate.open(),
            }
            hand.run();
            assert_eq!(ran.load(SeqCst), 1);
            assert!(group.is_empty());
            let joined = block_on(group.join());
            match how {
                2 => assert_eq!(failed(joined).0, Fail(2)),
                _ => assert!(matches!(joined, Err(JoinError::Aborted(_)))),
            }
        }
    });
}

// V14, V22: the waker of a task panics when it is cloned, replaced or dropped.
#[test]
fn the_waker_of_a_task_may_panic() {
    for at_clone in [false, true] {
        let (hand, group) = Hand::group(&Context::background());
        let gate = Gate::new();
        group.try_spawn(gate.task()).unwrap();
        let armed = Arc::new(AtomicBool::new(false));
        let on = armed.clone();
        let hook = move || assert!(!on.swap(false, SeqCst), "waker");
        let hostile = match at_clone {
            true => Hostile::new().on_clone(hook),
            false => Hostile::new().on_drop(hook),
        };
        let waker = hostile.waker();
        let mut task = hand.take().unwrap();
        if !at_clone {
            assert!(poll(&mut task, &waker).is_pending());
        }
        armed.store(true, SeqCst);
        let other = if at_clone { &waker } else { Waker::noop() };
        let panic = panic_of(|| poll(&mut task, other));
        assert!(panic.is_none_or(|text| text == "waker"));
        armed.store(false, SeqCst);
        gate.open();
        assert!(peek(&mut task).is_ready());
        drop(task);
        assert!(group.is_empty());
        let joined = panic_of(|| drop(group.join_blocking(None)));
        assert!(joined.is_none_or(|text| text == "waker"));
    }
}

// V16, V22: a task keeps one waker, the last, and none when it has ended.
#[test]
fn a_task_keeps_no_waker_beyond_its_end() {
    for ends in 0..3 {
        let (hand, group) = Hand::group(&Context::background());
        let ctx = group.context().clone();
        group.try_spawn(until_cancelled(&ctx)).unwrap();
        let mut task = hand.take().unwrap();
        let (first, waker) = Wakes::new();
        assert!(poll(&mut task, &waker).is_pending());
        drop(waker);
        let (last, waker) = Wakes::new();
        assert!(poll(&mut task, &waker).is_pending());
        drop(waker);
        assert_eq!(Arc::strong_count(&first), 1, "the old one is not kept");
        match ends {
            0 => drop(group.cancel()),
            1 => group.abort(),
            _ => {}
        }
        if ends < 2 {
            assert!(last.count() >= 1);
            assert!(peek(&mut task).is_ready());
        }
        drop(task);
        assert_eq!(Arc::strong_count(&last), 1, "{ends}");
        assert_eq!(block_on(group.join()).is_ok(), ends == 0);
    }
}

// V15, V22: the last handle to everything goes in the drop of a task.
#[test]
fn a_future_may_drop_what_is_left_of_its_group() {
    let (hand, group) = Hand::group(&Context::background());
    let group: Arc<Mutex<Option<Group>>> = Arc::new(Mutex::new(Some(group)));
    let inside = group.clone();
    let handle = group.lock().unwrap().as_ref().unwrap().handle();
    let guard = OnDrop(move || {
        let taken = inside.lock().unwrap().take();
        drop(taken.map(|group| group.when_forgotten(|_| ())));
    });
    let spawned = handle.try_spawn(async move {
        let _guard = guard;
        Ok(())
    });
    spawned.unwrap();
    drop(boxed(handle.spawn(done())));
    hand.run();
    assert!(group.lock().unwrap().is_none());
    assert!(matches!(
        handle.try_spawn(done()),
        Err(SpawnError::Closed(_))
    ));
}

/// A payload that panics when it is dropped.
struct Payload;

impl Drop for Payload {
    fn drop(&mut self) {
        panic!("payload");
    }
}

// V14, V22: payloads that panic when they are dropped, resumed or never resumed,
// with the group in peace or while the thread unwinds.
#[test]
fn a_payload_that_panics_when_dropped_is_survived() {
    alone(
        "tests::task_group_hostile::a_payload_that_panics_when_dropped_is_survived",
        || {
            for (joins, unwinding) in [(0, false), (1, false), (0, true), (1, true)] {
                let (hand, group) = Hand::group(&Context::background());
                let group = group.when_forgotten(|_| ());
                for _ in 0..3 {
                    group.try_spawn(async { panic_any(Payload) }).unwrap();
                }
                while let Some(task) = hand.take() {
                    drop(panic_of(|| block_on(task)));
                }
                assert!(group.is_empty());
                for _ in 0..joins {
                    let joined = catch_unwind(AssertUnwindSafe(|| group.join_blocking(None)));
                    // Not dropped: it would panic here.
                    std::mem::forget(joined.unwrap_err());
                }
                let panic = panic_of(move || {
                    let _group = group;
                    assert!(!unwinding, "work");
                });
                let text = if unwinding { "work" } else { "payload" };
                assert!(panic.as_deref().is_none_or(|panic| panic == text));
            }
        },
    );
}

// V14, V22: a callback that panics keeps no task from being aborted.
#[test]
fn a_panicking_callback_keeps_nobody_from_being_aborted() {
    let (hand, group) = Hand::group(&Context::background());
    let ctx = group.context().clone();
    ctx.after_cancel(|_| panic!("callback")).detach();
    group.try_spawn(Forever(())).unwrap();
    assert_eq!(hand.turn(), 0);
    let (thrown, line) = (panic_of(|| group.abort()), line!());
    assert_eq!(thrown.as_deref(), Some("callback"));
    assert_eq!(ctx.error().unwrap().location().unwrap().line(), line);
    assert_eq!(hand.turn(), 1);
    assert!(group.is_empty());
}

// V14, V22: the waker of who waits for a place panics while the group is dropped:
// its tasks are cancelled nevertheless, and that is told.
#[test]
fn a_panicking_waker_lets_no_task_outlive_its_group() {
    let hand = Hand::default();
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    let (group, line) = (
        TaskGroup::with_spawner(&Context::background(), hand.clone()),
        line!() - 1,
    );
    let group = group.limit(1).when_forgotten(move |forgotten| {
        count.fetch_add(forgotten.tasks(), SeqCst);
    });
    let ctx = group.context().clone();
    group.try_spawn(until_cancelled(&ctx)).unwrap();
    let handle = group.handle();
    let mut waiting = boxed(handle.spawn(done()));
    let waker = Hostile::new().on_wake(|| panic!("waker")).waker();
    assert!(poll(&mut waiting, &waker).is_pending());
    let thrown = panic_of(move || drop(group));
    assert_eq!(thrown.as_deref(), Some("waker"));
    assert_eq!(told.load(SeqCst), 1);
    let error = ctx.error().expect("the task is told to stop");
    assert_eq!(error.location().unwrap().line(), line, "that of the group");
    assert!(matches!(
        peek(&mut waiting),
        Poll::Ready(Err(SpawnError::Closed(_)))
    ));
    hand.clear();
}

// V14, V22: a callback panics as a join closes the group: the join waits for all
// the same.
#[test]
fn a_panicking_callback_ends_no_join_early() {
    let (hand, group) = Hand::group(&Context::background());
    let ctx = group.context().clone();
    ctx.after_cancel(|_| panic!("callback")).detach();
    let gate = Gate::new();
    group.spawn_background(gate.task()).unwrap();
    hand.turn();
    let mut join = boxed(group.join());
    assert_eq!(panic_of(|| assert!(peek(&mut join).is_pending())), None);
    gate.open();
    hand.run();
    let thrown = panic_of(|| peek(&mut join).is_ready());
    assert_eq!(thrown.as_deref(), Some("callback"));
    assert!(block_on(group.join()).is_ok());
}

// V15, V22: a callback of the group that joins it, on the thread of the task that
// ends, is told so.
#[test]
fn a_callback_that_blocks_on_a_join_is_inside() {
    let (hand, group) = Hand::group(&Context::background());
    let group = Arc::new(group);
    let joined = Arc::new(Mutex::new(None));
    let (joins, heard) = (group.clone(), joined.clone());
    let callback = move |_: &crate::CancelError| {
        *heard.lock().unwrap() = Some(joins.join_blocking(None));
    };
    let _registered = group.context().after_cancel(callback);
    group.try_spawn(async { Err(Fail(1)) }).unwrap();
    hand.run();
    let joined = joined.lock().unwrap().take();
    assert!(matches!(joined, Some(Err(JoinError::FromInside))));
    assert!(matches!(
        block_on(group.join()),
        Err(JoinError::Failed { .. })
    ));
}
