//! The payload of a panic: what it says, and its end where nobody gets it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panic says, if its payload is a text.
pub(crate) fn text(payload: &(dyn Any + Send)) -> Option<&str> {
    let fixed = payload.downcast_ref::<&'static str>().copied();
    fixed.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// Drops a payload, which may itself panic, and so on.
pub(crate) fn forget(payload: Box<dyn Any + Send>) {
    let Err(next) = catch_unwind(AssertUnwindSafe(|| drop(payload))) else {
        return;
    };
    if text(&*next).is_none() {
        // Its drop may panic again: there is no third chance.
        std::mem::forget(next);
    }
}

#[cfg(test)]
mod tests {
    use super::{forget, text};
    use std::panic::panic_any;
    use std::sync::Arc;

    /// Panics with a text when dropped.
    struct Once(Arc<()>);

    impl Drop for Once {
        fn drop(&mut self) {
            panic!("held {} times", Arc::strong_count(&self.0));
        }
    }

    /// Panics with another one when dropped.
    struct Again;

    impl Drop for Again {
        fn drop(&mut self) {
            panic_any(Again);
        }
    }

    #[test]
    fn a_payload_is_dropped_whatever_its_drop_does() {
        let held = Arc::new(());
        forget(Box::new(held.clone()));
        forget(Box::new(Once(held.clone())));
        assert_eq!(Arc::strong_count(&held), 1);
        forget(Box::new(Again));
    }

    #[test]
    fn only_a_text_says_something() {
        assert_eq!(text(&"fixed"), Some("fixed"));
        assert_eq!(text(&"made".to_owned()), Some("made"));
        assert_eq!(text(&7), None);
    }
}
