//! Deadlines: fired, moved and given up at once.

use crate::tools::{Wakes, poll, race, race3, wait};
use ctxtree::time::ManualClock;
use ctxtree::{CancelHandle, Context, Reason};
use std::time::Duration;

const fn ns(count: u64) -> Duration {
    Duration::from_nanos(count)
}

/// A clock, and a root on it.
fn clock() -> (ManualClock, Context) {
    let clock = ManualClock::new();
    let root = Context::background().with_clock(&clock);
    (clock, root)
}

fn expired(ctx: &Context) -> bool {
    ctx.reason() == Some(Reason::DeadlineExceeded)
}

pub(super) fn deadline_vs_cancel() {
    let (clock, root) = clock();
    let (ctx, handle) = root.with_timeout_cause(ns(5), "late");
    let hand = clock.clone();
    let ((), won) = race(
        move || hand.advance(ns(5)),
        move || handle.cancel_with("stop"),
    );
    let error = ctx.error().expect("one of the two ended it");
    let cause = error.cause().expect("both give a cause").to_string();
    let said = (error.reason(), cause.as_str());
    let expected = match won {
        true => (Reason::Cancelled, "stop"),
        false => (Reason::DeadlineExceeded, "late"),
    };
    assert_eq!(said, expected);
    assert_eq!(clock.outstanding(), 0);
}

pub(super) fn deadline_vs_cancel_of_the_parent() {
    let (clock, root) = clock();
    let (parent, handle) = root.with_cancel();
    let (ctx, _keep) = parent.with_timeout(ns(5));
    let hand = clock.clone();
    let (seen, _) = race(
        move || {
            hand.advance(ns(5));
            ctx.reason()
        },
        move || handle.cancel(),
    );
    assert!(seen.is_some(), "it was due, or done before");
    assert_eq!(clock.outstanding(), 0);
}

pub(super) fn deadline_vs_cancel_above_a_child() {
    let (clock, root) = clock();
    let (ctx, handle) = root.with_timeout(ns(5));
    let (child, _keep) = ctx.with_cancel();
    race(
        move || clock.advance(ns(5)),
        move || {
            handle.cancel();
            assert!(child.reason().is_some(), "returned means marked");
        },
    );
}

pub(super) fn deadline_vs_poll() {
    let (clock, root) = clock();
    let (ctx, _handle) = root.with_timeout_cause(ns(5), "late");
    race(
        move || clock.advance(ns(5)),
        move || {
            if let Some(error) = ctx.error() {
                assert!(error.is_timeout());
                let cause = error.cause().expect("with a cause");
                assert_eq!(cause.to_string(), "late");
            }
        },
    );
}

pub(super) fn deadline_in_the_wheel_vs_cancel() {
    let (clock, root) = clock();
    let (ctx, handle) = root.with_timeout(ns(5));
    assert_eq!(clock.outstanding(), 1, "it is in the wheel now");
    let hand = clock.clone();
    race(
        move || {
            hand.advance(ns(5));
            assert!(ctx.reason().is_some(), "it was due, or done before");
        },
        move || handle.cancel(),
    );
    assert_eq!(clock.outstanding(), 0);
}

pub(super) fn deadline_vs_drop() {
    let (clock, root) = clock();
    let pair = root.with_timeout(ns(5));
    let hand = clock.clone();
    race(move || hand.advance(ns(5)), move || drop(pair));
    assert_eq!(clock.outstanding(), 0);
    assert_eq!(root.live_children(), 0);
}

pub(super) fn deadline_with_cause_vs_drop() {
    let (clock, root) = clock();
    let pair = root.with_timeout_cause(ns(5), "late");
    let hand = clock.clone();
    race(move || hand.advance(ns(5)), move || drop(pair));
    assert_eq!(clock.outstanding(), 0);
}

pub(super) fn deadline_vs_last_child() {
    let (clock, root) = clock();
    let (ctx, handle) = root.with_timeout(ns(5));
    let (child, _) = ctx.with_cancel();
    drop((ctx, handle));
    let hand = clock.clone();
    race(move || hand.advance(ns(5)), move || drop(child));
    assert_eq!(clock.outstanding(), 0);
}

