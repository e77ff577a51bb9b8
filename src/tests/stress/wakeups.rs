//! A million rounds each of waits against what ends them: no wake-up is lost.
//!
//! A wake that was due and did not come is seen at once: whoever ends a wait has
//! woken it when its call returns (V17).

use super::tools::{Hand, Pair, Random, Round, block_on, duel, peek, pick, poll, root, slow_waker};
use super::watchdog::alone;
use ctxtree::{BoxTask, CancelledOwned, Context, TaskGroup};
use std::fmt::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

/// One of so many rounds blocks a thread: that takes longer.
const BLOCKS: usize = 32;

/// Polls with a waker of its own each time, some times; then the wake of the last
/// one must come, and the future be ready.
fn wait_for<F: Future + Unpin>(
    future: &mut F,
    polls: usize,
    random: &mut Random,
    round: &Round<'_>,
) -> F::Output {
    let mut last = None;
    for _ in 0..polls {
        let (wakes, waker) = slow_waker(random);
        if let Poll::Ready(value) = poll(future, &waker) {
            return value;
        }
        last = Some(wakes);
        random.dawdle();
    }
    round.await_wake(&last.expect("it was polled"));
    match peek(future) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("woken, and not ready"),
    }
}

// V16, T6, P19: a wait is begun, polled again with other wakers, moved, given up for
// another, or blocks, while its context or the one above is cancelled.
#[test]
fn a_wait_against_a_cancel_is_never_lost() {
    alone(|watch| {
        let make = |random: &mut Random| {
            let (top, handle) = root();
            let ctx = match random.below(3) {
                0 => top.with_cancel().0,
                _ => top,
            };
            let mut wait = ctx.clone().cancelled_owned();
            if random.below(2) == 0 {
                assert!(peek(&mut wait).is_pending());
            }
            ((ctx, wait), handle)
        };
        let here =
            |(ctx, mut wait): (Context, CancelledOwned), random: &mut Random, round: &Round<'_>| {
                let error = match random.below(BLOCKS) {
                    0 => ctx.wait(),
                    1 => block_on(wait),
                    2..8 => {
                        drop(wait);
                        wait_for(&mut ctx.cancelled(), 1, random, round)
                    }
                    more => wait_for(&mut wait, 1 + more % 3, random, round),
                };
                assert!(error.location().is_some() && ctx.is_cancelled());
            };
        duel(watch, pick(1_000_000, 20_000), make, here, |handle, _| {
            assert!(handle.cancel());
        });
    });
}

