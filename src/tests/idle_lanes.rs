//! Waits for idle on lists that are split into lanes, and what waits leave.
//!
//! The count of live objects is one for the process, so whoever reads it runs
//! in a process of its own.

#![cfg(feature = "internal-model")]

use super::tools::{
    Body, Random, Wakes, alone, assert_nothing_left, at_once, in_time, peek, poll, start,
};
use crate::{CancelHandle, Context, model};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

/// Children made by `threads` threads, so that they are in several lanes.
fn spread(ctx: &Context, threads: usize, each: usize) -> Vec<Context> {
    let mut children = Vec::new();
    for _ in 0..threads {
        let ctx = ctx.clone();
        let more = start(move || (0..each).map(|_| ctx.with_cancel().0).collect());
        let more: Vec<Context> = more.join().unwrap();
        children.extend(more);
    }
    children
}

// V22: split before the wait or during it, with children in the first lane and
// in others, dropped in random order on several threads.
#[test]
fn a_split_list_is_idle_when_all_lanes_are() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let (ctx, _keep) = root();
        let mut children = vec![ctx.with_cancel().0];
        let mut idle = ctx.idle();
        let (wakes, waker) = Wakes::new();
        if seed % 2 == 0 {
            assert!(poll(&mut idle, &waker).is_pending());
        }
        model::split(&ctx);
        children.extend(spread(&ctx, 4, 10));
        assert!(poll(&mut idle, &waker).is_pending());
        while children.len() > 1 {
            let child = children.swap_remove(random.below(children.len()));
            if children.len() % 7 == 0 {
                start(move || drop(child)).join().unwrap();
            } else {
                drop(child);
            }
            assert_eq!(wakes.count(), 0);
        }
        assert!(poll(&mut idle, &waker).is_pending());
        assert!(!ctx.wait_idle(Some(Duration::ZERO)));
        drop(children);
        assert_eq!(wakes.count(), 1);
        assert!(peek(&mut idle).is_ready());
        assert!(ctx.wait_idle(None));
    }
}

// V22: who waits need not come again when the list is split meanwhile.
#[test]
fn a_list_that_is_split_during_the_wait_wakes_who_waits() {
    let (ctx, _keep) = root();
    let first = ctx.with_cancel();
    let mut idle = ctx.idle();
    let (wakes, waker) = Wakes::new();
    assert!(poll(&mut idle, &waker).is_pending());
    model::split(&ctx);
    let children = spread(&ctx, 4, 2);
    drop(first);
    assert_eq!(wakes.count(), 0);
    drop(children);
    assert_eq!(wakes.count(), 1);
    assert!(peek(&mut idle).is_ready());
}

// V22: a task that goes from thread to thread, and so from lane to lane, each
// with its successor made first: there is never a moment without.
#[test]
fn a_chain_of_successors_through_the_lanes_is_never_idle() {
    in_time(|| {
        for split in [false, true] {
            let (ctx, _keep) = root();
            if split {
                model::split(&ctx);
            }
            let (first, _) = ctx.with_cancel();
            let (send, receive): (Vec<_>, Vec<_>) =
                (0..3).map(|_| mpsc::channel::<(Context, usize)>()).unzip();
            send[0].send((first, 0)).unwrap();
            let over = Arc::new(AtomicBool::new(false));
            let mut threads = Vec::new();
            for (i, receive) in receive.into_iter().enumerate() {
                let next = send[(i + 1) % 3].clone();
                let (ctx, over) = (ctx.clone(), over.clone());
                threads.push(start(move || {
                    for (held, step) in receive {
                        let (successor, _) = ctx.with_cancel();
                        drop(held);
                        if step == 20_000 {
                            over.store(true, SeqCst);
                            drop(successor);
                            return;
                        }
                        // Whoever is at the end takes it along.
                        if let Err(gone) = next.send((successor, step + 1)) {
                            drop(gone);
                            return;
                        }
                    }
                }));
            }
            drop(send);
            let watcher = {
                let (ctx, over) = (ctx.clone(), over.clone());
                start(move || {
                    let mut asked = 0_usize;
                    loop {
                        let mut idle = ctx.idle();
                        for _ in 0..100 {
                            let ready =
                                peek(&mut idle).is_ready() || ctx.wait_idle(Some(Duration::ZERO));
                            // Asked after: what was ready too early is caught.
                            if ready {
                                assert!(over.load(SeqCst), "idle after {asked}");
                                return;
                            }
                            asked += 1;
                        }
                    }
                })
            };
            assert!(ctx.wait_idle(None));
            assert!(over.load(SeqCst));
            watcher.join().unwrap();
            drop(threads);
        }
    });
}

