//! Wakers that panic, come back in, block, or drop what they are woken for.

use super::tools::{
    Hostile, Wakes, alone, in_time, message, on_small_stack, on_wake, once, peek, poll, start,
};
use crate::{CancelHandle, CancelledOwned, Context};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Waker;

type Pair = (Context, CancelHandle);

fn root() -> Pair {
    Context::background().with_cancel()
}

/// A pending wait for `ctx`.
fn wait(ctx: &Context, waker: &Waker) -> CancelledOwned {
    let mut wait = ctx.clone().cancelled_owned();
    assert!(poll(&mut wait, waker).is_pending());
    wait
}

/// What `f` panics with.
fn panic_of<T>(f: impl FnOnce() -> T) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(f)).err()?;
    Some(message(&*panic).to_owned())
}

// V14, P27, D18, K10: any subset of five wakers, on one context or in a chain
// of five.
#[test]
fn a_panicking_waker_stops_no_other_and_the_first_panic_is_resumed() {
    for chained in [false, true] {
        for subset in 0..32_u32 {
            let (top, handle) = root();
            let mut at = top.clone();
            let woken = Arc::new(AtomicUsize::new(0));
            let waits: Vec<_> = (0..5)
                .map(|i| {
                    let woken = woken.clone();
                    let waker = on_wake(move || {
                        woken.fetch_add(1, SeqCst);
                        if subset & (1 << i) != 0 {
                            panic!("waker {i}");
                        }
                    });
                    let wait = wait(&at, &waker);
                    if chained {
                        at = at.with_cancel().0;
                    }
                    wait
                })
                .collect();
            let panic = panic_of(|| handle.cancel());
            let first = (subset != 0).then(|| format!("waker {}", subset.trailing_zeros()));
            assert_eq!(panic, first, "{subset:05b}");
            assert_eq!(woken.load(SeqCst), 5);
            // Poisons nothing.
            assert!(!handle.cancel());
            for mut wait in waits {
                assert!(peek(&mut wait).is_ready());
            }
            assert!(top.with_cancel().0.is_cancelled());
        }
    }
}

// V14: a payload that panics when it is dropped.
#[test]
fn a_panic_that_panics_when_dropped_stops_no_other() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("payload");
        }
    }
    let (ctx, handle) = root();
    let waits: Vec<_> = (0..3)
        .map(|i| {
            wait(
                &ctx,
                &on_wake(move || {
                    if i == 0 {
                        panic!("first");
                    }
                    panic_any(Payload);
                }),
            )
        })
        .collect();
    let (wakes, waker) = Wakes::new();
    let _last = wait(&ctx, &waker);
    assert_eq!(panic_of(|| handle.cancel()).as_deref(), Some("first"));
    assert_eq!(wakes.count(), 1);
    drop(waits);
}

// V14, P28: while the thread unwinds already.
#[test]
fn a_panicking_waker_does_not_abort_an_unwinding_thread() {
    alone(
        "tests::hostile_wakers::a_panicking_waker_does_not_abort_an_unwinding_thread",
        || {
            let (ctx, handle) = root();
            let (wakes, waker) = Wakes::new();
            let mut waits = vec![wait(&ctx, &on_wake(|| panic!("waker")))];
            waits.push(wait(&ctx, &waker));
            let panic = panic_of(move || {
                let _guard = handle.drop_guard();
                panic!("work");
            });
            assert_eq!(panic.as_deref(), Some("work"));
            assert_eq!(wakes.count(), 1);
        },
    );
}

