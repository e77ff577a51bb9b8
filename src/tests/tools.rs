//! What the tests share: wakers, threads with a watchdog, processes.

use crate::time::ManualClock;
use crate::{Cause, Context, Reason};
use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{self, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread::{self, Builder, ThreadId};
use std::time::{Duration, Instant};

/// Counts wakes.
pub(super) struct Wakes(AtomicUsize);

impl Wakes {
    pub(super) fn new() -> (Arc<Wakes>, Waker) {
        let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
        (wakes.clone(), Waker::from(wakes))
    }

    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct OnWake<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// A waker that runs `f` when it is woken.
pub(super) fn on_wake(f: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(OnWake(f)))
}

/// An error that runs `f` when it is dropped.
pub(super) struct OnDrop<F: Fn() + Send + Sync + 'static>(pub(super) F);

impl<F: Fn() + Send + Sync + 'static> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl<F: Fn() + Send + Sync + 'static> fmt::Debug for OnDrop<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnDrop")
    }
}

impl<F: Fn() + Send + Sync + 'static> fmt::Display for OnDrop<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("on drop")
    }
}

impl<F: Fn() + Send + Sync + 'static> std::error::Error for OnDrop<F> {}

/// A cause that runs `f` when it is dropped.
pub(super) fn cause_on_drop(f: impl Fn() + Send + Sync + 'static) -> Cause {
    Cause::new(OnDrop(f))
}

/// Counts drops, and says on which thread the last one was.
#[derive(Clone, Default)]
pub(super) struct Drops(Arc<(AtomicUsize, Mutex<Option<ThreadId>>)>);

impl Drops {
    pub(super) fn value(&self) -> OnDrop<impl Fn() + Send + Sync + 'static> {
        let drops = self.clone();
        OnDrop(move || {
            drops.0.0.fetch_add(1, Ordering::SeqCst);
            *drops.0.1.lock().unwrap() = Some(thread::current().id());
        })
    }

    pub(super) fn count(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    #[cfg(feature = "internal-model")]
    /// Where the last one was.
    pub(super) fn thread(&self) -> Option<ThreadId> {
        *self.0.1.lock().unwrap()
    }
}

type Hook = Box<dyn Fn() + Send + Sync>;

/// A waker that runs code of ours wherever a waker can.
#[derive(Default)]
pub(super) struct Hostile {
    on_clone: Option<Hook>,
    on_wake: Option<Hook>,
    on_drop: Option<Hook>,
}

impl Hostile {
    pub(super) fn new() -> Hostile {
        Hostile::default()
    }

    /// Runs `f` for every clone of the waker, before it is made.
    pub(super) fn on_clone(mut self, f: impl Fn() + Send + Sync + 'static) -> Hostile {
        self.on_clone = Some(Box::new(f));
        self
    }

    /// Runs `f` for every wake, also one by reference.
    pub(super) fn on_wake(mut self, f: impl Fn() + Send + Sync + 'static) -> Hostile {
        self.on_wake = Some(Box::new(f));
        self
    }

    /// Runs `f` for every drop of a waker that was not woken by value.
    pub(super) fn on_drop(mut self, f: impl Fn() + Send + Sync + 'static) -> Hostile {
        self.on_drop = Some(Box::new(f));
        self
    }

    pub(super) fn waker(self) -> Waker {
        let data = Arc::into_raw(Arc::new(self)).cast::<()>();
        // SAFETY: the functions of `HOSTILE` take such a pointer, each waker
        // owns one count of the `Arc`, and `Hostile` is `Send` and `Sync`.
        unsafe { Waker::from_raw(RawWaker::new(data, &HOSTILE)) }
    }
}

const HOSTILE: RawWakerVTable = RawWakerVTable::new(
    hostile_clone,
    hostile_wake,
    hostile_wake_by_ref,
    hostile_drop,
);

fn run(hook: &Option<Hook>) {
    if let Some(hook) = hook {
        hook();
    }
}

/// # Safety
///
/// `data` is that of a waker of `Hostile::waker`.
unsafe fn hostile_clone(data: *const ()) -> RawWaker {
    let data = data.cast::<Hostile>();
    // SAFETY: the waker keeps it.
    run(unsafe { &(*data).on_clone });
    // SAFETY: from `Arc::into_raw`, and the waker keeps it.
    unsafe { Arc::increment_strong_count(data) };
    RawWaker::new(data.cast(), &HOSTILE)
}

/// # Safety
///
/// As `hostile_clone`; the waker is not used again.
unsafe fn hostile_wake(data: *const ()) {
    // SAFETY: the waker's own count, given up here.
    let hostile = unsafe { Arc::from_raw(data.cast::<Hostile>()) };
    run(&hostile.on_wake);
}

/// # Safety
///
/// As `hostile_clone`.
unsafe fn hostile_wake_by_ref(data: *const ()) {
    // SAFETY: the waker keeps it.
    run(unsafe { &(*data.cast::<Hostile>()).on_wake });
}

/// # Safety
///
/// As `hostile_clone`; the waker is not used again.
unsafe fn hostile_drop(data: *const ()) {
    // SAFETY: the waker's own count, given up here.
    let hostile = unsafe { Arc::from_raw(data.cast::<Hostile>()) };
    run(&hostile.on_drop);
}

/// Turns what can run once into what may be called often.
pub(super) fn once(f: impl FnOnce() + Send + 'static) -> impl Fn() + Send + Sync + 'static {
    let f = Mutex::new(Some(f));
    move || {
        let taken = f.lock().unwrap().take();
        if let Some(f) = taken {
            f();
        }
    }
}

/// Polls once.
pub(super) fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut task::Context::from_waker(waker))
}

