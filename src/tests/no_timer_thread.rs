//! Where no thread can be started.

use super::tools::{HOUR, in_advance, in_time, ms};
use crate::time::Timers;
use crate::{Context, model};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

fn without_thread() -> (Timers, Context) {
    let timers = model::timers_without_thread();
    let root = Context::background().with_driver(&timers);
    (timers, root)
}

// V18, V25: deadlines are then noticed by whoever arms the next one, or asks the
// timers to run; nothing is lost, and arming does not fail.
#[test]
fn without_a_thread_deadlines_fire_when_the_next_is_armed() {
    let (timers, root) = without_thread();
    let (at, pairs, ran_on) = in_advance(ms(200), |at| {
        let pairs = [(); 3].map(|()| root.with_deadline(at));
        let ran_on = Arc::new(Mutex::new(Vec::new()));
        for (ctx, _) in &pairs {
            let ran_on = ran_on.clone();
            ctx.after_cancel(move |_| ran_on.lock().unwrap().push(thread::current().id()))
                .detach();
        }
        (at, pairs, ran_on)
    });
    thread::sleep((at + ms(10)).saturating_duration_since(Instant::now()));
    assert_eq!(timers.outstanding(), 3, "there is nobody who could");
    let (later, handle) = root.with_timeout(HOUR);
    assert!(pairs.iter().all(|(ctx, _)| ctx.is_cancelled()));
    assert_eq!(*ran_on.lock().unwrap(), [thread::current().id(); 3]);
    assert_eq!((timers.outstanding(), later.is_cancelled()), (1, false));
    // A move is an arming.
    let (soon, _keep) = root.with_timeout(ms(5));
    thread::sleep(ms(10));
    assert!(handle.set_deadline(Instant::now() + HOUR / 2));
    assert!(soon.is_cancelled());
    assert!(timers.run().is_some());
}

// V18, V25: a wait needs no timer where time is the system's, and so no thread.
#[test]
fn without_a_thread_waits_run_out() {
    in_time(|| {
        let (timers, root) = without_thread();
        let (ctx, _keep) = root.with_timeout(HOUR);
        let (_child, _below) = ctx.with_cancel();
        assert!(ctx.wait_timeout(ms(1)).is_none());
        assert!(ctx.sleep(ms(1)).is_ok());
        assert!(!ctx.wait_idle(Some(ms(1))));
        assert_eq!(timers.outstanding(), 1);
    });
}

// V14, V15: a callback that panics there, or arms more, is no trouble.
#[test]
fn without_a_thread_callbacks_may_panic_and_arm() {
    let (timers, root) = without_thread();
    let runs = Arc::new(AtomicUsize::new(0));
    let (ctx, _keep) = root.with_timeout(ms(200));
    let (count, inside) = (runs.clone(), root.clone());
    ctx.after_cancel(move |_| {
        drop(inside.with_timeout(HOUR));
        count.fetch_add(1, SeqCst);
        panic!("callback");
    })
    .detach();
    thread::sleep(ms(210));
    let (next, _keep) = root.with_timeout(HOUR);
    assert_eq!((runs.load(SeqCst), timers.outstanding()), (1, 1));
    assert!(ctx.is_cancelled() && !next.is_cancelled());
}
