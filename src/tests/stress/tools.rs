//! What the stress tests share: sizes, wakers, random numbers, duels.

use super::heap::{SLACK, live};
use super::watchdog::{Counter, Watch};
use ctxtree::{BoxTask, CancelError, CancelHandle, Context, Refused};
use std::future::Future;
use std::hint;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{self, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;
use std::time::Duration;

pub(crate) type Pair = (Context, CancelHandle);

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

/// So many milliseconds.
pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) fn is_full() -> bool {
    std::env::var_os("STRESS").is_some_and(|size| size == "full")
}

/// A size: the full one if `STRESS=full`.
pub(crate) fn pick(full: usize, quick: usize) -> usize {
    if is_full() { full } else { quick }
}

pub(crate) fn root() -> Pair {
    Context::background().with_cancel()
}

/// Counts wakes.
pub(crate) struct Wakes {
    count: AtomicUsize,
    slow: usize,
}

impl Wakes {
    pub(crate) fn new() -> (Arc<Wakes>, Waker) {
        let wakes = Arc::new(Wakes {
            count: AtomicUsize::new(0),
            slow: 0,
        });
        (wakes.clone(), Waker::from(wakes))
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(SeqCst)
    }

    fn add(&self) {
        self.count.fetch_add(1, SeqCst);
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.add();
    }
}

struct OnWake<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// A waker that runs `f` when it is woken.
pub(crate) fn on_wake(f: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(OnWake(f)))
}

/// A waker that counts, as [`Wakes`], and takes its time to be cloned: so there is
/// time for a cancel between the look of a poll and its registration.
pub(crate) fn slow_waker(random: &mut Random) -> (Arc<Wakes>, Waker) {
    let wakes = Arc::new(Wakes {
        count: AtomicUsize::new(0),
        slow: [0, 20, 100, YIELDS][random.below(4)],
    });
    let raw = RawWaker::new(Arc::into_raw(wakes.clone()).cast(), &SLOW);
    // SAFETY: the functions of the table own one count for each waker.
    (wakes, unsafe { Waker::from_raw(raw) })
}

/// So slow that another thread comes in even where there is one processor.
const YIELDS: usize = 200;

static SLOW: RawWakerVTable = RawWakerVTable::new(
    // SAFETY: called with the data of a waker of this table, which owns a count.
    |data| unsafe { slow_clone(data) },
    // SAFETY: the same, and the count is given up.
    |data| unsafe { Arc::from_raw(data.cast::<Wakes>()) }.wake(),
    // SAFETY: as in the first.
    |data| unsafe { &*data.cast::<Wakes>() }.add(),
    // SAFETY: as in the second.
    |data| drop(unsafe { Arc::from_raw(data.cast::<Wakes>()) }),
);

/// # Safety
///
/// The data is that of a waker of the table `SLOW`.
unsafe fn slow_clone(data: *const ()) -> RawWaker {
    let data = data.cast::<Wakes>();
    // SAFETY: the waker owns a count.
    let slow = unsafe { &*data }.slow;
    if slow == YIELDS {
        thread::yield_now();
    }
    (0..slow).for_each(|_| hint::spin_loop());
    // SAFETY: the same.
    unsafe { Arc::increment_strong_count(data) };
    RawWaker::new(data.cast(), &SLOW)
}

/// Polls once.
pub(crate) fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut task::Context::from_waker(waker))
}

/// Polls once with a waker that does nothing.
pub(crate) fn peek<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll(future, Waker::noop())
}

/// Polls until ready, parked in between.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let thread = thread::current();
    let waker = on_wake(move || thread.unpark());
    loop {
        let polled = future.as_mut().poll(&mut task::Context::from_waker(&waker));
        match polled {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// A callback that counts.
pub(crate) fn counts(runs: &Arc<AtomicUsize>) -> impl FnOnce(&CancelError) + Send + use<> {
    let runs = runs.clone();
    move |_| {
        runs.fetch_add(1, SeqCst);
    }
}

/// The text of a panic.
pub(crate) fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not a text")
}

/// Tasks that were given to be run, for who runs them by hand.
#[derive(Clone, Default)]
pub(crate) struct Hand(Arc<Mutex<Vec<BoxTask>>>);

impl Hand {
    pub(crate) fn spawner(&self) -> impl Fn(BoxTask) -> Result<(), Refused> + Send + Sync + use<> {
        let tasks = self.0.clone();
        move |task| {
            tasks.lock().unwrap().push(task);
            Ok(())
        }
    }

    /// Takes all.
    pub(crate) fn take(&self) -> Vec<BoxTask> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Numbers that look random, the same ones for the same seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }

    /// Passes some time: mostly next to none, sometimes more than a cancel takes.
    pub(crate) fn dawdle(&mut self) {
        let most = [1, 20, 100, 500][self.below(4)];
        (0..self.below(most)).for_each(|_| hint::spin_loop());
        // Where both have one processor, who goes first must change as well.
        if self.below(4) == 0 {
            thread::yield_now();
        }
    }
}

