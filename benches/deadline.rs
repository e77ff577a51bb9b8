//! What does a deadline that never fires cost, from `with_timeout` to the drop
//! of both handles: alone, among many others, and on two threads?
//!
//! The peer is what one writes with tokio: a child token, and a sleep that was
//! polled once, for a sleep that was not is not armed yet. Its runtime has the
//! clock and nothing else, and nobody sleeps in it: the cheapest it has, as no
//! arming ever wakes anyone. A runtime whose workers sleep is a contender of its
//! own.

mod support;

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::Waker;
use std::time::{Duration, Instant};

use ctxtree::{CancelHandle, Context};
use support::Bench;
use support::bits::{Random, poll_once};
use support::question::PEER;
use support::rounds::{looped, looped_for, two_threads};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

const HOUR: Duration = Duration::from_secs(3600);
const PARKED: &str = "tokio-util, workers asleep";
const FLOOR: &str = "with_cancel + clock + malloc";
const ALONE: &str = "ctxtree on 1 thread";

/// Operations between two looks at the clock on two threads.
const CHUNK: u64 = 64;

fn main() {
    let bench = Bench::start("deadline");
    let (idle, parked) = (idle(), parked());
    for number in [0, 100_000] {
        let title = format!("with_timeout(1 h) + drop, 1 thread, {number} others");
        bench.ask(&title, |q| {
            let number = bench.pick(number, number / 100);
            let (root, _stop) = Context::background().with_cancel();
            let held = others(number);
            let (idly, asleep) = (
                others_of_tokio(number, idle.handle()),
                others_of_tokio(number, parked.handle()),
            );
            let mut ours = looped(&bench, move |n| arm(&root, n));
            let mut idle = looped(&bench, tokio(idle.handle()));
            let mut parked = looped(&bench, tokio(parked.handle()));
            let floor = looped(&bench, floor());
            q.ours(move || {
                black_box(&held);
                ours()
            })
            .peer(move || {
                black_box(&idly);
                idle()
            })
            .contender(PARKED, move || {
                black_box(&asleep);
                parked()
            })
            .contender(FLOOR, floor)
            .at_most(0.4, PEER)
        });
    }
    bench.ask("the same, 2 threads of one parent", |q| {
        let (root, _stop) = Context::background().with_cancel();
        let alone = root.clone();
        let (token, other) = (CancellationToken::new(), CancellationToken::new());
        let (idle, parked) = (idle.handle().clone(), parked.handle().clone());
        q.ours(two_threads(&bench, CHUNK, move |n| arm(&root, n)))
            .peer(two_threads(&bench, CHUNK, move |n| {
                arm_tokio(&idle, &token, n)
            }))
            .contender(
                PARKED,
                two_threads(&bench, CHUNK, move |n| arm_tokio(&parked, &other, n)),
            )
            .contender(ALONE, looped(&bench, move |n| arm(&alone, n)))
            .at_most(0.4, PEER)
            .at_most(1.5, ALONE)
    });
    bench.ask("the same, 2 threads, a parent each", |q| {
        let (alone, _stop) = Context::background().with_cancel();
        let idle = idle.handle().clone();
        q.ours(two_threads(&bench, CHUNK, |n| {
            ROOT.with(|(root, _)| arm(root, n));
        }))
        .peer(two_threads(&bench, CHUNK, move |n| {
            TOKEN.with(|token| arm_tokio(&idle, token, n));
        }))
        .contender(ALONE, looped(&bench, move |n| arm(&alone, n)))
        .at_most(0.4, PEER)
        .at_most(1.5, ALONE)
    });
    bench.ask("a random one replaced among 10000", |q| {
        let live = bench.pick(10_000, 200);
        let times = bench.pick(50_000, 200);
        let (root, _stop) = Context::background().with_cancel();
        q.rounds(61)
            .ours(looped_for(times, replacer(live, root)))
            .peer(looped_for(times, tokio_replacer(live, idle.handle())))
            .at_most(0.4, PEER)
    });
    // What a sign of life does to an idle timeout.
    bench.ask("one of 1000 moved to later: set_deadline", |q| {
        let (root, _stop) = Context::background().with_cancel();
        let handles: Vec<_> = (0..1_000).map(|_| root.with_timeout(HOUR)).collect();
        let _guard = idle.enter();
        let mut sleeps: Vec<_> = (0..1_000).map(|_| polled(Box::pin(sleep(HOUR)))).collect();
        let first = Instant::now() + HOUR;
        let later = move |moves: &mut u32| {
            *moves += 1;
            first + *moves * Duration::from_micros(1)
        };
        let (mut random, mut other) = (Random::new(), Random::new());
        let (mut ours, mut theirs) = (0, 0);
        q.ours(looped(&bench, move |n| {
            for _ in 0..n {
                let (_, handle) = &handles[random.below(1_000)];
                black_box(handle.set_deadline(later(&mut ours)));
            }
        }))
        .peer(looped(&bench, move |n| {
            for _ in 0..n {
                let sleep = sleeps[other.below(1_000)].as_mut();
                sleep.reset(later(&mut theirs).into());
            }
        }))
    });
    println!("Go takes 410 ns and 4 allocations on its own machine; a quarter of that is 102 ns");
    bench.finish();
}

