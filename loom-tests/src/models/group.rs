//! Task groups: who comes in, who is the last, who hears of it.

use crate::tools::{Wakes, poll, race, race3, wait};
use ctxtree::{BoxTask, Context, JoinError, Refused, Spawn, SpawnError, TaskGroup, model};
use std::error::Error;
use std::fmt;
use std::future::{Future, pending};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Why a task failed.
#[derive(Clone, Debug, PartialEq)]
struct Broken(u32);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken {}", self.0)
    }
}

impl Error for Broken {}

type Group = Arc<TaskGroup<Broken>>;

/// Keeps tasks for whoever runs them. Not part of the model: a lock that nobody
/// is stopped in.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<BoxTask>>>);

impl Spawn for Kept {
    fn spawn(&self, task: BoxTask) -> Result<(), Refused> {
        self.0.lock().unwrap().push(task);
        Ok(())
    }
}

impl Kept {
    fn next(&self) -> BoxTask {
        self.0.lock().unwrap().remove(0)
    }
}

/// A group, and what keeps it to the end of the body: loom does not see what the
/// count of an `Arc` orders.
fn group() -> (Group, Kept, Group) {
    let kept = Kept::default();
    let group = TaskGroup::with_spawner(&Context::background(), kept.clone());
    let group = Arc::new(group.when_forgotten(|_| ()));
    (group.clone(), kept, group)
}

fn limited() -> (Group, Kept, Group) {
    let kept = Kept::default();
    let group = TaskGroup::with_spawner(&Context::background(), kept.clone()).limit(1);
    let group = Arc::new(group.when_forgotten(|_| ()));
    (group.clone(), kept, group)
}

/// A task that says what it did, and the word for it.
fn working() -> (
    impl Future<Output = Result<(), Broken>> + Send + 'static,
    Arc<Work>,
) {
    let work = Arc::new(Work::default());
    let told = work.clone();
    let task = async move {
        told.witness.set();
        told.ran.store(true, Ordering::SeqCst);
        Ok(())
    };
    (task, work)
}

/// One of these, spawned, for who runs it.
fn spawned(group: &TaskGroup<Broken>, kept: &Kept) -> (BoxTask, Arc<Work>) {
    let (task, work) = working();
    group.try_spawn(task).unwrap();
    (kept.next(), work)
}

/// What a task did: whether, and what others may know of it.
#[derive(Default)]
struct Work {
    witness: model::Witness,
    ran: AtomicBool,
}

impl Work {
    fn ran(&self) -> bool {
        self.ran.load(Ordering::SeqCst)
    }
}

fn join(group: &Group) -> Result<(), JoinError<Broken>> {
    wait(Box::pin(group.join()))
}

pub(crate) fn last_task_vs_join() {
    let (group, kept, _to_the_end) = group();
    let (task, work) = spawned(&group, &kept);
    race(
        move || wait(task),
        move || {
            join(&group).unwrap();
            work.witness.check();
            assert!(group.context().is_cancelled());
        },
    );
}

pub(crate) fn two_last_tasks_vs_join() {
    let (group, kept, _to_the_end) = group();
    let works = [0, 1].map(|_| {
        let (task, work) = working();
        group.try_spawn(task).unwrap();
        work
    });
    let (one, two) = (kept.next(), kept.next());
    race3(
        move || wait(one),
        move || wait(two),
        move || {
            join(&group).unwrap();
            works.iter().for_each(|work| work.witness.check());
        },
    );
}

pub(crate) fn two_joins_vs_last_task() {
    let (group, kept, _to_the_end) = group();
    let (task, _) = spawned(&group, &kept);
    race(
        move || wait(task),
        move || {
            let mut other = Box::pin(group.join());
            let ready = poll(&mut other, &Wakes::new());
            join(&group).unwrap();
            if !ready {
                wait(other).unwrap();
            }
        },
    );
}

pub(crate) fn admit_vs_close() {
    let (group, kept, _to_the_end) = group();
    let (task, work) = working();
    let (closing, seen) = (group.clone(), work.clone());
    let (admitted, ran) = race(
        move || match group.try_spawn(task) {
            Ok(()) => {
                wait(kept.next());
                true
            }
            Err(SpawnError::Closed(_)) => false,
            Err(error) => panic!("{error}"),
        },
        move || {
            assert!(closing.close());
            join(&closing).unwrap();
            seen.ran()
        },
    );
    assert_eq!(admitted, ran, "what came before the close was waited for");
}

pub(crate) fn admit_vs_join() {
    let (group, kept, _to_the_end) = group();
    let (task, work) = working();
    let (joining, seen) = (group.clone(), work.clone());
    let (admitted, ran) = race(
        move || {
            let admitted = group.try_spawn(task).is_ok();
            if admitted {
                wait(kept.next());
            }
            admitted
        },
        move || {
            join(&joining).unwrap();
            assert!(joining.is_closed());
            seen.ran()
        },
    );
    assert_eq!(admitted, ran, "what was admitted was waited for");
}

