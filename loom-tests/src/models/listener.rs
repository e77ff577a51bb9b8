//! Futures that are polled by their own wakers, as those of foreign tokens are.

use crate::tools::{Mutex, race};
use ctxtree::model::{Listener, Witness};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as Task, Poll, Waker};

/// Ready once it is told so. Wakes behind its lock, as tokio-util does.
#[derive(Clone)]
struct Signal(Arc<Inner>);

struct Inner {
    state: Mutex<(bool, Option<Waker>)>,
    /// What was done before it was ready.
    before: Witness,
    /// Not part of the model: read when the threads are joined.
    calls: AtomicUsize,
}

impl Signal {
    fn new() -> Signal {
        Signal(Arc::new(Inner {
            state: Mutex::new((false, None)),
            before: Witness::new(),
            calls: AtomicUsize::new(0),
        }))
    }

    fn listener(&self) -> Listener {
        let called = self.0.clone();
        let then = move || {
            called.before.check();
            called.calls.fetch_add(1, Ordering::SeqCst);
        };
        Listener::new(Wait(self.clone()), then)
    }

    fn ready(&self) {
        self.0.before.set();
        let mut state = self.0.state.lock().unwrap();
        state.0 = true;
        let waker = state.1.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Wakes without a reason.
    fn wake(&self) {
        let waker = self.0.state.lock().unwrap().1.take();
        waker.into_iter().for_each(Waker::wake);
    }

    fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// Fails if a future, a closure or a waker is left.
    fn assert_alone(self) {
        assert_eq!(Arc::strong_count(&self.0), 1, "something was left");
    }
}

/// Deregisters when it is dropped.
struct Wait(Signal);

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<()> {
        let mut state = self.0.0.state.lock().unwrap();
        if state.0 {
            return Poll::Ready(());
        }
        let old = state.1.replace(task.waker().clone());
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let old = self.0.0.state.lock().unwrap().1.take();
        drop(old);
    }
}

pub(crate) fn listener_vs_ready() {
    let signal = Signal::new();
    let (one, another) = (signal.clone(), signal.clone());
    let (listener, ()) = race(move || one.listener(), move || another.ready());
    assert_eq!(signal.calls(), 1);
    listener.end();
    signal.assert_alone();
}

pub(crate) fn listener_vs_early_wake() {
    let signal = Signal::new();
    let listener = signal.listener();
    let (one, another) = (signal.clone(), signal.clone());
    race(move || one.wake(), move || another.ready());
    assert_eq!(signal.calls(), 1);
    listener.end();
    signal.assert_alone();
}

pub(crate) fn listener_vs_drop() {
    let signal = Signal::new();
    let listener = signal.listener();
    let other = signal.clone();
    let wakes = move || {
        other.wake();
        other.ready();
    };
    race(move || listener.end(), wakes);
    assert!(signal.calls() <= 1);
    signal.assert_alone();
}

pub(crate) fn listener_drop_vs_early_wake() {
    let signal = Signal::new();
    let listener = signal.listener();
    let other = signal.clone();
    race(move || listener.end(), move || other.wake());
    assert_eq!(signal.calls(), 0);
    signal.assert_alone();
}
