//! Task groups by the thousand, at random, on two threads: no join is lost, none
//! is early.

use super::group_tools::{Fail, Gate, Group, block_on, boxed, on_threads, pool};
use super::tools::{HOUR, Random, in_time, peek};
use crate::{Context, JoinError, TaskGroup};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;

/// How many groups come and go: enough to meet most orders.
const GROUPS: u64 = 20_000;

/// How many with a limit.
const LIMITED: u64 = 5_000;

/// Pending once.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|task| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Joins in some way.
fn join(group: &Group, how: usize) -> Result<(), JoinError<Fail>> {
    match how {
        0 => group.join_blocking(None),
        1 => group.join_blocking(Some(HOUR)),
        2 => {
            let mut lost = boxed(group.join());
            if let Poll::Ready(joined) = peek(&mut lost) {
                return joined;
            }
            drop(lost);
            block_on(group.join())
        }
        3 => {
            group.close();
            block_on(group.join())
        }
        _ => block_on(group.join_timeout(HOUR)),
    }
}

/// One group: what its tasks do, and how it is joined, is random.
fn round(seed: u64, group: &Arc<Group>) {
    let mut random = Random::new(seed);
    // Those that ended, and those that fail.
    let (ended, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut admitted = 0;
    for _ in 0..random.below(4) {
        let (kind, background) = (random.below(6), random.below(5) == 0);
        let (ended, failed, handle) = (ended.clone(), failed.clone(), group.handle());
        let task = async move {
            if kind % 2 == 1 {
                pause().await;
            }
            if kind == 2 || kind == 3 {
                let sibling = ended.clone();
                let more = handle.try_spawn(async move {
                    sibling.fetch_add(1, SeqCst);
                    Ok(())
                });
                if more.is_err() {
                    ended.fetch_add(1, SeqCst);
                }
            }
            ended.fetch_add(if kind == 2 || kind == 3 { 1 } else { 2 }, SeqCst);
            if kind == 5 {
                failed.fetch_add(1, SeqCst);
                return Err(Fail(5));
            }
            Ok(())
        };
        let spawned = match background {
            true => group.spawn_background(task),
            false => group.try_spawn(task),
        };
        admitted += usize::from(spawned.is_ok());
    }
    let joined = join(group, random.below(5));
    assert_eq!(ended.load(SeqCst), 2 * admitted, "{seed}");
    assert!(group.is_empty() && group.is_closed() && group.context().is_cancelled());
    match joined {
        Ok(()) => assert_eq!(failed.load(SeqCst), 0),
        Err(JoinError::Failed { others, .. }) => {
            assert_eq!(failed.load(SeqCst), 1 + others.len());
        }
        other => panic!("{seed}: {other:?}"),
    }
}

// P71, V22.
#[test]
fn no_join_of_many_groups_is_lost_or_early() {
    in_time(|| {
        let (parent, _keep) = Context::background().with_cancel();
        let spawner = Arc::new(pool(2));
        for seed in 0..GROUPS {
            let by = spawner.clone();
            let group: Group = TaskGroup::with_spawner(&parent, move |task| by(task));
            round(seed, &Arc::new(group));
        }
        assert!(parent.wait_idle(None));
        assert_eq!(parent.live_children(), 0);
    });
}

// V22: groups with one or two places, waited for by two threads that give up at
// random, and ended at random: nobody waits for ever, and what is admitted runs.
#[test]
fn no_place_of_many_groups_is_lost() {
    in_time(|| {
        let spawner = Arc::new(pool(2));
        for seed in 0..LIMITED {
            let mut random = Random::new(seed);
            let by = spawner.clone();
            let parent = Context::background();
            let group: Group = TaskGroup::with_spawner(&parent, move |task| by(task));
            let group = group.limit(random.below(2) + 1);
            let (ran, running) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let admitted = Arc::new(AtomicUsize::new(0));
            let task = {
                let (ran, running) = (ran.clone(), running.clone());
                move || {
                    let (ran, running) = (ran.clone(), running.clone());
                    async move {
                        assert!(running.fetch_add(1, SeqCst) < 2);
                        pause().await;
                        ran.fetch_add(1, SeqCst);
                        running.fetch_sub(1, SeqCst);
                        Ok(())
                    }
                }
            };
            let (handle, count, more) = (group.handle(), admitted.clone(), task.clone());
            let waits = random.below(4);
            let other = async move {
                for _ in 0..waits {
                    if handle.spawn(more()).await.is_ok() {
                        count.fetch_add(1, SeqCst);
                    }
                }
                Ok(())
            };
            group.spawn_background(other).unwrap();
            for _ in 0..random.below(4) {
                let mut spawn = boxed(group.spawn(task()));
                let spawned = match random.below(3) {
                    0 => match peek(&mut spawn) {
                        Poll::Ready(spawned) => spawned,
                        Poll::Pending => continue,
                    },
                    _ => block_on(spawn),
                };
                spawned.unwrap();
                admitted.fetch_add(1, SeqCst);
            }
            match random.below(4) {
                0 => drop(group.cancel()),
                1 => drop(group.close()),
                _ => {}
            }
            group.join_blocking(None).unwrap();
            let counts = (ran.load(SeqCst), running.load(SeqCst));
            assert_eq!(counts, (admitted.load(SeqCst), 0), "{seed}");
        }
    });
}

// V22: one group with many tasks, joined while they end.
#[test]
fn a_group_of_many_tasks_is_joined() {
    in_time(|| {
        let by = pool(2);
        let group: Group = TaskGroup::with_spawner(&Context::background(), by);
        let (gate, ended) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        group.spawn_background(gate.task()).unwrap();
        for i in 0..50_000 {
            let ended = ended.clone();
            let task = async move {
                ended.fetch_add(1, SeqCst);
                Ok(())
            };
            if i % 8 == 0 {
                group.task("named").try_spawn(task).unwrap();
            } else {
                group.try_spawn(task).unwrap();
            }
        }
        gate.open();
        group.join_blocking(None).unwrap();
        assert_eq!(ended.load(SeqCst), 50_000);
    });
}

// V22: a report of many is one of each, in the order they came.
#[test]
fn a_report_of_many_tasks_names_each() {
    in_time(|| {
        let group = on_threads(&Context::background());
        let gate = Gate::new();
        for i in 0..200 {
            group
                .task(format!("task {i}"))
                .try_spawn(gate.task())
                .unwrap();
        }
        let report = group.stragglers();
        let names: Vec<_> = report
            .iter()
            .map(|one| one.name().unwrap().to_owned())
            .collect();
        let expected: Vec<_> = (0..200).map(|i| format!("task {i}")).collect();
        assert_eq!(names, expected);
        assert_eq!(report.len(), 200);
        gate.open();
        group.join_blocking(None).unwrap();
        assert!(group.stragglers().is_empty());
    });
}
