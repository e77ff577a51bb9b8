//! Runs a program on the library and on the reference, and compares.

use super::reference::{BACKGROUND, Node, Reference, Wait, Wake};
use super::{Kind, MOST_OPS, Op, Program};
use crate::tools::{
    Causes, alone, assert_asks_agree, assert_given_back, cause_number, pick, settled_objects,
};
use ctxtree::{CancelError, CancelHandle, CancelledOwned, Context, DropGuard, Id, Reason};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{self, Poll, Waker};

pub(super) fn run(program: &Program) {
    let _alone = alone();
    let before = settled_objects();
    let mut run = Run::new();
    for &op in program.ops.iter().take(MOST_OPS) {
        run.step(op);
    }
    run.tear_down(program.newest_first);
    drop(run);
    assert_given_back(before);
}

/// A handle that the program holds.
enum Handle {
    Observe(Context),
    Cancel(CancelHandle),
    /// With the line that made it.
    Guard(DropGuard, u32),
}

impl Handle {
    fn context(&self) -> &Context {
        match self {
            Handle::Observe(context) => context,
            Handle::Cancel(handle) => handle.context(),
            Handle::Guard(guard, _) => guard.context(),
        }
    }
}

struct Slot {
    node: Node,
    handle: Handle,
}

struct Waiting {
    wait: Wait,
    future: CancelledOwned,
    bells: [Arc<Bell>; 2],
}

/// A waker that writes its name down.
struct Bell {
    wake: Wake,
    rung: Arc<Rung>,
}

#[derive(Default)]
struct Rung {
    wakes: Mutex<Vec<Wake>>,
    /// What must be done before the first wake.
    marked: Mutex<Vec<Context>>,
}

impl task::Wake for Bell {
    fn wake(self: Arc<Self>) {
        for context in &*self.rung.marked.lock().unwrap() {
            assert!(context.is_cancelled(), "woken before all was marked");
        }
        self.rung.wakes.lock().unwrap().push(self.wake);
    }
}

struct Run {
    reference: Reference,
    slots: Vec<Slot>,
    waits: Vec<Waiting>,
    rung: Arc<Rung>,
    causes: Causes,
    causes_made: u32,
    ids: HashMap<Node, Id>,
    bearers: HashMap<Id, Node>,
}

impl Run {
    fn new() -> Self {
        Self {
            reference: Reference::new(),
            slots: Vec::new(),
            waits: Vec::new(),
            rung: Arc::default(),
            causes: Causes::default(),
            causes_made: 0,
            ids: HashMap::new(),
            bearers: HashMap::new(),
        }
    }

    fn step(&mut self, op: Op) {
        self.apply(op);
        self.compare();
    }

    fn apply(&mut self, op: Op) {
        let slots = self.slots.len();
        match op {
            Op::Derive { from, kind } => self.derive(from, kind),
            Op::Churn { slot, times } => {
                if let Some(slot) = pick(slot, slots) {
                    for _ in 0..times % 40 {
                        drop(self.slots[slot].handle.context().with_cancel());
                    }
                }
            }
            Op::Clone { slot } => {
                if let Some(slot) = pick(slot, slots) {
                    let Slot { node, handle } = &self.slots[slot];
                    let (node, clone) = match handle {
                        Handle::Observe(context) => (*node, Handle::Observe(context.clone())),
                        Handle::Cancel(handle) => (*node, Handle::Cancel(handle.clone())),
                        Handle::Guard(guard, _) => (*node, Handle::Observe((**guard).clone())),
                    };
                    self.put(node, clone);
                }
            }
            Op::Drop { slot } => {
                if let Some(slot) = pick(slot, slots) {
                    self.drop_slot(slot);
                }
            }
            Op::Cancel { handle } => self.cancel(handle, false),
            Op::CancelWith { handle } => self.cancel(handle, true),
            Op::Guard { slot } => {
                if let Some(slot) = pick(slot, slots) {
                    let Slot { node, handle } = self.slots.remove(slot);
                    let handle = match handle {
                        Handle::Observe(context) => Handle::Observe(context),
                        Handle::Cancel(handle) => Handle::Guard(handle.drop_guard(), line!()),
                        Handle::Guard(guard, _) => Handle::Cancel(guard.disarm()),
                    };
                    self.slots.insert(slot, Slot { node, handle });
                }
            }
            Op::Split { slot } => {
                if let Some(slot) = pick(slot, slots) {
                    ctxtree::model::split(self.slots[slot].handle.context());
                }
            }
            Op::Ask { slot } => {
                if let Some(slot) = pick(slot, slots) {
                    self.ask(slot);
                }
            }
            Op::Wait { slot } => self.wait(slot),
            Op::Poll { wait, waker } => {
                if let Some(wait) = pick(wait, self.waits.len()) {
                    self.poll(wait, waker);
                }
            }
            Op::DropWait { wait } => {
                if let Some(wait) = pick(wait, self.waits.len()) {
                    self.drop_wait(wait);
                }
            }
        }
    }

