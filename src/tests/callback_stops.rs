//! Callbacks that are stopped and joined: by others, by each other, by
//! themselves.

use super::tools::{Body, OnDrop, at_once, in_time, start};
use crate::{CancelHandle, Context, Registration, Stop};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, OnceLock, mpsc};
use std::thread;

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

// P33: two callbacks, run by two threads at once, stop each other: both are
// told that the other is running.
#[test]
fn callbacks_that_stop_each_other_do_not_block() {
    in_time(|| {
        let trees = [root(), root()];
        let registered: Arc<[OnceLock<Registration>; 2]> = Arc::default();
        let barrier = Arc::new(Barrier::new(2));
        let told = Arc::new(Mutex::new(Vec::new()));
        for (i, (ctx, _)) in trees.iter().enumerate() {
            let (others, barrier, told) = (registered.clone(), barrier.clone(), told.clone());
            let registration = ctx.after_cancel(move |_| {
                barrier.wait();
                let stop = others[1 - i].get().unwrap().stop();
                told.lock().unwrap().push(stop);
                barrier.wait();
            });
            assert!(registered[i].set(registration).is_ok());
        }
        let threads = trees.map(|(_, handle)| start(move || handle.cancel()));
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
        assert_eq!(*told.lock().unwrap(), [Stop::Running; 2]);
        for registration in registered.iter() {
            assert_eq!(registration.get().unwrap().stop(), Stop::Finished);
        }
    });
}

// V13, P33, P36: a join from the own callback says so rather than wait for
// ever, also from a callback that it led to, further up the same stack; and a
// run that ended on this thread before is not taken for one.
#[test]
fn a_join_on_its_own_thread_does_not_block() {
    in_time(|| {
        let (first, cancel_first) = root();
        let (second, cancel_second) = root();
        let own: Arc<OnceLock<Registration>> = Arc::default();
        let earlier: Arc<OnceLock<Registration>> = Arc::default();
        let told = Arc::new(Mutex::new(Vec::new()));
        assert!(earlier.set(first.after_cancel(|_| ())).is_ok());
        let (me, before, tells) = (own.clone(), earlier.clone(), told.clone());
        let registration = first.after_cancel(move |_| {
            let join = |of: &OnceLock<Registration>| of.get().unwrap().stop_and_join();
            tells.lock().unwrap().push(join(&me));
            tells.lock().unwrap().push(join(&before));
            // From a callback within this one.
            assert!(cancel_second.cancel());
            tells.lock().unwrap().push(join(&me));
        });
        assert!(own.set(registration).is_ok());
        let (outer, before, tells) = (own.clone(), earlier, told.clone());
        let inner = second.after_cancel(move |_| {
            tells
                .lock()
                .unwrap()
                .push(outer.get().unwrap().stop_and_join());
            tells
                .lock()
                .unwrap()
                .push(before.get().unwrap().stop_and_join());
        });
        assert!(cancel_first.cancel());
        use Stop::{Finished, Running};
        let expected = [Running, Finished, Running, Finished, Running];
        assert_eq!(*told.lock().unwrap(), expected);
        assert_eq!(own.get().unwrap().stop_and_join(), Finished);
        assert_eq!(inner.stop_and_join(), Finished);
    });
}

// V13, V15, P23, P36: a stop and a join from the drop of what the closure
// itself holds: after its run, when it is prevented, and when its context goes.
#[test]
fn what_a_closure_holds_may_stop_it_in_its_drop() {
    in_time(|| {
        for way in 0..4 {
            let (ctx, handle) = root();
            let own: Arc<OnceLock<Registration>> = Arc::default();
            let told = Arc::new(Mutex::new(Vec::new()));
            let (me, tells) = (own.clone(), told.clone());
            let on_drop = OnDrop(move || {
                let own = me.get().unwrap();
                let mut told = tells.lock().unwrap();
                told.extend([own.stop_and_join(), own.stop()]);
            });
            let registration = ctx.after_cancel(move |_| drop(on_drop));
            assert!(own.set(registration).is_ok());
            let expected = match way {
                0 => {
                    assert!(handle.cancel());
                    [Stop::Running; 2]
                }
                1 => {
                    assert_eq!(own.get().unwrap().stop(), Stop::Prevented);
                    [Stop::AlreadyStopped; 2]
                }
                2 => {
                    assert_eq!(own.get().unwrap().stop_and_join(), Stop::Prevented);
                    [Stop::AlreadyStopped; 2]
                }
                _ => {
                    drop((ctx, handle));
                    // Whoever asks first after its context is gone.
                    [Stop::Prevented, Stop::AlreadyStopped]
                }
            };
            assert_eq!(*told.lock().unwrap(), expected, "way {way}");
        }
    });
}

