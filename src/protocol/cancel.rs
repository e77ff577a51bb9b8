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
//! A link that the walk crosses over to (see `link`) is a cancel of its own:
//! whoever decides its word claims and delivers what listens below it, after all
//! that the walk came to is marked, and after what it was linked to.
//!
//! Who comes too late for the claim sees the node done, and what is given up
//! after the claim is not delivered (see `wait_cell`).
//!
//! Models: `cancel_vs_cancel`, `cancel_vs_cancel_nested`, `wait_vs_cancel`,
//! `callback_vs_cancel`.

use super::dispose::{Panics, drop_one};
use super::hold::Hold;
use super::{ask, deadline, mark};
use crate::error::{Cause, Reason};
use crate::node::{Facets, Knots, Node};
use crate::state::{OwnedRecord, Record, Word};
use crate::sync::{Site, recheck};
use crate::timer::Clockwork;
use crate::wait_cell::Chain;
use std::panic::Location;
use std::sync::Arc;

/// Cancels `node`, which the caller keeps. True if this call did it. The ties of
/// the node itself are cut if `cut` says so.
pub(super) fn cancel(
    node: &Node,
    cause: Option<Cause>,
    location: Option<&'static Location<'static>>,
    cut: bool,
) -> bool {
    let word = match (cause, location) {
        (None, Some(location)) => Word::plain(location),
        (cause, location) => Word::record(OwnedRecord::new(Record {
            reason: Reason::Cancelled,
            cause,
            location,
            origin: None,
        })),
    };
    cancel_by(node, word, cut)
}

/// The same with a word that says why.
pub(super) fn cancel_by(node: &Node, word: Word<Node>, cut: bool) -> bool {
    match node.state.finish_in_order(word, Site::Cancel) {
        Ok(()) => {
            let called = node.has_timer() && deadline::disarm(node);
            if !mark::is_leaf(node) || node.is(Facets::FAR) {
                spread(node, true, cut, called);
            } else if called {
                deadline::wake_driver_of(node);
            }
            true
        }
        Err(now) => {
            // The loser's own cause: user's code may run in its drop.
            let record = word.into_record();
            // Again: the winner may be stopped half-way, and who returns has
            // everything below marked (V3).
            if !now.is_settled() && recheck(Site::LoserHelps) {
                // What lies behind links may be won on the way, and then user's
                // code panics here: that keeps nobody's cause.
                let mut panics = Panics::new();
                panics.catch(|| spread(node, false, false, false));
                panics.catch(|| drop(record));
                panics.resume();
            } else {
                drop_one(record);
            }
            false
        }
    }
}

/// Marks all below `node`, which is done, and then delivers what this thread has
/// to: if it `won`, to all that inherits from the node. A driver that was `called`
/// is woken then, too.
#[inline(never)]
fn spread(node: &Node, won: bool, cut: bool, called: bool) {
    let mut claimed = Claimed::new();
    if called {
        claimed.wake_driver_of(node);
    }
    mark::mark_all(node, won, &mut claimed);
    if cut {
        claimed.cut(node);
    }
    claimed.deliver(node);
}

/// Marks all below `node`, which is done: what this thread has to deliver, if
/// there may be anything.
pub(super) fn spread_below(node: &Node, won: bool) -> Option<Claimed> {
    if mark::is_leaf(node) && !node.is(Facets::FAR) {
        return None;
    }
    let mut claimed = Claimed::new();
    mark::mark_all(node, won, &mut claimed);
    if won {
        claimed.cut(node);
    }
    Some(claimed)
}

/// What a thread has claimed in the walk of a cancel, to deliver when all is
/// marked.
pub(super) struct Claimed {
    /// What listens to the cancelled node, and below it.
    chain: Chain,
    /// The same for each linked node that this thread crossed over to and won,
    /// and below which the walk still is: the innermost last.
    open: Vec<(Hold, Chain)>,
    /// Those below which all is marked, in the order in which that was so: what
    /// is linked to another, or lives below it, comes before that other.
    links: Vec<(Hold, Chain)>,
    /// The ties of nodes that are done now.
    knots: Vec<Knots>,
    /// What was kept on the way.
    holds: Vec<Hold>,
    /// Whose drivers are to be woken.
    to_wake: Vec<Arc<Clockwork>>,
}

/// Which chain of [`Claimed`] a walk claims for.
#[derive(Clone, Copy)]
pub(super) enum For {
    Root,
    Link(usize),
}

impl Claimed {
    pub(super) fn new() -> Self {
        Self {
            chain: Chain::new(),
            open: Vec::new(),
            links: Vec::new(),
            knots: Vec::new(),
            holds: Vec::new(),
            to_wake: Vec::new(),
        }
    }

    /// Takes the timer off of a node that was just marked.
    #[inline]
    pub(super) fn disarm(&mut self, node: &Node) {
        if node.has_timer() && deadline::disarm(node) {
            self.wake_driver_of(node);
        }
    }

    /// Has the driver of a node with a timer woken when all is marked.
    #[cold]
    fn wake_driver_of(&mut self, node: &Node) {
        if let Some(timer) = node.own_timer() {
            self.to_wake.extend(timer.shard().clockwork().keep());
        }
    }

    /// Claims all that listens to `node`, behind what was claimed before.
    ///
    /// The caller won the cancel that `node` is done by, is on its walk, and
    /// holds a pin.
    pub(super) fn claim_all(&mut self, node: &Node, whose: For) {
        let chain = match whose {
            For::Root => &mut self.chain,
            For::Link(link) => &mut self.open[link].1,
        };
        // SAFETY: a wait lane, to be closed under the caller's pin (L7).
        unsafe { claim_listeners(node, chain) };
    }

    /// Keeps what `hold` holds until all is delivered.
    pub(super) fn keep(&mut self, hold: Hold) {
        self.holds.push(hold);
    }

    /// A linked node that this thread crossed over to, and won.
    pub(super) fn won(&mut self, link: Hold) -> For {
        self.open.push((link, Chain::new()));
        For::Link(self.open.len() - 1)
    }

    /// All below the node that `whose` is about is marked.
    pub(super) fn close(&mut self, whose: Option<For>) {
        if let Some(For::Link(_)) = whose {
            // Walks nest, so it is the innermost.
            self.links.extend(self.open.pop());
        }
    }

    /// Cuts the ties of a node that is done, if it has any.
    pub(super) fn cut(&mut self, node: &Node) {
        if node.is(Facets::FAR) {
            self.knots.extend(node.far().and_then(|far| far.ties.cut()));
        }
    }

    /// Delivers all, lets go what was kept, and resumes the first panic.
    fn deliver(self, root: &Node) {
        let mut panics = Panics::new();
        self.deliver_to(root, &mut panics);
        panics.resume();
    }

    /// The same, but for the panic.
    pub(super) fn deliver_to(mut self, root: &Node, panics: &mut Panics) {
        for clockwork in self.to_wake {
            panics.catch(|| clockwork.wake());
        }
        deliver(&mut self.chain, root, panics);
        // The last that was closed is above all the others, or beside them.
        for (link, mut chain) in self.links.into_iter().rev() {
            deliver(&mut chain, link.node(), panics);
            panics.catch(|| drop(link));
        }
        for knots in self.knots {
            panics.catch(|| drop(knots));
        }
        for hold in self.holds {
            panics.catch(|| drop(hold));
        }
    }
}

/// Delivers a chain of what listens to `node`, or below it.
fn deliver(chain: &mut Chain, node: &Node, panics: &mut Panics) {
    while !chain.is_empty() {
        panics.catch(|| while chain.deliver(|| ask::error_of_done(node)) {});
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