thread_local! {
    static ROOT: (Context, CancelHandle) = Context::background().with_cancel();
    static TOKEN: CancellationToken = CancellationToken::new();
    /// Spreads what is outstanding, so that it fills more than one slot.
    static SPREAD: Cell<u64> = const { Cell::new(0) };
}

/// Half an hour to an hour and a half, in steps of a prime number of microseconds.
fn spread() -> Duration {
    SPREAD.with(|spread| {
        spread.set((spread.get() + 1_299_709) % HOUR.as_micros() as u64);
        HOUR / 2 + Duration::from_micros(spread.get())
    })
}

/// Zero to a minute, at random.
fn seconds(random: &mut Random) -> Duration {
    Duration::from_micros(random.below(60_000_000) as u64)
}

fn idle() -> Runtime {
    let runtime = Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime without threads can be had")
}

fn parked() -> Runtime {
    let runtime = Builder::new_multi_thread().enable_time().build();
    let runtime = runtime.expect("the system has threads to give");
    // So that none of what is armed later is the earliest, which wakes a worker.
    runtime.spawn(async { sleep(HOUR / 4).await });
    runtime
}

fn arm(parent: &Context, times: u64) {
    for _ in 0..times {
        drop(black_box(black_box(parent).with_timeout(black_box(HOUR))));
    }
}

fn arm_tokio(runtime: &Handle, parent: &CancellationToken, times: u64) {
    let _guard = runtime.enter();
    for _ in 0..times {
        let token = black_box(black_box(parent).child_token());
        poll_once(pin!(sleep(black_box(HOUR))), Waker::noop());
        drop(token);
    }
}

fn tokio(runtime: &Handle) -> impl FnMut(u64) + use<> {
    let (runtime, parent) = (runtime.clone(), CancellationToken::new());
    move |n| arm_tokio(&runtime, &parent, n)
}

/// What a deadline cannot do without when its context has a node already: a look
/// at the clock, and memory for what is in the timer.
fn floor() -> impl FnMut(u64) {
    const ENTRY: Layout = match Layout::from_size_align(64, 8) {
        Ok(layout) => layout,
        Err(_) => panic!("64 bytes at 8 is a layout"),
    };
    let (parent, handle) = Context::background().with_cancel();
    move |n| {
        black_box(&handle);
        for _ in 0..n {
            let context = black_box(black_box(&parent).with_cancel());
            black_box(Instant::now());
            // SAFETY: `ENTRY` is not of size zero.
            let entry = black_box(unsafe { alloc(ENTRY) });
            if entry.is_null() {
                handle_alloc_error(ENTRY);
            }
            // SAFETY: `entry` came from `alloc` with this layout just above, and
            // nothing else has it.
            unsafe { dealloc(entry, ENTRY) };
            drop(context);
        }
    }
}

type Pair = (Context, CancelHandle);
type TokioPair = (CancellationToken, Pin<Box<Sleep>>);

/// What is outstanding while something else is measured.
fn others(number: usize) -> Vec<Pair> {
    let (root, _stop) = Context::background().with_cancel();
    (0..number).map(|_| root.with_timeout(spread())).collect()
}

fn others_of_tokio(number: usize, runtime: &Handle) -> Vec<TokioPair> {
    let _guard = runtime.enter();
    let root = CancellationToken::new();
    let one = |_| (root.child_token(), polled(Box::pin(sleep(spread()))));
    (0..number).map(one).collect()
}

fn polled(mut sleep: Pin<Box<Sleep>>) -> Pin<Box<Sleep>> {
    poll_once(sleep.as_mut(), Waker::noop());
    sleep
}

/// Fills the places, and ages them, as `churn` does.
fn replacer(live: usize, root: Context) -> impl FnMut(u64) {
    let mut random = Random::new();
    let mut places: Vec<_> = (0..live).map(|_| root.with_timeout(spread())).collect();
    let mut replace = move |times: u64| {
        for _ in 0..times {
            let place = random.below(live);
            places[place] = black_box(root.with_timeout(HOUR + seconds(&mut random)));
        }
    };
    replace(4 * live as u64);
    replace
}

/// The box of a sleep is used again: a task has it in itself.
fn tokio_replacer(live: usize, runtime: &Handle) -> impl FnMut(u64) + use<> {
    let runtime = runtime.clone();
    let root = CancellationToken::new();
    let mut random = Random::new();
    let mut places = others_of_tokio(live, &runtime);
    let mut replace = move |times: u64| {
        let _guard = runtime.enter();
        for _ in 0..times {
            let (token, timer) = &mut places[random.below(live)];
            *token = black_box(root.child_token());
            timer.as_mut().set(sleep(HOUR + seconds(&mut random)));
            poll_once(timer.as_mut(), Waker::noop());
        }
    };
    replace(4 * live as u64);
    replace
}
