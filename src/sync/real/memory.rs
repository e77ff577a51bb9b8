//! Heap memory.

pub(crate) use super::stash::{Kept, Stash};

use std::alloc::{Layout, handle_alloc_error};
use std::ptr::NonNull;

#[cfg(feature = "internal-model")]
pub(super) static LIVE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// Room for a `T`, aligned so that the low four bits of its address are free.
/// The size is not rounded up to the alignment: the last bytes decide whether
/// a node fits the allocator's size class.
const fn layout<T>() -> Layout {
    const { assert!(size_of::<T>() != 0) };
    let align = if align_of::<T>() > 16 {
        align_of::<T>()
    } else {
        16
    };
    match Layout::from_size_align(size_of::<T>(), align) {
        Ok(layout) => layout,
        Err(_) => unreachable!(),
    }
}

/// Moves `value` to the heap, at a multiple of 16 at least.
#[inline(always)]
pub(crate) fn alloc<T>(value: T) -> NonNull<T> {
    #[cfg(feature = "internal-model")]
    // Relaxed: a statistic.
    LIVE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    // SAFETY: the size is not zero.
    let at = unsafe { std::alloc::alloc(layout::<T>()) };
    let Some(at) = NonNull::new(at.cast::<T>()) else {
        handle_alloc_error(layout::<T>());
    };
    // SAFETY: fresh memory of this layout.
    unsafe { at.write(value) };
    at
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
    // Goes also if the value's drop panics.
    let _memory = Memory(at);
    // SAFETY: the caller gives the value up.
    unsafe { at.drop_in_place() };
}

/// Memory from [`alloc`] whose value is gone.
struct Memory<T>(NonNull<T>);

impl<T> Drop for Memory<T> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: ours, as whoever made this gave it up.
        unsafe { give_back(self.0) };
    }
}

/// Gives memory without a value back to the allocator.
///
/// # Safety
///
/// `at` came from [`alloc`], and nobody uses it any more.
#[inline(always)]
pub(super) unsafe fn give_back<T>(at: NonNull<T>) {
    // SAFETY: `alloc` made it with this layout.
    unsafe { std::alloc::dealloc(at.as_ptr().cast(), layout::<T>()) };
}

/// As [`alloc`], in a block that this thread has kept, if it has one.
#[inline(always)]
pub(crate) fn alloc_kept<T: Kept>(value: T) -> NonNull<T> {
    let kept = T::stash().try_with(Stash::pop);
    let Ok(Some(at)) = kept else {
        return alloc(value);
    };
    #[cfg(feature = "internal-model")]
    // Relaxed: a statistic.
    LIVE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    // SAFETY: memory for a `T`, which nobody uses.
    unsafe { at.write(value) };
    at
}

/// As [`free`], but keeps the block, if this thread has room.
///
/// # Safety
///
/// As [`free`]; also for what [`alloc_kept`] made.
#[inline(always)]
pub(crate) unsafe fn free_kept<T: Kept>(at: NonNull<T>) {
    #[cfg(feature = "internal-model")]
    // Relaxed: a statistic.
    LIVE.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    let memory = Memory(at);
    // SAFETY: the caller gives the value up.
    unsafe { at.drop_in_place() };
    let kept = T::stash().try_with(|stash| {
        // SAFETY: and the memory, which is for a `T`.
        unsafe { stash.push(at) }
    });
    // A thread past its thread-locals keeps nothing.
    if kept == Ok(true) {
        std::mem::forget(memory);
    }
}

/// Frees the memory and gives the value back.
///
/// # Safety
///
/// As [`free`].
pub(crate) unsafe fn take<T>(at: NonNull<T>) -> T {
    // SAFETY: the caller gives it up.
    let value = unsafe { at.read() };
    // SAFETY: the same memory, whose value is gone.
    unsafe { free(at.cast::<std::mem::MaybeUninit<T>>()) };
    value
}

/// What lies at `at`.
///
/// # Safety
///
/// It is valid for `'a`, and [`alloc`] made it.
#[inline(always)]
pub(crate) unsafe fn look<'a, T>(at: NonNull<T>) -> &'a T {
    // SAFETY: by the caller.
    unsafe { at.as_ref() }
}
