//! Threads that borrow: what a scope is.

use super::scope_failures::panic_of;
use super::tools::{in_time, outcome};
use crate::{Cause, Context, Finished, Reason, Scope, tree};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;

/// An error with a number.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Failed(pub(super) usize);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "part {} failed", self.0)
    }
}

impl std::error::Error for Failed {}

/// The error that cancelled a context.
pub(super) fn failed(ctx: &Context) -> Option<Failed> {
    ctx.cause()?.downcast_ref::<Failed>().cloned()
}

#[test]
fn the_context_is_done_when_the_scope_has_returned() {
    let (root, handle) = Context::background().with_cancel();
    let kept = Mutex::new(Vec::new());
    let line = line!() + 1;
    let done = root.scope(|scope| {
        kept.lock().unwrap().push(scope.context().clone());
        scope.spawn(|ctx| {
            assert!(!ctx.is_cancelled());
            kept.lock().unwrap().push(ctx.clone());
            Ok(())
        });
        Ok::<_, Failed>(5)
    });
    assert_eq!(done, Ok(5));
    for ctx in kept.into_inner().unwrap() {
        assert_eq!(
            outcome(&ctx),
            Some((Reason::Cancelled, Some("finished".into())))
        );
        assert!(ctx.cause().unwrap().downcast_ref::<Finished>().is_some());
        assert_eq!(ctx.error().unwrap().location().unwrap().line(), line);
    }
    assert!(!root.is_cancelled());
    assert_eq!(root.live_children(), 0);
    drop(handle);
}

#[test]
fn the_cancel_tells_the_line_that_started_who_failed() {
    in_time(|| {
        let (sender, lines) = mpsc::channel();
        let kept = Mutex::new(None);
        let done = Context::background().scope(|scope| {
            *kept.lock().unwrap() = Some(scope.context().clone());
            sender.send(line!() + 1).unwrap();
            scope.spawn(|_| Err::<(), _>(Failed(0)));
            Ok(())
        });
        assert_eq!(done, Err(Failed(0)));
        let error = kept.into_inner().unwrap().unwrap().error().unwrap();
        assert_eq!(error.location().unwrap().file(), file!());
        assert_eq!(error.location().unwrap().line(), lines.recv().unwrap());
    });
}

// V3: a cancel from above is for the threads to see; the scope itself gives what
// its closure gave.
#[test]
fn a_cancel_from_above_reaches_the_threads() {
    in_time(|| {
        let (root, handle) = Context::background().with_cancel();
        let done = root.scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|ctx| {
                    assert_eq!(ctx.wait().to_string(), "context cancelled: enough");
                    Ok(())
                });
            }
            handle.cancel_with("enough");
            Ok::<_, Failed>("given")
        });
        assert_eq!(done, Ok("given"));
        // On a context that is done threads run, and see it.
        let ran = AtomicUsize::new(0);
        let done = root.scope(|scope| {
            scope
                .try_spawn("late", |ctx| {
                    assert_eq!(ctx.cause().unwrap().to_string(), "enough");
                    ran.fetch_add(1, SeqCst);
                    Err(Failed(1))
                })
                .unwrap();
            assert!(scope.context().is_cancelled());
            Ok(())
        });
        assert_eq!((done, ran.load(SeqCst)), (Err(Failed(1)), 1));
    });
}

#[test]
fn threads_and_their_contexts_have_names() {
    let (root, _handle) = Context::background().derive().name("job").build();
    let paths = Mutex::new(Vec::new());
    let note = |ctx: &Context| {
        let thread = thread::current().name().map(str::to_owned);
        paths.lock().unwrap().push((ctx.to_string(), thread));
        Ok(())
    };
    let done = root.scope(|scope| {
        scope.spawn(note);
        scope.try_spawn("fixed", note).unwrap();
        scope.try_spawn(format!("made-{}", 1), note).unwrap();
        scope.try_spawn("", note).unwrap();
        Ok::<_, Failed>(())
    });
    assert_eq!(done, Ok(()));
    let mut paths = paths.into_inner().unwrap();
    paths.sort();
    let named = |path: &str, thread: &str| (path.to_owned(), Some(thread.to_owned()));
    let expected = [
        named("background.job.scope.", ""),
        ("background.job.scope.derive".to_owned(), None),
        named("background.job.scope.fixed", "fixed"),
        named("background.job.scope.made-1", "made-1"),
    ];
    assert_eq!(paths, expected);
}

#[test]
fn a_name_with_a_zero_byte_is_an_error_and_nothing_else() {
    let dropped = Arc::new(());
    let owned = dropped.clone();
    let done = Context::background().scope(|scope| {
        let started = scope.try_spawn("a\0b", move |_| {
            drop(owned);
            unreachable!("it has no thread")
        });
        assert_eq!(started.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(Arc::strong_count(&dropped), 1);
        assert_eq!(scope.context().live_children(), 0);
        assert!(!scope.context().is_cancelled());
        Ok::<_, Failed>(())
    });
    assert_eq!(done, Ok(()));
}

// P71: the closure is over long before the last thread is started.
#[test]
fn threads_that_start_threads_are_all_joined() {
    fn descend<'scope>(scope: &Scope<'scope, '_, Failed>, left: usize, ended: &'scope AtomicUsize) {
        let deeper = scope.clone();
        scope.spawn(move |_| {
            thread::yield_now();
            if left > 0 {
                descend(&deeper, left - 1, ended);
            }
            ended.fetch_add(1, SeqCst);
            if left == 0 { Err(Failed(left)) } else { Ok(()) }
        });
    }
    in_time(|| {
        for _ in 0..5 {
            let ended = AtomicUsize::new(0);
            let done = Context::background().scope(|scope| {
                descend(scope, 49, &ended);
                Ok(())
            });
            assert_eq!((done, ended.load(SeqCst)), (Err(Failed(0)), 50));
        }
    });
}