/// Waits for another thread a little, and then lets it run.
#[derive(Default)]
pub(crate) struct Patience(u32);

impl Patience {
    pub(crate) fn wait(&mut self) {
        self.0 += 1;
        if self.0 % 128 == 0 {
            thread::yield_now();
        } else {
            hint::spin_loop();
        }
    }
}

/// How far a thread is: rounds begun, and rounds done.
#[derive(Default)]
#[repr(align(128))]
struct Place {
    begun: AtomicUsize,
    done: AtomicUsize,
}

/// One round of a duel, as seen by one of the two.
pub(crate) struct Round<'d> {
    other: &'d Place,
    number: usize,
}

impl Round<'_> {
    /// Whether the other one has ended this round.
    pub(crate) fn is_over_there(&self) -> bool {
        self.other.done.load(SeqCst) >= self.number
    }

    /// Waits until it has.
    pub(crate) fn await_other(&self) {
        let mut patience = Patience::default();
        while !self.is_over_there() {
            patience.wait();
        }
    }

    /// Waits for a wake that the other one must give before it ends this round.
    pub(crate) fn await_wake(&self, wakes: &Wakes) {
        let mut patience = Patience::default();
        loop {
            let over = self.is_over_there();
            if wakes.count() > 0 {
                return;
            }
            assert!(!over, "a wake-up was lost in round {}", self.number);
            patience.wait();
        }
    }
}

/// Two threads that meet before each of many rounds, and then race.
///
/// `make` makes what both get; `here` runs on this thread, `there` on the other.
/// The process is the test's own: what the rounds leave on the heap is an error.
pub(crate) fn duel<A, B: Send + 'static>(
    watch: &Watch,
    rounds: usize,
    mut make: impl FnMut(&mut Random) -> (A, B),
    mut here: impl FnMut(A, &mut Random, &Round<'_>),
    mut there: impl FnMut(B, &mut Random) + Send + 'static,
) {
    const BATCH: usize = 256;
    let places: Arc<[Place; 2]> = Arc::default();
    let done: Counter = watch.count("rounds");
    let (send, receive) = mpsc::channel::<Vec<B>>();
    let other = {
        let (places, over) = (places.clone(), watch.clone());
        watch.start("other", move || {
            let (mut random, mut number) = (Random::new(2), 0);
            for batch in receive {
                for b in batch {
                    number += 1;
                    meet(&places[1], &places[0], number, &over);
                    random.dawdle();
                    there(b, &mut random);
                    places[1].done.store(number, SeqCst);
                }
            }
        })
    };
    let (mut random, mut number) = (Random::new(1), 0);
    // What stays is made by the first rounds.
    let (mut base, mut last) = (None, rounds);
    while number < last {
        let (ours, theirs): (Vec<A>, Vec<B>) = (0..BATCH).map(|_| make(&mut random)).unzip();
        send.send(theirs).unwrap();
        for a in ours {
            number += 1;
            meet(&places[0], &places[1], number, watch);
            random.dawdle();
            let round = Round {
                other: &places[1],
                number,
            };
            here(a, &mut random, &round);
            done.add(1);
        }
        let ended = Round {
            other: &places[1],
            number,
        };
        ended.await_other();
        if base.is_none() && number >= rounds / 8 {
            base = Some(live());
        }
        let grown = live() - base.unwrap_or_default();
        if number >= last && grown >= SLACK {
            // What the other thread deferred may still be on its way.
            assert!(number < rounds + 64 * BATCH, "{grown} bytes more");
            last = number + 1;
        }
    }
    drop(send);
    other.join().unwrap();
}

fn meet(own: &Place, other: &Place, number: usize, watch: &Watch) {
    own.begun.store(number, SeqCst);
    let mut patience = Patience::default();
    while other.begun.load(SeqCst) < number {
        assert!(!watch.has_failed(), "the other one is gone");
        patience.wait();
    }
}
