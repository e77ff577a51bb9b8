//! Task groups on real threads: admission, close, join, cancel and drop race.

use super::group_tools::{
    End, Fail, Gate, Group, boxed, done, failed, on_threads, pool, until_cancelled,
};
use super::tools::{Body, Random, at_once, in_time, peek, start};
use crate::{Context, JoinError, SpawnError, TaskGroup};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};

/// How often a round of threads is run.
const ROUNDS: usize = 400;

/// What was admitted and what ran.
#[derive(Clone, Default)]
struct Tally(Arc<(AtomicUsize, AtomicUsize, AtomicUsize)>);

impl Tally {
    /// Spawns so many; what is refused comes back, and says why as it should.
    fn spawn(&self, group: &Group, tasks: usize, may_refuse: fn(&Refusal) -> bool) {
        for _ in 0..tasks {
            let mine = self.clone();
            let spawned = group.try_spawn(async move {
                mine.0.1.fetch_add(1, SeqCst);
                Ok::<(), Fail>(())
            });
            match spawned {
                Ok(()) => drop(self.0.0.fetch_add(1, SeqCst)),
                Err(error) => {
                    let why = match &error {
                        SpawnError::Closed(_) => Refusal::Closed,
                        SpawnError::Cancelled(_) => Refusal::Cancelled,
                        _ => Refusal::Other,
                    };
                    assert!(may_refuse(&why), "{why:?}");
                    self.0.2.fetch_add(1, SeqCst);
                    drop(error.into_task());
                }
            }
        }
    }

    fn admitted(&self) -> usize {
        self.0.0.load(SeqCst)
    }

    fn ran(&self) -> usize {
        self.0.1.load(SeqCst)
    }

    fn refused(&self) -> usize {
        self.0.2.load(SeqCst)
    }
}

#[derive(Debug)]
enum Refusal {
    Closed,
    Cancelled,
    Other,
}

// P6, V22: whatever is admitted has run when the join returns, and after the close
// nothing starts; what is refused comes back.
#[test]
fn nothing_slips_in_while_a_group_closes() {
    in_time(|| {
        let spawner = Arc::new(pool(3));
        for round in 0..ROUNDS {
            let by = spawner.clone();
            let by = move |task| by(task);
            let group: Group = TaskGroup::with_spawner(&Context::background(), by);
            let group = Arc::new(group);
            let tally = Tally::default();
            let spawning = || -> Body {
                let (group, tally) = (group.clone(), tally.clone());
                Box::new(move || tally.spawn(&group, 20, |why| matches!(why, Refusal::Closed)))
            };
            let (ending, after) = (group.clone(), tally.clone());
            let end: Box<dyn FnOnce() + Send> = Box::new(move || {
                if round % 2 == 0 {
                    assert!(ending.close());
                }
                ending.join_blocking(None).unwrap();
                assert!(ending.is_closed() && ending.is_empty());
                assert!(ending.try_spawn(done()).is_err());
                // Counted after it was admitted, so there may be more of these.
                let ran = after.ran();
                assert!(ran >= after.admitted());
            });
            at_once(vec![spawning(), spawning(), end]);
            assert_eq!(tally.admitted(), tally.ran());
            assert_eq!(tally.admitted() + tally.refused(), 40);
            assert!(group.is_empty());
        }
    });
}

// P6, P71, V22: nothing runs after a join has returned.
#[test]
fn nothing_runs_after_a_join() {
    in_time(|| {
        let spawner = Arc::new(pool(3));
        for _ in 0..ROUNDS {
            let by = spawner.clone();
            let group: Group =
                TaskGroup::with_spawner(&Context::background(), move |task| by(task));
            let group = Arc::new(group);
            let joined = Arc::new(AtomicBool::new(false));
            let spawning = || -> Body {
                let (group, joined) = (group.clone(), joined.clone());
                Box::new(move || {
                    for _ in 0..20 {
                        let joined = joined.clone();
                        let _ = group.try_spawn(async move {
                            assert!(!joined.load(SeqCst), "after the join");
                            Ok(())
                        });
                    }
                })
            };
            let (ending, over) = (group.clone(), joined.clone());
            let join = Box::new(move || {
                ending.join_blocking(None).unwrap();
                over.store(true, SeqCst);
            });
            at_once(vec![spawning(), spawning(), join]);
            // A task that panicked would be told of here.
            group.join_blocking(None).unwrap();
        }
    });
}

