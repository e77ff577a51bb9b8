//! Threads that borrow: how a scope ends when something fails.

use super::scope::{Failed, failed};
use super::tools::{in_time, is_alone, message};
use crate::Context;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, mpsc};

/// What a panic out of `f` says.
pub(super) fn panic_of<T: fmt::Debug>(f: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
    message(&*panic).to_owned()
}

// P71: every number of threads, and every one of them, or none, that fails.
#[test]
fn whichever_thread_fails_the_others_end_and_the_error_is_theirs() {
    in_time(|| {
        for count in 0..=15 {
            for failing in 0..=15 {
                let fails = failing < count;
                let (ended, told) = (AtomicUsize::new(0), AtomicUsize::new(0));
                let done = Context::background().scope(|scope| {
                    for own in 0..count {
                        let (ended, told) = (&ended, &told);
                        scope.spawn(move |ctx| {
                            if fails && own != failing {
                                ctx.wait();
                                told.fetch_add(
                                    usize::from(failed(ctx) == Some(Failed(failing))),
                                    SeqCst,
                                );
                            }
                            ended.fetch_add(1, SeqCst);
                            match own == failing {
                                true => Err(Failed(own)),
                                false => Ok(()),
                            }
                        });
                    }
                    Ok(count)
                });
                assert_eq!(
                    ended.load(SeqCst),
                    count,
                    "{count} threads, {failing} fails"
                );
                match fails {
                    true => assert_eq!(done, Err(Failed(failing))),
                    false => assert_eq!(done, Ok(count)),
                }
                assert_eq!(told.load(SeqCst), if fails { count - 1 } else { 0 });
            }
        }
    });
}

// P71: the same for a panic.
#[test]
fn whichever_thread_panics_the_others_end_first() {
    in_time(|| {
        for count in [1, 2, 5] {
            for panicking in 0..count {
                let ended = AtomicUsize::new(0);
                let panic = panic_of(|| {
                    Context::background().scope(|scope| {
                        for own in 0..count {
                            let ended = &ended;
                            scope.spawn(move |ctx| {
                                if own == panicking {
                                    panic!("thread {own}");
                                }
                                let text = ctx.wait().cause().unwrap().to_string();
                                let expected =
                                    format!("a thread of the scope panicked: thread {panicking}");
                                assert_eq!(text, expected);
                                ended.fetch_add(1, SeqCst);
                                Err(Failed(own))
                            });
                        }
                        Ok(())
                    })
                });
                assert_eq!(panic, format!("thread {panicking}"));
                assert_eq!(ended.load(SeqCst), count - 1);
            }
        }
    });
}

#[test]
fn an_error_of_the_closure_cancels_the_threads() {
    in_time(|| {
        let seen = Mutex::new(None);
        let done: Result<(), Failed> = Context::background().scope(|scope| {
            scope.spawn(|ctx| {
                ctx.wait();
                *seen.lock().unwrap() = failed(ctx);
                // Later errors are nobody's.
                Err(Failed(8))
            });
            Err(Failed(7))
        });
        assert_eq!(done, Err(Failed(7)));
        assert_eq!(seen.into_inner().unwrap(), Some(Failed(7)));
    });
}

#[test]
fn a_panic_of_the_closure_cancels_the_threads() {
    in_time(|| {
        let seen = Mutex::new(None);
        let panic = panic_of(|| {
            Context::background().scope(|scope| {
                scope.spawn(|ctx| {
                    let text = ctx.wait().cause().unwrap().to_string();
                    *seen.lock().unwrap() = Some(text);
                    Ok(())
                });
                if true {
                    panic_any("closure".to_owned());
                }
                Ok::<_, Failed>(())
            })
        });
        assert_eq!(panic, "closure");
        let seen = seen.into_inner().unwrap().unwrap();
        assert_eq!(seen, "the closure of the scope panicked: closure");
    });
}

// V14: also those whose payload panics when it is dropped.
#[test]
fn the_first_panic_goes_on_whoever_else_fails() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a payload");
        }
    }
    in_time(|| {
        // A thread first, the closure and a second thread after it.
        let panic = panic_of(|| {
            Context::background().scope(|scope| {
                scope.spawn(|_| panic!("thread"));
                scope.spawn(|ctx| {
                    ctx.wait();
                    panic_any(Bomb)
                });
                scope.context().wait();
                if true {
                    panic_any(Bomb);
                }
                Err::<(), _>(Failed(0))
            })
        });
        assert_eq!(panic, "thread");
        // The closure first.
        let panic = panic_of(|| {
            Context::background().scope(|scope| {
                scope.spawn(|ctx| {
                    ctx.wait();
                    panic!("thread")
                });
                if true {
                    panic!("closure");
                }
                Ok::<_, Failed>(())
            })
        });
        assert_eq!(panic, "closure");
        // An error comes before it, and is the cause; the panic is what is left.
        let (sender, cause) = mpsc::channel();
        let panic = panic_of(|| {
            Context::background().scope(|scope| {
                scope.spawn(move |ctx| {
                    ctx.wait();
                    sender.send(failed(ctx)).unwrap();
                    panic!("after the error")
                });
                Err::<(), _>(Failed(3))
            })
        });
        assert_eq!(panic, "after the error");
        assert_eq!(cause.recv().unwrap(), Some(Failed(3)));
    });
}

