//! Timers on a thread that sleeps: nothing due is slept through.

use super::tools::{HOUR, Random, ms, pick, root};
use super::watchdog::{Watch, watched};
use ctxtree::Context;
use ctxtree::time::Timers;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Instant;

// V18, D5, P66: deadlines are armed and moved earlier, by one thread and by several,
// while the driver goes to sleep for an hour: each wakes it. One that does not would
// end this by the watchdog.
#[test]
fn no_deadline_is_slept_through() {
    watched(|watch| {
        slept_through(watch, 1);
        slept_through(watch, 3);
    });
}

fn slept_through(watch: &Watch, threads: u64) {
    watch.phase(format_args!("{threads} threads"));
    let timers = Timers::thread();
    let top = Context::background().with_driver(&timers);
    let _far = top.with_timeout(HOUR);
    let (waited, early) = (watch.count("waited"), watch.count("early"));
    let threads: Vec<_> = (0..threads)
        .map(|seed| {
            let (top, waited, early) = (top.clone(), waited.clone(), early.clone());
            watch.start("arms", move || {
                let mut random = Random::new(seed + 1);
                for _ in 0..pick(2_000, 100) {
                    let at = Instant::now() + ms(1);
                    let (ctx, handle) = match random.below(3) {
                        0 => top.with_deadline(at),
                        1 => top.with_timeout(HOUR),
                        _ => top.with_cancel(),
                    };
                    // Too late is no move: it is over then.
                    let _ = ctx.deadline() == Some(at) || handle.set_deadline(at);
                    assert!(ctx.wait().is_timeout());
                    early.add(usize::from(Instant::now() < at));
                    waited.add(1);
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(early.get(), 0);
    assert_eq!(timers.outstanding(), 1);
}

// V18, V25: many are armed and dropped while a few must come: neither the thread nor
// those who wait are held up for ever.
#[test]
fn deadlines_come_under_churn() {
    watched(|watch| {
        let timers = Timers::thread();
        let top = Context::background().with_driver(&timers);
        let (stop, churned) = (Arc::new(AtomicBool::new(false)), watch.count("churned"));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (top, stop, churned) = (top.clone(), stop.clone(), churned.clone());
                watch.start("churns", move || {
                    while !stop.load(SeqCst) {
                        for i in 0..100 {
                            drop(top.with_timeout(HOUR + ms(i)));
                        }
                        churned.add(100);
                    }
                })
            })
            .collect();
        let came = watch.count("came");
        for _ in 0..pick(1_000, 50) {
            let (parent, _keep) = root();
            let (ctx, _handle) = top.with_timeout(ms(2));
            let (linked, _handle) = parent.link([&ctx]);
            assert!(linked.wait().is_timeout());
            came.add(1);
        }
        stop.store(true, SeqCst);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert_eq!(timers.outstanding(), 0);
    });
}
