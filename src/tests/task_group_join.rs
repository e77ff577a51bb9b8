//! Task groups: joins from inside, joins with a limit, who is still there.

use super::group_tools::{
    End, Fail, Forever, Gate, Group, Hand, block_on, boxed, done, failed, inline, join_of,
    on_threads, until_cancelled,
};
use super::tools::{HOUR, Wakes, in_time, ms, on_clock, peek, poll, start};
use crate::{Context, JoinError, Stragglers, TaskGroup, TaskState};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// Joins in every way there is: from a task of the group, all are errors.
fn assert_inside(group: &Group) {
    let from_inside = |joined| assert!(matches!(joined, Err(JoinError::FromInside)));
    from_inside(block_on(group.join()));
    from_inside(block_on(group.join_timeout(HOUR)));
    from_inside(group.join_blocking(None));
    from_inside(group.join_blocking(Some(HOUR)));
    from_inside(group.join_blocking(Some(Duration::ZERO)));
}

// V22: a task that joins its own group is told so: it would wait for itself.
#[test]
fn a_join_from_inside_is_an_error() {
    in_time(|| {
        for background in [false, true] {
            let (hand, group) = Hand::group(&Context::background());
            let group = Arc::new(group);
            let inside = group.clone();
            let mut task = group.task("inside");
            if background {
                task = task.background();
            }
            task.try_spawn(async move {
                assert!(matches!(inside.join().await, Err(JoinError::FromInside)));
                assert_inside(&inside);
                assert!(!inside.is_closed(), "it closes nothing");
                Ok(())
            })
            .unwrap();
            hand.run();
            block_on(group.join()).unwrap();
        }
    });
}

// V22: also on threads, in the drop of a future, and in a join begun outside.
#[test]
fn a_join_is_inside_wherever_the_task_polls_it() {
    in_time(|| {
        let group = Arc::new(on_threads(&Context::background()));
        let (inside, dropped) = (group.clone(), group.clone());
        let runs = Arc::new(AtomicUsize::new(0));
        let (one, two) = (runs.clone(), runs.clone());
        group
            .try_spawn(async move {
                let _guard = super::tools::OnDrop(move || {
                    assert_inside(&dropped);
                    two.fetch_add(1, SeqCst);
                });
                assert_inside(&inside);
                one.fetch_add(1, SeqCst);
                Ok(())
            })
            .unwrap();
        block_on(group.join()).unwrap();
        assert_eq!(runs.load(SeqCst), 2);
    });
}

// V22: through a group of its own whose tasks run inline, and through a thread
// that blocks on another group inside a task.
#[test]
fn a_join_from_a_nested_group_is_inside_too() {
    in_time(|| {
        let (hand, outer) = Hand::group(&Context::background());
        let outer = Arc::new(outer);
        let runs = Arc::new(AtomicUsize::new(0));
        let (inside, count) = (outer.clone(), runs.clone());
        let ctx = outer.context().clone();
        outer
            .try_spawn(async move {
                let nested: Group = TaskGroup::with_spawner(&ctx, inline);
                let (above, ran) = (inside.clone(), count.clone());
                nested
                    .try_spawn(async move {
                        assert_inside(&above);
                        ran.fetch_add(1, SeqCst);
                        Ok(())
                    })
                    .unwrap();
                // Its own may be joined, also by blocking.
                nested.join_blocking(None).unwrap();
                assert_inside(&inside);
                count.fetch_add(1, SeqCst);
                block_on(async {
                    assert_inside(&inside);
                    count.fetch_add(1, SeqCst);
                });
                Ok(())
            })
            .unwrap();
        hand.run();
        block_on(outer.join()).unwrap();
        assert_eq!(runs.load(SeqCst), 3);
    });
}

// V22: who is not inside may join: another group's task, and the thread that ran
// one before.
#[test]
fn a_join_from_another_group_is_not_inside() {
    in_time(|| {
        let parent = Context::background();
        let (hand, one) = Hand::group(&parent);
        let (other_hand, other) = Hand::group(&parent);
        let one = Arc::new(one);
        let joined = one.clone();
        other
            .try_spawn(async move {
                joined.join().await.unwrap();
                Ok(())
            })
            .unwrap();
        one.try_spawn(done()).unwrap();
        other_hand.run();
        assert_eq!((one.len(), other.len()), (1, 1));
        hand.run();
        other_hand.run();
        assert_eq!((one.len(), other.len()), (0, 0));
        block_on(other.join()).unwrap();

        let (hand, group) = Hand::group(&parent);
        group
            .try_spawn(async { panic!("leaves nothing behind") })
            .unwrap();
        hand.run();
        assert!(super::group_tools::panic_of(|| block_on(group.join())).is_some());
    });
}