// V14, P22, T39, D17: the drop of a waker panics: in a repoll, in the drop of
// a wait, and in that while unwinding.
#[test]
fn a_waker_that_panics_when_dropped_is_survived() {
    alone(
        "tests::hostile_wakers::a_waker_that_panics_when_dropped_is_survived",
        || {
            let hostile = || {
                let armed = Arc::new(AtomicBool::new(false));
                let on = armed.clone();
                let waker = Hostile::new().on_drop(move || {
                    if on.swap(false, SeqCst) {
                        panic!("drop");
                    }
                });
                (armed, waker.waker())
            };
            let (ctx, handle) = root();
            let (wakes, good) = Wakes::new();
            let _other = wait(&ctx, &good);

            let (armed, waker) = hostile();
            let mut repolled = wait(&ctx, &waker);
            armed.store(true, SeqCst);
            let panic = panic_of(|| poll(&mut repolled, &good));
            assert_eq!(panic.as_deref(), Some("drop"));
            assert!(poll(&mut repolled, &good).is_pending());

            let (armed, waker) = hostile();
            let dropped = wait(&ctx, &waker);
            armed.store(true, SeqCst);
            assert_eq!(panic_of(|| drop(dropped)).as_deref(), Some("drop"));

            let (armed, waker) = hostile();
            let unwound = wait(&ctx, &waker);
            armed.store(true, SeqCst);
            let panic = panic_of(move || {
                let _wait = unwound;
                panic!("work");
            });
            assert_eq!(panic.as_deref(), Some("work"));

            assert!(handle.cancel());
            assert_eq!(wakes.count(), 2);
            assert!(peek(&mut repolled).is_ready());
        },
    );
}

// V14, P22: the clone of a waker panics, in the first poll and in a repoll.
#[test]
fn a_waker_that_panics_when_cloned_is_survived() {
    let (ctx, handle) = root();
    let (wakes, good) = Wakes::new();
    let _other = wait(&ctx, &good);
    let bad = Hostile::new().on_clone(|| panic!("clone")).waker();
    let mut fresh = ctx.cancelled();
    let mut repolled = wait(&ctx, &good);
    for _ in 0..2 {
        let panic = panic_of(|| poll(&mut fresh, &bad));
        assert_eq!(panic.as_deref(), Some("clone"));
        let panic = panic_of(|| poll(&mut repolled, &bad));
        assert_eq!(panic.as_deref(), Some("clone"));
    }
    let before = Arc::strong_count(&wakes);
    assert!(poll(&mut fresh, &good).is_pending());
    assert!(poll(&mut repolled, &good).is_pending());
    assert_eq!(Arc::strong_count(&wakes), before + 2);
    assert!(handle.cancel());
    assert_eq!(wakes.count(), 3);
}

/// Calls every method on every context given, and on new ones.
fn use_the_tree(nodes: &[Pair]) {
    for (ctx, handle) in nodes {
        let (child, cancel_child) = ctx.with_cancel();
        let (named, _) = ctx.derive().name("from a waker").build();
        let shield = ctx.without_cancel();
        let (under, cancel_under) = shield.with_cancel();
        let mut on_child = wait_or_ready(&child);
        let mut on_under = wait_or_ready(&under);
        assert_eq!(
            child.is_cancelled(),
            cancel_child.context().error().is_some()
        );
        cancel_under.cancel_with("under");
        cancel_child.cancel();
        assert!(peek(&mut on_child).is_ready() && peek(&mut on_under).is_ready());
        assert!(child.wait().origin() != under.wait().origin());
        let _ = (
            ctx.live_children(),
            ctx.id(),
            ctx.reason(),
            ctx.cause(),
            ctx.check(),
        );
        let _ = (
            named.name(),
            format!("{ctx:?} {named} {handle:?}"),
            ctx == &child,
        );
        drop(handle.clone().drop_guard().disarm());
        drop((on_child, child, cancel_child));
    }
    for (ctx, handle) in nodes {
        handle.cancel_with("from a waker");
        assert!(ctx.is_cancelled());
        assert!(ctx.with_cancel().0.wait().location().is_some());
    }
}

fn wait_or_ready(ctx: &Context) -> CancelledOwned {
    let mut wait = ctx.clone().cancelled_owned();
    let _ = peek(&mut wait);
    wait
}

/// A root, its two children, a grandchild, a context of another tree.
fn family() -> Vec<Pair> {
    let top = root();
    let child = top.0.with_cancel();
    let sibling = top.0.with_cancel();
    let grandchild = child.0.with_cancel();
    vec![top, child, sibling, grandchild, root()]
}

