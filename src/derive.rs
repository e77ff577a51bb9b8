//! [`Derive`]: several facets, one node.

use std::borrow::Cow;
use std::fmt;

use crate::context::Context;
use crate::handle::{CancelHandle, pair};
use crate::node::{Facets, Kind};

/// Builds a child with several facets as one context.
///
/// Made by [`Context::derive`]. Nothing is derived before
/// [`build`](Derive::build).
///
/// # Examples
///
/// ```
/// use ctxtree::Context;
///
/// let (server, stop) = Context::background().derive().name("server").build();
/// assert_eq!(server.name(), Some("server"));
/// assert_eq!(server.to_string(), "background.server");
/// assert!(stop.cancel());
/// ```
#[must_use = "nothing is derived before `build`"]
pub struct Derive<'a> {
    parent: &'a Context,
    name: Option<Cow<'static, str>>,
    facets: Facets,
}

impl Derive<'_> {
    /// Names the context, for `Display`, `Debug` and reports.
    ///
    /// A second call replaces the name. Names need not be unique.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let number = 7;
    /// let (job, _handle) = Context::todo().derive().name(format!("job-{number}")).build();
    /// assert_eq!(job.to_string(), "todo.job-7");
    /// ```
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Keeps cancels from above out: as
    /// [`without_cancel`](Context::without_cancel), with a handle of its own.
    ///
    /// Names and values go through; cancel, reason and cause do not, whatever
    /// the parent does. What is derived from the new context starts clean.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (request, handle) = Context::background().with_cancel();
    /// let (flush, stop_flush) = request.derive().name("flush").shield().build();
    /// handle.cancel();
    /// assert!(!flush.is_cancelled());
    /// stop_flush.cancel();
    /// assert!(flush.is_cancelled());
    /// ```
    #[doc(alias = "without_cancel")]
    pub fn shield(mut self) -> Self {
        self.facets = self.facets.and(Facets::SHIELDED);
        self
    }

    /// Derives the context, with the right to cancel it.
    ///
    /// As [`Context::with_cancel`] otherwise.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, handle) = Context::background().derive().build();
    /// assert_eq!(ctx.to_string(), "background.derive");
    /// assert!(handle.cancel());
    /// ```
    pub fn build(self) -> (Context, CancelHandle) {
        pair(
            self.parent
                .node()
                .derive_pair(Kind::Derived, self.facets, self.name),
        )
    }
}

impl fmt::Debug for Derive<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Derive");
        out.field("parent", &format_args!("{}", self.parent.id()));
        if let Some(name) = &self.name {
            out.field("name", name);
        }
        out.finish()
    }
}

impl Context {
    /// Starts a builder for a child with several facets.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (root, handle) = Context::background().with_cancel();
    /// let (ctx, _keep) = root.derive().name("worker").build();
    /// handle.cancel();
    /// assert!(ctx.is_cancelled());
    /// ```
    pub fn derive(&self) -> Derive<'_> {
        Derive {
            parent: self,
            name: None,
            facets: Facets::CANCELABLE,
        }
    }
}
