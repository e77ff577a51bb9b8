//! Task groups on tokio: its runtimes, its blocking threads, its time.

use super::group_tools::{End, Fail, Group, block_on, done, failed, until_cancelled};
use super::tools::{OnDrop, in_time, ms, peek};
use crate::spawn::Tokio;
use crate::time::Timers;
use crate::{BoxTask, Context, JoinError, Refused, TaskGroup, TaskState};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Notify, oneshot};
use tokio::task::{spawn_blocking, yield_now};

fn single() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn multi() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_time().build().unwrap()
}

/// Each runtime with a group on it, made inside by `new` and outside by handle.
fn runtimes() -> Vec<(Runtime, Group)> {
    let parent = Context::background();
    let mut all = Vec::new();
    for runtime in [single(), multi()] {
        let group = runtime.block_on(async { TaskGroup::new(&parent) });
        all.push((runtime, group));
    }
    for runtime in [single(), multi()] {
        let spawner = Tokio::on(runtime.handle().clone());
        all.push((runtime, TaskGroup::with_spawner(&parent, spawner)));
    }
    for runtime in [single(), multi()] {
        let spawner = runtime.block_on(async { Tokio::current() });
        all.push((runtime, TaskGroup::with_spawner(&parent, spawner)));
    }
    all
}

// V22: tasks run on the runtime, and a join there waits for all of them.
#[test]
fn tasks_run_on_the_runtime() {
    in_time(|| {
        for (runtime, group) in runtimes() {
            let id = runtime.handle().id();
            runtime.block_on(async {
                let sum = Arc::new(AtomicUsize::new(0));
                for i in 0..20 {
                    let sum = sum.clone();
                    let task = async move {
                        assert_eq!(Handle::current().id(), id);
                        for _ in 0..i {
                            yield_now().await;
                        }
                        sum.fetch_add(1, SeqCst);
                        Ok(())
                    };
                    if i % 2 == 0 {
                        group.spawn(task).await.unwrap();
                    } else {
                        group.task(format!("task {i}")).try_spawn(task).unwrap();
                    }
                }
                group.join().await.unwrap();
                assert_eq!(sum.load(SeqCst), 20);
            });
        }
    });
}

// V22: an error, a panic, a task that is lost.
#[test]
fn failures_on_the_runtime_are_told() {
    in_time(|| {
        for (runtime, group) in runtimes() {
            let ctx = group.context().clone();
            group.try_spawn(until_cancelled(&ctx)).unwrap();
            group.try_spawn(async { Err(Fail(1)) }).unwrap();
            assert_eq!(failed(runtime.block_on(group.join())).0, Fail(1));
        }
        for (runtime, group) in runtimes() {
            let ctx = group.context().clone();
            group.try_spawn(until_cancelled(&ctx)).unwrap();
            group.try_spawn(async { panic!("on tokio") }).unwrap();
            let panic = super::group_tools::panic_of(|| runtime.block_on(group.join()));
            assert_eq!(panic.as_deref(), Some("on tokio"));
        }
    });
}

// V22: a runtime that goes takes its tasks along: they are aborted, and whoever
// joins elsewhere is told. What is spawned after it is lost too.
#[test]
fn a_runtime_that_goes_aborts_its_tasks() {
    in_time(|| {
        for (runtime, group) in runtimes() {
            group
                .task("stuck")
                .try_spawn(std::future::pending::<End>())
                .unwrap();
            runtime.block_on(yield_now());
            assert_eq!(group.len(), 1);
            drop(runtime);
            assert_eq!(group.len(), 0);
            let error = group.join_blocking(None).unwrap_err();
            assert!(matches!(&error, JoinError::Aborted(which) if which.contains("stuck")));
        }
        for (runtime, group) in runtimes() {
            drop(runtime);
            let ran = Arc::new(AtomicUsize::new(0));
            let count = ran.clone();
            let spawned = group.try_spawn(async move {
                count.fetch_add(1, SeqCst);
                Ok(())
            });
            let refused = spawned.is_err();
            assert_eq!((group.len(), ran.load(SeqCst)), (0, 0));
            assert_eq!(group.join_blocking(None).is_ok(), refused);
        }
    });
}

// V22: abort, for tasks that hear no cancel.
#[test]
fn an_abort_ends_tasks_of_the_runtime() {
    in_time(|| {
        for (runtime, group) in runtimes() {
            let held = Arc::new(());
            for _ in 0..3 {
                let inside = held.clone();
                group
                    .try_spawn(async move {
                        let _inside = inside;
                        std::future::pending::<End>().await
                    })
                    .unwrap();
            }
            runtime.block_on(async {
                yield_now().await;
                group.abort();
                assert!(matches!(group.join().await, Err(JoinError::Aborted(_))));
            });
            assert_eq!(Arc::strong_count(&held), 1);
        }
    });
}