// P34: stop under a lock that the running callback waits for.
#[test]
fn a_stop_under_a_lock_that_the_callback_takes_does_not_block() {
    in_time(|| {
        let (ctx, handle) = root();
        let lock = Arc::new(Mutex::new(0));
        let (inside, runs) = (lock.clone(), Arc::new(AtomicBool::new(false)));
        let says = runs.clone();
        let registration = ctx.after_cancel(move |_| {
            says.store(true, SeqCst);
            *inside.lock().unwrap() += 1;
        });
        let held = lock.lock().unwrap();
        let canceller = start(move || handle.cancel());
        while !runs.load(SeqCst) {
            thread::yield_now();
        }
        assert_eq!(registration.stop(), Stop::Running);
        // So is dropping it, and dropping what it hung on.
        drop((registration, ctx));
        assert_eq!(*held, 0);
        drop(held);
        assert!(canceller.join().unwrap());
        assert_eq!(*lock.lock().unwrap(), 1);
    });
}

// P35, P36: a join waits for its own callback, not for others of the same
// context or of the same thread; and from within a callback of another thread
// it does wait.
#[test]
fn a_join_waits_for_its_own_callback_only() {
    in_time(|| {
        let (ctx, handle) = root();
        let (entered, has_entered) = mpsc::channel();
        let (leave, may_leave) = mpsc::channel::<()>();
        let before = ctx.after_cancel(|_| ());
        let slow = Arc::new(ctx.after_cancel(move |_| {
            entered.send(()).unwrap();
            may_leave.recv().unwrap();
        }));
        let after = ctx.after_cancel(|_| ());
        let canceller = start(move || handle.cancel());
        has_entered.recv().unwrap();
        assert_eq!(before.stop_and_join(), Stop::Finished);
        assert_eq!(after.stop_and_join(), Stop::Prevented);
        let waiter = slow.clone();
        let joiner = start(move || {
            let (other, cancel_other) = root();
            let told = Arc::new(Mutex::new(None));
            let tells = told.clone();
            other
                .after_cancel(move |_| *tells.lock().unwrap() = Some(waiter.stop_and_join()))
                .detach();
            cancel_other.cancel();
            told.lock().unwrap().take().unwrap()
        });
        thread::sleep(std::time::Duration::from_millis(20));
        assert!(!joiner.is_finished());
        leave.send(()).unwrap();
        assert_eq!(joiner.join().unwrap(), Stop::Finished);
        assert!(canceller.join().unwrap());
    });
}

// G109, V13, P2, P3, P37, P39: two stops, a join and a cancel at once: the
// callback runs or one of the three prevented it, never both and never
// neither; and once it is prevented nothing comes any more.
#[test]
fn a_callback_is_run_once_or_prevented_once() {
    in_time(|| {
        for round in 0..2_000 {
            let (top, handle) = root();
            let ctx = if round % 2 == 0 {
                top
            } else {
                top.with_cancel().0
            };
            let runs = Arc::new(AtomicUsize::new(0));
            let count = runs.clone();
            let registration = Arc::new(ctx.after_cancel(move |_| {
                count.fetch_add(1, Relaxed);
            }));
            let stop = |join: bool| -> Body<Option<(Stop, usize)>> {
                let (registration, runs) = (registration.clone(), runs.clone());
                Box::new(move || {
                    let stop = if join {
                        registration.stop_and_join()
                    } else {
                        registration.stop()
                    };
                    Some((stop, runs.load(Relaxed)))
                })
            };
            let mut bodies = vec![stop(false), stop(round % 3 == 0)];
            bodies.push(Box::new(move || {
                handle.cancel();
                None
            }));
            // Where there is one processor, the last to come goes first.
            bodies.rotate_left(round % 3);
            let told: Vec<_> = at_once(bodies).into_iter().flatten().collect();
            let count = |of| told.iter().filter(|&&(stop, _)| stop == of).count();
            let times = runs.load(Relaxed);
            assert_eq!(count(Stop::Prevented) + times, 1, "{told:?}");
            assert_eq!(count(Stop::AlreadyStopped), 1 - times, "{told:?}");
            for (stop, seen) in told {
                match stop {
                    Stop::Finished => assert_eq!(seen, 1),
                    Stop::Prevented | Stop::AlreadyStopped => assert_eq!(seen, 0),
                    Stop::Running => {}
                }
            }
        }
    });
}

