//! What Go's contexts are asked about foreign parents.

use super::foreign::Token;
use super::tools::{Body, Wakes, alone, at_once, in_time, peek, poll};
use crate::{CancelHandle, CancelSource, Cause, Context, Key, Reason, Stop};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

fn text(ctx: &Context) -> Option<String> {
    ctx.cause().map(|cause| cause.to_string())
}

// G5, G6, G38, G127, G131: live until the foreign one calls back, then
// done, all that is below as well, with what it told.
#[test]
fn a_foreign_cancel_reaches_what_is_below() {
    for cause in [None, Some("theirs")] {
        let token = Token::default();
        let (ctx, handle) = Context::background().from_source(token.clone());
        let (child, _keep) = ctx.with_cancel();
        let below = child.with_value(1);
        let (wakes, waker) = Wakes::new();
        let mut wait = below.cancelled();
        assert!(poll(&mut wait, &waker).is_pending());
        assert!(ctx.is_cancelable() && ctx.check().is_ok() && below.error().is_none());

        token.cancel(cause.map(Cause::from));
        for ctx in [&ctx, &child, &below] {
            let error = ctx.error().unwrap();
            assert_eq!(error.reason(), Reason::Cancelled);
            assert_eq!(text(ctx).as_deref(), cause);
            assert_eq!(error.origin(), handle.context().id());
            assert!(error.location().is_none(), "no line of code");
        }
        assert_eq!(wakes.count(), 1);
        assert!(peek(&mut wait).is_ready());
        assert!(!handle.cancel_with("late"));
        assert_eq!(text(&ctx).as_deref(), cause);
    }
}

// G126: a native parent above and a foreign one with a cause of its own:
// whichever is first gives the cause.
#[test]
fn the_first_of_a_native_and_a_foreign_parent_gives_the_cause() {
    for native_first in [true, false] {
        let (parent, cancel_parent) = root();
        let token = Token::default();
        let (ctx, _keep) = parent.from_source(token.clone());
        let (child, _keep) = ctx.with_cancel();
        let native = || assert!(cancel_parent.cancel_with("p"));
        let foreign = || token.cancel(Some("t".into()));
        if native_first {
            native();
            assert!(child.is_cancelled());
            foreign();
        } else {
            foreign();
            assert!(child.is_cancelled() && !parent.is_cancelled());
            native();
        }
        let expected = if native_first { "p" } else { "t" };
        assert_eq!(text(&child).as_deref(), Some(expected));
        assert_eq!(text(&ctx).as_deref(), Some(expected));
        assert_eq!(child.reason(), Some(Reason::Cancelled));
    }
}

// G128, G129: a child with its own cause keeps it; the foreign one stays live.
#[test]
fn a_child_of_a_foreign_parent_has_its_own_cause() {
    let token = Token::default();
    let (ctx, _keep) = Context::background().from_source(token.clone());
    let (child, cancel_child) = ctx.with_cancel();
    let (sibling, _keep) = ctx.with_cancel();
    cancel_child.cancel_with("own");
    assert_eq!(text(&child).as_deref(), Some("own"));
    assert!(!ctx.is_cancelled() && !token.is_done());
    token.cancel(None);
    assert_eq!(text(&child).as_deref(), Some("own"));
    assert_eq!((text(&ctx), text(&sibling)), (None, None));
    assert!(ctx.is_cancelled() && sibling.is_cancelled());
}

// G124: a foreign token over a native context is registered with, and is not
// bypassed: it alone says when.
#[test]
fn a_foreign_token_over_a_native_context_is_not_bypassed() {
    let (native, cancel_native) = root();
    let token = Token::default();
    let own = native.with_cancel();
    let relay = token.clone();
    let registration = own
        .0
        .after_cancel(move |_| relay.cancel(Some("relayed".into())));
    let (ctx, _keep) = Context::background().from_source(token.clone());
    assert_eq!(registration.stop(), Stop::Prevented);
    cancel_native.cancel();
    assert!(!ctx.is_cancelled());
    token.cancel(Some("relayed".into()));
    assert_eq!(text(&ctx).as_deref(), Some("relayed"));
}

// G122, G123, G125, G139: one registration for each context made of a source,
// none for what is derived below it, with values above and below, and no
// thread.
#[test]
fn a_source_is_registered_with_once_and_starts_no_thread() {
    alone(
        "tests::go_sources::a_source_is_registered_with_once_and_starts_no_thread",
        || {
            #[cfg(target_os = "linux")]
            let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
            #[cfg(not(target_os = "linux"))]
            let threads = || 0;
            let before = threads();
            let token = Token::default();
            let (top, _keep) = root();
            let (ctx, _keep) = top.with_value(1_u8).from_source(token.clone());
            assert_eq!(token.ever_registered(), 1);
            let below = ctx.with_value(2_u16).with_cancel().0.with_value(3_u32);
            let (child, cancel_child) = below.with_cancel();
            below.after_cancel(|_| ()).detach();
            cancel_child.cancel();
            assert!(child.with_cancel().0.is_cancelled());
            assert_eq!(token.ever_registered(), 1);
            let (second, _keep) = below.from_source(token.clone());
            assert_eq!(token.ever_registered(), 2);
            assert_eq!(threads(), before);
            token.cancel(None);
            assert!(below.is_cancelled() && second.is_cancelled());
            assert_eq!(threads(), before);
        },
    );
}

