//! How much memory does a live context take, does any of it stay behind when
//! contexts and waits come and go, and does depth cost stack? Counts, not
//! times, so this one fails when an answer is wrong.

mod support;

use std::fmt::{self, Write};
use std::hint::black_box;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ctxtree::{CancelHandle, Context, Key};
use support::Bench;
use support::bits::{poll_once, wakers};
use support::heap::{Answers, COLLECTED, Counting, count, largest, live};

#[global_allocator]
static HEAP: Counting = Counting;

fn main() {
    let bench = Bench::start("memory");
    let mut answers = Answers::default();
    leaf(&mut answers);
    values(&mut answers);
    callbacks(&mut answers, bench.pick(1_000_000, 20_000));
    links(&mut answers, bench.pick(100_000, 5_000));
    short_children(&mut answers, bench.pick(10_000_000, 100_000));
    short_children_of_two(&mut answers, bench.pick(5_000_000, 50_000));
    waits(&mut answers, bench.pick(1_000_000, 20_000));
    emptied(&mut answers, bench.pick(1_000_000, 20_000));
    deep(&mut answers, bench.pick(1_000_000, 50_000));
    bench.finish();
    answers.finish();
}

fn leaf(answers: &mut Answers) {
    const LEAVES: usize = 1_000;
    let (root, _handle) = Context::background().with_cancel();
    // The first few pay for what is made once a thread or a parent, and use up
    // the freed blocks that this thread has kept.
    let _first: Vec<_> = (0..300).map(|_| root.with_cancel()).collect();
    let mut leaves: Vec<(Context, CancelHandle)> = Vec::with_capacity(LEAVES);
    let (before, bytes) = (count(), live());
    largest();
    leaves.extend((0..LEAVES).map(|_| root.with_cancel()));
    let made = count() - before;
    let bytes = live() - bytes;
    let (largest, align) = largest();
    answers.check(
        made == LEAVES && largest <= 128,
        "one live leaf",
        format_args!(
            "{} allocations of {} bytes, the largest {largest}, aligned to {align}",
            made as f64 / LEAVES as f64,
            bytes as f64 / LEAVES as f64,
        ),
    );
    let handles = (size_of::<Context>(), size_of::<CancelHandle>());
    let word = size_of::<usize>();
    answers.check(
        handles == (word, word),
        "the handles",
        format_args!("{} and {} bytes", handles.0, handles.1),
    );
}

fn values(answers: &mut Answers) {
    const LEAVES: usize = 1_000;
    let (root, _handle) = Context::background().with_cancel();
    let root = root.with_value(7_u8);
    drop(root.with_value(0_u64));
    let mut leaves: Vec<Context> = Vec::with_capacity(LEAVES);
    let (before, bytes) = (count(), live());
    for number in 0..LEAVES as u64 {
        let leaf = root.with_value(number);
        assert_eq!(leaf.value(), Some(&number));
        assert!(leaf.value::<i8>().is_none());
        leaves.push(leaf);
    }
    let made = count() - before;
    let bytes = live() - bytes;
    answers.check(
        made == LEAVES,
        "a context with a value, looked up",
        format_args!(
            "{} allocations, {} bytes with a u64",
            made as f64 / LEAVES as f64,
            bytes as f64 / LEAVES as f64,
        ),
    );
    drop(leaves);
    let before = count();
    for _ in 0..LEAVES {
        let leaf = root.with_value(vec![0_u8; 4]);
        assert!(leaf.value::<Vec<u8>>().is_some());
    }
    let made = count() - before;
    answers.check(
        made == 2 * LEAVES,
        "the same with a value of one allocation, and its drop",
        format_args!("{} allocations", made as f64 / LEAVES as f64),
    );
    // A line that is read as it grows keeps each value in few indexes.
    const MANY: usize = 1_000;
    static KEYS: [Key<u8>; MANY] = [const { Key::new("key") }; MANY];
    let mut tip = root;
    let (mut held, mut indexes) = (Vec::with_capacity(MANY), 0);
    for key in &KEYS {
        tip = tip.with_key(key, 0);
        held.push(tip.clone());
        let before = live();
        assert!(tip.value::<i8>().is_none());
        indexes += live() - before;
    }
    answers.check(
        indexes <= MANY * 64 * 10,
        "indexes of 1000 values that were read at each step",
        format_args!("{} bytes a value", indexes / MANY),
    );
}

fn callbacks(answers: &mut Answers, times: usize) {
    const MANY: usize = 1_000;
    let (context, handle) = Context::background().with_cancel();
    drop(context.after_cancel(|_| ()));
    let mut held = Vec::with_capacity(MANY);
    let before = count();
    for number in 0..MANY {
        held.push(context.after_cancel(move |_| assert!(black_box(number) < MANY)));
    }
    let made = count() - before;
    answers.check(
        made == MANY,
        "a callback, closure and all",
        format_args!("{} allocations", made as f64 / MANY as f64),
    );
    drop(held);
    let before = live();
    let mut peak = before;
    for turn in 0..times {
        drop(black_box(context.after_cancel(|_| ())));
        if turn % 1_000 == 0 {
            peak = peak.max(live());
        }
    }
    let what = format!("{times} callbacks registered and dropped");
    answers.flat(&what, before, live());
    answers.flat("the same, at its peak", before, peak);
    let before = live();
    for _ in 0..times {
        let (child, _handle) = context.with_cancel();
        child.after_cancel(|_| ()).detach();
    }
    let what = "as many contexts dropped with a callback";
    answers.flat_within(COLLECTED, what, before, live());
    assert!(handle.cancel());
}

