//! Deadlines cost no stack and, unless they are moved, no time with depth.

use super::tools::{DEPTH, HOUR, TICK, big, ms, on_clock, on_small_stack};
use crate::{CancelHandle, Context};
use std::fmt::Write;
use std::time::Instant;

const MANY: usize = DEPTH;

/// A chain of so many contexts, the root first.
fn chain(top: &Context, below: impl Fn(&Context, usize) -> Context) -> Vec<Context> {
    let mut nodes = Vec::with_capacity(MANY);
    nodes.push(top.clone());
    for i in 1..MANY {
        nodes.push(below(&nodes[i - 1], i));
    }
    nodes
}

// V8, V18, P62: a deadline above a deep chain is told at its end at once, moved both
// ways, passes, and is told still.
#[test]
fn a_deadline_above_a_deep_chain_is_told_moved_and_passes() {
    let _one_by_one = big();
    on_small_stack(|| {
        let (clock, top) = on_clock();
        let began = clock.now();
        let (ctx, handle) = top.with_timeout(ms(10));
        let nodes = chain(&ctx, |above, _| above.with_cancel().0);
        let leaf = nodes.last().unwrap();
        let asks = (0..10).map(|_| {
            let asked = Instant::now();
            for _ in 0..100 {
                assert_eq!(leaf.deadline(), Some(began + ms(10)));
                assert_eq!(leaf.remaining(), Some(ms(10)));
            }
            asked.elapsed()
        });
        // A walk up would take a thousand times as long, each time.
        let took = asks.min().unwrap();
        assert!(took < ms(200), "{took:?}");
        for to in [20, 5, 15] {
            assert!(handle.set_deadline(began + ms(to)));
            assert_eq!(leaf.deadline(), Some(began + ms(to)));
        }
        clock.advance(ms(15) - TICK);
        assert!(!leaf.is_cancelled());
        clock.advance(TICK);
        assert!(nodes.iter().all(Context::is_cancelled));
        assert_eq!(leaf.error().unwrap().origin(), ctx.id());
        assert_eq!(leaf.deadline(), Some(began + ms(15)));
        drop((top, ctx, handle));
    });
}

// V8, V18: a deep chain in which each deadline is later than the one above: one
// is armed; moved away, the next one counts.
#[test]
fn a_deep_chain_of_later_and_later_deadlines_passes() {
    let _one_by_one = big();
    on_small_stack(|| {
        let (clock, top) = on_clock();
        let began = clock.now();
        let (ctx, handle) = top.with_timeout(ms(10));
        let after = |i: usize| ms(10) + i as u32 * TICK;
        let nodes = chain(&ctx, |above, i| above.with_timeout(after(i)).0);
        assert_eq!(clock.outstanding(), 1);
        let leaf = nodes.last().unwrap();
        assert_eq!(leaf.deadline(), Some(began + ms(10)));
        assert!(handle.set_deadline(began + HOUR));
        assert_eq!(leaf.deadline(), Some(began + after(1)));
        clock.set(began + after(1) - TICK);
        assert!(!leaf.is_cancelled());
        clock.advance(TICK);
        assert!(nodes[1..].iter().all(Context::is_cancelled));
        assert_eq!(leaf.error().unwrap().origin(), nodes[1].id());
        assert!(!ctx.is_cancelled());
        drop(nodes);
        drop((ctx, handle));
        assert_eq!(clock.outstanding(), 0);
    });
}

// V8, V18: and one in which each is earlier, so that all are armed: they pass one
// by one, or go at once with a cancel, or with the handles.
#[test]
fn a_deep_chain_of_earlier_and_earlier_deadlines_ends() {
    let _one_by_one = big();
    on_small_stack(|| {
        for cancelled in [false, true] {
            let (clock, top) = on_clock();
            let began = clock.now();
            let (ctx, handle) = top.with_timeout(HOUR);
            let after = |i: usize| HOUR - i as u32 * TICK;
            let mut nodes = chain(&ctx, |above, i| above.with_timeout(after(i)).0);
            assert_eq!(clock.outstanding(), MANY);
            let leaf = nodes.last().unwrap().clone();
            assert_eq!(leaf.deadline(), Some(began + after(MANY - 1)));
            if cancelled {
                assert!(handle.cancel());
                assert_eq!(clock.outstanding(), 0);
            } else {
                clock.set(began + after(MANY / 2));
                assert!(!nodes[MANY / 2 - 1].is_cancelled());
                assert!(nodes[MANY / 2..].iter().all(Context::is_cancelled));
                assert_eq!(leaf.error().unwrap().origin(), leaf.id());
                assert_eq!(clock.outstanding(), MANY / 2);
            }
            drop((leaf, handle, ctx));
            while nodes.pop().is_some() {}
            assert_eq!((top.live_children(), clock.outstanding()), (0, 0));
        }
    });
}

// V8, P62: formatted, and dropped from the root down, clocks in between.
#[test]
fn a_deep_chain_of_clocks_and_deadlines_is_shown_and_dropped() {
    let _one_by_one = big();
    on_small_stack(|| {
        let (clock, top) = on_clock();
        let mut nodes = chain(&top, |above, i| match i % 4 {
            0 => above.with_clock(&clock),
            1 => above.without_cancel(),
            _ => above.with_timeout(HOUR).0,
        });
        let leaf = nodes.pop().unwrap();
        let mut path = String::new();
        write!(path, "{leaf}").unwrap();
        assert!(path.ends_with(".with_deadline(3600.0s)") && path.contains(".with_clock"));
        assert!(!format!("{leaf:?}").is_empty());
        assert_eq!(leaf.deadline(), Some(clock.now() + HOUR));
        for node in nodes {
            drop(node);
        }
        clock.advance(HOUR);
        assert!(leaf.is_cancelled());
        drop(leaf);
        assert_eq!(clock.outstanding(), 0);
    });
}

// V8, V9: a million children with a timeout each: over at one instant, or dropped
// before any of many.
#[test]
fn a_million_timeouts_of_one_parent_end() {
    let _one_by_one = big();
    on_small_stack(|| {
        for over in [true, false] {
            let (clock, top) = on_clock();
            let (ctx, handle) = top.with_cancel();
            let child = |i: usize| {
                let spread = if over { 0 } else { i as u32 };
                ctx.with_timeout(ms(5) + spread * TICK)
            };
            let children: Vec<(Context, CancelHandle)> = (0..MANY).map(child).collect();
            assert_eq!(clock.outstanding(), MANY);
            if over {
                clock.advance(ms(5));
                assert!(children.iter().all(|(ctx, _)| ctx.is_cancelled()));
                assert_eq!(clock.outstanding(), 0);
            }
            drop(children);
            assert_eq!((ctx.live_children(), clock.outstanding()), (0, 0));
            assert!(handle.cancel());
        }
    });
}