// P71, V22: tasks spawn tasks, a random tree of them, while joins wait: all are
// joined, by every join.
#[test]
fn a_tree_of_tasks_is_joined_whole() {
    in_time(|| {
        type Boxed = std::pin::Pin<Box<dyn Future<Output = End> + Send>>;
        fn tree(group: &Arc<Group>, seed: u64, depth: usize, ran: &Arc<AtomicUsize>) -> Boxed {
            let (group, ran) = (group.clone(), ran.clone());
            Box::pin(async move {
                let mut random = Random::new(seed);
                if depth > 0 {
                    for i in 0..random.below(4) {
                        let seed = seed * 7 + i as u64 + 1;
                        let below = tree(&group, seed, depth - 1, &ran);
                        group.try_spawn(below).unwrap();
                    }
                }
                ran.fetch_add(1, SeqCst);
                Ok(())
            })
        }
        let spawner = Arc::new(pool(3));
        for seed in 0..ROUNDS as u64 {
            let by = spawner.clone();
            let group: Group =
                TaskGroup::with_spawner(&Context::background(), move |task| by(task));
            let group = Arc::new(group);
            let ran = Arc::new(AtomicUsize::new(0));
            group.try_spawn(tree(&group, seed, 4, &ran)).unwrap();
            let joins = [0, 1, 2].map(|i| {
                let (group, ran) = (group.clone(), ran.clone());
                start(move || {
                    if i == 0 {
                        drop(peek(&mut boxed(group.join())));
                    }
                    group.join_blocking(None).unwrap();
                    ran.load(SeqCst)
                })
            });
            let counts = joins.map(|join| join.join().unwrap());
            assert_eq!(counts, [ran.load(SeqCst); 3]);
        }
    });
}

// V22: failures race each other, a cancel and a join: one is first, all are told.
#[test]
fn failures_race_and_none_is_lost() {
    in_time(|| {
        let spawner = Arc::new(pool(3));
        for round in 0..ROUNDS {
            let by = spawner.clone();
            let group: Group =
                TaskGroup::with_spawner(&Context::background(), move |task| by(task));
            let group = Arc::new(group);
            let gate = Gate::new();
            for i in 0..3 {
                group.try_spawn(gate.failing(i)).unwrap();
            }
            let (joining, ending) = (group.clone(), group.clone());
            at_once(vec![
                Box::new(move || gate.open()),
                Box::new(move || {
                    let (error, mut all) = failed(joining.join_blocking(None));
                    all.push(error);
                    all.sort_by_key(|fail| fail.0);
                    assert_eq!(all, [Fail(0), Fail(1), Fail(2)]);
                }),
                Box::new(move || {
                    if round % 2 == 0 {
                        ending.cancel_with("racing");
                    }
                }),
            ]);
            let cause = group.context().cause().unwrap();
            let (first, _) = failed(group.join_blocking(None));
            match cause.downcast_ref::<Fail>() {
                Some(fail) => assert_eq!(*fail, first),
                None => assert_eq!(cause.to_string(), "racing"),
            }
        }
    });
}

// V22: a cancel races spawns: what was admitted is told and joined; what was not
// came back for the right reason.
#[test]
fn a_cancel_races_spawns() {
    in_time(|| {
        for _ in 0..ROUNDS / 4 {
            let group = Arc::new(on_threads(&Context::background()));
            let (spawning, ending) = (group.clone(), group.clone());
            let tally = Tally::default();
            let counted = tally.clone();
            at_once(vec![
                Box::new(move || {
                    let refusals = |why: &Refusal| matches!(why, Refusal::Cancelled);
                    counted.spawn(&spawning, 10, refusals);
                }),
                Box::new(move || assert!(ending.cancel())),
            ]);
            group.join_blocking(None).unwrap();
            assert_eq!(tally.admitted(), tally.ran());
        }
    });
}

// V22: groups are forgotten while tasks end, spawn and look: nothing hangs, and
// nothing that was admitted is left out.
#[test]
fn a_group_is_forgotten_while_its_tasks_work() {
    in_time(|| {
        for round in 0..ROUNDS / 4 {
            let group = on_threads(&Context::background()).when_forgotten(|_| ());
            let (ended, all_ended) = mpsc::channel::<()>();
            let ctx = group.context().clone();
            for _ in 0..2 {
                let (handle, sender) = (group.handle(), ended.clone());
                let wait = until_cancelled(&ctx);
                group
                    .try_spawn(async move {
                        let more = sender.clone();
                        let spawned = handle.try_spawn(async move {
                            drop(more);
                            Ok(())
                        });
                        drop(spawned);
                        if round % 2 == 0 {
                            wait.await?;
                        }
                        drop(sender);
                        Ok(())
                    })
                    .unwrap();
            }
            drop((group, ended));
            // All senders are gone when all tasks are.
            assert!(all_ended.recv().is_err());
            assert!(ctx.is_cancelled());
        }
    });
}

// V22: an abort races the ends of its tasks; stragglers are told meanwhile.
#[test]
fn an_abort_races_exits_and_reports() {
    in_time(|| {
        for _ in 0..ROUNDS / 4 {
            let group = Arc::new(on_threads(&Context::background()));
            let gate = Gate::new();
            for i in 0..3 {
                group
                    .task(format!("task {i}"))
                    .try_spawn(gate.task())
                    .unwrap();
            }
            let (aborting, looking) = (group.clone(), group.clone());
            at_once(vec![
                Box::new(move || gate.open()),
                Box::new(move || aborting.abort()),
                Box::new(move || {
                    while !looking.stragglers().is_empty() {
                        for straggler in &looking.stragglers().iter().collect::<Vec<_>>() {
                            assert!(straggler.name().unwrap().starts_with("task"));
                        }
                    }
                }),
            ]);
            match group.join_blocking(None) {
                Ok(()) | Err(JoinError::Aborted(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    });
}
