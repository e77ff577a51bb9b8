//! Circles of entries, doubly linked, each with one head. The invariants are
//! those of the [wheel](super).

use crate::sync::{Cell, const_fn};
use std::array;
use std::ptr::{NonNull, null_mut};

/// A place in a ring.
///
/// Only whoever has the wheel that it is linked in may use it.
#[repr(C)]
pub(crate) struct Ring {
    /// Null: in no ring.
    next: Cell<*mut Ring>,
    prev: Cell<*mut Ring>,
}

impl Ring {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                next: Cell::new(null_mut()),
                prev: Cell::new(null_mut()),
            }
        }
    }

    /// # Safety
    ///
    /// The caller has the wheel that it may be linked in (R1).
    pub(crate) unsafe fn is_linked(&self) -> bool {
        // SAFETY: by the caller.
        !unsafe { self.next.get() }.is_null()
    }
}

/// What follows `at` in its circle.
///
/// # Safety
///
/// It is a head or linked, in a wheel that the caller has.
pub(super) unsafe fn after(at: NonNull<Ring>) -> NonNull<Ring> {
    // SAFETY: by the caller.
    let ring = unsafe { at.as_ref() };
    // SAFETY: by the caller.
    let next = unsafe { ring.next.get() };
    debug_assert!(!next.is_null());
    // SAFETY: it is in a circle (R1).
    unsafe { NonNull::new_unchecked(next) }
}

/// What comes before `at` in its circle.
///
/// # Safety
///
/// As for [`after`].
unsafe fn before(at: NonNull<Ring>) -> NonNull<Ring> {
    // SAFETY: by the caller.
    let ring = unsafe { at.as_ref() };
    // SAFETY: by the caller.
    let prev = unsafe { ring.prev.get() };
    debug_assert!(!prev.is_null());
    // SAFETY: it is in a circle (R1).
    unsafe { NonNull::new_unchecked(prev) }
}

/// Makes `b` follow `a`.
///
/// # Safety
///
/// Both are valid and the caller's.
unsafe fn join(a: NonNull<Ring>, b: NonNull<Ring>) {
    // SAFETY: by the caller.
    let first = unsafe { a.as_ref() };
    // SAFETY: by the caller.
    let second = unsafe { b.as_ref() };
    // SAFETY: by the caller.
    unsafe { first.next.set(b.as_ptr()) };
    // SAFETY: by the caller.
    unsafe { second.prev.set(a.as_ptr()) };
}

/// Links `at` as the last of the circle of `head`.
///
/// # Safety
///
/// The caller has the wheel of `head`; `at` is valid, the caller's and in no
/// circle.
pub(super) unsafe fn push(head: NonNull<Ring>, at: NonNull<Ring>) {
    // SAFETY: valid by R4, and in a circle.
    let last = unsafe { before(head) };
    // SAFETY: linked or the head (R1), and the caller's.
    unsafe { join(last, at) };
    // SAFETY: both are the caller's.
    unsafe { join(at, head) };
}

/// Takes `at` out of its circle.
///
/// # Safety
///
/// It is linked, in a wheel that the caller has.
pub(super) unsafe fn unlink(at: NonNull<Ring>) {
    // SAFETY: by the caller.
    let ring = unsafe { at.as_ref() };
    // SAFETY: by the caller.
    let prev = unsafe { before(at) };
    // SAFETY: by the caller.
    let next = unsafe { after(at) };
    // SAFETY: its neighbours are linked or the head (R1).
    unsafe { join(prev, next) };
    // SAFETY: by the caller.
    unsafe { ring.next.set(null_mut()) };
    // SAFETY: by the caller.
    unsafe { ring.prev.set(null_mut()) };
}

/// The first of the circle of `head`.
///
/// # Safety
///
/// The caller has its wheel.
pub(super) unsafe fn first(head: NonNull<Ring>) -> Option<NonNull<Ring>> {
    // SAFETY: valid by R4, and in a circle.
    let first = unsafe { after(head) };
    (first != head).then_some(first)
}

/// Makes so many heads of empty circles, on the heap.
pub(super) fn heads<const N: usize>() -> NonNull<[Ring; N]> {
    let heads = Box::new(array::from_fn(|_| Ring::new()));
    // A raw pointer: a box that is moved would end those to its inside.
    let heads = NonNull::from(Box::leak(heads));
    for slot in 0..N {
        // SAFETY: one of the array.
        let head = unsafe { heads.cast::<Ring>().add(slot) };
        // SAFETY: just made.
        unsafe { join(head, head) };
    }
    heads
}
