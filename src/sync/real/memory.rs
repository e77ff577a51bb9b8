//! Heap memory.

use std::ptr::NonNull;

#[cfg(feature = "internal-model")]
pub(super) static LIVE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// Moves `value` to the heap.
#[inline(always)]
pub(crate) fn alloc<T>(value: T) -> NonNull<T> {
    #[cfg(feature = "internal-model")]
    // Relaxed: a statistic.
    LIVE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    // `Box::leak` rather than `into_raw`, for the `NonNull` without a check.
    NonNull::from(Box::leak(Box::new(value)))
}

/// Drops the value and frees its memory.
///
/// # Safety
///
/// `at` came from [`alloc`], and nobody uses it any more.
#[inline(always)]
pub(crate) unsafe fn free<T>(at: NonNull<T>) {
    #[cfg(feature = "internal-model")]
    // Relaxed: a statistic.
    LIVE.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    // SAFETY: the caller gives up what `alloc` leaked.
    drop(unsafe { Box::from_raw(at.as_ptr()) });
}
