//! Those who wait, in order: a list that one thread at a time works on (P1).

use super::queued::Queued;
use std::ptr::{NonNull, null_mut};

pub(super) struct Queue {
    /// Who has waited longest.
    first: *mut Queued,
    last: *mut Queued,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            first: null_mut(),
            last: null_mut(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Does what a stack asks for, in the order of the pushes: who came is put
    /// at the end, who went is taken out and freed.
    ///
    /// # Safety
    ///
    /// The stack is the caller's, and was that of this queue.
    pub(super) unsafe fn apply(&mut self, stack: *mut Queued) {
        let mut at = stack;
        let mut oldest = null_mut();
        while let Some(wait) = NonNull::new(at) {
            // SAFETY: on the stack, so valid (P5).
            let below = unsafe { &wait.as_ref().below };
            // SAFETY: by the role (P1).
            at = unsafe { below.get() };
            // SAFETY: the same.
            unsafe { below.set(oldest) };
            oldest = wait.as_ptr();
        }
        at = oldest;
        while let Some(wait) = NonNull::new(at) {
            // SAFETY: on the stack, so valid (P5).
            let this = unsafe { wait.as_ref() };
            // Before it is taken: then it may be pushed again.
            // SAFETY: by the role (P1).
            at = unsafe { this.below.get() };
            if this.taken() {
                // SAFETY: by the role (P1).
                if unsafe { this.linked.get() } {
                    // SAFETY: the same; it is in this queue.
                    unsafe { self.unlink(wait) };
                }
                // SAFETY: off, in no queue, and no longer on the stack (P5).
                unsafe { Queued::free(wait) };
            } else {
                // SAFETY: by the role (P1); it is in no queue yet.
                unsafe { self.append(wait) };
            }
        }
    }

    /// Takes out who has waited longest.
    pub(super) fn pop(&mut self) -> Option<NonNull<Queued>> {
        let wait = NonNull::new(self.first)?;
        // SAFETY: in the queue, so valid (P5), and by the role (P1).
        unsafe { self.unlink(wait) };
        Some(wait)
    }

    /// # Safety
    ///
    /// The caller has the role; the wait is valid, and in no queue.
    unsafe fn append(&mut self, wait: NonNull<Queued>) {
        // SAFETY: by the caller.
        let this = unsafe { wait.as_ref() };
        // SAFETY: by the role (P1).
        unsafe { this.prev.set(self.last) };
        // SAFETY: the same.
        unsafe { this.next.set(null_mut()) };
        // SAFETY: the same.
        unsafe { this.linked.set(true) };
        // SAFETY: the same.
        unsafe { self.point_forward(self.last, wait.as_ptr()) };
        self.last = wait.as_ptr();
    }

    /// # Safety
    ///
    /// The caller has the role; the wait is valid, and in this queue.
    unsafe fn unlink(&mut self, wait: NonNull<Queued>) {
        // SAFETY: by the caller.
        let this = unsafe { wait.as_ref() };
        // SAFETY: by the role (P1).
        let prev = unsafe { this.prev.get() };
        // SAFETY: the same.
        let next = unsafe { this.next.get() };
        // SAFETY: the same.
        unsafe { this.linked.set(false) };
        // SAFETY: the same.
        unsafe { self.point_forward(prev, next) };
        match NonNull::new(next) {
            None => self.last = prev,
            Some(next) => {
                // SAFETY: in the queue, so valid (P5).
                let next = unsafe { next.as_ref() };
                // SAFETY: by the role (P1).
                unsafe { next.prev.set(prev) };
            }
        }
    }

    /// `to` now comes after `from`, or first.
    ///
    /// # Safety
    ///
    /// The caller has the role; `from` is in this queue, or null.
    unsafe fn point_forward(&mut self, from: *mut Queued, to: *mut Queued) {
        match NonNull::new(from) {
            None => self.first = to,
            Some(from) => {
                // SAFETY: in the queue, so valid (P5).
                let from = unsafe { from.as_ref() };
                // SAFETY: by the role (P1).
                unsafe { from.next.set(to) };
            }
        }
    }
}
