//! [`Context::link`]: several parents.

use crate::context::Context;
use crate::handle::{CancelHandle, pair};
use crate::node::{Facets, Kind, Plan};

impl Context {
    /// Derives a child that is also done when any of `others` is.
    ///
    /// Whoever of its parents is done first decides: the child reports that
    /// one's reason, cause, origin and location. Cancelling the child reaches
    /// none of them. It takes no values and no names from `others`, only from
    /// this context.
    ///
    /// Contexts that are named twice, or are this one (unless the child is
    /// [shielded](crate::Derive::shield) from it), count once. The child
    /// keeps the others alive, so that cancels from above them reach it, until
    /// it is done or dropped; then it is detached from all of them. When one of
    /// them is done already, the child is born done.
    ///
    /// When a `cancel` on one of its parents returns, the child and all below it
    /// are done too.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (server, _stop) = Context::background().with_cancel();
    /// let (request, client_gone) = Context::background().with_cancel();
    /// let (both, _handle) = server.link([&request]);
    ///
    /// client_gone.cancel_with("client went away");
    /// assert_eq!(both.cause().unwrap().to_string(), "client went away");
    /// assert_eq!(both.error().unwrap().origin(), request.id());
    /// assert!(!server.is_cancelled());
    /// ```
    #[doc(alias = "merge")]
    #[doc(alias = "CreateLinkedTokenSource")]
    #[doc(alias = "any")]
    pub fn link<'a>(
        &self,
        others: impl IntoIterator<Item = &'a Context>,
    ) -> (Context, CancelHandle) {
        let others = others.into_iter().map(Context::node);
        let plan = Plan::of(Kind::Link, Facets::CANCELABLE);
        pair(self.node().derive_linked(plan, None, others))
    }
}
