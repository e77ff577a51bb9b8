//! Task groups: how tasks fail, what their siblings hear, what a join says.

use super::group_tools::{
    End, Fail, Forever, Gate, Group, Hand, block_on, done, failed, on_threads, panic_of,
    until_cancelled,
};
use super::tools::{OnDrop, in_time, on_wake, outcome, peek, poll};
use crate::{Context, JoinError, Reason, TaskGroup};
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

async fn fail(with: usize) -> End {
    Err(Fail(with))
}

async fn panicking(text: &'static str) -> End {
    panic!("{text}");
}

// V22: the first error is what join says and what the others hear; those that
// come after are there too, in their order.
#[test]
fn the_first_error_wins_and_is_the_cause() {
    let (hand, group) = Hand::group(&Context::background());
    let gate = Gate::new();
    group.try_spawn(gate.task()).unwrap();
    group.try_spawn(fail(7)).unwrap();
    group.try_spawn(fail(3)).unwrap();
    group.try_spawn(gate.failing(9)).unwrap();
    let heard = Arc::new(Mutex::new(None));
    let (task, cause) = (group.task("hears"), heard.clone());
    let ctx = task.context().clone();
    task.try_spawn(async move {
        *cause.lock().unwrap() = ctx.cancelled().await.cause().cloned();
        Ok(())
    })
    .unwrap();
    hand.run();
    assert_eq!(
        outcome(group.context()),
        Some((Reason::Cancelled, Some("task 7 failed".to_owned())))
    );
    let heard = heard.lock().unwrap().take().unwrap();
    assert_eq!(heard.downcast_ref(), Some(&Fail(7)));
    assert_eq!(group.len(), 2, "nobody is ended who does not end");
    gate.open();
    hand.run();
    for _ in 0..3 {
        let (error, others) = failed(block_on(group.join()));
        assert_eq!((error, others), (Fail(7), vec![Fail(3), Fail(9)]));
    }
}

// V22: the error is heard at once, by whoever works on other threads.
#[test]
fn an_error_ends_the_siblings_on_threads() {
    in_time(|| {
        for _ in 0..50 {
            let group = on_threads(&Context::background());
            for _ in 0..3 {
                let task = group.task("waits");
                let ctx = task.context().clone();
                task.try_spawn(until_cancelled(&ctx)).unwrap();
            }
            group.try_spawn(fail(1)).unwrap();
            let (error, others) = failed(group.join_blocking(None));
            assert_eq!((error, others), (Fail(1), vec![]));
        }
    });
}

// V22: an error after a cancel from outside is what join says, but not the cause.
#[test]
fn an_error_after_a_cancel_is_reported() {
    let (hand, group) = Hand::group(&Context::background());
    let gate = Gate::new();
    group.try_spawn(gate.failing(4)).unwrap();
    group.cancel_with("outside");
    gate.open();
    hand.run();
    assert_eq!(failed(block_on(group.join())).0, Fail(4));
    assert_eq!(group.context().cause().unwrap().to_string(), "outside");
}

// K9: what had failed before the cancel came is not hidden by it.
#[test]
fn an_error_before_a_cancel_stays() {
    let (parent, handle) = Context::background().with_cancel();
    let (hand, group) = Hand::group(&parent);
    group.try_spawn(fail(4)).unwrap();
    group.try_spawn(done()).unwrap();
    hand.run();
    assert!(!group.cancel_with("late"));
    handle.cancel_with("later");
    assert_eq!(failed(block_on(group.join())).0, Fail(4));
    assert_eq!(
        group.context().cause().unwrap().to_string(),
        "task 4 failed"
    );
}

// V22: the text of the panic is what the other joins and the siblings are told.
#[test]
fn the_text_of_a_panic_is_told() {
    let (hand, group) = Hand::group(&Context::background());
    group
        .task("worker")
        .try_spawn(panicking("out of cheese"))
        .unwrap();
    hand.run();
    let cause = group.context().cause().unwrap().to_string();
    assert!(cause.contains("out of cheese"), "{cause}");
    assert_eq!(
        panic_of(|| group.join_blocking(None)).as_deref(),
        Some("out of cheese")
    );
    let error = group.join_blocking(None).unwrap_err();
    let JoinError::Panicked(text) = &error else {
        panic!("{error:?}");
    };
    assert!(text.contains("out of cheese"), "{text}");
    assert!(error.to_string().contains("out of cheese"));
}