// P2, P3, P4, G30: n registered before the cancel and m racing it, on the
// context and below: each runs exactly once, and has run when both the cancel
// and its own registration have returned.
#[test]
fn callbacks_registered_during_the_cancel_run_once() {
    in_time(|| {
        for n in 0..5 {
            for round in 0..200 {
                let (top, handle) = root();
                let ctx = if round % 2 == 0 {
                    top
                } else {
                    top.with_cancel().0
                };
                let runs: Arc<Vec<AtomicUsize>> =
                    Arc::new((0..n + 8).map(|_| AtomicUsize::new(0)).collect());
                let register = |ctx: &Context, i: usize| {
                    let runs = runs.clone();
                    ctx.after_cancel(move |_| {
                        runs[i].fetch_add(1, Relaxed);
                    })
                };
                let before: Vec<_> = (0..n).map(|i| register(&ctx, i)).collect();
                let mut bodies: Vec<Body<Vec<Registration>>> = Vec::new();
                for thread in 0..2 {
                    let (ctx, runs) = (ctx.clone(), runs.clone());
                    bodies.push(Box::new(move || {
                        let register = |i: usize| {
                            let runs = runs.clone();
                            ctx.after_cancel(move |_| {
                                runs[i].fetch_add(1, Relaxed);
                            })
                        };
                        (0..4).map(|i| register(n + thread * 4 + i)).collect()
                    }));
                }
                bodies.push(Box::new(move || {
                    handle.cancel();
                    Vec::new()
                }));
                let during = at_once(bodies);
                assert!(runs.iter().all(|runs| runs.load(Relaxed) == 1), "{runs:?}");
                for registration in before.iter().chain(during.iter().flatten()) {
                    assert_eq!(registration.stop(), Stop::Finished);
                }
            }
        }
    });
}

// P39, P40: a registration that is dropped, or goes with its context, while the
// cancel comes: it runs at most once, never after the drop returned on a thread
// that saw the end of the cancel, and its closure is gone in the end.
#[test]
fn a_registration_dropped_during_the_cancel_leaves_nothing() {
    in_time(|| {
        for round in 0..2_000 {
            let (top, handle) = root();
            let (ctx, own) = top.with_cancel();
            let runs = Arc::new(AtomicUsize::new(0));
            let count = runs.clone();
            let registration = ctx.after_cancel(move |_| {
                count.fetch_add(1, Relaxed);
            });
            let mut bodies: Vec<Body> = vec![Box::new(move || {
                handle.cancel();
            })];
            if round % 3 == 0 {
                registration.detach();
            } else {
                bodies.push(Box::new(move || drop(registration)));
            }
            if round % 2 == 0 {
                bodies.push(Box::new(move || drop((ctx, own))));
            } else {
                bodies.push(Box::new(move || {
                    let stopped = ctx.after_cancel(|_| ()).stop();
                    assert_ne!(stopped, Stop::AlreadyStopped);
                    drop((ctx, own));
                }));
            }
            at_once(bodies);
            let times = runs.load(Relaxed);
            assert!(times <= 1);
            assert_eq!(Arc::strong_count(&runs), 1);
            drop(top);
            assert_eq!(runs.load(Relaxed), times);
        }
    });
}

// P38: registrations that end late, after their run, after their stop and after
// their context, remove none of those that took their place.
#[test]
fn a_late_drop_removes_no_newer_registration() {
    let mut old: Vec<(Registration, Stop)> = Vec::new();
    for round in 0..2_000 {
        let (ctx, handle) = root();
        let runs = Arc::new(AtomicUsize::new(0));
        let new = [(); 3].map(|()| {
            let count = runs.clone();
            ctx.after_cancel(move |_| {
                count.fetch_add(1, SeqCst);
            })
        });
        for (registration, expected) in old.drain(..) {
            assert_eq!(registration.stop(), expected);
        }
        let stopped = (round % 2 == 0).then_some(round % 3);
        if let Some(stopped) = stopped {
            assert_eq!(new[stopped].stop(), Stop::Prevented);
        }
        let told = if round % 5 == 0 {
            drop((ctx, handle));
            assert_eq!(runs.load(SeqCst), 0);
            // Nobody has stopped it so far.
            Stop::Prevented
        } else {
            handle.cancel();
            assert_eq!(runs.load(SeqCst), 3 - usize::from(stopped.is_some()));
            Stop::Finished
        };
        for (i, registration) in new.into_iter().enumerate() {
            let told = if stopped == Some(i) {
                Stop::AlreadyStopped
            } else {
                told
            };
            old.push((registration, told));
        }
    }
}
