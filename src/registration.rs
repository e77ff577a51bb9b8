//! [`Context::after_cancel`]: callbacks, and the handle that takes one back.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::context::Context;
use crate::error::CancelError;
use crate::protocol::Registered;
use crate::wait_cell::Stopped;

/// One callback of a context, made by [`Context::after_cancel`].
///
/// Dropping it stops the callback as [`stop`](Registration::stop) does; to leave
/// it registered, [`detach`](Registration::detach). It does not keep the context
/// alive: on a context that nobody holds any more, and that has no child, the
/// callback is dropped unrun.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, Stop};
///
/// let (ctx, handle) = Context::background().with_cancel();
/// let log = ctx.after_cancel(|error| println!("stopped: {error}"));
/// let never = ctx.after_cancel(|_| unreachable!());
/// assert_eq!(never.stop(), Stop::Prevented);
/// handle.cancel_with("enough");
/// assert_eq!(log.stop(), Stop::Finished);
/// ```
#[must_use = "dropping a registration stops its callback; `detach` leaves it"]
pub struct Registration {
    /// None: the callback has run before there was anything to register.
    registered: Option<Registered>,
}

// A registration has no state that a panic could leave half changed.
impl UnwindSafe for Registration {}
impl RefUnwindSafe for Registration {}

/// What [`Registration::stop`] found.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, Stop};
///
/// let (ctx, _handle) = Context::background().with_cancel();
/// let registration = ctx.after_cancel(|_| ());
/// assert_eq!(registration.stop(), Stop::Prevented);
/// assert_eq!(registration.stop(), Stop::AlreadyStopped);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// This call stopped the callback: it has not run and never will.
    Prevented,
    /// Too late: the callback is running, on some thread.
    Running,
    /// Too late: the callback has run. What it did is visible.
    Finished,
    /// An earlier call stopped the callback: it has not run and never will. That
    /// call may still be dropping the closure.
    AlreadyStopped,
}

impl From<Stopped> for Stop {
    fn from(stopped: Stopped) -> Stop {
        match stopped {
            Stopped::Prevented { .. } | Stopped::Unrun => Stop::Prevented,
            Stopped::Running => Stop::Running,
            Stopped::Finished => Stop::Finished,
            Stopped::Already => Stop::AlreadyStopped,
        }
    }
}

impl Registration {
    /// Stops the callback, unless it has begun to run. Never blocks.
    ///
    /// If it is stopped, its closure is dropped before this returns. A callback
    /// whose context is gone was dropped with it; the first `stop` says
    /// [`Prevented`](Stop::Prevented) of it, and the thread that ends the context
    /// may still be dropping it.
    ///
    /// # Panics
    ///
    /// Not of its own; a panic in the drop of the closure comes out of here.
    ///
    /// # Memory ordering
    ///
    /// When this says [`Finished`](Stop::Finished), what the callback did is
    /// visible.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, Stop};
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// let registration = ctx.after_cancel(|_| unreachable!());
    /// assert_eq!(registration.stop(), Stop::Prevented);
    /// assert!(handle.cancel());
    /// ```
    pub fn stop(&self) -> Stop {
        match &self.registered {
            None => Stop::Finished,
            Some(registered) => Stop::from(registered.stop()),
        }
    }

    /// As [`stop`](Registration::stop), but waits for a run that is under way on
    /// another thread, and for the drop of a callback whose context is gone.
    ///
    /// [`Running`](Stop::Running) is said only, and at once, by the thread that
    /// runs the callback, where waiting would never end. Waits for this one
    /// callback, for no other. Two callbacks that each wait so for the other, on
    /// two threads, wait for ever.
    ///
    /// # Panics
    ///
    /// As [`stop`](Registration::stop).
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, Stop};
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// let in_use = Arc::new(AtomicBool::new(true));
    /// let seen = in_use.clone();
    /// let registration = ctx.after_cancel(move |_| assert!(seen.load(Ordering::Relaxed)));
    /// let canceller = std::thread::spawn(move || handle.cancel());
    /// // Prevented or finished: after this, the callback uses nothing.
    /// assert_ne!(registration.stop_and_join(), Stop::Running);
    /// in_use.store(false, Ordering::Relaxed);
    /// # canceller.join().unwrap();
    /// ```
    pub fn stop_and_join(&self) -> Stop {
        let Some(registered) = &self.registered else {
            return Stop::Finished;
        };
        let stopped = registered.stop();
        match stopped {
            Stopped::Running if registered.join() => Stop::Finished,
            Stopped::Unrun => {
                registered.join();
                Stop::Prevented
            }
            _ => Stop::from(stopped),
        }
    }

    /// Leaves the callback registered, without a handle to stop it.
    ///
    /// It runs when the context is cancelled, or is dropped with the context. On
    /// [`background`](Context::background) and [`todo`](Context::todo), which
    /// never end, it is dropped at once. (There, a closure that owns its own
    /// registration is kept by that for ever.)
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let (ctx, handle) = Context::background().with_cancel();
    /// ctx.after_cancel(move |error| sender.send(error.to_string()).unwrap()).detach();
    /// handle.cancel();
    /// assert_eq!(receiver.recv().unwrap(), "context cancelled");
    /// ```
    pub fn detach(self) {
        if let Some(registered) = self.registered {
            registered.detach();
        }
    }
}

/// Prints no state: to know it is to stop it. Never blocks.
impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").finish_non_exhaustive()
    }
}

impl Context {
    /// Runs `f` when this context is done.
    ///
    /// It runs once, on the thread that cancels, after everything below the
    /// cancelled context is marked, outside every critical section: callbacks
    /// and waiters of one context in the order they were registered, those of a
    /// parent before those of its children. On a context that is done already it
    /// runs on this thread, before this returns. On one that [can never be
    /// done](Context::is_cancelable) it never runs.
    ///
    /// `f` may do anything: use, cancel and drop any context, register, block
    /// (then the cancel that runs it takes as long), panic. A panic stops no
    /// other callback or waiter, and is resumed by the `cancel` that ran it when
    /// all are delivered.
    ///
    /// The callback keeps no context alive, neither does the [`Registration`]:
    /// should all handles of this context and everything below go before a
    /// cancel, it is dropped unrun. What `f` owns lives until it has run or was
    /// dropped: a closure that owns a handle of this context, or of one below,
    /// keeps both until a cancel.
    ///
    /// # Panics
    ///
    /// Not of its own; if the context is done already, a panic of `f` comes out
    /// of here.
    ///
    /// # Memory ordering
    ///
    /// What the cancelling thread did before `cancel` is visible to `f`.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::net::{TcpListener, TcpStream, Shutdown};
    /// use std::io::Read;
    ///
    /// // A blocking read that a cancel ends.
    /// let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    /// let mut socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    /// let (ctx, handle) = Context::background().with_cancel();
    ///
    /// let peer = socket.try_clone().unwrap();
    /// let _registration = ctx.after_cancel(move |_| {
    ///     let _ = peer.shutdown(Shutdown::Both);
    /// });
    /// let canceller = std::thread::spawn(move || handle.cancel());
    /// assert_eq!(socket.read(&mut [0]).unwrap_or(0), 0);
    /// assert!(ctx.is_cancelled());
    /// # canceller.join().unwrap();
    /// ```
    #[doc(alias = "AfterFunc")]
    #[doc(alias = "register")]
    #[doc(alias = "stop_callback")]
    pub fn after_cancel<F>(&self, f: F) -> Registration
    where
        F: FnOnce(&CancelError) + Send + 'static,
    {
        Registration {
            registered: self.node().register(f),
        }
    }
}
