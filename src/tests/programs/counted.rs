//! Objects that can be told apart, and are known while they exist.

use ctxtree::{CancelError, Context};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Makes objects, and knows which are left.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<Vec<u32>>>);

impl Tally {
    pub(crate) fn make(&self, number: u32) -> Counted {
        self.with(|live| live.push(number));
        Counted {
            number,
            tally: self.clone(),
        }
    }

    /// The numbers of those that exist, in order.
    pub(crate) fn live(&self) -> Vec<u32> {
        let mut live = self.with(|live| live.clone());
        live.sort_unstable();
        live
    }

    fn with<R>(&self, f: impl FnOnce(&mut Vec<u32>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// There is one object of each number, so the number tells which object it is.
pub(crate) struct Counted {
    pub(crate) number: u32,
    tally: Tally,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let number = self.number;
        let place = self.tally.with(|live| {
            let place = live.iter().position(|&left| left == number);
            place.map(|place| live.swap_remove(place))
        });
        assert!(place.is_some(), "{self} was dropped twice");
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "object {}", self.number)
    }
}

impl Error for Counted {}

/// The number of the cause in an error.
pub(crate) fn cause_number(error: &CancelError) -> Option<u32> {
    let cause = error.cause()?;
    let counted = cause.downcast_ref::<Counted>().expect("a cause made here");
    Some(counted.number)
}

/// Fails if the short ways to ask do not say what `error` says.
pub(crate) fn assert_asks_agree(context: &Context, error: &CancelError) {
    assert!(context.is_cancelled());
    assert!(context.check().is_err());
    assert_eq!(context.reason(), Some(error.reason()));
    assert_eq!(context.cause().is_some(), error.cause().is_some());
    if let (Some(one), Some(other)) = (context.cause(), error.cause()) {
        assert!(one.ptr_eq(other), "two causes of one cancel");
    }
}
