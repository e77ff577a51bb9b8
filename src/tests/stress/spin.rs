//! Who waits does not spin: CPU time decides, not the clock on the wall.
//!
//! A thread that spins is never asleep, so it gets its share of the processors
//! however busy they are with others; one that waits gets none. So the limit is a
//! small part of the time that passes, and a busy machine cannot break it.

use super::tools::{HOUR, Hand, ms, on_wake, poll, root};
use super::watchdog::{Watch, alone, in_child, watched};
use ctxtree::time::Timers;
use ctxtree::{Context, Drain, Stop, TaskGroup};
use std::fmt::Error;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How long everybody only waits.
const WATCHED: Duration = ms(500);
/// Looks, of which one must show no more than waiting: who comes late to where it
/// waits is busy until then, who spins always is.
const LOOKS: u32 = 3;
/// The part of that which may be used: one who spins on a processor shared with
/// nine others would use twice as much.
const PART: u32 = 20;

/// The CPU time that this process has used.
pub(crate) fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the place is valid for the call, and of the type that it asks for.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "{}", std::io::Error::last_os_error());
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Lets everybody come to where they wait, and then asserts that they do no more.
fn nobody_spins(watch: &Watch) {
    watch.phase("all come to wait");
    thread::sleep(ms(100));
    let mut told = String::new();
    for look in 1..=LOOKS {
        watch.phase(format_args!("all wait, look {look}"));
        let (used, began) = (cpu_time(), Instant::now());
        thread::sleep(WATCHED);
        let (used, took) = (cpu_time() - used, began.elapsed());
        told = format!("{used:?} of CPU time in {took:?} of waiting");
        println!("{told}");
        if used < took / PART {
            watch.phase("all go");
            return;
        }
    }
    panic!("{told}, look after look");
}

