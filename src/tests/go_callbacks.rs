//! What Go's contexts, and those of Go-like crates, are asked about callbacks.

use super::tools::{OnDrop, in_time, on_wake, poll, start};
use crate::{CancelHandle, Context, Registration, Stop};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

/// A callback that counts its runs.
fn counted(ctx: &Context) -> (Arc<AtomicUsize>, Registration) {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = runs.clone();
    let registration = ctx.after_cancel(move |_| {
        count.fetch_add(1, SeqCst);
    });
    (runs, registration)
}

// G103, G111, V13: not before the cancel; at it, once, with the error; and it
// cannot be prevented any more.
#[test]
fn a_callback_runs_at_the_cancel_and_not_before() {
    for below in [false, true] {
        let (top, handle) = root();
        let ctx = if below {
            top.with_cancel().0
        } else {
            top.clone()
        };
        let runs = Arc::new(Mutex::new(Vec::new()));
        let log = runs.clone();
        let registration = ctx.after_cancel(move |error| log.lock().unwrap().push(error.clone()));
        thread::sleep(Duration::from_millis(1));
        assert!(runs.lock().unwrap().is_empty());
        assert!(handle.cancel_with("why"));
        assert_eq!(runs.lock().unwrap().len(), 1);
        let error = runs.lock().unwrap().remove(0);
        assert!(error.cause().unwrap().ptr_eq(&top.cause().unwrap()));
        assert_eq!(error.origin(), top.id());
        assert_eq!(error.location(), ctx.error().unwrap().location());
        assert!(!handle.cancel());
        for _ in 0..2 {
            assert_eq!(registration.stop(), Stop::Finished);
            assert_eq!(registration.stop_and_join(), Stop::Finished);
        }
        drop(registration);
        assert!(runs.lock().unwrap().is_empty(), "once");
    }
}

// G105, K5: on the caller, before `after_cancel` returns. So who registers
// under a lock of its own holds it in the callback: P29.
#[test]
fn on_a_done_context_it_runs_on_the_caller_at_once() {
    in_time(|| {
        let (ctx, handle) = root();
        handle.cancel_with("why");
        let (below, _keep) = ctx.with_cancel();
        for ctx in [&ctx, &below] {
            let lock = Arc::new(Mutex::new(None));
            let (inside, caller) = (lock.clone(), thread::current().id());
            let held = lock.lock().unwrap();
            let (tell, told) = mpsc::channel();
            let registration = ctx.after_cancel(move |error| {
                assert_eq!(thread::current().id(), caller);
                assert!(inside.try_lock().is_err(), "the caller's lock");
                tell.send(error.to_string()).unwrap();
            });
            assert_eq!(told.try_recv().unwrap(), "context cancelled: why");
            drop(held);
            assert!(told.try_recv().is_err());
            assert_eq!(registration.stop(), Stop::Finished);
            assert_eq!(registration.stop_and_join(), Stop::Finished);
            assert_eq!(lock.lock().unwrap().take(), None::<()>);
            // The closure is gone, though the registration is there.
            assert_eq!(Arc::strong_count(&lock), 1);
        }
    });
}

// G16, G106, P37: stopped before the cancel it never runs, and says who came
// second; its closure is dropped when it is prevented.
#[test]
fn stopped_before_the_cancel_it_never_runs() {
    for join_first in [false, true] {
        let (ctx, handle) = root();
        let (runs, registration) = counted(&ctx);
        let first = if join_first {
            registration.stop_and_join()
        } else {
            registration.stop()
        };
        assert_eq!(first, Stop::Prevented);
        assert_eq!(Arc::strong_count(&runs), 1, "the closure is dropped");
        assert_eq!(registration.stop(), Stop::AlreadyStopped);
        assert_eq!(registration.stop_and_join(), Stop::AlreadyStopped);
        assert!(handle.cancel());
        assert_eq!(runs.load(SeqCst), 0);
        assert_eq!(registration.stop(), Stop::AlreadyStopped);
        drop(registration);
        assert_eq!(runs.load(SeqCst), 0);
    }
}