// V14: what the closure gave and the error are dropped, though both panic.
#[test]
fn what_is_dropped_beside_a_panic_may_panic() {
    #[derive(Debug)]
    struct Given(#[allow(dead_code)] u8);
    impl Drop for Given {
        fn drop(&mut self) {
            panic!("what the closure gave");
        }
    }
    #[derive(Clone, Debug)]
    struct Bad(Arc<AtomicUsize>);
    impl fmt::Display for Bad {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bad")
        }
    }
    impl std::error::Error for Bad {}
    impl Drop for Bad {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
            panic!("an error");
        }
    }
    in_time(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let panic = panic_of(|| {
            Context::background().scope(|scope| {
                let bad = drops.clone();
                scope.spawn(move |_| Err(Bad(bad)));
                scope.context().wait();
                scope.spawn(|_| panic!("thread"));
                Ok(Given(1))
            })
        });
        assert_eq!(panic, "thread");
        assert_eq!(drops.load(SeqCst), 2, "the error, and the one in the cause");
    });
}

// V14: a callback that panics in the cancel is a panic of who failed.
#[test]
fn a_panic_of_who_hears_the_cancel_goes_on() {
    in_time(|| {
        let panic = panic_of(|| {
            Context::background().scope(|scope| {
                let listen = scope.context().after_cancel(|_| panic!("callback"));
                listen.detach();
                scope.spawn(|_| Err(Failed(1)));
                Ok(())
            })
        });
        assert_eq!(panic, "callback");
        // Also in the cancel at the end.
        let panic = panic_of(|| {
            Context::background().scope(|scope| {
                let listen = scope.context().after_cancel(|_| panic!("at the end"));
                listen.detach();
                Ok::<_, Failed>(())
            })
        });
        assert_eq!(panic, "at the end");
    });
}

#[test]
fn a_panic_tells_the_name_of_its_thread() {
    in_time(|| {
        let kept = Mutex::new(None);
        let done = catch_unwind(AssertUnwindSafe(|| {
            Context::background().scope(|scope| {
                *kept.lock().unwrap() = Some(scope.context().clone());
                scope.try_spawn("worker", |_| panic_any(5_u8)).unwrap();
                Ok::<_, Failed>(())
            })
        }));
        assert_eq!(done.unwrap_err().downcast_ref::<u8>(), Some(&5));
        let cause = kept.into_inner().unwrap().unwrap().cause().unwrap();
        assert_eq!(cause.to_string(), "thread `worker` of the scope panicked");
    });
}

// What cannot be started is told, or is a panic, and all else goes on as ever.
#[test]
fn a_thread_that_cannot_be_started_hangs_nothing() {
    const NAME: &str = "tests::scope_failures::a_thread_that_cannot_be_started_hangs_nothing";
    if !is_alone(NAME) {
        // There is no room for a stack of that size. With one thread the test
        // runs on that of `main`.
        let output = in_time(|| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", NAME, "--nocapture", "--test-threads=1"])
                .env("CTXTREE_TEST_ALONE", NAME)
                .env("RUST_MIN_STACK", (1_usize << (usize::BITS - 4)).to_string())
                .output()
                .unwrap()
        });
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("1 passed"), "{text}\n{errors}");
        return;
    }
    let owned = Arc::new(());
    let done = Context::background().scope(|scope| {
        let inside = owned.clone();
        let error = scope.try_spawn("one more", move |_| {
            drop(inside);
            unreachable!("it has no thread")
        });
        assert_ne!(
            error.as_ref().unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        assert_eq!(Arc::strong_count(&owned), 1, "the closure is dropped");
        assert_eq!(scope.context().live_children(), 0);
        assert!(!scope.context().is_cancelled());
        error.map_err(Arc::new)
    });
    assert!(done.is_err());

    let panic = panic_of(|| {
        Context::background().scope(|scope| {
            scope.spawn(|_| unreachable!("it has no thread"));
            Ok::<_, Failed>(())
        })
    });
    assert!(panic.starts_with("failed to spawn thread"), "{panic}");
}

// V6: of many that fail at once one is the first, and it is the cause.
#[test]
fn of_errors_at_once_the_one_returned_is_the_cause() {
    in_time(|| {
        for _ in 0..200 {
            let kept = Mutex::new(None);
            let together = Barrier::new(4);
            let done = Context::background().scope(|scope| {
                *kept.lock().unwrap() = Some(scope.context().clone());
                for own in 0..4 {
                    let together = &together;
                    scope.spawn(move |_| {
                        together.wait();
                        Err(Failed(own))
                    });
                }
                Ok(())
            });
            let cause = failed(&kept.into_inner().unwrap().unwrap());
            assert_eq!(cause.unwrap(), done.unwrap_err());
        }
    });
}
