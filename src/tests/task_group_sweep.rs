//! Task groups: every count of tasks with every one that fails, main tasks and
//! background ones, groups in groups.

use super::group_tools::{
    End, Fail, Forever, Gate, Group, Hand, block_on, boxed, done, failed, groups, join_of,
    on_threads, panic_of, until_cancelled,
};
use super::tools::{Random, in_time, outcome, peek};
use crate::{Context, JoinError, TaskGroup};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// A task that counts itself once it has ended, whichever way.
fn counted(
    ended: &Arc<AtomicUsize>,
    task: impl Future<Output = End> + Send + 'static,
) -> impl Future<Output = End> + Send + 'static {
    let ended = ended.clone();
    async move {
        let end = task.await;
        ended.fetch_add(1, SeqCst);
        end
    }
}

// P71, V22: 0 to 15 tasks, of which the 0th to 15th fails, by hand: the others
// wait for the cancel. The join is neither early nor late, and says which.
#[test]
fn a_join_ends_with_its_tasks_for_every_count_and_failure() {
    for tasks in 0..=15 {
        for fails in 0..=15 {
            for begun in [false, true] {
                let (hand, group) = Hand::group(&Context::background());
                let ended = Arc::new(AtomicUsize::new(0));
                let ctx = group.context().clone();
                let go = Gate::new();
                for i in 0..tasks {
                    let task = group.task(format!("task {i}"));
                    if i == fails {
                        task.try_spawn(counted(&ended, go.failing(i))).unwrap();
                    } else if fails < tasks {
                        task.try_spawn(counted(&ended, until_cancelled(&ctx)))
                            .unwrap();
                    } else {
                        task.try_spawn(counted(&ended, go.task())).unwrap();
                    }
                }
                let mut join = boxed(group.join());
                if begun {
                    assert_eq!(peek(&mut join).is_ready(), tasks == 0);
                    hand.run();
                    assert_eq!(group.len(), tasks);
                }
                go.open();
                for _ in 0..3 {
                    hand.turn();
                }
                assert_eq!((hand.len(), group.len()), (0, 0));
                assert_eq!(ended.load(SeqCst), tasks);
                let joined = if begun && tasks == 0 {
                    block_on(group.join())
                } else {
                    block_on(join)
                };
                if fails < tasks {
                    assert_eq!(failed(joined), (Fail(fails), vec![]));
                } else {
                    joined.unwrap();
                }
                assert!(group.is_closed() && ctx.is_cancelled());
            }
        }
    }
}

// P71, V22: the same on threads, where all is decided by who comes first.
#[test]
fn a_join_ends_with_its_tasks_on_threads() {
    in_time(|| {
        for tasks in [0, 1, 2, 5, 15] {
            for fails in 0..=15 {
                let group = on_threads(&Context::background());
                let ended = Arc::new(AtomicUsize::new(0));
                let ctx = group.context().clone();
                let mut spawned = 0;
                for i in 0..tasks {
                    let task = group.task(format!("task {i}"));
                    let admitted = if i == fails {
                        let task = task.try_spawn(counted(&ended, async move { Err(Fail(i)) }));
                        task.is_ok()
                    } else if fails < tasks {
                        let waits = until_cancelled(&ctx);
                        task.try_spawn(counted(&ended, waits)).is_ok()
                    } else {
                        task.try_spawn(counted(&ended, done())).is_ok()
                    };
                    // Only a cancel that was before keeps one out.
                    assert!(admitted || i > fails);
                    spawned += usize::from(admitted);
                }
                let joined = group.join_blocking(None);
                assert_eq!(ended.load(SeqCst), spawned);
                if fails < tasks {
                    assert_eq!(failed(joined), (Fail(fails), vec![]));
                } else {
                    joined.unwrap();
                }
            }
        }
    });
}