// V15, P21, P25, P26, T26, D19: from a wake, everything, on every context.
#[test]
fn a_woken_waker_may_use_every_context() {
    in_time(|| {
        for woken in 0..4 {
            for cancelled in 0..=woken {
                let nodes = Arc::new(family());
                let (done, finished) = mpsc::channel();
                let inside = nodes.clone();
                let waker = on_wake(move || {
                    use_the_tree(&inside);
                    let _ = done.send(());
                });
                let mut wait = wait(&nodes[woken].0, &waker);
                nodes[cancelled].1.cancel_with("outside");
                if nodes[woken].0.is_cancelled() {
                    finished.try_recv().unwrap();
                    assert!(nodes.iter().all(|(ctx, _)| ctx.is_cancelled()));
                    assert!(peek(&mut wait).is_ready());
                } else {
                    assert!(finished.try_recv().is_err());
                }
            }
        }
    });
}

// V15, P22, T39: from the clone of a waker and from its drop, in the first
// poll, in a repoll, and in the drop of a wait.
#[test]
fn a_waker_may_use_every_context_when_cloned_or_dropped() {
    in_time(|| {
        for at_drop in [false, true] {
            for repolled in [false, true] {
                let nodes = Arc::new(family());
                let inside = nodes.clone();
                let runs = Arc::new(AtomicUsize::new(0));
                let count = runs.clone();
                let hook = once(move || {
                    count.fetch_add(1, SeqCst);
                    use_the_tree(&inside);
                });
                let hostile = if at_drop {
                    Hostile::new().on_drop(hook)
                } else {
                    Hostile::new().on_clone(hook)
                };
                let hostile = hostile.waker();
                let (wakes, good) = Wakes::new();
                let mut wait = nodes[1].0.clone().cancelled_owned();
                if repolled && !at_drop {
                    assert!(poll(&mut wait, &good).is_pending());
                }
                // The hook cancels: the poll that runs it is ready, or its
                // waker has been woken.
                let ready = poll(&mut wait, &hostile).is_ready();
                if at_drop && repolled {
                    assert!(poll(&mut wait, &good).is_ready() || wakes.count() == 1);
                } else if !at_drop {
                    assert!(ready);
                }
                drop(wait);
                drop(hostile);
                assert_eq!(runs.load(SeqCst), 1);
                assert!(nodes.iter().all(|(ctx, _)| ctx.is_cancelled()));
            }
        }
    });
}

// V15, P23, P24: the first waker drops all other waits, and all handles there
// are but the one that cancels.
#[test]
fn a_woken_waker_may_drop_the_other_waits_and_all_handles() {
    in_time(|| {
        for also_below in [false, true] {
            let (top, handle) = root();
            let (child, _) = top.with_cancel();
            let (leaf, _) = child.with_cancel();
            let rest = Arc::new(Mutex::new(Vec::new()));
            let all = rest.clone();
            let (wakes, waker) = Wakes::new();
            let first = on_wake(move || drop(std::mem::take(&mut *all.lock().unwrap())));
            let wait_first = wait(&top, &first);
            for ctx in [&top, &child, &leaf, &leaf] {
                rest.lock().unwrap().push(wait(ctx, &waker));
            }
            let tree = if also_below {
                None
            } else {
                Some((top, child, leaf))
            };
            assert!(handle.cancel());
            assert_eq!(wakes.count(), 0, "they were gone before their turn");
            drop(waker);
            assert_eq!(Arc::strong_count(&wakes), 1);
            drop((tree, wait_first, handle));
        }
    });
}

// V15, P23: the last wait, woken, drops itself through its waker's owner.
#[test]
fn a_woken_waker_may_drop_the_wait_it_was_registered_by() {
    in_time(|| {
        let (top, handle) = root();
        let (ctx, _) = top.with_cancel();
        let slot = Arc::new(Mutex::new(None));
        let own = slot.clone();
        let waker = on_wake(move || drop(own.lock().unwrap().take()));
        *slot.lock().unwrap() = Some(wait(&ctx, &waker));
        drop((ctx, waker));
        assert_eq!(top.live_children(), 1);
        assert!(handle.cancel());
        assert!(slot.lock().unwrap().is_none());
        assert_eq!(Arc::strong_count(&slot), 1);
    });
}

