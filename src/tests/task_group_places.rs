//! Task groups with a limit, and their ends: who waits for a place is told, and
//! leaves nothing.

#[cfg(feature = "internal-model")]
use super::group_tools::{End, until_cancelled};
use super::group_tools::{Forever, Gate, Group, Hand, block_on, boxed, done, pool, refusing};
use super::tools::{Body, Wakes, at_once, in_time, peek, poll};
#[cfg(feature = "internal-model")]
use super::tools::{alone, assert_nothing_left};
#[cfg(feature = "internal-model")]
use crate::model;
use crate::{BoxTask, Context, Refused, SpawnError, TaskGroup};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;

// V22: whoever waits for a place through a handle is told.
#[test]
fn waiting_spawns_end_when_their_group_is_forgotten() {
    let (hand, group) = Hand::group(&Context::background());
    let group = group.limit(1).when_forgotten(|_| ());
    group.try_spawn(Forever(())).unwrap();
    let handle = group.handle();
    let (wakes, waker) = Wakes::new();
    let mut spawn = boxed(handle.spawn(done()));
    assert!(poll(&mut spawn, &waker).is_pending());
    drop(group);
    assert!(wakes.count() >= 1);
    match peek(&mut spawn) {
        Poll::Ready(Err(SpawnError::Closed(task))) => block_on(task).unwrap(),
        other => panic!(
            "{:?}",
            other.map(|spawned| spawned.map_err(|e| e.to_string()))
        ),
    }
    drop(hand.take());
}

// V22: spawns that wait for a place race exits, each other, drops and the end.
#[test]
fn waiting_spawns_race_the_end_of_the_group() {
    in_time(|| {
        let spawner = Arc::new(pool(3));
        for round in 0..400 {
            let by = spawner.clone();
            let group: Group =
                TaskGroup::with_spawner(&Context::background(), move |task| by(task));
            let group = Arc::new(group.limit(1));
            let (admitted, ran) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let spawning = || -> Body {
                let (group, admitted, ran) = (group.clone(), admitted.clone(), ran.clone());
                Box::new(move || {
                    for i in 0..10 {
                        let ran = ran.clone();
                        let mut spawn = boxed(group.spawn(async move {
                            ran.fetch_add(1, SeqCst);
                            Ok(())
                        }));
                        let spawned = if i % 4 == 3 {
                            match peek(&mut spawn) {
                                Poll::Ready(spawned) => spawned,
                                Poll::Pending => continue,
                            }
                        } else {
                            block_on(spawn)
                        };
                        match spawned {
                            Ok(()) => drop(admitted.fetch_add(1, SeqCst)),
                            Err(SpawnError::Closed(_) | SpawnError::Cancelled(_)) => return,
                            Err(other) => panic!("{other}"),
                        }
                    }
                })
            };
            let ending = group.clone();
            let end = Box::new(move || match round % 3 {
                0 => drop(ending.close()),
                1 => drop(ending.cancel()),
                _ => ending.join_blocking(None).unwrap(),
            });
            let bodies: Vec<Body> = vec![spawning(), spawning(), end];
            at_once(bodies);
            group.join_blocking(None).unwrap();
            assert_eq!(admitted.load(SeqCst), ran.load(SeqCst));
        }
    });
}

// V22: a refused task gives its place back.
#[test]
fn a_refused_task_gives_its_place_back() {
    let open = Gate::new();
    let (hand, sometimes) = (Hand::default(), open.clone());
    let by = hand.clone();
    let spawner = move |task: BoxTask| -> Result<(), Refused> {
        if peek(&mut sometimes.passed()).is_pending() {
            return refusing(task);
        }
        crate::Spawn::spawn(&by, task)
    };
    let group: Group = TaskGroup::with_spawner(&Context::background(), spawner);
    let group = group.limit(1);
    for _ in 0..3 {
        let error = group.try_spawn(done()).unwrap_err();
        assert!(matches!(error, SpawnError::Spawner(..)));
    }
    open.open();
    let gate = Gate::new();
    group.try_spawn(gate.task()).unwrap();
    let mut waits = boxed(group.spawn(done()));
    assert!(peek(&mut waits).is_pending());
    gate.open();
    hand.run();
    assert!(peek(&mut waits).is_ready());
    hand.run();
    block_on(group.join()).unwrap();
}

// V22: waits for a place are futures as any other.
#[cfg(feature = "tokio")]
#[test]
fn a_limit_holds_on_the_runtime() {
    in_time(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        for workers in 1..3 {
            let runtime = builder.worker_threads(workers).build().unwrap();
            let spawner = crate::spawn::Tokio::on(runtime.handle().clone());
            let group: Group = TaskGroup::with_spawner(&Context::background(), spawner);
            let group = group.limit(2);
            let (running, ran) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            runtime.block_on(async {
                for _ in 0..30 {
                    let (running, ran) = (running.clone(), ran.clone());
                    let task = async move {
                        assert!(running.fetch_add(1, SeqCst) < 2);
                        tokio::task::yield_now().await;
                        ran.fetch_add(1, SeqCst);
                        running.fetch_sub(1, SeqCst);
                        Ok(())
                    };
                    group.spawn(task).await.unwrap();
                }
                group.join().await.unwrap();
            });
            assert_eq!(ran.load(SeqCst), 30);
        }
    });
}

// V10, V22: a long-lived group whose tasks all go through one place: waits are
// served, dropped and refused in their thousands.
#[cfg(feature = "internal-model")]
#[test]
fn waits_for_a_place_leave_nothing() {
    alone(
        "tests::task_group_places::waits_for_a_place_leave_nothing",
        || {
            let (hand, group) = Hand::group(&Context::background());
            let group = group.limit(1);
            let held = Arc::new(());
            let mut most = 0;
            for i in 0..50_000 {
                let task = |ends: bool| -> std::pin::Pin<Box<dyn Future<Output = End> + Send>> {
                    match ends {
                        true => boxed(done()),
                        false => boxed(Forever(held.clone())),
                    }
                };
                group.try_spawn(done()).unwrap();
                let mut served = boxed(group.spawn(task(true)));
                let mut dropped = boxed(group.spawn(task(false)));
                assert!(peek(&mut served).is_pending() && peek(&mut dropped).is_pending());
                assert!(group.try_spawn(task(false)).is_err());
                if i % 2 == 0 {
                    drop(dropped);
                    hand.run();
                    assert!(matches!(peek(&mut served), Poll::Ready(Ok(()))));
                } else {
                    hand.run();
                    assert!(matches!(peek(&mut served), Poll::Ready(Ok(()))));
                    hand.run();
                    drop(dropped);
                }
                hand.run();
                most = most.max(model::live_objects());
            }
            assert!(most < 1_000, "{most}");
            assert_eq!(Arc::strong_count(&held), 1);
            let ctx = group.context().clone();
            group.try_spawn(until_cancelled(&ctx)).unwrap();
            let mut told = boxed(group.spawn(Forever(held.clone())));
            assert!(peek(&mut told).is_pending());
            group.cancel();
            assert!(matches!(peek(&mut told), Poll::Ready(Err(_))));
            drop(told);
            hand.run();
            block_on(group.join()).unwrap();
            drop((group, hand, ctx));
            assert_nothing_left();
            assert_eq!(Arc::strong_count(&held), 1);
        },
    );
}