// G130: a foreign one that cancels the child while it is being cancelled.
#[test]
fn a_foreign_cancel_that_cancels_the_child_does_not_deadlock() {
    in_time(|| {
        for theirs_first in [false, true] {
            let token = Token::default();
            let slot: Arc<OnceLock<CancelHandle>> = Arc::default();
            let cancels = slot.clone();
            let before = || {
                let cancels = cancels.clone();
                token.on_cancel(Box::new(move || {
                    cancels.get().unwrap().cancel_with("from within");
                }))
            };
            let first = theirs_first.then(before);
            let (ctx, handle) = Context::background().from_source(token.clone());
            let (child, _keep) = ctx.with_cancel();
            let last = (!theirs_first).then(before);
            assert!(slot.set(handle).is_ok());
            token.cancel(None);
            let expected = theirs_first.then_some("from within");
            assert_eq!(text(&child).as_deref(), expected);
            assert_eq!(child.reason(), Some(Reason::Cancelled));
            drop((first, last));
        }
    });
}

// G133, G136: callbacks below a foreign one; a stopped one leaves nothing.
#[test]
fn callbacks_below_a_foreign_parent_run_or_are_stopped() {
    let token = Token::default();
    let (ctx, _keep) = Context::background().from_source(token.clone());
    let runs = Arc::new(AtomicUsize::new(0));
    let count = || {
        let runs = runs.clone();
        move |error: &crate::CancelError| {
            assert_eq!(error.cause().unwrap().to_string(), "theirs");
            runs.fetch_add(1, SeqCst);
        }
    };
    let _kept = ctx.after_cancel(count());
    let stopped = ctx.after_cancel(count());
    assert_eq!(token.ever_registered(), 1);
    assert_eq!(stopped.stop(), Stop::Prevented);
    assert_eq!(Arc::strong_count(&runs), 2);
    token.cancel(Some("theirs".into()));
    assert_eq!(runs.load(SeqCst), 1);
    let late = ctx.after_cancel(count());
    assert_eq!((late.stop(), runs.load(SeqCst)), (Stop::Finished, 2));
}

// G134, P40, P55: registrations go from two to none: by cancels, by a parent's
// cancel, by the drop of the handles, by the foreign cancel itself. Then
// neither side keeps the other.
#[test]
fn registrations_end_with_their_contexts() {
    for way in 0..4 {
        let token = Token::default();
        let (parent, cancel_parent) = root();
        let pairs = [(); 2].map(|()| parent.from_source(token.clone()));
        assert_eq!((token.registrations(), token.callbacks()), (2, 2));
        match way {
            0 => pairs
                .iter()
                .for_each(|(_, handle)| assert!(handle.cancel())),
            1 => assert!(cancel_parent.cancel()),
            2 => {}
            _ => token.cancel(None),
        }
        if way == 2 {
            let [first, (ctx, handle)] = pairs;
            drop(first);
            assert_eq!((token.registrations(), token.callbacks()), (1, 1));
            let (below, _) = ctx.with_cancel();
            drop((ctx, handle));
            assert_eq!(token.registrations(), 1, "something is below");
            drop(below);
            assert_eq!(parent.live_children(), 0);
        } else {
            // What the source called back is deregistered with its context.
            let open = if way == 3 { 2 } else { 0 };
            assert_eq!(
                (token.registrations(), token.callbacks()),
                (open, 0),
                "way {way}"
            );
            drop(pairs);
        }
        assert_eq!((token.registrations(), token.callbacks()), (0, 0));
        assert_eq!(token.clones(), 1, "way {way}");
        drop((parent, cancel_parent));
        token.cancel(None);
    }
}

/// A source that is done, or calls back, at some point while it is asked.
struct Hasty {
    /// What `is_cancelled` says, before `on_cancel` and after.
    done: [bool; 2],
    calls_back: bool,
    cause: Option<&'static str>,
    asked: AtomicUsize,
}

impl CancelSource for Hasty {
    fn is_cancelled(&self) -> bool {
        self.done[usize::from(self.asked.load(SeqCst) > 0)]
    }

    fn error(&self) -> Option<Cause> {
        self.cause.map(Cause::from)
    }

    fn on_cancel(&self, notify: Box<dyn FnOnce() + Send>) -> Box<dyn Send> {
        self.asked.fetch_add(1, SeqCst);
        if self.calls_back {
            notify();
            return Box::new(());
        }
        Box::new(notify)
    }
}