#[test]
fn nested_scopes_end_from_the_inside() {
    in_time(|| {
        // An inner error is the inner scope's, until somebody passes it on.
        let done = Context::background().scope(|outer| {
            let inner = outer.context().scope(|inner| {
                inner.spawn(|_| Err(Failed(1)));
                Ok(())
            });
            assert_eq!(inner, Err(Failed(1)));
            assert!(!outer.context().is_cancelled());
            outer.spawn(|ctx| {
                ctx.scope(|inner| {
                    assert_eq!(inner.context().to_string(), "background.scope.derive.scope");
                    inner.spawn(|ctx| {
                        ctx.wait();
                        Ok(())
                    });
                    Err::<(), _>(Failed(2))
                })
            });
            outer.spawn(|ctx| {
                ctx.wait();
                assert_eq!(failed(ctx), Some(Failed(2)));
                Ok(())
            });
            Ok(())
        });
        assert_eq!(done, Err(Failed(2)));

        // A panic goes through both, after all have ended; the outer error ends
        // what is inside.
        let ended = AtomicUsize::new(0);
        let panic = panic_of(|| {
            Context::background().scope(|outer| {
                outer.spawn(|ctx| {
                    ctx.wait();
                    ended.fetch_add(1, SeqCst);
                    Ok(())
                });
                outer.context().scope(|inner| {
                    inner.spawn(|_| panic!("inside"));
                    inner.spawn(|ctx| {
                        ctx.wait();
                        ended.fetch_add(1, SeqCst);
                        Ok::<_, Failed>(())
                    });
                    Ok(())
                })
            })
        });
        assert_eq!((panic.as_str(), ended.load(SeqCst)), ("inside", 2));
    });
}

// P71: a thread of the inner scope starts one of the outer, which outlives it.
#[test]
fn scopes_may_be_used_across_each_other() {
    in_time(|| {
        let (go, gate) = mpsc::channel();
        let done = Context::background().scope(|outer| {
            let inner = outer.context().scope(|inner: &Scope<'_, '_, Failed>| {
                let of_outer = outer.clone();
                inner.spawn(move |_| {
                    of_outer.spawn(move |ctx| {
                        gate.recv().unwrap();
                        assert_eq!(ctx.to_string(), "background.scope.derive");
                        assert!(!ctx.is_cancelled());
                        Err(Failed(4))
                    });
                    Ok(())
                });
                Ok(())
            });
            assert_eq!(inner, Ok(()));
            go.send(()).unwrap();
            outer.context().wait();
            Ok("late")
        });
        assert_eq!(done, Err(Failed(4)));
    });
}

#[test]
fn threads_may_borrow_and_change_what_outlives_the_scope() {
    let mut parts = vec![0_u32; 8];
    let text = String::from("borrowed");
    let done = Context::background().scope(|scope| {
        for (at, part) in parts.iter_mut().enumerate() {
            let text = &text;
            scope.spawn(move |_| {
                *part = at as u32 + u32::from(text == "borrowed");
                Ok::<_, Arc<io::Error>>(())
            });
        }
        Ok(text.len())
    });
    assert_eq!(done.unwrap(), 8);
    assert_eq!(parts, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_thread_may_be_started_after_the_first_failure() {
    in_time(|| {
        let ran = AtomicUsize::new(0);
        let done = Context::background().scope(|scope| {
            let (again, count) = (scope.clone(), &ran);
            scope.spawn(move |ctx| {
                ctx.wait();
                again.spawn(move |ctx| {
                    assert_eq!(failed(ctx), Some(Failed(0)));
                    count.fetch_add(1, SeqCst);
                    Err(Failed(1))
                });
                Ok(())
            });
            scope.spawn(|_| Err(Failed(0)));
            scope.context().wait();
            Ok(())
        });
        assert_eq!((done, ran.load(SeqCst)), (Err(Failed(0)), 1));
    });
}

// V23
#[test]
fn a_scope_and_its_threads_are_shown() {
    in_time(|| {
        let together = Barrier::new(2);
        let line = line!() + 1;
        let done = Context::background().scope(|scope| {
            let thread = scope.try_spawn("shown", |_| {
                together.wait();
                together.wait();
                Ok(())
            });
            thread.unwrap();
            together.wait();
            let shown = scope.context().tree();
            together.wait();
            let nodes: Vec<_> = shown.nodes().collect();
            assert_eq!(nodes.len(), 2);
            assert_eq!(nodes[0].kind(), tree::Kind::Scope);
            assert_eq!(nodes[0].kind().to_string(), "scope");
            assert_eq!(nodes[1].name(), Some("shown"));
            for (node, line) in nodes.iter().zip([line, line + 1]) {
                assert!(node.age().is_some());
                assert_eq!(node.location().unwrap().line(), line);
                assert_eq!(node.location().unwrap().file(), file!());
            }
            assert!(format!("{scope:?}").starts_with("Scope { id: #"));
            Ok::<_, Failed>(())
        });
        assert_eq!(done, Ok(()));
    });
}

#[test]
fn a_scope_may_end_with_any_error_that_can_be_shared() {
    let (_, handle) = Context::background().with_cancel();
    let done: Result<(), Arc<io::Error>> = Context::background().scope(|scope| {
        scope.spawn(|_| Err(Arc::new(io::Error::other("disk full"))));
        Ok(())
    });
    let error = done.unwrap_err();
    handle.cancel_with(Cause::new(error.clone()));
    assert_eq!(error.to_string(), "disk full");
}
