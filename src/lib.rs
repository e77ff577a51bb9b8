#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(feature = "std"))]
compile_error!("ctxtree needs the feature `std`");

mod admission;
mod blocking;
mod cancelled;
mod context;
mod deadline;
mod derive;
mod drain;
mod error;
mod every;
mod failures;
mod group;
mod handle;
mod idle;
mod idle_timeout;
mod link;
mod list;
#[cfg(any(feature = "tokio", feature = "internal-model"))]
mod listener;
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
mod monitor;
mod node;
mod payload;
mod places;
mod protocol;
mod registration;
mod run;
mod scope;
mod source;
mod state;
#[cfg(feature = "stream")]
mod stream;
mod sync;
pub mod time;
mod timer;
#[cfg(feature = "tokio")]
mod token;
pub mod tree;
mod values;
mod wait_cell;
mod with_clock;
mod with_value;

/// The examples of the chapter on groups, run with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../docs/groups.md")]
struct GroupsChapter;

/// The same for the chapter on deadlines.
#[cfg(doctest)]
#[doc = include_str!("../docs/time.md")]
struct TimeChapter;

/// The same for the chapter on tokens.
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../docs/tokio.md")]
struct TokensChapter;

#[cfg(feature = "internal-model")]
#[doc(hidden)]
pub mod model;

#[cfg(all(test, not(any(crossbeam_loom, ctxtree_shuttle))))]
mod tests;

// Some tests are shared with `fuzz`, and so name the library as a user does.
#[cfg(all(test, not(any(crossbeam_loom, ctxtree_shuttle))))]
extern crate self as ctxtree;

pub use cancelled::{Cancelled, CancelledOwned};
pub use context::Context;
pub use derive::Derive;
pub use drain::{Drain, Draining, Phase, Report, Shutdown, Waiting};
pub use error::{CancelError, Cause, Finished, Id, Reason};
pub use every::Every;
pub use group::spawn;
pub use group::{
    BoxTask, Forgotten, GroupHandle, JoinError, Refused, Spawn, SpawnError, Straggler, Stragglers,
    Task, TaskGroup, TaskState,
};
pub use handle::{CancelHandle, DropGuard};
pub use idle::Idle;
pub use idle_timeout::IdleTimeout;
pub use registration::{Registration, Stop};
pub use run::{FutureExt, WithContext};
pub use scope::Scope;
pub use source::CancelSource;
#[cfg(feature = "stream")]
pub use stream::{StreamExt, UntilCancelled};
#[cfg(feature = "tokio")]
pub use token::ContextToken;
pub use values::Key;