// G137, G138, G19: done before, done or calling back while it is registered
// with, with an error or without: born done, reason cancelled, no deadlock.
#[test]
fn a_source_that_is_done_at_once_gives_a_context_that_is() {
    in_time(|| {
        for cause in [None, Some("theirs")] {
            for (done, calls_back) in [
                ([true, true], false),
                ([true, true], true),
                ([false, true], true),
                ([false, false], true),
            ] {
                let (parent, _keep) = root();
                let (ctx, handle) = parent.from_source(Hasty {
                    done,
                    calls_back,
                    cause,
                    asked: AtomicUsize::new(0),
                });
                assert!(ctx.is_cancelled(), "{done:?} {calls_back}");
                assert_eq!(ctx.reason(), Some(Reason::Cancelled));
                assert_eq!(text(&ctx).as_deref(), cause);
                assert!(!handle.cancel() && ctx.with_cancel().0.is_cancelled());
                assert!(!parent.is_cancelled());
                drop((ctx, handle));
                assert_eq!(parent.live_children(), 0);
            }
        }
    });
}

// One that never calls back ends nothing, and keeps nothing from ending.
#[test]
fn a_source_that_never_calls_back_does_no_harm() {
    let never = || Hasty {
        done: [false, false],
        calls_back: false,
        cause: None,
        asked: AtomicUsize::new(0),
    };
    let (parent, stop) = root();
    let (one, cancel_one) = parent.from_source(never());
    let (two, _keep) = parent.from_source(never());
    drop(parent.from_source(never()));
    assert_eq!(parent.live_children(), 2);
    assert!(cancel_one.cancel_with("own") && !two.is_cancelled());
    assert!(stop.cancel_with("parent"));
    assert_eq!(text(&one).as_deref(), Some("own"));
    assert_eq!(text(&two).as_deref(), Some("parent"));
}

// G20, G30, G38: the foreign cancel comes from another thread, while contexts
// are made of it, derived below, cancelled and dropped: all that is left is
// done, and nothing stays registered.
#[test]
fn a_foreign_cancel_races_everything() {
    in_time(|| {
        for round in 0..1_000 {
            let token = Token::default();
            let (parent, stop) = root();
            let (early, own) = parent.from_source(token.clone());
            let runs = Arc::new(AtomicUsize::new(0));
            let count = runs.clone();
            early
                .after_cancel(move |_| {
                    count.fetch_add(1, SeqCst);
                })
                .detach();
            let left = Arc::new(Mutex::new(Vec::new()));
            let (theirs, makes, keeps) = (token.clone(), token.clone(), left.clone());
            let derives = early.clone();
            let bodies: Vec<Body> = vec![
                Box::new(move || theirs.cancel(Some("theirs".into()))),
                Box::new(move || {
                    let (late, _) = parent.from_source(makes.clone());
                    let (below, _) = derives.with_cancel();
                    drop(parent.from_source(makes));
                    keeps.lock().unwrap().extend([late, below]);
                }),
                Box::new(move || {
                    match round % 3 {
                        0 => drop(own.cancel_with("own")),
                        1 => drop(stop.cancel_with("parent")),
                        _ => {}
                    }
                    drop((own, stop));
                }),
            ];
            at_once(bodies);
            assert!(early.is_cancelled());
            assert_eq!(runs.load(SeqCst), 1);
            let mut left = left.lock().unwrap();
            for ctx in left.iter() {
                let cause = text(ctx).unwrap();
                assert!(
                    ["theirs", "own", "parent"].contains(&cause.as_str()),
                    "{cause}"
                );
            }
            left.clear();
            drop(early);
            assert_eq!((token.registrations(), token.callbacks()), (0, 0));
            assert_eq!(token.clones(), 1);
        }
    });
}

// G61, G62: values are read through a foreign parent, and shadowed below it.
#[test]
fn values_are_read_through_a_foreign_parent() {
    static KEY: Key<Option<u8>> = Key::new("key");
    let above = Context::background()
        .with_value("above")
        .with_key(&KEY, Some(1));
    let (ctx, _keep) = above.from_source(Token::default());
    let below = ctx.with_key(&KEY, None).with_value(2_u8);
    assert_eq!(ctx.get(&KEY), Some(&Some(1)));
    assert_eq!(below.get(&KEY), Some(&None));
    assert_eq!(
        (below.value::<&str>(), below.value::<u8>()),
        (Some(&"above"), Some(&2))
    );
    assert_eq!(ctx.value::<u8>(), None);
}

// G73: a foreign parent prints its type's name.
#[test]
fn a_foreign_parent_prints_its_type() {
    let (ctx, _keep) = Context::todo().from_source(Token::default());
    let path = ctx.with_cancel().0.to_string();
    assert!(path.starts_with("todo.from_source("), "{path}");
    assert!(path.ends_with("foreign::Token).with_cancel"), "{path}");
}