// V14, V22: among many joins on threads exactly one resumes.
#[test]
fn one_of_many_joins_resumes_the_panic() {
    in_time(|| {
        for _ in 0..50 {
            let group = Arc::new(on_threads(&Context::background()));
            group.try_spawn(panicking("boom")).unwrap();
            let threads = [(); 4].map(|()| {
                let group = group.clone();
                super::tools::start(move || match panic_of(|| group.join_blocking(None)) {
                    Some(text) => {
                        assert_eq!(text, "boom");
                        1
                    }
                    None => 0,
                })
            });
            let resumed: usize = threads.into_iter().map(|t| t.join().unwrap()).sum();
            assert_eq!(resumed, 1);
        }
    });
}

// V14, V22: whatever of a task panics: its value's and its future's drop too.
// The poll of a boxed task does not.
#[test]
fn nothing_of_a_task_panics_out_of_its_poll() {
    for at in ["first poll", "later poll", "drop"] {
        let (hand, group) = Hand::group(&Context::background());
        let gate = Gate::new();
        let passed = gate.passed();
        group
            .try_spawn(async move {
                let _guard = OnDrop(move || assert_ne!(at, "drop", "drop"));
                assert_ne!(at, "first poll", "first poll");
                passed.await;
                assert_ne!(at, "later poll", "later poll");
                Ok(())
            })
            .unwrap();
        hand.run();
        gate.open();
        hand.run();
        assert_eq!((hand.len(), group.len()), (0, 0), "{at}");
        assert!(group.context().is_cancelled(), "{at}");
        let panic = panic_of(|| group.join_blocking(None)).unwrap();
        assert!(panic.contains(at), "{at}: {panic}");
    }
}

// V14, V22: a task dropped half-way whose drop panics: counted, told, no abort.
#[test]
fn a_task_whose_drop_panics_when_it_is_given_up_is_counted() {
    let (hand, group) = Hand::group(&Context::background());
    group
        .try_spawn(Forever(OnDrop(|| panic!("drop of a future"))))
        .unwrap();
    let task = hand.take().unwrap();
    let thrown = panic_of(|| drop(task));
    assert_eq!(group.len(), 0);
    let joined = panic_of(|| assert!(group.join_blocking(None).is_err()));
    let told = [thrown, joined].into_iter().flatten();
    assert!(told.eq(["drop of a future"]), "once");
}

// V22: a task that is dropped before its end is a failure, and says which.
#[test]
fn a_task_dropped_by_its_spawner_is_aborted() {
    for polled in [false, true] {
        let (hand, group) = Hand::group(&Context::background());
        let gone = Arc::new(());
        let held = Forever(gone.clone());
        group.task("lost").try_spawn(held).unwrap();
        let ctx = group.context().clone();
        group.try_spawn(until_cancelled(&ctx)).unwrap();
        if polled {
            hand.run();
        }
        drop(hand.take());
        assert_eq!(Arc::strong_count(&gone), 1);
        let cause = ctx.cause().unwrap().to_string();
        assert!(cause.contains("lost"), "{cause}");
        hand.run();
        for _ in 0..2 {
            let error = block_on(group.join()).unwrap_err();
            let JoinError::Aborted(which) = &error else {
                panic!("{error:?}");
            };
            assert!(which.contains("lost"), "{which}");
            assert!(error.to_string().contains("lost"), "{error}");
        }
    }
}

// V22: the order of the failures decides, not their kind.
#[test]
fn the_first_failure_decides_whatever_it_is() {
    for first in 0..3 {
        let (hand, group) = Hand::group(&Context::background());
        let gates = [(); 2].map(|()| Gate::new());
        group.try_spawn(Forever(())).unwrap();
        let lost = hand.take().unwrap();
        group.try_spawn(gates[0].failing(5)).unwrap();
        let passed = gates[1].passed();
        group
            .try_spawn(async move {
                passed.await;
                panic!("five")
            })
            .unwrap();
        hand.run();
        let mut lost = Some(lost);
        for step in [first, (first + 1) % 3, (first + 2) % 3] {
            match step {
                0 => gates[0].open(),
                1 => gates[1].open(),
                _ => drop(lost.take()),
            }
            hand.run();
        }
        assert_eq!(group.len(), 0);
        let cause = group.context().cause().unwrap();
        assert_eq!(cause.downcast_ref::<Fail>().is_some(), first == 0);
        let joined = catch_unwind(AssertUnwindSafe(|| group.join_blocking(None)));
        assert!(joined.is_err(), "the panic is resumed once");
        match (first, group.join_blocking(None).unwrap_err()) {
            (0, JoinError::Failed { error, others }) => {
                assert_eq!((error, others), (Fail(5), vec![]));
            }
            (1, JoinError::Panicked(_)) | (2, JoinError::Aborted(_)) => {}
            (_, other) => panic!("{first}: {other:?}"),
        }
    }
}