    fn put(&mut self, node: Node, handle: Handle) {
        self.reference.hold(node);
        self.slots.push(Slot { node, handle });
    }

    /// The context of a slot, or `background`.
    fn slot_or_background(&self, number: u8) -> (Node, Context) {
        match self.slots.get(usize::from(number) % (self.slots.len() + 1)) {
            Some(slot) => (slot.node, slot.handle.context().clone()),
            None => (BACKGROUND, Context::background()),
        }
    }

    fn derive(&mut self, from: u8, kind: Kind) {
        let (parent, context) = self.slot_or_background(from);
        let node = self.reference.derive(parent, kind);
        let (child, handle) = match kind {
            Kind::Plain => context.with_cancel(),
            Kind::Named => context.derive().name(format!("n{node}")).build(),
            Kind::Shielded => {
                let child = context.without_cancel();
                self.put(node, Handle::Observe(child));
                return;
            }
        };
        self.put(node, Handle::Observe(child));
        self.put(node, Handle::Cancel(handle));
    }

    fn cancel(&mut self, number: u8, with_cause: bool) {
        let handles: Vec<usize> = (0..self.slots.len())
            .filter(|&slot| matches!(self.slots[slot].handle, Handle::Cancel(_)))
            .collect();
        let Some(place) = pick(number, handles.len()) else {
            return;
        };
        let Slot { node, handle } = &self.slots[handles[place]];
        let (node, Handle::Cancel(handle)) = (*node, handle) else {
            unreachable!("picked among the handles");
        };
        let was_live = self.reference.end(node).is_none();
        let (cause, line) = if with_cause {
            self.causes_made += 1;
            (Some(self.causes_made), CANCEL_WITH_LINE)
        } else {
            (None, CANCEL_LINE)
        };
        let wakes = self.reference.cancel(node, cause, line);
        // These are held by slots too: the clones change nobody's end.
        *self.rung.marked.lock().unwrap() = self
            .slots
            .iter()
            .filter(|slot| self.reference.end(slot.node).is_some())
            .map(|slot| slot.handle.context().clone())
            .collect();
        let won = match cause {
            None => do_cancel(handle),
            Some(number) => do_cancel_with(handle, self.causes.make(number)),
        };
        self.rung.marked.lock().unwrap().clear();
        assert_eq!(won, was_live, "who won the cancel of node {node}");
        self.assert_rung(&wakes);
    }

    fn drop_slot(&mut self, slot: usize) {
        let Slot { node, handle } = self.slots.remove(slot);
        let wakes = match handle {
            Handle::Guard(_, line) => self.reference.cancel(node, None, line),
            Handle::Observe(_) | Handle::Cancel(_) => Vec::new(),
        };
        self.reference.let_go(node);
        drop(handle);
        self.assert_rung(&wakes);
    }

    /// The wakes since the last call are these, in an order that is promised.
    fn assert_rung(&self, expected: &[Wake]) {
        let rung = std::mem::take(&mut *self.rung.wakes.lock().unwrap());
        for (place, &first) in rung.iter().enumerate() {
            for &second in &rung[place + 1..] {
                let good = self.reference.in_order(first, second);
                assert!(good, "{first:?} came before {second:?}");
            }
        }
        let mut sorted = rung;
        sorted.sort_by_key(|wake| wake.wait);
        assert_eq!(sorted, expected, "the wakes that came, and those due");
    }

    fn wait(&mut self, slot: u8) {
        let (node, context) = self.slot_or_background(slot);
        let wait = self.reference.wait(node);
        let bell = |waker| {
            let wake = Wake { wait, waker };
            let rung = self.rung.clone();
            Arc::new(Bell { wake, rung })
        };
        let bells = [bell(false), bell(true)];
        let future = context.cancelled_owned();
        self.waits.push(Waiting {
            wait,
            future,
            bells,
        });
    }

    fn poll(&mut self, wait: usize, waker: bool) {
        let waiting = &mut self.waits[wait];
        let ready = self.reference.poll(waiting.wait, waker);
        let bell = Waker::from(waiting.bells[usize::from(waker)].clone());
        let polled = Pin::new(&mut waiting.future).poll(&mut task::Context::from_waker(&bell));
        let node = self.reference.waits_for(waiting.wait);
        assert_eq!(polled.is_ready(), ready, "a wait for node {node}");
        if let Poll::Ready(error) = polled {
            self.compare_end(node, Some(&error));
        }
    }

