//! What few nodes have: a name, ties, a clock, a deadline that came later or
//! with a cause, and the further lanes of a contended list.
//!
//! It is installed once, by the constructor or by whoever first needs it, and
//! goes with the node (N5).

use super::far::Far;
use super::idlers::Idlers;
use super::{Birth, Facets, Head, Lane, Node};
use crate::error::Cause;
use crate::sync::Ordering::{Acquire, Relaxed, Release};
use crate::sync::{AtomicPtr, Cell, Site, lane_count, memory};
use crate::timer::{Clockwork, Timer};
use std::borrow::Cow;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;

/// What few nodes have.
pub(super) struct Extension {
    pub(super) name: Option<Cow<'static, str>>,
    pub(super) lanes: AtomicPtr<Lanes>,
    pub(super) far: Option<Far>,
    pub(super) birth: Option<Birth>,
    /// What to say if the deadline comes; null, or from `memory::alloc`.
    pub(super) cause: Cell<*mut Cause>,
    /// What the clock of the node is made of, kept for all below (D6).
    #[expect(dead_code, reason = "it is kept, and not looked at")]
    clock: Option<Arc<Clockwork>>,
    /// The timer of a deadline that was set later than the node was made.
    pub(super) late: AtomicPtr<Timer>,
    /// Those who wait until nothing lives below; null, or from `make_idlers`.
    pub(super) idlers: AtomicPtr<Idlers>,
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

    /// The extension, made if there was none.
    pub(super) fn make_extension(&self) -> &Extension {
        if let Some(extension) = self.extension() {
            return extension;
        }
        let new = Extension::alloc(Extension::empty());
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

    /// The timer of a deadline that was set later than the node was made.
    pub(super) fn late(&self) -> Option<NonNull<Timer>> {
        // Acquire: shows the timer; meets the Release in `make_late`.
        NonNull::new(self.extension()?.late.load(Acquire, Site::LateLoad))
    }

    /// The same, made if there is none: by `new`, and only then used.
    pub(crate) fn make_late(&self, new: impl FnOnce() -> NonNull<Timer>) -> NonNull<Timer> {
        if let Some(late) = self.late() {
            return late;
        }
        let new = new();
        let late = &self.make_extension().late;
        // Release: publishes the timer; meets the Acquire in `late`. On failure
        // Acquire: we use the other's.
        match late.compare_exchange(
            null_mut(),
            new.as_ptr(),
            Release,
            Acquire,
            Site::LateInstall,
        ) {
            Ok(_) => new,
            Err(other) => {
                // SAFETY: never published.
                unsafe { memory::free(new) };
                // SAFETY: not null, as the exchange has failed.
                unsafe { NonNull::new_unchecked(other) }
            }
        }
    }

    /// What to say if the deadline comes.
    ///
    /// # Safety
    ///
    /// The node is not dead, or its burial is the caller's.
    pub(crate) unsafe fn deadline_cause(&self) -> Option<Cause> {
        // SAFETY: written by the constructor, and by the burial only.
        let at = unsafe { self.extension()?.cause.get() };
        // SAFETY: it goes with the burial.
        unsafe { at.as_ref() }.cloned()
    }

    /// Whether there is one.
    #[inline]
    pub(crate) fn has_deadline_cause(&self) -> bool {
        self.is(Facets::TIMED)
            && self.extension().is_some_and(|extension| {
                // SAFETY: written by the constructor, and by the burial only.
                !unsafe { extension.cause.get() }.is_null()
            })
    }

    /// The same taken out, when the node is buried.
    ///
    /// # Safety
    ///
    /// The node is dead, and the caller's to bury (T7).
    pub(crate) unsafe fn take_deadline_cause(&self) -> Option<Cause> {
        let cause = &self.extension()?.cause;
        // SAFETY: the caller's alone.
        let at = NonNull::new(unsafe { cause.get() })?;
        // SAFETY: the same.
        unsafe { cause.set(null_mut()) };
        // SAFETY: from `alloc`, and moved out once.
        Some(unsafe { memory::take(at) })
    }

    /// Splits the list, unless that has been done or the list is closed.
    #[cold]
    pub(crate) fn split_lanes(&self) {
        let extension = self.make_extension();
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
    fn empty() -> Extension {
        Extension {
            name: None,
            lanes: AtomicPtr::new(null_mut()),
            far: None,
            birth: None,
            cause: Cell::new(null_mut()),
            clock: None,
            late: AtomicPtr::new(null_mut()),
            idlers: AtomicPtr::new(null_mut()),
        }
    }

    /// None where there is nothing to put into it.
    pub(super) fn of(
        name: Option<Cow<'static, str>>,
        far: Option<Far>,
        cause: Option<Cause>,
        clock: Option<Arc<Clockwork>>,
        birth: Option<Birth>,
    ) -> *mut Extension {
        let nothing = name.is_none() && far.is_none() && cause.is_none();
        if nothing && clock.is_none() && birth.is_none() {
            return null_mut();
        }
        let cause = cause.map_or(null_mut(), |cause| memory::alloc(cause).as_ptr());
        let extension = Extension {
            name,
            far,
            cause: Cell::new(cause),
            clock,
            birth,
            ..Extension::empty()
        };
        Extension::alloc(extension).as_ptr()
    }

    fn alloc(extension: Extension) -> NonNull<Extension> {
        memory::alloc(extension)
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
