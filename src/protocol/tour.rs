//! A walk over all that lives below a node, for those who only come by.
//!
//! It goes as the marking one does (see `mark`), without a stack, and closes
//! nothing: it is counted in `walkers` of each lane on its way, under a pin. It
//! comes by every child that was pushed before it read the head of its lane and
//! is not unlinked, held or not; stubs it leaves out.

use crate::list::{Lane, Link};
use crate::node::{Facets, Node};
use std::ptr::NonNull;

/// Who comes by. None of this runs user's code.
pub(super) trait Visit {
    /// At a child of what was visited before. Whether to go on below it.
    fn visit(&mut self, at: NonNull<Node>) -> bool;

    /// The newest link of a lane that the walk is counted in.
    fn newest(&self, lane: &Lane) -> *mut Link {
        lane.first()
    }

    /// All below `node` was visited, the start of the walk included.
    fn leave(&mut self, _node: &Node) {}
}

impl<F: FnMut(NonNull<Node>) -> bool> Visit for F {
    fn visit(&mut self, at: NonNull<Node>) -> bool {
        self(at)
    }
}

/// Goes by everything below `root`, parents first.
///
/// # Safety
///
/// The caller keeps `root`, and holds a pin.
pub(super) unsafe fn tour(root: &Node, visit: &mut impl Visit) {
    if root.is_static() {
        return;
    }
    let mut tour = Tour {
        root,
        owner: root,
        lane: 0,
        next: None,
        visit,
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
        if !node.is(Facets::STUB) && tour.visit.visit(at) {
            tour.owner = node;
            tour.lane = 0;
            tour.enter();
        }
    }
}

struct Tour<'t, V> {
    root: &'t Node,
    /// Whose lane the walk is in.
    owner: &'t Node,
    lane: usize,
    /// The child of `owner` to come to next.
    next: Option<NonNull<Link>>,
    visit: &'t mut V,
}

impl<V: Visit> Tour<'_, V> {
    /// Starts a lane of `owner`.
    fn enter(&mut self) {
        let lane = self.owner.lane(self.lane);
        lane.enter();
        self.next = NonNull::new(self.visit.newest(lane));
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
        self.visit.leave(owner);
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
