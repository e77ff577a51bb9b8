//! Foreign sources that come back in, block and panic.

use super::tools::{OnDrop, alone, in_time, message, once, peek, start};
use crate::{CancelHandle, CancelSource, Cause, Context};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};

type Pair = (Context, CancelHandle);
type Notify = Box<dyn FnOnce() + Send>;

fn root() -> Pair {
    Context::background().with_cancel()
}

fn panic_of<T>(f: impl FnOnce() -> T) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(f)).err()?;
    Some(message(&*panic).to_owned())
}

/// Where a source runs code of ours.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Place {
    IsCancelled,
    Error,
    OnCancel,
    Deregister,
    DropSource,
}

const PLACES: [Place; 5] = [
    Place::IsCancelled,
    Place::Error,
    Place::OnCancel,
    Place::Deregister,
    Place::DropSource,
];

/// A source that runs `hook` in one place, and hands its callback out.
struct Hostile {
    place: Place,
    hook: Arc<dyn Fn() + Send + Sync>,
    slot: Arc<Mutex<Option<Notify>>>,
}

impl Hostile {
    fn at(&self, place: Place) {
        if self.place == place {
            (self.hook)();
        }
    }
}

impl CancelSource for Hostile {
    fn is_cancelled(&self) -> bool {
        self.at(Place::IsCancelled);
        false
    }

    fn error(&self) -> Option<Cause> {
        self.at(Place::Error);
        Some("theirs".into())
    }

    fn on_cancel(&self, notify: Notify) -> Box<dyn Send> {
        *self.slot.lock().unwrap() = Some(notify);
        self.at(Place::OnCancel);
        let (hook, here) = (self.hook.clone(), self.place == Place::Deregister);
        Box::new(OnDrop(move || {
            if here {
                hook();
            }
        }))
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.at(Place::DropSource);
    }
}

/// A source with its hook, and what calls it back.
fn hostile(place: Place, hook: impl Fn() + Send + Sync + 'static) -> (Hostile, impl Fn()) {
    let slot = Arc::default();
    let source = Hostile {
        place,
        hook: Arc::new(hook),
        slot: Arc::clone(&slot),
    };
    let notify = move || {
        let notify = slot.lock().unwrap().take();
        notify.into_iter().for_each(|notify| notify());
    };
    (source, notify)
}

/// Uses these contexts and what hangs below them, and cancels the last.
fn use_the_tree(nodes: &[Pair]) {
    for (ctx, handle) in nodes {
        let (child, cancel_child) = ctx.with_cancel();
        let below = child.with_value(1_u8);
        let (linked, _) = Context::background().link([&below]);
        let mut wait = below.cancelled();
        let _ = peek(&mut wait);
        let registration = below.after_cancel(|_| ());
        let _ = (
            ctx.live_children(),
            ctx.error(),
            format!("{ctx} {handle:?}"),
        );
        cancel_child.cancel();
        assert!(peek(&mut wait).is_ready() && linked.is_cancelled());
        drop(registration);
    }
    let (ctx, handle) = nodes.last().unwrap();
    handle.cancel_with("inside");
    assert!(ctx.is_cancelled());
}

// V12, V15, P31: each method, and the drop of what it gave, uses the tree, and
// cancels the very parent.
#[test]
fn a_source_may_use_the_tree_wherever_it_is_called() {
    in_time(|| {
        for place in PLACES {
            for foreign_cancel in [false, true] {
                let top = root();
                let parent = top.0.with_cancel();
                let nodes = vec![top, root(), parent.clone()];
                let runs = Arc::new(AtomicUsize::new(0));
                let (inside, count) = (nodes.clone(), runs.clone());
                let used = once(move || {
                    use_the_tree(&inside);
                    count.fetch_add(1, SeqCst);
                });
                let (source, notify) = hostile(place, used);
                let (ctx, handle) = parent.0.from_source(source);
                if foreign_cancel {
                    notify();
                } else {
                    handle.cancel();
                }
                assert!(ctx.is_cancelled());
                drop((ctx, handle));
                drop(notify);
                let expected = usize::from(place != Place::Error || foreign_cancel);
                assert_eq!(runs.load(SeqCst), expected, "{place:?}");
                assert_eq!(nodes[2].0.is_cancelled(), expected == 1);
            }
        }
    });
}

