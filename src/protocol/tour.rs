//! A walk over all that lives below a node, for those who only want to come by.
//!
//! It goes as the other walks do (see `mark`), without a stack, and closes
//! nothing: it is counted in `walkers` of each lane on its way, under a pin. It
//! comes by every child that was pushed before it read the head of its lane and
//! is not unlinked, held or not; stubs it leaves out.

use crate::list::Link;
use crate::node::{Facets, Node};
use std::ptr::NonNull;

/// Calls `visit` with everything below `root`, parents first. It says whether to
/// go on below what it was called with, and runs no user's code.
///
/// # Safety
///
/// The caller keeps `root`, and holds a pin.
pub(super) unsafe fn tour(root: &Node, mut visit: impl FnMut(NonNull<Node>) -> bool) {
    if root.is_static() {
        return;
    }
    let mut tour = Tour {
        root,
        owner: root,
        lane: 0,
        next: None,
    };
    tour.enter();
    loop {
        let Some(at) = tour.next else {
            if !tour.up() {
                return;
            }
            continue;
        };
        let at = at.cast::<Node>();
        // SAFETY: in a lane we are counted in, under a pin (L7).
        let node = unsafe { at.as_ref() };
        tour.next = NonNull::new(node.link.next());
        if !node.is(Facets::STUB) && visit(at) {
            tour.owner = node;
            tour.lane = 0;
            tour.enter();
        }
    }
}

struct Tour<'t> {
    root: &'t Node,
    /// Whose lane the walk is in.
    owner: &'t Node,
    lane: usize,
    /// The child of `owner` to come to next.
    next: Option<NonNull<Link>>,
}

impl Tour<'_> {
    /// Starts a lane of `owner`.
    fn enter(&mut self) {
        let lane = self.owner.lane(self.lane);
        lane.enter();
        self.next = NonNull::new(lane.first());
    }

    /// Ends a lane of `owner`, and goes on in its next one, or with its next
    /// sibling. False at the end.
    fn up(&mut self) -> bool {
        let owner = self.owner;
        owner.lane(self.lane).leave();
        self.lane += 1;
        if self.lane < owner.lane_count(owner.children.lanes_seen()) {
            self.enter();
            return true;
        }
        if std::ptr::eq(owner, self.root) {
            return false;
        }
        // It was reached through its parent's lane, in which we are counted.
        self.owner = owner.attached_to().expect("reached through its parent");
        self.lane = usize::from(owner.lane);
        self.next = NonNull::new(owner.link.next());
        true
    }
}
