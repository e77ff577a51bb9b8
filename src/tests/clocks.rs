//! The manual clock: in which order it fires, and what it says meanwhile.

use super::tools::{HOUR, OnDrop, TICK, Wakes, in_time, message, ms, on_clock, once, peek, poll};
use crate::time::ManualClock;
use crate::{CancelError, CancelHandle, Context, Reason};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Notes a name and the time when a context ends.
#[derive(Clone)]
struct Log {
    clock: ManualClock,
    began: Instant,
    entries: Arc<Mutex<Vec<(String, Duration)>>>,
}

impl Log {
    fn of(clock: &ManualClock) -> Log {
        Log {
            clock: clock.clone(),
            began: clock.now(),
            entries: Arc::default(),
        }
    }

    fn note(&self, name: impl Into<String>) {
        let since = self.clock.now() - self.began;
        self.entries.lock().unwrap().push((name.into(), since));
    }

    fn on(&self, ctx: &Context, name: impl Into<String>) {
        let (log, name) = (self.clone(), name.into());
        ctx.after_cancel(move |_| log.note(name)).detach();
    }

    fn take(&self) -> Vec<(String, Duration)> {
        std::mem::take(&mut self.entries.lock().unwrap())
    }

    fn names(&self) -> Vec<String> {
        self.take().into_iter().map(|(name, _)| name).collect()
    }
}

fn entry(name: &str, at: u64) -> (String, Duration) {
    (name.to_owned(), ms(at))
}

// V19: in one step, by deadline, then as they were armed; the clock reads the
// very deadline while its callbacks run.
#[test]
fn a_step_fires_by_deadline_and_then_as_armed() {
    let (clock, top) = on_clock();
    let log = Log::of(&clock);
    let lengths = [7, 3, 7, 1, 3, 3, 9, 20, 1];
    let kept: Vec<_> = lengths.iter().map(|&n| top.with_timeout(ms(n))).collect();
    // Registered in another order than they were armed.
    for (i, (ctx, _)) in kept.iter().enumerate().rev() {
        log.on(ctx, format!("{i}"));
    }
    clock.advance(ms(10));
    let expected = [
        (3, 1),
        (8, 1),
        (1, 3),
        (4, 3),
        (5, 3),
        (0, 7),
        (2, 7),
        (6, 9),
    ];
    let expected = expected.map(|(i, at)| entry(&i.to_string(), at));
    assert_eq!(log.take(), expected);
    assert_eq!(clock.now(), log.began + ms(10));
    assert_eq!(clock.outstanding(), 1);
}

// V19: what is due at one instant is marked before anything of it is told.
#[test]
fn all_of_one_instant_is_marked_first() {
    let (clock, top) = on_clock();
    let all: Vec<_> = (0..5).map(|_| top.with_timeout(ms(5))).collect();
    let (later, _keep) = top.with_timeout(ms(5) + TICK);
    let contexts: Vec<Context> = all.iter().map(|(ctx, _)| ctx.clone()).collect();
    let runs = Arc::new(AtomicUsize::new(0));
    for ctx in &contexts {
        let (others, later, runs) = (contexts.clone(), later.clone(), runs.clone());
        let check = move |_: &CancelError| {
            assert!(others.iter().all(Context::is_cancelled));
            assert!(!later.is_cancelled());
            runs.fetch_add(1, SeqCst);
        };
        ctx.after_cancel(check).detach();
    }
    clock.advance(ms(6));
    assert_eq!((runs.load(SeqCst), later.is_cancelled()), (5, true));
}

