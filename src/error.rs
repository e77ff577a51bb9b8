//! Why a context is done: reason, cause, where the cancel began.
//!
//! Plain data, no concurrency. A [`CancelError`] is put together from what the
//! tree published in one write, so its parts always belong to one cancel.

mod finished;

pub use finished::Finished;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::num::NonZeroU64;
use std::panic::Location;
use std::sync::Arc;

/// Why a context is done, in one word.
///
/// The word says which kind of event came first. What somebody gave as an
/// explanation is the [`Cause`].
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
/// assert_eq!(Reason::Cancelled.to_string(), "context cancelled");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// Somebody called `cancel`, on this context or above it.
    #[doc(alias = "Canceled")]
    Cancelled,
    /// A deadline passed, of this context or of one above it.
    DeadlineExceeded,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Cancelled => "context cancelled",
            Reason::DeadlineExceeded => "context deadline exceeded",
        })
    }
}

/// A shared error object that says why somebody cancelled.
///
/// Cloning copies a pointer and counts up. Every context that a cancel reached
/// hands out the very same object, see [`Cause::ptr_eq`].
///
/// A `Cause` is not itself an [`Error`], so that anything that is an error can
/// become one; [`Cause::as_error`] gives the object inside. Texts and boxed
/// errors convert with [`From`].
///
/// The object is dropped when the last context and the last clone that hold it
/// are gone, on the thread that lets go of the last one.
///
/// # Examples
///
/// ```
/// use ctxtree::{Cause, Context};
///
/// let (ctx, handle) = Context::background().with_cancel();
/// handle.cancel_with("client went away");
/// assert_eq!(ctx.cause().unwrap().to_string(), "client went away");
///
/// let cause = Cause::new(std::fmt::Error);
/// assert!(cause.downcast_ref::<std::fmt::Error>().is_some());
/// ```
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync + 'static>);

impl Cause {
    /// Makes a cause of an error.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Cause;
    ///
    /// let cause = Cause::new(std::io::Error::other("disk full"));
    /// assert_eq!(cause.to_string(), "disk full");
    /// ```
    #[must_use]
    pub fn new<E: Error + Send + Sync + 'static>(e: E) -> Cause {
        Cause(Arc::new(e))
    }

    /// The object inside, if it is an `E`.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Cause;
    /// use std::num::ParseIntError;
    ///
    /// let cause = Cause::new("x".parse::<u8>().unwrap_err());
    /// assert!(cause.downcast_ref::<ParseIntError>().is_some());
    /// assert!(cause.downcast_ref::<std::fmt::Error>().is_none());
    /// ```
    #[must_use]
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }

    /// The object inside.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Cause;
    /// use std::error::Error;
    ///
    /// let cause = Cause::new(std::fmt::Error);
    /// assert!(cause.as_error().source().is_none());
    /// ```
    #[must_use]
    pub fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }

    /// Whether both are the very same object, not merely equal in content.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Cause;
    ///
    /// let cause = Cause::from("stop");
    /// assert!(cause.ptr_eq(&cause.clone()));
    /// assert!(!cause.ptr_eq(&Cause::from("stop")));
    /// ```
    #[must_use]
    pub fn ptr_eq(&self, other: &Cause) -> bool {
        // The address alone: one object may be seen through two vtables.
        std::ptr::addr_eq(Arc::as_ptr(&self.0), Arc::as_ptr(&other.0))
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.0, f)
    }
}

impl From<&'static str> for Cause {
    fn from(text: &'static str) -> Cause {
        Cause::new(Message(Cow::Borrowed(text)))
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Cause {
        Cause::new(Message(Cow::Owned(text)))
    }
}

impl From<Box<dyn Error + Send + Sync + 'static>> for Cause {
    fn from(error: Box<dyn Error + Send + Sync + 'static>) -> Cause {
        Cause(Arc::from(error))
    }
}

impl From<Arc<dyn Error + Send + Sync + 'static>> for Cause {
    fn from(error: Arc<dyn Error + Send + Sync + 'static>) -> Cause {
        Cause(error)
    }
}

