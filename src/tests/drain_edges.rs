//! Drains whose closures, callbacks and wakers panic, block or come back.

use super::drain::{SECOND, finish};
use super::tools::{HOUR, OnDrop, in_time, message, on_clock, on_wake, peek, poll, start};
use crate::{Context, Drain, Phase, Report};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::time::Duration;

/// The text of the panic of `f`.
fn panic_of<T>(f: impl FnOnce() -> T) -> String {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("it did not panic"),
        Err(panic) => message(&*panic).to_owned(),
    }
}

// V14.
#[test]
fn a_closure_that_panics_holds_nothing_up() {
    let (clock, root) = on_clock();
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let drain = Drain::new(&root).soft_limit(4 * SECOND).hard_limit(SECOND);
    let drain = drain.on_waiting(move |_| match seen.fetch_add(1, SeqCst) {
        0 => panic!("first"),
        _ => panic!("second"),
    });
    let (request, _handle) = drain.context().with_cancel();
    let mut end = finish(&drain);
    for _ in 0..5 {
        assert!(peek(&mut end).is_pending());
        clock.advance(SECOND);
    }
    assert!(request.is_cancelled());
    assert_eq!(panic_of(|| peek(&mut end)), "first");
    assert_eq!(calls.load(SeqCst), 3);
    assert_eq!(drain.phase(), Phase::Done);
    assert_eq!(drain.finish_blocking().stragglers().count(), 1);
}

#[test]
fn a_closure_that_blocks_holds_up_its_own_call_only() {
    in_time(|| {
        let (clock, root) = on_clock();
        let (go, gate) = mpsc::channel::<()>();
        let (blocks, blocked) = mpsc::channel();
        let gate = Mutex::new(gate);
        let drain = Drain::new(&root).soft_limit(HOUR).hard_limit(SECOND);
        let drain = drain.on_waiting(move |_| {
            blocks.send(()).unwrap();
            let _ = gate.lock().unwrap().recv();
        });
        let (request, handle) = drain.context().with_cancel();
        drain.begin();
        clock.advance(SECOND);
        let stuck = start({
            let drain = drain.clone();
            move || drain.finish_blocking()
        });
        blocked.recv().unwrap();
        let mut end = finish(&drain);
        assert!(peek(&mut end).is_pending());
        clock.advance(HOUR);
        // It does not wait for the closure to drop it, either.
        drop((request, handle));
        assert!(matches!(peek(&mut end), Poll::Ready(report) if report.is_clean()));
        assert_eq!(drain.phase(), Phase::Done);
        drop(go);
        assert!(stuck.join().unwrap().is_clean());
    });
}

// V15.
#[test]
fn a_closure_may_use_the_drain_that_calls_it() {
    in_time(|| {
        let (clock, root) = on_clock();
        let drain = Drain::new(&root).soft_limit(HOUR).hard_limit(SECOND);
        let held = Mutex::new(Some(drain.context().with_cancel()));
        let dropped = Arc::new(AtomicBool::new(false));
        let flag = dropped.clone();
        let on_drop = OnDrop(move || flag.store(true, SeqCst));
        let own = drain.clone();
        let drain = drain.on_waiting(move |waiting| {
            let _ = &on_drop;
            assert_eq!(own.phase(), waiting.phase());
            assert!(!own.begin());
            assert!(peek(&mut own.draining()).is_ready());
            own.context().with_cancel().1.cancel();
            drop(held.lock().unwrap().take());
            assert!(own.finish_blocking().is_clean());
        });
        let mut end = finish(&drain);
        assert!(peek(&mut end).is_pending());
        clock.advance(SECOND);
        assert!(matches!(peek(&mut end), Poll::Ready(report) if report.is_clean()));
        // It held the drain, and is gone all the same.
        assert!(dropped.load(SeqCst));
    });
}

#[test]
fn a_closure_that_is_replaced_may_use_the_drain_in_its_drop() {
    in_time(|| {
        let drain = Drain::new(&Context::background());
        let own = drain.clone();
        let on_drop = OnDrop(move || assert_eq!(own.phase(), Phase::Running));
        let drain = drain.on_waiting(move |_| {
            let _ = &on_drop;
        });
        let drain = drain.on_waiting(|_| {});
        assert_eq!(drain.phase(), Phase::Running);
    });
}

#[test]
fn a_closure_that_panics_in_its_drop_leaves_the_report() {
    let drain = Drain::new(&Context::background());
    let on_drop = OnDrop(|| panic!("dropped"));
    let drain = drain.on_waiting(move |_| {
        let _ = &on_drop;
    });
    assert_eq!(panic_of(|| drain.finish_blocking()), "dropped");
    assert!(drain.finish_blocking().is_clean());
}