// V12, V15, D19, P21, P32: a waker blocks until another thread has used the
// tree, in each of wake, clone and drop.
#[test]
fn a_waker_may_block_until_another_thread_has_used_the_tree() {
    in_time(|| {
        let nodes = Arc::new(family());
        let (ask, asked) = mpsc::channel::<mpsc::Sender<()>>();
        let inside = nodes.clone();
        let other = start(move || {
            for answer in asked {
                use_the_tree(&[root(), inside[4].clone()]);
                let (child, _keep) = inside[0].0.with_cancel();
                let _ = (inside[0].0.live_children(), child.is_cancelled());
                drop(wait_or_ready(&inside[0].0));
                inside[2].1.cancel();
                drop(child);
                answer.send(()).unwrap();
            }
        });
        let ask = Mutex::new(ask);
        let block = Arc::new(move || {
            let (answer, answered) = mpsc::channel();
            ask.lock().unwrap().send(answer).unwrap();
            answered.recv().unwrap();
        });
        let (on_clone, on_wake, on_drop) = (block.clone(), block.clone(), block);
        let waker = Hostile::new()
            .on_clone(move || on_clone())
            .on_wake(move || on_wake())
            .on_drop(move || on_drop())
            .waker();
        let first = wait(&nodes[0].0, &waker);
        let second = wait(&nodes[3].0, &waker);
        drop(wait(&nodes[3].0, &waker));
        drop(waker);
        assert!(nodes[0].1.cancel());
        drop((first, second));
        other.join().unwrap();
    });
}

// V15, P25, P19: a waker registers waits and children on the context being
// cancelled: they are ready and done at once, so it ends.
#[test]
fn what_a_waker_registers_on_the_cancelled_context_is_ready() {
    in_time(|| {
        let (ctx, handle) = root();
        let inside = ctx.clone();
        let runs = Arc::new(AtomicUsize::new(0));
        let count = runs.clone();
        let waker = on_wake(move || {
            count.fetch_add(1, SeqCst);
            let (wakes, waker) = Wakes::new();
            assert!(poll(&mut inside.cancelled(), &waker).is_ready());
            let (child, cancel_child) = inside.with_cancel();
            assert!(poll(&mut child.cancelled(), &waker).is_ready());
            assert!(!cancel_child.cancel());
            assert_eq!(wakes.count(), 0);
        });
        let _wait = wait(&ctx, &waker);
        assert!(handle.cancel());
        assert_eq!(runs.load(SeqCst), 1);
    });
}

// V8: as many as there are.
#[test]
fn many_wakers_are_woken_on_a_small_stack() {
    on_small_stack(|| {
        let (ctx, handle) = root();
        let (wakes, waker) = Wakes::new();
        let waits: Vec<_> = (0..100_000).map(|_| wait(&ctx, &waker)).collect();
        assert!(handle.cancel());
        assert_eq!(wakes.count(), waits.len());
    });
}

// V14, V16: the clone of a later waker cancels, then panics: the waker before
// it is not kept.
#[test]
fn a_clone_that_cancels_and_panics_leaves_no_waker() {
    for polls_before in 1..3 {
        let (ctx, handle) = root();
        let held = [(); 2].map(|()| Wakes::new());
        let mut wait = ctx.cancelled_owned();
        for (_, waker) in &held[..polls_before] {
            assert!(poll(&mut wait, waker).is_pending());
        }
        let bad = Hostile::new().on_clone(move || {
            handle.cancel();
            panic!("clone");
        });
        let bad = bad.waker();
        assert_eq!(panic_of(|| poll(&mut wait, &bad)).as_deref(), Some("clone"));
        assert!(peek(&mut wait).is_ready());
        drop(wait);
        for (wakes, waker) in held {
            drop(waker);
            assert_eq!(Arc::strong_count(&wakes), 1, "after {polls_before} polls");
        }
    }
}
