//! [`Key`]: the name of a value that its type alone does not tell.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Once;

/// A typed, named key for values of a context.
///
/// Two keys are the same if they are the same object, whatever they are called:
/// keep each in a `static`. Values of one type under different keys do not
/// meet, nor do they meet the value that
/// [`with_value`](crate::Context::with_value) set by type.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, Key};
///
/// static TENANT: Key<String> = Key::new("tenant");
/// static REGION: Key<String> = Key::new("region");
///
/// let ctx = Context::background().with_key(&TENANT, "acme".to_owned());
/// assert_eq!(ctx.get(&TENANT).unwrap(), "acme");
/// assert!(ctx.get(&REGION).is_none());
/// assert_eq!(TENANT.name(), "tenant");
/// ```
///
/// A `const` is not an object, and would be a new key wherever it is written;
/// so it cannot be used as one:
///
/// ```compile_fail,E0716
/// use ctxtree::{Context, Key};
///
/// const TENANT: Key<String> = Key::new("tenant");
///
/// let ctx = Context::background().with_key(&TENANT, "acme".to_owned());
/// ```
pub struct Key<T> {
    name: &'static str,
    /// Never used. The compiler may merge equal constants, and it makes a
    /// `&'static` out of `&CONST` by itself; both only where the type has no
    /// interior mutability, and two keys must never become one.
    _object: Once,
    _type: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// A key of its own. The name is for `Display`, `Debug` and reports, and
    /// need not be unique.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Key;
    ///
    /// static USER: Key<u64> = Key::new("user");
    /// assert_eq!(USER.name(), "user");
    /// ```
    #[must_use]
    pub const fn new(name: &'static str) -> Key<T> {
        Key {
            name,
            _object: Once::new(),
            _type: PhantomData,
        }
    }

    /// The name it was made with.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Key;
    ///
    /// static USER: Key<u64> = Key::new("user");
    /// assert_eq!(format!("{}: 7", USER.name()), "user: 7");
    /// ```
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.name).finish()
    }
}
