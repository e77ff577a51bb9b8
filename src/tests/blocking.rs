//! Waits that block a thread.

use super::tools::{in_time, on_wake, poll, start};
use crate::{CancelHandle, Context, Stop};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(3_600);

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

// D6: done already: at once, whatever the limit.
#[test]
fn a_done_context_is_not_waited_for() {
    in_time(|| {
        let (ctx, handle) = root();
        handle.cancel_with("why");
        assert_eq!(ctx.wait().cause().unwrap().to_string(), "why");
        for limit in [Duration::ZERO, LONG, Duration::MAX] {
            assert!(ctx.wait_timeout(limit).is_some());
            assert!(ctx.sleep(limit).is_err());
        }
        assert!(ctx.wait_until(Instant::now()).is_some());
        assert!(ctx.wait_until(Instant::now() + LONG).is_some());
    });
}

// Never early without an error; zero and the past ask once.
#[test]
fn a_wait_that_runs_out_is_not_early() {
    in_time(|| {
        let (ctx, _handle) = root();
        let length = Duration::from_millis(20);
        let began = Instant::now();
        assert!(ctx.wait_timeout(length).is_none());
        assert!(began.elapsed() >= length);
        let began = Instant::now();
        assert!(ctx.sleep(length).is_ok());
        assert!(began.elapsed() >= length);
        let at = Instant::now() + length;
        assert!(ctx.wait_until(at).is_none());
        assert!(Instant::now() >= at);
        let began = Instant::now();
        assert!(ctx.wait_timeout(Duration::ZERO).is_none());
        assert!(ctx.sleep(Duration::ZERO).is_ok());
        assert!(ctx.wait_until(began).is_none());
        assert!(began.elapsed() < LONG);
    });
}

// D7, D11, D12: a cancel ends every kind of wait long before its limit; a
// length that the clock cannot represent is no limit.
#[test]
fn a_cancel_ends_every_blocking_wait() {
    in_time(|| {
        let (top, handle) = root();
        let (ctx, _keep) = top.with_cancel();
        let (started, all_started) = mpsc::channel();
        let bodies: [fn(&Context) -> bool; 6] = [
            |ctx| ctx.wait().cause().is_some(),
            |ctx| ctx.wait_timeout(LONG).is_some(),
            |ctx| ctx.wait_timeout(Duration::MAX).is_some(),
            |ctx| ctx.wait_until(Instant::now() + LONG).is_some(),
            |ctx| ctx.sleep(LONG).is_err(),
            |ctx| ctx.sleep(Duration::MAX).is_err(),
        ];
        let threads = bodies.map(|body| {
            let (ctx, started) = (ctx.clone(), started.clone());
            start(move || {
                started.send(()).unwrap();
                body(&ctx)
            })
        });
        all_started.iter().take(threads.len()).for_each(drop);
        let began = Instant::now();
        handle.cancel_with("now");
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
        assert!(began.elapsed() < LONG / 60);
    });
}

// What can never be done is waited for to the end of the time.
#[test]
fn a_wait_on_a_root_or_shield_runs_out() {
    in_time(|| {
        let (ctx, handle) = root();
        handle.cancel();
        for ctx in [Context::background(), Context::todo(), ctx.without_cancel()] {
            assert!(ctx.wait_timeout(Duration::from_millis(1)).is_none());
            assert!(ctx.sleep(Duration::from_millis(1)).is_ok());
        }
    });
}

// The tokens of `park` belong to whoever shares the thread: one given before
// ends no wait and is still there after it.
#[test]
fn a_wait_does_not_eat_the_tokens_of_others() {
    in_time(|| {
        let (ctx, _handle) = root();
        thread::current().unpark();
        assert!(ctx.wait_timeout(Duration::from_millis(100)).is_none());
        thread::park();
    });
}

