//! Cancelling a node: decide, mark, then wake.
//!
//! # How it works
//!
//! 1. One compare-and-swap of the state word decides who wins.
//! 2. Winner and losers mark everything below (see `mark`). A loser that finds
//!    SETTLED has nothing to do.
//! 3. On its walk the winner also claims the waiters and callbacks, of each
//!    node oldest first, parents before children, onto one private chain.
//! 4. With no pin held, the winner delivers along the chain. User's code that
//!    panics stops no other; the first panic is resumed at the end (V14).
//!
//! Who comes too late for the claim sees the node done, and what is given up
//! after the claim is not delivered (see `wait_cell`).
//!
//! Models: `cancel_vs_cancel`, `cancel_vs_cancel_nested`, `wait_vs_cancel`,
//! `callback_vs_cancel`.

use super::dispose::{Panics, drop_one};
use super::{ask, mark};
use crate::error::{Cause, Reason};
use crate::node::Node;
use crate::state::{OwnedRecord, Record, Word};
use crate::sync::{Site, recheck};
use crate::wait_cell::Chain;
use std::panic::Location;

/// Cancels `node`, to which the caller has a handle. True if this call did it.
pub(super) fn cancel(
    node: &Node,
    cause: Option<Cause>,
    location: &'static Location<'static>,
) -> bool {
    let word = match cause {
        None => Word::plain(location),
        Some(_) => Word::record(OwnedRecord::new(Record {
            reason: Reason::Cancelled,
            cause,
            location: Some(location),
        })),
    };
    let lost = match node.state.finish(word, Site::Cancel) {
        Ok(()) => None,
        Err(now) => {
            if !now.is_settled() && recheck(Site::LoserHelps) {
                mark::mark_all(node, false, &mut Claimed::new());
            }
            Some(word.into_record())
        }
    };
    if let Some(unused) = lost {
        // The loser's own cause: user's code may run in its drop.
        drop_one(unused);
        return false;
    }
    let mut claimed = Claimed::new();
    mark::mark_all(node, true, &mut claimed);
    claimed.deliver(node);
    true
}

/// What a thread has claimed in the walk of a cancel, to deliver when all is
/// marked.
pub(super) struct Claimed {
    chain: Chain,
}

impl Claimed {
    pub(super) fn new() -> Self {
        Self {
            chain: Chain::new(),
        }
    }

    /// Claims all that listens to `node`, behind what was claimed before.
    ///
    /// The caller won the cancel that `node` is done by, is on its walk, and
    /// holds a pin.
    pub(super) fn claim_all(&mut self, node: &Node) {
        // SAFETY: a wait lane, to be closed under the caller's pin (L7).
        unsafe { claim_listeners(node, &mut self.chain) };
    }

    /// Delivers all, and resumes the first panic.
    fn deliver(mut self, root: &Node) {
        let mut panics = Panics::new();
        let mut more = true;
        while more {
            panics.catch(|| {
                while self.chain.deliver(|| ask::error_of_done(root)) {}
                more = false;
            });
        }
        panics.resume();
    }
}

/// Closes the wait lane of `node`, which is done or will never be, and claims
/// all that is in it.
///
/// # Safety
///
/// The caller holds a pin.
pub(super) unsafe fn claim_listeners(node: &Node, chain: &mut Chain) {
    node.waits.close();
    // SAFETY: closed under a pin (L7).
    unsafe { chain.claim_all(node.waits.first()) };
}