// V22: who asks while another thread does is told the same: nothing is held. It may
// be told by a wake: in a list that is split, and while another one takes out what
// was dropped.
#[test]
fn all_who_ask_at_once_are_told_the_same() {
    in_time(|| {
        for split in [false, true] {
            let (ctx, _keep) = root();
            drop(ctx.with_cancel());
            if split {
                model::split(&ctx);
            }
            let threads = [(); 3].map(|()| {
                let ctx = ctx.clone();
                start(move || {
                    assert!(ctx.wait_idle(None));
                    for _ in 0..3_000 {
                        assert!(split || peek(&mut ctx.idle()).is_ready());
                        let at_most = (!split).then_some(Duration::ZERO);
                        assert!(ctx.wait_idle(at_most));
                    }
                })
            });
            threads.into_iter().for_each(|t| t.join().unwrap());
        }
    });
}

// V10, V22: while somebody waits, what comes and goes beside one that stays
// leaves little; and nothing in the end.
#[test]
fn a_pending_wait_keeps_no_dead() {
    alone("tests::idle_lanes::a_pending_wait_keeps_no_dead", || {
        let (ctx, _keep) = root();
        let (stays, _) = ctx.with_cancel();
        let (wakes, waker) = Wakes::new();
        let mut idle = ctx.idle();
        assert!(poll(&mut idle, &waker).is_pending());
        let mut most = 0;
        for _ in 0..100_000 {
            let (child, _) = ctx.with_cancel();
            drop(child.with_cancel());
            drop(child);
            most = most.max(model::live_objects());
        }
        assert!(most < 1_000, "{most}");
        assert_eq!(wakes.count(), 0);
        drop(stays);
        assert_eq!(wakes.count(), 1);
        drop(idle);
        drop((ctx, _keep));
        assert_nothing_left();
    });
}

// V16, V22: waits that are dropped before their end, in their thousands.
#[test]
fn abandoned_waits_for_idle_leave_no_growth() {
    alone(
        "tests::idle_lanes::abandoned_waits_for_idle_leave_no_growth",
        || {
            let (ctx, _keep) = root();
            let (child, _) = ctx.with_cancel();
            let (wakes, waker) = Wakes::new();
            let mut most = 0;
            for _ in 0..100_000 {
                let mut idle = ctx.idle();
                assert!(poll(&mut idle, &waker).is_pending());
                assert!(poll(&mut idle, &waker).is_pending());
                drop(idle);
                most = most.max(model::live_objects());
            }
            assert!(most < 1_000, "{most}");
            drop(waker);
            assert_eq!(Arc::strong_count(&wakes), 1);
            drop((child, ctx, _keep));
            assert_nothing_left();
        },
    );
}