pub(crate) fn last_task_vs_close() {
    let (group, kept, _to_the_end) = group();
    let (task, _) = spawned(&group, &kept);
    let closing = group.clone();
    race(move || wait(task), move || assert!(closing.close()));
    assert!(group.context().is_cancelled(), "somebody wound up");
    let mut join = Box::pin(group.join());
    assert!(poll(&mut join, &Wakes::new()), "and nobody forgot the end");
}

/// Looks once whether the group winds up; if so, all of `works` came before.
fn told(group: &Group, works: &[Arc<Work>]) {
    if group.context().is_cancelled() {
        works.iter().for_each(|work| work.witness.check());
    }
}

pub(crate) fn last_tasks_observed() {
    let (group, kept, _to_the_end) = group();
    let works = [0, 1].map(|_| {
        let (task, work) = working();
        group.try_spawn(task).unwrap();
        work
    });
    group.close();
    let (one, two) = (kept.next(), kept.next());
    race3(
        move || wait(one),
        move || wait(two),
        move || told(&group, &works),
    );
}

pub(crate) fn last_task_vs_close_observed() {
    let (group, kept, _to_the_end) = group();
    let (task, work) = spawned(&group, &kept);
    let closing = group.clone();
    race3(
        move || wait(task),
        move || assert!(closing.close()),
        move || told(&group, &[work]),
    );
}

pub(crate) fn last_task_vs_join_observed() {
    let (group, kept, _to_the_end) = group();
    let (task, work) = spawned(&group, &kept);
    let joining = group.clone();
    race3(
        move || wait(task),
        move || poll(&mut Box::pin(joining.join()), &Wakes::new()),
        move || told(&group, &[work]),
    );
}

pub(crate) fn background_task_vs_join() {
    let (group, kept, _to_the_end) = group();
    let ctx = group.context().clone();
    let told = async move {
        ctx.cancelled().await;
        Ok(())
    };
    group.spawn_background(told).unwrap();
    let task = kept.next();
    let joining = group.clone();
    race(
        move || wait(task),
        move || poll(&mut Box::pin(joining.join()), &Wakes::new()),
    );
    let mut join = Box::pin(group.join());
    assert!(poll(&mut join, &Wakes::new()), "it went when it was told");
}

pub(crate) fn background_task_vs_wind_up() {
    let (group, kept, _to_the_end) = group();
    let (task, _work) = working();
    group.spawn_background(task).unwrap();
    let task = kept.next();
    let ending = group.clone();
    race(
        move || {
            wait(task);
            if poll(&mut Box::pin(ending.join()), &Wakes::new()) {
                assert!(ending.context().is_cancelled());
            }
        },
        move || poll(&mut Box::pin(group.join()), &Wakes::new()),
    );
}

pub(crate) fn wind_up_vs_background_task() {
    let (group, kept, _to_the_end) = group();
    let (task, work) = working();
    group.spawn_background(task).unwrap();
    let task = kept.next();
    race(
        move || wait(task),
        move || {
            if poll(&mut Box::pin(group.join()), &Wakes::new()) {
                work.witness.check();
            }
        },
    );
}

pub(crate) fn failure_vs_join() {
    let (group, kept, _to_the_end) = group();
    group.try_spawn(async { Err(Broken(1)) }).unwrap();
    let task = kept.next();
    race(
        move || wait(task),
        move || match join(&group) {
            Err(JoinError::Failed { error, others }) => {
                assert_eq!((error, others.len()), (Broken(1), 0));
            }
            other => panic!("{other:?}"),
        },
    );
}

pub(crate) fn failures_vs_failures() {
    let (group, kept, _to_the_end) = group();
    for number in 0..2 {
        group.try_spawn(async move { Err(Broken(number)) }).unwrap();
    }
    let (one, two) = (kept.next(), kept.next());
    race(move || wait(one), move || wait(two));
    let mut joined = None;
    let mut join = Box::pin(async { joined = Some(group.join().await) });
    assert!(poll(&mut join, &Wakes::new()));
    drop(join);
    let Some(Err(JoinError::Failed { error, others })) = joined else {
        panic!("{joined:?}");
    };
    assert_eq!(others, [Broken(1 - error.0)]);
    let cause = group.context().cause().unwrap();
    assert_eq!(cause.downcast_ref(), Some(&error), "the first is the cause");
}

pub(crate) fn abort_vs_poll() {
    let (group, kept, _to_the_end) = group();
    group.try_spawn(pending()).unwrap();
    let task = kept.next();
    race(move || wait(task), move || group.abort());
}

