//! What a driver does: ends the nodes whose deadlines have come.
//!
//! # How it works
//!
//! All that is due is marked first, the earliest deadline first, each with what
//! is below it. Then all is delivered, in the same order. A node whose timer is
//! FIRING is neither buried nor freed; who finds it dead meanwhile leaves the
//! burial to the driver, which does it last.
//!
//! User's code that panics stops nothing; the first panic is the caller's to
//! resume or to forget.
//!
//! Models: `deadline_vs_cancel`, `deadline_vs_drop`,
//! `deadline_vs_last_child`, `deadline_vs_wait`.

use super::cancel::{Claimed, spread_below};
use super::dispose::{Garbage, Panics};
use super::{deadline, release};
use crate::node::Node;
use crate::sync::Site;
use crate::timer::{Clockwork, Due, Found, Moment};
use std::ptr::NonNull;

/// What a driver does next.
pub(crate) struct Next {
    /// When there is something to do, if nothing happens meanwhile.
    pub(crate) at: Moment,
    /// Somebody works on a wheel just now, and wakes the driver.
    pub(crate) busy: bool,
}

/// What user's code threw, for who runs several pieces of it.
pub(crate) struct Thrown(Panics);

impl Thrown {
    pub(crate) fn new() -> Self {
        Self(Panics::new())
    }

    /// Runs user's code; a panic stops here.
    pub(crate) fn catch(&mut self, f: impl FnOnce()) {
        self.0.catch(f);
    }

    /// Goes on with the first panic, as `Panics::resume` does.
    pub(crate) fn resume(self) {
        self.0.resume();
    }

    /// Lets the panics be: the hook has reported them.
    pub(crate) fn forget(self) {
        self.0.forget();
    }
}

/// Fires all that is due, once. None if there was anything: then look again.
pub(crate) fn run_once(clockwork: &Clockwork, thrown: &mut Thrown) -> Option<Next> {
    match clockwork.find() {
        Found::Nothing { next, busy } => Some(Next { at: next, busy }),
        Found::Due(due) => {
            fire(due, &mut thrown.0);
            None
        }
    }
}

fn fire(due: Vec<Due>, panics: &mut Panics) {
    let marked: Vec<(Due, Option<Claimed>)> = due
        .into_iter()
        .map(|due| {
            // SAFETY: its timer is FIRING (D3).
            let claimed = mark(unsafe { due.node().as_ref() });
            (due, claimed)
        })
        .collect();
    for (due, claimed) in marked {
        let at: NonNull<Node> = due.node();
        if let Some(claimed) = claimed {
            // SAFETY: its timer is FIRING (D3).
            claimed.deliver_to(unsafe { at.as_ref() }, panics);
        }
        // The node may go from here on, unless it is ours to bury.
        if due.fired() {
            panics.catch(|| {
                // SAFETY: it was found dead, and left to us (D3, T7).
                unsafe { release::bury_all(at, Garbage::new()) };
            });
        }
    }
}

/// Marks a node whose deadline has come, and all below. What is to be delivered,
/// if this did it.
fn mark(node: &Node) -> Option<Claimed> {
    // SAFETY: its timer is FIRING (D3).
    let word = unsafe { deadline::word(node) };
    match node.state.finish(word, Site::Expire) {
        Ok(()) => spread_below(node, true),
        Err(now) => {
            // Its cause lives on in the node, or with whom it came from.
            drop(word.into_record());
            if now.is_settled() {
                return None;
            }
            // Its canceller may be stopped half-way.
            spread_below(node, false)
        }
    }
}