// V16, V22, V25, P60: threads in each call that blocks.
#[test]
fn who_waits_for_a_context_uses_no_cpu() {
    alone(|watch| {
        let (top, handle) = root();
        let (busy, keep) = top.with_cancel();
        let calls: [fn(&Context); 6] = [
            |ctx| drop(ctx.wait()),
            |ctx| drop(ctx.wait_timeout(HOUR)),
            |ctx| drop(ctx.wait_until(Instant::now() + HOUR)),
            |ctx| assert!(ctx.sleep(HOUR).is_err()),
            |ctx| {
                let scoped = ctx.scope(|scope| {
                    scope.spawn(|ctx| {
                        ctx.wait();
                        Ok(())
                    });
                    Ok::<_, Error>(())
                });
                assert!(scoped.is_ok());
            },
            |ctx| {
                ctx.with_timeout(HOUR).0.wait();
            },
        ];
        let mut threads: Vec<_> = calls
            .map(|call| {
                let ctx = busy.clone();
                watch.start("waits", move || call(&ctx))
            })
            .into();
        for at_most in [None, Some(HOUR)] {
            let ctx = top.clone();
            threads.push(watch.start("idle", move || assert!(ctx.wait_idle(at_most))));
        }
        nobody_spins(watch);
        handle.cancel();
        drop((busy, keep));
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
}

// V22, P60: joins of groups, waits for a place, drains.
#[test]
fn who_joins_uses_no_cpu() {
    alone(|watch| {
        let (top, handle) = root();
        let hand = Hand::default();
        let group = TaskGroup::<Error>::with_spawner(&top, hand.spawner()).limit(1);
        let group = Arc::new(group);
        group.try_spawn(async { Ok(()) }).unwrap();
        let task = hand.take();
        let drain = Drain::new(&top).soft_limit(HOUR);
        let request = drain.context().with_cancel();
        let joins: [fn(&TaskGroup<Error>); 3] = [
            |group| drop(group.join_blocking(None)),
            |group| drop(group.join_blocking(Some(HOUR))),
            |group| drop(super::tools::block_on(group.spawn(async { Ok(()) }))),
        ];
        let mut threads: Vec<_> = joins
            .map(|join| {
                let group = group.clone();
                watch.start("joins", move || join(&group))
            })
            .into();
        let own = drain.clone();
        threads.push(watch.start("drains", move || drop(own.finish_blocking())));
        nobody_spins(watch);
        handle.cancel();
        drop((task, request));
        // What came in by the place that got free.
        drop(hand.take());
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
}

// V18, V25, D6: a driver with far deadlines, armed, moved and dropped before.
#[test]
fn a_driver_with_a_far_deadline_uses_no_cpu() {
    alone(|watch| {
        for timers in [Timers::thread(), ctxtree::time::default_driver()] {
            let top = Context::background().with_driver(&timers);
            let far: Vec<_> = (0..1_000).map(|i| top.with_timeout(HOUR + ms(i))).collect();
            let (soon, _keep) = top.with_timeout(ms(5));
            assert!(soon.wait().is_timeout());
            for (ctx, handle) in far.iter().step_by(7) {
                assert!(handle.set_deadline(ctx.deadline().unwrap() + HOUR));
            }
            for (_, handle) in far.iter().step_by(5) {
                handle.cancel();
            }
            nobody_spins(watch);
            drop(far);
            assert_eq!(timers.outstanding(), 0);
        }
    });
}

// V12, V13, V16, P21, P32, P60: a waker and a callback block on the thread that cancels:
// those who cancel too, join the callback, ask or wait meanwhile neither wait for
// that longer than they must nor spin.
#[test]
fn wakers_and_callbacks_that_block_cost_no_cpu() {
    alone(|watch| {
        let (top, handle) = root();
        let (child, _keep) = top.with_cancel();
        let (release, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let entered = Arc::new(Barrier::new(2));
        let block = {
            let (gate, entered) = (gate.clone(), entered.clone());
            move || {
                entered.wait();
                let _ = gate.lock().unwrap().recv();
            }
        };
        let mut wait = top.cancelled();
        let (first, once) = (block.clone(), AtomicBool::new(false));
        let blocks = on_wake(move || {
            if !once.swap(true, SeqCst) {
                first()
            }
        });
        assert!(poll(&mut wait, &blocks).is_pending());
        let registration = Arc::new(child.after_cancel(move |_| block()));
        let next = child.after_cancel(|_| unreachable!("it is stopped"));
        let behind = child.clone();
        let woken_last = watch.start("woken last", move || drop(behind.wait()));
        thread::sleep(ms(20));
        let canceller = handle.clone();
        let canceller = watch.start("cancels", move || assert!(canceller.cancel()));
        for blocked in ["waker", "callback"] {
            entered.wait();
            watch.phase(format_args!("blocked in a {blocked}"));
            // Who comes now is not held up, but for who asks to be.
            assert!(!handle.cancel() && child.is_cancelled());
            assert!(child.with_cancel().0.wait().location().is_some());
            if blocked == "waker" {
                // Claimed, and not begun: there is nothing to wait for.
                assert_eq!(next.stop_and_join(), Stop::Prevented);
                nobody_spins(watch);
                release.send(()).unwrap();
            } else {
                let joins = registration.clone();
                let joiner = watch.start("joins", move || joins.stop_and_join());
                nobody_spins(watch);
                release.send(()).unwrap();
                assert_eq!(joiner.join().unwrap(), Stop::Finished);
            }
        }
        canceller.join().unwrap();
        woken_last.join().unwrap();
    });
}

// The assertion of this room is one that fails.
#[test]
fn one_that_spins_is_found_out() {
    let spin = || {
        watched(|watch| {
            let stop = Arc::new(AtomicBool::new(false));
            let seen = stop.clone();
            let spinner = watch.start("spins", move || while !seen.load(SeqCst) {});
            nobody_spins(watch);
            stop.store(true, SeqCst);
            spinner.join().unwrap();
        });
    };
    in_child(spin, &[], |output| {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "it passed");
        assert!(errors.contains("of CPU time in"), "{errors}");
    });
}
