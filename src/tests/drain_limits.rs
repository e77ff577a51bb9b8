//! How long a drain gives to whom, on a clock that stands still.

use super::drain::{SECOND, drain, ended, finish, names, work};
use super::tools::{HOUR, Random, TICK, Wakes, on_clock, peek, poll};
use crate::{BoxTask, CancelHandle, Context, Drain, Phase, Reason, Shutdown, TaskGroup, tree};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

#[test]
fn what_ends_within_the_soft_limit_is_not_cancelled() {
    let (clock, drain) = drain();
    let (request, handle) = work(&drain, "request");
    let (other, other_handle) = work(&drain, "other");
    let mut end = finish(&drain);
    assert!(peek(&mut end).is_pending());
    clock.advance(3 * SECOND);
    drop((other, other_handle));
    assert!(peek(&mut end).is_pending());
    clock.advance(7 * SECOND - TICK);
    assert!(peek(&mut end).is_pending());
    assert!(!request.is_cancelled());
    assert_eq!(drain.phase(), Phase::Draining);
    drop((request, handle));
    let report = ended(&mut end);
    assert!(report.is_clean());
    assert_eq!(report.reached(), Phase::Draining);
    assert_eq!((report.at_begin(), report.at_cancel()), (2, 0));
    assert_eq!(report.took(), 10 * SECOND - TICK);
}

#[test]
fn what_goes_on_is_cancelled_at_the_soft_limit_with_the_cause_shutdown() {
    let (clock, drain) = drain();
    let (request, handle) = work(&drain, "request");
    let mut end = finish(&drain);
    assert!(peek(&mut end).is_pending());
    clock.advance(10 * SECOND);
    assert!(peek(&mut end).is_pending());
    let error = request.error().unwrap();
    assert_eq!(error.origin(), drain.context().id());
    // The line that made it.
    assert!(error.location().unwrap().file().ends_with("drain.rs"));
    assert!(error.cause().unwrap().downcast_ref::<Shutdown>().is_some());
    assert_eq!(drain.phase(), Phase::Cancelling);
    drop((request, handle));
    let report = ended(&mut end);
    assert!(report.is_clean());
    assert_eq!(report.reached(), Phase::Cancelling);
    assert_eq!((report.at_cancel(), report.at_abort()), (1, 0));
    assert_eq!(report.took(), 10 * SECOND);
}

#[test]
fn who_ignores_the_cancel_is_reported_and_not_waited_for_past_the_hard_limit() {
    let (clock, drain) = drain();
    let (_deaf, _handle) = work(&drain, "deaf");
    let mut end = finish(&drain);
    assert!(peek(&mut end).is_pending());
    clock.advance(10 * SECOND);
    assert!(peek(&mut end).is_pending());
    clock.advance(SECOND - TICK);
    assert!(peek(&mut end).is_pending());
    clock.advance(TICK);
    let report = ended(&mut end);
    assert_eq!(report.reached(), Phase::Aborting);
    assert_eq!(report.at_abort(), 1);
    assert_eq!(names(&report), ["deaf"]);
    let straggler = report.stragglers().next().unwrap();
    assert_eq!(straggler.state(), tree::State::Done(Reason::Cancelled));
    assert_eq!(drain.phase(), Phase::Done);
}

#[test]
fn the_abort_limit_lets_those_go_who_were_aborted() {
    let (clock, drain) = drain();
    let drain = drain.abort_limit(SECOND);
    let (slow, handle) = work(&drain, "slow");
    let mut end = finish(&drain);
    assert!(peek(&mut end).is_pending());
    clock.advance(11 * SECOND);
    assert!(peek(&mut end).is_pending());
    assert_eq!(drain.phase(), Phase::Aborting);
    clock.advance(SECOND / 2);
    drop((slow, handle));
    let report = ended(&mut end);
    assert!(report.is_clean());
    assert_eq!((report.reached(), report.at_abort()), (Phase::Aborting, 1));
}

/// A group whose tasks are polled by hand, and one task below `parent` that never
/// ends by itself.
fn stubborn(parent: &Context) -> (TaskGroup<std::fmt::Error>, BoxTask) {
    let tasks = Arc::new(Mutex::new(Vec::new()));
    let queue = tasks.clone();
    let spawner = move |task: BoxTask| {
        queue.lock().unwrap().push(task);
        Ok(())
    };
    let group = TaskGroup::with_spawner(parent, spawner).when_forgotten(|_| {});
    let task = group.task("stubborn");
    task.try_spawn(std::future::pending()).unwrap();
    let mut task = tasks.lock().unwrap().pop().unwrap();
    assert!(peek(&mut task).is_pending());
    (group, task)
}

