//! What runs the tasks of a group: [`Spawn`], and a spawner of threads.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll};

#[cfg(feature = "tokio")]
pub use super::spawn_tokio::Tokio;

/// Something that runs tasks: a runtime, a pool, threads.
///
/// It polls each task until that is ready, as any executor does with a future.
/// Where a task is dropped before its end, its group takes it as a failure.
/// Implemented for closures.
///
/// # Examples
///
/// A spawner that keeps tasks until it is told to run them:
///
/// ```
/// use ctxtree::{BoxTask, Context, Refused, Spawn, TaskGroup};
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Clone, Default)]
/// struct Later(Arc<Mutex<Vec<BoxTask>>>);
///
/// impl Spawn for Later {
///     fn spawn(&self, task: BoxTask) -> Result<(), Refused> {
///         let mut tasks = self.0.lock().unwrap();
///         if tasks.len() == 1 {
///             return Err(Refused::new(task, "one is enough"));
///         }
///         tasks.push(task);
///         Ok(())
///     }
/// }
///
/// # fn block_on(f: BoxTask) { tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(f) }
/// let later = Later::default();
/// let group = TaskGroup::<std::fmt::Error>::with_spawner(&Context::background(), later.clone());
/// group.try_spawn(async { Ok(()) }).unwrap();
/// assert!(group.try_spawn(async { Ok(()) }).is_err());
///
/// let task = later.0.lock().unwrap().pop().unwrap();
/// block_on(task);
/// assert!(group.join_blocking(None).is_ok());
/// ```
pub trait Spawn: Send + Sync {
    /// Takes a task to run it, or gives it back.
    ///
    /// It may run the task before it returns. One that panics drops the task,
    /// which the group takes as a failure, and the panic goes on to who spawned.
    ///
    /// # Errors
    ///
    /// [`Refused`], with the task: it was not polled, and goes back to who
    /// spawned it.
    fn spawn(&self, task: BoxTask) -> Result<(), Refused>;
}

impl<F: Fn(BoxTask) -> Result<(), Refused> + Send + Sync> Spawn for F {
    fn spawn(&self, task: BoxTask) -> Result<(), Refused> {
        self(task)
    }
}

/// A task of a group, for a [`Spawn`] to run.
///
/// A future that is ready when the task is over, however it ended: panics of the
/// task stay inside. Dropping it before that ends the task where it stands, and
/// fails the group. Polled again when it was ready, it is ready.
///
/// # Examples
///
/// See [`Spawn`].
#[must_use = "a task does nothing unless it is run"]
pub struct BoxTask(pub(super) Box<dyn Run>);

/// What a group has spawned, whatever its type.
pub(super) trait Run: Send {
    fn poll(&mut self, cx: &mut task::Context<'_>) -> Poll<()>;
    fn name(&self) -> Option<&str>;
    /// What was to be run, as if it had never been spawned: a future, in an
    /// `Option`. `None` if it was polled.
    fn take_back(self: Box<Self>) -> Option<Box<dyn Any>>;
}

impl BoxTask {
    /// The name of the task, if it has one: for a thread, or a log.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{BoxTask, Context, Refused, TaskGroup};
    ///
    /// let spawner = |task: BoxTask| {
    ///     assert_eq!(task.name(), Some("flush"));
    ///     Err(Refused::new(task, "only asked"))
    /// };
    /// let group = TaskGroup::<std::fmt::Error>::with_spawner(&Context::background(), spawner);
    /// assert!(group.task("flush").try_spawn(async { Ok(()) }).is_err());
    /// ```
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.name()
    }
}

impl Future for BoxTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        self.0.poll(cx)
    }
}

/// Prints the name.
impl fmt::Debug for BoxTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxTask")
            .field("name", &self.name())
            .finish()
    }
}

/// A spawner did not take a task: the task, and why.
///
/// # Examples
///
/// See [`Spawn`].
pub struct Refused {
    pub(super) task: BoxTask,
    pub(super) why: Box<dyn Error + Send + Sync>,
}

impl Refused {
    /// Gives `task` back.
    pub fn new(task: BoxTask, why: impl Into<Box<dyn Error + Send + Sync>>) -> Refused {
        Refused {
            task,
            why: why.into(),
        }
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused")
            .field("task", &self.task)
            .field("why", &self.why)
            .finish()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the spawner refused a task: {}", self.why)
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.why)
    }
}

/// Runs each task on a thread of its own, which it blocks.
///
/// The thread has the name of the task. It is what [`TaskGroup::new`] uses where
/// there is no runtime. A thread that cannot be started gives the task back.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, TaskGroup, spawn::Threads};
///
/// let group = TaskGroup::<std::fmt::Error>::with_spawner(&Context::background(), Threads);
/// let task = async {
///     assert_eq!(std::thread::current().name(), Some("worker"));
///     Ok(())
/// };
/// group.task("worker").try_spawn(task).unwrap();
/// group.join_blocking(None).unwrap();
/// ```
///
/// [`TaskGroup::new`]: crate::TaskGroup::new
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads;

#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
impl Spawn for Threads {
    fn spawn(&self, task: BoxTask) -> Result<(), Refused> {
        use crate::sync::park;
        use std::sync::{Arc, Mutex, PoisonError};

        let mut builder = std::thread::Builder::new();
        if let Some(name) = task.name() {
            // A thread cannot have such a name.
            builder = builder.name(name.replace('\0', "\u{fffd}"));
        }
        // A closure that gets no thread is dropped: so the task stays here.
        let shared = Arc::new(Mutex::new(Some(task)));
        let take = |shared: &Mutex<Option<BoxTask>>| {
            let mut task = shared.lock().unwrap_or_else(PoisonError::into_inner);
            task.take().expect("taken once")
        };
        let theirs = shared.clone();
        let spawned = builder.spawn(move || {
            let mut task = take(&theirs);
            park::block_on(|waker| {
                let mut cx = task::Context::from_waker(waker);
                Pin::new(&mut task).poll(&mut cx).is_ready().then_some(())
            });
        });
        spawned
            .map(drop)
            .map_err(|error| Refused::new(take(&shared), error))
    }
}
