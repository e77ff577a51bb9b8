//! What bodies use, over loom, shuttle or std alike.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
use std::task::Poll;
use std::task::{Context as Task, Wake, Waker};

#[cfg(crossbeam_loom)]
pub(crate) use loom::{
    sync::{Arc as Shared, Mutex},
    thread,
};
#[cfg(ctxtree_shuttle)]
pub(crate) use shuttle::{
    sync::{Arc as Shared, Mutex},
    thread,
};
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
pub(crate) use std::{
    sync::{Arc as Shared, Mutex},
    thread,
};

/// Runs two bodies on threads of their own, and gives what they return.
pub(crate) fn race<A, B>(
    a: impl FnOnce() -> A + Send + 'static,
    b: impl FnOnce() -> B + Send + 'static,
) -> (A, B)
where
    A: Send + 'static,
    B: Send + 'static,
{
    let (a, b) = (thread::spawn(a), thread::spawn(b));
    (
        a.join().expect("the first thread failed"),
        b.join().expect("the second thread failed"),
    )
}

/// The same for three.
pub(crate) fn race3<A, B, C>(
    a: impl FnOnce() -> A + Send + 'static,
    b: impl FnOnce() -> B + Send + 'static,
    c: impl FnOnce() -> C + Send + 'static,
) -> (A, B, C)
where
    A: Send + 'static,
    B: Send + 'static,
    C: Send + 'static,
{
    let (a, b, c) = (thread::spawn(a), thread::spawn(b), thread::spawn(c));
    (
        a.join().expect("the first thread failed"),
        b.join().expect("the second thread failed"),
        c.join().expect("the third thread failed"),
    )
}

/// Counts its wakes. The count is no part of the model: it is read when the
/// threads are joined.
#[derive(Debug, Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn new() -> Arc<Wakes> {
        Arc::default()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls once; true = the context is done.
pub(crate) fn poll<F: Future + Unpin>(wait: &mut F, wakes: &Arc<Wakes>) -> bool {
    let waker = Waker::from(wakes.clone());
    Pin::new(wait)
        .poll(&mut Task::from_waker(&waker))
        .is_ready()
}

/// Blocks until `wait` is ready.
pub(crate) fn wait<F: Future + Unpin>(wait: F) -> F::Output {
    #[cfg(crossbeam_loom)]
    {
        loom::future::block_on(wait)
    }
    #[cfg(ctxtree_shuttle)]
    {
        shuttle::future::block_on(wait)
    }
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    {
        struct Unpark(thread::Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let mut wait = wait;
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            match Pin::new(&mut wait).poll(&mut Task::from_waker(&waker)) {
                Poll::Ready(value) => return value,
                Poll::Pending => thread::park(),
            }
        }
    }
}

/// A value whose drop must come after all reads of it.
pub(crate) struct Guarded {
    #[cfg(crossbeam_loom)]
    reads: loom::sync::atomic::AtomicUsize,
}

impl Guarded {
    pub(crate) fn new() -> Guarded {
        Guarded {
            #[cfg(crossbeam_loom)]
            reads: loom::sync::atomic::AtomicUsize::new(0),
        }
    }

    pub(crate) fn read(&self) {
        #[cfg(crossbeam_loom)]
        self.reads.load(Ordering::Relaxed);
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        #[cfg(crossbeam_loom)]
        self.reads.with_mut(|_| ());
    }
}

/// Lets time pass for timer threads; over std it passes by itself.
pub(crate) fn pass(length: std::time::Duration) {
    #[cfg(any(crossbeam_loom, ctxtree_shuttle))]
    ctxtree::model::harness::pass(length);
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    thread::sleep(length);
}

/// Waits until the timer threads have stopped; over std they outlive the body by
/// a little.
pub(crate) fn join_drivers() {
    #[cfg(any(crossbeam_loom, ctxtree_shuttle))]
    ctxtree::model::harness::join_drivers();
}
