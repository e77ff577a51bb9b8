//! Values and closures of every size and alignment.

use super::tools::OnDrop;
use crate::{CancelSource, Cause, Context, Key, Stop};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// As large and as far aligned as the type says.
#[derive(Clone)]
#[repr(align(1))]
struct Plain<const N: usize>([u8; N]);
#[derive(Clone)]
#[repr(align(64))]
struct Line<const N: usize>([u8; N]);
#[derive(Clone)]
#[repr(align(4096))]
struct Page<const N: usize>([u8; N]);

/// What can be made of a byte, and tells whether it still is that.
trait Odd: Clone + Send + Sync + 'static {
    fn new(fill: u8) -> Self;
    fn is_whole(&self, fill: u8) -> bool;
}

macro_rules! odd {
    ($($name:ident)*) => {$(
        impl<const N: usize> Odd for $name<N> {
            fn new(fill: u8) -> Self {
                $name([fill; N])
            }

            fn is_whole(&self, fill: u8) -> bool {
                let at = std::ptr::from_ref(self);
                at.is_aligned() && self.0.iter().all(|&byte| byte == fill)
            }
        }
    )*};
}

odd!(Plain Line Page);

type Notify = Box<dyn FnOnce() + Send>;

/// A source of any shape that is done when it is told.
struct Shaped<T> {
    shape: T,
    slot: Arc<Mutex<Option<Notify>>>,
}

impl<T: Odd> CancelSource for Shaped<T> {
    fn is_cancelled(&self) -> bool {
        assert!(self.shape.is_whole(3));
        false
    }

    fn error(&self) -> Option<Cause> {
        assert!(self.shape.is_whole(3));
        Some("shaped".into())
    }

    fn on_cancel(&self, notify: Notify) -> Box<dyn Send> {
        *self.slot.lock().unwrap() = Some(notify);
        let shape = T::new(4);
        Box::new(OnDrop(move || assert!(shape.is_whole(4))))
    }
}

/// A value, a value under a key, a closure that runs, one that is stopped, one
/// that goes unrun, and a source, all of this shape.
fn check<T: Odd>(key: &'static Key<T>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let (top, handle) = Context::background().with_cancel();
    let typed = top.with_value(T::new(1));
    let (both, _) = typed
        .derive()
        .key(key, T::new(2))
        .value(5_u8)
        .name("both")
        .build();
    let read = |ctx: &Context| {
        assert!(ctx.value::<T>().unwrap().is_whole(1));
        assert!(ctx.get(key).unwrap().is_whole(2));
        assert_eq!(ctx.value::<u8>(), Some(&5));
    };
    read(&both);
    let closure = |ctx: &Context| {
        let (held, runs) = (T::new(6), runs.clone());
        ctx.after_cancel(move |_| {
            assert!(held.is_whole(6));
            runs.fetch_add(1, SeqCst);
        })
    };
    let kept = closure(&both);
    assert_eq!(closure(&both).stop(), Stop::Prevented);
    let (gone, _) = both.with_cancel();
    closure(&gone).detach();
    drop(gone);
    let slot = Arc::default();
    let (foreign, _keep) = both.from_source(Shaped {
        shape: T::new(3),
        slot: Arc::clone(&slot),
    });
    closure(&foreign).detach();
    let notify = slot.lock().unwrap().take().unwrap();
    notify();
    assert_eq!(foreign.cause().unwrap().to_string(), "shaped");
    assert_eq!(runs.load(SeqCst), 1);
    handle.cancel();
    assert_eq!(kept.stop(), Stop::Finished);
    closure(&both).detach();
    assert_eq!(runs.load(SeqCst), 3);
    read(&both);
    read(&foreign);
    drop((typed, both, foreign, kept));
    assert_eq!(Arc::strong_count(&runs), 1);
}

// V13, V20, V25: nothing at all, a byte, a cache line, a page, and far more.
#[test]
fn shapes_of_every_size_and_alignment_are_kept_whole() {
    macro_rules! shapes {
        ($($shape:ty)*) => {$({
            static KEY: Key<$shape> = Key::new("shape");
            check(&KEY);
        })*};
    }
    shapes! {
        Plain<0> Plain<1> Plain<7> Plain<33> Plain<10_000>
        Line<0> Line<1> Line<64> Line<65> Line<10_000>
        Page<0> Page<1> Page<4096> Page<10_000>
    }
}
