//! Callbacks that panic, come back in, block, and stop each other.

use super::foreign::Token;
use super::tools::{HOUR, OnDrop, alone, in_time, message, ms, on_wake, once, peek, poll, start};
use crate::time::ManualClock;
use crate::{CancelHandle, Context, Registration, Stop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};

type Pair = (Context, CancelHandle);

fn root() -> Pair {
    Context::background().with_cancel()
}

fn panic_of<T>(f: impl FnOnce() -> T) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(f)).err()?;
    Some(message(&*panic).to_owned())
}

/// A root, two children, a grandchild, and a context linked to nothing.
pub(super) fn family() -> Vec<Pair> {
    let top = root();
    let child = top.0.with_cancel();
    let sibling = top.0.with_cancel();
    let grandchild = child.0.with_cancel();
    vec![top, child, sibling, grandchild, root()]
}

/// Calls every method that there is on every context given, and on new ones.
pub(super) fn use_the_tree(nodes: &[Pair]) {
    for (ctx, handle) in nodes {
        let runs = Arc::new(AtomicUsize::new(0));
        let count = || {
            let runs = runs.clone();
            move |_: &crate::CancelError| {
                runs.fetch_add(1, SeqCst);
            }
        };
        let (child, cancel_child) = ctx.with_cancel();
        let (named, _) = child.derive().name("inside").value(1_u8).build();
        let (under, cancel_under) = named.with_value(2_u16).without_cancel().with_cancel();
        let token = Token::default();
        let (linked, _) = under.link([&child, ctx]);
        let (foreign, _) = linked.from_source(token.clone());
        let kept = child.after_cancel(count());
        let stopped = under.after_cancel(count());
        under.after_cancel(count()).detach();
        ctx.after_cancel(count()).detach();
        drop(ctx.after_cancel(count()));
        let mut wait = under.clone().cancelled_owned();
        assert!(peek(&mut wait).is_pending());
        assert_eq!(stopped.stop(), Stop::Prevented);
        assert!(cancel_under.cancel_with("under"));
        assert!(peek(&mut wait).is_ready());
        token.cancel(None);
        assert!(linked.is_cancelled() && foreign.is_cancelled());
        cancel_child.cancel();
        assert_eq!(kept.stop_and_join(), Stop::Finished);
        assert!(runs.load(SeqCst) >= 2);
        assert_eq!(under.value::<u16>(), Some(&2));
        assert!(child.wait().origin() != under.wait().origin());
        let clock = ManualClock::new();
        let (timed, moves) = under.without_cancel().with_clock(&clock).with_timeout(HOUR);
        timed.after_cancel(count()).detach();
        assert!(moves.set_deadline(clock.now() + ms(5)) && timed.deadline().is_some());
        clock.advance(ms(5));
        assert!(timed.error().unwrap().is_timeout() && runs.load(SeqCst) >= 3);
        let (far, moves) = ctx.with_timeout(HOUR);
        assert_eq!(far.deadline().is_some(), far.remaining().is_some());
        assert!(moves.set_deadline(clock.now()) || far.is_cancelled());
        let _ = (ctx.live_children(), ctx.id(), ctx.reason(), ctx.cause());
        let _ = (ctx.check(), format!("{ctx:?} {named} {handle:?} {kept:?}"));
        assert!(!ctx.tree().to_string().is_empty());
        drop(handle.clone().drop_guard().disarm());
    }
    for (ctx, handle) in nodes {
        handle.cancel_with("inside");
        assert!(ctx.is_cancelled() && ctx.with_cancel().0.is_cancelled());
    }
}

// V15, P16, P21, P25, P26, T26, D19: from a callback, everything, on every
// context; and all that is below is marked before.
#[test]
fn a_callback_may_use_every_context() {
    in_time(|| {
        for called in 0..4 {
            for cancelled in 0..=called {
                let nodes = Arc::new(family());
                let runs = Arc::new(AtomicUsize::new(0));
                let (inside, count) = (nodes.clone(), runs.clone());
                let below: &[usize] = [&[0, 1, 2, 3][..], &[1, 3], &[2], &[3]][cancelled];
                let registration = nodes[called].0.after_cancel(move |_| {
                    assert!(below.iter().all(|&at| inside[at].0.is_cancelled()));
                    use_the_tree(&inside);
                    count.fetch_add(1, SeqCst);
                });
                nodes[cancelled].1.cancel_with("outside");
                let reached = below.contains(&called);
                assert_eq!(runs.load(SeqCst), usize::from(reached));
                let all = nodes.iter().all(|(ctx, _)| ctx.is_cancelled());
                assert_eq!(all, reached);
                drop(registration);
            }
        }
    });
}

