//! Does a group that lives long keep anything of its tasks, and is a join ever
//! lost? Counts, not times, so this one fails when an answer is wrong.

mod support;

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use ctxtree::{BoxTask, Context, JoinError, Refused, SpawnError, TaskGroup};
use support::Bench;
use support::bits::{Random, poll_once};
use support::heap::{Answers, COLLECTED, Counting, count, live};

#[global_allocator]
static HEAP: Counting = Counting;

type Group = TaskGroup<fmt::Error>;

fn main() {
    let bench = Bench::start("group_memory");
    let mut answers = Answers::default();
    one_task(&mut answers);
    one_group(&mut answers);
    long_lived(&mut answers, bench.pick(10_000_000, 100_000));
    many_groups(&mut answers, bench.pick(1_000_000, 20_000));
    rounds(&mut answers, bench.pick(1_000_000, 20_000));
    bench.finish();
    answers.finish();
}

/// Runs each task where it is spawned.
fn inline(task: BoxTask) -> Result<(), Refused> {
    assert!(!poll_once(pin!(task), Waker::noop()));
    Ok(())
}

fn one_task(answers: &mut Answers) {
    const TASKS: usize = 1_000;
    let group = Group::with_spawner(&Context::background(), inline);
    group.try_spawn(async { Ok(()) }).expect("open");
    let before = count();
    for _ in 0..TASKS {
        group.try_spawn(async { Ok(()) }).expect("open");
    }
    let made = count() - before;
    // The box of the task. Its node is nearly always one that the thread has kept.
    answers.check(
        made <= TASKS + TASKS / 20,
        "a task, spawned and over",
        format_args!("{} allocations", made as f64 / TASKS as f64),
    );
}

fn one_group(answers: &mut Answers) {
    const GROUPS: usize = 1_000;
    let run = || {
        let group = Group::with_spawner(&Context::background(), inline);
        assert!(!poll_once(pin!(group.join()), Waker::noop()));
    };
    (0..GROUPS).for_each(|_| run());
    let before = count();
    (0..GROUPS).for_each(|_| run());
    let made = (count() - before) as f64 / GROUPS as f64;
    answers.check(
        made <= 5.0,
        "a group, made, joined and dropped",
        format_args!("{made} allocations"),
    );
}

/// In batches on two threads, so that tasks end where they did not begin.
fn long_lived(answers: &mut Answers, tasks: usize) {
    const BATCH: usize = 1_000;
    let crew = Crew::new();
    let group = Group::with_spawner(&Context::background(), crew.spawner());
    let ended = Arc::new(AtomicUsize::new(0));
    let mut spawned = 0;
    let mut run = |tasks: usize| {
        for _ in 0..tasks / BATCH {
            for _ in 0..BATCH {
                let ended = ended.clone();
                let task = async move {
                    ended.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                };
                group.try_spawn(task).expect("open");
            }
            spawned += BATCH;
            while !group.is_empty() {
                thread::yield_now();
            }
        }
    };
    run(tasks / 10);
    let before = live();
    run(tasks);
    let question = format!("{tasks} tasks of one group, on 2 threads");
    answers.flat_within(COLLECTED, &question, before, live());
    group.join_blocking(None).expect("no task fails");
    let ended = ended.load(Ordering::Relaxed);
    answers.check(
        ended == spawned,
        "the same, joined",
        format_args!("{ended} of {spawned} ran"),
    );
}

fn many_groups(answers: &mut Answers, groups: usize) {
    let (root, _stop) = Context::background().with_cancel();
    let run = |groups: usize| {
        for _ in 0..groups {
            let group = Group::with_spawner(&root, inline);
            group.try_spawn(async { Ok(()) }).expect("open");
            assert!(!poll_once(pin!(group.join()), Waker::noop()));
        }
    };
    run(groups / 10);
    let before = live();
    run(groups);
    let question = format!("{groups} groups of one task");
    answers.flat_within(COLLECTED, &question, before, live());
}

/// Two threads that run what they are sent, in turns.
struct Crew {
    queues: [Sender<BoxTask>; 2],
    threads: Vec<thread::JoinHandle<()>>,
}

