//! What the heap of this process holds.
//!
//! The allocator counts, and writes over what is freed, so that a use after the
//! free meets nonsense instead of what was there before.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};

/// What may stay behind, whatever came before: batches that are not full yet, the
/// bags of the collector, lanes, blocks that threads keep.
pub(crate) const SLACK: isize = 256 << 10;

static LIVE: AtomicIsize = AtomicIsize::new(0);

/// The global allocator.
pub(crate) struct Counting;

// SAFETY: every call goes to `System` as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as isize, Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Relaxed);
        // SAFETY: allocated with this layout, and nobody uses it any more.
        unsafe { at.write_bytes(0xDB, layout.size().min(256)) };
        // Else the compiler leaves out what nobody may read.
        let at = std::hint::black_box(at);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Bytes that are allocated now.
pub(crate) fn live() -> isize {
    LIVE.load(Relaxed)
}