pub(crate) fn abort_vs_repoll() {
    let (group, kept, _to_the_end) = group();
    group.try_spawn(pending()).unwrap();
    let mut task = kept.next();
    race(
        move || {
            if !poll(&mut task, &Wakes::new()) {
                wait(task);
            }
        },
        move || group.abort(),
    );
}

pub(crate) fn abort_vs_end() {
    let (group, kept, _to_the_end) = group();
    let (task, _) = spawned(&group, &kept);
    let aborting = group.clone();
    race(move || wait(task), move || aborting.abort());
    assert_eq!(group.len(), 0);
}

pub(crate) fn abort_vs_spawn() {
    let (group, kept, _to_the_end) = group();
    let aborting = group.clone();
    race(
        move || match group.try_spawn(pending()) {
            Ok(()) => wait(kept.next()),
            Err(error) => assert!(matches!(error, SpawnError::Cancelled(_))),
        },
        move || aborting.abort(),
    );
}

pub(crate) fn stragglers_vs_end() {
    let (group, kept, _to_the_end) = group();
    let (task, _) = spawned(&group, &kept);
    let asking = group.clone();
    let ((), seen) = race(move || wait(task), move || asking.stragglers().len());
    assert!(seen <= 1);
    assert!(group.stragglers().is_empty());
}

pub(crate) fn place_vs_end_of_a_task() {
    let (group, kept, _to_the_end) = limited();
    let (first, _work) = working();
    let (second, work) = working();
    group.try_spawn(first).unwrap();
    let first = kept.next();
    let spawning = group.clone();
    race(
        move || wait(first),
        move || {
            wait(Box::pin(spawning.spawn(second))).unwrap();
            wait(kept.next());
        },
    );
    assert!(work.ran());
    assert_eq!(group.len(), 0);
}

pub(crate) fn place_vs_close() {
    let (group, kept, _to_the_end) = limited();
    let (first, _work) = working();
    let (second, _) = working();
    group.try_spawn(first).unwrap();
    let spawning = group.clone();
    let (closed, refused) = race(
        move || group.close(),
        move || wait(Box::pin(spawning.spawn(second))),
    );
    assert!(closed);
    assert!(matches!(refused, Err(SpawnError::Closed(_))));
    drop(kept.next());
}

pub(crate) fn place_given_up_vs_end_of_a_task() {
    let (group, kept, _to_the_end) = limited();
    let (first, _work) = working();
    let (second, _) = working();
    group.try_spawn(first).unwrap();
    let first = kept.next();
    let spawning = group.clone();
    race(
        move || wait(first),
        move || {
            let mut spawn = Box::pin(spawning.spawn(second));
            poll(&mut spawn, &Wakes::new());
        },
    );
    let admitted = group.len();
    let (third, _) = working();
    let again = group.try_spawn(third).is_ok();
    assert_ne!(
        again,
        admitted == 1,
        "the place is there for one of the two"
    );
    // They hold the group, which holds what keeps them.
    let tasks = std::mem::take(&mut *kept.0.lock().unwrap());
    drop(tasks);
}

pub(crate) fn forgotten_group_vs_end() {
    let kept = Kept::default();
    let group = TaskGroup::<Broken>::with_spawner(&Context::background(), kept.clone());
    let group = group.when_forgotten(|_| ());
    let _to_the_end = group.task("never spawned");
    let (task, work) = spawned(&group, &kept);
    race(move || wait(task), move || drop(group));
    assert!(work.ran());
}

/// Who drops a group without a task in it hears of a panic that nobody saw.
pub(crate) fn forgotten_panic_vs_end() {
    let kept = Kept::default();
    let told = Arc::new(AtomicBool::new(false));
    let tells = told.clone();
    let group = TaskGroup::<Broken>::with_spawner(&Context::background(), kept.clone());
    let group = group.when_forgotten(move |_| tells.store(true, Ordering::SeqCst));
    let _to_the_end = group.task("never spawned");
    group
        .try_spawn(async { std::panic::resume_unwind(Box::new("a panic")) })
        .unwrap();
    group.close();
    let task = kept.next();
    race(move || wait(task), move || drop(group));
    assert!(told.load(Ordering::SeqCst), "of the task, or of its panic");
}

pub(crate) fn forgotten_group_vs_failure() {
    let kept = Kept::default();
    let group = TaskGroup::<Broken>::with_spawner(&Context::background(), kept.clone());
    let group = group.when_forgotten(|_| ());
    let _to_the_end = group.task("never spawned");
    group.try_spawn(async { Err(Broken(1)) }).unwrap();
    let task = kept.next();
    race(move || wait(task), move || drop(group));
}
