//! The phases of a drain, on a clock that stands still.

use super::tools::{HOUR, TICK, Wakes, in_time, on_clock, outcome, peek, poll};
use crate::time::ManualClock;
use crate::{
    CancelHandle, Context, Drain, Draining, Key, Phase, Reason, Report, Shutdown, Waiting, tree,
};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::Poll;
use std::thread;
use std::time::Duration;

const fn crosses_threads<T: Send + Sync + UnwindSafe + RefUnwindSafe>() {}
const _: () = {
    crosses_threads::<Drain>();
    crosses_threads::<Draining>();
    crosses_threads::<Report>();
    crosses_threads::<Waiting>();
    crosses_threads::<Phase>();
    crosses_threads::<Shutdown>();
};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// A drain by a clock of its own, with limits of ten seconds and one.
pub(super) fn drain() -> (ManualClock, Drain) {
    let (clock, root) = on_clock();
    let drain = Drain::new(&root).soft_limit(10 * SECOND).hard_limit(SECOND);
    // What is printed is not looked at here.
    (clock, drain.on_waiting(|_| {}))
}

/// A call of `finish` that is under way, and may move to another thread.
pub(super) type Finish<'d> = Pin<Box<dyn Future<Output = Report> + Send + 'd>>;

pub(super) fn finish(drain: &Drain) -> Finish<'_> {
    Box::pin(drain.finish())
}

pub(super) fn ended(finish: &mut Finish<'_>) -> Report {
    match peek(finish) {
        Poll::Ready(report) => report,
        Poll::Pending => panic!("still going on"),
    }
}

pub(super) fn work(drain: &Drain, name: &'static str) -> (Context, CancelHandle) {
    drain.context().derive().name(name).build()
}

pub(super) fn names(report: &Report) -> Vec<&str> {
    report.stragglers().filter_map(tree::Node::name).collect()
}

#[test]
fn a_drain_runs_until_it_is_begun() {
    let (clock, drain) = drain();
    let (request, _handle) = work(&drain, "request");
    clock.advance(HOUR);
    assert_eq!(drain.phase(), Phase::Running);
    assert!(!drain.is_draining() && !request.is_draining());
    assert!(peek(&mut drain.draining()).is_pending());
    assert!(!request.is_cancelled());
}

#[test]
fn begin_is_heard_by_all_below_and_cancels_none_of_them() {
    static KEY: Key<u32> = Key::new("key");
    let (_clock, drain) = drain();
    let (other, _stop) = Context::background().with_cancel();
    let root = drain.context();
    let mut below = vec![
        root.clone(),
        root.with_cancel().0,
        root.without_cancel(),
        root.with_key(&KEY, 1).with_value("two"),
        root.link([&other]).0,
        other.link([root]).0,
        root.with_timeout(HOUR).0,
    ];
    for depth in 0..100 {
        let last = &below[below.len() - 1];
        let next = match depth % 3 {
            0 => last.with_cancel().0,
            1 => last.without_cancel(),
            _ => last.with_value(depth),
        };
        below.push(next);
    }
    // Values come from the first parent only, and so does this.
    let linked = below.remove(5);
    assert!(drain.begin());
    below.push(root.with_cancel().0);
    for ctx in &below {
        assert!(ctx.is_draining(), "{ctx}");
        assert!(peek(&mut ctx.draining()).is_ready(), "{ctx}");
        assert!(!ctx.is_cancelled(), "{ctx}");
    }
    assert!(!linked.is_draining());
    assert_eq!(drain.phase(), Phase::Draining);
}

#[test]
fn without_a_drain_nobody_drains() {
    let (wakes, waker) = Wakes::new();
    let (ctx, handle) = Context::background().with_cancel();
    for ctx in [Context::background(), Context::todo(), ctx] {
        assert!(!ctx.is_draining());
        let mut draining = ctx.draining();
        assert!(poll(&mut draining, &waker).is_pending());
    }
    handle.cancel();
    assert_eq!(wakes.count(), 0);
}

#[test]
fn of_two_drains_the_nearest_is_heard() {
    let (_clock, outer) = drain();
    let inner = Drain::new(outer.context());
    let (outside, _a) = outer.context().with_cancel();
    let (inside, _b) = inner.context().with_cancel();
    outer.begin();
    assert!(outside.is_draining() && outer.is_draining());
    assert!(!inside.is_draining() && !inner.is_draining());
    inner.begin();
    assert!(inside.is_draining());
}

#[test]
fn an_outer_drain_waits_until_an_inner_one_is_dropped() {
    let (_clock, outer) = drain();
    let inner = Drain::new(outer.context()).soft_limit(SECOND);
    let mut end = finish(&outer);
    assert!(peek(&mut end).is_pending());
    assert!(ended(&mut finish(&inner)).is_clean());
    assert!(peek(&mut end).is_pending());
    drop(inner);
    assert!(ended(&mut end).is_clean());
}

