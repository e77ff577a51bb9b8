//! [`Context::wait_while`]: a condition variable whose wait a cancel ends.
//!
//! Who cancels must wake a thread that waits on the user's condition variable,
//! and may not lock the user's mutex for it: it may hold that mutex itself, or be
//! waited for by who holds it. But who notifies without the lock may come between
//! the waiter's last look at the context and its sleep, and is not heard.
//!
//! # How it works
//!
//! The waiter says in a word of its own, `asleep`, that it is about to wait; it
//! does so with the user's lock held, and takes it back with the lock held again.
//!
//! | `asleep` | the callback of the cancel |
//! |---|---|
//! | false | does nothing: the waiter looks at the context before it says true |
//! | true, and it gets the lock at once | notifies: the waiter has let the lock go, and so does wait |
//! | true, and it does not | notifies, and comes again by a timer |
//!
//! In the third case somebody else holds the lock, and the waiter is woken; or it
//! is the waiter, which has a few steps to go to its sleep: the timer's look finds
//! it there. Nothing here blocks for longer than it takes to set `asleep`.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use crate::context::Context;
use crate::error::CancelError;
use crate::time;

/// From one look to the next, at first and at most.
const AGAIN: Duration = Duration::from_millis(1);
const AT_MOST: Duration = Duration::from_millis(64);

const POISONED: &str = "the mutex of a wait is poisoned";

/// One wait.
struct Wait<T> {
    pair: Arc<(Mutex<T>, Condvar)>,
    asleep: Mutex<bool>,
}

impl<T: Send + 'static> Wait<T> {
    /// Nothing panics while it is locked.
    fn asleep(&self) -> MutexGuard<'_, bool> {
        self.asleep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the waiter, which holds the lock, may wait: the context is live.
    fn begin(&self, context: &Context) -> bool {
        let mut asleep = self.asleep();
        *asleep = !context.is_cancelled();
        *asleep
    }

    /// The waiter has the lock again.
    fn end(&self) {
        *self.asleep() = false;
    }

    /// Wakes the waiter of a context that is done.
    fn wake(self: Arc<Self>, again: Duration) {
        if !*self.asleep() {
            return;
        }
        let (mutex, condvar) = &*self.pair;
        let busy = matches!(mutex.try_lock(), Err(TryLockError::WouldBlock));
        condvar.notify_all();
        if busy {
            self.wake_later(again);
        }
    }

    #[cold]
    fn wake_later(self: Arc<Self>, after: Duration) {
        // In real time, whatever clock the context has.
        let root = Context::background().with_driver(time::built_in());
        let (timer, _) = root.with_timeout(after);
        // The callback keeps the timer, until it has run.
        let kept = timer.clone();
        let look = move |_: &CancelError| {
            drop(kept);
            self.wake((2 * after).min(AT_MOST));
        };
        timer.after_cancel(look).detach();
    }
}

impl Context {
    /// Locks a mutex, and waits on its condition variable while `condition`
    /// holds: [`Condvar::wait_while`], which a cancel ends.
    ///
    /// Who changes what the mutex guards notifies the condition variable, as
    /// ever. On a context that is done already this fails at once, without a look
    /// at the mutex. Later the condition goes first: where it holds no more, that
    /// is the answer, also if the context is done by then. For a time limit,
    /// derive a context [with a timeout](Context::with_timeout) and wait on that.
    ///
    /// The cancel does not end the wait for the mutex itself, before and after
    /// that for the condition. It notifies all who wait on the condition
    /// variable, so others may wake for nothing, as they always may.
    ///
    /// Neither the cancel nor this waits for the other with the mutex held. The
    /// context may be cancelled by who holds it, from within `condition`, and by
    /// a thread that the holder waits for. If the mutex is locked just when the
    /// cancel comes, it is the [timer thread](crate::time) that makes sure the
    /// waiter has heard it.
    ///
    /// # Errors
    ///
    /// The [`CancelError`] if the context is done first; the mutex is not locked
    /// then.
    ///
    /// # Panics
    ///
    /// If the mutex is poisoned, as `lock().unwrap()` would: a thread panicked
    /// while it held it. A panic of `condition` poisons it, and goes on from
    /// here.
    ///
    /// # Memory ordering
    ///
    /// That of the mutex; on an error as with [`wait`](Context::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::collections::VecDeque;
    /// use std::sync::{Arc, Condvar, Mutex};
    ///
    /// let queue = Arc::new((Mutex::new(VecDeque::new()), Condvar::new()));
    /// let (ctx, stop) = Context::background().with_cancel();
    ///
    /// let worker = std::thread::spawn({
    ///     let queue = queue.clone();
    ///     move || {
    ///         let mut sum = 0;
    ///         loop {
    ///             match ctx.wait_while(&queue, |queue| queue.is_empty()) {
    ///                 Ok(mut queue) => sum += queue.pop_front().unwrap(),
    ///                 Err(error) => return (sum, error.to_string()),
    ///             }
    ///         }
    ///     }
    /// });
    ///
    /// for number in [1, 2, 3] {
    ///     queue.0.lock().unwrap().push_back(number);
    ///     queue.1.notify_one();
    /// }
    /// # while !queue.0.lock().unwrap().is_empty() {}
    /// stop.cancel_with("closing time");
    /// let (sum, error) = worker.join().unwrap();
    /// assert_eq!((sum, &*error), (6, "context cancelled: closing time"));
    /// ```
    #[track_caller]
    pub fn wait_while<'a, T, F>(
        &self,
        pair: &'a Arc<(Mutex<T>, Condvar)>,
        mut condition: F,
    ) -> Result<MutexGuard<'a, T>, CancelError>
    where
        T: Send + 'static,
        F: FnMut(&mut T) -> bool,
    {
        self.check()?;
        let (mutex, condvar) = &**pair;
        let mut guard = mutex.lock().expect(POISONED);
        if !condition(&mut guard) {
            return Ok(guard);
        }
        let wait = Arc::new(Wait {
            pair: pair.clone(),
            asleep: Mutex::new(false),
        });
        let waking = wait.clone();
        let _registration = self.after_cancel(move |_| waking.wake(AGAIN));
        while wait.begin(self) {
            let woken = condvar.wait(guard);
            wait.end();
            guard = woken.expect(POISONED);
            if !condition(&mut guard) {
                return Ok(guard);
            }
        }
        drop(guard);
        Err(self.expect_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    // The callback comes when the waiter has said that it waits, and does not
    // yet: it cannot be heard, and must come again.
    #[test]
    fn a_wake_that_comes_before_the_sleep_comes_again() {
        let wait = Arc::new(Wait {
            pair: Arc::new((Mutex::new(0), Condvar::new())),
            asleep: Mutex::new(false),
        });
        let start = Instant::now();
        let (mutex, condvar) = &*wait.pair;
        let guard = mutex.lock().unwrap();
        assert!(wait.begin(&Context::background()));
        wait.clone().wake(AGAIN);
        let minute = Duration::from_secs(60);
        let (guard, _) = condvar.wait_timeout(guard, minute).unwrap();
        assert!(start.elapsed() < minute);
        wait.end();
        drop(guard);
        // Who is awake is left alone, and the timers go.
        wait.clone().wake(AGAIN);
        while Arc::strong_count(&wait) > 1 {
            std::thread::yield_now();
        }
        assert!(start.elapsed() < minute);
    }
}