// V9, V10, V22: drops, derives, cancels and waits race, and nothing is left.
#[test]
fn races_of_waits_for_idle_leave_nothing_behind() {
    alone(
        "tests::idle_lanes::races_of_waits_for_idle_leave_nothing_behind",
        || {
            for round in 0..1_500 {
                let (ctx, handle) = root();
                if round % 4 == 0 {
                    model::split(&ctx);
                }
                let (child, _) = ctx.with_cancel();
                let (below, _) = child.with_cancel();
                let (mine, yours) = (ctx.clone(), ctx.clone());
                let bodies: Vec<Body> = vec![
                    Box::new(move || drop((child, below))),
                    Box::new(move || {
                        if round % 3 == 0 {
                            handle.cancel();
                        }
                        drop(handle);
                    }),
                    Box::new(move || {
                        let mut idle = mine.idle();
                        let _ = peek(&mut idle);
                        drop(mine.with_cancel());
                        let _ = peek(&mut idle);
                    }),
                    Box::new(move || {
                        drop(yours.with_value(1_u8));
                        assert!(yours.wait_idle(None));
                    }),
                ];
                at_once(bodies);
                assert!(ctx.wait_idle(Some(Duration::ZERO)));
                drop(ctx);
                if round % 100 == 0 {
                    assert_nothing_left();
                }
            }
            assert_nothing_left();
        },
    );
}

/// One context of a random family, as a list keeps it.
struct Member {
    held: Option<(Context, Option<CancelHandle>)>,
    parent: usize,
    /// The other parent of a link, if that can be done.
    other: Option<usize>,
    shield: bool,
    done: bool,
}

/// Whether somebody holds something below `top`.
fn is_busy(all: &[Member], top: usize) -> bool {
    let reaches = |from: usize| {
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            let member = &all[at];
            let over = member.other.filter(|_| !member.done);
            for above in [Some(member.parent).filter(|_| at > 0), over] {
                match above {
                    Some(above) if above == top => return true,
                    Some(above) => open.push(above),
                    None => {}
                }
            }
        }
        false
    };
    (0..all.len()).any(|at| all[at].held.is_some() && reaches(at))
}

/// Marks what is done when `top` is; those above come first in the list.
fn mark(all: &mut [Member], top: usize) {
    all[top].done = true;
    for at in top + 1..all.len() {
        let above = all[all[at].parent].done || all[at].other.is_some_and(|at| all[at].done);
        all[at].done |= above && !all[at].shield;
    }
}

// V22: random families, derived, linked, cancelled, split and dropped: idle is who
// holds nothing below, by a list of who holds what.
#[test]
fn random_families_are_idle_when_a_list_says_so() {
    for seed in 0..150 {
        let mut random = Random::new(seed);
        let (top, handle) = root();
        let mut all = vec![Member {
            held: Some((top, Some(handle))),
            parent: 0,
            other: None,
            shield: false,
            done: false,
        }];
        for _ in 0..120 {
            let held: Vec<_> = (0..all.len())
                .filter(|&at| all[at].held.is_some())
                .collect();
            let at = held[random.below(held.len())];
            let other = held[random.below(held.len())];
            let (ctx, stop) = all[at].held.as_ref().unwrap();
            let mut derived = None;
            match random.below(12) {
                0..4 => {
                    let (child, stop) = ctx.with_cancel();
                    derived = Some((child, Some(stop), None));
                }
                4 => derived = Some((ctx.without_cancel(), None, None)),
                5 if at != other => {
                    let (child, stop) = ctx.link([&all[other].held.as_ref().unwrap().0]);
                    derived = Some((child, Some(stop), Some(other).filter(|&at| !all[at].shield)));
                }
                6 if at > 0 && stop.as_ref().is_some_and(CancelHandle::cancel) => {
                    mark(&mut all, at);
                }
                7 => model::split(ctx),
                _ if at > 0 => all[at].held = None,
                _ => {}
            }
            if let Some((child, stop, other)) = derived {
                let shield = stop.is_none();
                let done = child.is_cancelled();
                all.push(Member {
                    held: Some((child, stop)),
                    parent: at,
                    other,
                    shield,
                    done,
                });
            }
            for at in 0..all.len() {
                if let Some((ctx, _)) = &all[at].held {
                    assert_eq!(ctx.is_cancelled(), all[at].done, "{seed}");
                    let idle = ctx.wait_idle(Some(Duration::ZERO));
                    assert_eq!(idle, !is_busy(&all, at), "{seed}: {at} of {}", all.len());
                }
            }
        }
    }
}
