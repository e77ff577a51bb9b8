//! Values that a context hands down: setting one, finding one.

use crate::context::Context;
use crate::values::Key;

impl Context {
    /// Derives a context with a value that is found by its type.
    ///
    /// The value is seen by the new context and by all that is derived from
    /// it, through contexts of every kind, until one further down sets another
    /// of the same type; what is above never sees it. Use a type of your own:
    /// any part of a program may set a `String`.
    ///
    /// The new context is cancelled with its parent, and by nobody else. Its
    /// value can be read before and after, and never changes. It is dropped
    /// when nobody holds a context any more that could see it, by the thread
    /// that gives up the last one. If several threads give up the last ones in
    /// the same moment, it is one of them. What goes while the thread is in the
    /// drop of another value or cause is dropped when that has returned, so
    /// chains of any length take constant stack.
    ///
    /// One allocation holds the context and the value.
    ///
    /// # Panics
    ///
    /// Does not panic. A panic in the drop of a value goes on from the drop of
    /// that last context, after everything else is dropped, unless the thread
    /// is unwinding already.
    ///
    /// # Memory ordering
    ///
    /// The drop of a value comes after everything that was done through
    /// contexts that could see it.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// #[derive(Debug, PartialEq)]
    /// struct RequestId(u64);
    ///
    /// let request = Context::background().with_value(RequestId(7));
    /// let (query, handle) = request.with_cancel();
    /// assert_eq!(query.value::<RequestId>(), Some(&RequestId(7)));
    ///
    /// let retry = query.with_value(RequestId(8));
    /// assert_eq!(retry.value::<RequestId>(), Some(&RequestId(8)));
    /// assert_eq!(query.value::<RequestId>(), Some(&RequestId(7)));
    ///
    /// handle.cancel();
    /// assert!(retry.is_cancelled());
    /// assert_eq!(retry.value::<RequestId>(), Some(&RequestId(8)));
    /// ```
    #[must_use]
    #[doc(alias = "WithValue")]
    pub fn with_value<T: Send + Sync + 'static>(&self, value: T) -> Context {
        Context::from_node(self.node().derive_value(None, value))
    }

    /// Derives a context with a value that is found by `key`.
    ///
    /// As [`with_value`](Context::with_value), for types that are used for
    /// more than one thing.
    ///
    /// # Panics
    ///
    /// As [`with_value`](Context::with_value).
    ///
    /// # Memory ordering
    ///
    /// As [`with_value`](Context::with_value).
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, Key};
    ///
    /// static TENANT: Key<String> = Key::new("tenant");
    ///
    /// let ctx = Context::background().with_key(&TENANT, "acme".to_owned());
    /// let log = ctx.without_cancel();
    /// assert_eq!(log.get(&TENANT).unwrap(), "acme");
    /// assert_eq!(ctx.to_string(), "background.with_key(tenant)");
    /// ```
    #[must_use]
    #[doc(alias = "WithValue")]
    pub fn with_key<T: Send + Sync + 'static>(&self, key: &'static Key<T>, value: T) -> Context {
        Context::from_node(self.node().derive_value(Some(key), value))
    }

    /// The nearest value of this type, set here or above by
    /// [`with_value`](Context::with_value).
    ///
    /// What it takes does not grow with the depth of the tree, and hardly with
    /// the number of values: contexts without values cost nothing, and where a
    /// lookup has passed several with values, it leaves an index behind for
    /// those that follow. It waits for nobody, also while the context is
    /// cancelled.
    ///
    /// # Memory ordering
    ///
    /// What the setter did before it set the value is visible.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// struct User(&'static str);
    ///
    /// let ctx = Context::background().with_value(User("ada"));
    /// assert_eq!(ctx.value::<User>().unwrap().0, "ada");
    /// assert!(ctx.value::<u64>().is_none());
    /// assert!(Context::background().value::<User>().is_none());
    /// ```
    #[must_use]
    #[inline]
    #[doc(alias = "Value")]
    pub fn value<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.node().value(None)
    }

    /// The nearest value under this key, set here or above by
    /// [`with_key`](Context::with_key).
    ///
    /// Costs as [`value`](Context::value).
    ///
    /// # Memory ordering
    ///
    /// As [`value`](Context::value).
    ///
    /// # Examples
    ///
    /// A key of an `Option` can be unset further down:
    ///
    /// ```
    /// use ctxtree::{Context, Key};
    ///
    /// static USER: Key<Option<&str>> = Key::new("user");
    ///
    /// let ctx = Context::background().with_key(&USER, Some("ada"));
    /// let anonymous = ctx.with_key(&USER, None);
    /// assert_eq!(ctx.get(&USER), Some(&Some("ada")));
    /// assert_eq!(anonymous.get(&USER), Some(&None));
    /// assert_eq!(Context::background().get(&USER), None);
    /// ```
    #[must_use]
    #[inline]
    #[doc(alias = "Value")]
    pub fn get<T: Send + Sync + 'static>(&self, key: &'static Key<T>) -> Option<&T> {
        self.node().value(Some(key))
    }
}
