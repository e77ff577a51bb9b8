//! What a task group counts, and when a join ends: the cases of task trackers.
//!
//! A group is not opened again, and a join of an empty one closes it.

use super::group_tools::{
    Forever, Gate, Hand, block_on, boxed, done, failed, groups, join_of, on_threads, panic_of,
    until_cancelled,
};
use super::tools::{OnDrop, in_time, peek, start};
use crate::{Context, SpawnError};
use std::sync::{Arc, Mutex, mpsc};

// T27: closing is done once, is seen, and length and emptiness follow the tasks.
#[test]
fn a_group_closes_and_counts() {
    let (hand, group) = Hand::group(&Context::background());
    assert!(group.is_empty() && !group.is_closed());
    let ctx = group.context().clone();
    group.spawn_background(until_cancelled(&ctx)).unwrap();
    for n in 2..=4 {
        group.try_spawn(done()).unwrap();
        assert_eq!(group.len(), n);
        assert!(!group.is_empty());
    }
    // By whichever of the two.
    assert!(group.handle().close());
    for _ in 0..2 {
        assert!(group.is_closed());
        assert!(!group.close() && !group.handle().close());
        assert_eq!(group.len(), 4);
    }
    assert_eq!(hand.turn(), 3);
    assert_eq!(group.len(), 1, "the background one");
    block_on(async {
        let mut join = boxed(group.join());
        assert!(peek(&mut join).is_pending());
        hand.run();
        join.await.unwrap();
    });
    assert_eq!(group.len(), 0);
    assert!(group.is_empty() && group.is_closed());
}

// T28: closed and empty, a join is ready at once, also one made before.
#[test]
fn a_join_of_a_closed_empty_group_is_ready_at_once() {
    for ran in [false, true] {
        let (hand, group) = Hand::group(&Context::background());
        let mut before = boxed(group.join());
        if ran {
            group.try_spawn(done()).unwrap();
            hand.run();
        }
        group.close();
        for join in [&mut before, &mut boxed(group.join())] {
            assert!(peek(join).is_ready());
        }
    }
}

// T29: a join does not wait for a close of an empty group: it closes it.
#[test]
fn a_join_of_an_open_empty_group_closes_it() {
    let (hand, group) = Hand::group(&Context::background());
    assert!(peek(&mut boxed(group.join())).is_ready());
    assert!(group.is_closed());
    let error = group.try_spawn(done()).unwrap_err();
    assert!(matches!(error, SpawnError::Closed(_)));
    assert_eq!(hand.len(), 0);
}

// T30: closed with one task, the join is ready when that exits; no new one
// starts before the next poll.
#[test]
fn a_join_of_a_closed_group_is_ready_when_its_task_exits() {
    let (hand, group) = Hand::group(&Context::background());
    group.try_spawn(done()).unwrap();
    group.close();
    let (wakes, mut join) = join_of(&group);
    hand.run();
    assert_eq!(wakes.count(), 1);
    assert!(group.try_spawn(done()).is_err());
    assert!(peek(&mut join).is_ready());
}

// T31: open with one task, the join stays pending while another starts before
// that exits; when the last one exits nothing starts any more.
#[test]
fn a_join_of_an_open_group_waits_for_successors() {
    let (hand, group) = Hand::group(&Context::background());
    let mut gate = Gate::new();
    group.try_spawn(gate.task()).unwrap();
    let (wakes, mut join) = join_of(&group);
    for _ in 0..5 {
        let next = Gate::new();
        group.try_spawn(next.task()).unwrap();
        gate.open();
        assert_eq!(hand.turn(), 1);
        assert_eq!((wakes.count(), group.len()), (0, 1));
        assert!(peek(&mut boxed(group.join())).is_pending() && !group.is_closed());
        gate = next;
    }
    gate.open();
    hand.run();
    assert!(group.is_closed() && group.is_empty());
    assert!(group.try_spawn(done()).is_err());
    assert_eq!(wakes.count(), 1);
    assert!(peek(&mut join).is_ready());
}

// T32: closed at any point among five exits: ready when all are through.
#[test]
fn a_group_may_be_closed_at_any_point_among_the_exits() {
    for close_at in 0..=5 {
        for joined in [false, true] {
            let (hand, group) = Hand::group(&Context::background());
            let gates = [(); 5].map(|()| Gate::new());
            for gate in &gates {
                group.try_spawn(gate.task()).unwrap();
            }
            let waits = joined.then(|| join_of(&group));
            for (exits, gate) in gates.iter().enumerate() {
                if exits == close_at {
                    assert!(group.close());
                }
                assert_eq!(group.is_closed(), exits >= close_at);
                if let Some((wakes, _)) = &waits {
                    assert_eq!(wakes.count(), 0);
                }
                gate.open();
                hand.run();
                assert_eq!(group.len(), 4 - exits);
            }
            assert_eq!(group.close(), close_at == 5 && !joined);
            if let Some((wakes, mut join)) = waits {
                assert_eq!(wakes.count(), 1);
                assert!(peek(&mut join).is_ready());
            }
            block_on(group.join()).unwrap();
        }
    }
}

