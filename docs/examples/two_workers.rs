//! The classic first program with contexts, here with threads: a context that
//! carries a value, two workers that print it while they work, and a cancel by
//! hand that ends both.
//!
//! ```text
//! $ cargo run --example two_workers
//! main: background.with_cancel.with_key(trace code)
//! first: working, trace code 12512312234
//! second: working, trace code 12512312234
//! second: working, trace code 12512312234
//! first: working, trace code 12512312234
//! second: working, trace code 12512312234
//! main: cancelling
//! second: goodbye after 3 rounds (context cancelled: the shop closes)
//! first: goodbye after 2 rounds (context cancelled: the shop closes)
//! main: both are gone (context cancelled: the shop closes)
//! ```
//!
//! The two workers run at the same time, so their lines may change places.

use std::thread;
use std::time::Duration;

use ctxtree::{Context, Key};

static TRACE_CODE: Key<&str> = Key::new("trace code");

fn main() {
    let a_while = || thread::sleep(Duration::from_millis(100));
    run(a_while, &|line| println!("{line}"));
}

/// The program: `say` prints a line, the cancel comes after `a_while`.
fn run(a_while: impl FnOnce(), say: &(dyn Fn(String) + Sync)) {
    // The root of all contexts is never cancelled. One below it can be, by the
    // handle that comes with it, and one below that carries a value.
    let (root, stop) = Context::background().with_cancel();
    let ctx = root.with_key(&TRACE_CODE, "12512312234");
    say(format!("main: {ctx}"));

    thread::scope(|threads| {
        let first = threads.spawn(|| first(&ctx, say));
        a_while();
        say("main: cancelling".to_owned());
        stop.cancel_with("the shop closes");
        first.join().expect("the first worker panicked");
    });
    let error = ctx.check().expect_err("it was cancelled above");
    say(format!("main: both are gone ({error})"));
}

fn first(ctx: &Context, say: &(dyn Fn(String) + Sync)) {
    // A context of its own for the helper: cancelling that one would leave
    // this worker alone, while a cancel of `ctx` reaches both. The value is
    // seen through it.
    let (below, _handle) = ctx.with_cancel();
    thread::scope(|threads| {
        threads.spawn(|| work("second", &below, Duration::from_millis(40), say));
        work("first", ctx, Duration::from_millis(60), say);
    });
}

fn work(name: &str, ctx: &Context, pace: Duration, say: &(dyn Fn(String) + Sync)) {
    let code = ctx.get(&TRACE_CODE).unwrap_or(&"none");
    let mut rounds = 0;
    // In Go: select { case <-ctx.Done(): return; default: ... }.
    let error = loop {
        if let Err(error) = ctx.check() {
            break error;
        }
        say(format!("{name}: working, trace code {code}"));
        rounds += 1;
        // Ends early when the context is cancelled; the next look tells.
        let _ = ctx.sleep(pace);
    };
    say(format!("{name}: goodbye after {rounds} rounds ({error})"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn both_workers_print_the_value_and_stop_by_the_cancel() {
        let lines = Mutex::new(Vec::<String>::new());
        let worked = |name: &str| {
            let start = format!("{name}: working");
            lines
                .lock()
                .unwrap()
                .iter()
                .any(|line| line.starts_with(&start))
        };
        let until_both_worked = || {
            while !(worked("first") && worked("second")) {
                thread::yield_now();
            }
        };
        run(until_both_worked, &|line| lines.lock().unwrap().push(line));
        let lines = lines.into_inner().unwrap();

        let place = |text: &str| {
            let found = lines.iter().position(|line| line.starts_with(text));
            found.unwrap_or_else(|| panic!("no `{text}` in {lines:?}"))
        };
        assert_eq!(
            lines[0],
            "main: background.with_cancel.with_key(trace code)"
        );
        let last = lines.len() - 1;
        assert_eq!(
            place("main: both are gone (context cancelled: the shop closes)"),
            last
        );
        let cancelled = place("main: cancelling");
        for name in ["first", "second"] {
            let working = format!("{name}: working, trace code 12512312234");
            assert!(place(&working) < cancelled, "{lines:?}");
            let goodbye = place(&format!("{name}: goodbye after "));
            assert!(goodbye > cancelled, "{lines:?}");
            assert!(lines[goodbye].ends_with(" rounds (context cancelled: the shop closes)"));
            let rounds = lines.iter().filter(|line| **line == working).count();
            assert!(
                lines[goodbye].contains(&format!(" {rounds} rounds ")),
                "{lines:?}"
            );
            let after = lines[goodbye + 1..].iter();
            assert!(
                after.clone().all(|line| !line.starts_with(name)),
                "{lines:?}"
            );
        }
    }
}