/// A cause that is only a text.
struct Message(Cow<'static, str>);

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Error for Message {}

/// What a done context answers: the reason, the cause if one was given, the
/// context at which the cancel began and the line that called it.
///
/// All four come from one cancel and never change once the context is done.
/// [`Error::source`] is the object inside the [`Cause`].
///
/// `Display` is the reason, then `: ` and the cause where there is one.
///
/// # Examples
///
/// ```
/// use ctxtree::Context;
///
/// fn work(ctx: &Context) -> Result<u32, ctxtree::CancelError> {
///     ctx.check()?;
///     Ok(1)
/// }
///
/// let (root, handle) = Context::background().with_cancel();
/// let (child, _keep) = root.with_cancel();
/// assert_eq!(work(&child).unwrap(), 1);
///
/// handle.cancel_with("shutting down");
/// let error = work(&child).unwrap_err();
/// assert_eq!(error.to_string(), "context cancelled: shutting down");
/// assert_eq!(error.origin(), root.id());
/// assert!(error.location().unwrap().file().ends_with(".rs"));
/// ```
#[derive(Clone)]
#[doc(alias = "Canceled")]
#[doc(alias = "CanceledError")]
pub struct CancelError {
    reason: Reason,
    cause: Option<Cause>,
    origin: Id,
    location: Option<&'static Location<'static>>,
}

impl CancelError {
    /// Puts an error together from the record of one cancel.
    pub(crate) fn new(
        reason: Reason,
        cause: Option<Cause>,
        origin: Id,
        location: Option<&'static Location<'static>>,
    ) -> CancelError {
        CancelError {
            reason,
            cause,
            origin,
            location,
        }
    }

    /// Which kind of event ended the context.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, Reason};
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// handle.cancel();
    /// assert_eq!(ctx.error().unwrap().reason(), Reason::Cancelled);
    /// ```
    #[must_use]
    #[doc(alias = "Err")]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Whether a deadline ended the context.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// handle.cancel();
    /// assert!(!ctx.error().unwrap().is_timeout());
    /// ```
    #[must_use]
    #[doc(alias = "Timeout")]
    pub fn is_timeout(&self) -> bool {
        self.reason == Reason::DeadlineExceeded
    }

    /// The cause that came with the cancel, if one was given.
    ///
    /// A cancel without a cause leaves `None` here for ever, whatever causes
    /// come later.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// handle.cancel();
    /// handle.cancel_with("too late");
    /// assert!(ctx.error().unwrap().cause().is_none());
    /// ```
    #[must_use]
    #[doc(alias = "Cause")]
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }

    /// The context at which the cancel began.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (root, handle) = Context::background().with_cancel();
    /// let (leaf, _keep) = root.with_cancel();
    /// handle.cancel();
    /// assert_eq!(leaf.error().unwrap().origin(), root.id());
    /// ```
    #[must_use]
    pub fn origin(&self) -> Id {
        self.origin
    }

    /// The line that called `cancel` or `cancel_with`.
    ///
    /// For a cancel by a [`DropGuard`](crate::DropGuard) it is the line that
    /// made the guard, for one by a failing thread of a
    /// [scope](crate::Context::scope) the line that started the thread. `None`
    /// where no line of code cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// let line = line!() + 1;
    /// handle.cancel();
    /// assert_eq!(ctx.error().unwrap().location().unwrap().line(), line);
    /// ```
    #[must_use]
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.location
    }
}

impl fmt::Debug for CancelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("CancelError");
        out.field("reason", &self.reason);
        if let Some(cause) = &self.cause {
            out.field("cause", cause);
        }
        out.field("origin", &self.origin);
        if let Some(location) = self.location {
            out.field("location", &format_args!("{location}"));
        }
        out.finish()
    }
}

impl fmt::Display for CancelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.reason, f)?;
        match &self.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl Error for CancelError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Some(cause) => Some(cause.as_error()),
            None => None,
        }
    }
}

/// A deadline becomes [`io::ErrorKind::TimedOut`], a cancel
/// [`io::ErrorKind::Other`].
///
/// Never `Interrupted`: the standard library retries that kind.
///
/// # Examples
///
/// ```
/// use ctxtree::{CancelError, Context};
/// use std::io;
///
/// fn read(ctx: &Context) -> io::Result<()> {
///     ctx.check()?;
///     Ok(())
/// }
///
/// let (ctx, handle) = Context::background().with_cancel();
/// assert!(read(&ctx).is_ok());
/// handle.cancel();
/// let error = read(&ctx).unwrap_err();
/// assert_eq!(error.kind(), io::ErrorKind::Other);
/// assert!(error.get_ref().unwrap().is::<CancelError>());
/// ```
impl From<CancelError> for io::Error {
    fn from(error: CancelError) -> io::Error {
        let kind = match error.reason {
            Reason::Cancelled => io::ErrorKind::Other,
            Reason::DeadlineExceeded => io::ErrorKind::TimedOut,
        };
        io::Error::new(kind, error)
    }
}

/// The identity of one context in this process, for logs.
///
/// Handles to one context tell the same id, and no two contexts of one process
/// ever share one. Ids are given out when first asked for, so their order says
/// nothing about age.
///
/// # Examples
///
/// ```
/// use ctxtree::Context;
///
/// let (ctx, _handle) = Context::background().with_cancel();
/// assert_eq!(ctx.id(), ctx.clone().id());
/// assert_ne!(ctx.id(), Context::background().id());
/// assert!(ctx.id().to_string().starts_with('#'));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(NonZeroU64);

impl Id {
    /// Wraps a number; whoever calls it keeps the numbers unique.
    pub(crate) fn new(n: NonZeroU64) -> Id {
        Id(n)
    }

    /// The number alone, for formats that want a plain word.
    pub(crate) fn number(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", self.0)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}