pub(super) fn deadline_reaches_the_child_of_a_dropped_context() {
    let (clock, root) = clock();
    let (ctx, handle) = root.with_timeout(ns(5));
    let (child, _keep) = ctx.with_cancel();
    let hand = clock.clone();
    let (seen, ()) = race(
        move || {
            hand.advance(ns(5));
            expired(&child)
        },
        move || drop((ctx, handle)),
    );
    assert!(seen);
}

pub(super) fn deadline_vs_wait() {
    let (clock, root) = clock();
    let (ctx, _handle) = root.with_timeout(ns(5));
    let waiting = ctx.clone();
    race(
        move || clock.advance(ns(5)),
        move || wait(waiting.cancelled()),
    );
    assert!(expired(&ctx));
}

pub(super) fn deadline_vs_attach() {
    let (clock, root) = clock();
    let (ctx, _handle) = root.with_timeout(ns(5));
    let parent = ctx.clone();
    let ((), child) = race(move || clock.advance(ns(5)), move || parent.with_cancel().0);
    assert!(expired(&child));
}

pub(super) fn deadline_born_vs_cancel() {
    let (clock, root) = clock();
    let (parent, handle) = root.with_cancel();
    let derived = parent.clone();
    let (_, child) = race(move || handle.cancel(), move || derived.with_timeout(ns(5)));
    assert!(child.0.is_cancelled());
    assert_eq!(clock.outstanding(), 0);
}

pub(super) fn timer_disarm_vs_drain() {
    let (clock, root) = clock();
    let (one, other) = (root.clone(), root.clone());
    let arm = |root: Context| {
        drop(root.with_timeout(ns(5)));
        drop(root.with_timeout(ns(5)));
    };
    race(move || arm(one), move || arm(other));
    assert_eq!(clock.outstanding(), 0);
}

pub(super) fn timer_in_the_wheel_vs_drain() {
    let (clock, root) = clock();
    let kept = root.with_timeout(ns(5));
    assert_eq!(clock.outstanding(), 1, "it is in the wheel now");
    let deriving = root.clone();
    race(
        move || drop(kept),
        move || drop([deriving.with_timeout(ns(7)), deriving.with_timeout(ns(9))]),
    );
    assert_eq!(clock.outstanding(), 0);
}

pub(super) fn timer_arms_vs_advance() {
    let (clock, root) = clock();
    let deriving = root.clone();
    let hand = clock.clone();
    let ((), pair) = race(
        move || hand.advance(ns(5)),
        move || [deriving.with_timeout(ns(3)), deriving.with_timeout(ns(3))],
    );
    clock.advance(ns(3));
    assert!(pair.iter().all(|(ctx, _)| expired(ctx)));
    assert_eq!(clock.outstanding(), 0);
}

pub(super) fn two_advances() {
    let (clock, root) = clock();
    let (one, _keep) = root.with_timeout(ns(3));
    let (other, _keep_too) = root.with_timeout(ns(5));
    let hand = clock.clone();
    race(move || hand.advance(ns(5)), {
        let hand = clock.clone();
        move || hand.advance(ns(5))
    });
    assert!(expired(&one) && expired(&other));
}

pub(super) fn set_deadline_vs_fire() {
    let (clock, root) = clock();
    let start = clock.now();
    let (ctx, handle) = root.with_timeout(ns(5));
    let hand = clock.clone();
    let ((), moved) = race(
        move || hand.advance(ns(5)),
        move || handle.set_deadline(start + ns(100)),
    );
    assert_eq!(moved, !ctx.is_cancelled(), "a move counts, or says so");
    clock.advance(ns(95));
    assert!(expired(&ctx));
    assert_eq!(clock.outstanding(), 0);
}

pub(super) fn touch_vs_fire() {
    let (clock, root) = clock();
    let (ctx, idle) = root.with_idle_timeout(ns(5));
    clock.advance(ns(3));
    let hand = clock.clone();
    let ((), touched) = race(move || hand.advance(ns(2)), move || idle.touch());
    // Whether the touch saw 3 or 5, it counts for 5 from there.
    assert_eq!(touched, !ctx.is_cancelled(), "a touch counts, or says so");
    clock.advance(ns(5));
    assert!(expired(&ctx));
    assert_eq!(clock.outstanding(), 0);
}

