//! How often the allocator is asked, counted on the thread that asks. In processes
//! of their own: a thread that pins may free what those of other tests have left to
//! the collector, which allocates bags for what it then leaves to itself.

use super::tools::{HOUR, alone, ms, on_clock, peek, poll};
use crate::{BoxTask, Context, Key, Refused, TaskGroup};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::task::Waker;

#[global_allocator]
static HEAP: Counting = Counting;

thread_local! {
    // Without a destructor, so it may be used at any time of a thread's life.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to `System` as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

/// How many allocations `f` makes at most, whenever it is called: as often as
/// Go's own test calls it, after a first call that may set up the thread.
fn allocations<T>(f: impl Fn() -> T) -> usize {
    drop(f());
    let count = || COUNT.with(Cell::get);
    let once = |_| {
        let before = count();
        let made = f();
        let counted = count() - before;
        drop(made);
        counted
    };
    (0..100).map(once).max().unwrap()
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| ()), 0);
    assert_eq!(allocations(|| Box::new(1)), 1);
    assert_eq!(allocations(|| (Box::new(1), vec![1])), 2);
}

// G140: a root costs nothing, nor does asking it or waiting on it.
#[test]
fn the_roots_are_not_allocated() {
    alone("tests::allocations::the_roots_are_not_allocated", || {
        assert_eq!(allocations(Context::background), 0);
        assert_eq!(allocations(Context::todo), 0);
        assert_eq!(
            allocations(|| {
                let ctx = Context::background().clone();
                assert!(ctx.check().is_ok() && peek(&mut ctx.cancelled()).is_pending());
            }),
            0
        );
    });
}

// G143: derive, cancel, done: one allocation, be the parent a root or not; none
// where the thread has kept a block that was freed.
#[test]
fn derive_and_cancel_is_one_allocation() {
    alone(
        "tests::allocations::derive_and_cancel_is_one_allocation",
        || {
            let (top, _keep) = Context::background().with_cancel();
            for parent in [Context::background(), top] {
                let one = || {
                    let (ctx, handle) = parent.with_cancel();
                    assert!(handle.cancel());
                    assert!(ctx.is_cancelled() && peek(&mut ctx.cancelled()).is_ready());
                    ctx
                };
                assert!(allocations(one) <= 1);
                // Those that stay use up the blocks.
                let held = RefCell::new(Vec::with_capacity(1_000));
                assert_eq!(allocations(|| held.borrow_mut().push(one())), 1);
            }
        },
    );
}

// V2, G36: asking allocates nothing, done or not; nor does making a wait, and
// polling it registers with one allocation.
#[test]
fn asking_allocates_nothing() {
    alone("tests::allocations::asking_allocates_nothing", || {
        let (ctx, handle) = Context::background().with_cancel();
        let ask = || {
            let live = ctx.is_cancelled() || ctx.check().is_err();
            (live, ctx.reason(), ctx.is_cancelable(), ctx.live_children())
        };
        assert_eq!(allocations(ask), 0);
        assert_eq!(allocations(|| drop(ctx.cancelled())), 0);
        let count = allocations(|| drop(poll(&mut ctx.cancelled(), Waker::noop())));
        assert!(count <= 1, "{count}");
        handle.cancel_with("why");
        assert_eq!(allocations(ask), 0);
        assert_eq!(allocations(|| ctx.cause()), 0);
    });
}

// G141: a value and its lookup: one allocation, be the parent a root or not.
#[test]
fn a_value_and_its_lookup_is_one_allocation() {
    alone(
        "tests::allocations::a_value_and_its_lookup_is_one_allocation",
        || {
            static KEY: Key<u64> = Key::new("key");
            let (top, _keep) = Context::background().with_cancel();
            for parent in [Context::background(), top] {
                let typed = allocations(|| {
                    let ctx = parent.with_value(7_u64);
                    assert_eq!(ctx.value::<u64>(), Some(&7));
                    assert!(ctx.value::<u32>().is_none() && ctx.get(&KEY).is_none());
                });
                let keyed = allocations(|| {
                    let ctx = parent.with_key(&KEY, 7);
                    assert_eq!(ctx.get(&KEY), Some(&7));
                });
                assert_eq!((typed, keyed), (1, 1));
            }
        },
    );
}

