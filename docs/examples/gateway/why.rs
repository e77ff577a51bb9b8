//! Why something was cancelled: one error type, given as the cause of every
//! cancel and every deadline but that of the drain, so that whoever is stopped
//! can ask what happened and how long ago.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use ctxtree::{CancelError, Cause};

use crate::backends::Failure;

/// A clone tells of the same cancel.
#[derive(Clone, Debug)]
pub(crate) struct Why {
    what: What,
    at: Instant,
}

#[derive(Clone, Debug)]
enum What {
    ClientWentAway,
    HandlerPanicked,
    OutOfTime(Duration),
    BackendFailed(Failure),
}

impl Why {
    pub(crate) fn client_went_away() -> Why {
        Why::now(What::ClientWentAway)
    }

    pub(crate) fn handler_panicked() -> Why {
        Why::now(What::HandlerPanicked)
    }

    /// Made with the deadline, and kept until it passes: the cancel is not made
    /// now but `limit` from now.
    pub(crate) fn out_of_time(limit: Duration) -> Why {
        Why {
            what: What::OutOfTime(limit),
            at: Instant::now() + limit,
        }
    }

    pub(crate) fn backend_failed(failure: Failure) -> Why {
        Why::now(What::BackendFailed(failure))
    }

    fn now(what: What) -> Why {
        Why {
            what,
            at: Instant::now(),
        }
    }

    /// How long ago the cancel behind `error` was made, or its deadline passed;
    /// unknown if the server is at its end.
    pub(crate) fn age(error: &CancelError) -> Option<Duration> {
        let why: &Why = error.cause()?.downcast_ref()?;
        Some(why.at.elapsed())
    }
}

impl From<Why> for Cause {
    fn from(why: Why) -> Cause {
        Cause::new(why)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::ClientWentAway => f.write_str("client went away"),
            What::HandlerPanicked => f.write_str("handler panicked"),
            What::OutOfTime(limit) => write!(f, "no answer within {limit:?}"),
            What::BackendFailed(failure) => write!(f, "backend {failure}"),
        }
    }
}

impl Error for Why {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.what {
            What::BackendFailed(failure) => Some(failure),
            _ => None,
        }
    }
}