pub(super) fn touch_vs_later_touch() {
    let (clock, root) = clock();
    let start = clock.now();
    let (ctx, idle) = root.with_idle_timeout(ns(5));
    let (hand, again) = (clock.clone(), idle.clone());
    let (early, (late, seen)) = race(move || idle.touch(), {
        let ctx = ctx.clone();
        move || {
            hand.advance(ns(2));
            (again.touch(), ctx.deadline())
        }
    });
    assert!(early && late);
    assert_eq!(seen, Some(start + ns(7)));
    assert_eq!(ctx.deadline(), seen, "the earlier touch undoes nothing");
    clock.advance(ns(5));
    assert!(expired(&ctx));
}

pub(super) fn set_deadline_earlier_vs_drain() {
    let (clock, root) = clock();
    let start = clock.now();
    // The wheel looks at this one first, and at no other.
    let (_first, _keep) = root.with_timeout(ns(1 << 30));
    assert_eq!(clock.outstanding(), 1, "it is in the wheel now");
    let (ctx, handle) = root.with_timeout(ns(1 << 50));
    let hand = clock.clone();
    let (_, moved) = race(
        move || hand.outstanding(),
        move || handle.set_deadline(start + ns(5)),
    );
    assert!(moved);
    clock.advance(ns(5));
    assert!(expired(&ctx));
}

pub(super) fn set_deadline_vs_attach() {
    let (clock, root) = clock();
    let at = clock.now() + ns(5);
    let (parent, handle) = root.with_cancel();
    let deriving = parent.clone();
    let (moved, child) = race(
        move || handle.set_deadline(at),
        move || deriving.with_cancel(),
    );
    assert!(moved);
    assert_eq!(child.0.deadline(), Some(at));
    clock.advance(ns(5));
    assert!(expired(&child.0));
}

pub(super) fn set_deadline_vs_attach_below() {
    let (clock, root) = clock();
    let at = clock.now() + ns(5);
    let (parent, handle) = root.with_cancel();
    let (middle, _keep) = parent.with_cancel();
    let (moved, child) = race(
        move || handle.set_deadline(at),
        move || middle.with_cancel().0.with_cancel(),
    );
    assert!(moved);
    assert_eq!(child.0.deadline(), Some(at));
}

pub(super) fn set_deadline_vs_attach_in_lanes() {
    let (clock, root) = clock();
    let at = clock.now() + ns(5);
    let (parent, handle) = root.with_cancel();
    let deriving = parent.clone();
    let (moved, child) = race(
        move || handle.set_deadline(at),
        move || {
            ctxtree::model::split(&deriving);
            deriving.with_cancel()
        },
    );
    assert!(moved);
    assert_eq!(child.0.deadline(), Some(at));
}

pub(super) fn set_deadline_vs_attach_of_deadline() {
    let (clock, root) = clock();
    let start = clock.now();
    let (parent, handle) = root.with_timeout(ns(5));
    let deriving = parent.clone();
    let (moved, child) = race(
        move || handle.set_deadline(start + ns(100)),
        // Covered by the old deadline, not by the new one.
        move || deriving.with_timeout(ns(50)),
    );
    assert!(moved);
    clock.advance(ns(50));
    assert!(expired(&child.0) && !parent.is_cancelled());
}

pub(super) fn set_deadlines_at_once() {
    let (clock, root) = clock();
    let start = clock.now();
    let (parent, handle) = root.with_timeout(ns(5));
    let (child, _keep) = parent.with_timeout(ns(50));
    let again = handle.clone();
    let (one, (other, seen)) = race(move || handle.set_deadline(start + ns(100)), {
        let child = child.clone();
        move || {
            let moved = again.set_deadline(start + ns(200));
            (moved, child.deadline())
        }
    });
    assert!(one && other);
    assert_eq!(seen, Some(start + ns(50)), "returned means told");
    clock.advance(ns(50));
    assert!(expired(&child) && !parent.is_cancelled());
}

