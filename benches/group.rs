//! What does a task cost more in a group than on its bare spawner, from its spawn
//! to its end; what does a group cost that is made, joined and dropped; and what
//! does it cost to be waited for?
//!
//! The bare spawner is handed what a group hands to it: a future in a box. In
//! tokio's rows all wait for a chunk of tasks in the same way, by a count that the
//! task itself keeps, so that what differs is what is around the task.

mod support;

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as Cx, Poll, Waker};
use std::time::Instant;

use ctxtree::spawn::Tokio;
use ctxtree::{BoxTask, Context, Refused, TaskGroup};
use support::Bench;
use support::bits::poll_once;
use support::question::Question;
use support::rounds::{looped, nanos_per};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};
use tokio_util::task::TaskTracker;

type Group = TaskGroup<fmt::Error>;
type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

const BARE: &str = "bare spawner";
const UNBOXED: &str = "tokio::spawn, no box";
const JOIN_SET: &str = "JoinSet";
const TRACKER: &str = "TaskTracker";
const SEMAPHORE: &str = "semaphore + tokio::spawn";
const PLAIN: &str = "not waited for";

/// What a task may cost more in a group, in nanoseconds.
const ADDED: f64 = 150.0;

/// Tasks that are under way at a time.
const CHUNK: u64 = 64;

static ENDED: AtomicU64 = AtomicU64::new(0);

fn main() {
    let bench = Bench::start("group");
    for (kind, yields) in [("ready at once", 0), ("yields once", 1)] {
        let title = format!("spawn + finish, {kind}, polled in the spawn");
        bench.ask(&title, |q| inline(&bench, yields, q));
        let title = format!("spawn + finish, {kind}, a queue on one thread");
        bench.ask(&title, |q| queue(&bench, yields, q));
        let title = format!("spawn + finish, {kind}, tokio current_thread");
        let one = Arc::new(Builder::new_current_thread().build().expect("no threads"));
        bench.ask(&title, |q| on_tokio(&bench, &one, yields, q));
        let title = format!("spawn + finish, {kind}, tokio multi_thread");
        let many = Builder::new_multi_thread().worker_threads(2).build();
        let many = Arc::new(many.expect("two threads"));
        bench.ask(&title, |q| on_tokio(&bench, &many, yields, q));
    }
    bench.ask("spawn + finish, 64 places, tokio current_thread", |q| {
        let one = Arc::new(Builder::new_current_thread().build().expect("no threads"));
        let (two, places) = (one.clone(), Arc::new(Semaphore::new(CHUNK as usize)));
        q.ours(looped(&bench, move |n| limited(&one, n)))
            .contender(
                SEMAPHORE,
                looped(&bench, move |n| with_semaphore(&two, &places, n)),
            )
            .at_most_added(ADDED, SEMAPHORE)
    });
    for number in [1_000, 10_000, 100_000] {
        let title = format!("join after {number} tasks, all over: a task");
        bench.ask(&title, |q| {
            let number = bench.pick(number, number / 100);
            let one = Builder::new_current_thread().build().expect("no threads");
            let measures = &["spawned, run and joined", "the join alone, in all"];
            q.rounds(31)
                .measures(measures)
                .ours(move || joined(number))
                .contender(JOIN_SET, move || joined_set(&one, number))
        });
    }
    for tasks in [0, 1] {
        let title = format!("a group made, joined and dropped, {tasks} tasks");
        bench.ask(&title, |q| lifecycle(&bench, tasks, q));
    }
    for children in [1, 1_000] {
        let title = format!("idle(): made, polled, dropped, {children} children");
        bench.ask(&title, |q| {
            let (root, _stop) = Context::background().with_cancel();
            let held: Vec<_> = (0..children).map(|_| root.with_cancel()).collect();
            q.ours(looped(&bench, move |n| {
                black_box(&held);
                for _ in 0..n {
                    assert!(poll_once(pin!(root.idle()), Waker::noop()));
                }
            }))
        });
    }
    bench.ask("wait_idle without children", |q| {
        let (root, _stop) = Context::background().with_cancel();
        q.ours(looped(&bench, move |n| {
            for _ in 0..n {
                black_box(root.wait_idle(None));
            }
        }))
    });
    bench.ask("derive + drop below one that is waited for", |q| {
        let (waited, stop) = Context::background().with_cancel();
        let held = waited.with_cancel();
        let (plain, other) = Context::background().with_cancel();
        let idle = waited.clone();
        let mut idle = Box::pin(async move { idle.idle().await });
        assert!(poll_once(idle.as_mut(), Waker::noop()));
        q.ours(looped(&bench, move |n| {
            black_box((&held, &idle, &stop));
            derive(&waited, n);
        }))
        .contender(
            PLAIN,
            looped(&bench, move |n| {
                black_box(&other);
                derive(&plain, n);
            }),
        )
    });
    bench.finish();
}

