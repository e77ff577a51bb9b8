//! What a running program holds, and the comparison with the reference.

use super::super::reference::{BACKGROUND, Callback, Node, Reference, Row, TODO, Wait};
use super::counted::{Counted, Tally, assert_asks_agree, cause_number};
use super::run::pick;
use super::script::Sources;
use super::{List, Op, keys};
use ctxtree::tree::{self, State};
use ctxtree::{
    CancelError, CancelHandle, CancelledOwned, Context, DropGuard, Id, Reason, Registration,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A handle that the program holds.
pub(super) enum Handle {
    Observe(Context),
    Cancel(CancelHandle),
    /// With the line that made it.
    Guard(DropGuard, u32),
}

impl Handle {
    pub(super) fn context(&self) -> &Context {
        match self {
            Handle::Observe(context) => context,
            Handle::Cancel(handle) => handle.context(),
            Handle::Guard(guard, _) => guard.context(),
        }
    }
}

/// A handle and its place among the others.
pub(super) struct Slot {
    pub(super) serial: usize,
    pub(super) node: Node,
    pub(super) handle: Handle,
}

pub(super) struct Waiting {
    pub(super) wait: Wait,
    pub(super) future: CancelledOwned,
    pub(super) bells: [Arc<Bell>; 2],
}

/// A waker.
pub(super) struct Bell {
    pub(super) wait: Wait,
    pub(super) waker: bool,
    pub(super) world: super::run::Shared,
    pub(super) then: List<Op>,
}

pub(super) struct World {
    pub(super) curious: bool,
    /// The last slot that was asked all, out of curiosity.
    turn: usize,
    pub(super) reference: Reference,
    /// In the order they were made. One that is in use is not here.
    pub(super) slots: Vec<Slot>,
    pub(super) serials: usize,
    pub(super) waits: Vec<Waiting>,
    /// Those of waits that were dropped.
    pub(super) given_up: Vec<Arc<Bell>>,
    pub(super) registrations: Vec<(Callback, Registration)>,
    /// How many objects were made: their numbers.
    pub(super) made: u32,
    pub(super) causes: Tally,
    pub(super) closures: Tally,
    pub(super) values: Tally,
    pub(super) sources: Sources,
    /// Those that values were given under, and one more.
    keys: BTreeSet<usize>,
    ids: Ids,
}

impl World {
    pub(super) fn new(curious: bool) -> Self {
        Self {
            curious,
            turn: 0,
            reference: Reference::new(),
            slots: Vec::new(),
            serials: 0,
            waits: Vec::new(),
            given_up: Vec::new(),
            registrations: Vec::new(),
            made: 0,
            causes: Tally::default(),
            closures: Tally::default(),
            values: Tally::default(),
            sources: Sources::default(),
            keys: BTreeSet::from([0]),
            ids: Ids::default(),
        }
    }

    /// A new value, and what it is given under.
    pub(super) fn value(&mut self, key: usize) -> (usize, Counted) {
        let key = key % keys::KEYS;
        self.keys.insert(key);
        let number = self.number();
        (key, self.values.make(number))
    }

    pub(super) fn put(&mut self, node: Node, handle: Handle) {
        self.reference.hold(node);
        self.serials += 1;
        self.slots.push(Slot {
            serial: self.serials,
            node,
            handle,
        });
    }

    /// The number of a new object.
    pub(super) fn number(&mut self) -> u32 {
        self.made += 1;
        self.made
    }

    /// Puts back what was in use.
    pub(super) fn put_back(&mut self, slot: Slot) {
        let place = self
            .slots
            .partition_point(|other| other.serial < slot.serial);
        self.slots.insert(place, slot);
    }

    /// The slots with a `CancelHandle`.
    pub(super) fn cancel_handles(&self) -> Vec<usize> {
        let slots = self.slots.iter().enumerate();
        let handles = slots.filter(|(_, slot)| matches!(slot.handle, Handle::Cancel(_)));
        handles.map(|(place, _)| place).collect()
    }

    /// The context of a slot, or a root.
    pub(super) fn slot_or_root(&self, number: u8) -> (Node, Context) {
        let slot = pick(number, self.slots.len()).filter(|_| number < 254);
        match slot.map(|slot| &self.slots[slot]) {
            Some(slot) => (slot.node, slot.handle.context().clone()),
            None if number == 254 => (TODO, Context::todo()),
            None => (BACKGROUND, Context::background()),
        }
    }

    pub(super) fn slots_or_roots(&self, numbers: &List<u8>) -> Vec<(Node, Context)> {
        let numbers = numbers.0.iter();
        numbers.map(|&number| self.slot_or_root(number)).collect()
    }

    /// What must hold at any moment, also before a cancel has delivered all.
    pub(super) fn compare_ends(&mut self) {
        for slot in &self.slots {
            let end = slot.handle.context().error();
            assert_eq!(slot.handle.context().is_cancelled(), end.is_some());
            self.ids
                .compare_end(&self.reference, slot.node, end.as_ref());
        }
    }

    /// What must hold between operations of the program.
    pub(super) fn compare(&mut self) {
        self.compare_ends();
        for waiting in &self.waits {
            let keeps = self.reference.keeps_waker(waiting.wait);
            for (bell, waker) in waiting.bells.iter().zip([false, true]) {
                let kept = Arc::strong_count(bell) - 1;
                let due = usize::from(keeps == Some(waker));
                let wait = waiting.wait;
                assert_eq!(kept, due, "clones of waker {waker} kept for wait {wait}");
            }
        }
        for bell in self.given_up.drain(..) {
            let kept = Arc::strong_count(&bell) - 1;
            assert_eq!(kept, 0, "wait {} is gone, and its waker is kept", bell.wait);
        }
        let kept = self.reference.kept();
        assert_eq!(
            self.causes.live(),
            self.reference.causes(&kept),
            "causes kept"
        );
        assert_eq!(
            self.closures.live(),
            self.reference.closures(&kept),
            "closures kept"
        );
        assert_eq!(
            self.values.live(),
            self.reference.values(&kept),
            "values kept"
        );
        let sources = self.reference.sources(&kept);
        assert_eq!(self.sources.objects.live(), sources, "sources kept");
        assert_eq!(
            self.sources.registrations.live(),
            sources,
            "sources registered"
        );
        if self.curious && !self.slots.is_empty() {
            for slot in 0..self.slots.len() {
                self.ask_state(slot, &kept);
            }
            self.turn = (self.turn + 1) % self.slots.len();
            self.ask_identity(self.turn);
            self.look(self.turn, &kept);
        }
    }

    /// Compares all that a slot can tell.
    pub(super) fn ask(&mut self, slot: usize) {
        self.ask_identity(slot);
        // Before a cancel is over, some of what it lets go is still there.
        if !self.reference.is_cancelling() {
            let kept = self.reference.kept();
            self.ask_state(slot, &kept);
            self.look(slot, &kept);
        }
    }

    /// Compares whether nobody holds anything below.
    pub(super) fn ask_idle(&self, slot: usize) {
        // Before a cancel is over, some of what it lets go is still there.
        if self.reference.is_cancelling() {
            return;
        }
        let Slot { node, handle, .. } = &self.slots[slot];
        let idle = handle.context().wait_idle(Some(Duration::ZERO));
        let due = self.reference.is_idle(*node);
        assert_eq!(idle, due, "whether node {node} is idle");
    }

    /// Compares what may change.
    fn ask_state(&self, slot: usize, kept: &[bool]) {
        let slot = &self.slots[slot];
        let (node, context) = (slot.node, slot.handle.context());
        match context.error() {
            None => {
                assert!(context.check().is_ok() && context.reason().is_none());
                assert!(context.cause().is_none());
            }
            Some(error) => assert_asks_agree(context, &error),
        }
        assert_eq!(
            context.live_children(),
            self.reference.live_children(node, kept),
            "live children of node {node}"
        );
    }

    /// Compares what never changes.
    fn ask_identity(&mut self, slot: usize) {
        let slot = &self.slots[slot];
        let (node, context) = (slot.node, slot.handle.context());
        let reference = &self.reference;
        assert_eq!(context.is_cancelable(), reference.is_cancelable(node));
        assert_eq!(context.name(), reference.name(node));
        assert_eq!(context.to_string(), reference.path(node));
        for &key in &self.keys {
            let due = reference.value(node, keys::key(key));
            assert_eq!(keys::find(context, key), due, "value {key} of node {node}");
        }
        self.ids.compare(node, context.id());
        for other in &self.slots {
            let same = other.handle.context() == context;
            assert_eq!(same, other.node == node, "identity of node {node}");
        }
        if let Some(error) = context.error() {
            let due = match cause_number(&error) {
                None => "context cancelled".to_owned(),
                Some(cause) => format!("context cancelled: object {cause}"),
            };
            assert_eq!(error.to_string(), due);
        }
    }

    /// Compares what is shown below a slot.
    fn look(&mut self, slot: usize, kept: &[bool]) {
        let slot = &self.slots[slot];
        let (node, context) = (slot.node, slot.handle.context());
        let shown = context.tree();
        let rows = self.reference.tree(node, kept);
        assert_eq!(
            shown.nodes().len(),
            rows.len(),
            "nodes below node {node}: {shown}"
        );
        for (shown, row) in shown.nodes().zip(rows) {
            self.ids.compare_shown(&self.reference, shown, &row);
        }
    }

    /// A wait is ready, or a callback runs.
    pub(super) fn compare_told(&mut self, node: Node, error: &CancelError) {
        self.ids.compare_end(&self.reference, node, Some(error));
    }
}

/// The ids seen so far, of each node.
#[derive(Default)]
struct Ids(Vec<Option<Id>>);

impl Ids {
    /// A node has one id, and no two have the same.
    fn compare(&mut self, node: Node, id: Id) {
        if self.0.len() <= node {
            self.0.resize(node + 1, None);
        }
        match self.0[node] {
            Some(known) => assert_eq!(known, id, "the id of node {node}"),
            None => {
                assert!(!self.0.contains(&Some(id)), "two nodes with one id");
                self.0[node] = Some(id);
            }
        }
    }

    fn compare_shown(&mut self, reference: &Reference, shown: &tree::Node, row: &Row) {
        let node = row.node;
        self.compare(node, shown.id());
        assert_eq!(
            shown.parent().is_some(),
            row.parent.is_some(),
            "whose child is {shown}"
        );
        if let (Some(id), Some(parent)) = (shown.parent(), row.parent) {
            self.compare(parent, id);
        }
        assert_eq!(shown.depth(), row.depth, "depth of {shown}");
        assert_eq!(shown.name(), reference.name(node), "name of {shown}");
        let title = format!("{} {}", reference.title(node), shown.id());
        assert!(
            shown.to_string().starts_with(&title),
            "{shown}, not {title}"
        );
        let end = reference.end(node);
        let state = match end {
            None => State::Live,
            Some(_) => State::Done(Reason::Cancelled),
        };
        assert_eq!(shown.state(), state, "state of {shown}");
        assert_eq!(shown.origin().is_some(), end.is_some(), "origin of {shown}");
        if let (Some(id), Some(end)) = (shown.origin(), end) {
            self.compare(end.origin, id);
        }
        assert_eq!(shown.is_orphaned(), row.orphaned, "who holds {shown}");
        assert_eq!(shown.children(), row.children, "children of {shown}");
        assert_eq!(shown.links(), row.links, "links of {shown}");
        assert_eq!(shown.waiters(), row.waiters, "waiters of {shown}");
        assert_eq!(shown.callbacks(), row.callbacks, "callbacks of {shown}");
    }

    fn compare_end(&mut self, reference: &Reference, node: Node, error: Option<&CancelError>) {
        let end = reference.end(node);
        assert_eq!(
            error.is_some(),
            end.is_some(),
            "whether node {node} is done"
        );
        if let (Some(error), Some(end)) = (error, end) {
            assert_eq!(error.reason(), Reason::Cancelled);
            assert_eq!(cause_number(error), end.cause, "cause of node {node}");
            let location = error.location();
            let line = location.map(|location| location.line());
            assert_eq!(line, end.line, "location of node {node}");
            assert!(location.is_none_or(|location| location.file() == super::run::FILE));
            self.compare(end.origin, error.origin());
        }
    }
}
