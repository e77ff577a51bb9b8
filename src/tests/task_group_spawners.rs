//! Task groups: spawners of every kind, also bad ones.

use super::group_tools::{
    End, Fail, Forever, Gate, Group, Hand, block_on, boxed, done, failed, inline, panic_of,
    refusing, until_cancelled,
};
use super::tools::{in_time, peek};
use crate::{BoxTask, Context, JoinError, Refused, SpawnError, TaskGroup};
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// A group with this spawner.
fn group_on(spawner: impl Fn(BoxTask) -> Result<(), Refused> + Send + Sync + 'static) -> Group {
    TaskGroup::with_spawner(&Context::background(), spawner)
}

// V22: a task that is refused comes back as it was, and was never counted.
#[test]
fn a_refused_task_comes_back() {
    let group = group_on(refusing);
    let ran = Arc::new(AtomicUsize::new(0));
    let task = || {
        let ran = ran.clone();
        async move {
            ran.fetch_add(1, SeqCst);
            Ok(())
        }
    };
    let errors = [
        group.try_spawn(task()).unwrap_err(),
        block_on(group.spawn(task())).unwrap_err(),
        group.spawn_background(task()).unwrap_err(),
        group.handle().try_spawn(task()).unwrap_err(),
    ];
    assert_eq!(group.len(), 0);
    for error in errors {
        assert!(error.to_string().contains("no more threads"), "{error}");
        let SpawnError::Spawner(task, why) = error else {
            panic!("{error}");
        };
        assert_eq!(why.to_string(), "no more threads");
        block_on(task).unwrap();
    }
    assert_eq!(ran.load(SeqCst), 4);
    assert!(!group.context().is_cancelled() && !group.is_closed());
    block_on(group.join()).unwrap();
    assert!(group.stragglers().is_empty());
}

// V22: what the spawner says is passed on as it is.
#[test]
fn the_error_of_a_spawner_is_passed_on() {
    let group = group_on(|task| Err(Refused::new(task, Fail(7))));
    let error = group.try_spawn(done()).unwrap_err();
    let SpawnError::Spawner(_, why) = error else {
        panic!("{error}");
    };
    assert_eq!(why.downcast_ref::<Fail>(), Some(&Fail(7)));
    let hand = Hand::default();
    let group: Group = TaskGroup::with_spawner(&Context::background(), hand.clone());
    group.try_spawn(done()).unwrap();
    let refused = Refused::new(hand.take().unwrap(), "for show");
    assert!(refused.to_string().contains("for show") && !format!("{refused:?}").is_empty());
    let _: &dyn Error = &refused;
    drop(refused);
    assert!(matches!(block_on(group.join()), Err(JoinError::Aborted(_))));
}

// V22: a join is not held up by a task that was refused meanwhile, and refusing
// the last one ends it.
#[test]
fn a_join_outlives_refusals() {
    let group = Arc::new(group_on(refusing));
    for _ in 0..3 {
        drop(group.try_spawn(done()).unwrap_err());
    }
    block_on(group.join()).unwrap();
    let (hand, group) = Hand::group(&Context::background());
    group.try_spawn(done()).unwrap();
    let nested = group_on(refusing);
    let mut join = boxed(group.join());
    assert!(peek(&mut join).is_pending());
    drop(nested.try_spawn(done()));
    hand.run();
    assert!(peek(&mut join).is_ready());
}

// V22: one that drops what it is given aborts it.
#[test]
fn a_spawner_that_drops_its_tasks_aborts_them() {
    let group = group_on(|task| {
        drop(task);
        Ok(())
    });
    let held = Arc::new(());
    group.task("lost").try_spawn(Forever(held.clone())).unwrap();
    assert_eq!((Arc::strong_count(&held), group.len()), (1, 0));
    assert!(group.context().is_cancelled());
    let error = group.join_blocking(None).unwrap_err();
    assert!(matches!(&error, JoinError::Aborted(which) if which.contains("lost")));
}

// V14, V22: one that panics: whoever spawned hears it, and nobody waits for ever.
#[test]
fn a_panic_of_a_spawner_is_heard_and_no_task_is_left() {
    for started in [false, true] {
        let group = group_on(move |task| {
            if started {
                block_on(task);
            }
            panic!("spawner");
        });
        let held = Arc::new(());
        let inside = held.clone();
        let task = async move {
            let _inside = inside;
            Ok(())
        };
        let panic = panic_of(|| group.try_spawn(task).is_ok());
        assert_eq!(panic.as_deref(), Some("spawner"));
        assert_eq!((Arc::strong_count(&held), group.len()), (1, 0));
        let joined = group.join_blocking(None);
        if started {
            joined.unwrap();
        } else {
            assert!(matches!(joined, Err(JoinError::Aborted(_))));
        }
    }
}

// V22: one that begins a task and then refuses it: it is not whole any more, so
// it is given up; one that ended has ended.
#[test]
fn a_task_that_was_begun_and_then_refused_is_counted_once() {
    for ends in [false, true] {
        let group = group_on(|mut task| {
            let _ = peek(&mut task);
            Err(Refused::new(task, "changed my mind"))
        });
        let held = Arc::new(());
        let inside = held.clone();
        let gate = Gate::new();
        if ends {
            gate.open();
        }
        let passed = gate.passed();
        let task = async move {
            let _inside = inside;
            passed.await;
            Ok::<(), Fail>(())
        };
        drop(group.try_spawn(task));
        assert_eq!((Arc::strong_count(&held), group.len()), (1, 0), "{ends}");
        let joined = group.join_blocking(None);
        assert_eq!(joined.is_ok(), ends, "{joined:?}");
    }
}

