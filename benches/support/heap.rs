//! What the heap holds: an allocator that counts, and answers that are right or
//! wrong rather than fast or slow.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What may stay behind, whatever the number of operations: a batch that is not
/// full yet, a collector's bags, the lanes of a contended parent.
pub(crate) const SLACK: usize = 64 << 10;

/// The same where every context goes to the collector: some 450 of them, with
/// what they have, can be on their way.
pub(crate) const COLLECTED: usize = 256 << 10;

thread_local! {
    // Without a destructor, so it may be used at any time of a thread's life.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

static LIVE: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);
static WIDEST: AtomicUsize = AtomicUsize::new(0);

/// The global allocator of the benches that count.
pub(crate) struct Counting;

// SAFETY: every call goes to `System` as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        WIDEST.fetch_max(layout.align(), Ordering::Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Allocations of this thread so far. The timers' thread allocates when it
/// starts and when it runs, which may be at any time.
pub(crate) fn count() -> usize {
    COUNT.with(Cell::get)
}

/// Bytes that are allocated now.
pub(crate) fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// The largest size and alignment that was asked for since the last call.
pub(crate) fn largest() -> (usize, usize) {
    let (size, align) = (&LARGEST, &WIDEST);
    (
        size.swap(0, Ordering::Relaxed),
        align.swap(0, Ordering::Relaxed),
    )
}

/// Prints one line an answer, and remembers whether any was wrong.
#[derive(Default)]
pub(crate) struct Answers {
    wrong: usize,
}

impl Answers {
    pub(crate) fn check(&mut self, right: bool, question: &str, answer: fmt::Arguments<'_>) {
        let word = if right { "ok  " } else { "FAIL" };
        println!("{word} {question}: {answer}");
        self.wrong += usize::from(!right);
    }

    pub(crate) fn flat(&mut self, question: &str, before: usize, after: usize) {
        self.flat_within(SLACK, question, before, after);
    }

    pub(crate) fn flat_within(
        &mut self,
        slack: usize,
        question: &str,
        before: usize,
        after: usize,
    ) {
        let grown = after.saturating_sub(before);
        self.check(
            grown <= slack,
            question,
            format_args!("{before} bytes live before, {after} after; {slack} more are allowed"),
        );
    }

    /// A wrong count fails the run, where a slow time never does.
    pub(crate) fn finish(self) {
        if self.wrong > 0 {
            println!("{} wrong", self.wrong);
            std::process::exit(1);
        }
    }
}
