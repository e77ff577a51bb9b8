//! Tasks that are started together, and end before anybody goes on.
//!
//! # Layers
//!
//! The word that decides who comes in is [`crate::admission`], what went wrong is
//! kept in [`crate::failures`], what is known of each task lies behind its node.
//! Here is what ties them together: `shared` for what a group and its tasks have,
//! `running` for a task that is polled, `task` for one that is to be, `join` for
//! those who wait.
//!
//! Those who wait for the end wait for a context of the group's own to be done:
//! so a join is lost as little as a cancel is.

mod error;
mod handle;
mod join;
mod limit;
mod running;
mod shared;
pub mod spawn;
#[cfg(feature = "tokio")]
mod spawn_tokio;
mod stragglers;
mod task;

pub use error::{JoinError, SpawnError};
pub use handle::{Forgotten, GroupHandle};
pub use spawn::{BoxTask, Refused, Spawn};
pub use stragglers::{Straggler, Stragglers, TaskState};
pub use task::Task;

use crate::context::{Context, debug_as};
use crate::error::Cause;
use crate::handle::pair;
use crate::node::{Facets, Kind, Plan};
use crate::protocol::Panics;
use limit::Limit;
use shared::Shared;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// Async tasks under one context, that are joined before anybody goes on.
///
/// The first task that fails cancels the others, with its error as their cause,
/// and its error is what [`join`](TaskGroup::join) tells. Whatever was admitted is
/// waited for, and nothing is once the group is closed.
///
/// | | |
/// |---|---|
/// | a task fails, panics, or is dropped by its spawner | the group's context is cancelled with that as the cause |
/// | a task ignores the cancel | `join` waits, [`join_timeout`](TaskGroup::join_timeout) reports it, [`abort`](TaskGroup::abort) has its future dropped |
/// | the last main task ends, and somebody joins | the group closes, and background tasks are cancelled |
/// | the group is dropped with tasks in it | they are cancelled, and it says so; nothing is waited for |
///
/// The [location](crate::CancelError::location) of the cancel by a failure is the
/// line that spawned the task.
///
/// A task counts until its value and its future are dropped. It costs one
/// allocation for the future and one context.
///
/// # Memory ordering
///
/// What the tasks did is visible to whoever has joined them.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, TaskGroup};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (request, _done) = Context::background().with_cancel();
/// let group = TaskGroup::new(&request);
/// let line = line!() + 2;
/// for part in ["prices", "stock"] {
///     let task = group.task(part);
///     let ctx = task.context().clone();
///     task.try_spawn(async move {
///         // The one that fails ends the other.
///         if ctx.name() == Some("stock") {
///             return Err(std::fmt::Error);
///         }
///         ctx.cancelled().await;
///         Ok(())
///     })
///     .unwrap();
/// }
/// let error = group.join().await.unwrap_err();
/// assert_eq!(error.error(), Some(&std::fmt::Error));
/// let why = group.context().error().unwrap();
/// assert!(why.cause().unwrap().downcast_ref::<std::fmt::Error>().is_some());
/// assert_eq!(why.location().unwrap().line(), line);
/// assert!(!request.is_cancelled(), "the request may try again");
/// # });
/// ```
#[must_use = "a group that is dropped cancels its tasks"]
#[doc(alias = "errgroup")]
#[doc(alias = "JoinSet")]
#[doc(alias = "TaskTracker")]
#[doc(alias = "nursery")]
pub struct TaskGroup<E: Error + Send + Sync + Clone + 'static> {
    shared: Arc<Shared<E>>,
    when_forgotten: Option<WhenForgotten>,
}

type WhenForgotten = Box<dyn FnOnce(&Forgotten) + Send + Sync>;

