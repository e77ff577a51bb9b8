//! Futures that are polled again with the waker they have.

use super::group_tools::{Forever, Group, Hand};
use super::tools::{HOUR, Hostile, poll};
use crate::{Context, Drain, FutureExt};
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

type Waiting<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

fn waits<'a, T>(future: impl Future<Output = T> + 'a) -> Waiting<'a> {
    Box::pin(async move {
        future.await;
    })
}

// V16: a waker is cloned when it is new, and not at every poll.
#[test]
fn a_poll_with_the_same_waker_clones_none() {
    let (ctx, _keep) = Context::background().with_cancel();
    let (_child, _below) = ctx.with_cancel();
    let drain = Drain::new(&ctx);
    let (_in_drain, _in_it) = drain.context().with_cancel();
    let (hand, group): (Hand, Group) = Hand::group(&ctx);
    let group = group.limit(1);
    group.try_spawn(Forever(())).unwrap();
    let task = hand.take().unwrap();
    let mut all: Vec<(&str, Waiting<'_>)> = vec![
        ("cancelled", waits(ctx.cancelled())),
        ("cancelled_owned", waits(ctx.clone().cancelled_owned())),
        ("idle", waits(ctx.idle())),
        ("draining", waits(drain.draining())),
        ("join", waits(group.join())),
        ("join_timeout", waits(group.join_timeout(HOUR))),
        ("spawn", waits(group.spawn(Forever(())))),
        (
            "run_until_cancelled",
            waits(ctx.run_until_cancelled(pending::<()>())),
        ),
        ("with_context", waits(pending::<()>().with_context(&ctx))),
        ("task", waits(task)),
        ("finish", waits(drain.finish())),
    ];
    for (name, future) in &mut all {
        let clones = Arc::new(AtomicUsize::new(0));
        let count = clones.clone();
        let waker = Hostile::new().on_clone(move || {
            count.fetch_add(1, SeqCst);
        });
        let waker = waker.waker();
        assert!(poll(future, &waker).is_pending(), "{name}");
        let first = clones.load(SeqCst);
        for _ in 0..3 {
            assert!(poll(future, &waker).is_pending(), "{name}");
        }
        assert_eq!(clones.load(SeqCst), first, "{name}");
    }
}