fn derive(parent: &Context, times: u64) {
    for _ in 0..times {
        drop(black_box(parent.with_cancel()));
    }
}

/// Wakes itself so many times, then ends; counted in the end, if told to.
struct Work {
    yields: u32,
    counted: bool,
}

impl Work {
    fn silent(yields: u32) -> Work {
        let counted = false;
        Work { yields, counted }
    }

    fn counted(yields: u32) -> Work {
        let counted = true;
        Work { yields, counted }
    }

    async fn run(self) {
        let _ = self.await;
    }
}

impl Future for Work {
    type Output = Result<(), fmt::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        if self.yields > 0 {
            self.yields -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.counted {
            ENDED.fetch_add(1, Ordering::Release);
        }
        Poll::Ready(Ok(()))
    }
}

fn boxed(work: Work) -> Boxed {
    Box::pin(work.run())
}

fn finish(mut task: impl Future<Output = ()> + Unpin) {
    while poll_once(Pin::new(&mut task), Waker::noop()) {}
}

fn inline<'a>(bench: &Bench, yields: u32, q: Question<'a>) -> Question<'a> {
    let group = Group::with_spawner(&Context::background(), |task| {
        finish(task);
        Ok(())
    });
    let tracker = TaskTracker::new();
    // The same call through a pointer, as a group has it.
    let bare: Box<dyn Fn(Boxed) -> Result<(), Refused>> = Box::new(|task| {
        finish(task);
        Ok(())
    });
    q.ours(looped(bench, move |n| {
        for _ in 0..n {
            let spawned = group.try_spawn(black_box(Work::silent(yields)));
            assert!(spawned.is_ok());
        }
    }))
    .contender(
        BARE,
        looped(bench, move |n| {
            for _ in 0..n {
                assert!(bare(boxed(black_box(Work::silent(yields)))).is_ok());
            }
        }),
    )
    .contender(
        TRACKER,
        looped(bench, move |n| {
            for _ in 0..n {
                let work = black_box(Work::silent(yields)).run();
                let task: Boxed = Box::pin(tracker.track_future(work));
                finish(task);
            }
        }),
    )
    .at_most_added(ADDED, BARE)
}

/// Run in the order they came, a chunk at a time; what yields goes to the end.
fn drain<T: Future<Output = ()> + Unpin>(queue: &Mutex<VecDeque<T>>) {
    let next = || queue.lock().expect("no task panics").pop_front();
    while let Some(mut task) = next() {
        if poll_once(Pin::new(&mut task), Waker::noop()) {
            queue.lock().expect("no task panics").push_back(task);
        }
    }
}

fn queue<'a>(bench: &Bench, yields: u32, q: Question<'a>) -> Question<'a> {
    let tasks: Arc<Mutex<VecDeque<BoxTask>>> = Arc::default();
    let theirs = tasks.clone();
    let group = Group::with_spawner(&Context::background(), move |task| {
        theirs.lock().expect("no task panics").push_back(task);
        Ok(())
    });
    let bare: Mutex<VecDeque<Boxed>> = Mutex::default();
    q.ours(looped(bench, move |n| {
        for number in 0..n {
            let spawned = group.try_spawn(black_box(Work::silent(yields)));
            assert!(spawned.is_ok());
            if number % CHUNK == 0 {
                drain(&tasks);
            }
        }
        drain(&tasks);
    }))
    .contender(
        BARE,
        looped(bench, move |n| {
            for number in 0..n {
                let task = boxed(black_box(Work::silent(yields)));
                bare.lock().expect("no task panics").push_back(task);
                if number % CHUNK == 0 {
                    drain(&bare);
                }
            }
            drain(&bare);
        }),
    )
    .at_most_added(ADDED, BARE)
}

/// Spawns `n` tasks, a chunk at a time, from a task of the runtime.
fn chunks<S>(runtime: &Runtime, n: u64, mut spawn: S)
where
    S: FnMut() + Send + 'static,
{
    runtime.block_on(async move {
        let all = tokio::spawn(async move {
            let mut left = n;
            while left > 0 {
                let chunk = left.min(CHUNK);
                let target = ENDED.load(Ordering::Relaxed) + chunk;
                (0..chunk).for_each(|_| spawn());
                ended(target).await;
                left -= chunk;
            }
        });
        all.await.expect("it does not panic");
    });
}

