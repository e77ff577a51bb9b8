//! What links, sources and registrations owe when user's code misbehaves.

use super::tools::{Drops, OnDrop, alone, in_time, message, on_small_stack, start};
use crate::{CancelHandle, CancelSource, Cause, Context, Registration, Stop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

type Notify = Box<dyn FnOnce() + Send>;
type Hook = Box<dyn Fn() + Send + Sync>;

/// A source that keeps what it is given to call, and runs code of ours wherever
/// a source can.
#[derive(Default)]
struct Hostile {
    notify: Arc<Mutex<Option<Notify>>>,
    on_error: Option<Hook>,
    on_drop: Option<Hook>,
    on_deregister: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl CancelSource for Hostile {
    fn is_cancelled(&self) -> bool {
        false
    }

    fn error(&self) -> Option<Cause> {
        if let Some(hook) = &self.on_error {
            hook();
        }
        Some("source".into())
    }

    fn on_cancel(&self, notify: Notify) -> Box<dyn Send> {
        *self.notify.lock().unwrap() = Some(notify);
        match self.on_deregister.clone() {
            Some(hook) => Box::new(OnDrop(move || hook())),
            None => Box::new(()),
        }
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        if let Some(hook) = &self.on_drop {
            hook();
        }
    }
}

// V8, V25: registrations that own each other through their closures.
#[test]
fn a_long_chain_of_registrations_is_dropped_on_a_small_stack() {
    on_small_stack(|| {
        let (ctx, _handle) = root();
        let drops = Drops::default();
        let mut outer: Registration = ctx.after_cancel(|_| ());
        for _ in 0..20_000 {
            let (inner, value) = (outer, drops.value());
            outer = ctx.after_cancel(move |_| drop((inner, value)));
        }
        drop(outer);
        assert_eq!(drops.count(), 20_000);
    });
}

// V8, V25: the same when their context ends.
#[test]
fn a_long_chain_of_registrations_goes_with_its_contexts_on_a_small_stack() {
    on_small_stack(|| {
        let (held, _handle) = root();
        let (ctx, handle) = root();
        let drops = Drops::default();
        let mut outer: Registration = held.after_cancel(|_| ());
        for _ in 0..20_000 {
            let (inner, value) = (outer, drops.value());
            outer = held.after_cancel(move |_| drop((inner, value)));
        }
        ctx.after_cancel(move |_| drop(outer)).detach();
        drop((ctx, handle));
        assert_eq!(drops.count(), 20_000);
    });
}

// V14, V25: a source and its registration that both panic when they are dropped.
#[test]
fn a_source_and_a_registration_that_panic_when_dropped_do_not_abort() {
    alone(
        "tests::ties::a_source_and_a_registration_that_panic_when_dropped_do_not_abort",
        || {
            let (parent, _keep) = root();
            let mut source = Hostile::default();
            source.on_drop = Some(Box::new(|| panic!("source")));
            source.on_deregister = Some(Arc::new(|| panic!("registration")));
            let (ctx, handle) = parent.from_source(source);
            let panic = catch_unwind(AssertUnwindSafe(|| handle.cancel())).unwrap_err();
            assert_eq!(message(&*panic), "registration");
            assert!(ctx.is_cancelled());
        },
    );
}

// V14: a source that fires has fired, also if it cannot say why.
#[test]
fn a_source_that_panics_when_asked_for_the_error_has_cancelled_nevertheless() {
    let mut source = Hostile::default();
    source.on_error = Some(Box::new(|| panic!("error")));
    let notify = source.notify.clone();
    let (ctx, _handle) = Context::background().from_source(source);
    let notify = notify.lock().unwrap().take().unwrap();
    let panic = catch_unwind(AssertUnwindSafe(notify)).unwrap_err();
    assert_eq!(message(&*panic), "error");
    assert!(ctx.is_cancelled() && ctx.cause().is_none());
}

// V13: after `stop_and_join` the callback uses nothing, whatever became of it.
#[test]
fn stop_and_join_waits_for_the_drop_of_an_unrun_callback() {
    in_time(|| {
        let (ctx, handle) = root();
        let (dropping, is_dropping) = mpsc::channel();
        let (let_go, wait) = mpsc::channel::<()>();
        let over = Arc::new(AtomicBool::new(false));
        let (wait, seen) = (Mutex::new(wait), over.clone());
        let held = OnDrop(move || {
            dropping.send(()).unwrap();
            let _ = wait.lock().unwrap().recv();
            seen.store(true, SeqCst);
        });
        let registration = ctx.after_cancel(move |_| drop(held));
        let ender = start(move || drop((ctx, handle)));
        is_dropping.recv().unwrap();
        let joiner = start(move || (registration.stop_and_join(), over.load(SeqCst)));
        std::thread::sleep(std::time::Duration::from_millis(50));
        drop(let_go);
        ender.join().unwrap();
        let (stop, over) = joiner.join().unwrap();
        assert_eq!(stop, Stop::Prevented);
        assert!(over, "its closure was still being dropped");
    });
}

// V17, V21: a linked parent before its children, also those that are linked to
// the same context.
#[test]
fn a_linked_parent_is_delivered_before_its_linked_children() {
    let (other, cancel) = root();
    let (parent, _p) = Context::background().link([&other]);
    let (child, _c) = parent.link([&other]);
    let log = Arc::new(Mutex::new(Vec::new()));
    for (ctx, name) in [(&child, "child"), (&parent, "parent"), (&other, "other")] {
        let log = log.clone();
        ctx.after_cancel(move |_| log.lock().unwrap().push(name))
            .detach();
    }
    cancel.cancel();
    assert_eq!(*log.lock().unwrap(), ["other", "parent", "child"]);
}

// V21: a shield keeps off what comes from above, not what was asked for.
#[test]
fn a_shielded_context_may_be_linked_to_its_own_parent() {
    let (parent, cancel) = root();
    let (ctx, _handle) = parent.derive().shield().link(&parent).build();
    cancel.cancel();
    assert!(ctx.is_cancelled());
}

// V14: the cause of a cancel that loses, but delivers to a link, is dropped once.
#[test]
fn a_losing_cause_is_dropped_when_a_callback_behind_a_link_panics() {
    in_time(|| {
        let drops = Drops::default();
        let helped = AtomicUsize::new(0);
        for round in 1..=60 {
            let (top, handle) = root();
            let (link, _h) = Context::background().link([&top]);
            link.after_cancel(|_| panic!("callback")).detach();
            let children: Vec<_> = (0..5_000).map(|_| top.with_cancel()).collect();
            let (winner, seen) = (handle.clone(), top.clone());
            let thread = start(move || {
                let _ = catch_unwind(AssertUnwindSafe(|| winner.cancel()));
            });
            while !seen.is_cancelled() {
                std::hint::spin_loop();
            }
            let cause = Cause::new(drops.value());
            if catch_unwind(AssertUnwindSafe(|| handle.cancel_with(cause))).is_err() {
                helped.fetch_add(1, SeqCst);
            }
            thread.join().unwrap();
            drop((children, top, seen));
            assert_eq!(drops.count(), round, "{helped:?} panics came to the loser");
        }
    });
}

// V8, V21: links in a row, and sources in a row.
#[test]
fn a_long_chain_of_links_is_cancelled_and_dropped_on_a_small_stack() {
    for cancelled in [true, false] {
        on_small_stack(move || {
            let (mut last, handle) = root();
            let first = last.clone();
            for _ in 0..100_000 {
                last = Context::background().link([&last]).0;
            }
            if cancelled {
                handle.cancel();
                assert!(last.is_cancelled());
            }
            drop((first, handle));
            drop(last);
        });
    }
}

struct Other(Context);

impl CancelSource for Other {
    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    fn error(&self) -> Option<Cause> {
        self.0.cause()
    }

    fn on_cancel(&self, notify: Notify) -> Box<dyn Send> {
        Box::new(self.0.after_cancel(move |_| notify()))
    }
}

// V8: the same for sources that are contexts.
#[test]
fn a_long_chain_of_sources_is_dropped_on_a_small_stack() {
    on_small_stack(|| {
        let mut last = root().0;
        for _ in 0..50_000 {
            last = Context::background().from_source(Other(last)).0;
        }
        drop(last);
    });
}
