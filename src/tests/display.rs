//! What is printed.

use super::tools::in_time;
use crate::{Cause, Context, FutureExt, Reason};
use std::error::Error;
use std::fmt::{self, Write};

// G68, G69, G72, P-free: the path, Go-like.
#[test]
fn a_context_prints_its_path() {
    assert_eq!(Context::background().to_string(), "background");
    assert_eq!(Context::todo().to_string(), "todo");
    let (ctx, handle) = Context::background().with_cancel();
    assert_eq!(ctx.to_string(), "background.with_cancel");
    let (named, _keep) = ctx.without_cancel().derive().name("job").build();
    assert_eq!(
        named.to_string(),
        "background.with_cancel.without_cancel.job"
    );
    let (derived, _keep) = named.derive().build();
    let path = "background.with_cancel.without_cancel.job.derive";
    assert_eq!(derived.to_string(), path);
    // What is done or dropped above does not change it.
    handle.cancel();
    drop((ctx, named));
    assert_eq!(derived.to_string(), path);
}

// G74: names may be anything; a second call of `name` replaces the first.
#[test]
fn names_are_printed_as_they_are() {
    for name in ["", "with.dots", "\u{1F980} and \"quotes\"\n", "background"] {
        let (ctx, _handle) = Context::todo().derive().name("old").name(name).build();
        assert_eq!(ctx.to_string(), format!("todo.{name}"));
        assert_eq!(ctx.name(), Some(name));
        assert_eq!(ctx.clone().name(), Some(name));
        assert_eq!(ctx.with_cancel().0.name(), None);
    }
    let long = "x".repeat(100_000);
    let (ctx, _handle) = Context::todo().derive().name(long.clone()).build();
    assert_eq!(ctx.name(), Some(long.as_str()));
}

// G54.
#[test]
fn errors_print_reason_and_cause() {
    assert_eq!(Reason::Cancelled.to_string(), "context cancelled");
    assert_eq!(
        Reason::DeadlineExceeded.to_string(),
        "context deadline exceeded"
    );
    let (ctx, handle) = Context::background().with_cancel();
    let (other, other_handle) = Context::background().with_cancel();
    handle.cancel();
    other_handle.cancel_with(std::io::Error::other("disk full").to_string());
    let (plain, with_cause) = (ctx.error().unwrap(), other.error().unwrap());
    assert_eq!(plain.to_string(), "context cancelled");
    assert_eq!(with_cause.to_string(), "context cancelled: disk full");
    assert!(plain.source().is_none());
    assert_eq!(with_cause.source().unwrap().to_string(), "disk full");
}

#[test]
fn debug_tells_identity_name_and_state() {
    let (ctx, handle) = Context::background().derive().name("job").build();
    let id = ctx.id().to_string();
    let before = format!("{ctx:?}");
    for part in ["Context", &id, "job", "live"] {
        assert!(before.contains(part), "{before}");
    }
    let wait = format!("{:?}", ctx.cancelled());
    assert!(wait.starts_with("Cancelled") && wait.contains(&id));
    let wait = format!("{:?}", ctx.clone().cancelled_owned());
    assert!(wait.starts_with("CancelledOwned") && wait.contains(&id));
    let run = format!("{:?}", async {}.with_context(&ctx));
    assert!(run.starts_with("WithContext") && run.contains(&id));
    let derive = format!("{:?}", ctx.derive().name("next"));
    assert!(derive.contains(&id) && derive.contains("next"));
    handle.cancel_with("enough");
    let guard = handle.clone().drop_guard();
    for after in [
        format!("{ctx:?}"),
        format!("{handle:?}"),
        format!("{guard:?}"),
    ] {
        assert!(after.contains("context cancelled: enough"), "{after}");
        assert!(!after.contains("live"), "{after}");
    }
    let error = format!("{:?}", ctx.error().unwrap());
    for part in ["Cancelled", "enough", "display.rs"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(format!("{:?}", Cause::from("why")).contains("why"));
    assert!(format!("{:?}", ctx.id()).starts_with("Id("));
}

// A sink that fails ends the printing; nothing panics.
#[test]
fn a_failing_sink_is_told() {
    struct Full(usize);
    impl Write for Full {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    let (ctx, handle) = Context::background().with_cancel();
    handle.cancel_with("why");
    for room in 0..20 {
        assert!(write!(Full(room), "{ctx}").is_err());
        assert!(write!(Full(room), "{ctx:?}").is_err());
        assert!(write!(Full(room), "{}", ctx.error().unwrap()).is_err());
    }
}

// G74, V25: printing blocks nobody and is blocked by nobody: a cause may print
// the context while it is printed.
#[test]
fn printing_from_within_printing_ends() {
    struct Prints(Context);
    impl fmt::Debug for Prints {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            fmt::Display::fmt(self, f)
        }
    }
    impl fmt::Display for Prints {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let (child, _keep) = self.0.with_cancel();
            write!(f, "{child} {:?}", self.0.id())
        }
    }
    impl Error for Prints {}
    in_time(|| {
        let (top, _handle) = Context::background().with_cancel();
        let (ctx, handle) = top.with_cancel();
        handle.cancel_with(Cause::new(Prints(top)));
        let error = ctx.error().unwrap().to_string();
        assert!(error.starts_with("context cancelled: background.with_cancel.with_cancel"));
        assert!(format!("{ctx:?}").contains(&error));
    });
}
