//! Task groups that nobody joins, and handles that outlive their group.

use super::group_tools::{
    End, Fail, Gate, Group, Hand, block_on, done, on_threads, panic_of, until_cancelled,
};
use super::tools::{alone, in_time, is_alone, run_alone};
use crate::{Context, SpawnError};
use std::sync::{Arc, Mutex};

/// What was said: how many tasks, where, and the text.
type Said = Arc<Mutex<Vec<(usize, u32, String)>>>;

/// A group by hand, where it was made, and what it says.
fn listening() -> (Hand, Group, u32, Said) {
    let said = Said::default();
    let into = said.clone();
    let hand = Hand::default();
    let line = line!() + 1;
    let group = crate::TaskGroup::with_spawner(&Context::background(), hand.clone());
    let group = group.when_forgotten(move |forgotten| {
        assert_eq!(forgotten.location().file(), file!());
        let line = forgotten.location().line();
        into.lock()
            .unwrap()
            .push((forgotten.tasks(), line, forgotten.to_string()));
    });
    (hand, group, line, said)
}

// V22: tasks that are left are told to stop and why, nothing starts any more, and
// it is said how many there were and whose they are.
#[test]
fn a_forgotten_group_cancels_and_says_so() {
    let (hand, group, line, said) = listening();
    let ctx = group.context().clone();
    group.try_spawn(until_cancelled(&ctx)).unwrap();
    group.spawn_background(until_cancelled(&ctx)).unwrap();
    hand.run();
    let handle = group.handle();
    drop(group);
    let cause = ctx.cause().unwrap().to_string();
    assert!(!cause.is_empty());
    let error = handle.try_spawn(done()).unwrap_err();
    assert!(matches!(error, SpawnError::Closed(_)));
    {
        let said = said.lock().unwrap();
        let [(tasks, at, text)] = &said[..] else {
            panic!("{said:?}");
        };
        assert_eq!((*tasks, *at), (2, line));
        assert!(text.contains('2') && text.contains(file!()), "{text}");
    }
    hand.run();
    assert_eq!(hand.len(), 0);
    assert_eq!(said.lock().unwrap().len(), 1);
}

// V22: when all had ended there is nothing to say, joined or not.
#[test]
fn nothing_is_said_of_a_group_whose_tasks_have_ended() {
    for joined in [false, true] {
        for tasks in [0, 3] {
            let (hand, group, _, said) = listening();
            for _ in 0..tasks {
                group.try_spawn(done()).unwrap();
            }
            hand.run();
            if joined {
                block_on(group.join()).unwrap();
            }
            let ctx = group.context().clone();
            drop(group);
            assert!(ctx.is_cancelled());
            assert!(said.lock().unwrap().is_empty());
        }
    }
    let (hand, group, _, said) = listening();
    group.try_spawn(async { Err(Fail(1)) }).unwrap();
    hand.run();
    drop(group);
    assert!(
        said.lock().unwrap().is_empty(),
        "a failure is no running task"
    );
}

// V22: a join that was dropped half-way is none.
#[test]
fn a_group_whose_join_was_given_up_is_forgotten() {
    let (hand, group, _, said) = listening();
    let gate = Gate::new();
    group.try_spawn(gate.task()).unwrap();
    drop(super::group_tools::join_of(&group));
    drop(group);
    assert_eq!(said.lock().unwrap()[0].0, 1);
    gate.open();
    hand.run();
    assert_eq!(hand.len(), 0);
}

// V22: the drop waits for nobody, also for those that hear nothing.
#[test]
fn a_forgotten_group_does_not_block() {
    in_time(|| {
        let gate = Gate::new();
        let (ended, has_ended) = std::sync::mpsc::channel();
        let group = on_threads(&Context::background()).when_forgotten(|_| ());
        let ctx = group.context().clone();
        for _ in 0..3 {
            let (passed, ended) = (gate.passed(), ended.clone());
            group
                .try_spawn(async move {
                    passed.await;
                    ended.send(()).unwrap();
                    Ok(())
                })
                .unwrap();
        }
        drop(group);
        assert!(ctx.is_cancelled());
        assert!(has_ended.try_recv().is_err());
        gate.open();
        for _ in 0..3 {
            has_ended.recv().unwrap();
        }
    });
}

// V22: a panic that no join resumes is told of, though its task has ended.
#[test]
fn a_panic_that_nobody_saw_is_said() {
    for joined in [false, true] {
        let (hand, group, line, said) = listening();
        group.try_spawn(async { panic!("unseen") }).unwrap();
        hand.run();
        if joined {
            assert_eq!(
                panic_of(|| block_on(group.join())).as_deref(),
                Some("unseen")
            );
        }
        drop(group);
        let said = said.lock().unwrap();
        let told: Vec<_> = said.iter().map(|&(tasks, at, _)| (tasks, at)).collect();
        assert_eq!(told, if joined { vec![] } else { vec![(0, line)] });
        assert!(said.iter().all(|(_, _, text)| text.contains("panic")));
    }
}

