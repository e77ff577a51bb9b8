//! Deriving a node with values, and looking one up.

use super::{NodeRef, attach};
use crate::node::{Kind, Node};
use crate::values::{Id, Key, Values};

impl NodeRef {
    /// A node below this one with one value, and with one handle. It may be
    /// done if this one may.
    pub(crate) fn derive_value<T: Send + Sync + 'static>(
        &self,
        key: Option<&'static Key<T>>,
        value: T,
    ) -> NodeRef {
        let kind = match key {
            None => Kind::Value,
            Some(_) => Kind::Key,
        };
        let facets = self.node().facets.inherited();
        let node = Node::alloc_with(self.0, kind, facets, key, value);
        // SAFETY: new, made for this parent, to which we have a handle.
        unsafe { attach::attach(self.node(), node) };
        NodeRef(node)
    }

    /// The nearest value under this key, or of this type.
    #[inline]
    pub(crate) fn value<T: Send + Sync + 'static>(
        &self,
        key: Option<&'static Key<T>>,
    ) -> Option<&T> {
        // SAFETY: our handle keeps the sets (E1).
        let at = unsafe { Values::find(self.node().nearest_values(), Id::of(key)) };
        // SAFETY: null, or a `T` (E2), which our handle keeps (E1).
        unsafe { at.cast::<T>().as_ref() }
    }
}