// V19: what a callback arms within the step fires within it, at its own instant;
// what is beyond it does not.
#[test]
fn what_callbacks_arm_within_a_step_fires_within_it() {
    let (clock, top) = on_clock();
    let log = Log::of(&clock);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let (first, _keep) = top.with_timeout(ms(2));
    let (noted, keeps, root) = (log.clone(), kept.clone(), top.clone());
    first
        .after_cancel(move |_| {
            for (name, after) in [("soon", 3), ("sooner", 1), ("beyond", 9), ("now", 0)] {
                let pair = root.with_timeout(ms(after));
                noted.on(&pair.0, name);
                keeps.lock().unwrap().push(pair);
            }
            noted.note("first");
        })
        .detach();
    let (last, _keep) = top.with_timeout(ms(4));
    log.on(&last, "last");
    clock.advance(ms(10));
    let expected = [
        ("now", 2),
        ("first", 2),
        ("sooner", 3),
        ("last", 4),
        ("soon", 5),
    ];
    assert_eq!(log.take(), expected.map(|(name, at)| entry(name, at)));
    clock.advance(ms(1));
    assert_eq!(log.take(), [entry("beyond", 11)]);
}

// V19: a timer that arms the next one whenever it fires: all that fit the step.
#[test]
fn a_periodic_timer_fires_once_a_period() {
    fn again(root: &Context, log: &Log, kept: &Arc<Mutex<Option<Context>>>) {
        let (ctx, _) = root.with_timeout(ms(10));
        let (root, log, keeps) = (root.clone(), log.clone(), kept.clone());
        *kept.lock().unwrap() = Some(ctx.clone());
        ctx.after_cancel(move |_| {
            log.note("tick");
            again(&root, &log, &keeps);
        })
        .detach();
    }
    let (clock, top) = on_clock();
    let (log, kept) = (Log::of(&clock), Arc::default());
    again(&top, &log, &kept);
    clock.advance(ms(1_005));
    let expected: Vec<_> = (1..=100).map(|n| entry("tick", 10 * n)).collect();
    assert_eq!(log.take(), expected);
    assert_eq!(clock.outstanding(), 1);
    *kept.lock().unwrap() = None;
}

// V19: a clock never goes back, and moves by what it is told, with clones and on
// threads.
#[test]
fn a_clock_moves_forward_only() {
    let clock = ManualClock::default();
    let began = clock.now();
    assert_eq!(clock.now(), began, "it stands still by itself");
    let same = clock.clone();
    same.advance(ms(5));
    assert_eq!(clock.now(), began + ms(5));
    clock.set(began + ms(2));
    clock.set(began);
    assert_eq!(clock.now(), began + ms(5));
    same.set(began + ms(7));
    clock.advance(Duration::ZERO);
    assert_eq!((clock.now(), same.now()), (began + ms(7), began + ms(7)));
    assert!(format!("{clock:?}").contains("ManualClock"));
}

// V15, V19: a callback may move the clock further: all that is due by then fires,
// in order, and the clock is where the furthest call took it.
#[test]
fn a_callback_may_advance_the_clock() {
    in_time(|| {
        for (by, end) in [(ms(1), 10), (ms(6), 11), (ms(20), 25), (Duration::ZERO, 10)] {
            let (clock, top) = on_clock();
            let log = Log::of(&clock);
            let kept: Vec<_> = [5, 8, 9, 15, 24]
                .map(|n| (n, top.with_timeout(ms(n))))
                .into();
            let advances = clock.clone();
            let (inside, first) = (log.clone(), kept[0].1.0.clone());
            first
                .after_cancel(move |_| {
                    inside.note("5");
                    advances.advance(by);
                    advances.set(inside.began);
                })
                .detach();
            for (n, (ctx, _)) in &kept[1..] {
                log.on(ctx, n.to_string());
            }
            clock.advance(ms(10));
            assert_eq!(clock.now(), log.began + ms(end));
            let expected: Vec<String> = [5, 8, 9, 15, 24]
                .into_iter()
                .filter(|&n| n <= end)
                .map(|n| n.to_string())
                .collect();
            assert_eq!(log.names(), expected, "{by:?}");
            let done = kept
                .iter()
                .filter(|(_, (ctx, _))| ctx.is_cancelled())
                .count();
            assert_eq!(done, expected.len());
        }
    });
}

