//! What the tests of task groups share: an error, gates, executors.

use super::tools::{Wakes, on_wake, poll};
use crate::spawn::Threads;
use crate::{BoxTask, Context, JoinError, Refused, Spawn, TaskGroup};
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{self, Poll, Waker};
use std::thread;

/// The error of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fail(pub(super) usize);

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {} failed", self.0)
    }
}

impl Error for Fail {}

/// What a task of these tests ends with.
pub(super) type End = Result<(), Fail>;
pub(super) type Group = TaskGroup<Fail>;

/// Polls until ready, parked in between by `std` alone.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let thread = thread::current();
    let waker = on_wake(move || thread.unpark());
    loop {
        let polled = future.as_mut().poll(&mut task::Context::from_waker(&waker));
        match polled {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// A future that may be polled by hand.
pub(super) fn boxed<'a, T>(
    future: impl Future<Output = T> + Send + 'a,
) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    Box::pin(future)
}

/// What `f` panics with.
pub(super) fn panic_of<T>(f: impl FnOnce() -> T) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(f)).err()?;
    Some(super::tools::message(&*panic).to_owned())
}

/// Closed at first; tasks wait until it is opened.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<Mutex<(bool, Vec<Waker>)>>);

impl Gate {
    pub(super) fn new() -> Gate {
        Gate::default()
    }

    pub(super) fn open(&self) {
        let wakers = {
            let mut state = self.0.lock().unwrap();
            state.0 = true;
            std::mem::take(&mut state.1)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn passed(&self) -> impl Future<Output = ()> + Send + Unpin + 'static {
        let gate = self.clone();
        std::future::poll_fn(move |task| {
            // Outside of the lock: it may be a hostile one.
            let waker = task.waker().clone();
            let mut state = gate.0.lock().unwrap();
            if state.0 {
                return Poll::Ready(());
            }
            state.1.push(waker);
            Poll::Pending
        })
    }

    /// A task that ends well once the gate is open, and hears no cancel.
    pub(super) fn task(&self) -> impl Future<Output = End> + Send + 'static {
        let passed = self.passed();
        async move {
            passed.await;
            Ok(())
        }
    }

    /// One that fails then.
    pub(super) fn failing(&self, with: usize) -> impl Future<Output = End> + Send + 'static {
        let passed = self.passed();
        async move {
            passed.await;
            Err(Fail(with))
        }
    }
}

/// A task that ends when `ctx` is done.
pub(super) fn until_cancelled(ctx: &Context) -> impl Future<Output = End> + Send + 'static {
    let cancelled = ctx.clone().cancelled_owned();
    async move {
        cancelled.await;
        Ok(())
    }
}

/// A task that ends at once.
pub(super) async fn done() -> End {
    Ok(())
}

/// An executor that polls its tasks only when it is told to.
#[derive(Clone, Default)]
pub(super) struct Hand(Arc<Mutex<VecDeque<BoxTask>>>);

impl Spawn for Hand {
    fn spawn(&self, task: BoxTask) -> Result<(), Refused> {
        self.0.lock().unwrap().push_back(task);
        Ok(())
    }
}

impl Hand {
    pub(super) fn group(parent: &Context) -> (Hand, Group) {
        let hand = Hand::default();
        let group = TaskGroup::with_spawner(parent, hand.clone());
        (hand, group)
    }

    /// How many tasks it has.
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// The first of its tasks.
    pub(super) fn take(&self) -> Option<BoxTask> {
        self.0.lock().unwrap().pop_front()
    }

    /// Gives all its tasks up.
    pub(super) fn clear(&self) {
        while self.take().is_some() {}
    }

    /// Polls each task once, in the order they came; those that have ended go.
    /// How many ended.
    pub(super) fn turn(&self) -> usize {
        let tasks = std::mem::take(&mut *self.0.lock().unwrap());
        let mut ended = 0;
        for mut task in tasks {
            if poll(&mut task, Waker::noop()).is_ready() {
                ended += 1;
            } else {
                self.0.lock().unwrap().push_back(task);
            }
        }
        ended
    }

    /// Takes turns until one ends no task and starts none.
    pub(super) fn run(&self) {
        loop {
            let before = self.len();
            if self.turn() == 0 && self.len() == before {
                return;
            }
        }
    }
}

/// Runs each task to its end within `spawn`.
pub(super) fn inline(task: BoxTask) -> Result<(), Refused> {
    block_on(task);
    Ok(())
}

/// Takes no task.
pub(super) fn refusing(task: BoxTask) -> Result<(), Refused> {
    Err(Refused::new(task, "no more threads"))
}

/// A future that never ends, and says when it is dropped.
pub(super) struct Forever<T>(pub(super) T);

impl<T: Unpin> Future for Forever<T> {
    type Output = End;

    fn poll(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<End> {
        Poll::Pending
    }
}

/// A group on threads.
pub(super) fn on_threads(parent: &Context) -> Group {
    TaskGroup::with_spawner(parent, Threads)
}

/// Each of the spawners that run what they are given, and a name for it.
pub(super) fn groups(parent: &Context) -> Vec<(&'static str, Group)> {
    vec![
        ("threads", on_threads(parent)),
        ("inline", TaskGroup::with_spawner(parent, inline)),
        ("own thread", TaskGroup::with_spawner(parent, own_thread)),
    ]
}

/// A closure that starts a thread for each task.
fn own_thread(task: BoxTask) -> Result<(), Refused> {
    thread::spawn(move || block_on(task));
    Ok(())
}

/// The join that is pending, and the wakes that it had.
pub(super) type Pending<'a> = (
    Arc<Wakes>,
    Pin<Box<dyn Future<Output = Result<(), JoinError<Fail>>> + Send + 'a>>,
);

/// A join of the group that was polled, and is pending.
pub(super) fn join_of(group: &Group) -> Pending<'_> {
    let (wakes, waker) = Wakes::new();
    let mut join = boxed(group.join());
    assert!(poll(&mut join, &waker).is_pending());
    (wakes, join)
}

/// The error of a join that failed, and those that came after.
#[track_caller]
pub(super) fn failed(joined: Result<(), JoinError<Fail>>) -> (Fail, Vec<Fail>) {
    match joined {
        Err(JoinError::Failed { error, others }) => (error, others),
        other => panic!("not failed: {other:?}"),
    }
}

/// A spawner of so many threads that poll what they are given, so that a task
/// costs no thread. The threads end with it.
pub(super) fn pool(threads: usize) -> impl Fn(BoxTask) -> Result<(), Refused> + Send + Sync {
    let (send, receive) = mpsc::channel::<BoxTask>();
    let receive = Arc::new(Mutex::new(receive));
    for _ in 0..threads {
        let receive = receive.clone();
        thread::spawn(move || {
            loop {
                let task = receive.lock().unwrap().recv();
                let Ok(task) = task else { return };
                block_on(task);
            }
        });
    }
    let send = Mutex::new(send);
    move |task| {
        let sent = send.lock().unwrap().send(task);
        sent.map_err(|error| Refused::new(error.0, "the pool is gone"))
    }
}