// P71, V22: every one of them fails, in random order: the first is the first.
#[test]
fn the_first_of_many_failures_is_told_first() {
    for seed in 0..50 {
        let mut random = Random::new(seed);
        let (hand, group) = Hand::group(&Context::background());
        let mut gates: Vec<_> = (0..10).map(|i| (i, Gate::new())).collect();
        for (i, gate) in &gates {
            group.try_spawn(gate.failing(*i)).unwrap();
        }
        hand.run();
        let mut order = Vec::new();
        while !gates.is_empty() {
            let (i, gate) = gates.swap_remove(random.below(gates.len()));
            order.push(Fail(i));
            gate.open();
            hand.run();
        }
        let (error, others) = failed(block_on(group.join()));
        assert_eq!(error, order[0]);
        assert_eq!(others, order[1..]);
    }
}

// V22: the end of the main tasks ends the background ones, and a join waits for
// these as well.
#[test]
fn background_tasks_are_cancelled_when_the_main_ones_have_ended() {
    let (hand, group) = Hand::group(&Context::background());
    let gates = [(); 3].map(|()| Gate::new());
    let heard = Arc::new(Mutex::new(None));
    let (task, why, last) = (
        group.task("b").background(),
        heard.clone(),
        gates[2].passed(),
    );
    let ctx = task.context().clone();
    task.try_spawn(async move {
        *why.lock().unwrap() = Some(ctx.cancelled().await.to_string());
        last.await;
        Ok(())
    })
    .unwrap();
    group.spawn_background(done()).unwrap();
    for gate in &gates[..2] {
        group.try_spawn(gate.task()).unwrap();
    }
    let (wakes, mut join) = join_of(&group);
    gates[0].open();
    hand.run();
    assert!(heard.lock().unwrap().is_none() && group.len() == 2);
    gates[1].open();
    hand.run();
    assert!(heard.lock().unwrap().as_ref().unwrap().contains("finished"));
    assert!(group.is_closed() && group.len() == 1);
    assert!(group.spawn_background(done()).is_err());
    assert_eq!(wakes.count(), 0);
    assert!(peek(&mut boxed(group.join())).is_pending());
    gates[2].open();
    hand.run();
    assert_eq!(wakes.count(), 1);
    assert!(matches!(peek(&mut join), std::task::Poll::Ready(Ok(()))));
}

// V22: background tasks alone hold up no join, and need none to end.
#[test]
fn background_tasks_alone_are_ended_by_a_join() {
    in_time(|| {
        let group = on_threads(&Context::background());
        let ctx = group.context().clone();
        for _ in 0..3 {
            group.spawn_background(until_cancelled(&ctx)).unwrap();
        }
        assert_eq!(group.len(), 3);
        group.join_blocking(None).unwrap();
        assert_eq!(group.len(), 0);
    });
}

// V22: the failure of one in the background is one of the group.
#[test]
fn a_background_task_that_fails_fails_the_group() {
    for panics in [false, true] {
        let (hand, group) = Hand::group(&Context::background());
        let ctx = group.context().clone();
        group.try_spawn(until_cancelled(&ctx)).unwrap();
        let task = async move {
            assert!(!panics, "in the background");
            Err(Fail(3))
        };
        group.spawn_background(task).unwrap();
        hand.run();
        assert_eq!((hand.len(), group.len()), (0, 0));
        if panics {
            let panic = panic_of(|| block_on(group.join())).unwrap();
            assert!(panic.contains("in the background"));
        } else {
            assert_eq!(failed(block_on(group.join())).0, Fail(3));
        }
    }
}

// V22: one that fails after the main ones have ended is told of too.
#[test]
fn a_background_task_that_fails_late_is_told_of() {
    let (hand, group) = Hand::group(&Context::background());
    let task = group.task("late").background();
    let ctx = task.context().clone();
    task.try_spawn(async move {
        ctx.cancelled().await;
        Err(Fail(9))
    })
    .unwrap();
    group.try_spawn(done()).unwrap();
    let (_, join) = join_of(&group);
    hand.run();
    assert_eq!(failed(block_on(join)).0, Fail(9));
    let cause = outcome(group.context()).unwrap().1.unwrap();
    assert!(cause.contains("finished"), "{cause}");
}

