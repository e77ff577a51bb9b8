//! How many instructions does each operation take on one thread? Meant to run
//! under `benches/icount.sh`, which counts what lies inside the functions named
//! `icount_*`; by itself it only checks that they run.

mod support;

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::Waker;
use std::time::{Duration, Instant};

use ctxtree::{BoxTask, CancelHandle, Context, Refused, TaskGroup};
use support::bits::{Floor, poll_once};
use tokio::runtime::Builder;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often each function is called; `icount.sh` divides by it.
const CALLS: usize = 1_000;

const HOUR: Duration = Duration::from_secs(3600);

/// A function whose calls valgrind can find by name, and a body that the
/// warm-up can run without being counted.
macro_rules! counted {
    ($name:ident, $body:ident, $over:ty) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        fn $name(over: &$over) {
            $body(over);
        }
    };
}

counted!(icount_derive_ours, derive_ours, Context);
counted!(icount_derive_peer, derive_peer, CancellationToken);
counted!(icount_derive_floor, derive_floor, Floor);
counted!(icount_wait_ours, wait_ours, Context);
counted!(icount_wait_peer, wait_peer, CancellationToken);
counted!(icount_poll_ours, poll_ours, Context);
counted!(icount_poll_peer, poll_peer, CancellationToken);
counted!(icount_cancel_ours, cancel_ours, CancelHandle);
counted!(icount_cancel_peer, cancel_peer, CancellationToken);
counted!(icount_deadline_ours, deadline_ours, Context);
counted!(icount_deadline_peer, deadline_peer, CancellationToken);
counted!(icount_group_ours, group_ours, TaskGroup<fmt::Error>);
counted!(icount_group_peer, group_peer, TaskTracker);
counted!(icount_group_floor, group_floor, Inline);
counted!(icount_groups_ours, groups_ours, Context);
counted!(icount_groups_peer, groups_peer, TaskTracker);
counted!(icount_move_ours, move_ours, CancelHandle);
counted!(icount_move_peer, move_peer, RefCell<Pin<Box<Sleep>>>);

#[inline(always)]
fn derive_ours(parent: &Context) {
    drop(black_box(parent.with_cancel()));
}

#[inline(always)]
fn derive_peer(parent: &CancellationToken) {
    drop(black_box(parent.child_token()));
}

#[inline(always)]
fn derive_floor(floor: &Floor) {
    floor.turn();
}

#[inline(always)]
fn wait_ours(context: &Context) {
    poll_once(pin!(context.cancelled()), Waker::noop());
}

#[inline(always)]
fn wait_peer(token: &CancellationToken) {
    poll_once(pin!(token.cancelled()), Waker::noop());
}

#[inline(always)]
fn poll_ours(context: &Context) {
    black_box(context.is_cancelled());
}

#[inline(always)]
fn poll_peer(token: &CancellationToken) {
    black_box(token.is_cancelled());
}

#[inline(always)]
fn cancel_ours(handle: &CancelHandle) {
    black_box(handle.cancel());
}

#[inline(always)]
fn cancel_peer(token: &CancellationToken) {
    token.cancel();
}

#[inline(always)]
fn deadline_ours(parent: &Context) {
    drop(black_box(parent.with_timeout(black_box(HOUR))));
}

/// Within a runtime. A sleep that was not polled is not armed.
#[inline(always)]
fn deadline_peer(parent: &CancellationToken) {
    let token = black_box(parent.child_token());
    poll_once(pin!(sleep(black_box(HOUR))), Waker::noop());
    drop(token);
}

#[inline(always)]
fn move_ours(handle: &CancelHandle) {
    black_box(handle.set_deadline(Instant::now() + black_box(HOUR)));
}

#[inline(always)]
fn move_peer(sleep: &RefCell<Pin<Box<Sleep>>>) {
    let mut sleep = sleep.borrow_mut();
    sleep
        .as_mut()
        .reset((Instant::now() + black_box(HOUR)).into());
}

/// What a spawner is that polls where it stands, for a task in a box.
type Inline = Box<dyn Fn(Pin<Box<dyn Future<Output = ()>>>)>;