fn links(answers: &mut Answers, times: usize) {
    let (context, _handle) = Context::background().with_cancel();
    let (other, _other) = Context::background().with_cancel();
    drop(context.link([&other]));
    let before = live();
    let mut peak = before;
    for turn in 0..times {
        let (_link, handle) = context.link([&other]);
        // Detached by its end, or by being done.
        if turn % 2 == 0 {
            handle.cancel();
        }
        if turn % 1_000 == 0 {
            peak = peak.max(live());
        }
    }
    let what = format!("{times} links on one parent that lives on");
    answers.flat_within(COLLECTED, &what, before, live());
    answers.flat_within(COLLECTED, "the same, at its peak", before, peak);
    let left = other.live_children() + context.live_children();
    answers.check(
        left == 0,
        "the same, live_children()",
        format_args!("{left}"),
    );
}

fn short_children(answers: &mut Answers, children: usize) {
    let (root, _handle) = Context::background().with_cancel();
    drop(root.with_cancel());
    let before = live();
    let mut peak = before;
    for child in 0..children {
        drop(black_box(root.with_cancel()));
        if child % 1_000 == 0 {
            peak = peak.max(live());
        }
    }
    let what = format!("{children} short children of one live parent");
    answers.flat(&what, before, live());
    answers.flat("the same, at its peak", before, peak);
    let left = root.live_children();
    answers.check(
        left == 0,
        "the same, live_children()",
        format_args!("{left}"),
    );
}

fn short_children_of_two(answers: &mut Answers, each: usize) {
    let (root, _handle) = Context::background().with_cancel();
    let run = |children: usize| {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..children).for_each(|_| drop(black_box(root.with_cancel()))));
            }
        });
    };
    run(each / 10);
    let before = live();
    run(each);
    answers.flat(
        &format!("the same from 2 threads, {each} each"),
        before,
        live(),
    );
    let left = root.live_children();
    answers.check(
        left == 0,
        "the same, live_children()",
        format_args!("{left}"),
    );
}

fn waits(answers: &mut Answers, waits: usize) {
    for (name, waker) in wakers() {
        let (context, _handle) = Context::background().with_cancel();
        let one = || poll_once(pin!(context.cancelled()), &waker);
        one();
        let before = live();
        let mut pending = true;
        for _ in 0..waits {
            pending &= one();
        }
        assert!(pending, "nobody cancels");
        answers.flat(
            &format!("{waits} waits registered and dropped; {name}"),
            before,
            live(),
        );
    }
}

fn emptied(answers: &mut Answers, children: usize) {
    let before = live();
    let (root, handle) = Context::background().with_cancel();
    let mut nodes: Vec<_> = (0..children).map(|_| root.with_cancel()).collect();
    nodes.truncate(children / 2);
    handle.cancel();
    drop((nodes, root, handle));
    // What somebody might still be looking at goes to the collector, which
    // works whenever contexts are used. Give it that.
    let (root, _handle) = Context::background().with_cancel();
    for _ in 0..100_000 {
        let middle = root.with_cancel();
        drop(middle.0.with_cancel());
        middle.1.cancel();
    }
    answers.flat(
        &format!("{children} children at once, half dropped live"),
        before,
        live(),
    );
}

/// A sink that only counts: a path of a million parts need not be stored.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0 += part.len();
        Ok(())
    }
}

fn deep(answers: &mut Answers, depth: usize) {
    let before = live();
    // Only the ends are held first, so that middles die as orphans; then every
    // level, dropped from either end.
    for (way, keep) in [
        ("ends held", Keep::Ends),
        ("top down", Keep::Top),
        ("bottom up", Keep::Bottom),
    ] {
        let finished = AtomicBool::new(false);
        thread::scope(|scope| {
            thread::Builder::new()
                .stack_size(64 << 10)
                .spawn_scoped(scope, || {
                    finished.store(descend(depth, keep), Ordering::Relaxed)
                })
                .expect("the system has threads to give");
        });
        answers.check(
            finished.into_inner(),
            &format!("{depth} deep on a 64 KiB stack, {way}"),
            format_args!("derived, printed, cancelled, dropped"),
        );
    }
    let (root, _handle) = Context::background().with_cancel();
    for _ in 0..100_000 {
        let middle = root.with_cancel();
        drop(middle.0.with_cancel());
    }
    answers.flat("after the depths", before, live());
}

#[derive(Clone, Copy)]
enum Keep {
    Ends,
    Top,
    Bottom,
}

fn descend(depth: usize, keep: Keep) -> bool {
    let (root, handle) = Context::background().with_cancel();
    let mut tip = root.with_cancel();
    let mut held = Vec::new();
    for _ in 1..depth {
        let next = tip.0.with_cancel();
        let above = std::mem::replace(&mut tip, next);
        match keep {
            Keep::Ends => drop(above),
            Keep::Top | Keep::Bottom => held.push(above),
        }
    }
    let mut length = Length(0);
    write!(length, "{} {:?} {:?}", tip.0, tip.0, tip.1).expect("counting never fails");
    let cancelled = handle.cancel() && tip.0.is_cancelled();
    write!(length, "{} {:?}", tip.0, tip.0).expect("counting never fails");
    match keep {
        Keep::Ends | Keep::Top => held.into_iter().for_each(drop),
        Keep::Bottom => held.into_iter().rev().for_each(drop),
    }
    drop(root);
    drop(tip);
    cancelled && length.0 > 0
}