// V22: what an error says, and where it leads.
#[test]
fn a_join_error_tells_its_source() {
    let (hand, group) = Hand::group(&Context::background());
    group.try_spawn(fail(6)).unwrap();
    group.try_spawn(fail(2)).unwrap();
    hand.run();
    let error = block_on(group.join()).unwrap_err();
    assert_eq!(error.error(), Some(&Fail(6)));
    assert!(error.to_string().contains("task 6 failed"), "{error}");
    let source = error.source().unwrap();
    assert_eq!(source.downcast_ref::<Fail>(), Some(&Fail(6)));
}

// K10, V14: a waker of a join that panics stops no other, and ends no task twice.
#[test]
fn a_panicking_waker_of_a_join_is_survived() {
    let (hand, group) = Hand::group(&Context::background());
    group.try_spawn(done()).unwrap();
    let woken = Arc::new(AtomicUsize::new(0));
    let mut joins: Vec<_> = (0..3)
        .map(|i| {
            let woken = woken.clone();
            let waker = on_wake(move || {
                woken.fetch_add(1, SeqCst);
                assert_ne!(i, 0, "waker");
            });
            let mut join = super::group_tools::boxed(group.join());
            assert!(poll(&mut join, &waker).is_pending());
            join
        })
        .collect();
    let task = hand.take().unwrap();
    // Whose it is: the waker's, not the task's.
    let thrown = panic_of(|| block_on(task));
    assert!(thrown.is_none_or(|text| text.contains("waker")));
    assert_eq!(woken.load(SeqCst), 3);
    assert_eq!(group.len(), 0);
    for join in &mut joins {
        assert!(matches!(peek(join), std::task::Poll::Ready(Ok(()))));
    }
}

// V15, V22: a task of the group drops the last handle to it, and the like.
#[test]
fn a_failing_task_may_be_the_last_to_hold_anything() {
    in_time(|| {
        let (hand, group) = Hand::group(&Context::background());
        let group: Arc<Group> = Arc::new(group);
        let inside = Arc::new(Mutex::new(Some(group.clone())));
        let own = inside.clone();
        let handle = group.handle();
        group
            .try_spawn(async move {
                let _guard = OnDrop(move || drop(own.lock().unwrap().take()));
                assert!(handle.cancel_with("from inside"));
                Err(Fail(1))
            })
            .unwrap();
        let ctx = group.context().clone();
        drop(group);
        hand.run();
        assert!(inside.lock().unwrap().is_none());
        assert_eq!(ctx.cause().unwrap().to_string(), "from inside");
    });
}

// V14: the waker of a join panics when a task is given up that nobody polled.
#[test]
fn the_panic_of_a_waker_comes_out_where_the_last_task_is_given_up() {
    let (hand, group) = Hand::group(&Context::background());
    group.try_spawn(done()).unwrap();
    group.close();
    let mut join = super::group_tools::boxed(group.join());
    assert!(poll(&mut join, &on_wake(|| panic!("waker"))).is_pending());
    assert_eq!(panic_of(|| hand.clear()).as_deref(), Some("waker"));
    assert_eq!(group.len(), 0);
    assert!(peek(&mut join).is_ready());
}

/// An error that panics when it is dropped while the flag is up.
#[derive(Clone, Debug)]
struct Armed(Arc<AtomicBool>);

impl Drop for Armed {
    fn drop(&mut self) {
        assert!(!self.0.load(SeqCst), "drop of an error");
    }
}

impl std::fmt::Display for Armed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("armed")
    }
}

impl Error for Armed {}

// V14: errors that nobody asked for panic one after the other when the group goes.
#[test]
fn the_panic_of_an_error_comes_out_where_its_group_is_dropped() {
    let hand = Hand::default();
    let group = TaskGroup::with_spawner(&Context::background(), hand.clone());
    let armed = Arc::new(AtomicBool::new(false));
    for _ in 0..3 {
        let error = Armed(armed.clone());
        group.try_spawn(async move { Err(error) }).unwrap();
    }
    hand.run();
    let ctx = group.context().clone();
    armed.store(true, SeqCst);
    let panic = panic_of(|| drop(group));
    armed.store(false, SeqCst);
    assert_eq!(panic.as_deref(), Some("drop of an error"));
    assert!(ctx.is_cancelled());
}