// V15: a wait within a wait, on one thread: from a waker that is woken by it.
#[test]
fn a_waker_may_wait_on_the_thread_that_waits() {
    in_time(|| {
        let (outer, cancel_outer) = root();
        let (inner, cancel_inner) = root();
        let canceller = start(move || cancel_inner.cancel_with("inner"));
        let inside = inner.clone();
        let waker = on_wake(move || {
            assert_eq!(inside.wait().cause().unwrap().to_string(), "inner");
            assert!(inside.wait_timeout(LONG).is_some());
        });
        let mut wait = outer.cancelled();
        assert!(poll(&mut wait, &waker).is_pending());
        assert!(outer.wait_timeout(Duration::from_millis(1)).is_none());
        assert!(cancel_outer.cancel());
        assert_eq!(outer.wait().origin(), outer.id());
        assert!(canceller.join().unwrap());
    });
}

// V16: one thread waits again and again; wakers that outlive their waits do
// no harm.
#[test]
fn a_thread_may_wait_many_times() {
    in_time(|| {
        for i in 0..500 {
            let (ctx, handle) = root();
            assert!(ctx.wait_timeout(Duration::ZERO).is_none());
            let canceller = start(move || handle.cancel_with(format!("{i}")));
            assert_eq!(ctx.wait().cause().unwrap().to_string(), format!("{i}"));
            assert!(canceller.join().unwrap());
        }
    });
}

// What the canceller did before is seen by who waited.
#[test]
fn a_wait_sees_what_the_canceller_did_before() {
    in_time(|| {
        use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
        for _ in 0..200 {
            let (ctx, handle) = root();
            let wrote = std::sync::Arc::new(AtomicUsize::new(0));
            let watch = wrote.clone();
            let thread = start(move || {
                ctx.wait();
                watch.load(Relaxed)
            });
            wrote.store(1, Relaxed);
            handle.cancel();
            assert_eq!(thread.join().unwrap(), 1);
        }
    });
}

// G115: four threads wait on a condition variable; callbacks take its lock and
// notify. No wake-up is lost, whenever the cancel comes.
#[test]
fn a_wait_on_a_condition_variable_ends_with_its_context() {
    in_time(|| {
        for round in 0..100 {
            let (ctx, handle) = root();
            let pair = Arc::new((Mutex::new(()), Condvar::new()));
            let threads = [(); 4].map(|()| {
                let (ctx, pair) = (ctx.clone(), pair.clone());
                start(move || {
                    let notify = pair.clone();
                    let _registration = ctx.after_cancel(move |_| {
                        let _held = notify.0.lock().unwrap();
                        notify.1.notify_all();
                    });
                    let held = pair.0.lock().unwrap();
                    let _held = pair.1.wait_while(held, |()| !ctx.is_cancelled()).unwrap();
                    ctx.check().unwrap_err()
                })
            });
            if round % 2 == 0 {
                thread::yield_now();
            }
            handle.cancel_with("enough");
            for thread in threads {
                assert_eq!(
                    thread.join().unwrap().cause().unwrap().to_string(),
                    "enough"
                );
            }
        }
    });
}

// G116: a thread that reads from a socket is released by a callback, which
// must have ended before the socket may be used again.
#[test]
fn a_blocked_read_ends_with_its_context() {
    use std::io::Read;
    use std::net::{Shutdown, TcpListener, TcpStream};
    in_time(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let (ctx, handle) = root();
        let (begins, has_begun) = mpsc::channel();
        let reader = start(move || {
            let cut = stream.try_clone().unwrap();
            let ended = Arc::new(AtomicBool::new(false));
            let ends = ended.clone();
            let registration = ctx.after_cancel(move |_| {
                cut.shutdown(Shutdown::Read).unwrap();
                thread::sleep(Duration::from_millis(5));
                ends.store(true, Relaxed);
            });
            begins.send(()).unwrap();
            let read = stream.read(&mut [0]).unwrap();
            assert_eq!((read, registration.stop_and_join()), (0, Stop::Finished));
            assert!(ended.load(Relaxed));
            ctx.check()
        });
        has_begun.recv().unwrap();
        handle.cancel_with("hang up");
        let error = reader.join().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "context cancelled: hang up");
    });
}
