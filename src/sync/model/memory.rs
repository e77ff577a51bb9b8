//! Heap memory whose life is known.
//!
//! Freed memory is kept until the execution ends. Every access to a facade
//! type looks up the object it lies in: it fails if that has been freed, and
//! it is recorded with loom, so that a free which is not ordered after it
//! fails too, even where this execution happened to run them the right way
//! round.
//!
//! Under `--cfg crossbeam_sanitize`, which needs AddressSanitizer, freed memory
//! is poisoned instead: then a use of it is reported even where no facade type
//! sees it, and with the place where it was made.

use super::engine;
use std::alloc::Layout;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::rc::Rc;

struct Object {
    layout: Layout,
    at: NonNull<u8>,
    freed: bool,
    /// Its type.
    what: &'static str,
    /// Read by each access, written by the free.
    life: Rc<engine::UnsafeCell<()>>,
}

#[cfg(crossbeam_sanitize)]
unsafe extern "C" {
    fn __asan_poison_memory_region(at: *const u8, size: usize);
    fn __asan_unpoison_memory_region(at: *const u8, size: usize);
}

thread_local! {
    // All of the model's threads run on one thread of the system.
    static OBJECTS: RefCell<BTreeMap<usize, Object>> = const { RefCell::new(BTreeMap::new()) };
}

pub(crate) fn alloc<T>(value: T) -> NonNull<T> {
    const { assert!(size_of::<T>() != 0) };
    let layout = Layout::new::<T>()
        .align_to(16)
        .expect("16 is a power of two");
    // SAFETY: the size is not zero.
    let at = unsafe { std::alloc::alloc(layout) };
    let at = NonNull::new(at.cast::<T>()).expect("a model has memory enough");
    // SAFETY: fresh memory of this layout.
    unsafe { at.write(value) };
    let object = Object {
        layout,
        at: at.cast(),
        freed: false,
        what: std::any::type_name::<T>(),
        life: Rc::new(engine::UnsafeCell::new(())),
    };
    OBJECTS.with_borrow_mut(|objects| objects.insert(at.addr().get(), object));
    at
}

/// A type whose freed blocks are kept, in programs. In a model freed memory is
/// not used again.
pub(crate) trait Kept {}

impl<T> Kept for T {}

/// As [`alloc`].
pub(crate) fn alloc_kept<T: Kept>(value: T) -> NonNull<T> {
    alloc(value)
}

/// # Safety
///
/// As [`free`].
pub(crate) unsafe fn free_kept<T: Kept>(at: NonNull<T>) {
    // SAFETY: by the caller.
    unsafe { free(at) };
}

/// # Safety
///
/// `at` came from [`alloc`], and nobody uses it any more.
pub(crate) unsafe fn free<T>(at: NonNull<T>) {
    let life = OBJECTS.with_borrow_mut(|objects| {
        let object = objects
            .get_mut(&at.addr().get())
            .expect("what is freed was allocated in this execution");
        assert!(!object.freed, "freed twice");
        object.freed = true;
        object.life.clone()
    });
    life.with_mut(|_| ());
    // SAFETY: the caller gives up what `alloc` leaked; the memory itself stays
    // until the execution ends.
    unsafe { at.drop_in_place() };
    #[cfg(crossbeam_sanitize)]
    // SAFETY: memory of ours, which nobody uses before `reset`.
    unsafe {
        __asan_poison_memory_region(at.as_ptr().cast(), size_of::<T>())
    };
}

/// Frees the memory and gives the value back.
///
/// # Safety
///
/// As [`free`].
pub(crate) unsafe fn take<T>(at: NonNull<T>) -> T {
    // SAFETY: the caller gives it up.
    let value = unsafe { at.read() };
    // SAFETY: the same memory, whose value is gone.
    unsafe { free(at.cast::<std::mem::MaybeUninit<T>>()) };
    value
}

/// Checks that `addr`, if it lies in a heap object, may still be used.
pub(super) fn touch(addr: usize) {
    if cfg!(crossbeam_sanitize) {
        return; // The access itself is checked.
    }
    let life = OBJECTS.with_borrow(|objects| {
        let (start, object) = objects.range(..=addr).next_back()?;
        if addr >= start + object.layout.size() {
            return None;
        }
        assert!(!object.freed, "used after it was freed");
        Some(object.life.clone())
    });
    if let Some(life) = life {
        life.with(|_| ());
    }
}

/// The types of those that are not freed.
pub(super) fn live() -> Vec<&'static str> {
    let live = |object: &&Object| !object.freed;
    OBJECTS.with_borrow(|objects| objects.values().filter(live).map(|o| o.what).collect())
}

/// Gives the memory of an execution back, also after one that failed.
pub(super) fn reset() {
    for object in OBJECTS.take().into_values() {
        #[cfg(crossbeam_sanitize)]
        // SAFETY: memory of ours; the allocator is to have it as it was.
        unsafe {
            __asan_unpoison_memory_region(object.at.as_ptr(), object.layout.size())
        };
        // SAFETY: it was allocated with this layout, and the execution that
        // used it is over.
        unsafe { std::alloc::dealloc(object.at.as_ptr(), object.layout) };
    }
}

/// What lies at `at`, whose maker must have come before.
///
/// # Safety
///
/// It is valid for `'a`, and [`alloc`] made it.
pub(crate) unsafe fn look<'a, T>(at: NonNull<T>) -> &'a T {
    touch(at.addr().get());
    // SAFETY: by the caller.
    unsafe { at.as_ref() }
}