#[test]
fn a_callback_that_panics_on_the_cancel_leaves_the_report() {
    let drain = Drain::new(&Context::background());
    let drain = drain.soft_limit(Duration::ZERO).hard_limit(Duration::ZERO);
    let (request, _handle) = drain.context().derive().name("request").build();
    let _callback = request.after_cancel(|_| panic!("callback"));
    assert_eq!(panic_of(|| drain.finish_blocking()), "callback");
    let report = drain.finish_blocking();
    assert_eq!(report.reached(), Phase::Aborting);
    assert_eq!(report.stragglers().count(), 1);
}

#[test]
fn a_callback_may_finish_the_drain_that_cancels_it() {
    in_time(|| {
        let drain = Drain::new(&Context::background());
        let drain = drain.soft_limit(Duration::ZERO).hard_limit(Duration::ZERO);
        let (request, _handle) = drain.context().with_cancel();
        let (own, (send, inner)) = (drain.clone(), mpsc::channel());
        let _callback = request.after_cancel(move |_| {
            assert_eq!(own.phase(), Phase::Cancelling);
            send.send(own.finish_blocking()).unwrap();
        });
        let outer = drain.finish_blocking();
        assert_eq!(outer.to_string(), inner.recv().unwrap().to_string());
    });
}

#[test]
fn a_waker_that_panics_at_the_beginning_is_the_beginning_all_the_same() {
    let drain = Drain::new(&Context::background());
    let mut draining = drain.draining();
    assert!(poll(&mut draining, &on_wake(|| panic!("woken"))).is_pending());
    assert_eq!(panic_of(|| drain.begin()), "woken");
    assert_eq!(drain.phase(), Phase::Draining);
    assert!(!drain.begin());

    let drain = Drain::new(&Context::background());
    let mut draining = drain.draining();
    assert!(poll(&mut draining, &on_wake(|| panic!("woken"))).is_pending());
    assert_eq!(panic_of(|| drain.finish_blocking()), "woken");
    assert!(drain.finish_blocking().is_clean());
}

#[test]
fn a_drain_that_is_dropped_wakes_all_whoever_panics() {
    let drain = Drain::new(&Context::background());
    let request = drain.context().without_cancel().with_cancel().0;
    let (child, _handle) = drain.context().with_cancel();
    let mut draining = request.draining();
    assert!(poll(&mut draining, &on_wake(|| panic!("woken"))).is_pending());
    assert_eq!(panic_of(|| drop(drain)), "woken");
    assert!(child.is_cancelled() && child.is_draining());
}

#[test]
fn a_drain_that_is_dropped_while_unwinding_does_not_abort() {
    let drain = Drain::new(&Context::background());
    let mut draining = drain.draining();
    assert!(poll(&mut draining, &on_wake(|| panic!("woken"))).is_pending());
    let text = panic_of(|| {
        let _drain = drain;
        panic!("first");
    });
    assert_eq!(text, "first");
    assert!(peek(&mut draining).is_ready());
}

#[test]
fn the_last_clone_may_go_within_the_closure() {
    in_time(|| {
        let (clock, root) = on_clock();
        let drain = Drain::new(&root);
        let (request, _handle) = drain.context().with_cancel();
        let other = Arc::new(Mutex::new(None));
        let taken = other.clone();
        let drain = drain.on_waiting(move |_| drop(taken.lock().unwrap().take()));
        *other.lock().unwrap() = Some(drain.clone());
        drain.begin();
        clock.advance(SECOND);
        // The call keeps it.
        let mut end: Pin<Box<dyn Future<Output = Report> + Send>> =
            Box::pin(async move { drain.finish().await });
        assert!(peek(&mut end).is_pending());
        assert!(!request.is_cancelled());
        drop(end);
        assert!(request.is_cancelled());
    });
}

// V3, V22: a cancel from above is on its way, and not here yet, when `finish` ends at
// its limit: it has cancelled again, so all below is done all the same.
#[test]
fn a_drain_that_is_over_has_cancelled_all_below() {
    in_time(|| {
        for _ in 0..5 {
            let (top, stop) = Context::background().with_cancel();
            let drain = Drain::new(&top).soft_limit(HOUR).hard_limit(Duration::ZERO);
            let drain = drain.on_waiting(|_| {});
            // The cancel comes to what is linked before it comes to the request,
            // and a snapshot of the drain does not show it.
            let (request, _keep) = drain.context().with_cancel();
            let (aside, _keep) = Context::background().link([drain.context()]);
            let busy: Vec<Context> = (0..100_000).map(|_| aside.with_cancel().0).collect();
            drain.begin();
            let canceller = start(move || assert!(stop.cancel()));
            while !drain.context().is_cancelled() {
                std::hint::spin_loop();
            }
            drain.finish_blocking();
            assert!(request.is_cancelled());
            canceller.join().unwrap();
            drop(busy);
        }
    });
}