/// Pending once, or until it is aborted.
async fn task(random: usize) -> Result<(), Error> {
    let mut paused = random != 0;
    std::future::poll_fn(|task| {
        if random == 1 || std::mem::replace(&mut paused, false) {
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
    Ok(())
}

type Group = Arc<TaskGroup<Error>>;
type Joined<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

/// What the other thread does to a group with one task or two.
enum End {
    /// Polls them to their ends.
    Run(Vec<BoxTask>),
    /// Drops them.
    Drop(Vec<BoxTask>),
    /// Aborts the group, and lets go what is left of the tasks.
    Abort(Group, Vec<BoxTask>),
}

// V22, P71: a join, in all its forms, against the last tasks that end, are dropped or
// aborted.
#[test]
fn a_join_against_the_last_task_is_never_lost() {
    alone(|watch| {
        let hand = Hand::default();
        let make = move |random: &mut Random| {
            let parent = Context::background();
            let group: Group = Arc::new(TaskGroup::with_spawner(&parent, hand.spawner()));
            let how = random.below(4);
            for _ in 0..=random.below(2) {
                let kind = if how == 1 { 1 } else { random.below(2) * 2 };
                group.try_spawn(task(kind)).unwrap();
            }
            if random.below(2) == 0 {
                group.close();
            }
            let tasks = hand.take();
            let end = match how {
                0 => End::Drop(tasks),
                1 => End::Abort(group.clone(), tasks),
                _ => End::Run(tasks),
            };
            (group, end)
        };
        let here = |group: Group, random: &mut Random, round: &Round<'_>| {
            match random.below(BLOCKS) {
                0 => drop(group.join_blocking(None)),
                1 => drop(group.join_blocking(Some(super::tools::HOUR))),
                2 => {
                    let mut lost: Joined<'_> = Box::pin(async { group.join().await.is_ok() });
                    let _ = peek(&mut lost);
                    drop(lost);
                    let _ = block_on(group.join());
                }
                more => {
                    let mut join: Joined<'_> = Box::pin(async { group.join().await.is_ok() });
                    wait_for(&mut join, 1 + more % 3, random, round);
                }
            }
            assert!(group.is_empty() && group.context().is_cancelled());
            // Dropped by whoever is last.
            round.await_other();
        };
        duel(watch, pick(1_000_000, 10_000), make, here, |end, random| {
            let run = |mut task: BoxTask| while peek(&mut task).is_pending() {};
            match end {
                End::Run(tasks) => tasks.into_iter().for_each(run),
                End::Drop(tasks) => drop(tasks),
                End::Abort(group, mut tasks) => {
                    if random.below(2) == 0 {
                        for task in &mut tasks {
                            let _ = peek(task);
                        }
                    }
                    group.abort();
                    drop(group);
                    tasks.into_iter().for_each(run);
                }
            }
        });
    });
}

// V22, K9: a task is aborted while it is polled: it goes, at once or when it is woken.
#[test]
fn an_abort_against_a_poll_is_never_lost() {
    alone(|watch| {
        let hand = Hand::default();
        let make = move |random: &mut Random| {
            let group = TaskGroup::<Error>::with_spawner(&Context::background(), hand.spawner());
            group.try_spawn(std::future::pending()).unwrap();
            let mut task = hand.take().pop().unwrap();
            if random.below(2) == 0 {
                assert!(peek(&mut task).is_pending());
            }
            let group: Group = Arc::new(group);
            ((group.clone(), task), group)
        };
        let here = |(group, mut task): (Group, BoxTask), random: &mut Random, round: &Round<'_>| {
            let polls = 1 + random.below(3);
            wait_for(&mut task, polls, random, round);
            assert!(group.join_blocking(None).is_err());
            round.await_other();
        };
        duel(watch, pick(500_000, 10_000), make, here, |group, _| {
            group.abort()
        });
    });
}

// V22: a wait for idle against the last handles below, in one lane and in several.
#[test]
fn a_wait_for_idle_against_the_last_drop_is_never_lost() {
    alone(|watch| {
        let make = |random: &mut Random| {
            let top = root();
            let mut below: Vec<Pair> = (0..=random.below(2)).map(|_| top.0.with_cancel()).collect();
            let ours = (below.len() > 1).then(|| below.pop());
            ((top, ours), below)
        };
        let here =
            |(top, ours): (Pair, Option<Option<Pair>>), random: &mut Random, round: &Round<'_>| {
                if random.below(2) == 0 {
                    drop(ours);
                    random.dawdle();
                } else if ours.is_some() {
                    assert!(peek(&mut top.0.idle()).is_pending(), "one is held here");
                    drop(ours);
                }
                if random.below(BLOCKS) == 0 {
                    assert!(top.0.wait_idle(None));
                } else {
                    let polls = 1 + random.below(3);
                    wait_for(&mut top.0.idle(), polls, random, round);
                }
                round.await_other();
                assert_eq!(top.0.live_children(), 0);
            };
        duel(
            watch,
            pick(1_000_000, 20_000),
            make,
            here,
            |below, random| {
                for one in below {
                    if random.below(4) == 0 {
                        // One more comes before it goes.
                        let more = one.0.with_cancel();
                        drop(one);
                        drop(more);
                    } else {
                        drop(one);
                    }
                }
            },
        );
    });
}

// V22: who waits for the one place of a group gets it when its task ends.
#[test]
fn a_wait_for_a_place_is_never_lost() {
    alone(|watch| {
        let hand = Hand::default();
        let tasks = hand.clone();
        let make = move |random: &mut Random| {
            let group = TaskGroup::<Error>::with_spawner(&Context::background(), hand.spawner());
            let group = group.limit(1);
            group.try_spawn(task(random.below(2) * 2)).unwrap();
            ((group, hand.take()), ())
        };
        // The task goes over by a channel, so that the group stays here.
        let (send, receive) = std::sync::mpsc::channel::<Vec<BoxTask>>();
        let here = move |(group, first): (TaskGroup<Error>, Vec<BoxTask>),
                         random: &mut Random,
                         round: &Round<'_>| {
            send.send(first).unwrap();
            {
                let mut spawn: Pin<Box<dyn Future<Output = bool> + '_>> =
                    Box::pin(async { group.spawn(task(0)).await.is_ok() });
                let polls = 1 + random.below(3);
                if random.below(4) == 0 {
                    // One that gives up passes it on.
                    let mut lost = Box::pin(group.spawn(task(0)));
                    let ready = peek(&mut lost).is_ready();
                    drop(lost);
                    if ready {
                        tasks.take().into_iter().for_each(finish);
                    }
                }
                assert!(wait_for(&mut spawn, polls, random, round));
            }
            tasks.take().into_iter().for_each(finish);
            assert!(group.join_blocking(None).is_ok());
        };
        duel(watch, pick(500_000, 10_000), make, here, move |(), _| {
            receive.recv().unwrap().into_iter().for_each(finish);
        });
    });
}

/// Polls a task to its end.
fn finish(mut task: BoxTask) {
    while peek(&mut task).is_pending() {}
}
