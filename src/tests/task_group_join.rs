//! Task groups: joins from inside, joins with a limit, who is still there.

use super::group_tools::{
    Fail, Gate, Group, Hand, block_on, boxed, done, failed, inline, on_threads,
};
use super::tools::{HOUR, Wakes, in_time, ms, on_clock, poll, start};
use crate::{Context, JoinError, TaskGroup, TaskState};
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
