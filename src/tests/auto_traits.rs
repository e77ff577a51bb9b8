//! What the types are, checked when this compiles.

use crate::{
    BoxTask, CancelError, CancelHandle, Cancelled, CancelledOwned, Cause, Context, Derive,
    DropGuard, Every, Finished, Forgotten, FutureExt, GroupHandle, Id, Idle, IdleTimeout,
    JoinError, Key, Reason, Refused, Registration, Scope, Stop, Stragglers, Task, TaskGroup,
    TaskState, WithContext, tree,
};
use std::collections::HashSet;
use std::error::Error;
use std::fmt::{self, Debug, Display};
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::panic::{RefUnwindSafe, UnwindSafe};

const fn crosses_threads<T: Send + Sync + Unpin>() {}
const fn moves_between_threads<T: Send + Unpin + 'static>() {}
const fn crosses_panics<T: UnwindSafe + RefUnwindSafe>() {}
const fn is_identity<T: Clone + Eq + Hash + Debug>() {}
const fn is_shown<T: Debug + Display>() {}
const fn is_copied<T: Copy + Eq + Hash + Debug + Display>() {}
const fn is_plain<T: Copy + Eq + Debug>() {}
const fn waits<T: Future<Output = CancelError> + Debug>() {}
const fn is_error<T: Error + Clone + Send + Sync + 'static>() {}

// T19, T36, G37: what api.md's table says.
const _: () = {
    crosses_threads::<Context>();
    crosses_threads::<CancelHandle>();
    crosses_threads::<DropGuard>();
    crosses_threads::<Reason>();
    crosses_threads::<Cause>();
    crosses_threads::<CancelError>();
    crosses_threads::<Cancelled<'static>>();
    crosses_threads::<CancelledOwned>();
    crosses_threads::<Id>();
    crosses_threads::<IdleTimeout>();
    crosses_threads::<Derive<'static>>();
    crosses_threads::<Every<'static>>();
    crosses_threads::<Key<std::cell::Cell<*const ()>>>();
    crosses_threads::<Registration>();
    crosses_threads::<Scope<'static, 'static, CancelError>>();
    crosses_threads::<Stop>();
    crosses_threads::<tree::Snapshot>();
    crosses_threads::<WithContext<'static, std::future::Ready<()>>>();
    crosses_threads::<Idle<'static>>();
    crosses_threads::<TaskGroup<fmt::Error>>();
    crosses_threads::<GroupHandle<fmt::Error>>();
    crosses_threads::<Task<fmt::Error>>();
    crosses_threads::<Stragglers>();
    crosses_threads::<Forgotten>();
    moves_between_threads::<BoxTask>();
    moves_between_threads::<Refused>();
    #[cfg(feature = "tokio")]
    crosses_threads::<crate::ContextToken>();

    crosses_panics::<Context>();
    crosses_panics::<CancelHandle>();
    crosses_panics::<DropGuard>();
    crosses_panics::<Reason>();
    crosses_panics::<Cancelled<'static>>();
    crosses_panics::<CancelledOwned>();
    crosses_panics::<Id>();
    crosses_panics::<Key<String>>();
    crosses_panics::<Registration>();
    crosses_panics::<Scope<'static, 'static, CancelError>>();
    crosses_panics::<IdleTimeout>();
    crosses_panics::<Stop>();
    crosses_panics::<tree::Snapshot>();
    crosses_panics::<Idle<'static>>();
    #[cfg(feature = "tokio")]
    crosses_panics::<crate::ContextToken>();

    is_identity::<Context>();
    is_identity::<CancelHandle>();
    is_shown::<Context>();
    is_shown::<Cause>();
    is_copied::<Reason>();
    is_copied::<Id>();
    is_plain::<Stop>();
    is_shown::<tree::Snapshot>();
    waits::<Cancelled<'static>>();
    waits::<CancelledOwned>();
    is_error::<CancelError>();
    is_error::<JoinError<fmt::Error>>();
    is_error::<Stragglers>();
    is_shown::<Forgotten>();
    is_shown::<TaskState>();
    is_plain::<TaskState>();
    is_error::<Finished>();
};

// P54: one pointer wide, and room for `None` in it.
const _: () = {
    assert!(size_of::<Context>() == size_of::<usize>());
    assert!(size_of::<Option<Context>>() == size_of::<usize>());
    assert!(size_of::<CancelHandle>() == size_of::<usize>());
    assert!(size_of::<Option<CancelHandle>>() == size_of::<usize>());
    assert!(size_of::<Cancelled<'static>>() == 2 * size_of::<usize>());
    assert!(size_of::<CancelledOwned>() == 2 * size_of::<usize>());
    assert!(size_of::<Id>() == size_of::<u64>());
};

/// A future is `Send` if the work in it is, and only then.
fn send<T: Send>(value: T) -> T {
    value
}

#[test]
fn futures_under_a_context_are_as_send_as_their_work() {
    let (ctx, _handle) = Context::background().with_cancel();
    drop(send(ctx.run_until_cancelled(async { 1 })));
    drop(send(ctx.clone().run_until_cancelled_owned(async { 1 })));
    drop(send(async { 1 }.with_context(&ctx)));
}

// T23: the owning form does not borrow, so a function may return it.
#[test]
fn the_owning_futures_are_static() {
    fn make() -> impl Future<Output = Result<u8, CancelError>> + Send + 'static {
        let (ctx, handle) = Context::background().with_cancel();
        handle.cancel();
        ctx.run_until_cancelled_owned(async { 1 })
    }
    fn make_wait() -> CancelledOwned {
        Context::background().with_cancel().0.cancelled_owned()
    }
    drop((make(), make_wait()));
}

fn hash<T: Hash>(value: &T) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

// T24, T25: identity.
#[test]
fn clones_are_equal_and_hash_alike_and_others_do_not() {
    let (ctx, handle) = Context::background().with_cancel();
    let (child, _keep) = ctx.with_cancel();
    let (other, other_handle) = Context::background().with_cancel();
    assert_eq!(ctx, ctx.clone());
    assert_eq!(handle, handle.clone());
    assert_eq!(handle.context(), &ctx);
    assert_eq!(hash(&ctx), hash(&ctx.clone()));
    assert_eq!(hash(&handle), hash(&handle.clone()));
    for different in [&child, &other, &ctx.without_cancel()] {
        assert_ne!(&ctx, different);
        assert_ne!(hash(&ctx), hash(different));
        assert_ne!(ctx.id(), different.id());
    }
    assert_ne!(handle, other_handle);
    handle.cancel();
    assert_eq!(ctx, ctx.clone(), "done or not");
    let set: HashSet<Context> = [ctx.clone(), ctx.clone(), child, other].into();
    assert_eq!(set.len(), 3);
    assert!(set.contains(&ctx));
}

#[test]
fn ids_are_stable_and_never_shared() {
    let threads: Vec<_> = (0..4)
        .map(|_| {
            super::tools::start(|| {
                let contexts = (0..1_000).map(|_| Context::todo().with_cancel().0);
                contexts.map(|ctx| ctx.id()).collect::<Vec<Id>>()
            })
        })
        .collect();
    let mut ids = HashSet::new();
    for thread in threads {
        for id in thread.join().unwrap() {
            assert!(ids.insert(id));
        }
    }
    // Asked for by several threads at once, it is one.
    for _ in 0..100 {
        let (ctx, _handle) = Context::background().with_cancel();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let ctx = ctx.clone();
                super::tools::start(move || ctx.id())
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), ctx.id());
        }
    }
}