// G142, G144: a timeout is the node and at most one more, over from the start,
// cancelled or neither, with others armed or not.
#[test]
fn a_timeout_is_at_most_one_allocation_beside_its_node() {
    alone(
        "tests::allocations::a_timeout_is_at_most_one_allocation_beside_its_node",
        || {
            // A thread that wakes the timer thread is set up for that, some time.
            fn settled<T>(f: impl Fn() -> T) -> usize {
                (0..3).map(|_| allocations(&f)).min().unwrap()
            }
            let (clock, on_clock) = on_clock();
            let (below, _keep) = on_clock.with_timeout(2 * HOUR);
            let mut others = Vec::new();
            for _ in 0..2 {
                for parent in [&Context::background(), &on_clock, &below] {
                    let counts = [
                        settled(|| parent.with_timeout(HOUR)),
                        settled(|| parent.with_timeout(ms(0))),
                        settled(|| {
                            let (ctx, handle) = parent.with_timeout(HOUR);
                            assert!(handle.cancel());
                            assert!(ctx.is_cancelled() && peek(&mut ctx.cancelled()).is_ready());
                        }),
                        // One that arms nothing.
                        settled(|| below.with_timeout(3 * HOUR)),
                    ];
                    assert!(
                        counts.iter().all(|&count| count <= 2),
                        "{parent}: {counts:?}"
                    );
                }
                others.extend((0..1_000).map(|_| on_clock.with_timeout(HOUR)));
            }
            assert_eq!(clock.outstanding(), 1 + others.len());
        },
    );
}

// V22: a task that is spawned and ends is its future's box and its context, with a
// name that is static or without; to look at a group costs nothing.
#[test]
fn a_task_is_its_future_and_its_context() {
    alone(
        "tests::allocations::a_task_is_its_future_and_its_context",
        || {
            let spawner = |mut task: BoxTask| -> Result<(), Refused> {
                assert!(peek(&mut task).is_ready());
                Ok(())
            };
            let group: TaskGroup<std::fmt::Error> =
                TaskGroup::with_spawner(&Context::background(), spawner);
            let counts = [
                allocations(|| group.try_spawn(async { Ok(()) }).unwrap()),
                allocations(|| group.spawn_background(async { Ok(()) }).unwrap()),
                allocations(|| group.task("named").try_spawn(async { Ok(()) }).unwrap()),
                allocations(|| peek(&mut std::pin::pin!(group.spawn(async { Ok(()) }))).is_ready()),
            ];
            assert!(counts.iter().all(|&count| count <= 2), "{counts:?}");
            assert_eq!(allocations(|| (group.len(), group.is_closed())), 0);
            assert_eq!(allocations(|| drop(group.handle())), 0);
        },
    );
}

// V22: a context with nothing below is idle for nothing.
#[test]
fn idle_at_once_allocates_nothing() {
    alone("tests::allocations::idle_at_once_allocates_nothing", || {
        let (ctx, _keep) = Context::background().with_cancel();
        assert_eq!(allocations(|| peek(&mut ctx.idle()).is_ready()), 0);
        drop(ctx.with_cancel());
        let (leaf, _) = ctx.with_cancel();
        assert_eq!(allocations(|| peek(&mut leaf.idle()).is_ready()), 0);
        let waits = allocations(|| peek(&mut ctx.idle()).is_pending());
        assert!(waits <= 1, "{waits}");
    });
}

// G16: a token of a context is its callback's and the token's; a context of a token
// is the context, what ties it to the token, and the wait on it.
#[cfg(feature = "tokio")]
#[test]
fn a_bridge_is_a_few_allocations() {
    alone("tests::allocations::a_bridge_is_a_few_allocations", || {
        let (ctx, _keep) = Context::background().with_cancel();
        let token = tokio_util::sync::CancellationToken::new();
        let counts = [
            allocations(|| ctx.cancellation_token()),
            allocations(|| ctx.from_source(token.clone())),
        ];
        assert!(counts[0] <= 2, "{counts:?}");
        assert!(counts[1] <= 11, "{counts:?}");
    });
}
