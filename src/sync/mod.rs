//! The only room that names std's atomics, loom, shuttle, crossbeam and atomic-waker.
//!
//! Everything that threads share goes through here, so that one set of sources
//! serves two purposes: the `real` back end is what programs run on and costs
//! nothing over the types it wraps; the `model` back end (under
//! `--cfg crossbeam_loom` or `--cfg ctxtree_shuttle`) explores interleavings, checks
//! every access against the life of the memory it touches, and can weaken one chosen
//! [`Site`].
//!
//! | what | from here |
//! |---|---|
//! | atomics, each operation with its [`Site`] | [`AtomicPtr`], [`AtomicUsize`], [`AtomicU32`] |
//! | plain memory guarded by a protocol | [`Cell`], [`Turn`] |
//! | an order that no plain memory shows | [`Witness`], [`Trace`] |
//! | heap memory whose life is checked | [`memory`] |
//! | epochs | [`epoch`] |
//! | one waker slot | [`AtomicWaker`] |
//! | what is read often and replaced rarely | [`Swap`] |
//! | a short step of several words | [`Lock`] |
//! | a look again that a protocol needs | [`recheck`] |
//! | sizes that shrink in a model | [`limits`] |
//! | ids, lane choice, statics, thread-locals | the rest |

#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
mod real;
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
use real as backend;

#[cfg(any(crossbeam_loom, ctxtree_shuttle))]
mod model;
#[cfg(any(crossbeam_loom, ctxtree_shuttle))]
use model as backend;

#[cfg(all(not(any(crossbeam_loom, ctxtree_shuttle)), feature = "internal-model"))]
pub(crate) use backend::testing;
#[cfg(any(crossbeam_loom, ctxtree_shuttle))]
pub(crate) use backend::testing;
#[cfg(any(
    crossbeam_loom,
    ctxtree_shuttle,
    all(ctxtree_seeded, feature = "internal-model")
))]
pub use seed::Bug;

mod atomic;
#[cfg(any(feature = "tokio", feature = "internal-model"))]
mod lock;
pub(crate) mod park;
#[cfg(any(crossbeam_loom, ctxtree_shuttle, ctxtree_seeded))]
mod seed;
mod site;
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle, ctxtree_seeded)))]
mod sound;
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle, ctxtree_seeded)))]
use sound as seed;

pub(crate) use atomic::{AtomicPtr, AtomicU32, AtomicUsize};
pub(crate) use backend::cell::{Cell, Trace, Turn, Witness};
#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
pub(crate) use backend::swap::Cached;
pub(crate) use backend::swap::Swap;
pub(crate) use backend::waker::AtomicWaker;
pub(crate) use backend::{
    clock, const_fn, epoch, kept, lane_count, limits, local_flag, memory, prefetch, shared_static,
    spawn, thread_index, yield_now,
};
#[cfg(any(feature = "tokio", feature = "internal-model"))]
pub(crate) use lock::Lock;
pub(crate) use seed::recheck;
pub(crate) use site::Site;
pub(crate) use std::sync::atomic::Ordering;

use std::num::NonZeroU64;
use std::sync::atomic::AtomicU64;

/// A number no other call in this process has had. Also outside the model: it
/// publishes nothing, so no interleaving of it can matter.
pub(crate) fn unique_number() -> NonZeroU64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Relaxed: only the atomicity of the addition is used.
    NonZeroU64::new(NEXT.fetch_add(1, Ordering::Relaxed)).expect("2^64 numbers cannot be used up")
}
