//! Task groups with a limit: never more, first come first served, nobody stuck.

use super::group_tools::{
    Fail, Forever, Gate, Group, Hand, block_on, boxed, done, failed, inline, panic_of,
    until_cancelled,
};
use super::tools::{Random, Wakes, in_time, on_wake, peek, poll, start};
use crate::spawn::Threads;
use crate::{Context, SpawnError, TaskGroup};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

/// A group by hand with at most so many tasks.
fn limited(at_most: usize) -> (Hand, Group) {
    let (hand, group) = Hand::group(&Context::background());
    (hand, group.limit(at_most))
}

// V22: full is full; every exit makes one place.
#[test]
fn no_more_than_the_limit_are_admitted() {
    for at_most in 1..4 {
        let (hand, group) = limited(at_most);
        let gates: Vec<_> = (0..10).map(|_| Gate::new()).collect();
        let mut gates = gates.iter();
        for _ in 0..at_most {
            group.try_spawn(gates.next().unwrap().task()).unwrap();
        }
        let error = group.try_spawn(done()).unwrap_err();
        assert!(matches!(error, SpawnError::Full(_)), "{error}");
        block_on(error.into_task()).unwrap();
        let full = group.task("named").try_spawn(done()).unwrap_err();
        assert!(matches!(full, SpawnError::Full(_)));
        assert_eq!((hand.len(), group.len()), (at_most, at_most));
        drop(group);
        hand.clear();
    }
    let (hand, group) = limited(2);
    let gates = [(); 20].map(|()| Gate::new());
    for (i, gate) in gates.iter().enumerate() {
        if i >= 2 {
            assert!(group.try_spawn(done()).is_err());
            gates[i - 2].open();
            assert_eq!(hand.turn(), 1);
        }
        group.try_spawn(gate.task()).unwrap();
    }
    gates.iter().for_each(Gate::open);
    hand.run();
    block_on(group.join()).unwrap();
}

// V22: bad limits are told at once.
#[test]
fn a_limit_of_nothing_or_too_late_panics() {
    assert!(panic_of(|| limited(0)).is_some());
    let (hand, group) = Hand::group(&Context::background());
    group.try_spawn(done()).unwrap();
    assert!(panic_of(|| group.when_forgotten(|_| ()).limit(3)).is_some());
    hand.run();
    let (_, group) = Hand::group(&Context::background());
    let handle = group.handle();
    assert!(panic_of(|| group.limit(3)).is_some());
    assert!(handle.try_spawn(done()).is_err());
    let (hand, group) = Hand::group(&Context::background());
    let group = group.limit(usize::MAX);
    assert!(group.try_spawn(Forever(())).is_ok());
    group.cancel();
    hand.clear();
}

// V22: who waits gets its place in turn, woken once for it.
#[test]
fn waiting_spawns_are_served_in_their_order() {
    let (hand, group) = limited(2);
    let gates = [(); 2].map(|()| Gate::new());
    for gate in &gates {
        group.try_spawn(gate.task()).unwrap();
    }
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut waiting: Vec<_> = (0..4)
        .map(|i| {
            let log = log.clone();
            let (wakes, waker) = Wakes::new();
            let mut spawn = boxed(group.spawn(async move {
                log.lock().unwrap().push(i);
                Ok(())
            }));
            assert!(poll(&mut spawn, &waker).is_pending());
            (wakes, spawn)
        })
        .collect();
    assert_eq!((hand.len(), group.len()), (2, 2));
    let woken = |waiting: &[(Arc<Wakes>, _)]| -> Vec<usize> {
        waiting.iter().map(|(wakes, _)| wakes.count()).collect()
    };
    gates[0].open();
    hand.run();
    // A place that is kept for who waited longest is nobody else's.
    assert_eq!(woken(&waiting), [1, 0, 0, 0]);
    assert!(matches!(group.try_spawn(done()), Err(SpawnError::Full(_))));
    let mut late = boxed(group.spawn(done()));
    assert!(peek(&mut late).is_pending());
    gates[1].open();
    hand.run();
    assert_eq!(woken(&waiting), [1, 1, 0, 0]);
    for (_, spawn) in &mut waiting {
        assert!(matches!(peek(spawn), Poll::Ready(Ok(()))));
        hand.run();
    }
    assert_eq!(woken(&waiting), [1; 4]);
    assert!(matches!(peek(&mut late), Poll::Ready(Ok(()))));
    hand.run();
    assert_eq!(*log.lock().unwrap(), [0, 1, 2, 3]);
    drop((waiting, late));
    block_on(group.join()).unwrap();
}

