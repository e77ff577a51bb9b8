//! Task groups: what is spawned runs, counts, and is joined.

use super::group_tools::{
    End, Fail, Gate, Group, Hand, block_on, boxed, done, groups, join_of, on_threads,
    until_cancelled,
};
use super::tools::{HOUR, in_time, ms, on_clock, outcome, peek};
use crate::{BoxTask, Context, Reason, Refused, SpawnError, TaskGroup, tree};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// A task that adds one.
fn adding(sum: &Arc<AtomicUsize>) -> impl Future<Output = End> + Send + 'static {
    let sum = sum.clone();
    async move {
        sum.fetch_add(1, SeqCst);
        Ok(())
    }
}

// V22: on every spawner, through every door.
#[test]
fn all_that_is_spawned_has_ended_when_join_returns() {
    in_time(|| {
        let parent = Context::background();
        for (name, group) in groups(&parent) {
            let sum = Arc::new(AtomicUsize::new(0));
            let handle = group.handle();
            block_on(async {
                for _ in 0..5 {
                    group.spawn(adding(&sum)).await.unwrap();
                    handle.spawn(adding(&sum)).await.unwrap();
                    let task = group.task("a").spawn(adding(&sum));
                    task.await.unwrap();
                    let task = handle.task("b").unwrap().spawn(adding(&sum));
                    task.await.unwrap();
                }
            });
            for _ in 0..5 {
                group.try_spawn(adding(&sum)).unwrap();
                handle.try_spawn(adding(&sum)).unwrap();
                group.task("c").try_spawn(adding(&sum)).unwrap();
                handle.task("d").unwrap().try_spawn(adding(&sum)).unwrap();
            }
            block_on(group.join()).unwrap();
            assert_eq!(sum.load(SeqCst), 40, "{name}");
            assert!(group.is_empty() && group.is_closed());
        }
    });
}

// V22: a thread a task is what `new` takes outside of a runtime.
#[test]
fn a_new_group_runs_its_tasks_without_a_runtime() {
    in_time(|| {
        let group: Group = TaskGroup::new(&Context::background());
        let here = std::thread::current().id();
        group
            .try_spawn(async move {
                assert_ne!(std::thread::current().id(), here);
                Ok(())
            })
            .unwrap();
        group.join_blocking(None).unwrap();
    });
}

// V22: its context is a child of the parent, and says what it is.
#[test]
fn the_context_of_a_group_is_one_of_the_tree() {
    let (clock, top) = on_clock();
    let (parent, handle) = top.derive().value(7_u8).timeout(HOUR).build();
    let (hand, group) = Hand::group(&parent);
    assert_eq!(parent.live_children(), 1);
    assert_eq!(
        group.context().to_string(),
        format!("{parent}.group"),
        "after its parent"
    );
    assert_eq!(group.context().value::<u8>(), Some(&7));
    assert_eq!(group.context().deadline(), parent.deadline());
    assert!(group.context().is_cancelable());

    let task = group.task("named");
    let ctx = task.context().clone();
    assert_eq!(ctx.name(), Some("named"));
    assert_eq!(ctx.value::<u8>(), Some(&7));
    assert_eq!(ctx.deadline(), parent.deadline());
    task.try_spawn(until_cancelled(&ctx)).unwrap();
    let snapshot = parent.tree();
    let kinds: Vec<_> = snapshot.nodes().map(tree::Node::kind).collect();
    assert_eq!(kinds[1..], [tree::Kind::Group, tree::Kind::Task]);
    let node = snapshot.nodes().find(|node| node.id() == ctx.id()).unwrap();
    assert_eq!(node.name(), Some("named"));

    clock.advance(ms(5));
    handle.cancel_with("above");
    let above = Some((Reason::Cancelled, Some("above".to_owned())));
    assert_eq!(outcome(group.context()), above);
    assert_eq!(outcome(&ctx), above);
    hand.run();
    block_on(group.join()).unwrap();
    assert_eq!(outcome(&parent), above);
}

// V22: the deadline of the parent ends the tasks.
#[test]
fn a_deadline_above_is_heard_by_the_tasks() {
    let (clock, top) = on_clock();
    let (parent, _keep) = top.with_timeout(ms(5));
    let (hand, group) = Hand::group(&parent);
    let task = group.task("waits");
    let ctx = task.context().clone();
    let heard = Arc::new(Mutex::new(None));
    let reason = heard.clone();
    task.try_spawn(async move {
        *reason.lock().unwrap() = Some(ctx.cancelled().await.reason());
        Ok(())
    })
    .unwrap();
    hand.run();
    assert_eq!(hand.len(), 1);
    clock.advance(ms(5));
    hand.run();
    assert_eq!(*heard.lock().unwrap(), Some(Reason::DeadlineExceeded));
    block_on(group.join()).unwrap();
}

