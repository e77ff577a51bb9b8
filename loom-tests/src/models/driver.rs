//! The timer thread: started, asleep, woken and stopped at once.

use crate::tools::{join_drivers, pass, thread, wait};
use ctxtree::Context;
use ctxtree::time::Timers;
use std::time::Duration;

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Timers with a thread, and a root on them.
fn timers() -> (Timers, Context) {
    let timers = Timers::thread();
    let root = Context::background().with_driver(&timers);
    (timers, root)
}

/// Runs `body` on a thread, and waits until the driver has stopped.
fn alone(body: impl FnOnce(Context) + Send + 'static) {
    let (timers, root) = timers();
    thread::spawn(move || body(root)).join().expect("it failed");
    join_drivers();
    drop(timers);
}

pub(super) fn driver_arm_vs_sleep() {
    alone(|root| {
        let far = root.with_timeout(ms(200));
        // The driver may sleep by now: this one comes earlier.
        let (near, _keep) = root.with_timeout(ms(20));
        pass(ms(30));
        wait(near.cancelled());
        drop(far);
        // The driver may sleep for what was dropped.
        pass(ms(200));
    });
}

pub(super) fn driver_arm_vs_stop() {
    alone(|root| {
        drop(root.with_timeout(ms(5)));
        pass(ms(6));
        // The driver may stop by now.
        let (ctx, _keep) = root.with_timeout(ms(5));
        pass(ms(6));
        wait(ctx.cancelled());
    });
}

pub(super) fn driver_move_vs_sleep() {
    alone(|root| {
        let (ctx, handle) = root.with_timeout(ms(200));
        // The driver may sleep by now, or not have looked yet.
        let at = ctx.deadline().expect("it has one") - ms(180);
        assert!(handle.set_deadline(at));
        pass(ms(30));
        wait(ctx.cancelled());
        pass(ms(200));
    });
}