// T33: ten joins are released by the last exit, each woken once.
#[test]
fn many_joins_are_released_by_the_last_exit() {
    let (hand, group) = Hand::group(&Context::background());
    let (first, last) = (Gate::new(), Gate::new());
    group.try_spawn(first.task()).unwrap();
    group.try_spawn(last.failing(3)).unwrap();
    let mut joins: Vec<_> = (0..10).map(|_| join_of(&group)).collect();
    first.open();
    hand.run();
    assert!(joins.iter().all(|(wakes, _)| wakes.count() == 0));
    last.open();
    hand.run();
    for (wakes, join) in &mut joins {
        assert_eq!(wakes.count(), 1);
        assert_eq!(failed(block_on(join)).0.0, 3);
    }
}

// T33: the same on ten threads.
#[test]
fn ten_threads_may_join_one_group() {
    in_time(|| {
        for failing in [false, true] {
            let group = Arc::new(on_threads(&Context::background()));
            let gate = Gate::new();
            for i in 0..3 {
                if failing && i == 1 {
                    group.try_spawn(gate.failing(i)).unwrap();
                } else {
                    group.try_spawn(gate.task()).unwrap();
                }
            }
            let joins: Vec<_> = (0..10)
                .map(|i| {
                    let group = group.clone();
                    start(move || match i % 2 {
                        0 => block_on(group.join()),
                        _ => group.join_blocking(None),
                    })
                })
                .collect();
            gate.open();
            for join in joins {
                let joined = join.join().unwrap();
                if failing {
                    assert_eq!(failed(joined).0.0, 1);
                } else {
                    joined.unwrap();
                }
            }
        }
    });
}

// T34: a task counts until its future is dropped, whoever runs it: ended,
// panicked or given up.
#[test]
fn a_task_counts_until_its_future_is_dropped() {
    for how in 0..3 {
        let (hand, group) = Hand::group(&Context::background());
        let (group, gone) = (Arc::new(group), Arc::new(Mutex::new(Vec::new())));
        let (weak, seen) = (Arc::downgrade(&group), gone.clone());
        let guard = OnDrop(move || {
            let group = weak.upgrade().unwrap();
            seen.lock().unwrap().push((group.len(), group.is_closed()));
        });
        if how == 2 {
            group.try_spawn(Forever(guard)).unwrap();
        } else {
            group
                .try_spawn(async move {
                    let _guard = guard;
                    assert_eq!(how, 0, "a task panics");
                    Ok(())
                })
                .unwrap();
        }
        let (wakes, mut join) = join_of(&group);
        assert_eq!(group.len(), 1);
        if how == 2 {
            drop(hand.take());
        } else {
            hand.run();
        }
        assert_eq!(*gone.lock().unwrap(), [(1, false)], "{how}");
        assert_eq!((wakes.count(), group.len()), (1, 0));
        match how {
            0 => assert!(matches!(peek(&mut join), std::task::Poll::Ready(Ok(())))),
            1 => assert!(
                panic_of(|| peek(&mut join))
                    .unwrap()
                    .contains("a task panics")
            ),
            _ => assert!(block_on(join).is_err()),
        }
    }
}

// T34: on threads and inline: while the drop of a future lasts, nobody has joined.
#[test]
fn a_join_waits_for_the_drop_of_a_future() {
    in_time(|| {
        for (name, group) in groups(&Context::background()) {
            let group = Arc::new(group);
            let (dropping, is_dropping) = mpsc::channel();
            let (go, may_go) = mpsc::channel::<()>();
            let may_go = Mutex::new(may_go);
            let guard = OnDrop(move || {
                dropping.send(()).unwrap();
                may_go.lock().unwrap().recv().unwrap();
            });
            let spawning = group.clone();
            let spawner = start(move || {
                let task = async move {
                    let _guard = guard;
                    Ok(())
                };
                spawning.try_spawn(task).unwrap();
            });
            is_dropping.recv().unwrap();
            assert_eq!(group.len(), 1, "{name}");
            let (_, mut join) = join_of(&group);
            go.send(()).unwrap();
            block_on(&mut join).unwrap();
            assert!(group.is_empty());
            spawner.join().unwrap();
        }
    });
}

// T34: the value counts too: an error that is kept is that of a task that ended,
// and is dropped with the group.
#[test]
fn the_errors_of_tasks_go_with_their_group() {
    let alive = Arc::new(());
    let parent = Context::background();
    let hand = Hand::default();
    let group = crate::TaskGroup::with_spawner(&parent, hand.clone());
    for i in 0..3 {
        let alive = alive.clone();
        let task = async move { Err(Held(i, alive)) };
        group.try_spawn(task).unwrap();
    }
    hand.run();
    assert_eq!(group.len(), 0);
    drop(block_on(group.join()));
    drop(group);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[derive(Clone, Debug)]
struct Held(usize, #[allow(dead_code)] Arc<()>);

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for Held {}