/// Polls once with a waker that does nothing.
pub(super) fn peek<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll(future, Waker::noop())
}

/// The text of a panic.
pub(super) fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not a text")
}

/// How long a test may take before it fails: two minutes, or as many seconds as
/// `CTXTREE_TEST_PATIENCE` says.
fn patience() -> Duration {
    let seconds = std::env::var("CTXTREE_TEST_PATIENCE");
    Duration::from_secs(seconds.map_or(120, |text| text.parse().expect("a number of seconds")))
}

/// Runs `f` on a thread of its own; fails, rather than hangs, if it hangs.
pub(super) fn in_time<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    watched(Builder::new(), f)
}

/// As [`in_time`], with a stack of 64 KiB.
pub(super) fn on_small_stack<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    watched(Builder::new().stack_size(64 * 1024), f)
}

fn watched<T: Send + 'static>(builder: Builder, f: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel::<()>();
    let thread = builder.spawn(move || {
        // Dropped by a panic too: the end of the channel is the signal.
        let _done = done;
        f()
    });
    let thread = thread.unwrap();
    let patience = patience();
    if wait.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("did not end within {patience:?}");
    }
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// What `make` makes for an instant that is still to come when it has done so.
/// That is `from_now` off, or later if it takes longer, as on a machine that does
/// other things: then what was made before goes, whatever became of it.
pub(super) fn in_advance<T>(from_now: Duration, mut make: impl FnMut(Instant) -> T) -> T {
    let mut from_now = from_now;
    loop {
        let at = Instant::now() + from_now;
        let made = make(at);
        if Instant::now() < at {
            return made;
        }
        from_now *= 2;
    }
}

/// A clock at rest, and a root that follows it.
pub(super) fn on_clock() -> (ManualClock, Context) {
    let clock = ManualClock::new();
    let root = Context::background().with_clock(&clock);
    (clock, root)
}

/// So many milliseconds.
pub(super) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The least that a clock can move.
pub(super) const TICK: Duration = Duration::from_nanos(1);
/// Far from now, for what should not be waited for.
pub(super) const HOUR: Duration = Duration::from_secs(3_600);

/// Why a context is done: the reason, and the text of the cause.
pub(super) fn outcome(ctx: &Context) -> Option<(Reason, Option<String>)> {
    let error = ctx.error()?;
    Some((error.reason(), error.cause().map(Cause::to_string)))
}

/// Starts a thread that returns what `f` does.
pub(super) fn start<T: Send + 'static>(
    f: impl FnOnce() -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    thread::spawn(f)
}

/// What a thread of [`at_once`] does.
pub(super) type Body<T = ()> = Box<dyn FnOnce() -> T + Send>;

/// Runs all at once, each on a thread of its own, and returns what they did.
pub(super) fn at_once<T: Send + 'static>(bodies: Vec<Body<T>>) -> Vec<T> {
    let barrier = Arc::new(Barrier::new(bodies.len()));
    let run = |body: Body<T>| {
        let barrier = barrier.clone();
        start(move || {
            barrier.wait();
            body()
        })
    };
    let threads: Vec<_> = bodies.into_iter().map(run).collect();
    threads.into_iter().map(|t| t.join().unwrap()).collect()
}

/// Held by tests that need much memory, so that they come one by one.
pub(super) fn big() -> MutexGuard<'static, ()> {
    static BIG: Mutex<()> = Mutex::new(());
    BIG.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How deep is deep, and how many are many. A sanitizer, which is slow, finds
/// nothing in the rest that it has not found before.
pub(super) const DEPTH: usize = if cfg!(crossbeam_sanitize) {
    50_000
} else {
    1_000_000
};

const CHILD: &str = "CTXTREE_TEST_ALONE";

/// Whether this process was started by [`run_alone`] for `test`.
pub(super) fn is_alone(test: &str) -> bool {
    std::env::var_os(CHILD).is_some_and(|name| name == test)
}

/// Runs the test of this full name in a process of its own.
pub(super) fn run_alone(test: &'static str) -> Output {
    in_time(move || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, test)
            .output()
            .unwrap()
    })
}

/// Runs `body` in a process of its own. `test` is the full name of the test
/// that calls this.
pub(super) fn alone(test: &'static str, body: impl FnOnce() + Send + 'static) {
    if is_alone(test) {
        return in_time(body);
    }
    let output = run_alone(test);
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{test}: {}\n{text}\n{errors}",
        output.status,
    );
}

/// Every order of the numbers below `n`.
pub(super) fn orders(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let mut found = Vec::new();
    for shorter in orders(n - 1) {
        for place in 0..n {
            let mut longer = shorter.clone();
            longer.insert(place, n - 1);
            found.push(longer);
        }
    }
    found
}

/// Numbers that look random, the same ones for the same seed.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
}

/// Everything was given up: everything must be gone, once collected. For tests
/// that run alone.
#[cfg(feature = "internal-model")]
pub(super) fn assert_nothing_left() {
    assert_left(0);
}

/// The same where so many objects stay.
#[cfg(feature = "internal-model")]
pub(super) fn assert_left(count: usize) {
    for tries in 0..10_000 {
        if crate::model::live_objects() == count {
            break;
        }
        crate::model::collect();
        if tries > 100 {
            // Another thread may be stopped with a pin.
            thread::sleep(ms(1));
        }
    }
    assert_eq!(crate::model::live_objects(), count);
}