// V22: a task that does not hear the cancel is told of, and never waited for past
// the limit; the join after it waits on.
#[test]
fn a_join_with_a_limit_tells_who_is_still_there() {
    in_time(|| {
        let (clock, parent) = on_clock();
        let (hand, group) = Hand::group(&parent);
        let gate = Gate::new();
        let before = line!();
        group.task("stuck").try_spawn(gate.task()).unwrap();
        group.try_spawn(gate.task()).unwrap();
        group.try_spawn(done()).unwrap();
        let id = {
            let snapshot = group.context().tree();
            let mut nodes = snapshot.nodes();
            nodes
                .find(|node| node.name() == Some("stuck"))
                .unwrap()
                .id()
        };
        hand.run();
        clock.advance(ms(30));
        group.cancel();
        let (wakes, waker) = Wakes::new();
        let mut join = boxed(group.join_timeout(ms(50)));
        assert!(poll(&mut join, &waker).is_pending());
        clock.advance(ms(49));
        assert!(poll(&mut join, &waker).is_pending());
        clock.advance(ms(1));
        assert!(wakes.count() >= 1);
        let joined = block_on(join);
        let Err(JoinError::TimedOut(stragglers)) = joined else {
            panic!("{joined:?}");
        };
        assert_eq!(stragglers.len(), 2);
        let found: Vec<_> = stragglers.iter().collect();
        for (i, straggler) in found.iter().enumerate() {
            assert_eq!(straggler.age(), ms(80));
            assert_eq!(straggler.state(), TaskState::Cancelled);
            assert_eq!(straggler.location().file(), file!());
            assert_eq!(straggler.location().line(), before + 1 + i as u32);
        }
        assert_eq!((found[0].name(), found[1].name()), (Some("stuck"), None));
        assert_eq!(found[0].id(), id);
        let text = stragglers.to_string();
        assert!(text.contains("stuck") && text.contains(file!()), "{text}");
        assert!(!group.is_closed());
        assert_eq!(clock.outstanding(), 0);
        gate.open();
        hand.run();
        block_on(group.join_timeout(ms(1))).unwrap();
    });
}

// V22: the limit of a join is by the clock of the context, and none is too long.
#[test]
fn the_limit_of_a_join_follows_the_clock() {
    in_time(|| {
        let (clock, parent) = on_clock();
        let group = Arc::new(on_threads(&parent));
        let gate = Gate::new();
        group.try_spawn(gate.task()).unwrap();
        let timed_out = |joined| matches!(joined, Err(JoinError::TimedOut(_)));
        assert!(timed_out(group.join_blocking(Some(Duration::ZERO))));
        assert!(timed_out(block_on(group.join_timeout(Duration::ZERO))));
        let (ended, has_ended) = mpsc::channel();
        let waiting = group.clone();
        let thread = start(move || {
            let joined = waiting.join_blocking(Some(ms(20)));
            ended.send(()).unwrap();
            joined
        });
        assert!(has_ended.recv_timeout(ms(40)).is_err(), "by real time");
        while !thread.is_finished() {
            clock.advance(ms(1));
            thread::yield_now();
        }
        assert!(timed_out(thread.join().unwrap()));
        let threads = [None, Some(HOUR), Some(Duration::MAX)].map(|at_most| {
            let group = group.clone();
            start(move || group.join_blocking(at_most))
        });
        let endless = group.clone();
        let endless = start(move || block_on(endless.join_timeout(Duration::MAX)));
        gate.open();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
        endless.join().unwrap().unwrap();
    });
}

// V22: a join in time is as one without a limit.
#[test]
fn a_join_with_a_limit_tells_errors_too() {
    let (hand, group) = Hand::group(&Context::background());
    group.try_spawn(async { Err(Fail(3)) }).unwrap();
    hand.run();
    assert_eq!(failed(block_on(group.join_timeout(HOUR))).0, Fail(3));
    assert_eq!(failed(group.join_blocking(Some(Duration::ZERO))).0, Fail(3));
}

