//! What a contender does in one round, for the two common shapes: a loop of the
//! same operation on one thread, and on two threads at once. Anything else is a
//! closure that does its own timing and returns nanoseconds per operation.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Bench;

/// `work(n)` does the operation `n` times. How often fits into one short round
/// is found out in the first call, which is the warm-up.
pub(crate) fn looped<W: FnMut(u64)>(
    bench: &Bench,
    mut work: W,
) -> impl FnMut() -> Vec<f64> + use<W> {
    let length = bench.pick(Duration::from_millis(2), Duration::from_micros(100));
    let mut times = None;
    move || {
        let times = *times.get_or_insert_with(|| calibrate(&mut work, length));
        let start = Instant::now();
        work(times);
        vec![nanos_per(start.elapsed(), times)]
    }
}

/// The same for operations whose effect on the caches is part of the question:
/// longer rounds, so that what the previous contender evicted is paid for in a
/// small part of the round only.
pub(crate) fn looped_for<W: FnMut(u64)>(
    times: u64,
    mut work: W,
) -> impl FnMut() -> Vec<f64> + use<W> {
    move || {
        let start = Instant::now();
        work(times);
        vec![nanos_per(start.elapsed(), times)]
    }
}

pub(crate) fn nanos_per(spent: Duration, times: u64) -> f64 {
    spent.as_nanos() as f64 / times as f64
}

fn calibrate(work: &mut impl FnMut(u64), length: Duration) -> u64 {
    let mut times = 16;
    loop {
        let start = Instant::now();
        work(times);
        let spent = start.elapsed();
        if spent >= length / 2 {
            let fit = times as f64 * length.as_secs_f64() / spent.as_secs_f64();
            return (fit as u64).max(16);
        }
        times *= 2;
    }
}

/// Two threads do `work` at the same time, each for the same stretch of time
/// rather than the same number of times: were it a number, the slower one would
/// finish alone, uncontended. The result is what one operation takes on one
/// thread. `chunk` operations pass between two looks at the clock.
pub(crate) fn two_threads<F>(
    bench: &Bench,
    chunk: u64,
    work: F,
) -> impl FnMut() -> Vec<f64> + use<F>
where
    F: Fn(u64) + Send + Sync + 'static,
{
    let length = bench.pick(Duration::from_millis(5), Duration::from_micros(200));
    let crew = Crew::new(Shift {
        work,
        chunk,
        length,
        arrived: AtomicUsize::new(0),
    });
    move || vec![crew.round()]
}

struct Shift<F> {
    work: F,
    chunk: u64,
    length: Duration,
    arrived: AtomicUsize,
}

impl<F: Fn(u64)> Shift<F> {
    /// Waits for the other thread, then works; returns operations a nanosecond.
    fn run(&self) -> f64 {
        // The gate spins, because waking a parked thread takes longer than the
        // shortest rounds do. Two arrivals a round, so an even count opens it.
        let mine = self.arrived.fetch_add(1, Ordering::AcqRel);
        let open = mine - mine % 2 + 2;
        let mut turns = 0u32;
        while self.arrived.load(Ordering::Acquire) < open {
            turns += 1;
            if turns % 1024 == 0 {
                thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
        let start = Instant::now();
        let mut done = 0;
        loop {
            (self.work)(self.chunk);
            done += self.chunk;
            let spent = start.elapsed();
            if spent >= self.length {
                return done as f64 / spent.as_nanos() as f64;
            }
        }
    }
}

/// The second thread of a contender. It stays between rounds, so that its
/// thread-locals and its malloc arena are those of a long-lived worker.
struct Crew<F> {
    shift: Arc<Shift<F>>,
    start: Option<Sender<()>>,
    rate: Receiver<f64>,
    second: Option<JoinHandle<()>>,
}

impl<F: Fn(u64) + Send + Sync + 'static> Crew<F> {
    fn new(shift: Shift<F>) -> Crew<F> {
        let shift = Arc::new(shift);
        let (start, started) = mpsc::channel();
        let (report, rate) = mpsc::channel();
        let theirs = Arc::clone(&shift);
        let second = thread::spawn(move || {
            while started.recv().is_ok() {
                if report.send(theirs.run()).is_err() {
                    return;
                }
            }
        });
        Crew {
            shift,
            start: Some(start),
            rate,
            second: Some(second),
        }
    }

    fn round(&self) -> f64 {
        let start = self.start.as_ref().expect("only drop takes it");
        start
            .send(())
            .expect("the second thread lives as long as the crew");
        let mine = self.shift.run();
        let theirs = self
            .rate
            .recv()
            .expect("the second thread lives as long as the crew");
        2.0 / (mine + theirs)
    }
}

impl<F> Drop for Crew<F> {
    fn drop(&mut self) {
        // Closing the channel ends the second thread.
        drop(self.start.take());
        if let Some(second) = self.second.take() {
            second.join().expect("the second thread does not panic");
        }
    }
}
