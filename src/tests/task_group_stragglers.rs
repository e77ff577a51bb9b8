//! Task groups: who is still there, what they are at, and how they are made to go.

use super::group_tools::{
    End, Forever, Group, Hand, block_on, done, join_of, on_threads, until_cancelled,
};
use super::tools::{Wakes, in_time, ms, on_clock, peek, poll};
use crate::{Context, JoinError, Stragglers, TaskGroup, TaskState};
use std::sync::Arc;

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

// V22, V23: the tree tells since when groups and tasks are there, and where they
// were made.
#[test]
fn the_tree_tells_the_age_and_the_place_of_tasks() {
    let (clock, parent) = on_clock();
    let hand = Hand::default();
    let line = line!();
    let group: Group = TaskGroup::with_spawner(&parent, hand.clone());
    clock.advance(ms(3));
    let task = group.task("named");
    task.try_spawn(done()).unwrap();
    group.try_spawn(done()).unwrap();
    clock.advance(ms(4));
    let snapshot = parent.tree();
    let told: Vec<_> = snapshot
        .nodes()
        .map(|node| {
            let place = node.location().map(|at| (at.file(), at.line() - line));
            (node.age(), place)
        })
        .collect();
    let at = |after| Some((file!(), after));
    let group_line = (Some(ms(7)), at(1));
    let mut tasks = [(Some(ms(4)), at(3)), (Some(ms(4)), at(5))];
    assert_eq!(told[0], (None, None), "not known of all");
    assert_eq!(told[1], group_line);
    if told[2] != tasks[0] {
        tasks.reverse();
    }
    assert_eq!(told[2..], tasks);
    hand.run();
}