pub(super) fn set_deadlines_on_one_path() {
    let (clock, root) = clock();
    let start = clock.now();
    let (parent, handle) = root.with_timeout(ns(5));
    let (child, below) = parent.with_timeout(ns(50));
    let (one, other) = race(
        move || handle.set_deadline(start + ns(100)),
        move || below.set_deadline(start + ns(60)),
    );
    assert!(one && other);
    assert_eq!(child.deadline(), Some(start + ns(60)));
    clock.advance(ns(60));
    assert!(expired(&child) && !parent.is_cancelled());
}

pub(super) fn set_deadline_twice_on_one_without() {
    let (clock, root) = clock();
    let start = clock.now();
    let (ctx, handle) = root.with_cancel();
    let again = handle.clone();
    let (one, other) = race(
        move || handle.set_deadline(start + ns(5)),
        move || again.set_deadline(start + ns(7)),
    );
    assert!(one && other);
    clock.advance(ns(7));
    assert!(expired(&ctx));
    assert_eq!(clock.outstanding(), 0);
}

pub(super) fn set_deadline_twice_below_a_moved_one() {
    let (clock, root) = clock();
    let start = clock.now();
    let (parent, above) = root.with_cancel();
    // What is attached from now on is told without a walk.
    assert!(above.set_deadline(start + ns(100)));
    // With a name, and so with the place for a timer.
    let (ctx, handle) = parent.derive().name("named").build();
    let again = handle.clone();
    let (one, other) = race(
        move || handle.set_deadline(start + ns(5)),
        move || again.set_deadline(start + ns(7)),
    );
    assert!(one && other);
    clock.advance(ns(7));
    assert!(expired(&ctx) && !parent.is_cancelled());
}

pub(super) fn set_deadline_vs_cancel() {
    let (clock, root) = clock();
    let at = clock.now() + ns(5);
    let (ctx, handle) = root.with_timeout(ns(100));
    let again = handle.clone();
    race(move || handle.set_deadline(at), move || again.cancel());
    assert_eq!(ctx.reason(), Some(Reason::Cancelled));
    assert_eq!(clock.outstanding(), 0);
}

/// A context gets its first deadline while this cancel ends it.
fn late_deadline(clock: &ManualClock, ctx: &(Context, CancelHandle), cancel: CancelHandle) {
    let (at, handle) = (clock.now() + ns(5), ctx.1.clone());
    race(move || handle.set_deadline(at), move || cancel.cancel());
    assert_eq!(ctx.0.reason(), Some(Reason::Cancelled));
    assert_eq!(clock.outstanding(), 0, "a timer is left");
}

pub(super) fn late_deadline_vs_cancel() {
    let (clock, root) = clock();
    let ctx = root.with_cancel();
    late_deadline(&clock, &ctx, ctx.1.clone());
}

pub(super) fn late_deadline_vs_cancel_of_the_parent() {
    let (clock, root) = clock();
    let (parent, handle) = root.with_cancel();
    late_deadline(&clock, &parent.with_cancel(), handle);
}

pub(super) fn late_deadline_vs_cancel_across() {
    let (clock, root) = clock();
    let (other, handle) = Context::background().with_cancel();
    late_deadline(&clock, &root.link([&other]), handle);
}

pub(super) fn set_deadline_vs_drop_below() {
    let (clock, root) = clock();
    let start = clock.now();
    let (parent, handle) = root.with_timeout(ns(5));
    let child = parent.with_timeout(ns(50));
    race(
        move || handle.set_deadline(start + ns(100)),
        move || drop(child),
    );
    drop(parent);
    assert_eq!(clock.outstanding(), 0);
}

pub(super) fn deadline_fires_once_for_each_wait() {
    let (clock, root) = clock();
    let (ctx, handle) = root.with_timeout(ns(5));
    let wakes = Wakes::new();
    let mut waiting = ctx.cancelled();
    assert!(!poll(&mut waiting, &wakes));
    let hand = clock.clone();
    race3(
        move || hand.advance(ns(5)),
        move || handle.cancel(),
        move || clock.advance(ns(5)),
    );
    assert_eq!(wakes.count(), 1);
}