// V22: a wait that is dropped passes its place on, woken for it or not.
#[test]
fn a_dropped_waiting_spawn_passes_its_place_on() {
    for given in [false, true] {
        let (hand, group) = limited(1);
        let gate = Gate::new();
        group.try_spawn(gate.task()).unwrap();
        let task = Arc::new(());
        let mut first = boxed(group.spawn(Forever(task.clone())));
        let mut second = boxed(group.spawn(done()));
        let (wakes, waker) = Wakes::new();
        assert!(peek(&mut first).is_pending());
        assert!(poll(&mut second, &waker).is_pending());
        if given {
            gate.open();
            hand.run();
            assert_eq!(wakes.count(), 0);
        }
        drop(first);
        assert_eq!(Arc::strong_count(&task), 1);
        if !given {
            assert_eq!(wakes.count(), 0);
            gate.open();
            hand.run();
        }
        assert_eq!(wakes.count(), 1);
        assert!(matches!(poll(&mut second, &waker), Poll::Ready(Ok(()))));
        drop(second);
        hand.run();
        group.try_spawn(done()).unwrap();
        hand.run();
        block_on(group.join()).unwrap();
    }
}

// V22: the end of the group ends the waits: closed, cancelled, or both.
#[test]
fn waiting_spawns_end_with_the_group() {
    for how in 0..4 {
        let (parent, handle) = Context::background().with_cancel();
        let (hand, group) = Hand::group(&parent);
        let group = group.limit(1);
        let gate = Gate::new();
        group.try_spawn(gate.task()).unwrap();
        let held = Arc::new(());
        let mut waits: Vec<_> = (0..3)
            .map(|_| {
                let (wakes, waker) = Wakes::new();
                let task = Forever(held.clone());
                let mut spawn = boxed(group.spawn(task));
                assert!(poll(&mut spawn, &waker).is_pending());
                (wakes, spawn)
            })
            .collect();
        match how {
            0 => assert!(group.close()),
            1 => assert!(group.cancel()),
            2 => assert!(handle.cancel_with("above")),
            _ => {
                group.cancel();
                group.close();
            }
        }
        for (wakes, spawn) in &mut waits {
            assert!(wakes.count() >= 1, "{how}");
            let Poll::Ready(Err(error)) = peek(spawn) else {
                panic!("{how}: still waiting");
            };
            match &error {
                SpawnError::Closed(_) => assert!(how == 0 || how == 3),
                SpawnError::Cancelled(_) => assert!(how == 1 || how == 2),
                other => panic!("{how}: {other}"),
            }
            drop(error.into_task());
        }
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(group.len(), 1);
        gate.open();
        hand.run();
        drop(waits);
        block_on(group.join()).unwrap();
    }
}

// V22: a task that fails ends them too: the cause is the error.
#[test]
fn a_failure_ends_the_waiting_spawns() {
    let (hand, group) = limited(1);
    group.try_spawn(async { Err(Fail(1)) }).unwrap();
    let mut spawn = boxed(group.spawn(done()));
    assert!(peek(&mut spawn).is_pending());
    hand.run();
    let Poll::Ready(Err(error)) = peek(&mut spawn) else {
        panic!("still waiting");
    };
    assert!(matches!(
        error,
        SpawnError::Cancelled(_) | SpawnError::Closed(_)
    ));
    drop(spawn);
    assert_eq!(failed(block_on(group.join())).0, Fail(1));
}

// V22: a join does not wait for those that wait for a place: they are told.
#[test]
fn a_join_ends_with_the_last_task_though_spawns_wait() {
    let (hand, group) = limited(1);
    group.try_spawn(done()).unwrap();
    let mut spawn = boxed(group.spawn(done()));
    assert!(peek(&mut spawn).is_pending());
    let mut join = boxed(group.join());
    assert!(peek(&mut join).is_pending());
    hand.run();
    // The place was given before the last task was gone, or the group closed.
    match peek(&mut spawn) {
        Poll::Ready(Ok(())) => {
            assert!(peek(&mut join).is_pending());
            hand.run();
        }
        Poll::Ready(Err(error)) => assert!(matches!(error, SpawnError::Closed(_))),
        Poll::Pending => panic!("neither"),
    }
    assert!(matches!(peek(&mut join), Poll::Ready(Ok(()))));
}

