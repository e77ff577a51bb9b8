//! Looking at a subtree while others work in it.
//!
//! # How it works
//!
//! The walk goes as the marking one does (see `mark`), without a stack, but
//! closes nothing and writes nothing: it is counted in `walkers` of each lane
//! on the way down from the start, under a pin. In a lane it meets every child
//! that was pushed before it read the head and is not unlinked, newest first
//! (L3); whoever pushes later is not seen.
//!
//! | met | then |
//! |---|---|
//! | held | shown |
//! | not held, something is shown below, or linked to it | shown, as orphaned |
//! | not held, none of that | left out: dead, or about to be |
//! | a stub | counted: it stands for a context that is shown elsewhere |
//!
//! A handle count of zero does not say that nothing lives below: between the
//! drop of the last handle and the count of the lanes (N2) it is zero too. So
//! what lies below decides.
//!
//! States are read on the way up, a node's after those of all below it (T9).
//! Records are not looked at: in a node that nobody holds any more they may be
//! gone (S4). But that a cancel came to a link from another parent is told by its
//! record only. So the walk takes a hold on a far node before it looks (N7), and
//! gives it up at the end, with no pin: it may be the last one. Who gets no hold
//! knows that the node has ended with all below it, and leaves it out.
//!
//! # Progress
//!
//! It waits for nobody, and nobody for it; memory that others give up in the
//! lanes it is in waits for its end. Who derives below the very node it has come
//! to, as fast as it walks, keeps it walking.
//!
//! Models: `snapshot_vs_attach`, `snapshot_vs_cancel`, `snapshot_vs_detach`,
//! `snapshot_vs_orphan`, `snapshot_vs_attach_vs_cancel`, `snapshot_vs_link`,
//! `snapshot_vs_link_drop`.

use super::NodeRef;
use super::ask::{self, Label, id};
use super::deadline;
use super::hold::Hold;
use crate::error::{Id, Reason};
use crate::list::Link;
use crate::node::{Birth, Facets, Node, ORPHAN};
use crate::state::View;
use crate::sync::Ordering::Relaxed;
use crate::sync::{Site, clock, epoch};
use crate::timer::{Clockwork, Moment};
use crate::wait_cell::Listening;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What was seen of one node.
pub(crate) struct Row {
    /// The row of the parent; it comes before this one.
    pub(crate) parent: Option<usize>,
    pub(crate) id: Id,
    pub(crate) label: Label,
    pub(crate) name: Option<Box<str>>,
    /// Whether anybody had a handle.
    pub(crate) held: bool,
    /// Why it was done, and the node where that began.
    pub(crate) end: Option<(Reason, Id)>,
    /// When and where it was made, if that is known, and which of the walk's
    /// clocks tells how long ago; none: the system's.
    birth: Option<(Birth, Option<usize>)>,
    /// The same.
    pub(crate) made: Option<(Duration, &'static Location<'static>)>,
    /// Its own deadline, and which of the walk's clocks tells how far off it is.
    deadline: Option<(Moment, usize)>,
    pub(crate) children: usize,
    /// Nodes elsewhere that are linked to it.
    pub(crate) links: usize,
    pub(crate) listening: Listening,
}

impl NodeRef {
    /// This node and what lives below it: parents before their children, and
    /// those newest first.
    pub(crate) fn snapshot(&self) -> Vec<Row> {
        let node = self.node();
        if node.is_static() {
            // What is derived from it is in no list.
            // SAFETY: a static.
            return vec![unsafe { Row::open(self.0, None, true) }];
        }
        let pin = epoch::pin();
        let mut walk = Walk {
            clocks: Vec::new(),
            rows: Vec::new(),
            root: self.0,
            row: 0,
            owner: node,
            lane: 0,
            child: None,
            far: Vec::new(),
        };
        walk.run();
        drop(pin);
        // User's code may run from here on: clocks, and what the holds drop.
        let clocks = walk.clocks.iter();
        let times: Vec<Moment> = clocks.map(|clockwork| clockwork.now()).collect();
        let clocks = walk.clocks.iter();
        let instants: Vec<Instant> = clocks.map(|clockwork| clockwork.engine().now()).collect();
        let system = clock::now();
        for row in &mut walk.rows {
            row.made = row.birth.take().map(|(birth, clock)| {
                let now = clock.map_or(system, |clock| instants[clock]);
                (now.saturating_duration_since(birth.at), birth.location)
            });
            let deadline = row.deadline.take();
            row.label.remaining = deadline.map(|(at, clock)| at.since(times[clock]));
        }
        walk.rows
    }
}