#[test]
fn an_inner_drain_is_cancelled_with_the_outer_one() {
    let (clock, outer) = drain();
    let inner = Drain::new(outer.context()).on_waiting(|_| {});
    let (work, _handle) = work(&inner, "work");
    let mut inner_end = finish(&inner);
    let mut outer_end = finish(&outer);
    assert!(peek(&mut inner_end).is_pending());
    assert!(peek(&mut outer_end).is_pending());
    clock.advance(10 * SECOND);
    assert!(peek(&mut outer_end).is_pending());
    assert!(work.is_cancelled());
    assert!(peek(&mut inner_end).is_pending());
    assert_eq!(inner.phase(), Phase::Cancelling);
}

#[test]
fn one_call_of_begin_is_the_one() {
    let (_clock, drain) = drain();
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let drain = drain.clone();
            thread::spawn(move || drain.begin())
        })
        .collect();
    let first = calls.into_iter().map(|call| call.join().unwrap());
    assert_eq!(first.filter(|&first| first).count(), 1);
    assert!(!drain.begin());
    assert_eq!(drain.phase(), Phase::Draining);
}

#[test]
fn who_waits_for_the_beginning_is_woken_by_it() {
    let (wakes, waker) = Wakes::new();
    let (_clock, drain) = drain();
    let (request, _handle) = work(&drain, "request");
    let (mut here, mut below) = (drain.draining(), request.draining());
    assert!(poll(&mut here, &waker).is_pending());
    assert!(poll(&mut below, &waker).is_pending());
    drain.begin();
    assert_eq!(wakes.count(), 2);
    assert!(peek(&mut here).is_ready() && peek(&mut below).is_ready());
    assert!(peek(&mut here).is_ready());
}

#[test]
fn a_wait_for_the_beginning_holds_nothing_up() {
    let (_clock, drain) = drain();
    let (request, handle) = work(&drain, "request");
    let mut draining = request.draining();
    drop((request, handle));
    let report = ended(&mut finish(&drain));
    assert_eq!(report.at_begin(), 0);
    drop(drain);
    assert!(peek(&mut draining).is_ready());
}

#[test]
fn a_drain_that_nobody_holds_up_is_over_at_once_and_cancels_what_comes_later() {
    let (_clock, drain) = drain();
    drop(work(&drain, "gone"));
    let report = ended(&mut finish(&drain));
    assert!(report.is_clean());
    assert_eq!(report.reached(), Phase::Draining);
    assert_eq!(report.took(), Duration::ZERO);
    let counts = (report.at_begin(), report.at_cancel(), report.at_abort());
    assert_eq!(counts, (0, 0, 0));
    assert_eq!(drain.phase(), Phase::Done);
    let (late, _handle) = work(&drain, "late");
    let why = Some("shutting down".to_owned());
    assert_eq!(outcome(&late), Some((Reason::Cancelled, why)));
    assert!(late.is_draining());
}

#[test]
fn a_cancel_from_above_during_the_drain_begins_the_next_phase() {
    let (clock, root) = on_clock();
    let (parent, stop) = root.with_cancel();
    let drain = Drain::new(&parent).hard_limit(SECOND).on_waiting(|_| {});
    let (request, _handle) = work(&drain, "request");
    let (wakes, waker) = Wakes::new();
    let mut end = finish(&drain);
    assert!(poll(&mut end, &waker).is_pending());
    let before = wakes.count();
    clock.advance(SECOND / 2);
    stop.cancel_with("power cut");
    assert!(wakes.count() > before);
    assert!(peek(&mut end).is_pending());
    assert_eq!(drain.phase(), Phase::Cancelling);
    assert_eq!(request.cause().unwrap().to_string(), "power cut");
    clock.advance(SECOND);
    let report = ended(&mut end);
    assert_eq!((report.at_cancel(), report.at_abort()), (1, 1));
    assert_eq!(report.took(), 3 * SECOND / 2);
}

#[test]
fn a_drain_of_a_context_that_is_done_already_only_waits_for_the_rest() {
    let (clock, root) = on_clock();
    let (parent, stop) = root.with_cancel();
    let drain = Drain::new(&parent).hard_limit(SECOND).on_waiting(|_| {});
    let (request, handle) = work(&drain, "request");
    stop.cancel();
    assert_eq!(drain.phase(), Phase::Running);
    assert!(!request.is_draining());
    let mut end = finish(&drain);
    assert!(peek(&mut end).is_pending());
    assert!(request.is_draining());
    assert_eq!(drain.phase(), Phase::Cancelling);
    clock.advance(SECOND - TICK);
    assert!(peek(&mut end).is_pending());
    drop((request, handle));
    let report = ended(&mut end);
    assert!(report.is_clean());
    assert_eq!(report.reached(), Phase::Cancelling);
    assert!(report.stragglers().next().is_none());
    assert!(drain.context().cause().is_none());
}