// V22: background tasks need no place.
#[test]
fn background_tasks_need_no_place() {
    let (hand, group) = limited(1);
    let ctx = group.context().clone();
    for _ in 0..3 {
        group.spawn_background(until_cancelled(&ctx)).unwrap();
    }
    let gate = Gate::new();
    group.try_spawn(gate.task()).unwrap();
    group.spawn_background(until_cancelled(&ctx)).unwrap();
    assert!(matches!(group.try_spawn(done()), Err(SpawnError::Full(_))));
    assert_eq!(group.len(), 5);
    gate.open();
    hand.run();
    group.try_spawn(done()).unwrap();
    let mut join = boxed(group.join());
    assert!(peek(&mut join).is_pending());
    hand.run();
    assert!(peek(&mut join).is_ready());
}

// V14, V15, V22: the waker of a waiting spawn panics, or uses the group.
#[test]
fn the_waker_of_a_waiting_spawn_may_do_anything() {
    let (hand, group) = limited(1);
    let group = Arc::new(group);
    group.try_spawn(done()).unwrap();
    let inside = group.clone();
    let waker = on_wake(move || {
        assert!(matches!(inside.try_spawn(done()), Err(SpawnError::Full(_))));
        assert!(inside.is_empty() && !inside.is_closed());
        panic!("waker");
    });
    let mut spawn = boxed(group.spawn(done()));
    assert!(poll(&mut spawn, &waker).is_pending());
    let task = hand.take().unwrap();
    let thrown = panic_of(|| block_on(task));
    assert!(thrown.is_none_or(|text| text.contains("waker")));
    assert!(matches!(peek(&mut spawn), Poll::Ready(Ok(()))));
    drop(spawn);
    hand.run();
    block_on(group.join()).unwrap();
}

// V22: an inline spawner and a limit of one: each is through before the next.
#[test]
fn a_limit_on_an_inline_spawner_holds() {
    in_time(|| {
        let group: Group = TaskGroup::with_spawner(&Context::background(), inline).limit(1);
        let running = Arc::new(AtomicUsize::new(0));
        for _ in 0..100 {
            let running = running.clone();
            let task = async move {
                assert_eq!(running.fetch_add(1, SeqCst), 0);
                running.fetch_sub(1, SeqCst);
                Ok(())
            };
            block_on(group.spawn(task)).unwrap();
        }
        group.join_blocking(None).unwrap();
    });
}

// V22: on threads, from many at once, some of which give up: never more than the
// limit at work, and no place is lost.
#[test]
fn a_limit_holds_on_many_threads() {
    in_time(|| {
        for at_most in [1, 3] {
            let group: Group = TaskGroup::with_spawner(&Context::background(), Threads);
            let group = Arc::new(group.limit(at_most));
            let (running, ran) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let threads: Vec<_> = (0..4)
                .map(|seed| {
                    let (group, running, ran) = (group.clone(), running.clone(), ran.clone());
                    start(move || {
                        let mut random = Random::new(seed);
                        let mut admitted = 0;
                        for _ in 0..60 {
                            let (running, ran) = (running.clone(), ran.clone());
                            let task = async move {
                                assert!(running.fetch_add(1, SeqCst) < at_most);
                                ran.fetch_add(1, SeqCst);
                                running.fetch_sub(1, SeqCst);
                                Ok(())
                            };
                            if random.below(3) == 0 {
                                let mut spawn = boxed(group.spawn(task));
                                admitted += usize::from(peek(&mut spawn).is_ready());
                            } else {
                                block_on(group.spawn(task)).unwrap();
                                admitted += 1;
                            }
                        }
                        admitted
                    })
                })
                .collect();
            let admitted: usize = threads.into_iter().map(|t| t.join().unwrap()).sum();
            group.join_blocking(None).unwrap();
            assert_eq!(ran.load(SeqCst), admitted);
        }
    });
}

// V22: below the context of a limited group there are its tasks, and nothing else.
#[test]
fn a_limited_group_without_tasks_is_idle() {
    let (hand, group) = limited(1);
    assert!(group.context().wait_idle(Some(Duration::ZERO)));
    group.try_spawn(done()).unwrap();
    assert_eq!(group.context().tree().nodes().len(), 2);
    hand.run();
    assert!(group.context().wait_idle(Some(Duration::ZERO)));
}