    fn drop_wait(&mut self, wait: usize) {
        let waiting = self.waits.remove(wait);
        self.reference.drop_wait(waiting.wait);
        drop(waiting.future);
        for bell in waiting.bells {
            assert_eq!(Arc::strong_count(&bell), 1, "a waker was kept");
        }
    }

    /// What is compared after each operation.
    fn compare(&mut self) {
        self.assert_rung(&[]);
        for place in 0..self.slots.len() {
            let slot = &self.slots[place];
            let context = slot.handle.context();
            let (node, error) = (slot.node, context.error());
            assert_eq!(context.is_cancelled(), error.is_some());
            self.compare_end(node, error.as_ref());
        }
        for waiting in &self.waits {
            let registered = self.reference.registered(waiting.wait);
            let node = self.reference.waits_for(waiting.wait);
            for (bell, waker) in waiting.bells.iter().zip([false, true]) {
                let kept = Arc::strong_count(bell) - 1;
                let due = usize::from(registered == Some(waker));
                // A wait that can never end need not keep its waker.
                let may_keep_none = self.reference.kind(node) == Kind::Shielded;
                assert!(
                    kept == due || may_keep_none && kept == 0,
                    "clones of waker {waker} kept by a wait for node {node}: {kept}, not {due}"
                );
            }
        }
        assert_eq!(self.causes.live(), self.reference.causes(), "causes kept");
    }

    fn compare_end(&mut self, node: Node, error: Option<&CancelError>) {
        let end = self.reference.end(node);
        assert_eq!(
            error.is_some(),
            end.is_some(),
            "whether node {node} is done"
        );
        if let (Some(error), Some(end)) = (error, end) {
            assert_eq!(error.reason(), Reason::Cancelled);
            assert_eq!(cause_number(error), end.cause, "cause of node {node}");
            let location = error.location().expect("a line of code cancelled");
            assert_eq!((location.file(), location.line()), (file!(), end.line));
            self.compare_id(end.origin, error.origin());
        }
    }

    /// A node has one id, and no two have the same.
    fn compare_id(&mut self, node: Node, id: Id) {
        let known = *self.ids.entry(node).or_insert(id);
        assert_eq!(known, id, "the id of node {node}");
        let bearer = *self.bearers.entry(id).or_insert(node);
        assert_eq!(bearer, node, "two nodes with one id");
    }

    fn ask(&mut self, slot: usize) {
        let Slot { node, handle } = &self.slots[slot];
        let (node, context) = (*node, handle.context());
        assert_eq!(
            context.live_children(),
            self.reference.live_children(node),
            "live children of node {node}"
        );
        match context.error() {
            None => assert!(context.check().is_ok() && context.reason().is_none()),
            Some(error) => assert_asks_agree(context, &error),
        }
        let kind = self.reference.kind(node);
        assert_eq!(context.is_cancelable(), kind != Kind::Shielded);
        let name = (kind == Kind::Named).then(|| format!("n{node}"));
        assert_eq!(context.name(), name.as_deref());
        let path = self.reference.path(node).into_iter().map(|node| {
            if node == BACKGROUND {
                return "background".to_owned();
            }
            match self.reference.kind(node) {
                Kind::Plain => "with_cancel".to_owned(),
                Kind::Named => format!("n{node}"),
                Kind::Shielded => "without_cancel".to_owned(),
            }
        });
        assert_eq!(context.to_string(), path.collect::<Vec<_>>().join("."));
        let id = context.id();
        self.compare_id(node, id);
    }

    /// Drops what is left, and compares meanwhile.
    fn tear_down(&mut self, newest_first: bool) {
        for slot in 0..self.slots.len() {
            self.ask(slot);
        }
        let next = |len: usize| if newest_first { len - 1 } else { 0 };
        // Newest first also means: the waits before what they wait for.
        while newest_first && !self.waits.is_empty() {
            self.drop_wait(next(self.waits.len()));
            self.compare();
        }
        while !self.slots.is_empty() {
            self.drop_slot(next(self.slots.len()));
            self.compare();
        }
        while !self.waits.is_empty() {
            self.drop_wait(next(self.waits.len()));
            self.compare();
        }
        assert_eq!(self.causes.live(), 0, "causes leaked");
    }
}

const CANCEL_LINE: u32 = line!() + 3;
fn do_cancel(handle: &CancelHandle) -> bool {
    // The next line is the location of the cancel.
    handle.cancel()
}

const CANCEL_WITH_LINE: u32 = line!() + 3;
fn do_cancel_with(handle: &CancelHandle, cause: ctxtree::Cause) -> bool {
    // The next line is the location of the cancel.
    handle.cancel_with(cause)
}
