//! Spawning: what comes between a future and the spawner.

use super::TaskGroup;
use super::error::SpawnError;
use super::limit::{Limit, Place};
use super::running::{Running, Seat};
use super::shared::Shared;
use super::spawn::{BoxTask, Refused};
use crate::admission::Class;
use crate::context::Context;
use crate::protocol::NodeRef;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

/// A task that is not spawned yet, with a context of its own. Made by
/// [`TaskGroup::task`].
///
/// Dropping it spawns nothing.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, TaskGroup};
///
/// let group = TaskGroup::<std::fmt::Error>::new(&Context::background());
/// let task = group.task("ticker").background();
/// let ctx = task.context().clone();
/// assert_eq!(ctx.name(), Some("ticker"));
/// task.try_spawn(async move {
///     ctx.cancelled().await;
///     Ok(())
/// })
/// .unwrap();
/// // No main task is left: the ticker is told to stop.
/// group.join_blocking(None).unwrap();
/// ```
#[must_use = "a task does nothing unless it is spawned"]
pub struct Task<E: Error + Send + Sync + Clone + 'static> {
    shared: Arc<Shared<E>>,
    context: Context,
    class: Class,
}

impl<E: Error + Send + Sync + Clone + 'static> Task<E> {
    pub(super) fn new(
        shared: &Arc<Shared<E>>,
        name: Option<Cow<'static, str>>,
        location: &'static Location<'static>,
    ) -> Task<E> {
        let node = shared.derive_task(name, location);
        Task {
            shared: shared.clone(),
            context: Context::from_node(node),
            class: Class::Main,
        }
    }

    /// The context of the task: a child of the group's, with its name.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Makes it a background task: nobody waits for it to end by itself. It is
    /// cancelled when no main task is left, and needs no place.
    pub fn background(mut self) -> Self {
        self.class = Class::Background;
        self
    }

    /// As [`TaskGroup::spawn`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn spawn<F>(self, task: F) -> Result<(), SpawnError<F>>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let draft = Draft::of(&self.shared, self.context, self.class);
        draft.spawn(task).await
    }

    /// As [`TaskGroup::try_spawn`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_spawn<F>(self, task: F) -> Result<(), SpawnError<F>>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        Draft::of(&self.shared, self.context, self.class).try_spawn(task)
    }
}

/// A task to be, of a group that somebody keeps.
struct Draft<'g, E: Error + Send + Sync + Clone + 'static> {
    shared: &'g Arc<Shared<E>>,
    node: NodeRef,
    class: Class,
}

impl<'g, E: Error + Send + Sync + Clone + 'static> Draft<'g, E> {
    fn of(shared: &'g Arc<Shared<E>>, context: Context, class: Class) -> Draft<'g, E> {
        let node = context.into_node();
        Draft {
            shared,
            node,
            class,
        }
    }

    /// One without a name.
    fn new(
        shared: &'g Arc<Shared<E>>,
        class: Class,
        location: &'static Location<'static>,
    ) -> Draft<'g, E> {
        let node = shared.derive_task(None, location);
        Draft {
            shared,
            node,
            class,
        }
    }

    async fn spawn<F>(self, task: F) -> Result<(), SpawnError<F>>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let mut place = None;
        if let Some(limit) = self.limit() {
            place = Place::wait(limit).await;
            if place.is_none() {
                // The group's context is done, or was when it was closed.
                let task = self.refuse(task)?;
                return Err(SpawnError::Cancelled(task));
            }
        }
        self.start(place, task)
    }

    fn try_spawn<F>(self, task: F) -> Result<(), SpawnError<F>>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let mut place = None;
        if let Some(limit) = self.limit() {
            place = Place::now(limit);
            if place.is_none() {
                let task = self.refuse(task)?;
                return Err(SpawnError::Full(task));
            }
        }
        self.start(place, task)
    }

    /// Of whom it needs a place.
    fn limit(&self) -> Option<&'g Limit> {
        let limit = self.shared.limit.as_ref();
        limit.filter(|_| self.class == Class::Main)
    }

    /// The task, unless nothing is admitted any more.
    fn refuse<F>(&self, task: F) -> Result<F, SpawnError<F>> {
        if self.shared.admission.look().1 {
            Err(SpawnError::Closed(task))
        } else if self.shared.context.is_cancelled() {
            Err(SpawnError::Cancelled(task))
        } else {
            Ok(task)
        }
    }

    fn start<F>(self, place: Option<Place<'_>>, task: F) -> Result<(), SpawnError<F>>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let Draft {
            shared,
            node,
            class,
        } = self;
        if shared.admission.enter(class).is_err() {
            return Err(SpawnError::Closed(task));
        }
        let seat = Seat {
            shared: shared.clone(),
            node: Some(node),
            class,
            placed: place.map(Place::keep).is_some(),
        };
        seat.node().task().admit();
        // What was cancelled before is not started, so who aborts after a cancel
        // meets all that is.
        if seat.node().is_done() {
            drop(seat);
            return Err(SpawnError::Cancelled(task));
        }
        let running = Box::new(Running::new(task, seat));
        let at = std::ptr::from_ref(&*running).addr();
        match shared.spawner.spawn(BoxTask(running)) {
            Ok(()) => Ok(()),
            Err(refused) => take_back(refused, at),
        }
    }
}

