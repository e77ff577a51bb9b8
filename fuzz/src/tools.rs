//! What both targets use: causes that are counted, wakers that tell, and the
//! look for leaks.

use ctxtree::{CancelError, Cause, Context};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One program at a time: the library's count of objects is one for the whole
/// process, and tests run on several threads.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an input's number means, where there are `len` things to choose from.
pub(crate) fn pick(number: u8, len: usize) -> Option<usize> {
    usize::from(number).checked_rem(len)
}

/// How many objects the library has, once it has given back what it can: a
/// program that failed may have left some for later.
pub(crate) fn settled_objects() -> usize {
    loop {
        let before = ctxtree::model::live_objects();
        ctxtree::model::collect();
        if ctxtree::model::live_objects() == before {
            return before;
        }
    }
}

/// Fails unless the library gives back all that it allocated since it had
/// `before` objects. Every thread that used it must have ended.
pub(crate) fn assert_given_back(before: usize) {
    // One call frees a bounded number of objects, fewer under a sanitizer.
    for _ in 0..1000 {
        ctxtree::model::collect();
        if ctxtree::model::live_objects() <= before {
            break;
        }
    }
    assert_eq!(ctxtree::model::live_objects(), before, "objects leaked");
}

/// Makes causes that can be told apart, and knows how many are left.
#[derive(Default)]
pub(crate) struct Causes {
    live: Arc<AtomicUsize>,
}

impl Causes {
    pub(crate) fn make(&self, number: u32) -> Cause {
        self.live.fetch_add(1, SeqCst);
        Cause::new(Counted {
            number,
            live: self.live.clone(),
        })
    }

    pub(crate) fn live(&self) -> usize {
        self.live.load(SeqCst)
    }
}

/// A cause made here. There is one object of each number, so the number tells
/// that it is the very same object.
#[derive(Debug)]
struct Counted {
    number: u32,
    live: Arc<AtomicUsize>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.live.fetch_sub(1, SeqCst);
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cause {}", self.number)
    }
}

impl std::error::Error for Counted {}

/// The number of the cause in an error.
pub(crate) fn cause_number(error: &CancelError) -> Option<u32> {
    let cause = error.cause()?;
    let counted = cause.downcast_ref::<Counted>().expect("a cause made here");
    Some(counted.number)
}

/// Fails if the short ways to ask do not say what `error` says.
pub(crate) fn assert_asks_agree(context: &Context, error: &CancelError) {
    assert!(context.is_cancelled());
    assert!(context.check().is_err());
    assert_eq!(context.reason(), Some(error.reason()));
    assert_eq!(context.cause().is_some(), error.cause().is_some());
    if let (Some(one), Some(other)) = (context.cause(), error.cause()) {
        assert!(one.ptr_eq(other), "two causes of one cancel");
    }
}

/// Prints a program as a test: `lines` are the fields of the literal.
pub(crate) fn paste(
    f: &mut fmt::Formatter<'_>,
    module: &str,
    names: &str,
    lines: &[String],
) -> fmt::Result {
    writeln!(f, "#[test]")?;
    writeln!(f, "fn pasted_{module}() {{")?;
    writeln!(f, "    use ctxtree_fuzz::{module}::{names};")?;
    writeln!(f, "    let program = Program {{")?;
    for line in lines {
        writeln!(f, "        {line}")?;
    }
    writeln!(f, "    }};")?;
    writeln!(f, "    ctxtree_fuzz::run(&program);")?;
    write!(f, "}}")
}