// V15, P22, P40: so may the drop of what a closure holds: when it is stopped,
// dropped, run, refused by a done context, and when its context goes.
#[test]
fn the_drop_of_a_closure_may_use_every_context() {
    in_time(|| {
        for way in 0..5 {
            let nodes = Arc::new(family());
            let drops = Arc::new(AtomicUsize::new(0));
            let (inside, count) = (nodes.clone(), drops.clone());
            let on_drop = OnDrop(once(move || {
                count.fetch_add(1, SeqCst);
                use_the_tree(&inside);
            }));
            let holds = move |_: &crate::CancelError| drop(on_drop);
            match way {
                0 => assert_eq!(nodes[1].0.after_cancel(holds).stop(), Stop::Prevented),
                1 => drop(nodes[1].0.after_cancel(holds)),
                2 => {
                    nodes[3].0.after_cancel(holds).detach();
                    nodes[0].1.cancel();
                }
                3 => {
                    nodes[1].1.cancel();
                    drop(nodes[3].0.after_cancel(holds));
                }
                _ => {
                    let (ctx, _) = nodes[3].0.with_cancel();
                    ctx.after_cancel(holds).detach();
                    drop(ctx);
                }
            }
            assert_eq!(drops.load(SeqCst), 1, "way {way}");
            assert!(nodes.iter().all(|(ctx, _)| ctx.is_cancelled()));
        }
    });
}

// V15, P23, P24: the first callback drops all other registrations and waits,
// and every handle but the one that cancels: none of them runs.
#[test]
fn a_callback_may_drop_all_others_and_all_handles() {
    in_time(|| {
        for tree_too in [false, true] {
            let (top, handle) = root();
            let (child, _) = top.with_cancel();
            let (leaf, _) = child.with_cancel();
            let rest: Arc<Mutex<Vec<Box<dyn Send>>>> = Arc::default();
            let all = rest.clone();
            let runs = Arc::new(AtomicUsize::new(0));
            let first = top.after_cancel(move |_| {
                let gone = std::mem::take(&mut *all.lock().unwrap());
                drop(gone);
            });
            for ctx in [&top, &child, &leaf, &leaf] {
                let count = runs.clone();
                let registration = ctx.after_cancel(move |_| {
                    count.fetch_add(1, SeqCst);
                });
                let count = runs.clone();
                let mut wait = ctx.clone().cancelled_owned();
                let waker = on_wake(move || {
                    count.fetch_add(1, SeqCst);
                });
                assert!(poll(&mut wait, &waker).is_pending());
                rest.lock().unwrap().push(Box::new((registration, wait)));
            }
            let mut kept = None;
            if tree_too {
                rest.lock().unwrap().push(Box::new((top, child, leaf)));
            } else {
                kept = Some((top, child, leaf));
            }
            assert!(handle.cancel());
            assert_eq!(runs.load(SeqCst), 0, "they were gone before their turn");
            assert_eq!(Arc::strong_count(&runs), 1);
            drop((kept, first));
        }
    });
}

// P23: the callback drops the registration it was made by, and the last handles
// of its own context.
#[test]
fn a_callback_may_drop_its_own_registration_and_context() {
    in_time(|| {
        let (top, handle) = root();
        let (ctx, own_handle) = top.with_cancel();
        let slot: Arc<Mutex<Option<(Registration, Pair)>>> = Arc::default();
        let own = slot.clone();
        let runs = Arc::new(AtomicUsize::new(0));
        let count = runs.clone();
        let registration = ctx.after_cancel(move |error| {
            let taken = own.lock().unwrap().take();
            assert_eq!(taken.as_ref().unwrap().0.stop(), Stop::Running);
            drop(taken);
            assert!(error.cause().is_some());
            count.fetch_add(1, SeqCst);
        });
        *slot.lock().unwrap() = Some((registration, (ctx, own_handle)));
        assert!(handle.cancel_with("why"));
        assert_eq!(runs.load(SeqCst), 1);
        assert_eq!(Arc::strong_count(&slot), 1, "its closure is gone");
    });
}

/// A registration, and how often its callback ran.
type Other = (Registration, Arc<AtomicUsize>);

// P24, P30, G109, V13: the first callback stops the others of its context, by
// stop or by join, which must not wait for what this very thread would run
// next; prevented means that it never runs.
#[test]
fn a_callback_may_stop_the_others_of_its_context() {
    in_time(|| {
        for join in [false, true] {
            let (ctx, handle) = root();
            let (leaf, _keep) = ctx.with_cancel();
            let others: Arc<Mutex<Vec<Other>>> = Arc::default();
            let (inside, told) = (others.clone(), Arc::new(Mutex::new(Vec::new())));
            let tells = told.clone();
            let _first = ctx.after_cancel(move |_| {
                for (registration, _) in inside.lock().unwrap().iter() {
                    let stop = if join {
                        registration.stop_and_join()
                    } else {
                        registration.stop()
                    };
                    tells.lock().unwrap().push(stop);
                }
            });
            for at in [&ctx, &ctx, &leaf, &leaf] {
                let runs = Arc::new(AtomicUsize::new(0));
                let count = runs.clone();
                let registration = at.after_cancel(move |_| {
                    count.fetch_add(1, SeqCst);
                });
                others.lock().unwrap().push((registration, runs));
            }
            assert!(handle.cancel());
            assert_eq!(*told.lock().unwrap(), [Stop::Prevented; 4]);
            for (registration, runs) in others.lock().unwrap().iter() {
                assert_eq!(runs.load(SeqCst), 0);
                assert_eq!(registration.stop(), Stop::AlreadyStopped);
            }
        }
    });
}

