//! Drains while threads and tasks are at work, in real time.

use super::tools::{HOUR, Random, in_time, ms, start};
use crate::{Context, Drain, Phase};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

// V22.
#[test]
fn a_clean_report_says_that_nobody_is_at_work_any_more() {
    in_time(|| {
        for round in 0..150 {
            // At times the workers leave it no moment without them.
            let drain = Drain::new(&Context::background()).soft_limit(ms(round % 4));
            let drain = drain.hard_limit(HOUR).on_waiting(|_| {});
            let at_work = Arc::new(AtomicUsize::new(0));
            let together = Arc::new(Barrier::new(5));
            let workers: Vec<_> = (0..2)
                .map(|number| {
                    let (root, at_work) = (drain.context().clone(), at_work.clone());
                    let together = together.clone();
                    start(move || {
                        let mut random = Random::new(2 * round + number);
                        together.wait();
                        loop {
                            let (job, _handle) = root.with_cancel();
                            if job.is_cancelled() {
                                return;
                            }
                            at_work.fetch_add(1, SeqCst);
                            if random.below(2) == 0 {
                                thread::yield_now();
                            }
                            at_work.fetch_sub(1, SeqCst);
                        }
                    })
                })
                .collect();
            let finishers: Vec<_> = (0..2)
                .map(|_| {
                    let (drain, at_work) = (drain.clone(), at_work.clone());
                    let together = together.clone();
                    start(move || {
                        together.wait();
                        let report = drain.finish_blocking();
                        assert!(report.is_clean());
                        assert_eq!(at_work.load(SeqCst), 0);
                        report.to_string()
                    })
                })
                .collect();
            together.wait();
            drain.begin();
            let reports: Vec<_> = finishers
                .into_iter()
                .map(|one| one.join().unwrap())
                .collect();
            assert_eq!(reports[0], reports[1]);
            workers
                .into_iter()
                .for_each(|worker| worker.join().unwrap());
        }
    });
}

#[test]
fn threads_stop_when_the_soft_limit_cancels_them() {
    in_time(|| {
        let drain = Drain::new(&Context::background()).soft_limit(ms(20));
        let drain = drain.hard_limit(HOUR).on_waiting(|_| {});
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let (job, _) = drain.context().with_cancel();
                start(move || {
                    loop {
                        // Asked first: both may have come since the last look.
                        let cancelled = job.is_cancelled();
                        let draining = job.is_draining();
                        assert!(draining || !cancelled);
                        if draining {
                            break;
                        }
                        thread::yield_now();
                    }
                    job.wait();
                })
            })
            .collect();
        let before = Instant::now();
        let report = drain.finish_blocking();
        assert!(before.elapsed() >= ms(20));
        assert!(report.is_clean());
        assert_eq!(report.reached(), Phase::Cancelling);
        assert_eq!((report.at_begin(), report.at_cancel()), (3, 3));
        workers
            .into_iter()
            .for_each(|worker| worker.join().unwrap());
    });
}

#[test]
fn a_thread_that_blocks_is_given_up_at_the_hard_limit() {
    in_time(|| {
        let drain = Drain::new(&Context::background()).soft_limit(ms(5));
        let drain = drain.hard_limit(ms(5)).on_waiting(|_| {});
        let (deaf, handle) = drain.context().derive().name("deaf").build();
        let report = drain.finish_blocking();
        assert_eq!(report.reached(), Phase::Aborting);
        assert_eq!(report.stragglers().next().unwrap().name(), Some("deaf"));
        drop((deaf, handle));
    });
}

#[cfg(feature = "tokio")]
mod on_tokio {
    use super::*;
    use crate::time::Timers;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn limits_pass_by_the_time_of_a_runtime() {
        let root = Context::background().with_driver(&Timers::tokio());
        let drain = Drain::new(&root).soft_limit(HOUR).hard_limit(HOUR);
        let drain = drain.on_waiting(|_| {});
        let (job, handle) = drain.context().derive().name("job").build();
        tokio::spawn(async move {
            job.cancelled().await;
            tokio::time::sleep(HOUR / 2).await;
            drop((job, handle));
        });
        let before = tokio::time::Instant::now();
        let report = drain.finish().await;
        assert!(report.is_clean());
        assert_eq!(report.reached(), Phase::Cancelling);
        assert!(before.elapsed() >= HOUR + HOUR / 2);
        assert!(before.elapsed() < HOUR + HOUR / 2 + Duration::from_secs(1));
    }

    #[tokio::test]
    async fn an_accept_loop_ends_with_the_signal_and_its_jobs_after_it() {
        let drain = Drain::new(&Context::background());
        let (server, _) = drain.context().derive().name("server").build();
        let signal = drain.draining();
        let cut = Arc::new(AtomicUsize::new(0));
        let counts = cut.clone();
        tokio::spawn(async move {
            let mut signal = std::pin::pin!(signal);
            loop {
                let (job, handle) = server.with_cancel();
                tokio::select! {
                    () = &mut signal => return,
                    () = tokio::time::sleep(ms(1)) => {}
                }
                let cut = counts.clone();
                tokio::spawn(async move {
                    let kept = (job, handle);
                    tokio::time::sleep(ms(20)).await;
                    cut.fetch_add(usize::from(kept.0.is_cancelled()), SeqCst);
                });
            }
        });
        tokio::time::sleep(ms(10)).await;
        let report = drain.finish().await;
        assert!(report.is_clean());
        assert_eq!(report.reached(), Phase::Draining);
        assert!(report.at_begin() > 0);
        assert_eq!(cut.load(SeqCst), 0);
    }
}
