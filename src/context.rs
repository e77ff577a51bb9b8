//! [`Context`]: a handle that may observe and derive.
//!
//! One pointer wide, one owned handle to a node of the tree. What goes with the
//! right to cancel, with waiting and with running futures lives in modules
//! above this one, each adding its methods to `Context`.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::error::{CancelError, Cause, Id, Reason};
use crate::node::{Facets, Kind, Plan};
use crate::protocol::NodeRef;

/// A handle to one context of the tree: it may ask, wait and derive, but not
/// cancel.
///
/// A context is handed down, by reference or by clone, to everything that works
/// on one task. Who may end the task holds the [`CancelHandle`] that came with
/// it. A cancel reaches every context derived from the cancelled one, and never
/// goes up or sideways.
///
/// Clones are handles to the same context: they are equal, hash alike and see
/// the same cancel. Dropping a `Context` never cancels. A context lives while a
/// handle to it is held or while it has descendants, which still hear the
/// cancels from above it.
///
/// # What a cancel guarantees
///
/// | seen from | promise |
/// |---|---|
/// | the thread that called `cancel`, once it returned | this context and all that was derived below it are done, also when another cancel came first |
/// | another thread, during the call | a context seen done by inheritance means the ancestor is done too; the ancestor may be done a moment before the descendant |
/// | anybody, later | reason, cause, origin and location never change again |
///
/// # Memory ordering
///
/// Seeing that a context is done, by any method, happens after the `cancel`
/// that did it began: what its caller wrote before is visible.
///
/// # Examples
///
/// ```
/// use ctxtree::Context;
///
/// let (server, stop) = Context::background().with_cancel();
/// let (request, _done) = server.with_cancel();
///
/// let worker = std::thread::spawn(move || request.wait());
/// stop.cancel_with("shutting down");
/// let error = worker.join().unwrap();
/// assert_eq!(error.to_string(), "context cancelled: shutting down");
/// ```
///
/// [`CancelHandle`]: crate::CancelHandle
#[derive(Clone, PartialEq, Eq, Hash)]
#[doc(alias = "CancellationToken")]
pub struct Context {
    node: NodeRef,
}

// A context has no state that a panic could leave half changed: whether it is
// done is one atomic word.
impl UnwindSafe for Context {}
impl RefUnwindSafe for Context {}

impl Context {
    /// The context that is never done: where every tree begins.
    ///
    /// It allocates nothing and may be kept in a `static`. Contexts derived
    /// from it are roots of trees of their own.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// static BACKGROUND: Context = Context::background();
    ///
    /// assert_eq!(BACKGROUND.to_string(), "background");
    /// assert_eq!(BACKGROUND, Context::background());
    /// assert!(!BACKGROUND.is_cancelable());
    /// ```
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    #[must_use]
    #[doc(alias = "Background")]
    pub const fn background() -> Context {
        Context {
            node: NodeRef::background(),
        }
    }

    /// As [`background`](Context::background), for places where it is not yet
    /// clear which context to pass.
    ///
    /// The two differ in `Display` and are not equal.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// assert_eq!(Context::todo().to_string(), "todo");
    /// assert_ne!(Context::todo(), Context::background());
    /// ```
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    #[must_use]
    #[doc(alias = "TODO")]
    pub const fn todo() -> Context {
        Context {
            node: NodeRef::todo(),
        }
    }

    /// The context that is never done. Not `const` in a model.
    #[cfg(any(crossbeam_loom, ctxtree_shuttle))]
    #[must_use]
    pub fn background() -> Context {
        Context {
            node: NodeRef::background(),
        }
    }

    /// As `background`, named differently. Not `const` in a model.
    #[cfg(any(crossbeam_loom, ctxtree_shuttle))]
    #[must_use]
    pub fn todo() -> Context {
        Context {
            node: NodeRef::todo(),
        }
    }

    /// Derives a context that no cancel from above reaches.
    ///
    /// It keeps values, names and clock, and drops cancel, deadline, reason and
    /// cause, whatever the parent does. It cannot be cancelled itself; what is derived from it starts
    /// clean and has handles of its own. It keeps its ancestors in memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (request, handle) = Context::background().with_cancel();
    /// let log = request.without_cancel();
    /// handle.cancel();
    /// assert!(request.is_cancelled());
    /// assert!(!log.is_cancelled());
    /// assert!(!log.is_cancelable());
    /// ```
    #[must_use]
    #[doc(alias = "WithoutCancel")]
    #[doc(alias = "shield")]
    pub fn without_cancel(&self) -> Context {
        Context {
            node: self.node.derive(Plan::of(Kind::Shield, Facets::SHIELDED)),
        }
    }

    /// Whether the context is done, for whatever reason.
    ///
    /// One atomic load: no lock, no walk to ancestors, no allocation, the same
    /// cost however large the tree and also while a cancel is under way. Once
    /// true it stays true.
    ///
    /// # Memory ordering
    ///
    /// Acquire: when this says true, everything the cancelling thread did
    /// before it called `cancel` is visible.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// assert!(!ctx.is_cancelled());
    /// handle.cancel();
    /// assert!(ctx.is_cancelled());
    /// ```
    #[must_use]
    #[inline]
    #[doc(alias = "is_canceled")]
    #[doc(alias = "Done")]
    pub fn is_cancelled(&self) -> bool {
        self.node.is_done()
    }

