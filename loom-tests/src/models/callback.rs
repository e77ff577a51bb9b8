//! Callbacks racing with cancels, with stops and with the end of their context.

use crate::tools::{race, race3};
use ctxtree::model::Witness;
use ctxtree::{CancelError, CancelHandle, Context, Registration, Stop};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn root() -> (Context, CancelHandle) {
    Context::background().with_cancel()
}

/// What became of a closure. No part of the model: read when all are joined.
#[derive(Default)]
struct Fate {
    runs: AtomicUsize,
    drops: AtomicUsize,
}

impl Fate {
    fn new() -> Arc<Fate> {
        Arc::default()
    }

    fn callback(self: &Arc<Self>) -> impl FnOnce(&CancelError) + Send + use<> {
        struct Dropped(Arc<Fate>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.drops.fetch_add(1, Ordering::SeqCst);
            }
        }
        let dropped = Dropped(self.clone());
        move |_: &CancelError| {
            dropped.0.runs.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    /// Run or not as told, and dropped once.
    fn check(&self, runs: usize) {
        assert_eq!(self.runs(), runs, "runs");
        assert_eq!(self.drops.load(Ordering::SeqCst), 1, "drops");
    }
}

pub(crate) fn callback_vs_cancel() {
    let (root, cancel) = root();
    let fate = Fate::new();
    let callback = fate.callback();
    let (registration, ()) = race(
        move || root.after_cancel(callback),
        move || assert!(cancel.cancel()),
    );
    assert_eq!(registration.stop(), Stop::Finished);
    drop(registration);
    fate.check(1);
}

pub(crate) fn callback_vs_cancel_of_the_parent() {
    let (root, cancel) = root();
    let child = root.with_cancel().0;
    let fate = Fate::new();
    let callback = fate.callback();
    let (child, ()) = race(
        move || {
            child.after_cancel(callback).detach();
            child
        },
        move || assert!(cancel.cancel_with("cause")),
    );
    drop((child, root));
    fate.check(1);
}

pub(crate) fn register_and_stop_vs_cancel() {
    let (root, cancel) = root();
    let fate = Fate::new();
    let callback = fate.callback();
    let (stop, ()) = race(
        move || root.after_cancel(callback).stop(),
        move || assert!(cancel.cancel()),
    );
    assert_ne!(stop, Stop::AlreadyStopped);
    fate.check(usize::from(stop != Stop::Prevented));
}

pub(crate) fn stop_vs_cancel() {
    let (root, cancel) = root();
    let fate = Fate::new();
    let registration = root.after_cancel(fate.callback());
    let (stop, ()) = race(
        move || registration.stop(),
        move || assert!(cancel.cancel()),
    );
    drop(root);
    assert_ne!(stop, Stop::AlreadyStopped);
    fate.check(usize::from(stop != Stop::Prevented));
}

pub(crate) fn stops_vs_cancel() {
    let (root, cancel) = root();
    let fates = [Fate::new(), Fate::new()];
    let [one, two] = [0, 1].map(|n: usize| root.after_cancel(fates[n].callback()));
    let (stops, ()) = race(
        // Two, so that they are reaped meanwhile.
        move || [one, two].map(|registration| registration.stop()),
        move || assert!(cancel.cancel()),
    );
    drop(root);
    for (fate, stop) in fates.iter().zip(stops) {
        fate.check(usize::from(stop != Stop::Prevented));
    }
}

pub(crate) fn stops_of_the_older_vs_cancel() {
    let (root, cancel) = root();
    let fates = [(); 3].map(|()| Fate::new());
    let [one, two, last] = [0, 1, 2].map(|n: usize| root.after_cancel(fates[n].callback()));
    race(
        // They are unlinked from behind the last one.
        move || drop((one, two)),
        move || assert!(cancel.cancel()),
    );
    drop((last, root));
    fates[2].check(1);
}

pub(crate) fn stop_vs_stop() {
    let (root, _cancel) = root();
    let fate = Fate::new();
    let registration = Arc::new(root.after_cancel(fate.callback()));
    let other = registration.clone();
    let (one, two) = race(move || registration.stop(), move || other.stop());
    let prevented = [one, two]
        .into_iter()
        .filter(|&stop| stop == Stop::Prevented);
    assert_eq!(prevented.count(), 1, "{one:?} {two:?}");
    fate.check(0);
}

pub(crate) fn stop_vs_reaping_stop() {
    let (root, _cancel) = root();
    let fates = [Fate::new(), Fate::new()];
    let [one, two] = [0, 1].map(|n: usize| root.after_cancel(fates[n].callback()));
    // Whoever comes second unlinks both.
    race(move || drop(one), move || drop(two));
    fates.iter().for_each(|fate| fate.check(0));
    drop(root);
}

pub(crate) fn stop_vs_last_handle() {
    let (root, _cancel) = root();
    let child = root.with_cancel().0;
    let fate = Fate::new();
    let registration = child.after_cancel(fate.callback());
    let (stop, ()) = race(move || registration.stop(), move || drop(child));
    assert_eq!(stop, Stop::Prevented);
    fate.check(0);
    drop(root);
}

pub(crate) fn stops_vs_last_handle() {
    let (root, _cancel) = root();
    let child = root.with_cancel().0;
    let fates = [Fate::new(), Fate::new()];
    let [one, two] = [0, 1].map(|n: usize| child.after_cancel(fates[n].callback()));
    race(
        // Two, so that they are reaped meanwhile.
        move || drop((one, two)),
        move || drop(child),
    );
    fates.iter().for_each(|fate| fate.check(0));
    drop(root);
}

pub(crate) fn detached_vs_last_handle_vs_cancel() {
    let (root, cancel) = root();
    let child = root.with_cancel().0;
    let fate = Fate::new();
    child.after_cancel(fate.callback()).detach();
    race(move || drop(child), move || assert!(cancel.cancel()));
    fate.check(fate.runs().min(1));
    drop(root);
}

pub(crate) fn stop_vs_last_handle_vs_cancel() {
    let (root, cancel) = root();
    let child = root.with_cancel().0;
    let fate = Fate::new();
    let registration = child.after_cancel(fate.callback());
    let (stop, (), ()) = race3(
        move || registration.stop(),
        move || drop(child),
        move || assert!(cancel.cancel()),
    );
    drop(root);
    fate.check(usize::from(stop != Stop::Prevented));
}

pub(crate) fn stop_and_join_vs_cancel() {
    let (root, cancel) = root();
    let ran = Arc::new(Witness::new());
    let seen = ran.clone();
    let registration = root.after_cancel(move |_| ran.set());
    race(
        move || match registration.stop_and_join() {
            Stop::Finished => seen.check(),
            stop => assert_eq!(stop, Stop::Prevented),
        },
        move || assert!(cancel.cancel()),
    );
    drop(root);
}

pub(crate) fn stop_and_join_vs_last_handle() {
    struct Sets(Arc<Witness>);
    impl Drop for Sets {
        fn drop(&mut self) {
            self.0.set();
        }
    }
    let (root, _cancel) = root();
    let child = root.with_cancel().0;
    let dropped = Arc::new(Witness::new());
    let sets = Sets(dropped.clone());
    let registration = child.after_cancel(move |_| drop(sets));
    race(
        move || {
            assert_eq!(registration.stop_and_join(), Stop::Prevented);
            dropped.check();
        },
        move || drop(child),
    );
    drop(root);
}

pub(crate) fn two_joins_vs_cancel() {
    let (root, cancel) = root();
    let registration = Arc::new(root.after_cancel(|_| ()));
    let other = registration.clone();
    let join = |registration: Arc<Registration>| {
        move || assert_ne!(registration.stop_and_join(), Stop::Running)
    };
    race3(join(registration), join(other), move || {
        assert!(cancel.cancel());
    });
    drop(root);
}