// V22: nothing happens before the first poll; then at once if there is a place.
#[test]
fn a_spawn_does_nothing_before_it_is_polled() {
    let (hand, group) = Hand::group(&Context::background());
    let sum = Arc::new(AtomicUsize::new(0));
    drop(group.spawn(adding(&sum)));
    let mut spawn = boxed(group.spawn(adding(&sum)));
    assert_eq!((hand.len(), group.len()), (0, 0));
    assert_eq!(Arc::strong_count(&sum), 2, "the first task is gone");
    assert!(matches!(peek(&mut spawn), std::task::Poll::Ready(Ok(()))));
    assert_eq!((hand.len(), group.len()), (1, 1));
    hand.run();
    block_on(group.join()).unwrap();
    assert_eq!(sum.load(SeqCst), 1);
}

// V22: what may start is decided by the group; what may not comes back whole.
#[test]
fn what_is_not_admitted_comes_back() {
    let sum = Arc::new(AtomicUsize::new(0));
    for (closed, cancelled) in [(true, false), (false, true), (true, true)] {
        let (hand, group) = Hand::group(&Context::background());
        let handle = group.handle();
        if closed {
            assert!(group.close());
        }
        if cancelled {
            assert_eq!(group.cancel(), !closed, "closed and empty, it is over");
        }
        let named = group.task("named");
        let errors = [
            block_on(group.spawn(adding(&sum))).unwrap_err(),
            group.try_spawn(adding(&sum)).unwrap_err(),
            group.spawn_background(adding(&sum)).unwrap_err(),
            block_on(handle.spawn(adding(&sum))).unwrap_err(),
            handle.try_spawn(adding(&sum)).unwrap_err(),
            handle.spawn_background(adding(&sum)).unwrap_err(),
            named.try_spawn(adding(&sum)).unwrap_err(),
            block_on(handle.task("waits").unwrap().spawn(adding(&sum))).unwrap_err(),
            group
                .task("b")
                .background()
                .try_spawn(adding(&sum))
                .unwrap_err(),
        ];
        assert_eq!((hand.len(), group.len()), (0, 0));
        let before = sum.load(SeqCst);
        for error in errors {
            assert!(!error.to_string().is_empty() && !format!("{error:?}").is_empty());
            match &error {
                SpawnError::Closed(_) => assert!(closed),
                SpawnError::Cancelled(_) => assert!(!closed && cancelled),
                other => panic!("{other}"),
            }
            block_on(error.into_task()).unwrap();
        }
        assert_eq!(sum.load(SeqCst), before + 9);
        block_on(group.join()).unwrap();
    }
}

// V22: a group below a done context starts nothing, and is joined at once.
#[test]
fn a_group_below_a_done_context_takes_no_task() {
    let (parent, handle) = Context::background().with_cancel();
    handle.cancel_with("over");
    let (hand, group) = Hand::group(&parent);
    let error = group.try_spawn(done()).unwrap_err();
    assert!(matches!(error, SpawnError::Cancelled(_)));
    assert_eq!(hand.len(), 0);
    block_on(group.join()).unwrap();
    assert_eq!(group.context().cause().unwrap().to_string(), "over");
}

// V22: after a join all is over, and says why.
#[test]
fn a_join_closes_and_ends_the_context() {
    let parent = Context::background();
    let (hand, group) = Hand::group(&parent);
    group.try_spawn(done()).unwrap();
    hand.run();
    assert!(!group.is_closed() && !group.context().is_cancelled());
    block_on(group.join()).unwrap();
    assert!(group.is_closed() && !group.close());
    let (reason, cause) = outcome(group.context()).unwrap();
    assert_eq!(reason, Reason::Cancelled);
    assert!(cause.unwrap().contains("finished"));
    assert!(!group.cancel());
    let error = group.try_spawn(done()).unwrap_err();
    assert!(matches!(error, SpawnError::Closed(_)));
    // Again, and the same.
    block_on(group.join()).unwrap();
    group.join_blocking(None).unwrap();
}

// T31, V22: a task spawns siblings, which spawn siblings, while a join waits.
#[test]
fn a_join_waits_for_what_tasks_spawn() {
    let (hand, group) = Hand::group(&Context::background());
    let sum = Arc::new(AtomicUsize::new(0));
    let handle = group.handle();
    let inner = sum.clone();
    group
        .try_spawn(async move {
            let next = handle.clone();
            let last = adding(&inner);
            handle
                .spawn(async move {
                    next.task("last").unwrap().spawn(last).await.unwrap();
                    Ok(())
                })
                .await
                .unwrap();
            Ok(())
        })
        .unwrap();
    let (wakes, mut join) = join_of(&group);
    for left in [1, 1] {
        hand.turn();
        assert_eq!(hand.len(), left);
        assert!(peek(&mut boxed(group.join())).is_pending());
        assert_eq!(wakes.count(), 0);
    }
    hand.run();
    assert_eq!((sum.load(SeqCst), wakes.count()), (1, 1));
    assert!(peek(&mut join).is_ready());
}

