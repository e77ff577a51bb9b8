//! Task groups: what is easily got wrong.

use super::group_tools::{
    End, Fail, Gate, Group, Hand, block_on, boxed, done, join_of, until_cancelled,
};
use super::tools::{HOUR, in_time, peek, start};
use crate::{Context, JoinError};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::{Arc, Barrier, OnceLock};
use std::task::Poll;

async fn panicking(text: &'static str) -> End {
    panic!("{text}");
}

// V14, V22: a panic ends the others, and is resumed by one join, as it was.
#[test]
fn a_panic_is_resumed_by_one_join() {
    let (hand, group) = Hand::group(&Context::background());
    let ctx = group.context().clone();
    group.try_spawn(until_cancelled(&ctx)).unwrap();
    group.try_spawn(async { panic_any(Fail(8)) }).unwrap();
    group.try_spawn(panicking("second")).unwrap();
    let waiting = join_of(&group);
    hand.run();
    assert_eq!(group.len(), 0);
    let cause = ctx.cause().unwrap().to_string();
    assert!(cause.contains("panicked"), "{cause}");
    assert_eq!(waiting.0.count(), 1);
    let panic = catch_unwind(AssertUnwindSafe(|| block_on(group.join()))).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&Fail(8)));
    for join in [waiting.1, Box::pin(group.join())] {
        let error = block_on(join).unwrap_err();
        assert!(matches!(error, JoinError::Panicked(_)), "{error:?}");
        assert!(error.error().is_none());
    }
}

// V22: where it is polled counts, not where it was made or polled first.
#[test]
fn a_join_begun_outside_and_polled_inside_is_an_error() {
    in_time(|| {
        let (hand, group) = Hand::group(&Context::background());
        static GROUP: OnceLock<Group> = OnceLock::new();
        let group = GROUP.get_or_init(|| group);
        let gate = Gate::new();
        group.try_spawn(gate.task()).unwrap();
        let (unpolled, (_, polled)) = (boxed(group.join()), join_of(group));
        let (mut limited, timed) = (boxed(group.join_timeout(HOUR)), gate.passed());
        assert!(peek(&mut limited).is_pending());
        group
            .try_spawn(async move {
                for mut join in [unpolled, polled, limited] {
                    let inside = peek(&mut join);
                    assert!(matches!(inside, Poll::Ready(Err(JoinError::FromInside))));
                }
                timed.await;
                Ok(())
            })
            .unwrap();
        hand.run();
        gate.open();
        hand.run();
        block_on(group.join()).unwrap();
    });
}

// V22: the tasks of a group are those that it admitted and that have not ended.
#[test]
fn who_was_never_admitted_is_no_straggler() {
    let (hand, group) = Hand::group(&Context::background());
    let to_be = group.task("to be");
    let contexts = [(); 3].map(|()| group.task("gone").context().clone());
    drop(group.task("never"));
    assert!(group.stragglers().is_empty());
    to_be.try_spawn(done()).unwrap();
    assert_eq!(group.stragglers().len(), 1);
    group.close();
    let late = group.task("late");
    let ctx = late.context().clone();
    assert!(late.try_spawn(done()).is_err());
    assert_eq!(group.stragglers().len(), 1);
    hand.run();
    block_on(group.join()).unwrap();
    assert!(group.stragglers().is_empty());
    drop((contexts, ctx));
    // One that waits for a place, and one that found none.
    let (hand, group) = Hand::group(&Context::background());
    let group = group.limit(1).when_forgotten(|_| ());
    group.try_spawn(done()).unwrap();
    let mut waits = boxed(group.spawn(done()));
    assert!(peek(&mut waits).is_pending());
    assert!(group.try_spawn(done()).is_err());
    assert_eq!((group.len(), group.stragglers().len()), (1, 1));
    hand.clear();
}

// V22: a task that another thread spawns while the group is dropped is refused, or
// is told to stop: none is left behind unnoticed.
#[test]
fn a_task_that_slips_in_while_its_group_is_dropped_is_cancelled() {
    in_time(|| {
        for _ in 0..3_000 {
            let (hand, group) = Hand::group(&Context::background());
            let group = group.when_forgotten(|_| ());
            let (handle, ctx) = (group.handle(), group.context().clone());
            let barrier = Arc::new(Barrier::new(2));
            let other = barrier.clone();
            let thread = start(move || {
                other.wait();
                handle.try_spawn(std::future::pending::<End>()).is_ok()
            });
            barrier.wait();
            drop(group);
            assert!(!thread.join().unwrap() || ctx.is_cancelled());
            hand.clear();
        }
    });
}