async fn ended(target: u64) {
    while ENDED.load(Ordering::Acquire) < target {
        yield_now().await;
    }
}

fn on_tokio<'a>(
    bench: &Bench,
    runtime: &Arc<Runtime>,
    yields: u32,
    q: Question<'a>,
) -> Question<'a> {
    let spawner = Tokio::on(runtime.handle().clone());
    let group = Arc::new(Group::with_spawner(&Context::background(), spawner));
    let tracker = TaskTracker::new();
    let [one, two, three, four, five] = std::array::from_fn(|_| runtime.clone());
    q.ours(looped(bench, move |n| {
        let group = group.clone();
        chunks(&one, n, move || {
            assert!(group.try_spawn(Work::counted(yields)).is_ok());
        });
    }))
    .contender(
        BARE,
        looped(bench, move |n| {
            chunks(&two, n, move || {
                tokio::spawn(boxed(Work::counted(yields)));
            });
        }),
    )
    .contender(
        UNBOXED,
        looped(bench, move |n| {
            chunks(&three, n, move || {
                tokio::spawn(Work::counted(yields));
            });
        }),
    )
    .contender(
        JOIN_SET,
        looped(bench, move |n| {
            let mut set = JoinSet::new();
            let mut spawned = 0;
            chunks(&four, n, move || {
                if spawned == CHUNK {
                    while set.try_join_next().is_some() {}
                    spawned = 0;
                }
                set.spawn(Work::counted(yields));
                spawned += 1;
            });
        }),
    )
    .contender(
        TRACKER,
        looped(bench, move |n| {
            let tracker = tracker.clone();
            chunks(&five, n, move || {
                tracker.spawn(Work::counted(yields));
            });
        }),
    )
    .at_most_added(ADDED, BARE)
}

fn limited(runtime: &Runtime, n: u64) {
    runtime.block_on(async {
        let group = Group::new(&Context::background()).limit(CHUNK as usize);
        for _ in 0..n {
            let spawned = group.spawn(Work::silent(0)).await;
            assert!(spawned.is_ok());
        }
        group.join().await.expect("no task fails");
    });
}

fn with_semaphore(runtime: &Runtime, places: &Arc<Semaphore>, n: u64) {
    runtime.block_on(async {
        for _ in 0..n {
            let place = places.clone().acquire_owned().await.expect("never closed");
            let task: Boxed = Box::pin(async move {
                Work::silent(0).run().await;
                drop(place);
            });
            tokio::spawn(task);
        }
        let all = places.acquire_many(CHUNK as u32).await;
        drop(all.expect("never closed"));
    });
}

fn joined(number: u64) -> Vec<f64> {
    let start = Instant::now();
    let group = Group::with_spawner(&Context::background(), |task| {
        finish(task);
        Ok(())
    });
    for _ in 0..number {
        assert!(group.try_spawn(Work::silent(0)).is_ok());
    }
    let join = Instant::now();
    group.join_blocking(None).expect("no task fails");
    let alone = join.elapsed();
    vec![nanos_per(start.elapsed(), number), alone.as_nanos() as f64]
}

fn joined_set(runtime: &Runtime, number: u64) -> Vec<f64> {
    runtime.block_on(async {
        let start = Instant::now();
        let target = ENDED.load(Ordering::Relaxed) + number;
        let mut set = JoinSet::new();
        for _ in 0..number {
            set.spawn(Work::counted(0));
        }
        ended(target).await;
        let join = Instant::now();
        while set.join_next().await.is_some() {}
        let alone = join.elapsed();
        vec![nanos_per(start.elapsed(), number), alone.as_nanos() as f64]
    })
}

fn lifecycle<'a>(bench: &Bench, tasks: u64, q: Question<'a>) -> Question<'a> {
    let (root, stop) = Context::background().with_cancel();
    q.ours(looped(bench, move |n| {
        black_box(&stop);
        for _ in 0..n {
            let group = Group::with_spawner(&root, |task| {
                finish(task);
                Ok(())
            });
            for _ in 0..tasks {
                assert!(group.try_spawn(Work::silent(0)).is_ok());
            }
            assert!(!poll_once(pin!(group.join()), Waker::noop()));
        }
    }))
    .contender(
        TRACKER,
        looped(bench, move |n| {
            for _ in 0..n {
                let tracker = TaskTracker::new();
                for _ in 0..tasks {
                    let task: Boxed = Box::pin(tracker.track_future(Work::silent(0).run()));
                    finish(task);
                }
                tracker.close();
                assert!(!poll_once(pin!(tracker.wait()), Waker::noop()));
            }
        }),
    )
}