/// Prints its context.
impl<E: Error + Send + Sync + Clone + 'static> fmt::Debug for Task<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

/// What a spawner refused, if it is the task that lay `at` this address.
fn take_back<F: 'static>(refused: Refused, at: usize) -> Result<(), SpawnError<F>> {
    let Refused { task, why } = refused;
    if std::ptr::from_ref(&*task.0).addr() != at {
        // Another one, which its own group hears of. Ours was taken.
        return Ok(());
    }
    let Some(back) = task.0.take_back() else {
        // It was polled, and so it was started: its end was noted.
        return Ok(());
    };
    match back.downcast::<Option<F>>().ok().and_then(|future| *future) {
        Some(future) => Err(SpawnError::Spawner(future, why)),
        // Another one all the same, made where ours was dropped.
        None => Ok(()),
    }
}

impl<E: Error + Send + Sync + Clone + 'static> TaskGroup<E> {
    /// Spawns a task, as soon as there is a place for it.
    ///
    /// Where the group is [limited](TaskGroup::limit) it waits for a place, in the
    /// order of the first polls; else it is ready at once. Nothing happens before
    /// the first poll.
    ///
    /// The task works under the [context](TaskGroup::context) of the group, and
    /// looks at it by itself. If it fails, the others are cancelled.
    ///
    /// # Errors
    ///
    /// [`SpawnError::Closed`], [`SpawnError::Cancelled`] if the group's context is
    /// done, also while it waits, and [`SpawnError::Spawner`]. The task comes back.
    ///
    /// # Cancel safety
    ///
    /// Dropping it while it waits drops the task, which was not spawned; its turn
    /// goes to the next.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, TaskGroup};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let group = TaskGroup::<std::fmt::Error>::new(&Context::background()).limit(2);
    /// for _ in 0..100 {
    ///     group.spawn(async { Ok(()) }).await.unwrap();
    /// }
    /// group.join().await.unwrap();
    /// # });
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, task: F) -> impl Future<Output = Result<(), SpawnError<F>>>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let location = Location::caller();
        async move {
            let draft = Draft::new(&self.shared, Class::Main, location);
            draft.spawn(task).await
        }
    }

    /// Spawns a task, if there is a place for it now.
    ///
    /// As [`spawn`](TaskGroup::spawn) otherwise.
    ///
    /// # Errors
    ///
    /// As [`spawn`](TaskGroup::spawn), and [`SpawnError::Full`] where there is no
    /// place, or others wait for one. The task comes back.
    ///
    /// # Panics
    ///
    /// If the spawner does, which drops the task, and with 2^30 tasks of a kind, main
    /// or background.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, TaskGroup};
    ///
    /// let group = TaskGroup::<std::fmt::Error>::new(&Context::background());
    /// group.try_spawn(async { Ok(()) }).unwrap();
    /// group.join_blocking(None).unwrap();
    /// assert!(group.try_spawn(async { Ok(()) }).is_err(), "the group is closed");
    /// ```
    #[track_caller]
    pub fn try_spawn<F>(&self, task: F) -> Result<(), SpawnError<F>>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        Draft::new(&self.shared, Class::Main, Location::caller()).try_spawn(task)
    }

    /// Spawns a background task: see [`Task::background`].
    ///
    /// # Errors
    ///
    /// As [`try_spawn`](TaskGroup::try_spawn), but it needs no place.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, TaskGroup};
    ///
    /// let group = TaskGroup::<std::fmt::Error>::new(&Context::background());
    /// let ctx = group.context().clone();
    /// group.spawn_background(async move { ctx.cancelled().await; Ok(()) }).unwrap();
    /// group.join_blocking(None).unwrap();
    /// ```
    #[track_caller]
    pub fn spawn_background<F>(&self, task: F) -> Result<(), SpawnError<F>>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        Draft::new(&self.shared, Class::Background, Location::caller()).try_spawn(task)
    }

    /// A task to be spawned, with a name and a context of its own.
    ///
    /// # Examples
    ///
    /// See [`Task`].
    #[track_caller]
    pub fn task(&self, name: impl Into<Cow<'static, str>>) -> Task<E> {
        Task::new(&self.shared, Some(name.into()), Location::caller())
    }
}
