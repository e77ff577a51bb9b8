//! Freed blocks that a thread keeps for what it makes next.
//!
//! Contexts and their timers are freed many at a time, by whoever tidies up.
//! Common allocators keep a few freed blocks of a size at hand, and take several
//! times as long over the others. So each thread keeps some itself, as a list
//! through the blocks, and gives them back at its end.

use super::limits;
use super::memory::give_back;
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::thread::LocalKey;

/// A type whose freed blocks are kept. Implemented by `kept!`.
pub(crate) trait Kept: Sized + 'static {
    /// Those of this thread.
    fn stash() -> &'static LocalKey<Stash<Self>>;
}

/// Blocks with room for a `T`.
pub(crate) struct Stash<T> {
    top: Cell<Option<NonNull<Block>>>,
    len: Cell<usize>,
    of: PhantomData<fn() -> T>,
}

/// What lies in a block that is kept.
struct Block {
    next: Option<NonNull<Block>>,
}

impl<T> Stash<T> {
    pub(crate) const fn new() -> Self {
        Self {
            top: Cell::new(None),
            len: Cell::new(0),
            of: PhantomData,
        }
    }

    #[inline(always)]
    pub(super) fn pop(&self) -> Option<NonNull<T>> {
        let top = self.top.get()?;
        // SAFETY: `push` wrote it, to memory that is ours.
        let block = unsafe { top.read() };
        self.top.set(block.next);
        self.len.set(self.len.get() - 1);
        Some(top.cast())
    }

    /// Keeps a block, unless there are enough: false.
    ///
    /// # Safety
    ///
    /// `memory::alloc` made it for a `T`, and nobody uses it any more.
    #[inline(always)]
    pub(super) unsafe fn push(&self, at: NonNull<T>) -> bool {
        const { assert!(size_of::<T>() >= size_of::<Block>()) };
        if self.len.get() == limits::STASH {
            return false;
        }
        let next = self.top.get();
        // SAFETY: the caller gives it up; it is large enough, and `memory` aligns
        // it to more than a pointer.
        unsafe { at.cast().write(Block { next }) };
        self.top.set(Some(at.cast()));
        self.len.set(self.len.get() + 1);
        true
    }
}

impl<T> Drop for Stash<T> {
    fn drop(&mut self) {
        while let Some(at) = self.pop() {
            // SAFETY: by `push`.
            unsafe { give_back(at) };
        }
    }
}

/// Has each thread keep freed blocks of a type.
macro_rules! kept {
    ($type:ty) => {
        impl $crate::sync::memory::Kept for $type {
            #[inline(always)]
            fn stash() -> &'static std::thread::LocalKey<$crate::sync::memory::Stash<Self>> {
                std::thread_local! {
                    static STASH: $crate::sync::memory::Stash<$type> =
                        const { $crate::sync::memory::Stash::new() };
                }
                &STASH
            }
        }
    };
}
pub(crate) use kept;
