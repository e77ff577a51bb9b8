//! [`CancelSource`]: somebody else's token, as a parent.

use std::any::type_name;

use crate::context::Context;
use crate::error::Cause;
use crate::handle::{CancelHandle, pair};
use crate::protocol::Foreign;

/// Somebody else's token, to be a parent of a context.
///
/// See [`Context::from_source`]. The methods are called outside every critical
/// section of this library, on the thread that derives, cancels or drops the
/// context; they may use contexts, and block.
///
/// # Examples
///
/// A source that fires once:
///
/// ```
/// use ctxtree::{CancelSource, Cause, Context};
/// use std::sync::{Arc, Mutex};
///
/// type Notify = Box<dyn FnOnce() + Send>;
///
/// #[derive(Clone, Default)]
/// struct Flag(Arc<Mutex<(bool, Vec<Notify>)>>);
///
/// impl Flag {
///     fn raise(&self) {
///         let mut state = self.0.lock().unwrap();
///         state.0 = true;
///         let notify = std::mem::take(&mut state.1);
///         drop(state);
///         notify.into_iter().for_each(|notify| notify());
///     }
/// }
///
/// impl CancelSource for Flag {
///     fn is_cancelled(&self) -> bool {
///         self.0.lock().unwrap().0
///     }
///     fn error(&self) -> Option<Cause> {
///         Some("the flag was raised".into())
///     }
///     fn on_cancel(&self, notify: Notify) -> Box<dyn Send> {
///         self.0.lock().unwrap().1.push(notify);
///         // Never deregistered: it costs the closure until the flag goes.
///         Box::new(())
///     }
/// }
///
/// let flag = Flag::default();
/// let (ctx, _handle) = Context::background().from_source(flag.clone());
/// flag.raise();
/// assert_eq!(ctx.cause().unwrap().to_string(), "the flag was raised");
/// ```
pub trait CancelSource: Send + Sync {
    /// Whether the source is done.
    fn is_cancelled(&self) -> bool;

    /// Why it is done. `None` is fine, also when it is.
    fn error(&self) -> Option<Cause>;

    /// Calls `notify` once when the source is done: later, on any thread, or at
    /// once, before this returns, if it is done already. Dropping what this
    /// returns deregisters: `notify` need not be called any more, and may be.
    ///
    /// `notify` keeps neither the context nor the source alive. It runs the
    /// cancel, with everything that listens to it, so it should not be called
    /// under a lock. What this returned for the very context is not dropped from
    /// within `notify`, unless the last handle of the context is; what it
    /// returned for contexts below, which that cancel ends, is.
    fn on_cancel(&self, notify: Box<dyn FnOnce() + Send>) -> Box<dyn Send>;
}

/// A source that a user gave.
struct Given<S>(S);

impl<S: CancelSource + 'static> Foreign for Given<S> {
    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    fn error(&self) -> Option<Cause> {
        self.0.error()
    }

    fn on_cancel(&self, notify: Box<dyn FnOnce() + Send>) -> Box<dyn Send> {
        self.0.on_cancel(notify)
    }
}

impl Context {
    /// Derives a child that is also done when `source` is.
    ///
    /// Its reason is then [`Cancelled`](crate::Reason::Cancelled), its cause what
    /// [`CancelSource::error`] tells, its origin the child itself, and there is
    /// no location. A source that is done already makes a child that is born
    /// done; a context that is done does not ask the source for anything.
    ///
    /// The child owns the source, and what the source returned when the child
    /// was registered. Both are dropped when the child is done or dropped (if it
    /// is the source that fires, when the child is dropped), on the thread that
    /// does that, or on one that is firing just then. No thread is started, and
    /// no cycle through the source keeps it or the child alive.
    ///
    /// Where contexts are each other's sources in a long row, each is cancelled
    /// from within the one before: that takes stack, as any callbacks do that
    /// call on.
    ///
    /// # Panics
    ///
    /// What the source's methods panic with comes out of here, or out of
    /// `notify`; nothing else is harmed.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{CancelSource, Cause, Context};
    ///
    /// /// A source that was done long ago.
    /// struct Past;
    ///
    /// impl CancelSource for Past {
    ///     fn is_cancelled(&self) -> bool {
    ///         true
    ///     }
    ///     fn error(&self) -> Option<Cause> {
    ///         None
    ///     }
    ///     fn on_cancel(&self, notify: Box<dyn FnOnce() + Send>) -> Box<dyn Send> {
    ///         Box::new(notify)
    ///     }
    /// }
    ///
    /// let (ctx, _handle) = Context::background().from_source(Past);
    /// assert!(ctx.is_cancelled() && ctx.cause().is_none());
    /// ```
    pub fn from_source<S: CancelSource + 'static>(&self, source: S) -> (Context, CancelHandle) {
        pair(self.node().derive_from(Given(source), type_name::<S>()))
    }
}
