//! Threads that borrow, and end together: one reads chunks of numbers, two sum
//! them up. A bad number ends all three, and so does a source that is silent for
//! too long.
//!
//! ```text
//! $ cargo run --example scoped_threads
//! whole: the sum is 5050
//! broken: `five` is no number
//! silent: stopped (context deadline exceeded)
//! ```

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use ctxtree::{CancelError, Context, IdleTimeout, Scope};

/// What ends a sum too early.
#[derive(Clone, Debug)]
enum Failure {
    NoNumber(String),
    Stopped(CancelError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NoNumber(text) => write!(f, "`{text}` is no number"),
            Failure::Stopped(error) => write!(f, "stopped ({error})"),
        }
    }
}

impl Error for Failure {}

impl From<CancelError> for Failure {
    fn from(error: CancelError) -> Failure {
        Failure::Stopped(error)
    }
}

/// What the reader has read and nobody has taken yet.
#[derive(Default)]
struct Queue {
    chunks: VecDeque<String>,
    closed: bool,
}

/// With its condition variable, as the standard library's examples have it.
type Shared = Arc<(Mutex<Queue>, Condvar)>;

/// Sums up the numbers of a source, which may be silent for so long.
fn sum(
    parent: &Context,
    silence: Duration,
    source: impl FnMut(&Context) -> Option<String> + Send,
) -> Result<u64, Failure> {
    let (ctx, idle) = parent.with_idle_timeout(silence);
    let queue = Shared::default();
    let total = AtomicU64::new(0);
    // All threads have ended when this returns, so they may borrow the total.
    ctx.scope(|scope: &Scope<'_, '_, Failure>| {
        for _ in 0..2 {
            let (queue, total) = (&queue, &total);
            scope.spawn(move |ctx| {
                total.fetch_add(work(ctx, queue)?, Relaxed);
                Ok(())
            });
        }
        // The closure is a part of the scope as well: it reads.
        read(scope.context(), &queue, &idle, source)
    })?;
    Ok(total.into_inner())
}

fn read(
    ctx: &Context,
    queue: &Shared,
    idle: &IdleTimeout,
    mut source: impl FnMut(&Context) -> Option<String>,
) -> Result<(), Failure> {
    let (mutex, changed) = &**queue;
    while let Some(chunk) = source(ctx) {
        // Something came in: from now on it may be silent for the whole time.
        idle.touch();
        mutex.lock().unwrap().chunks.push_back(chunk);
        changed.notify_one();
    }
    // Without this look a source that was stopped would pass for one at its end.
    ctx.check()?;
    mutex.lock().unwrap().closed = true;
    changed.notify_all();
    Ok(())
}

fn work(ctx: &Context, queue: &Shared) -> Result<u64, Failure> {
    let mut sum = 0;
    // One look at the context in so many numbers.
    let mut every = ctx.every(1024);
    loop {
        // Ends with a chunk, with the queue closed, or with a cancel.
        let waiting = |queue: &mut Queue| queue.chunks.is_empty() && !queue.closed;
        let chunk = ctx.wait_while(queue, waiting)?.chunks.pop_front();
        let Some(chunk) = chunk else {
            return Ok(sum);
        };
        for text in chunk.split_whitespace() {
            every.check()?;
            let number: Result<u64, _> = text.parse();
            sum += number.map_err(|_| Failure::NoNumber(text.to_owned()))?;
        }
    }
}

/// A source that gives these chunks one by one, and then does what `end` says.
fn give(
    chunks: Vec<String>,
    end: impl Fn(&Context) + Send,
) -> impl FnMut(&Context) -> Option<String> + Send {
    let mut chunks = chunks.into_iter();
    move |ctx| {
        let chunk = chunks.next();
        if chunk.is_none() {
            end(ctx);
        }
        chunk
    }
}

fn numbers() -> Vec<String> {
    let tens = (0..10).map(|ten| (10 * ten + 1..=10 * ten + 10).map(|n: u32| format!("{n} ")));
    tens.map(Iterator::collect).collect()
}

fn main() {
    let show = |name: &str, result: Result<u64, Failure>| match result {
        Ok(sum) => println!("{name}: the sum is {sum}"),
        Err(failure) => println!("{name}: {failure}"),
    };
    let root = Context::background();
    let silence = Duration::from_millis(200);

    show("whole", sum(&root, silence, give(numbers(), |_| ())));

    let broken = vec!["3 4".to_owned(), "five 6".to_owned()];
    let until_stopped = |ctx: &Context| {
        ctx.wait();
    };
    show("broken", sum(&root, silence, give(broken, until_stopped)));

    show(
        "silent",
        sum(&root, silence, give(numbers(), until_stopped)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctxtree::time::ManualClock;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn all_numbers_are_summed_up() {
        let root = Context::background();
        let result = sum(&root, MINUTE, give(numbers(), |_| ()));
        assert_eq!(result.unwrap(), 5050);
        assert_eq!(sum(&root, MINUTE, give(Vec::new(), |_| ())).unwrap(), 0);
    }

    #[test]
    fn a_bad_number_ends_reader_and_workers() {
        let mut chunks = numbers();
        chunks.insert(5, "six".to_owned());
        let end = |ctx: &Context| {
            let cause = ctx.wait().cause().unwrap().to_string();
            assert_eq!(cause, "`six` is no number");
        };
        let failure = sum(&Context::background(), MINUTE, give(chunks, end)).unwrap_err();
        assert_eq!(failure.to_string(), "`six` is no number");
    }

    #[test]
    fn a_cancel_from_above_ends_the_sum() {
        let (root, handle) = Context::background().with_cancel();
        let end = move |_: &Context| {
            handle.cancel_with("enough");
        };
        let failure = sum(&root, MINUTE, give(numbers(), end)).unwrap_err();
        assert_eq!(failure.to_string(), "stopped (context cancelled: enough)");
    }

    #[test]
    fn a_source_may_be_slow_but_not_silent() {
        let clock = ManualClock::new();
        let root = Context::background().with_clock(&clock);
        let slow = |silences: u32| {
            let (clock, mut chunks) = (clock.clone(), numbers().into_iter());
            move |_: &Context| {
                clock.advance(silences * MINUTE / 4);
                chunks.next()
            }
        };
        assert_eq!(sum(&root, MINUTE, slow(3)).unwrap(), 5050);
        let failure = sum(&root, MINUTE, slow(4)).unwrap_err();
        assert_eq!(failure.to_string(), "stopped (context deadline exceeded)");
    }
}
