//! What is read often and replaced rarely.

use arc_swap::ArcSwapOption;
use std::sync::Arc;

/// See [`arc_swap::ArcSwapOption`].
pub(crate) struct Swap<T>(ArcSwapOption<T>);

impl<T> Swap<T> {
    pub(crate) const fn new() -> Self {
        Self(ArcSwapOption::const_empty())
    }

    pub(crate) fn load(&self) -> Option<Arc<T>> {
        self.0.load_full()
    }

    pub(crate) fn store(&self, value: Option<Arc<T>>) {
        self.0.store(value);
    }

    /// What is there, read through a thread's own copy of it: nothing that
    /// threads share is written.
    pub(crate) fn cached<'c>(&'static self, cache: &'c mut Cached<T>) -> &'c Option<Arc<T>> {
        cache
            .0
            .get_or_insert_with(|| arc_swap::Cache::new(&self.0))
            .load()
    }
}

/// A thread's own copy.
pub(crate) struct Cached<T: 'static>(
    Option<arc_swap::Cache<&'static ArcSwapOption<T>, Option<Arc<T>>>>,
);

impl<T> Cached<T> {
    pub(crate) const fn new() -> Self {
        Self(None)
    }
}
