//! What few nodes have: a name, ties, and the further lanes of a contended list.
//!
//! It is installed once, by the constructor or by whoever first splits the list,
//! and goes with the node (N5).

use super::far::Far;
use super::{Head, Lane, Node};
use crate::sync::Ordering::{Acquire, Relaxed, Release};
use crate::sync::{AtomicPtr, Site, lane_count, memory};
use std::borrow::Cow;
use std::ptr::{NonNull, null_mut};

/// What few nodes have.
pub(super) struct Extension {
    pub(super) name: Option<Cow<'static, str>>,
    pub(super) lanes: AtomicPtr<Lanes>,
    pub(super) far: Option<Far>,
}

/// The further lanes of a contended list.
pub(super) struct Lanes(Box<[NonNull<PaddedLane>]>);

/// A lane on cache lines of its own.
#[repr(align(128))]
struct PaddedLane(Lane);

impl Node {
    pub(super) fn extension(&self) -> Option<&Extension> {
        // Acquire: shows what it points to; meets the Release in
        // `split_lanes`.
        let at = self.extension.load(Acquire, Site::ExtensionLoad);
        // SAFETY: valid as long as the node (N5).
        unsafe { at.as_ref() }
    }

    /// The further lanes, none before there is contention.
    fn lanes(&self) -> &[NonNull<PaddedLane>] {
        let Some(extension) = self.extension() else {
            return &[];
        };
        // Acquire: shows the lanes; meets the Release in `split_lanes`.
        let at = extension.lanes.load(Acquire, Site::LanesLoad);
        // SAFETY: valid as long as the node (N5).
        unsafe { at.as_ref() }.map_or(&[], |lanes| &lanes.0)
    }

    /// How many lanes the list has, as `head` of its first lane tells.
    pub(crate) fn lane_count(&self, head: Head) -> usize {
        if head.has(Head::SPLIT) {
            1 + self.lanes().len()
        } else {
            1
        }
    }

    /// A lane by its number: 0 is the one in the node itself.
    #[inline(always)]
    pub(crate) fn lane(&self, number: usize) -> &Lane {
        match number {
            0 => &self.children,
            // SAFETY: a lane is valid as long as the node (N5).
            n => unsafe { &self.lanes()[n - 1].as_ref().0 },
        }
    }

    /// Splits the list, unless that has been done or the list is closed.
    #[cold]
    pub(crate) fn split_lanes(&self) {
        let extension = match self.extension() {
            Some(extension) => extension,
            None => {
                let new = Extension::alloc(None, None);
                // Release: publishes the extension; meets the Acquire in
                // `extension`. On failure Acquire: we use the other's.
                match self.extension.compare_exchange(
                    null_mut(),
                    new.as_ptr(),
                    Release,
                    Acquire,
                    Site::ExtensionInstall,
                ) {
                    // SAFETY: valid as long as the node (N5).
                    Ok(_) => unsafe { new.as_ref() },
                    Err(other) => {
                        // SAFETY: never published.
                        unsafe { memory::free(new) };
                        // SAFETY: valid as long as the node (N5).
                        unsafe { &*other }
                    }
                }
            }
        };
        // Relaxed: only asks whether there is something to do.
        if extension.lanes.load(Relaxed, Site::LanesPeek).is_null() {
            let new = Lanes::alloc();
            // Release: publishes the lanes; meets the Acquire in `lanes`. On
            // failure Relaxed: the other's are not used here.
            let installed = extension.lanes.compare_exchange(
                null_mut(),
                new.as_ptr(),
                Release,
                Relaxed,
                Site::LanesInstall,
            );
            if installed.is_err() {
                // SAFETY: never published.
                unsafe { Lanes::free(new) };
            }
        }
        self.children.mark_unless_closed(Head::SPLIT);
    }
}

impl Extension {
    /// None where there is nothing to put into it.
    pub(super) fn of(name: Option<Cow<'static, str>>, far: Option<Far>) -> *mut Extension {
        if name.is_none() && far.is_none() {
            return null_mut();
        }
        Extension::alloc(name, far).as_ptr()
    }

    fn alloc(name: Option<Cow<'static, str>>, far: Option<Far>) -> NonNull<Extension> {
        memory::alloc(Extension {
            name,
            far,
            lanes: AtomicPtr::new(null_mut()),
        })
    }
}

impl Lanes {
    fn alloc() -> NonNull<Lanes> {
        let lanes = (0..lane_count()).map(|_| memory::alloc(PaddedLane(Lane::new())));
        memory::alloc(Lanes(lanes.collect()))
    }

    /// # Safety
    ///
    /// They came from `alloc`, and nobody uses them any more.
    pub(super) unsafe fn free(at: NonNull<Lanes>) {
        // SAFETY: still valid here.
        for &lane in &unsafe { at.as_ref() }.0 {
            // SAFETY: by the caller.
            unsafe { memory::free(lane) };
        }
        // SAFETY: by the caller.
        unsafe { memory::free(at) };
    }
}