// V7, V22: a group in a group: errors go no further up than a join hands them,
// cancels go down.
#[test]
fn groups_nest() {
    for fails in [false, true] {
        let (hand, outer) = Hand::group(&Context::background());
        let task = outer.task("outer task");
        let ctx = task.context().clone();
        let (inner_hand, sum) = (hand.clone(), Arc::new(AtomicUsize::new(0)));
        let count = sum.clone();
        task.try_spawn(async move {
            let inner: Group = TaskGroup::with_spawner(&ctx, inner_hand);
            for i in 0..3 {
                let (inner_ctx, count) = (inner.context().clone(), count.clone());
                inner
                    .try_spawn(async move {
                        if fails && i == 1 {
                            return Err(Fail(i));
                        }
                        if fails {
                            inner_ctx.cancelled().await;
                        }
                        count.fetch_add(1, SeqCst);
                        Ok(())
                    })
                    .unwrap();
            }
            let joined = inner.join().await;
            assert!(inner.context().is_cancelled() && !ctx.is_cancelled());
            joined.map_err(|error| *error.error().unwrap())
        })
        .unwrap();
        hand.run();
        hand.run();
        let joined = block_on(outer.join());
        if fails {
            assert_eq!(failed(joined), (Fail(1), vec![]));
        } else {
            joined.unwrap();
        }
        assert_eq!(sum.load(SeqCst), if fails { 2 } else { 3 });
    }
}

// P71, V22: the outer group is cancelled: all inner tasks hear it; whichever
// group is joined first.
#[test]
fn nested_groups_may_be_joined_in_any_order() {
    in_time(|| {
        for outer_first in [false, true] {
            let outer = on_threads(&Context::background());
            let inner = on_threads(outer.context());
            let (above, below) = (outer.context().clone(), inner.context().clone());
            outer.try_spawn(until_cancelled(&above)).unwrap();
            inner.try_spawn(until_cancelled(&below)).unwrap();
            outer.cancel_with("all");
            assert_eq!(below.cause().unwrap().to_string(), "all");
            let order = if outer_first {
                [&outer, &inner]
            } else {
                [&inner, &outer]
            };
            for group in order {
                group.join_blocking(None).unwrap();
            }
        }
        // The join of the inner one says nothing to the outer one.
        for (name, outer) in groups(&Context::background()) {
            let inner = on_threads(outer.context());
            inner.try_spawn(async { Err(Fail(1)) }).unwrap();
            assert!(inner.join_blocking(None).is_err());
            assert!(!outer.context().is_cancelled(), "{name}");
            outer.try_spawn(done()).unwrap();
            outer.join_blocking(None).unwrap();
        }
    });
}

// V22: an abort reaches the tasks of groups below, but not below a shield.
#[test]
fn an_abort_reaches_the_groups_of_tasks() {
    for shielded in [false, true] {
        let (hand, outer) = Hand::group(&Context::background());
        let inner_hand = hand.clone();
        let ctx = match shielded {
            false => outer.context().clone(),
            true => outer.context().without_cancel(),
        };
        let held = Arc::new(());
        let kept = held.clone();
        outer
            .try_spawn(async move {
                let inner: Group = TaskGroup::with_spawner(&ctx, inner_hand);
                let inner = inner.when_forgotten(|_| ());
                inner.try_spawn(Forever(kept)).unwrap();
                inner.join().await.unwrap();
                Ok(())
            })
            .unwrap();
        hand.run();
        assert_eq!(hand.len(), 2);
        outer.abort();
        hand.run();
        assert!(matches!(block_on(outer.join()), Err(JoinError::Aborted(_))));
        assert_eq!(hand.len(), usize::from(shielded));
        hand.clear();
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