impl Crew {
    fn new() -> Crew {
        let pairs: [(Sender<BoxTask>, Receiver<BoxTask>); 2] = [channel(), channel()];
        let mut threads = Vec::new();
        let queues = pairs.map(|(queue, tasks)| {
            threads.push(thread::spawn(move || work(tasks)));
            queue
        });
        Crew { queues, threads }
    }

    fn spawner(&self) -> impl Fn(BoxTask) -> Result<(), Refused> + Send + Sync + use<> {
        let queues = self.queues.clone().map(Mutex::new);
        let turn = AtomicUsize::new(0);
        move |task| {
            let turn = turn.fetch_add(1, Ordering::Relaxed);
            let queue = queues[turn % 2].lock().expect("no thread panics");
            queue
                .send(task)
                .map_err(|back| Refused::new(back.0, "no worker"))
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // The workers end when the spawners are gone, too.
        self.queues = [channel().0, channel().0];
        if thread::panicking() {
            return;
        }
        for thread in self.threads.drain(..) {
            thread.join().expect("no task panics");
        }
    }
}

/// What is not ready is polled again: after those that came meanwhile.
fn work(tasks: Receiver<BoxTask>) {
    let mut waiting: Vec<BoxTask> = Vec::new();
    loop {
        let next = match waiting.is_empty() {
            true => tasks.recv().ok(),
            false => tasks.try_recv().ok(),
        };
        if next.is_none() && waiting.is_empty() {
            return;
        }
        waiting.extend(next);
        waiting.retain_mut(|task| poll_once(pin!(task), Waker::noop()));
    }
}

/// A task that ends at its `polls`-th poll, or when its context is done.
async fn task(polls: usize, fails: bool, ended: Arc<AtomicUsize>) -> Result<(), fmt::Error> {
    for _ in 0..polls {
        yield_now().await;
    }
    ended.fetch_add(1, Ordering::Relaxed);
    if fails { Err(fmt::Error) } else { Ok(()) }
}

async fn yield_now() {
    let mut polled = false;
    std::future::poll_fn(|_| match std::mem::replace(&mut polled, true) {
        true => std::task::Poll::Ready(()),
        false => std::task::Poll::Pending,
    })
    .await;
}

/// A join that is lost never comes back; ten seconds say so.
const LOST: Duration = Duration::from_secs(10);

/// Tasks that end at random moments on two threads, and whoever closes, joins,
/// drops a join, cancels and spawns meanwhile.
fn rounds(answers: &mut Answers, rounds: usize) {
    let crew = Crew::new();
    let spawner = Arc::new(crew.spawner());
    let mut random = Random::new();
    let (mut lost, mut early, mut tasks) = (0, 0, 0);
    for _ in 0..rounds {
        let spawner = spawner.clone();
        let group = Group::with_spawner(&Context::background(), move |task| spawner(task));
        let ended = Arc::new(AtomicUsize::new(0));
        let (mut spawned, mut failing) = (0, false);
        let mut spawn = |random: &mut Random| {
            let fails = random.below(16) == 0;
            let task = task(random.below(3), fails, ended.clone());
            let result = match random.below(8) {
                0 => group.spawn_background(task),
                _ => group.try_spawn(task),
            };
            match result {
                Ok(()) => {
                    spawned += 1;
                    failing |= fails;
                }
                Err(SpawnError::Closed(_) | SpawnError::Cancelled(_)) => {}
                Err(error) => panic!("{error}"),
            }
        };
        for _ in 0..random.below(5) {
            spawn(&mut random);
        }
        for _ in 0..random.below(4) {
            match random.below(5) {
                0 => drop(group.close()),
                // A join that is given up: the group is joined all the same.
                1 => drop(poll_once(pin!(group.join()), Waker::noop())),
                2 => drop(group.cancel()),
                3 => thread::yield_now(),
                _ => spawn(&mut random),
            }
        }
        let outcome = group.join_blocking(Some(LOST));
        early += usize::from(ended.load(Ordering::Relaxed) != spawned);
        tasks += spawned;
        match outcome {
            Ok(()) if !failing => {}
            Err(JoinError::Failed { .. }) if failing => {}
            _ => lost += 1,
        }
    }
    drop(spawner);
    answers.check(
        lost + early == 0,
        &format!("{rounds} random rounds"),
        format_args!("{tasks} tasks; {lost} joins lost or wrong, {early} before all had ended"),
    );
}