// V22: a handle outlives the group, and keeps nothing alive.
#[test]
fn a_handle_outlives_its_group() {
    let (parent, _keep) = Context::background().with_cancel();
    let (hand, group) = Hand::group(&parent);
    let handles = [group.handle(), group.handle().clone()];
    let task = handles[0].task("never spawned").unwrap();
    group.try_spawn(done()).unwrap();
    hand.run();
    block_on(group.join()).unwrap();
    drop(group);
    for handle in &handles {
        assert!(handle.context().is_none_or(|ctx| ctx.is_cancelled()));
        assert!(!handle.cancel() && !handle.close());
        let closed = [
            handle.try_spawn(done()).unwrap_err(),
            block_on(handle.spawn(done())).unwrap_err(),
            handle.spawn_background(done()).unwrap_err(),
        ];
        for error in closed {
            assert!(matches!(error, SpawnError::Closed(_)));
        }
        assert!(!format!("{handle:?}").is_empty());
        let late = handle.task("late").map(|task| task.try_spawn(done()));
        assert!(late.is_none_or(|late| matches!(late, Err(SpawnError::Closed(_)))));
    }
    assert!(matches!(task.try_spawn(done()), Err(SpawnError::Closed(_))));
    assert_eq!(hand.len(), 0);
}

// V22: tasks that hold handles to their own group do not keep it from ending.
#[test]
fn a_task_may_hold_a_handle_to_its_group() {
    let (hand, group) = Hand::group(&Context::background());
    for _ in 0..3 {
        let handle = group.handle();
        group
            .try_spawn(async move {
                handle.context().unwrap().cancelled().await;
                Ok::<(), Fail>(())
            })
            .unwrap();
    }
    assert!(group.handle().cancel());
    hand.run();
    block_on(group.join()).unwrap();
}

// V14, V22: what listens may panic, also while the thread unwinds.
#[test]
fn a_panic_of_who_is_told_does_no_harm() {
    alone(
        "tests::task_group_forgotten::a_panic_of_who_is_told_does_no_harm",
        || {
            for unwinding in [false, true] {
                let (hand, group) = Hand::group(&Context::background());
                let group = group.when_forgotten(|_| panic!("listener"));
                let ctx = group.context().clone();
                group.try_spawn(until_cancelled(&ctx)).unwrap();
                let panic = panic_of(move || {
                    let _group = group;
                    assert!(!unwinding, "work");
                });
                let text = if unwinding { "work" } else { "listener" };
                assert_eq!(panic.as_deref(), Some(text));
                assert!(ctx.is_cancelled());
                hand.run();
                assert_eq!(hand.len(), 0);
            }
        },
    );
}

// V15, V22: who is told may use what is left.
#[test]
fn who_is_told_may_use_the_tree() {
    let (hand, group) = Hand::group(&Context::background());
    let (ctx, handle) = (group.context().clone(), group.handle());
    let told = Arc::new(Mutex::new(0));
    let count = told.clone();
    let group = group.when_forgotten(move |forgotten| {
        assert!(ctx.is_cancelled(), "told of after the cancel");
        assert!(handle.try_spawn(done()).is_err());
        drop(ctx.tree());
        *count.lock().unwrap() += forgotten.tasks();
    });
    group.try_spawn(std::future::pending::<End>()).unwrap();
    drop(group);
    assert_eq!(*told.lock().unwrap(), 1);
    drop(hand.take());
}

// V22: if nobody listens, a line on stderr says it; else none.
#[test]
fn a_forgotten_group_is_told_of_on_stderr() {
    const NAME: &str = "tests::task_group_forgotten::a_forgotten_group_is_told_of_on_stderr";
    if is_alone(NAME) {
        let (hand, quiet) = Hand::group(&Context::background());
        let quiet = quiet.when_forgotten(|_| ());
        quiet.try_spawn(std::future::pending::<End>()).unwrap();
        drop(quiet);
        eprintln!("between");
        let (loud_hand, loud) = Hand::group(&Context::background());
        loud.try_spawn(std::future::pending::<End>()).unwrap();
        drop(loud);
        hand.clear();
        loud_hand.clear();
        return;
    }
    let output = run_alone(NAME);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let (before, after) = text.split_once("between\n").unwrap();
    assert!(!before.contains("task"), "{before}");
    let line = after.lines().next().unwrap_or_default();
    assert!(line.contains('1') && line.contains("task"), "{after}");
    assert_eq!(after.lines().count(), 1, "{after}");
}