    /// Fails once the context is done: for `?` in loops.
    ///
    /// While the context is live this costs what
    /// [`is_cancelled`](Context::is_cancelled) costs.
    ///
    /// # Errors
    ///
    /// The [`CancelError`] of the cancel that ended the context.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{CancelError, Context};
    ///
    /// fn sum(ctx: &Context, numbers: &[u64]) -> Result<u64, CancelError> {
    ///     let mut sum = 0;
    ///     for n in numbers {
    ///         ctx.check()?;
    ///         sum += n;
    ///     }
    ///     Ok(sum)
    /// }
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// assert_eq!(sum(&ctx, &[1, 2]).unwrap(), 3);
    /// handle.cancel();
    /// assert!(sum(&ctx, &[1, 2]).is_err());
    /// ```
    #[inline]
    pub fn check(&self) -> Result<(), CancelError> {
        if self.is_cancelled() {
            Err(self.expect_error())
        } else {
            Ok(())
        }
    }

    /// The error of a done context; `None` while it is live.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// assert!(ctx.error().is_none());
    /// handle.cancel_with("enough");
    /// assert_eq!(ctx.error().unwrap().to_string(), "context cancelled: enough");
    /// ```
    #[must_use]
    #[doc(alias = "Err")]
    pub fn error(&self) -> Option<CancelError> {
        self.node.error()
    }

    /// Why the context is done, in one word; `None` while it is live.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, Reason};
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// assert_eq!(ctx.reason(), None);
    /// handle.cancel();
    /// assert_eq!(ctx.reason(), Some(Reason::Cancelled));
    /// ```
    #[must_use]
    #[doc(alias = "Err")]
    pub fn reason(&self) -> Option<Reason> {
        self.node.reason()
    }

    /// The cause that came with the cancel.
    ///
    /// `None` while the context is live, and for ever if the cancel that ended
    /// it came without one. A descendant tells the very same object.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (root, handle) = Context::background().with_cancel();
    /// let (leaf, _keep) = root.with_cancel();
    /// handle.cancel_with("disk full");
    /// assert_eq!(leaf.cause().unwrap().to_string(), "disk full");
    /// assert!(leaf.cause().unwrap().ptr_eq(&root.cause().unwrap()));
    /// ```
    #[must_use]
    #[doc(alias = "Cause")]
    pub fn cause(&self) -> Option<Cause> {
        self.node.cause()
    }

    /// Whether this context can ever be done.
    ///
    /// False for [`background`](Context::background), [`todo`](Context::todo)
    /// and what [`without_cancel`](Context::without_cancel) gives. Waiting on
    /// such a context never ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, _handle) = Context::background().with_cancel();
    /// assert!(ctx.is_cancelable());
    /// assert!(!ctx.without_cancel().is_cancelable());
    /// ```
    #[must_use]
    #[doc(alias = "is_cancellable")]
    pub fn is_cancelable(&self) -> bool {
        self.node.is_cancelable()
    }

    /// The identity of this context, for logs.
    ///
    /// Given out when first asked for.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// assert_eq!(ctx.id(), handle.context().id());
    /// ```
    #[must_use]
    pub fn id(&self) -> Id {
        self.node.id()
    }

    /// This context's own name, as given to the builder; not an ancestor's.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, _handle) = Context::background().derive().name("request").build();
    /// assert_eq!(ctx.name(), Some("request"));
    /// assert_eq!(ctx.with_cancel().0.name(), None);
    /// ```
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.node.name()
    }

    /// How many direct children are alive: not done, and held, or with
    /// something held below them.
    ///
    /// Children of every kind count, also shielded ones. Counting walks the
    /// children and stops nobody, so the number is exact only while nobody
    /// derives, cancels or drops. `background` and `todo` keep no children and
    /// always say 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (root, _handle) = Context::background().with_cancel();
    /// let (first, cancel_first) = root.with_cancel();
    /// let second = root.without_cancel();
    /// assert_eq!(root.live_children(), 2);
    /// cancel_first.cancel();
    /// assert_eq!(root.live_children(), 1);
    /// drop(second);
    /// assert_eq!(root.live_children(), 0);
    /// # drop(first);
    /// ```
    #[must_use]
    pub fn live_children(&self) -> usize {
        self.node.live_children()
    }

    /// Wraps a handle of the tree.
    pub(crate) fn from_node(node: NodeRef) -> Context {
        Context { node }
    }

    /// The handle of the tree, taken out.
    pub(crate) fn into_node(self) -> NodeRef {
        self.node
    }

    /// The handle of the tree.
    pub(crate) fn node(&self) -> &NodeRef {
        &self.node
    }

    /// The error of a context that was seen done.
    #[cold]
    pub(crate) fn expect_error(&self) -> CancelError {
        // Done never ends, and the write that made the context done published
        // the error with it.
        self.error().expect("a done context has an error")
    }
}

/// Prints identity, name and state. Never blocks, whatever the tree is doing.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_as("Context", self, f)
    }
}

/// Prints `context` under the name of the handle that holds it.
pub(crate) fn debug_as(what: &str, context: &Context, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut out = f.debug_struct(what);
    out.field("id", &format_args!("{}", context.id()));
    if let Some(name) = context.name() {
        out.field("name", &name);
    }
    match context.error() {
        None => out.field("state", &format_args!("live")),
        Some(error) => out.field("state", &format_args!("{error}")),
    };
    out.finish()
}

/// Prints the path from the root: `background` or `todo`, then one part a
/// context, its name if it has one.
///
/// # Examples
///
/// ```
/// use ctxtree::Context;
///
/// let (server, _stop) = Context::background().derive().name("server").build();
/// let (request, _done) = server.with_cancel();
/// assert_eq!(request.without_cancel().to_string(), "background.server.with_cancel.without_cancel");
/// ```
impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, label)) in self.node.path().into_iter().enumerate() {
            if place > 0 {
                f.write_str(".")?;
            }
            match name {
                Some(name) => f.write_str(name)?,
                None => write!(f, "{label}")?,
            }
        }
        Ok(())
    }
}