// V22: a join that is dropped loses nothing, and the group still closes when
// its last task ends.
#[test]
fn a_dropped_join_loses_nothing() {
    let (hand, group) = Hand::group(&Context::background());
    let gate = Gate::new();
    group.try_spawn(gate.failing(1)).unwrap();
    drop(group.join());
    let (wakes, join) = join_of(&group);
    hand.run();
    drop(join);
    assert_eq!(Arc::strong_count(&wakes), 1, "no waker is kept");
    assert!(!group.is_closed());
    group.try_spawn(gate.task()).unwrap();
    gate.open();
    hand.run();
    assert!(group.is_closed() && group.is_empty());
    assert!(group.try_spawn(done()).is_err());
    assert_eq!(wakes.count(), 0);
    let error = block_on(group.join()).unwrap_err();
    assert_eq!(error.error(), Some(&Fail(1)));
}

// V22: one that was never polled does nothing.
#[test]
fn a_join_that_is_not_polled_closes_nothing() {
    let (hand, group) = Hand::group(&Context::background());
    drop(group.join());
    group.try_spawn(done()).unwrap();
    let unpolled = group.join();
    hand.run();
    assert!(!group.is_closed());
    drop(unpolled);
    group.try_spawn(done()).unwrap();
    hand.run();
    block_on(group.join()).unwrap();
}

// V22: whoever is told to stop and does is well; join says so.
#[test]
fn a_cancelled_group_whose_tasks_end_well_is_well() {
    in_time(|| {
        let parent = Context::background();
        let group = on_threads(&parent);
        for _ in 0..3 {
            let ctx = group.context().clone();
            group.try_spawn(until_cancelled(&ctx)).unwrap();
        }
        assert!(group.cancel_with("enough"));
        assert!(!group.cancel() && !group.handle().cancel());
        block_on(group.join()).unwrap();
        let enough = Some((Reason::Cancelled, Some("enough".to_owned())));
        assert_eq!(outcome(group.context()), enough);
    });
}

// V22, K13: above a group, it is idle when the group is joined and gone.
#[test]
fn a_group_counts_below_its_parent_until_it_is_gone() {
    let (parent, _keep) = Context::background().with_cancel();
    let (hand, group) = Hand::group(&parent);
    let task = group.task("busy");
    let ctx = task.context().clone();
    task.try_spawn(until_cancelled(&ctx)).unwrap();
    drop(ctx);
    let mut idle = parent.idle();
    assert!(peek(&mut idle).is_pending());
    group.cancel();
    hand.run();
    block_on(group.join()).unwrap();
    assert!(peek(&mut idle).is_pending(), "the group is held");
    drop(group);
    assert!(peek(&mut idle).is_ready());
    assert_eq!(parent.live_children(), 0);
}

// V22: what each spawner gets has the name of its task.
#[test]
fn a_spawner_is_told_the_name() {
    let names = Arc::new(Mutex::new(Vec::new()));
    let seen = names.clone();
    let group: Group = TaskGroup::with_spawner(&Context::background(), move |task: BoxTask| {
        seen.lock().unwrap().push(task.name().map(str::to_owned));
        block_on(task);
        Ok::<(), Refused>(())
    });
    group.try_spawn(done()).unwrap();
    group.task("one").try_spawn(done()).unwrap();
    group
        .task(format!("t{}", 2))
        .background()
        .try_spawn(done())
        .unwrap();
    group.join_blocking(None).unwrap();
    let names = names.lock().unwrap();
    assert_eq!(
        *names,
        [None, Some("one".to_owned()), Some("t2".to_owned())]
    );
}

// V22: a group tells of itself without a lock that a task could hold.
#[test]
fn groups_can_be_looked_at_from_their_tasks() {
    let (hand, group) = Hand::group(&Context::background());
    let group = Arc::new(group);
    let inside = group.clone();
    group
        .try_spawn(async move {
            assert_eq!(inside.len(), 1);
            assert!(!inside.is_empty() && !inside.is_closed());
            assert_eq!(inside.stragglers().len(), 1);
            assert!(!format!("{inside:?} {:?}", inside.handle()).is_empty());
            Ok(())
        })
        .unwrap();
    hand.run();
    assert!(!format!("{:?} {:?}", group.task("t"), group.stragglers()).is_empty());
    block_on(group.join()).unwrap();
}