struct Walk<'t> {
    /// The clocks of deadlines, each kept until it is asked.
    clocks: Vec<Arc<Clockwork>>,
    rows: Vec<Row>,
    root: NonNull<Node>,
    /// Whose lane the walk is in, and its row.
    owner: &'t Node,
    row: usize,
    lane: usize,
    /// The child of `owner` to look at next.
    child: Option<NonNull<Link>>,
    /// The far nodes that others inherit from, each kept, and where their
    /// cancel began.
    far: Vec<(Hold, Id)>,
}

/// It has ended since the walk came by.
struct Ended;

impl<'t> Walk<'t> {
    fn run(&mut self) {
        // SAFETY: kept by who asks.
        let root = unsafe { self.root.as_ref() };
        // SAFETY: the same; the pointer of a handle.
        let row = unsafe { Row::open(self.root, None, true) };
        self.rows.push(row);
        if !self.enter(root, 0, lanes(root)) {
            self.close(root, 0);
            return;
        }
        loop {
            let Some(child) = self.child else {
                if !self.up() {
                    return;
                }
                continue;
            };
            let at = child.cast::<Node>();
            // SAFETY: in a lane we are counted in, under a pin (L7).
            let child = unsafe { at.as_ref() };
            self.child = NonNull::new(child.link.next());
            // Relaxed: whoever keeps it since before this walk made it count
            // before, too.
            let handles = child.handles.load(Relaxed, Site::SnapshotHandles);
            let held = handles & ORPHAN == 0 && handles != 0;
            if child.is(Facets::STUB) {
                self.rows[self.row].links += usize::from(held);
                continue;
            }
            let row = self.rows.len();
            // SAFETY: as above; a link is a pointer to all of its node.
            let opened = unsafe { Row::open(at, Some(self.row), held) };
            self.rows.push(opened);
            if !self.enter(child, row, lanes(child)) {
                self.close(child, row);
            }
        }
    }

    /// Goes into the last lane of `owner` below number `below` that links
    /// anything. False, and nothing has changed, if there is none.
    ///
    /// Backwards, as children are: the first lane has the oldest.
    fn enter(&mut self, owner: &'t Node, row: usize, below: usize) -> bool {
        for number in (0..below).rev() {
            let lane = owner.lane(number);
            if lane.first().is_null() {
                continue;
            }
            lane.enter();
            self.owner = owner;
            self.row = row;
            self.lane = number;
            self.child = NonNull::new(lane.first());
            return true;
        }
        false
    }

    /// Ends a lane of `owner`, and goes on in its next one, or with its next
    /// sibling. False at the end.
    fn up(&mut self) -> bool {
        let (owner, row) = (self.owner, self.row);
        owner.lane(self.lane).leave();
        if self.enter(owner, row, self.lane) {
            return true;
        }
        let above = self.rows[row].parent;
        self.close(owner, row);
        let Some(above) = above else {
            return false;
        };
        // It was reached through its parent's lane, in which we are counted.
        self.owner = owner.attached_to().expect("reached through its parent");
        self.row = above;
        self.lane = usize::from(owner.lane);
        self.child = NonNull::new(owner.link.next());
        true
    }

    /// Sees to the row of a node below which all has been seen.
    fn close(&mut self, node: &Node, row: usize) {
        let this = &self.rows[row];
        if !this.held && self.rows.len() == row + 1 && this.links == 0 {
            self.rows.pop();
            return;
        }
        let Ok(end) = self.end(node) else {
            self.rows.truncate(row);
            return;
        };
        let listening = listening(node);
        let deadline = self.deadline(node);
        let clock = match self.rows[row].birth {
            Some(_) => clockwork_of(node).and_then(|clockwork| self.clock(clockwork)),
            None => None,
        };
        let this = &mut self.rows[row];
        this.end = end;
        this.deadline = deadline;
        if let Some(birth) = &mut this.birth {
            birth.1 = clock;
        }
        this.listening = listening;
        if let Some(parent) = this.parent {
            self.rows[parent].children += 1;
        }
    }

