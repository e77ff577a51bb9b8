//! Objects that can be told apart, and are known while they exist.

use ctxtree::{CancelError, Context};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Makes objects, and knows which are left.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    live: Vec<u32>,
    /// Those that were dropped twice: a panic would come at a bad time.
    twice: Vec<u32>,
}

impl Tally {
    pub(crate) fn make(&self, number: u32) -> Counted {
        self.counts().live.push(number);
        Counted {
            number,
            tally: self.clone(),
        }
    }

    /// The numbers of those that exist, in order.
    ///
    /// # Panics
    ///
    /// If one was dropped twice.
    pub(crate) fn live(&self) -> Vec<u32> {
        let counts = self.counts();
        assert_eq!(counts.twice, [], "dropped twice");
        let mut live = counts.live.clone();
        drop(counts);
        live.sort_unstable();
        live
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// There is one object of each number, so the number tells which object it is.
pub(crate) struct Counted {
    pub(crate) number: u32,
    tally: Tally,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.tally.counts();
        match counts.live.iter().position(|&left| left == self.number) {
            Some(place) => drop(counts.live.swap_remove(place)),
            None => counts.twice.push(self.number),
        }
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
