//! Futures that their own wakers poll, with wakes and drops at every moment.

use super::tools::{message, once};
use crate::model::Listener;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context as Task, Poll, Waker};

type Step = Box<dyn Fn(&Script) -> Poll<()> + Send + Sync>;

/// What a future does, and what became of it.
struct Script {
    step: Step,
    polls: AtomicUsize,
    calls: AtomicUsize,
    waker: Mutex<Option<Waker>>,
    listener: Mutex<Option<Listener>>,
}

struct Scripted(Arc<Script>);

impl Future for Scripted {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<()> {
        *self.0.waker.lock().unwrap() = Some(task.waker().clone());
        self.0.polls.fetch_add(1, SeqCst);
        (self.0.step)(&self.0)
    }
}

impl Script {
    /// A listener to a future that does `step` in each poll.
    fn start(step: impl Fn(&Script) -> Poll<()> + Send + Sync + 'static) -> Arc<Script> {
        let script = Arc::new(Script {
            step: Box::new(step),
            polls: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            waker: Mutex::new(None),
            listener: Mutex::new(None),
        });
        let called = script.clone();
        let then = move || {
            called.calls.fetch_add(1, SeqCst);
        };
        let listener = Listener::new(Scripted(script.clone()), then);
        *script.listener.lock().unwrap() = Some(listener);
        script
    }

    fn wake(&self) {
        let waker = self.waker.lock().unwrap().clone();
        waker.unwrap().wake();
    }

    fn end(&self) {
        let listener = self.listener.lock().unwrap().take();
        listener.unwrap().end();
    }

    fn polls(&self) -> usize {
        self.polls.load(SeqCst)
    }

    fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }

    /// Whether future and closure are gone.
    fn is_alone(self: &Arc<Self>) -> bool {
        *self.waker.lock().unwrap() = None;
        Arc::strong_count(self) == 1
    }
}

/// Ready at the poll of this number.
fn at(poll: usize) -> impl Fn(&Script) -> Poll<()> + Send + Sync {
    move |script| {
        if script.polls() == poll {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

// V13, V16: a wake that is not the end is followed by another poll; later ones by none.
#[test]
fn a_wake_that_comes_too_early_is_polled_for_and_calls_nothing() {
    for last in 1..5 {
        let script = Script::start(at(last));
        for wakes in 1..8 {
            assert_eq!(script.polls(), wakes.min(last));
            assert_eq!(script.calls(), usize::from(wakes >= last));
            let waker = script.waker.lock().unwrap().clone().unwrap();
            waker.wake_by_ref();
        }
        assert!(script.is_alone());
        script.end();
    }
}

// V16: also one that comes during a poll, from this thread or from another.
#[test]
fn a_wake_during_a_poll_is_followed_by_another_poll() {
    for elsewhere in [false, true] {
        let script = Script::start(move |script| {
            let waker = script.waker.lock().unwrap().clone().unwrap();
            if script.polls() == 3 {
                return Poll::Ready(());
            } else if elsewhere {
                std::thread::spawn(move || waker.wake()).join().unwrap();
            } else {
                waker.wake_by_ref();
                waker.wake();
            }
            Poll::Pending
        });
        assert_eq!((script.polls(), script.calls()), (3, 1));
        script.end();
        assert!(script.is_alone());
    }
}

// V13: dropped during a poll, it is polled no more and calls nothing.
#[test]
fn what_ends_during_a_poll_calls_nothing() {
    for ready in [false, true] {
        let script = Script::start(move |script| {
            if script.polls() == 1 {
                return Poll::Pending;
            }
            script.end();
            // Waking it is harmless.
            script.wake();
            if ready {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        script.wake();
        assert_eq!((script.polls(), script.calls()), (2, 0));
        script.wake();
        assert_eq!(script.polls(), 2);
        assert!(script.is_alone());
    }
}

// V14: a waker panics nowhere; who polls first is told.
#[test]
fn a_panic_goes_no_further_than_the_wake() {
    for at_once in [true, false] {
        let waker = Arc::new(Mutex::new(None));
        let slot = waker.clone();
        let future = std::future::poll_fn(move |task: &mut Task<'_>| {
            let before = slot.lock().unwrap().replace(task.waker().clone());
            if at_once || before.is_some() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let panics = once(|| panic!("then"));
        let made = catch_unwind(AssertUnwindSafe(|| Listener::new(future, panics)));
        match made {
            Err(panic) => assert!(at_once && message(&*panic) == "then"),
            Ok(listener) => {
                assert!(!at_once);
                let waker: Waker = waker.lock().unwrap().clone().unwrap();
                waker.wake_by_ref();
                listener.end();
                waker.wake();
            }
        }
    }
}
