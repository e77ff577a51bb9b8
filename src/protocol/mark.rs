//! The marking walk: everything below a node that is done becomes done.
//!
//! # How it works
//!
//! Depth first, newest child first. `next` leads to the next sibling, `parent`
//! back up; there is no stack, so depth costs nothing (V8). In each lane on the
//! way down from the start the walk is counted in `walkers`, and a pin is held:
//! every node it can come to stays valid (L6, L7).
//!
//! Walks that have crossed over wait on a stack: the only place where a walk
//! allocates. What is behind a link is marked before the node it is linked to is
//! settled, so SETTLED speaks of both (T3).
//!
//! A leaf costs two read-modify-writes: its state, and the close of its head.
//!
//! | met | then |
//! |---|---|
//! | a shield | passed by |
//! | a stub | crossed over: the linked node behind it is marked, and a walk of its own goes on from there before this one does |
//! | live | marked (T2), then entered |
//! | done, SETTLED | passed by, but entered by the winner if it inherits from its node: there may be waiters to claim |
//! | done, not SETTLED | entered: its own canceller may be stopped half-way, and V3 is ours to keep |

use super::ask;
use super::cancel::{Claimed, For};
use super::hold::Hold;
use crate::list::{Head, Link};
use crate::node::{Facets, Node};
use crate::state::{OwnedRecord, View, Word};
use crate::sync::{Site, epoch, prefetch, recheck};
use std::ptr::NonNull;

/// The word of a child of `parent`, whose own word is `word` (T2).
pub(super) fn inherit(parent: &Node, word: Word<Node>) -> Word<Node> {
    match word.view() {
        View::Inherited(from) => Word::inherited(from),
        _ => Word::inherited(NonNull::from(parent)),
    }
}

/// Marks everything below `root`, which is done. If this thread won the cancel
/// of `root`, `claimed` takes what listens to all that inherits from it.
pub(super) fn mark_all(root: &Node, won: bool, claimed: &mut Claimed) {
    let whose = won.then_some(For::Root);
    let Some(mut walk) = Walk::prepare(root, whose) else {
        return;
    };
    let pin = epoch::pin();
    // Walks that have crossed over, the innermost last.
    let mut around: Vec<Walk<'_>> = Vec::new();
    walk.start(claimed);
    loop {
        let Some(stub) = walk.run(claimed) else {
            claimed.close(walk.won);
            match around.pop() {
                Some(outer) => walk = outer,
                None => break,
            }
            continue;
        };
        if let Some(mut inner) = walk.cross(stub, claimed) {
            inner.start(claimed);
            around.push(std::mem::replace(&mut walk, inner));
        }
    }
    drop(pin);
}

/// Closes the list of `root`, which is done. True if that is all there is to do:
/// then it is settled.
#[inline]
pub(super) fn is_leaf(root: &Node) -> bool {
    let bare = is_bare(root.children.close());
    if bare {
        settle(root);
    }
    bare
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
    /// For whom to claim, if this thread won the cancel of `root`.
    won: Option<For>,
    waited: bool,
    /// Whose lane the walk is in.
    owner: &'t Node,
    lane: usize,
    /// The child of `owner` to look at next.
    child: Option<NonNull<Link>>,
}

impl<'t> Walk<'t> {
    /// A walk below `root`, which is done; none if there is nothing below.
    #[inline]
    fn prepare(root: &'t Node, won: Option<For>) -> Option<Self> {
        let head = root.children.close();
        if is_bare(head) {
            settle(root);
            return None;
        }
        Some(Walk {
            root,
            won,
            waited: head.has(Head::WAITED),
            owner: root,
            lane: 0,
            child: None,
        })
    }

    /// Begins, under a pin.
    fn start(&mut self, claimed: &mut Claimed) {
        if let (Some(whose), true) = (self.won, self.waited) {
            claimed.claim_all(self.root, whose);
        }
        self.enter();
    }

    /// Goes on until the end, or until a stub is met.
    fn run(&mut self, claimed: &mut Claimed) -> Option<NonNull<Node>> {
        let mut word = self.inherited_here();
        loop {
            let Some(child) = self.child else {
                if !self.up() {
                    return None;
                }
                word = self.inherited_here();
                continue;
            };
            let at = child.cast::<Node>();
            // SAFETY: in a lane we are counted in, under a pin (L7).
            let child = unsafe { at.as_ref() };
            let next = child.link.next();
            prefetch(next);
            self.child = NonNull::new(next);
            if child.is_any(Facets::SHIELDED.and(Facets::STUB)) {
                if child.is(Facets::STUB) {
                    return Some(at);
                }
                continue;
            }
            if !self.mark(child, word, claimed) {
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
        let (now, settled) = match child.state.finish_in_order(word, Site::Mark) {
            Ok(()) => {
                claimed.disarm(child);
                (word, false)
            }
            // It was done before; what it says is final.
            Err(now) => (now, now.is_settled()),
        };
        let ours = self.won.filter(
            |_| matches!(now.view(), View::Inherited(from) if from == NonNull::from(self.root)),
        );
        if settled && ours.is_none() {
            return false;
        }
        if ours.is_some() {
            claimed.cut(child);
        }
        let head = child.children.close();
        if is_bare(head) {
            child.state.settle(now, Site::Settle);
            return false;
        }
        if let (Some(whose), true) = (ours, head.has(Head::WAITED)) {
            claimed.claim_all(child, whose);
        }
        true
    }

    /// Crosses over from a stub to the linked node behind it, and marks that.
    /// The walk of what is below it, if there is anything to do.
    #[cold]
    fn cross(&self, stub: NonNull<Node>, claimed: &mut Claimed) -> Option<Walk<'t>> {
        // A stub with a hold keeps what its parent inherits from, and with it
        // the record that is copied below (S4). One that has ended tells that
        // the link is done, and all below it marked.
        // SAFETY: in a lane we are counted in, under a pin (L7).
        let kept = unsafe { Hold::on(stub) }?;
        // SAFETY: held.
        let stub = unsafe { stub.as_ref() };
        let link = stub.far().and_then(|far| Hold::at(&far.away));
        claimed.keep(kept);
        let link = link?;
        // SAFETY: held, and what holds it goes to `claimed`, which outlives the
        // walk.
        let node = unsafe { link.at_node().as_ref() };
        let mut now = node.state.load(Site::CrossLook);
        let mut won = false;
        if now.is_live() {
            let record = ask::record_like(self.owner).expect("the owner is done");
            let word = Word::record(OwnedRecord::new(record));
            match node.state.finish_in_order(word, Site::Cross) {
                Ok(()) => won = true,
                Err(theirs) => {
                    now = theirs;
                    // Its cause lives on where it came from.
                    drop(word.into_record());
                }
            }
        }
        if won {
            claimed.disarm(node);
            claimed.cut(node);
            let whose = Some(claimed.won(link));
            let walk = Walk::prepare(node, whose);
            if walk.is_none() {
                claimed.close(whose);
            }
            return walk;
        }
        claimed.keep(link);
        // Again: done before, and its own canceller may be stopped half-way (V3).
        (!now.is_settled() && recheck(Site::CrossHelps))
            .then(|| Walk::prepare(node, None))
            .flatten()
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