/// The states of the tasks of a group, in their order.
fn states(stragglers: &Stragglers) -> Vec<TaskState> {
    stragglers
        .iter()
        .map(|straggler| straggler.state())
        .collect()
}

// V22: what a task is at: not begun, at work, told to stop, told to go.
#[test]
fn stragglers_say_what_they_are_at() {
    let (clock, parent) = on_clock();
    let (hand, group) = Hand::group(&parent);
    assert!(group.stragglers().is_empty());
    group.task("first").try_spawn(Forever(())).unwrap();
    clock.advance(ms(5));
    group
        .task("second")
        .background()
        .try_spawn(Forever(()))
        .unwrap();
    assert_eq!(states(&group.stragglers()), [TaskState::Unstarted; 2]);
    let mut first = hand.take().unwrap();
    assert!(peek(&mut first).is_pending());
    let both = group.stragglers();
    assert_eq!(states(&both), [TaskState::Running, TaskState::Unstarted]);
    let names: Vec<_> = both.iter().map(|straggler| straggler.name()).collect();
    assert_eq!(names, [Some("first"), Some("second")]);
    let ages: Vec<_> = both.iter().map(|straggler| straggler.age()).collect();
    assert_eq!(ages, [ms(5), ms(0)]);
    group.cancel();
    assert_eq!(
        group.stragglers().iter().next().unwrap().state(),
        TaskState::Cancelled
    );
    group.abort();
    assert_eq!(
        group.stragglers().iter().next().unwrap().state(),
        TaskState::Aborted
    );
    assert_eq!(
        states(&both),
        [TaskState::Running, TaskState::Unstarted],
        "as it was"
    );
    assert!(peek(&mut first).is_ready());
    assert_eq!(group.stragglers().len(), 1);
    assert!(!format!("{both:?} {both} {}", both.clone()).is_empty());
    hand.run();
    assert!(block_on(group.join()).is_err());
}

// V22: abort wakes every task, and has its future dropped at its next poll.
#[test]
fn an_abort_drops_every_future_at_its_next_poll() {
    let (hand, group) = Hand::group(&Context::background());
    let held = Arc::new(());
    group.task("gone").try_spawn(Forever(held.clone())).unwrap();
    group
        .task("unstarted")
        .try_spawn(Forever(held.clone()))
        .unwrap();
    group.spawn_background(Forever(held.clone())).unwrap();
    let mut polled = hand.take().unwrap();
    let (wakes, waker) = Wakes::new();
    assert!(poll(&mut polled, &waker).is_pending());
    let (join_wakes, join) = join_of(&group);
    group.abort();
    assert!(group.context().is_cancelled());
    assert_eq!(wakes.count(), 1);
    assert!(poll(&mut polled, &waker).is_ready());
    assert_eq!(Arc::strong_count(&held), 3);
    hand.run();
    assert_eq!((hand.len(), group.len()), (0, 0));
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(join_wakes.count(), 1);
    let error = block_on(join).unwrap_err();
    let JoinError::Aborted(which) = error else {
        panic!("{error:?}");
    };
    assert!(which.contains("gone"), "{which}");
}

// V22: those on threads are woken for it, also if none of them hears a cancel.
#[test]
fn an_abort_ends_tasks_on_threads() {
    in_time(|| {
        for _ in 0..50 {
            let group = on_threads(&Context::background());
            for _ in 0..3 {
                group.try_spawn(std::future::pending::<End>()).unwrap();
            }
            let ctx = group.context().clone();
            group.try_spawn(until_cancelled(&ctx)).unwrap();
            group.abort();
            group.abort();
            let error = group.join_blocking(None).unwrap_err();
            assert!(matches!(error, JoinError::Aborted(_)));
        }
    });
}

// V22: a task that ended well before, or ends well in the poll after, is no loss.
#[test]
fn an_abort_of_an_ended_group_changes_nothing() {
    let (hand, group) = Hand::group(&Context::background());
    group.try_spawn(done()).unwrap();
    hand.run();
    group.abort();
    block_on(group.join()).unwrap();
    group.abort();
    block_on(group.join()).unwrap();
}
