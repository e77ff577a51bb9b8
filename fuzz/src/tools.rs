//! What both targets use: causes that are counted, and the look for leaks.

pub(crate) use crate::ops::programs::counted::{Tally, assert_asks_agree, cause_number};
pub(crate) use crate::ops::programs::run::{assert_given_back, pick, settled_objects};

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One program at a time: the library's count of objects is one for the whole
/// process, and tests run on several threads.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
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
