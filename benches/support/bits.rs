//! Small parts that several benches share: wakers, a generator, one poll, the
//! floor of a derive.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as Task, Wake, Waker};

/// A waker like an executor's: a counted pointer, so that a clone and its drop
/// cost a read-modify-write each. Counts the wakes.
#[derive(Default)]
pub(crate) struct CountWakes(AtomicUsize);

impl CountWakes {
    pub(crate) fn wakes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The two wakers that waits are measured with, and what to call them: one that
/// is free to clone, which leaves only the library's own work, and one like an
/// executor's.
pub(crate) fn wakers() -> [(&'static str, Waker); 2] {
    [
        ("free waker", Waker::noop().clone()),
        (
            "counted waker",
            Waker::from(Arc::new(CountWakes::default())),
        ),
    ]
}

/// Polls once. What it answers is kept from the optimizer.
pub(crate) fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>, waker: &Waker) -> bool {
    let pending = future.poll(&mut Task::from_waker(waker)).is_pending();
    black_box(pending)
}

/// Random enough to defeat the prefetcher, and far cheaper than what is timed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Random {
        Random(0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The high bits, scaled: no division.
        ((u128::from(self.0) * limit as u128) >> 64) as usize
    }
}

/// What a derive cannot do without: memory for the node, and one
/// read-modify-write each for coming and going. The words are nobody else's.
#[derive(Default)]
pub(crate) struct Floor {
    come: AtomicUsize,
    go: AtomicUsize,
}

impl Floor {
    pub(crate) const NAME: &'static str = "malloc + free + 2 RMW";
    const NODE: Layout = match Layout::from_size_align(128, 16) {
        Ok(layout) => layout,
        Err(_) => panic!("128 bytes at 16 is a layout"),
    };

    pub(crate) fn turn(&self) {
        // SAFETY: `NODE` is not of size zero.
        let node = black_box(unsafe { alloc(Self::NODE) });
        if node.is_null() {
            handle_alloc_error(Self::NODE);
        }
        self.come.fetch_add(1, Ordering::AcqRel);
        self.go.fetch_add(1, Ordering::AcqRel);
        // SAFETY: `node` came from `alloc` with this layout just above, and
        // nothing else has it.
        unsafe { dealloc(node, Self::NODE) };
    }
}
