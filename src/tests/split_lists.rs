//! Lists that are split into lanes, with more below the children of every lane.

#![cfg(feature = "internal-model")]

use super::group_tools::{Fail, Forever, Hand};
use super::tools::{HOUR, Wakes, ms, on_clock, poll, start};
use crate::{CancelHandle, Context, TaskGroup, model};

type Pair = (Context, CancelHandle);

/// What `derive` makes of `ctx` on several threads, so that it is in several lanes.
fn spread<T: Send + 'static>(ctx: &Context, derive: fn(&Context) -> T) -> Vec<T> {
    let mut all = vec![derive(ctx)];
    model::split(ctx);
    for _ in 0..4 {
        let ctx = ctx.clone();
        let more = start(move || (0..3).map(|_| derive(&ctx)).collect::<Vec<_>>());
        all.extend(more.join().unwrap());
    }
    all
}

// V3, V4: below the children of every lane, split or not.
#[test]
fn a_cancel_reaches_below_the_children_of_every_lane() {
    let (top, handle) = Context::background().with_cancel();
    let children = spread(&top, Context::with_cancel);
    let below: Vec<Pair> = children
        .iter()
        .flat_map(|(child, _)| spread(child, Context::with_cancel))
        .collect();
    handle.cancel();
    assert!(below.iter().all(|(ctx, _)| ctx.is_cancelled()));
}

// V18: a deadline that was covered by the one above is armed when that is moved.
#[test]
fn a_moved_deadline_is_told_below_the_children_of_every_lane() {
    let (clock, root) = on_clock();
    let (top, handle) = root.with_timeout(ms(10));
    let children = spread(&top, Context::with_cancel);
    let below: Vec<Pair> = children
        .iter()
        .flat_map(|(child, _)| spread(child, |child| child.with_timeout(ms(20))))
        .collect();
    assert_eq!(clock.outstanding(), 1);
    assert!(handle.set_deadline(clock.now() + HOUR));
    assert_eq!(clock.outstanding(), 1 + below.len());
    clock.advance(ms(20));
    assert!(below.iter().all(|(ctx, _)| ctx.is_cancelled()));
    assert!(!top.is_cancelled());
}

// V22: an abort tells the tasks of all groups below, whatever lane they are in.
#[test]
fn an_abort_reaches_below_the_children_of_every_lane() {
    let (_hand, outer) = Hand::group(&Context::background());
    let groups = spread(outer.context(), |ctx| {
        let hand = Hand::default();
        let group: TaskGroup<Fail> = TaskGroup::with_spawner(ctx, hand.clone());
        group.try_spawn(Forever(())).unwrap();
        (hand, group)
    });
    let mut waiting = Vec::new();
    for (hand, _) in &groups {
        let (wakes, waker) = Wakes::new();
        let mut task = hand.take().unwrap();
        assert!(poll(&mut task, &waker).is_pending());
        waiting.push((wakes, waker, task));
    }
    outer.abort();
    for (wakes, waker, task) in &mut waiting {
        assert!(wakes.count() > 0);
        assert!(poll(task, waker).is_ready());
    }
    assert!(groups.iter().all(|(_, group)| group.is_empty()));
}