#[test]
fn tasks_that_ignore_the_cancel_are_aborted_at_the_hard_limit() {
    let (clock, drain) = drain();
    let drain = drain.abort_limit(SECOND);
    let (group, mut task) = stubborn(&drain.context().with_cancel().0);
    let (wakes, waker) = Wakes::new();
    assert!(poll(&mut task, &waker).is_pending());
    let mut end = finish(&drain);
    assert!(peek(&mut end).is_pending());
    clock.advance(11 * SECOND - TICK);
    assert!(peek(&mut end).is_pending());
    assert!(peek(&mut task).is_pending());
    assert_eq!(wakes.count(), 0);
    assert!(poll(&mut task, &waker).is_pending());
    clock.advance(TICK);
    assert!(peek(&mut end).is_pending());
    assert_eq!((drain.phase(), wakes.count()), (Phase::Aborting, 1));
    assert!(peek(&mut task).is_ready());
    drop((task, group));
    let report = ended(&mut end);
    assert!(report.is_clean());
    assert_eq!(report.took(), 11 * SECOND);
}

#[test]
fn tasks_behind_a_shield_are_not_aborted() {
    let (clock, drain) = drain();
    let (group, mut task) = stubborn(&drain.context().without_cancel());
    let mut end = finish(&drain);
    assert!(peek(&mut end).is_pending());
    clock.advance(11 * SECOND);
    let report = ended(&mut end);
    assert!(peek(&mut task).is_pending());
    assert_eq!(names(&report), ["stubborn"]);
    assert_eq!(report.at_abort(), 2, "the group and the task");
    drop((task, group));
}

#[test]
fn without_an_abort_limit_who_is_aborted_is_named() {
    let (clock, drain) = drain();
    let line = line!() + 1;
    let (group, mut task) = stubborn(drain.context());
    clock.advance(SECOND);
    let mut end = finish(&drain);
    assert!(peek(&mut end).is_pending());
    clock.advance(11 * SECOND);
    let report = ended(&mut end);
    assert!(peek(&mut task).is_ready());
    let kinds: Vec<_> = report.stragglers().map(tree::Node::kind).collect();
    assert_eq!(kinds, [tree::Kind::Group, tree::Kind::Task]);
    for straggler in report.stragglers() {
        assert_eq!(straggler.age(), Some(12 * SECOND));
        let place = straggler.location().unwrap();
        assert!(place.file() == file!() && place.line() < line);
    }
    drop((task, group));
}

#[test]
fn limits_count_from_the_beginning_not_from_finish() {
    let (clock, drain) = drain();
    let (request, _handle) = work(&drain, "request");
    drain.begin();
    clock.advance(9 * SECOND);
    let mut end = finish(&drain);
    assert!(peek(&mut end).is_pending());
    assert!(!request.is_cancelled());
    clock.advance(SECOND);
    assert!(peek(&mut end).is_pending());
    assert!(request.is_cancelled());
}

#[test]
fn limits_do_not_shift_when_nobody_is_there_to_see_them_pass() {
    let (clock, drain) = drain();
    let (request, _handle) = work(&drain, "request");
    let mut end = finish(&drain);
    assert!(peek(&mut end).is_pending());
    clock.advance(11 * SECOND - TICK);
    assert!(peek(&mut end).is_pending());
    assert!(request.is_cancelled());
    assert_eq!(drain.phase(), Phase::Cancelling);
    clock.advance(TICK);
    let report = ended(&mut end);
    assert_eq!(report.took(), 11 * SECOND);
}

#[test]
fn zero_limits_end_a_drain_at_once() {
    let (_clock, drain) = drain();
    let drain = drain.soft_limit(Duration::ZERO).hard_limit(Duration::ZERO);
    let (request, _handle) = work(&drain, "request");
    let report = ended(&mut finish(&drain));
    assert!(request.is_cancelled());
    assert_eq!(report.reached(), Phase::Aborting);
    assert_eq!(names(&report), ["request"]);
}

#[test]
fn zero_limits_find_nothing_wrong_where_nobody_is() {
    let (_clock, drain) = drain();
    let drain = drain.soft_limit(Duration::ZERO).hard_limit(Duration::ZERO);
    let report = ended(&mut finish(&drain));
    assert!(report.is_clean());
    assert_eq!(report.reached(), Phase::Draining);
}

#[test]
fn a_limit_beyond_what_time_can_tell_is_none() {
    let (clock, drain) = drain();
    let drain = drain.soft_limit(Duration::MAX).hard_limit(Duration::MAX);
    let (request, handle) = work(&drain, "request");
    let mut end = finish(&drain);
    for _ in 0..10 {
        assert!(peek(&mut end).is_pending());
        clock.advance(1_000 * HOUR);
    }
    assert!(!request.is_cancelled());
    drop((request, handle));
    assert!(ended(&mut end).is_clean());
}