// V14, P27, D18: any subset of five callbacks and five waits in between
// panics: all are delivered, the first panic comes out, nothing is poisoned.
#[test]
fn a_panicking_callback_stops_no_other() {
    for subset in 0..1024_u32 {
        let (top, handle) = root();
        let (child, _keep) = top.with_cancel();
        let delivered = Arc::new(AtomicUsize::new(0));
        let (mut waits, mut registrations) = (Vec::new(), Vec::new());
        for i in 0..10 {
            let ctx = if i < 6 { &top } else { &child };
            let count = delivered.clone();
            let act = move || {
                count.fetch_add(1, SeqCst);
                if subset & (1 << i) != 0 {
                    panic!("number {i}");
                }
            };
            if i % 2 == 0 {
                registrations.push(ctx.after_cancel(move |_| act()));
            } else {
                let mut wait = ctx.cancelled();
                assert!(poll(&mut wait, &on_wake(act)).is_pending());
                waits.push(wait);
            }
        }
        let first = (subset != 0).then(|| format!("number {}", subset.trailing_zeros()));
        assert_eq!(panic_of(|| handle.cancel()), first);
        assert_eq!(delivered.load(SeqCst), 10, "{subset:010b}");
        assert!(!handle.cancel());
        assert!(waits.iter_mut().all(|wait| peek(wait).is_ready()));
        for registration in registrations {
            assert_eq!(registration.stop_and_join(), Stop::Finished);
        }
    }
}

// V14, P28: while the thread unwinds already; on a done context the panic goes
// to who registers; what a closure holds panics in its drop.
#[test]
fn panics_of_callbacks_come_out_where_they_should() {
    alone(
        "tests::hostile_callbacks::panics_of_callbacks_come_out_where_they_should",
        || {
            let (ctx, handle) = root();
            let runs = Arc::new(AtomicUsize::new(0));
            let count = runs.clone();
            ctx.after_cancel(|_| panic!("callback")).detach();
            ctx.after_cancel(move |_| {
                count.fetch_add(1, SeqCst);
            })
            .detach();
            let panic = panic_of(move || {
                let _guard = handle.drop_guard();
                panic!("work");
            });
            assert_eq!(panic.as_deref(), Some("work"));
            assert_eq!(runs.load(SeqCst), 1);

            let panic = panic_of(|| ctx.after_cancel(|_| panic!("at once")));
            assert_eq!(panic.as_deref(), Some("at once"));

            let bomb = || {
                let bomb = OnDrop(|| panic!("held"));
                move |_: &crate::CancelError| {
                    let _bomb = &bomb;
                }
            };
            for way in 0..5 {
                let (top, handle) = root();
                let (ctx, _) = top.with_cancel();
                let (seen, count) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
                let sees = seen.clone();
                let registration = ctx.after_cancel(bomb());
                let _other = top.after_cancel(move |_| {
                    sees.fetch_add(1, SeqCst);
                });
                let panic = match way {
                    0 => panic_of(|| registration.stop()),
                    1 => panic_of(|| drop(registration)),
                    2 => panic_of(|| handle.cancel()),
                    3 => {
                        registration.detach();
                        panic_of(|| drop(ctx))
                    }
                    _ => panic_of(move || {
                        let _registration = registration;
                        count.fetch_add(1, SeqCst);
                        panic!("held");
                    }),
                };
                assert_eq!(panic.as_deref(), Some("held"), "way {way}");
                handle.cancel();
                assert_eq!(seen.load(SeqCst), 1);
            }
        },
    );
}

// V12, P32, D19: a callback blocks until another thread has used the tree, in
// its run and in its drop.
#[test]
fn a_callback_may_block_until_another_thread_has_used_the_tree() {
    in_time(|| {
        let nodes = Arc::new(family());
        let (ask, asked) = mpsc::channel::<mpsc::Sender<()>>();
        let inside = nodes.clone();
        let other = start(move || {
            for answer in asked {
                use_the_tree(&[root(), inside[4].clone()]);
                let (child, _keep) = inside[0].0.with_cancel();
                let done = Arc::new(AtomicBool::new(false));
                let runs = done.clone();
                child
                    .after_cancel(move |_| runs.store(true, SeqCst))
                    .detach();
                assert!(done.load(SeqCst) && child.is_cancelled());
                answer.send(()).unwrap();
            }
        });
        let ask = Mutex::new(ask);
        let block = Arc::new(move || {
            let (answer, answered) = mpsc::channel();
            ask.lock().unwrap().send(answer).unwrap();
            answered.recv().unwrap();
        });
        for at in [0, 3] {
            let (on_run, on_drop) = (block.clone(), block.clone());
            let on_drop = OnDrop(move || on_drop());
            nodes[at]
                .0
                .after_cancel(move |_| {
                    let _on_drop = &on_drop;
                    on_run();
                })
                .detach();
        }
        drop(block);
        assert!(nodes[0].1.cancel());
        other.join().unwrap();
    });
}
