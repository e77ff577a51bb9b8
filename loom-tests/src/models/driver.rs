//! The timer thread: started, asleep, woken and stopped at once.

use crate::tools::{join_drivers, pass, race, thread, wait};
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
        let first = root.with_timeout(ms(200));
        // The driver may sleep for that one by now, and does not hear of this.
        let (ctx, handle) = root.with_timeout(ms(300));
        let at = ctx.deadline().expect("it has one") - ms(280);
        assert!(handle.set_deadline(at));
        pass(ms(30));
        wait(ctx.cancelled());
        drop(first);
        pass(ms(200));
    });
}

pub(super) fn driver_arm_vs_look() {
    let (timers, root) = timers();
    let first = root.with_timeout(ms(5));
    // The driver fires the first, and may look for more when the second comes.
    let ((), second) = race(|| pass(ms(6)), move || root.with_timeout(ms(5)));
    pass(ms(20));
    join_drivers();
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    wait(second.0.cancelled());
    assert!(first.0.is_cancelled() && second.0.is_cancelled());
    drop((first, second, timers));
}

pub(super) fn driver_that_cannot_start() {
    let timers = ctxtree::model::timers_without_thread();
    let root = Context::background().with_driver(&timers);
    let other = root.clone();
    // Each runs the timers itself, or leaves that to the other.
    let (first, second) = race(
        move || other.with_timeout(ms(5)),
        move || {
            pass(ms(6));
            let second = root.with_timeout(ms(5));
            (root, second)
        },
    );
    let (root, second) = second;
    pass(ms(20));
    // Whoever arms the next one notices.
    let third = root.with_timeout(ms(300));
    assert!(first.0.is_cancelled() && second.0.is_cancelled());
    assert!(!third.0.is_cancelled());
    drop((first, second, third, timers));
}

pub(super) fn driver_vs_busy_wheel() {
    let (timers, root) = timers();
    let (first, keep) = root.with_timeout(ms(200));
    race(
        // Later than the driver sleeps, and so many that this thread puts them
        // into the wheel: the driver may find it at that.
        move || drop([root.with_timeout(ms(300)), root.with_timeout(ms(300))]),
        || pass(ms(250)),
    );
    pass(ms(400));
    join_drivers();
    #[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
    wait(first.cancelled());
    assert!(first.is_cancelled());
    drop((first, keep, timers));
}
