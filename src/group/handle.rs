//! A group seen by its tasks, and a group that was forgotten.

use super::error::SpawnError;
use super::shared::Shared;
use super::task::Task;
use crate::context::Context;
use crate::error::Cause;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::{Arc, Weak};

/// Spawns into a group without keeping it. Made by
/// [`TaskGroup::handle`](crate::TaskGroup::handle).
///
/// For tasks that spawn further ones: a task that owned the group would keep the
/// group from being dropped, and so from being noticed as forgotten. When the
/// group is gone and its tasks are over, nothing is spawned any more.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, GroupHandle, TaskGroup};
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// static VISITED: AtomicUsize = AtomicUsize::new(0);
///
/// fn visit(depth: usize, group: &GroupHandle<std::fmt::Error>) {
///     let inner = group.clone();
///     let spawned = group.try_spawn(async move {
///         VISITED.fetch_add(1, Ordering::SeqCst);
///         if depth > 0 {
///             visit(depth - 1, &inner);
///             visit(depth - 1, &inner);
///         }
///         Ok(())
///     });
///     spawned.unwrap();
/// }
///
/// let group = TaskGroup::new(&Context::background());
/// visit(3, &group.handle());
/// group.join_blocking(None).unwrap();
/// assert_eq!(VISITED.load(Ordering::SeqCst), 15);
/// ```
pub struct GroupHandle<E: Error + Send + Sync + Clone + 'static>(Weak<Shared<E>>);

impl<E: Error + Send + Sync + Clone + 'static> Clone for GroupHandle<E> {
    fn clone(&self) -> Self {
        GroupHandle(self.0.clone())
    }
}

impl<E: Error + Send + Sync + Clone + 'static> GroupHandle<E> {
    pub(super) fn of(shared: &Arc<Shared<E>>) -> Self {
        GroupHandle(Arc::downgrade(shared))
    }

    fn task_at(
        &self,
        name: Option<Cow<'static, str>>,
        location: &'static Location<'static>,
    ) -> Option<Task<E>> {
        let shared = self.0.upgrade()?;
        Some(Task::new(&shared, name, location))
    }

    /// As [`TaskGroup::spawn`](crate::TaskGroup::spawn). It keeps the group's
    /// context while it waits.
    ///
    /// # Errors
    ///
    /// As there, and [`SpawnError::Closed`] if there is no group any more.
    #[track_caller]
    pub fn spawn<F>(&self, task: F) -> impl Future<Output = Result<(), SpawnError<F>>>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let location = Location::caller();
        async move {
            match self.task_at(None, location) {
                Some(new) => new.spawn(task).await,
                None => Err(SpawnError::Closed(task)),
            }
        }
    }

    /// As [`TaskGroup::try_spawn`](crate::TaskGroup::try_spawn).
    ///
    /// # Errors
    ///
    /// As there, and [`SpawnError::Closed`] if there is no group any more.
    #[track_caller]
    pub fn try_spawn<F>(&self, task: F) -> Result<(), SpawnError<F>>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        match self.task_at(None, Location::caller()) {
            Some(new) => new.try_spawn(task),
            None => Err(SpawnError::Closed(task)),
        }
    }

    /// As [`TaskGroup::spawn_background`](crate::TaskGroup::spawn_background).
    ///
    /// # Errors
    ///
    /// As there, and [`SpawnError::Closed`] if there is no group any more.
    #[track_caller]
    pub fn spawn_background<F>(&self, task: F) -> Result<(), SpawnError<F>>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        match self.task_at(None, Location::caller()) {
            Some(new) => new.background().try_spawn(task),
            None => Err(SpawnError::Closed(task)),
        }
    }

    /// As [`TaskGroup::task`](crate::TaskGroup::task); `None` if there is no group
    /// any more.
    #[track_caller]
    pub fn task(&self, name: impl Into<Cow<'static, str>>) -> Option<Task<E>> {
        self.task_at(Some(name.into()), Location::caller())
    }

    /// The context of the group, unless that is gone.
    #[must_use]
    pub fn context(&self) -> Option<Context> {
        Some(self.0.upgrade()?.context.clone())
    }

    /// As [`TaskGroup::close`](crate::TaskGroup::close); false if there is no group
    /// any more.
    pub fn close(&self) -> bool {
        self.0.upgrade().is_some_and(|shared| shared.close_now())
    }

    /// As [`TaskGroup::cancel`](crate::TaskGroup::cancel); false if there is no
    /// group any more.
    #[track_caller]
    pub fn cancel(&self) -> bool {
        match self.0.upgrade() {
            Some(shared) => shared.cancel.cancel(),
            None => false,
        }
    }

    /// The same with a cause.
    #[track_caller]
    pub fn cancel_with(&self, cause: impl Into<Cause>) -> bool {
        match self.0.upgrade() {
            Some(shared) => shared.cancel.cancel_with(cause),
            None => false,
        }
    }
}

/// Prints the context of the group, if that is still there.
impl<E: Error + Send + Sync + Clone + 'static> fmt::Debug for GroupHandle<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GroupHandle").field(&self.context()).finish()
    }
}

/// A group was dropped before it was joined: what
/// [`when_forgotten`](crate::TaskGroup::when_forgotten) is told.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, TaskGroup};
/// use std::sync::{Arc, Mutex};
///
/// let heard = Arc::new(Mutex::new(String::new()));
/// let told = heard.clone();
/// let group = TaskGroup::<std::fmt::Error>::new(&Context::background())
///     .when_forgotten(move |forgotten| *told.lock().unwrap() = forgotten.to_string());
/// let task = group.task("sleeper");
/// let ctx = task.context().clone();
/// task.try_spawn(async move { ctx.cancelled().await; Ok(()) }).unwrap();
/// drop(group);
/// assert!(heard.lock().unwrap().contains("dropped with 1 task in it"));
/// ```
#[derive(Clone, Debug)]
pub struct Forgotten {
    tasks: usize,
    unseen: bool,
    location: &'static Location<'static>,
}

impl Forgotten {
    pub(super) fn new(
        tasks: usize,
        unseen: bool,
        location: &'static Location<'static>,
    ) -> Forgotten {
        Forgotten {
            tasks,
            unseen,
            location,
        }
    }

    /// Says so where nobody else does.
    pub(super) fn print(&self) {
        use std::io::Write;
        // Nobody can be told that this fails.
        let _ = writeln!(std::io::stderr(), "ctxtree: {self}");
    }

    /// How many tasks were in. They were cancelled.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.tasks
    }

    /// Whether a task panicked, and no join has resumed that.
    #[must_use]
    pub fn has_panicked(&self) -> bool {
        self.unseen
    }

    /// Where the group was made.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

impl fmt::Display for Forgotten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tasks, s) = (self.tasks, if self.tasks == 1 { "" } else { "s" });
        write!(f, "the task group of {} was dropped", self.location)?;
        if tasks > 0 {
            write!(f, " with {tasks} task{s} in it, not joined: cancelled")?;
        }
        if self.unseen {
            f.write_str(" with a panic that nobody has seen")?;
        }
        Ok(())
    }
}