async fn work() -> Result<(), fmt::Error> {
    black_box(Ok(()))
}

fn inline(task: BoxTask) -> Result<(), Refused> {
    poll_once(pin!(task), Waker::noop());
    Ok(())
}

#[inline(always)]
fn group_ours(group: &TaskGroup<fmt::Error>) {
    assert!(group.try_spawn(work()).is_ok());
}

#[inline(always)]
fn group_peer(tracker: &TaskTracker) {
    let task = tracker.track_future(async { _ = work().await });
    poll_once(
        black_box(Box::pin(task) as Pin<Box<dyn Future<Output = ()>>>).as_mut(),
        Waker::noop(),
    );
}

#[inline(always)]
fn group_floor(spawner: &Inline) {
    spawner(black_box(Box::pin(async { _ = work().await })));
}

#[inline(always)]
fn groups_ours(parent: &Context) {
    let group = TaskGroup::<fmt::Error>::with_spawner(parent, inline);
    poll_once(pin!(group.join()), Waker::noop());
}

#[inline(always)]
fn groups_peer(_: &TaskTracker) {
    let tracker = TaskTracker::new();
    tracker.close();
    poll_once(pin!(tracker.wait()), Waker::noop());
}

/// First what is not counted, until everything made once has been made.
fn steady<T>(over: &T, warm: impl Fn(&T), counted: impl Fn(&T)) {
    (0..CALLS).for_each(|_| warm(black_box(over)));
    (0..CALLS).for_each(|_| counted(black_box(over)));
}

/// The same over leaves of one parent, each used once.
fn each<T>(make: impl Fn() -> T, warm: impl Fn(&T), counted: impl Fn(&T)) {
    (0..CALLS).for_each(|_| warm(black_box(&make())));
    (0..CALLS).for_each(|_| counted(black_box(&make())));
}

fn main() {
    let word = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let wanted = |name: &str| word.as_ref().is_none_or(|word| word == name);
    let (context, _handle) = Context::background().with_cancel();
    let token = CancellationToken::new();
    if wanted("derive") {
        steady(&context, derive_ours, icount_derive_ours);
        steady(&token, derive_peer, icount_derive_peer);
        steady(&Floor::default(), derive_floor, icount_derive_floor);
    }
    if wanted("wait") {
        steady(&context, wait_ours, icount_wait_ours);
        steady(&token, wait_peer, icount_wait_peer);
    }
    if wanted("poll") {
        steady(&context, poll_ours, icount_poll_ours);
        steady(&token, poll_peer, icount_poll_peer);
    }
    if wanted("cancel") {
        each(|| context.with_cancel().1, cancel_ours, icount_cancel_ours);
        each(|| token.child_token(), cancel_peer, icount_cancel_peer);
    }
    if wanted("group") {
        let group = TaskGroup::with_spawner(&context, inline);
        let tracker = TaskTracker::new();
        let spawner: Inline = Box::new(|mut task| {
            poll_once(task.as_mut(), Waker::noop());
        });
        steady(&group, group_ours, icount_group_ours);
        steady(&tracker, group_peer, icount_group_peer);
        steady(&spawner, group_floor, icount_group_floor);
    }
    if wanted("groups") {
        steady(&context, groups_ours, icount_groups_ours);
        steady(&TaskTracker::new(), groups_peer, icount_groups_peer);
    }
    // The clock is a system call under valgrind, which counts none of it.
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime without threads can be had");
    let _guard = runtime.enter();
    if wanted("deadline") {
        steady(&context, deadline_ours, icount_deadline_ours);
        steady(&token, deadline_peer, icount_deadline_peer);
    }
    if wanted("move") {
        let (_context, handle) = context.with_timeout(HOUR);
        steady(&handle, move_ours, icount_move_ours);
        let mut sleep = Box::pin(sleep(HOUR));
        poll_once(sleep.as_mut(), Waker::noop());
        steady(&RefCell::new(sleep), move_peer, icount_move_peer);
    }
    println!("icount: {CALLS} calls of each ran; benches/icount.sh counts them");
}
