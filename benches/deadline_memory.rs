//! How much memory does a deadline take, and does any of it stay behind when
//! deadlines are armed and disarmed? Counts, not times, so this one fails when
//! an answer is wrong.

mod support;

use std::hint::black_box;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ctxtree::{CancelHandle, Context, time};
use support::Bench;
use support::heap::{Answers, COLLECTED, Counting, count, live};

#[global_allocator]
static HEAP: Counting = Counting;

const HOUR: Duration = Duration::from_secs(3600);

/// What one deadline may take beside its context's node.
const MOST: f64 = 64.0;

fn main() {
    let bench = Bench::start("deadline_memory");
    let mut answers = Answers::default();
    // The first deadline pays for what is made once: the thread, the wheel.
    drop(Context::background().with_timeout(HOUR));
    one(&mut answers);
    outstanding(&mut answers, bench.pick(1_000_000, 20_000));
    come_and_go(&mut answers, bench.pick(100_000_000, 1_000_000));
    of_two(&mut answers, bench.pick(10_000_000, 100_000));
    elsewhere(&mut answers, bench.pick(1_000_000, 20_000));
    moved(&mut answers, bench.pick(1_000_000, 20_000));
    expired(&mut answers, bench.pick(1_000_000, 20_000));
    let left = time::default_driver().outstanding();
    answers.check(left == 0, "outstanding at the end", format_args!("{left}"));
    bench.finish();
    answers.finish();
}

type Pair = (Context, CancelHandle);

/// What `make` takes a time: allocations and bytes; and what it made.
fn cost(times: usize, make: impl FnMut(usize) -> Pair) -> (f64, f64, Vec<Pair>) {
    let mut held = Vec::with_capacity(times);
    let (made, bytes) = (count(), live());
    held.extend((0..times).map(make));
    let each = |total: usize| total as f64 / times as f64;
    (each(count() - made), each(live() - bytes), held)
}

fn one(answers: &mut Answers) {
    const MANY: usize = 1_000;
    let (root, _stop) = Context::background().with_cancel();
    // What a parent makes once.
    drop(cost(100, |_| root.with_cancel()));
    let (plain, _, held) = cost(MANY, |_| root.with_cancel());
    drop(held);
    // The second time, so that what grows with the most that were ever
    // outstanding has grown.
    drop(cost(MANY, |_| root.with_timeout(HOUR)));
    let (timed, bytes, held) = cost(MANY, |_| root.with_timeout(HOUR));
    answers.check(
        timed - plain <= 1.0,
        "with_timeout beside its node",
        format_args!("{:.2} allocations, {bytes:.1} bytes with it", timed - plain),
    );
    let before = count();
    drop(held);
    let made = count() - before;
    answers.check(
        made == 0,
        "the drop of a thousand",
        format_args!("{made} allocations"),
    );
}

fn outstanding(answers: &mut Answers, deadlines: usize) {
    let (root, _stop) = Context::background().with_cancel();
    let (_, plain, held) = cost(deadlines, |_| root.with_cancel());
    drop(held);
    let before = live();
    let a_day = |n: usize| HOUR + Duration::from_millis(n as u64 * 86_400_000 / deadlines as u64);
    let (_, timed, held) = cost(deadlines, |n| root.with_timeout(a_day(n)));
    let beyond = timed - plain;
    answers.check(
        beyond.round() <= MOST,
        &format!("{deadlines} outstanding"),
        format_args!("{beyond:.1} bytes each beyond a node of {plain:.1}"),
    );
    let armed = time::default_driver().outstanding();
    answers.check(
        armed == deadlines,
        "the same, outstanding()",
        format_args!("{armed}"),
    );
    drop(held);
    answers.flat("the same, all dropped", before, live());
    let (_, _, held) = cost(deadlines, |n| root.with_timeout(a_day(n)));
    for (_, handle) in &held {
        handle.cancel();
    }
    drop(held);
    answers.flat_within(COLLECTED, "the same, all cancelled", before, live());
    let (below, stop) = root.with_cancel();
    let (_, _, held) = cost(deadlines, |n| below.with_timeout(a_day(n)));
    stop.cancel();
    drop((held, below, stop));
    turn_over();
    answers.flat_within(
        COLLECTED,
        "the same, their parent cancelled",
        before,
        live(),
    );
}