// V14, P28: a callback that panics stops no other of its instant or of a later
// one; the first panic is resumed when all is fired, and the clock is where it
// should be.
#[test]
fn a_panicking_callback_stops_no_timer() {
    let (clock, top) = on_clock();
    let log = Log::of(&clock);
    let kept: Vec<_> = (0..6).map(|i| top.with_timeout(ms(5 + i / 2))).collect();
    for (i, (ctx, _)) in kept.iter().enumerate() {
        log.on(ctx, format!("{i}"));
        if i % 2 == 0 {
            ctx.after_cancel(move |_| panic!("callback {i}")).detach();
        }
        log.on(ctx, format!("{i} again"));
    }
    let advance = || clock.advance(ms(10));
    let panic = catch_unwind(AssertUnwindSafe(advance)).unwrap_err();
    assert_eq!(message(&*panic), "callback 0");
    assert_eq!(log.names().len(), 12);
    assert!(kept.iter().all(|(ctx, _)| ctx.is_cancelled()));
    assert_eq!((clock.now(), clock.outstanding()), (log.began + ms(10), 0));
    let (ctx, _keep) = top.with_timeout(ms(1));
    clock.advance(ms(1));
    assert!(ctx.is_cancelled());
}

// V15, V17: wakers are woken within the step, on the thread that advances.
#[test]
fn waits_are_woken_by_who_advances() {
    let (clock, top) = on_clock();
    let (ctx, _keep) = top.with_timeout(ms(5));
    let (wakes, waker) = Wakes::new();
    let mut waits: Vec<_> = (0..3).map(|_| ctx.cancelled()).collect();
    for wait in &mut waits {
        assert!(poll(wait, &waker).is_pending());
    }
    clock.advance(ms(5) - TICK);
    assert_eq!(wakes.count(), 0);
    clock.advance(TICK);
    assert_eq!(wakes.count(), 3);
    assert!(waits.iter_mut().all(|wait| peek(wait).is_ready()));
}

// V15: what is called back by a deadline drops that context, all its handles, and
// the clock: in the callback, as the last of them, and with its own closure.
#[test]
fn a_callback_may_drop_everything_it_was_called_for() {
    for keep_clock in [true, false] {
        let (clock, top) = on_clock();
        let held = Arc::new(());
        let slot: Arc<Mutex<Vec<(Context, CancelHandle)>>> = Arc::default();
        let (ctx, handle) = top.derive().value(held.clone()).timeout(ms(5)).build();
        let (empties, own) = (slot.clone(), ctx.clone());
        let also = OnDrop(once({
            let below = ctx.with_cancel();
            move || drop(below)
        }));
        ctx.after_cancel(move |error| {
            assert!(error.is_timeout());
            empties.lock().unwrap().clear();
            drop((own, also));
        })
        .detach();
        slot.lock().unwrap().push((ctx, handle));
        let last = if keep_clock {
            Some(clock.clone())
        } else {
            None
        };
        drop(top);
        clock.advance(ms(10));
        drop(clock);
        assert!(slot.lock().unwrap().is_empty());
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(last.is_none_or(|clock| clock.outstanding() == 0));
    }
}

// V9, V25: the clock goes first: its contexts stay as they are, can be cancelled
// and dropped; and the other way round.
#[test]
fn clock_and_contexts_may_go_in_any_order() {
    for clock_first in [true, false] {
        let (clock, top) = on_clock();
        let (ctx, handle) = top.with_timeout(ms(5));
        let (other, other_handle) = top.with_timeout(ms(5));
        let at = clock.now() + ms(5);
        if clock_first {
            drop(clock);
            assert_eq!(ctx.deadline(), Some(at));
            assert_eq!(ctx.remaining(), Some(ms(5)));
            assert!(!ctx.is_cancelled() && ctx.to_string().contains("5.0ms"));
            assert!(handle.set_deadline(at + HOUR) && handle.cancel_with("own"));
            assert_eq!(ctx.cause().unwrap().to_string(), "own");
            let (below, below_handle) = other.with_timeout(ms(1));
            assert!(!below.is_cancelled() && below_handle.set_deadline(at - ms(5)));
            assert!(below.is_cancelled());
            drop((top, ctx, handle, other, other_handle));
        } else {
            drop((top, ctx, handle, other, other_handle));
            assert_eq!(clock.outstanding(), 0);
            clock.advance(HOUR);
            assert_eq!(clock.now(), at - ms(5) + HOUR);
        }
    }
}

