//! The marking walk: everything below a node that is done becomes done.
//!
//! # How it works
//!
//! Depth first, newest child first. `next` leads to the next sibling, `parent`
//! back up; there is no stack, so depth costs nothing (V8). In each lane on the
//! way down from the start the walk is counted in `walkers`, and a pin is held:
//! every node it can come to stays valid (L6, L7).
//!
//! A leaf costs two read-modify-writes: its state, and the close of its head.
//!
//! | met | then |
//! |---|---|
//! | a shield | passed by |
//! | live | marked (T2), then entered |
//! | done, SETTLED | passed by, but entered by the winner if it inherits from its node: there may be waiters to claim |
//! | done, not SETTLED | entered: its own canceller may be stopped half-way, and V3 is ours to keep |

use super::cancel::Claimed;
use crate::list::{Head, Link};
use crate::node::{Facets, Node};
use crate::state::{View, Word};
use crate::sync::{Site, epoch, prefetch};
use std::ptr::NonNull;

/// The word of a child of `parent`, whose own word is `word` (T2).
pub(super) fn inherit(parent: &Node, word: Word<Node>) -> Word<Node> {
    match word.view() {
        View::Inherited(from) => Word::inherited(from),
        _ => Word::inherited(NonNull::from(parent)),
    }
}

/// Marks everything below `root`, which is done. If this thread won the cancel
/// of `root`, `claimed` takes the waiters of all that inherits from it.
pub(super) fn mark_all(root: &Node, won: bool, claimed: &mut Claimed) {
    let head = root.children.close();
    if is_bare(head) {
        settle(root);
        return;
    }
    let pin = epoch::pin();
    let mut walk = Walk {
        root,
        won,
        owner: root,
        lane: 0,
        child: None,
    };
    if won && head.has(Head::WAITED) {
        claimed.claim_all(root);
    }
    walk.enter();
    walk.run(claimed);
    drop(pin);
}

/// No child, no lane, no waiter, now or later.
fn is_bare(head: Head) -> bool {
    head.link().is_null() && !head.has(Head::SPLIT | Head::WAITED)
}

fn settle(node: &Node) {
    node.state
        .settle(node.state.load_known(Site::SettleLoad), Site::Settle);
}

struct Walk<'t> {
    root: &'t Node,
    won: bool,
    /// Whose lane the walk is in.
    owner: &'t Node,
    lane: usize,
    /// The child of `owner` to look at next.
    child: Option<NonNull<Link>>,
}

impl Walk<'_> {
    fn run(&mut self, claimed: &mut Claimed) {
        let mut word = self.inherited_here();
        loop {
            let Some(child) = self.child else {
                if !self.up() {
                    return;
                }
                word = self.inherited_here();
                continue;
            };
            // SAFETY: in a lane we are counted in, under a pin (L7).
            let child = unsafe { child.cast::<Node>().as_ref() };
            let next = child.link.next();
            prefetch(next);
            self.child = NonNull::new(next);
            if child.is(Facets::SHIELDED) || !self.mark(child, word, claimed) {
                continue;
            }
            self.owner = child;
            self.lane = 0;
            self.enter();
            word = self.inherited_here();
        }
    }

    /// Marks one child. True if its lanes are to be walked.
    fn mark(&self, child: &Node, word: Word<Node>, claimed: &mut Claimed) -> bool {
        let (now, settled) = match child.state.finish(word, Site::Mark) {
            Ok(()) => (word, false),
            // It was done before; what it says is final.
            Err(now) => (now, now.is_settled()),
        };
        let ours = self.won
            && matches!(now.view(), View::Inherited(from) if from == NonNull::from(self.root));
        if settled && !ours {
            return false;
        }
        let head = child.children.close();
        if is_bare(head) {
            child.state.settle(now, Site::Settle);
            return false;
        }
        if ours && head.has(Head::WAITED) {
            claimed.claim_all(child);
        }
        true
    }

    /// What the children of `owner` inherit.
    fn inherited_here(&self) -> Word<Node> {
        inherit(self.owner, self.owner.state.load_known(Site::MarkOwner))
    }

    /// Starts a lane of `owner`.
    fn enter(&mut self) {
        let lane = self.owner.lane(self.lane);
        lane.close();
        lane.enter();
        self.child = NonNull::new(lane.first());
    }

    /// Ends a lane of `owner`, and goes on in its next lane, or with its next
    /// sibling. False at the end.
    fn up(&mut self) -> bool {
        let owner = self.owner;
        owner.lane(self.lane).leave();
        self.lane += 1;
        if self.lane < owner.lane_count(owner.children.lanes_seen()) {
            self.enter();
            return true;
        }
        settle(owner);
        if std::ptr::eq(owner, self.root) {
            return false;
        }
        // It was reached through its parent's lane, in which we are counted.
        self.owner = owner.attached_to().expect("reached through its parent");
        self.lane = usize::from(owner.lane);
        self.child = NonNull::new(owner.link.next());
        true
    }
}