/// What somebody might still be looking at goes to the collector, which works
/// whenever contexts are used. This gives it that.
fn turn_over() {
    let (root, _stop) = Context::background().with_cancel();
    for _ in 0..100_000 {
        let (middle, handle) = root.with_cancel();
        drop(middle.with_timeout(HOUR));
        handle.cancel();
    }
}

fn come_and_go(answers: &mut Answers, times: usize) {
    let (root, _stop) = Context::background().with_cancel();
    drop(root.with_timeout(HOUR));
    let before = live();
    let mut peak = before;
    let start = Instant::now();
    for turn in 0..times {
        drop(black_box(root.with_timeout(HOUR)));
        if turn % 1_000 == 0 {
            peak = peak.max(live());
        }
    }
    let each = start.elapsed().as_nanos() / times as u128;
    let what = format!("{times} armed and dropped, {each} ns each");
    answers.flat(&what, before, live());
    answers.flat("the same, at its peak", before, peak);
}

fn of_two(answers: &mut Answers, times: usize) {
    let (root, _stop) = Context::background().with_cancel();
    let run = |times: usize| {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..times).for_each(|_| drop(black_box(root.with_timeout(HOUR)))));
            }
        });
    };
    run(times / 10);
    let before = live();
    run(times);
    answers.flat(
        &format!("the same from 2 threads, {times} each"),
        before,
        live(),
    );
}

/// Armed by one thread, dropped by another, as tasks do that move.
fn elsewhere(answers: &mut Answers, times: usize) {
    let (root, _stop) = Context::background().with_cancel();
    let run = |times: usize| {
        let (send, receive) = mpsc::sync_channel(1_000);
        thread::scope(|scope| {
            scope.spawn(|| receive.into_iter().for_each(drop::<Pair>));
            for _ in 0..times {
                send.send(root.with_timeout(HOUR))
                    .expect("the other thread drops all");
            }
            drop(send);
        });
    };
    run(times / 10);
    let before = live();
    run(times);
    answers.flat(
        &format!("{times} armed here, dropped there"),
        before,
        live(),
    );
}

fn moved(answers: &mut Answers, times: usize) {
    let (root, _stop) = Context::background().with_cancel();
    let (_context, handle) = root.with_timeout(HOUR);
    let far = Instant::now() + HOUR;
    handle.set_deadline(far);
    let before = live();
    let mut peak = before;
    for turn in 0..times {
        let way = Duration::from_millis((turn as u64).wrapping_mul(7_919) % 1_000_000);
        assert!(handle.set_deadline(far + way));
        if turn % 1_000 == 0 {
            peak = peak.max(live());
        }
    }
    let what = format!("one deadline moved {times} times");
    answers.flat(&what, before, live());
    answers.flat("the same, at its peak", before, peak);
}

fn expired(answers: &mut Answers, times: usize) {
    const AT_ONCE: usize = 1_000;
    let (root, _stop) = Context::background().with_cancel();
    let run = |times: usize| {
        for _ in 0..times.div_ceil(AT_ONCE) {
            let soon = Instant::now() + Duration::from_millis(1);
            let (_, _, held) = cost(AT_ONCE, |_| root.with_deadline(soon));
            for (context, _) in &held {
                assert!(context.wait().is_timeout());
            }
        }
    };
    run(times / 10);
    turn_over();
    let before = live();
    run(times);
    turn_over();
    answers.flat_within(COLLECTED, &format!("{times} that expired"), before, live());
}