// G107, G27: it runs inline: the cancel returns after it. Everything is marked
// before, and while it blocks, others ask, derive and cancel.
#[test]
fn a_cancel_returns_after_its_callbacks_and_others_go_on_meanwhile() {
    in_time(|| {
        let (ctx, handle) = root();
        let (child, cancel_child) = ctx.with_cancel();
        let (entered, has_entered) = mpsc::channel();
        let (leave, may_leave) = mpsc::channel::<()>();
        let ended = Arc::new(AtomicBool::new(false));
        let ends = ended.clone();
        ctx.after_cancel(move |_| {
            entered.send(()).unwrap();
            may_leave.recv().unwrap();
            ends.store(true, SeqCst);
        })
        .detach();
        let watch = ended.clone();
        let loser = handle.clone();
        let canceller = start(move || {
            assert!(handle.cancel());
            assert!(watch.load(SeqCst));
        });
        has_entered.recv().unwrap();
        assert!(ctx.is_cancelled() && child.is_cancelled());
        assert!(!cancel_child.cancel() && !loser.cancel());
        assert_eq!(ctx.wait().origin(), child.wait().origin());
        assert!(ctx.with_cancel().0.is_cancelled());
        let (runs, _registration) = counted(&ctx);
        assert_eq!(runs.load(SeqCst), 1);
        assert!(!ended.load(SeqCst) && !canceller.is_finished());
        leave.send(()).unwrap();
        canceller.join().unwrap();
    });
}

// G108, P38: several on one context: one is stopped, one is dropped late, and
// the others run, those too that took the place of one that went.
#[test]
fn callbacks_of_one_context_are_independent() {
    for stopped in 0..5 {
        let (ctx, handle) = root();
        let mut all: Vec<_> = (0..5).map(|_| counted(&ctx)).collect();
        assert_eq!(all[stopped].1.stop(), Stop::Prevented);
        let (gone, registration) = all.remove((stopped + 1) % 5);
        drop(registration);
        let late = counted(&ctx);
        handle.cancel();
        assert_eq!((gone.load(SeqCst), late.0.load(SeqCst)), (0, 1));
        for (runs, registration) in all {
            let prevented = registration.stop() == Stop::AlreadyStopped;
            assert_eq!(runs.load(SeqCst), usize::from(!prevented));
        }
    }
}

// G110, K3: stop while it runs tells so at once, join waits for the end, and
// sees what the callback did.
#[test]
fn stop_does_not_wait_for_a_run_and_join_does() {
    in_time(|| {
        let (ctx, handle) = root();
        let (entered, has_entered) = mpsc::channel();
        let (leave, may_leave) = mpsc::channel::<()>();
        let wrote = Arc::new(AtomicUsize::new(0));
        let writes = wrote.clone();
        let registration = Arc::new(ctx.after_cancel(move |_| {
            entered.send(()).unwrap();
            may_leave.recv().unwrap();
            writes.store(1, Relaxed);
        }));
        let canceller = start(move || handle.cancel());
        has_entered.recv().unwrap();
        assert_eq!(registration.stop(), Stop::Running);
        assert_eq!(registration.stop(), Stop::Running);
        let joins = [registration.clone(), registration.clone()].map(|registration| {
            let wrote = wrote.clone();
            start(move || {
                let stop = registration.stop_and_join();
                (stop, wrote.load(Relaxed))
            })
        });
        thread::sleep(Duration::from_millis(20));
        assert!(joins.iter().all(|join| !join.is_finished()));
        leave.send(()).unwrap();
        for join in joins {
            assert_eq!(join.join().unwrap(), (Stop::Finished, 1));
        }
        assert_eq!(registration.stop(), Stop::Finished);
        assert!(canceller.join().unwrap());
    });
}

// G112: on what can never be done it never runs, and it is prevented once.
#[test]
fn on_a_root_or_a_shield_it_never_runs() {
    let (ctx, handle) = root();
    let before = ctx.without_cancel();
    handle.cancel();
    let after = ctx.without_cancel();
    for ctx in [Context::background(), Context::todo(), before, after] {
        let (runs, registration) = counted(&ctx);
        assert_eq!(registration.stop(), Stop::Prevented);
        assert_eq!(registration.stop(), Stop::AlreadyStopped);
        let (more_runs, dropped) = counted(&ctx);
        drop(dropped);
        assert_eq!((runs.load(SeqCst), more_runs.load(SeqCst)), (0, 0));
        assert_eq!(Arc::strong_count(&more_runs), 1, "not kept");
    }
}

// G113, K4, P25: it cancels, registers, derives and waits on the very context.
#[test]
fn a_callback_may_use_its_own_context() {
    in_time(|| {
        let (ctx, handle) = root();
        let (inside, again) = (ctx.clone(), handle.clone());
        let runs = Arc::new(AtomicUsize::new(0));
        let count = runs.clone();
        let _registration = ctx.after_cancel(move |error| {
            assert!(!again.cancel_with("again"));
            let (second, registration) = counted(&inside);
            assert_eq!(second.load(SeqCst), 1);
            assert_eq!(registration.stop(), Stop::Finished);
            let (child, _keep) = inside.with_cancel();
            assert_eq!(child.wait().origin(), error.origin());
            assert!(inside.sleep(Duration::from_secs(3_600)).is_err());
            count.fetch_add(1, SeqCst);
        });
        assert!(handle.cancel_with("first"));
        assert_eq!(runs.load(SeqCst), 1);
        assert_eq!(ctx.cause().unwrap().to_string(), "first");
    });
}

