//! The classic first program with contexts, here with threads: a root is
//! cancelled, and two workers below it, one started by the other, say goodbye
//! and return.
//!
//! ```text
//! $ cargo run --example two_workers
//! first: working
//! second: working
//! second: working
//! first: working
//! second: working
//! main: cancelling
//! second: goodbye (context cancelled: the shop closes)
//! first: goodbye (context cancelled: the shop closes)
//! main: both are gone
//! ```
//!
//! The two workers run at the same time, so their lines may change places.

use std::thread;
use std::time::Duration;

use ctxtree::Context;

fn main() {
    let (root, stop) = Context::background().with_cancel();
    let worker = thread::spawn(move || first(&root));

    thread::sleep(Duration::from_millis(100));
    println!("main: cancelling");
    stop.cancel_with("the shop closes");

    worker.join().expect("the first worker panicked");
    println!("main: both are gone");
}

fn first(ctx: &Context) {
    // A context of its own for the helper: cancelling that one would leave
    // this worker alone, while a cancel of `ctx` reaches both.
    let (below, _handle) = ctx.with_cancel();
    let helper = thread::spawn(move || work("second", &below, Duration::from_millis(40)));
    work("first", ctx, Duration::from_millis(60));
    helper.join().expect("the second worker panicked");
}

fn work(name: &str, ctx: &Context, pace: Duration) {
    loop {
        println!("{name}: working");
        if let Err(error) = ctx.sleep(pace) {
            println!("{name}: goodbye ({error})");
            return;
        }
    }
}
