//! A handle count that overflows aborts, as that of `Arc` does.

#![cfg(feature = "internal-model")]

use super::tools::{alone, is_alone, run_alone};
use crate::{CancelHandle, Context, model};

/// In a process of its own: puts the count of a context where one clone more
/// is too many, and makes it.
fn overflow(test: &'static str, clone: fn(&Context, &CancelHandle)) {
    if is_alone(test) {
        let (ctx, handle) = Context::background().with_cancel();
        model::pretend_handles(&ctx, model::MAX_HANDLES);
        std::mem::forget(ctx.clone());
        println!("one more is too many");
        model::pretend_handles(&ctx, model::MAX_HANDLES + 1);
        clone(&ctx, &handle);
        println!("survived");
        std::process::exit(0);
    }
    let output = run_alone(test);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("one more is too many"), "{text}");
    assert!(!text.contains("survived"), "{text}");
    assert!(!output.status.success());
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(output.status.signal(), Some(6), "not SIGABRT");
    }
}

// V25, P56.
#[test]
fn too_many_contexts_abort() {
    overflow("tests::overflow::too_many_contexts_abort", |ctx, _| {
        std::mem::forget(ctx.clone());
    });
}

// V25, P56: handles to cancel count with them.
#[test]
fn too_many_cancel_handles_abort() {
    overflow(
        "tests::overflow::too_many_cancel_handles_abort",
        |_, handle| std::mem::forget(handle.clone()),
    );
}

// The roots keep no count: in a process of its own, as it might be too high.
#[test]
fn the_roots_may_be_cloned_for_ever() {
    alone("tests::overflow::the_roots_may_be_cloned_for_ever", || {
        for ctx in [Context::background(), Context::todo()] {
            model::pretend_handles(&ctx, model::MAX_HANDLES + 1);
            for _ in 0..1_000 {
                std::mem::forget(ctx.clone());
            }
            assert_eq!(ctx, ctx.clone());
        }
    });
}