#[test]
fn a_drain_may_be_made_below_a_context_that_is_done() {
    let (root, stop) = Context::background().with_cancel();
    stop.cancel();
    let drain = Drain::new(&root);
    let report = ended(&mut finish(&drain));
    assert!(report.is_clean());
    assert_eq!(report.reached(), Phase::Draining);
}

#[test]
fn whoever_finishes_gets_the_same_report() {
    let (clock, drain) = drain();
    let (_deaf, _handle) = work(&drain, "deaf");
    let mut ends: Vec<_> = (0..3).map(|_| finish(&drain)).collect();
    for seconds in [0, 10, 1] {
        clock.advance(seconds * SECOND);
        if seconds != 1 {
            ends.iter_mut()
                .for_each(|end| assert!(peek(end).is_pending()));
        }
    }
    let reports: Vec<_> = ends.iter_mut().map(ended).collect();
    // When all is over, too, whatever the clock says by then.
    clock.advance(HOUR);
    let again = in_time({
        let drain = drain.clone();
        move || drain.finish_blocking()
    });
    assert_eq!(again.took(), 11 * SECOND);
    for report in reports {
        assert_eq!(report.to_string(), again.to_string());
    }
    assert!(!drain.begin());
}

#[test]
fn a_finish_that_is_dropped_half_way_leaves_the_rest_to_the_next() {
    let (clock, drain) = drain();
    let (request, handle) = work(&drain, "request");
    let mut first = finish(&drain);
    assert!(peek(&mut first).is_pending());
    drop(first);
    assert_eq!(clock.outstanding(), 0);
    clock.advance(10 * SECOND);
    assert!(!request.is_cancelled());
    let mut second = finish(&drain);
    assert!(peek(&mut second).is_pending());
    assert!(request.is_cancelled());
    drop(second);
    drop((request, handle));
    let report = ended(&mut finish(&drain));
    assert!(report.is_clean());
    assert_eq!((report.at_begin(), report.at_cancel()), (1, 1));
}

#[test]
fn a_finish_that_is_never_polled_does_nothing() {
    let (_clock, drain) = drain();
    drop(drain.finish());
    assert_eq!(drain.phase(), Phase::Running);
}

#[test]
fn what_is_behind_a_shield_is_waited_for_and_not_cancelled() {
    let (clock, drain) = drain();
    let (request, handle) = work(&drain, "request");
    let shield = request.without_cancel();
    let (log, _keep) = shield.derive().name("log").build();
    drop((request, handle, shield));
    let mut end = finish(&drain);
    assert!(peek(&mut end).is_pending());
    assert!(log.is_draining());
    clock.advance(11 * SECOND);
    let report = ended(&mut end);
    assert!(!log.is_cancelled());
    assert_eq!(names(&report), ["log"]);
    assert_eq!(
        report.stragglers().next().unwrap().state(),
        tree::State::Live
    );
}

#[test]
fn a_drain_that_is_dropped_begins_and_cancels() {
    let (_clock, drain) = drain();
    let (request, _handle) = work(&drain, "request");
    let clone = drain.clone();
    drop(drain);
    assert!(!request.is_draining() && !request.is_cancelled());
    drop(clone);
    assert!(request.is_draining());
    let cause = request.cause().unwrap();
    assert!(cause.downcast_ref::<Shutdown>().is_some());
}

#[test]
fn a_drain_that_is_dropped_half_way_cancels() {
    let (_clock, drain) = drain();
    let (request, _handle) = work(&drain, "request");
    let mut end = finish(&drain);
    assert!(peek(&mut end).is_pending());
    drop(end);
    drop(drain);
    assert!(request.is_cancelled());
}

#[test]
fn a_drain_leaves_nothing_behind() {
    let (clock, root) = on_clock();
    let (parent, _stop) = root.with_cancel();
    for round in 0..3 {
        let drain = Drain::new(&parent).hard_limit(SECOND).on_waiting(|_| {});
        let (request, handle) = work(&drain, "request");
        let mut end = finish(&drain);
        assert!(peek(&mut end).is_pending());
        assert!(clock.outstanding() > 0);
        if round > 0 {
            clock.advance(21 * SECOND);
            ended(&mut end);
        }
        drop(end);
        assert_eq!(clock.outstanding(), 0);
        drop((request, handle, drain));
        assert_eq!(parent.live_children(), 0);
        assert_eq!(parent.tree().nodes().len(), 1);
    }
}
