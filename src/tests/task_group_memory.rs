//! Task groups leave nothing behind, and stay small while they last.
//!
//! The count of live objects is one for the process, so whoever reads it runs
//! in a process of its own.

#![cfg(feature = "internal-model")]

use super::group_tools::{
    End, Fail, Forever, Gate, Group, Hand, block_on, boxed, done, inline, on_threads, panic_of,
    refusing, until_cancelled,
};
use super::tools::{Body, HOUR, Random, alone, assert_nothing_left, at_once, on_clock, peek};
use crate::{Context, TaskGroup, model};
use std::sync::Arc;

// V10, V22: a long-lived group through which tasks go by the hundred thousand,
// with names and without, awaited, refused, in the background.
#[test]
fn a_long_lived_group_stays_flat() {
    alone(
        "tests::task_group_memory::a_long_lived_group_stays_flat",
        || {
            let (clock, top) = on_clock();
            let (hand, group) = Hand::group(&top);
            let held = Arc::new(());
            let mut most = 0;
            for i in 0..200_000 {
                let inside = held.clone();
                let task = async move {
                    drop(inside);
                    Ok(())
                };
                match i % 4 {
                    0 => group.try_spawn(task).unwrap(),
                    1 => group.task("named").try_spawn(task).unwrap(),
                    2 => group.spawn_background(task).unwrap(),
                    _ => assert!(peek(&mut boxed(group.spawn(task))).is_ready()),
                }
                if i % 3 == 0 {
                    drop(group.task("never"));
                    let _ = peek(&mut boxed(group.join_timeout(HOUR)));
                }
                if group.is_closed() {
                    panic!("closed at {i}");
                }
                if i % 2 == 1 {
                    // One of the two stays, so that no join closes the group.
                    let first = hand.take().unwrap();
                    block_on(first);
                }
                while hand.len() > 3 {
                    block_on(hand.take().unwrap());
                }
                most = most.max(model::live_objects());
            }
            assert!(most < 2_000, "{most}");
            hand.run();
            block_on(group.join()).unwrap();
            assert_eq!(Arc::strong_count(&held), 1);
            assert_eq!(clock.outstanding(), 0);
            drop((group, hand, top, clock));
            assert_nothing_left();
        },
    );
}

// V10, V22: the same on an inline spawner, without a join in between.
#[test]
fn tasks_run_inline_leave_nothing() {
    alone(
        "tests::task_group_memory::tasks_run_inline_leave_nothing",
        || {
            let group: Group = TaskGroup::with_spawner(&Context::background(), inline);
            let mut most = 0;
            for _ in 0..200_000 {
                group.try_spawn(done()).unwrap();
                most = most.max(model::live_objects());
            }
            assert!(most < 1_000, "{most}");
            assert!(group.is_empty());
            block_on(group.join()).unwrap();
            drop(group);
            assert_nothing_left();
        },
    );
}

/// One way for a group to end.
fn end(how: usize, random: &mut Random) {
    let (clock, parent) = on_clock();
    let (hand, group) = Hand::group(&parent);
    let group = group.when_forgotten(|_| ());
    let gate = Gate::new();
    let held = Arc::new(());
    let mut waits: Vec<_> = Vec::new();
    for i in 0..random.below(6) {
        let inside = held.clone();
        let waited = gate.failing(i);
        let task = async move {
            let _inside = inside;
            waited.await
        };
        waits.push(boxed(group.spawn(task)));
    }
    for wait in &mut waits {
        let _ = peek(wait);
    }
    let ctx = group.context().clone();
    group.spawn_background(until_cancelled(&ctx)).unwrap();
    group.task("p").background().try_spawn(panicking()).unwrap();
    if random.below(2) == 0 {
        hand.run();
    }
    let mut join = boxed(group.join());
    let _ = panic_of(|| peek(&mut join).is_ready());
    if random.below(2) == 0 {
        drop(waits);
        waits = Vec::new();
    }
    match how {
        0 => drop(group.close()),
        1 => drop(group.cancel()),
        2 => group.abort(),
        3 => gate.open(),
        _ => {}
    }
    let handle = (random.below(2) == 0).then(|| group.handle());
    let stragglers = group.stragglers();
    if random.below(3) == 0 {
        hand.run();
        let _ = panic_of(|| peek(&mut join).is_ready());
    }
    drop((join, waits));
    drop(group);
    gate.open();
    if random.below(2) == 0 {
        hand.run();
    }
    hand.clear();
    drop((hand, handle, stragglers, ctx, parent, clock));
    assert_eq!(Arc::strong_count(&held), 1);
}

async fn panicking() -> End {
    panic!("a task")
}

// V9, V22: joined, closed, cancelled, aborted, forgotten, at any point.
#[test]
fn no_end_of_a_group_leaks() {
    alone("tests::task_group_memory::no_end_of_a_group_leaks", || {
        for seed in 0..300 {
            for how in 0..5 {
                end(how, &mut Random::new(seed));
            }
            if seed % 20 == 0 {
                assert_nothing_left();
            }
        }
        assert_nothing_left();
    });
}

// V22: what is refused, and what was never spawned, is gone.
#[test]
fn refused_tasks_leave_nothing() {
    alone(
        "tests::task_group_memory::refused_tasks_leave_nothing",
        || {
            let group: Group = TaskGroup::with_spawner(&Context::background(), refusing);
            let closed: Group = TaskGroup::with_spawner(&Context::background(), inline);
            closed.close();
            let held = Arc::new(());
            let mut most = 0;
            for _ in 0..20_000 {
                drop(group.try_spawn(Forever(held.clone())));
                drop(group.task("named").try_spawn(Forever(held.clone())));
                drop(closed.try_spawn(Forever(held.clone())));
                drop(closed.task("named"));
                drop(group.spawn(Forever(held.clone())));
                most = most.max(model::live_objects());
            }
            assert!(most < 1_000, "{most}");
            assert_eq!(Arc::strong_count(&held), 1);
            drop((group, closed));
            assert_nothing_left();
        },
    );
}

// V9, V22: spawns, exits, joins, aborts and drops race, and nothing is left.
#[test]
fn races_of_groups_leave_nothing_behind() {
    alone(
        "tests::task_group_memory::races_of_groups_leave_nothing_behind",
        || {
            let held = Arc::new(());
            for round in 0..200 {
                let group = on_threads(&Context::background()).when_forgotten(|_| ());
                let gate = Gate::new();
                let (handle, ctx) = (group.handle(), group.context().clone());
                let inside = held.clone();
                let passed = gate.passed();
                let task = async move {
                    let _inside = inside;
                    passed.await;
                    Err(Fail(1))
                };
                group.task("first").try_spawn(task).unwrap();
                let inside = held.clone();
                let bodies: Vec<Body> = vec![
                    Box::new(move || gate.open()),
                    Box::new(move || {
                        let waits = until_cancelled(&ctx);
                        let Some(task) = handle.task("late") else {
                            return;
                        };
                        let _ = task.try_spawn(async move {
                            let _inside = inside;
                            waits.await
                        });
                    }),
                    Box::new(move || match round % 3 {
                        0 => drop(group),
                        1 => group.abort(),
                        _ => {
                            group.cancel();
                            let _ = group.join_blocking(None);
                        }
                    }),
                ];
                at_once(bodies);
                // Tasks of a forgotten group may be a moment behind.
                while Arc::strong_count(&held) > 1 {
                    std::thread::yield_now();
                }
                if round % 50 == 49 {
                    assert_nothing_left();
                }
            }
            assert_nothing_left();
        },
    );
}