// V18, V19: two clocks in one tree: each ends its own; what is above another
// clock ends what is below it, and its deadline is not told there.
#[test]
fn two_clocks_in_one_tree_do_not_mix() {
    let (outer, top) = on_clock();
    let inner = ManualClock::new();
    inner.advance(HOUR);
    let (above, move_above) = top.with_timeout_cause(ms(5), "outer");
    let between = above.with_clock(&inner);
    let (below, _keep) = between.with_timeout_cause(ms(7), "inner");
    let (plain, _keep) = between.with_cancel();
    let (back, _keep) = below.with_clock(&outer).with_timeout(ms(9));
    assert_eq!((outer.outstanding(), inner.outstanding()), (2, 1));
    for ctx in [&between, &plain] {
        assert_eq!((ctx.deadline(), ctx.remaining()), (None, None));
    }
    assert_eq!(below.deadline(), Some(inner.now() + ms(7)));
    assert_eq!(below.remaining(), Some(ms(7)));
    assert_eq!(back.deadline(), Some(outer.now() + ms(9)));
    assert!(move_above.set_deadline(outer.now() + ms(20)));
    assert_eq!(plain.deadline(), None);
    inner.advance(ms(7));
    let text = |ctx: &Context| ctx.cause().map(|cause| cause.to_string());
    assert_eq!(
        (text(&below), text(&back)),
        (Some("inner".into()), Some("inner".into()))
    );
    assert!(!plain.is_cancelled() && !above.is_cancelled());
    inner.advance(HOUR);
    assert!(!plain.is_cancelled());
    outer.advance(ms(20));
    assert_eq!(
        (text(&plain), text(&above)),
        (Some("outer".into()), Some("outer".into()))
    );
    assert_eq!(plain.reason(), Some(Reason::DeadlineExceeded));
    assert_eq!((outer.outstanding(), inner.outstanding()), (0, 0));
}

// V15: clocks that move each other from their callbacks.
#[test]
fn clocks_may_drive_each_other() {
    in_time(|| {
        let (one, on_one) = on_clock();
        let (two, on_two) = on_clock();
        let log = Log::of(&one);
        let fired: Arc<OnceLock<(Context, CancelHandle)>> = Arc::default();
        let (a, _keep) = on_one.with_timeout(ms(5));
        let (b, _keep) = on_two.with_timeout(ms(5));
        let (drives_two, drives_one) = (two.clone(), one.clone());
        a.after_cancel(move |_| drives_two.advance(ms(5))).detach();
        let (inside, arms, set) = (log.clone(), on_one.clone(), fired.clone());
        b.after_cancel(move |_| {
            drives_one.advance(ms(2));
            let pair = arms.with_timeout(ms(1));
            inside.on(&pair.0, "armed");
            assert!(set.set(pair).is_ok());
            inside.note("b");
        })
        .detach();
        let (last, _keep) = on_one.with_timeout(ms(9));
        log.on(&last, "last");
        one.advance(ms(10));
        assert!(b.is_cancelled() && fired.get().unwrap().0.is_cancelled());
        let names = log.names();
        assert_eq!(names.last().map(String::as_str), Some("last"));
        assert_eq!(names.len(), 3);
        assert_eq!(one.now(), log.began + ms(10));
    });
}