// G114, K2, K6: it ends with its handle, and stays when it is detached.
#[test]
fn a_dropped_registration_never_runs_and_a_detached_one_does() {
    let (ctx, handle) = root();
    let (dropped, registration) = counted(&ctx);
    let (detached, other) = counted(&ctx);
    drop(registration);
    assert_eq!(Arc::strong_count(&dropped), 1, "its closure is gone");
    other.detach();
    assert_eq!(Arc::strong_count(&detached), 2);
    assert!(handle.cancel());
    assert_eq!((dropped.load(SeqCst), detached.load(SeqCst)), (0, 1));
    assert_eq!(Arc::strong_count(&detached), 1, "and its own after the run");
}

// G8, P55: a callback is no child and keeps no context, detached or not; it is
// dropped unrun when nobody holds its context any more.
#[test]
fn a_callback_keeps_no_context() {
    for detached in [false, true] {
        let (top, stop) = root();
        let (ctx, handle) = top.with_cancel();
        let (runs, registration) = counted(&ctx);
        assert_eq!(ctx.live_children(), 0, "it is no child");
        let mut kept = None;
        if detached {
            registration.detach();
        } else {
            kept = Some(registration);
        }
        drop((ctx, handle));
        assert_eq!(top.live_children(), 0);
        assert_eq!(Arc::strong_count(&runs), 1);
        assert!(stop.cancel());
        assert_eq!(runs.load(SeqCst), 0);
        if let Some(registration) = kept {
            assert_eq!(registration.stop(), Stop::Prevented);
            assert_eq!(registration.stop(), Stop::AlreadyStopped);
        }
    }
}

// V9: one on a context that only a child keeps, still runs.
#[test]
fn a_callback_of_a_dropped_middle_runs() {
    let (top, stop) = root();
    let (middle, handle) = top.with_cancel();
    let (leaf, _keep) = middle.with_cancel();
    let (runs, registration) = counted(&middle);
    registration.detach();
    drop((middle, handle));
    assert_eq!(Arc::strong_count(&runs), 2);
    assert!(stop.cancel());
    assert_eq!(runs.load(SeqCst), 1);
    drop(leaf);
}

// K1, P18, V17: in order of registration, waits and callbacks together;
// parents before children; all on the thread that cancels.
#[test]
fn callbacks_and_waits_take_turns_in_order_of_registration() {
    type Log = Arc<Mutex<Vec<String>>>;
    let (top, handle) = root();
    let (child, _keep) = top.with_cancel();
    let (leaf, _keep) = child.with_cancel();
    let log: Log = Arc::default();
    let (mut waits, mut registrations) = (Vec::new(), Vec::new());
    for i in 0..9 {
        let (name, ctx) = [("leaf", &leaf), ("top", &top), ("child", &child)][i % 3];
        let (log, caller) = (log.clone(), thread::current().id());
        let note = move || {
            assert_eq!(thread::current().id(), caller);
            log.lock().unwrap().push(format!("{name} {}", i / 3));
        };
        if i / 3 == 1 {
            let mut wait = ctx.clone().cancelled_owned();
            assert!(poll(&mut wait, &on_wake(note)).is_pending());
            waits.push(wait);
        } else {
            registrations.push(ctx.after_cancel(move |_| note()));
        }
    }
    assert!(handle.cancel());
    let expected: Vec<String> = ["top", "child", "leaf"]
        .iter()
        .flat_map(|name| (0..3).map(move |i| format!("{name} {i}")))
        .collect();
    assert_eq!(*log.lock().unwrap(), expected);
}

// V13: what a closure holds is dropped once: after the run, before the cancel
// returns; or when it is prevented.
#[test]
fn what_a_closure_holds_is_dropped_once() {
    for cancelled in [false, true] {
        let (ctx, handle) = root();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (runs, drops) = (log.clone(), log.clone());
        let on_drop = OnDrop(move || drops.lock().unwrap().push("drop"));
        let registration = ctx.after_cancel(move |_| {
            let _on_drop = &on_drop;
            runs.lock().unwrap().push("run");
        });
        let expected: &[_] = if cancelled {
            assert!(handle.cancel());
            &["run", "drop"]
        } else {
            assert_eq!(registration.stop(), Stop::Prevented);
            &["drop"]
        };
        assert_eq!(*log.lock().unwrap(), expected);
        drop((ctx, handle, registration));
        assert_eq!(*log.lock().unwrap(), expected);
    }
}
