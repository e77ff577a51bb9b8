//! Waiting for the end of a group.

use super::TaskGroup;
use super::error::JoinError;
use super::running::is_inside;
use super::shared::{Failure, Panic, Shared};
use super::stragglers::Stragglers;
use crate::cancelled::Cancelled;
use crate::protocol::Panics;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
use std::time::Duration;

impl<E: Error + Send + Sync + Clone + 'static> TaskGroup<E> {
    /// Waits until all tasks are over.
    ///
    /// Tasks may spawn others meanwhile, which it waits for too. In the same step
    /// in which no main task is left the group is closed; its context is cancelled then,
    /// and the background tasks are waited for. So when this is ready nothing of
    /// the group runs, and nothing will. Any number may join, also when it is
    /// over: each gets the same answer.
    ///
    /// It waits for tasks that ignore the cancel, too:
    /// [`join_timeout`](TaskGroup::join_timeout) does not.
    ///
    /// # Errors
    ///
    /// What failed first, in [`JoinError`]. If all tasks say `Ok`, so does this,
    /// also where the context of the group was cancelled: whether they were
    /// stopped is theirs to say. [`JoinError::FromInside`] where it is polled by a
    /// task of the group.
    ///
    /// # Panics
    ///
    /// Resumes the first panic of a task; the second join tells of it.
    ///
    /// # Cancel safety
    ///
    /// Dropping it half-way loses nothing: the group goes on, and may be joined
    /// again. It then closes when its last main task ends.
    ///
    /// # Memory ordering
    ///
    /// What the tasks did is visible.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, TaskGroup};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let group = TaskGroup::new(&Context::background());
    /// group.spawn(async { Ok(()) }).await.unwrap();
    /// group.spawn(async { Err(std::fmt::Error) }).await.unwrap();
    /// let error = group.join().await.unwrap_err();
    /// assert_eq!(error.error(), Some(&std::fmt::Error));
    /// assert!(group.context().is_cancelled());
    /// # });
    /// ```
    pub async fn join(&self) -> Result<(), JoinError<E>> {
        let panics = self.begin_join(false)?;
        let mut over = self.shared.over.cancelled();
        poll_fn(|cx| self.poll_over(&mut over, cx)).await?;
        panics.resume();
        self.outcome()
    }

    /// The same, for at most this long.
    ///
    /// By the clock of the group's context; a length that it cannot represent
    /// means no limit, and zero asks once. The tasks go on when the time has run
    /// out: it is for the caller to [cancel](TaskGroup::cancel), to
    /// [abort](TaskGroup::abort), or to join again.
    ///
    /// # Errors
    ///
    /// As [`join`](TaskGroup::join), and [`JoinError::TimedOut`] with those that
    /// were still there.
    ///
    /// # Panics
    ///
    /// As [`join`](TaskGroup::join).
    ///
    /// # Cancel safety
    ///
    /// As [`join`](TaskGroup::join).
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, JoinError, TaskGroup};
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let group = TaskGroup::<std::fmt::Error>::new(&Context::background());
    /// group.task("deaf").try_spawn(std::future::pending()).unwrap();
    /// group.cancel();
    /// match group.join_timeout(Duration::from_millis(5)).await {
    ///     Err(JoinError::TimedOut(who)) => assert_eq!(who.iter().next().unwrap().name(), Some("deaf")),
    ///     other => panic!("{other:?}"),
    /// }
    /// group.abort();
    /// assert!(matches!(group.join().await, Err(JoinError::Aborted(_))));
    /// # });
    /// ```
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    pub async fn join_timeout(&self, at_most: Duration) -> Result<(), JoinError<E>> {
        let panics = self.begin_join(false)?;
        let alarm = match self.shared.over.is_cancelled() {
            true => None,
            false => self.context().alarm(at_most),
        };
        let mut over = self.shared.over.cancelled();
        let mut late = alarm.as_ref().map(|(alarm, _)| alarm.cancelled());
        let in_time = poll_fn(|cx| {
            if let Poll::Ready(over) = self.poll_over(&mut over, cx) {
                return Poll::Ready(over.map(|()| true));
            }
            match &mut late {
                Some(late) => Pin::new(late).poll(cx).map(|_| Ok(false)),
                None => Poll::Pending,
            }
        });
        let in_time = in_time.await?;
        panics.resume();
        if in_time {
            self.outcome()
        } else {
            Err(JoinError::TimedOut(self.stragglers()))
        }
    }

    /// The same, blocking this thread. `None` is no limit.
    ///
    /// Not for use in async code.
    ///
    /// # Errors
    ///
    /// As [`join_timeout`](TaskGroup::join_timeout).
    ///
    /// # Panics
    ///
    /// As [`join`](TaskGroup::join).
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, TaskGroup};
    ///
    /// let group = TaskGroup::<std::fmt::Error>::new(&Context::background());
    /// group.try_spawn(async { Ok(()) }).unwrap();
    /// assert!(group.join_blocking(None).is_ok());
    /// ```
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    pub fn join_blocking(&self, at_most: Option<Duration>) -> Result<(), JoinError<E>> {
        let panics = self.begin_join(true)?;
        let mut over = self.shared.over.cancelled();
        let mut ready = |waker: &std::task::Waker| {
            let mut cx = std::task::Context::from_waker(waker);
            match Pin::new(&mut over).poll(&mut cx) {
                Poll::Ready(_) => Some(()),
                Poll::Pending => None,
            }
        };
        let ended = self.context().block_for(at_most, &mut ready);
        panics.resume();
        match ended {
            Some(()) => self.outcome(),
            None => Err(JoinError::TimedOut(self.stragglers())),
        }
    }

    /// The tasks that are not over now.
    ///
    /// # Examples
    ///
    /// See [`Stragglers`].
    #[must_use]
    pub fn stragglers(&self) -> Stragglers {
        Stragglers::of(self.context())
    }

    /// One poll of a wait for the end. A task may have come to poll what was begun
    /// outside.
    fn poll_over(
        &self,
        over: &mut Cancelled<'_>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Result<(), JoinError<E>>> {
        match Pin::new(over).poll(cx) {
            Poll::Ready(_) => Poll::Ready(Ok(())),
            Poll::Pending if is_inside(&self.shared, false) => {
                Poll::Ready(Err(JoinError::FromInside))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Says that somebody waits. What panics in that is for the caller to go on
    /// with, when all is over.
    fn begin_join(&self, blocks: bool) -> Result<Panics, JoinError<E>> {
        if is_inside(&self.shared, blocks) && !self.shared.over.is_cancelled() {
            return Err(JoinError::FromInside);
        }
        let mut panics = Panics::new();
        let then = self.shared.admission.join();
        self.shared.finish(then, &mut panics);
        Ok(panics)
    }

    /// How it ended.
    fn outcome(&self) -> Result<(), JoinError<E>> {
        outcome(&self.shared)
    }
}

fn outcome<E: Error + Send + Sync + Clone + 'static>(
    shared: &Arc<Shared<E>>,
) -> Result<(), JoinError<E>> {
    if let Some(payload) = shared.first_panic().and_then(Panic::take) {
        resume_unwind(payload);
    }
    let mut failures: Vec<&Failure<E>> = shared.failures.iter().collect();
    failures.reverse();
    let others = failures.iter().skip(1).filter_map(|failure| match failure {
        Failure::Error(error) => Some(error.clone()),
        _ => None,
    });
    Err(match failures.first() {
        None => return Ok(()),
        Some(Failure::Error(error)) => JoinError::Failed {
            error: error.clone(),
            others: others.collect(),
        },
        Some(Failure::Panic(panic)) => JoinError::Panicked(panic.message.to_string()),
        Some(Failure::Aborted(which)) => JoinError::Aborted(which.to_string()),
    })
}