impl<E: Error + Send + Sync + Clone + 'static> TaskGroup<E> {
    /// A group whose context is a child of `parent`.
    ///
    /// With the feature `tokio` and inside a runtime its tasks run there; else
    /// each gets a thread of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, TaskGroup};
    ///
    /// let group = TaskGroup::<std::fmt::Error>::new(&Context::background());
    /// assert_eq!(group.context().to_string(), "background.group");
    /// ```
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    #[track_caller]
    pub fn new(parent: &Context) -> TaskGroup<E> {
        let location = Location::caller();
        #[cfg(feature = "tokio")]
        if let Some(tokio) = spawn::Tokio::here() {
            return TaskGroup::of(parent, Box::new(tokio), location);
        }
        TaskGroup::of(parent, Box::new(spawn::Threads), location)
    }

    /// A group whose tasks run on `spawner`.
    ///
    /// # Examples
    ///
    /// See [`Spawn`].
    #[track_caller]
    pub fn with_spawner(parent: &Context, spawner: impl Spawn + 'static) -> TaskGroup<E> {
        TaskGroup::of(parent, Box::new(spawner), Location::caller())
    }

    fn of(
        parent: &Context,
        spawner: Box<dyn Spawn>,
        location: &'static Location<'static>,
    ) -> TaskGroup<E> {
        let node = parent.node();
        let plan = Plan {
            birth: Some(node.birth(location)),
            ..Plan::of(Kind::Group, Facets::CANCELABLE)
        };
        let context = pair(node.derive_plan(plan, None));
        TaskGroup {
            shared: Arc::new(Shared::new(context, spawner, location)),
            when_forgotten: None,
        }
    }

    /// Lets at most so many main tasks run at a time.
    ///
    /// A task has a place from its admission to its end. Who
    /// [spawns](TaskGroup::spawn) waits for one, in the order of the first polls;
    /// background tasks need none.
    ///
    /// # Panics
    ///
    /// If it is zero, and if the group has a task or a handle already.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, SpawnError, TaskGroup};
    ///
    /// let group = TaskGroup::<std::fmt::Error>::new(&Context::background()).limit(1);
    /// let (go, wait) = std::sync::mpsc::channel::<()>();
    /// group.try_spawn(async move { wait.recv().ok(); Ok(()) }).unwrap();
    /// assert!(matches!(group.try_spawn(async { Ok(()) }), Err(SpawnError::Full(_))));
    /// drop(go);
    /// group.join_blocking(None).unwrap();
    /// ```
    #[track_caller]
    pub fn limit(mut self, at_most: usize) -> Self {
        assert_ne!(at_most, 0, "a group without a place runs nothing");
        let shared = Arc::get_mut(&mut self.shared).expect("a limit is set before anything else");
        shared.limit = Some(Limit::new(&shared.context, at_most));
        self
    }

    /// What is done instead of a line on standard error if the group is dropped
    /// with tasks in it.
    ///
    /// # Examples
    ///
    /// See [`Forgotten`].
    pub fn when_forgotten(mut self, f: impl FnOnce(&Forgotten) + Send + Sync + 'static) -> Self {
        self.when_forgotten = Some(Box::new(f));
        self
    }

    /// The context of the group, which all its tasks work under.
    ///
    /// Done when a task fails, when the group is cancelled, itself or above, and
    /// when its last main task has ended and it is closed.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.shared.context
    }

    /// A handle for the tasks themselves, which spawns into the group and does
    /// not keep it.
    ///
    /// # Examples
    ///
    /// See [`GroupHandle`].
    #[must_use]
    pub fn handle(&self) -> GroupHandle<E> {
        GroupHandle::of(&self.shared)
    }

    /// How many tasks are in: admitted and not over, background ones too.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, TaskGroup};
    ///
    /// let group = TaskGroup::<std::fmt::Error>::new(&Context::background());
    /// assert_eq!(group.len(), 0);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.admission.look().0
    }

    /// Whether no task is in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether nothing is admitted any more.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, TaskGroup};
    ///
    /// let group = TaskGroup::<std::fmt::Error>::new(&Context::background());
    /// assert!(!group.is_closed());
    /// assert!(group.close() && group.is_closed() && !group.close());
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.admission.look().1
    }

    /// Admits nothing any more: true = this call closed the group.
    ///
    /// What was admitted before is not touched, and waited for by a join; what
    /// waits for a place fails with [`SpawnError::Closed`]. Without main tasks
    /// the context of the group is then cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, SpawnError, TaskGroup};
    ///
    /// let group = TaskGroup::<std::fmt::Error>::new(&Context::background());
    /// group.close();
    /// let refused = group.try_spawn(async { Ok(()) });
    /// assert!(matches!(refused, Err(SpawnError::Closed(_))));
    /// ```
    pub fn close(&self) -> bool {
        self.shared.close_now()
    }

    /// Cancels the context of the group: true = this call did.
    ///
    /// It asks the tasks to end, and does not wait for them.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, TaskGroup};
    ///
    /// let group = TaskGroup::<std::fmt::Error>::new(&Context::background());
    /// assert!(group.cancel());
    /// assert!(group.try_spawn(async { Ok(()) }).is_err());
    /// assert!(group.join_blocking(None).is_ok());
    /// ```
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.shared.cancel.cancel()
    }

    /// The same with a cause.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, TaskGroup};
    ///
    /// let group = TaskGroup::<std::fmt::Error>::new(&Context::background());
    /// assert!(group.cancel_with("not needed any more"));
    /// assert_eq!(group.context().cause().unwrap().to_string(), "not needed any more");
    /// ```
    #[track_caller]
    pub fn cancel_with(&self, cause: impl Into<Cause>) -> bool {
        self.shared.cancel.cancel_with(cause)
    }

    /// Cancels the group, and has the future of every task dropped at its next
    /// poll, for which it is woken: also those of groups below, shields excepted.
    ///
    /// A task that is being polled goes when that poll ends; one that blocks its
    /// thread is not stopped. Each counts as a failure, unless it ends first.
    /// It does not wait.
    ///
    /// # Panics
    ///
    /// If a waker or a callback does, after all are woken.
    ///
    /// # Examples
    ///
    /// See [`join_timeout`](TaskGroup::join_timeout).
    #[track_caller]
    pub fn abort(&self) {
        let (node, location) = (self.context().node(), Location::caller());
        let mut panics = Panics::new();
        // Callbacks are user's code: one that panics keeps no task from going.
        panics.catch(|| {
            node.cancel(None, location);
        });
        panics.catch(|| node.abort_tasks());
        panics.resume();
    }
}

impl<E: Error + Send + Sync + Clone + 'static> Drop for TaskGroup<E> {
    fn drop(&mut self) {
        let shared = &self.shared;
        let mut panics = Panics::new();
        // From here on nobody comes in, so nobody is missed below.
        let closed = shared.close(&mut panics);
        let left = closed.unwrap_or_else(|| self.len());
        let unseen = shared.has_unseen_panic();
        if left == 0 && !unseen {
            return panics.resume();
        }
        let why = "the task group was dropped before it was joined";
        panics.catch(|| shared.cancel_for(why.into()));
        let forgotten = Forgotten::new(left, unseen, shared.location);
        match self.when_forgotten.take() {
            Some(tell) => panics.catch(|| tell(&forgotten)),
            None => forgotten.print(),
        }
        panics.resume();
    }
}

/// Prints the context, and how many tasks are in. Never blocks.
impl<E: Error + Send + Sync + Clone + 'static> fmt::Debug for TaskGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_as("TaskGroup", self.context(), f)
    }
}
