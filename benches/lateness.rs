//! How late do deadlines fire on the default driver, and does one that is far
//! away ever wake the process? A deadline that fires early, or a process that
//! wakes for nothing, fails the run; lateness is for whoever reads it.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ctxtree::Context;
use support::Bench;
use support::bits::Random;
use support::heap::Answers;
use support::stats::Histogram;

/// What 99 of 100 must not exceed.
const GOAL: Duration = Duration::from_millis(2);

fn main() {
    let bench = Bench::start("lateness");
    let mut answers = Answers::default();
    idle(
        &mut answers,
        1_000,
        bench.pick(Duration::from_secs(3), Duration::from_millis(300)),
    );
    late(
        &mut answers,
        bench.pick(10_000, 500),
        bench.pick(Duration::from_secs(5), Duration::from_millis(250)),
    );
    late_at_once(&mut answers, bench.pick(10_000, 500));
    bench.finish();
    answers.finish();
}

/// Each deadline's callback tells how late it runs.
fn late(answers: &mut Answers, deadlines: usize, within: Duration) {
    let (root, _stop) = Context::background().with_cancel();
    let mut random = Random::new();
    let from = Instant::now() + Duration::from_millis(20);
    let at = |_| from + Duration::from_nanos(random.below(within.as_nanos() as usize) as u64);
    let instants: Vec<_> = (0..deadlines).map(at).collect();
    let title = format!("{deadlines} deadlines spread over {within:?}");
    let p99 = tell(answers, &title, &root, instants);
    let goal = GOAL.as_nanos() as f64;
    let word = if p99 < goal { "met" } else { "MISSED" };
    println!("; goal of p99 {}: {word}", micros(goal));
}

fn late_at_once(answers: &mut Answers, deadlines: usize) {
    let (root, _stop) = Context::background().with_cancel();
    let at = Instant::now() + Duration::from_millis(200);
    let title = format!("{deadlines} deadlines at one instant");
    tell(answers, &title, &root, vec![at; deadlines]);
    println!();
}

/// The p99, in nanoseconds.
fn tell(answers: &mut Answers, title: &str, root: &Context, instants: Vec<Instant>) -> f64 {
    // How late each was, and one more; zero while it has not fired. Whoever reads
    // them sleeps till then.
    let fired: Arc<[AtomicU64]> = instants.iter().map(|_| AtomicU64::new(0)).collect();
    let early = Arc::new(AtomicUsize::new(0));
    let mut held = Vec::with_capacity(instants.len());
    for (number, &at) in instants.iter().enumerate() {
        let (context, handle) = root.with_deadline(at);
        let (fired, early) = (Arc::clone(&fired), Arc::clone(&early));
        let callback = context.after_cancel(move |_| {
            let now = Instant::now();
            if now < at {
                early.fetch_add(1, Ordering::Relaxed);
            }
            let late = now.saturating_duration_since(at).as_nanos() as u64;
            fired[number].store(late + 1, Ordering::Release);
        });
        held.push((context, handle, callback));
    }
    let last = instants.iter().max().copied().unwrap_or_else(Instant::now);
    let missing = || {
        let all = fired.iter();
        all.filter(|late| late.load(Ordering::Acquire) == 0).count()
    };
    let mut turns = 100;
    thread::sleep(last.saturating_duration_since(Instant::now()));
    while missing() > 0 && turns > 0 {
        thread::sleep(Duration::from_millis(100));
        turns -= 1;
    }
    let missing = missing();
    answers.check(missing == 0, title, format_args!("{missing} did not fire"));
    let early = early.load(Ordering::Relaxed);
    answers.check(early == 0, title, format_args!("{early} early"));
    let mut histogram = Histogram::new();
    for late in fired.iter().map(|late| late.load(Ordering::Relaxed)) {
        histogram.record(late.saturating_sub(1));
    }
    print!(
        "     {title}: late by {}, p99 {}, worst {}",
        micros(histogram.quantile(0.5)),
        micros(histogram.quantile(0.99)),
        micros(histogram.worst()),
    );
    histogram.quantile(0.99)
}

fn micros(nanos: f64) -> String {
    format!("{:.0} µs", nanos / 1e3)
}

/// Every time that a thread went to sleep it had been awake, so sleeps that are
/// begun count wake-ups.
fn idle(answers: &mut Answers, deadlines: usize, length: Duration) {
    let (root, _stop) = Context::background().with_cancel();
    let hours = |n| Duration::from_secs(3600) + Duration::from_millis(977 * n as u64);
    let held: Vec<_> = (0..deadlines)
        .map(|n| root.with_timeout(hours(n)))
        .collect();
    let title = format!("{deadlines} deadlines far away, {length:?}");
    let Some(before) = settled() else {
        println!("     {title}: not counted, there is no /proc here");
        return;
    };
    thread::sleep(length);
    let after = sleeps_of_others().unwrap_or_default();
    let threads = after.len();
    let sleeps = |all: &[(String, u64)]| all.iter().map(|(_, count)| count).sum::<u64>();
    let woken = sleeps(&after).saturating_sub(sleeps(&before));
    answers.check(
        woken == 0 && threads == before.len(),
        &title,
        format_args!("{woken} wake-ups of {threads} other threads"),
    );
    drop(held);
}

/// The same once every thread has slept and none wakes: the timers' thread may be
/// slow to start. What has not settled in ten seconds is counted as it is.
fn settled() -> Option<Vec<(String, u64)>> {
    let mut before = sleeps_of_others()?;
    for _ in 0..50 {
        thread::sleep(Duration::from_millis(200));
        let now = sleeps_of_others()?;
        if now == before && now.iter().all(|(_, count)| *count > 0) {
            break;
        }
        before = now;
    }
    Some(before)
}

/// The threads but this one, and how often each has gone to sleep.
fn sleeps_of_others() -> Option<Vec<(String, u64)>> {
    let own = std::fs::read_link("/proc/thread-self").ok()?;
    let own = own.file_name()?.to_owned();
    let mut all = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let task = task.ok()?;
        if task.file_name() == own {
            continue;
        }
        let status = std::fs::read_to_string(task.path().join("status")).ok()?;
        let count = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        let name = task.file_name().to_string_lossy().into_owned();
        all.push((name, count.trim().parse().ok()?));
    }
    Some(all)
}