    /// The own deadline of `node`.
    fn deadline(&mut self, node: &Node) -> Option<(Moment, usize)> {
        let (at, clockwork) = deadline::own_deadline(node)?;
        Some((at, self.clock(clockwork)?))
    }

    /// Which of the walk's clocks this is.
    fn clock(&mut self, clockwork: &Clockwork) -> Option<usize> {
        // Few trees have more than one clock.
        let known = self
            .clocks
            .iter()
            .rposition(|clock| std::ptr::eq(&**clock, clockwork));
        if known.is_none() {
            self.clocks.push(clockwork.keep()?);
        }
        Some(known.unwrap_or(self.clocks.len() - 1))
    }

    /// Why `node` is done, and the node where that began.
    fn end(&mut self, node: &Node) -> Result<Option<(Reason, Id)>, Ended> {
        let mut node = node;
        let mut word = node.state.load(Site::SnapshotState);
        match word.view() {
            View::Live => return Ok(None),
            View::Inherited(from) => {
                // SAFETY: it outlives every node that names it (S3), and this
                // one is still in the tree that the walk is counted in.
                node = unsafe { &*from.as_ptr() };
                word = node.state.load_known(Site::SnapshotOrigin);
            }
            View::Plain(_) | View::Expired | View::Record(_) => {}
        }
        let reason = word.own_reason();
        let reason = reason.expect("one hop leads to the reason (S2)");
        let origin = if node.is(Facets::FAR) {
            self.origin_of_far(node)?
        } else {
            id(node)
        };
        Ok(Some((reason, origin)))
    }

    /// Where the cancel of a far node that is done began.
    fn origin_of_far(&mut self, node: &Node) -> Result<Id, Ended> {
        // What comes one after the other below a far node asks for the same.
        if let Some((kept, origin)) = self.far.last() {
            if std::ptr::eq(kept.node(), node) {
                return Ok(*origin);
            }
        }
        let hold = node
            .far()
            .and_then(|far| Hold::at(&far.away))
            .ok_or(Ended)?;
        let origin = ask::origin_of_done(hold.node());
        self.far.push((hold, origin));
        Ok(origin)
    }
}

impl Row {
    /// What does not change any more, and for the rest what holds of a node
    /// that was just made.
    ///
    /// # Safety
    ///
    /// As `Node::task`.
    unsafe fn open(at: NonNull<Node>, parent: Option<usize>, held: bool) -> Row {
        // SAFETY: by the caller.
        let node = unsafe { at.as_ref() };
        // SAFETY: by the caller.
        let task = unsafe { Node::task(at) };
        let birth = task.map(|task| task.birth).or_else(|| node.birth());
        Row {
            parent,
            id: id(node),
            label: Label::new(node),
            name: node.name().map(Box::from),
            held,
            end: None,
            birth: birth.map(|birth| (birth, None)),
            made: None,
            deadline: None,
            children: 0,
            links: 0,
            listening: Listening::default(),
        }
    }
}

/// The clock of `node`, if it is not the system's.
fn clockwork_of(node: &Node) -> Option<&Clockwork> {
    // SAFETY: its own, or an ancestor's, which the node keeps.
    let timer = unsafe { node.env().time.as_ref() }?;
    Some(timer.shard().clockwork())
}

fn lanes(node: &Node) -> usize {
    node.lane_count(node.children.lanes_seen())
}

/// How much listens to `node`.
fn listening(node: &Node) -> Listening {
    if node.waits.first().is_null() {
        return Listening::default();
    }
    node.waits.enter();
    // SAFETY: counted in under a pin (L7).
    let listening = unsafe { Listening::from(node.waits.first()) };
    node.waits.leave();
    listening
}
