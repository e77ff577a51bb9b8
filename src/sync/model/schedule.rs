//! What the execution has done so far: which thread did which operation. For
//! people: a model that fails shows it.

use super::super::site::Site;
use super::engine::thread::{self, ThreadId};
use std::cell::RefCell;
use std::fmt::Write;

/// One operation on an atomic.
struct Step {
    thread: ThreadId,
    site: Site,
    what: &'static str,
}

thread_local! {
    // All of the model's threads run on one thread of the system.
    static STEPS: RefCell<Vec<Step>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn begin() {
    STEPS.with_borrow_mut(Vec::clear);
}

pub(super) fn step(site: Site, what: &'static str) {
    let thread = thread::current().id();
    STEPS.with_borrow_mut(|steps| steps.push(Step { thread, site, what }));
}

/// The steps so far, a line for each time that a thread was on, and forgets them.
pub(crate) fn take() -> Option<String> {
    let steps = STEPS.take();
    let mut text = String::from("the execution that failed:");
    let mut last = None;
    for Step { thread, site, what } in &steps {
        let begins = last.replace(thread) != Some(thread);
        let lead = match begins {
            true => format!("\n  {thread:?}:"),
            false => String::from(","),
        };
        let _ = write!(text, "{lead} {site:?} {what}");
    }
    (!steps.is_empty()).then_some(text)
}