// V12, P31, P32: each blocks until another thread has used the tree.
#[test]
fn a_source_may_block_until_another_thread_has_used_the_tree() {
    in_time(|| {
        for place in PLACES {
            let top = root();
            let (ask, asked) = mpsc::channel::<mpsc::Sender<()>>();
            let inside = top.clone();
            let other = start(move || {
                for answer in asked {
                    use_the_tree(&[inside.clone(), inside.0.with_cancel()]);
                    answer.send(()).unwrap();
                }
            });
            let ask = Mutex::new(ask);
            let (source, notify) = hostile(place, move || {
                let (answer, answered) = mpsc::channel();
                ask.lock().unwrap().send(answer).unwrap();
                answered.recv().unwrap();
            });
            let (ctx, handle) = top.0.from_source(source);
            let (below, _) = ctx.with_cancel();
            notify();
            assert!(below.is_cancelled() && !handle.cancel());
            drop((ctx, handle, below, notify));
            other.join().unwrap();
        }
    });
}

// V14: each panics: the panic comes out to whoever called, and leaves nothing
// broken: the parent lives, takes children, cancels, and counts right.
#[test]
fn a_source_that_panics_breaks_nothing() {
    alone(
        "tests::hostile_sources::a_source_that_panics_breaks_nothing",
        || {
            for place in PLACES {
                for way in 0..4 {
                    let (top, stop) = root();
                    let (parent, cancel_parent) = top.with_cancel();
                    let runs = Arc::new(AtomicUsize::new(0));
                    let count = runs.clone();
                    let (source, notify) = hostile(place, once(|| panic!("theirs")));
                    let panic = panic_of(|| {
                        let (ctx, handle) = parent.from_source(source);
                        let _other = top.after_cancel(move |_| {
                            count.fetch_add(1, SeqCst);
                        });
                        match way {
                            0 => notify(),
                            1 => drop(handle.cancel()),
                            2 => drop(cancel_parent.cancel()),
                            _ => {}
                        }
                        drop((ctx, handle));
                        stop.cancel();
                    });
                    let never_called = place == Place::Error && way > 0;
                    let expected = (!never_called).then_some("theirs");
                    assert_eq!(panic.as_deref(), expected, "{place:?} {way}");
                    drop(notify);
                    let (child, _keep) = top.with_cancel();
                    assert_eq!(child.is_cancelled(), top.is_cancelled());
                    stop.cancel();
                    assert!(child.is_cancelled() && parent.is_cancelled());
                    drop((child, parent, cancel_parent));
                    assert_eq!(top.live_children(), 0);
                    assert!(runs.load(SeqCst) <= 1);
                }
            }
        },
    );
}

// V14: each of several panics when it is deregistered by one cancel: all are, the
// process lives, and it is the first panic that comes out.
#[test]
fn sources_that_panic_when_a_cancel_deregisters_them_stop_no_other() {
    let (top, stop) = root();
    let gone = Arc::new(AtomicUsize::new(0));
    let below: Vec<_> = (0..3)
        .map(|_| {
            let count = gone.clone();
            let (source, notify) = hostile(Place::Deregister, move || {
                count.fetch_add(1, SeqCst);
                panic!("source");
            });
            (top.from_source(source), notify)
        })
        .collect();
    let _first = top.after_cancel(|_| panic!("callback"));
    let panic = panic_of(|| stop.cancel());
    assert_eq!(panic.as_deref(), Some("callback"));
    assert_eq!(gone.load(SeqCst), 3);
    assert!(below.iter().all(|((ctx, _), _)| ctx.is_cancelled()));
}

// V16, P39: its callback is kept and called late, after the context has gone,
// twice over on threads, or never: nothing happens.
#[test]
fn a_late_call_from_a_source_does_nothing() {
    in_time(|| {
        let (top, _keep) = root();
        for round in 0..300 {
            let (source, notify) = hostile(Place::DropSource, || ());
            let (ctx, handle) = top.from_source(source);
            let caller = (round % 3 == 0).then(|| start(notify));
            if round % 2 == 0 {
                handle.cancel();
            }
            drop((ctx, handle));
            if let Some(caller) = caller {
                caller.join().unwrap();
            }
            assert_eq!(top.live_children(), 0);
            assert!(!top.is_cancelled());
        }
    });
}
