#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(feature = "std"))]
compile_error!("ctxtree needs the feature `std`");

mod blocking;
mod cancelled;
mod context;
mod derive;
mod error;
mod handle;
mod list;
mod node;
mod protocol;
mod registration;
mod run;
mod state;
mod sync;

mod wait_cell;

#[cfg(feature = "internal-model")]
#[doc(hidden)]
pub mod model;

#[cfg(all(test, not(crossbeam_loom)))]
mod tests;

pub use cancelled::{Cancelled, CancelledOwned};
pub use context::Context;
pub use derive::Derive;
pub use error::{CancelError, Cause, Id, Reason};
pub use handle::{CancelHandle, DropGuard};
pub use registration::{Registration, Stop};
pub use run::{FutureExt, WithContext};