// V22: one that gives another task back than it got, of this group, of another,
// or of another type: no task is lost, mistaken, or counted twice.
#[test]
fn a_spawner_that_refuses_with_another_task_loses_none() {
    for same_group in [false, true] {
        let other_hand = Hand::default();
        let parent = Context::background();
        let other: TaskGroup<std::fmt::Error> =
            TaskGroup::with_spawner(&parent, other_hand.clone());
        other.task("other").try_spawn(async { Ok(()) }).unwrap();
        let first = Arc::new(Mutex::new(None));
        let (kept, swapped) = (first.clone(), Hand::default());
        let by = swapped.clone();
        let group = group_on(move |task| {
            let mut kept = kept.lock().unwrap();
            match kept.take() {
                None => {
                    *kept = Some(task);
                    Ok(())
                }
                Some(wrong) => {
                    crate::Spawn::spawn(&by, task)?;
                    Err(Refused::new(wrong, "wrong one"))
                }
            }
        });
        let ran = Arc::new(AtomicUsize::new(0));
        let count = ran.clone();
        if same_group {
            group.try_spawn(done()).unwrap();
        } else {
            *first.lock().unwrap() = other_hand.take();
        }
        let spawned = group.try_spawn(async move {
            count.fetch_add(1, SeqCst);
            Ok(())
        });
        drop(spawned);
        drop(first.lock().unwrap().take());
        swapped.run();
        // Each was run, or given up and told of: never both, never neither.
        assert_eq!((group.len(), group.stragglers().len()), (0, 0));
        let joined = group.join_blocking(None);
        assert!(ran.load(SeqCst) == 1 || joined.is_err());
        if same_group {
            assert!(joined.is_err(), "the first was dropped");
            other_hand.run();
            other.join_blocking(None).unwrap();
        } else {
            assert_eq!(other.len(), 0);
            assert!(other.join_blocking(None).is_err());
        }
    }
}

// V22: one that runs the task within `spawn`, and tasks that spawn in turn.
#[test]
fn an_inline_spawner_runs_tasks_in_tasks() {
    in_time(|| {
        fn nest(group: &Arc<Group>, left: usize, ran: &Arc<AtomicUsize>) -> BoxedEnd {
            let (group, ran) = (group.clone(), ran.clone());
            Box::pin(async move {
                if left > 0 {
                    group.try_spawn(nest(&group, left - 1, &ran)).unwrap();
                    group.spawn(done()).await.unwrap();
                }
                ran.fetch_add(1, SeqCst);
                Ok(())
            })
        }
        let group = Arc::new(group_on(inline));
        let ran = Arc::new(AtomicUsize::new(0));
        group.try_spawn(nest(&group, 30, &ran)).unwrap();
        group.join_blocking(None).unwrap();
        assert_eq!(ran.load(SeqCst), 31);
        let group = group_on(inline);
        group.try_spawn(async { Err(Fail(2)) }).unwrap();
        assert!(matches!(
            group.try_spawn(done()),
            Err(SpawnError::Cancelled(_))
        ));
        assert_eq!(failed(group.join_blocking(None)).0, Fail(2));
    });
}

type BoxedEnd = std::pin::Pin<Box<dyn Future<Output = End> + Send>>;

// V22: a boxed task may be polled from any thread, with any waker, after its end.
#[test]
fn a_boxed_task_may_move_between_threads() {
    in_time(|| {
        let (hand, group) = Hand::group(&Context::background());
        let gate = Gate::new();
        group.task("moves").try_spawn(gate.task()).unwrap();
        let mut task = hand.take().unwrap();
        assert_eq!(task.name(), Some("moves"));
        assert!(!format!("{task:?}").is_empty());
        for _ in 0..3 {
            task = super::tools::start(move || {
                assert!(peek(&mut task).is_pending());
                task
            })
            .join()
            .unwrap();
        }
        gate.open();
        super::tools::start(move || {
            assert!(peek(&mut task).is_ready());
            drop(task);
        })
        .join()
        .unwrap();
        block_on(group.join()).unwrap();
    });
}

// V22: a spawner is asked for a task that is admitted, in the tree, and counted.
#[test]
fn a_task_is_counted_before_its_spawner_has_it() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let group: Arc<Mutex<Option<Arc<Group>>>> = Arc::default();
    let (inside, log) = (group.clone(), seen.clone());
    let made = Arc::new(group_on(move |task| {
        let group = inside.lock().unwrap().clone().unwrap();
        log.lock()
            .unwrap()
            .push((group.len(), group.stragglers().len()));
        block_on(task);
        log.lock()
            .unwrap()
            .push((group.len(), group.stragglers().len()));
        Ok(())
    }));
    *group.lock().unwrap() = Some(made.clone());
    let ctx = made.context().clone();
    made.task("n").try_spawn(done()).unwrap();
    assert_eq!(*seen.lock().unwrap(), [(1, 1), (0, 0)]);
    *group.lock().unwrap() = None;
    made.cancel();
    assert!(made.try_spawn(until_cancelled(&ctx)).is_err());
    assert_eq!(seen.lock().unwrap().len(), 2, "not asked");
    made.join_blocking(None).unwrap();
}