#[test]
fn limits_that_are_set_after_the_beginning_change_nothing() {
    let (clock, drain) = drain();
    let (request, _handle) = work(&drain, "request");
    drain.begin();
    let drain = drain.soft_limit(Duration::ZERO).hard_limit(HOUR);
    let mut end = finish(&drain);
    assert!(peek(&mut end).is_pending());
    assert!(!request.is_cancelled());
    clock.advance(11 * SECOND);
    assert_eq!(ended(&mut end).took(), 11 * SECOND);
}

/// Somebody with a context, who goes at a time of their own, or when told to.
struct Holder {
    held: Option<(Context, CancelHandle)>,
    goes: u64,
    listens: bool,
}

/// When such a drain is over by its definition, how far it got, and who was there
/// at its beginning, at the cancel, at the hard limit and at the end.
fn by_definition(holders: &[Holder], limits: [u64; 3]) -> (u64, Phase, [usize; 4]) {
    let [soft, hard, abort] = limits;
    let there = |at: u64| {
        let stays = |one: &&Holder| one.goes > at && (at < soft || !one.listens);
        holders.iter().filter(stays).count()
    };
    let begin = holders.iter().filter(|one| one.goes > 0).count();
    let cancelled = holders.iter().filter(|one| one.goes > soft).count();
    // Where there is no time to listen, nobody does in time.
    let at_abort = if hard == 0 {
        cancelled
    } else {
        there(soft + hard)
    };
    if cancelled == 0 {
        let over = (0..=soft).find(|&at| there(at) == 0).unwrap();
        return (over, Phase::Draining, [begin, 0, 0, 0]);
    }
    if at_abort == 0 {
        let over = (soft..=soft + hard).find(|&at| there(at) == 0).unwrap();
        return (over, Phase::Cancelling, [begin, cancelled, 0, 0]);
    }
    let hard = soft + hard;
    let left = if abort == 0 {
        at_abort
    } else {
        there(hard + abort)
    };
    let over = (hard..hard + abort)
        .find(|&at| there(at) == 0)
        .unwrap_or(hard + abort);
    (over, Phase::Aborting, [begin, cancelled, at_abort, left])
}

// V22: whoever drives it, one or several, also taking turns.
#[test]
fn drains_end_when_their_definition_says() {
    for seed in 0..2_000 {
        let mut random = Random::new(seed);
        let limits = [0; 3].map(|_: u64| random.below(12) as u64);
        let (clock, root) = on_clock();
        let [soft, hard, abort] = limits.map(Duration::from_secs);
        let drain = Drain::new(&root).soft_limit(soft).hard_limit(hard);
        let drain = drain.abort_limit(abort).on_waiting(|_| {});
        let mut holders: Vec<_> = (0..random.below(6))
            .map(|_| Holder {
                held: Some(drain.context().with_cancel()),
                goes: random.below(30) as u64,
                listens: random.below(2) == 0,
            })
            .collect();
        let expected = by_definition(&holders, limits);
        let mut ends = Vec::new();
        let mut told = None;
        for now in 0..40 {
            for one in &mut holders {
                let told =
                    one.listens && one.held.as_ref().is_some_and(|(ctx, _)| ctx.is_cancelled());
                if one.goes <= now || told {
                    one.held = None;
                }
            }
            if ends.len() > 1 && random.below(3) == 0 {
                drop(ends.remove(random.below(ends.len())));
            }
            if ends.is_empty() || random.below(4) == 0 {
                ends.push(finish(&drain));
            }
            // Once to cancel, and once more when those who listen are gone.
            for _ in 0..2 {
                let reports = ends.iter_mut().map(peek).collect::<Vec<_>>();
                for report in reports.into_iter().filter_map(|poll| match poll {
                    Poll::Ready(report) => Some(report),
                    Poll::Pending => None,
                }) {
                    told.get_or_insert((now, report));
                }
                if told.is_some() {
                    break;
                }
                for one in holders.iter_mut().filter(|one| one.listens) {
                    if one.held.as_ref().is_some_and(|(ctx, _)| ctx.is_cancelled()) {
                        one.held = None;
                    }
                }
            }
            if told.is_some() {
                break;
            }
            clock.advance(SECOND);
        }
        let (now, report) = told.expect("all limits are over by then");
        let counts = [
            report.at_begin(),
            report.at_cancel(),
            report.at_abort(),
            report.stragglers().len(),
        ];
        assert_eq!((now, report.reached(), counts), expected, "seed {seed}");
        assert_eq!(report.took().as_secs(), now, "seed {seed}");
    }
}