// V22: who is still there, on the paused time of the runtime.
#[test]
fn a_join_with_a_limit_follows_paused_time() {
    in_time(|| {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let parent = Context::background().with_driver(&Timers::tokio());
            let group: Group = TaskGroup::new(&parent);
            let (go, gone) = oneshot::channel::<()>();
            group
                .task("slow")
                .try_spawn(async move {
                    gone.await.unwrap();
                    Ok(())
                })
                .unwrap();
            let joined = group.join_timeout(ms(60_000)).await;
            let Err(JoinError::TimedOut(stragglers)) = joined else {
                panic!("{joined:?}");
            };
            let straggler = stragglers.iter().next().unwrap();
            assert_eq!(straggler.name(), Some("slow"));
            assert_eq!(straggler.state(), TaskState::Running);
            assert!(straggler.age() >= ms(60_000));
            go.send(()).unwrap();
            group.join_timeout(ms(60_000)).await.unwrap();
        });
    });
}

// T34, V22: a spawner onto blocking threads; a task there counts until its future
// has been dropped.
#[test]
fn tasks_on_blocking_threads_count_until_they_are_dropped() {
    in_time(|| {
        let runtime = multi();
        let handle = runtime.handle().clone();
        let spawner = move |task: BoxTask| -> Result<(), Refused> {
            drop(handle.spawn_blocking(move || block_on(task)));
            Ok(())
        };
        let group: Group = TaskGroup::with_spawner(&Context::background(), spawner);
        let (dropping, is_dropping) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let may_go = Mutex::new(may_go);
        let guard = OnDrop(move || {
            dropping.send(()).unwrap();
            may_go.lock().unwrap().recv().unwrap();
        });
        group
            .try_spawn(async move {
                let _guard = guard;
                thread::sleep(ms(1));
                Ok(())
            })
            .unwrap();
        is_dropping.recv().unwrap();
        runtime.block_on(async {
            let mut join = Box::pin(group.join());
            assert!(peek(&mut join).is_pending());
            assert_eq!(group.len(), 1);
            go.send(()).unwrap();
            join.await.unwrap();
            assert_eq!(group.len(), 0);
        });
    });
}

// V22: a join may be selected away and taken up again, in tasks and out of them.
#[test]
fn a_join_may_lose_a_select() {
    in_time(|| {
        for (runtime, group) in runtimes() {
            let go = Arc::new(Notify::new());
            let told = go.clone();
            group
                .try_spawn(async move {
                    told.notified().await;
                    Ok(())
                })
                .unwrap();
            runtime.block_on(async {
                for _ in 0..3 {
                    tokio::select! {
                        biased;
                        _ = group.join() => panic!("too early"),
                        () = yield_now() => {}
                    }
                }
                go.notify_one();
                group.join().await.unwrap();
            });
        }
    });
}

// V22: from inside, also where a task of the runtime blocks a thread of it.
#[test]
fn a_join_from_a_task_of_the_runtime_is_inside() {
    in_time(|| {
        for (runtime, group) in runtimes() {
            let group = Arc::new(group);
            let inside = group.clone();
            group
                .try_spawn(async move {
                    yield_now().await;
                    assert!(matches!(inside.join().await, Err(JoinError::FromInside)));
                    let joined = inside.join_blocking(None);
                    assert!(matches!(joined, Err(JoinError::FromInside)));
                    Ok(())
                })
                .unwrap();
            // A task of the runtime that is none of the group may join it.
            let joining = group.clone();
            let joined = runtime.spawn(async move { joining.join().await });
            runtime.block_on(joined).unwrap().unwrap();
        }
    });
}

// V22: outside of a runtime there is no current one.
#[test]
fn there_is_no_current_runtime_outside() {
    assert!(super::group_tools::panic_of(Tokio::current).is_some());
    let group: Group = TaskGroup::new(&Context::background());
    group.try_spawn(done()).unwrap();
    group.join_blocking(None).unwrap();
}

// V22: a task of the group may use what blocks in its own way.
#[test]
fn tasks_may_wait_for_blocking_work() {
    in_time(|| {
        for (runtime, group) in runtimes() {
            let sum = Arc::new(AtomicUsize::new(0));
            runtime.block_on(async {
                for _ in 0..3 {
                    let sum = sum.clone();
                    group
                        .try_spawn(async move {
                            let worked = spawn_blocking(move || sum.fetch_add(1, SeqCst));
                            worked.await.unwrap();
                            Ok(())
                        })
                        .unwrap();
                }
                group.join().await.unwrap();
            });
            assert_eq!(sum.load(SeqCst), 3);
        }
    });
}
