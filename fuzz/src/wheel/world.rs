//! What a running program holds, and the comparison with the oracle.

use super::When;
use super::oracle::{Call, End, Node, Oracle, Time};
use ctxtree::time::{Driver, ManualClock, Timers};
use ctxtree::{CancelError, CancelHandle, Context, Id, IdleTimeout};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// What a deadline on a driver may be late.
const TICK: Time = 1 << 19;

/// From the beginning of a program to the latest time there is: all but that.
/// So a program meets the same slots whenever it runs.
const LENGTH: u64 = (1 << 63) - (1 << 60) - 2;

/// The latest instant that a deadline can have.
fn latest() -> Instant {
    static LATEST: OnceLock<Instant> = OnceLock::new();
    *LATEST.get_or_init(|| {
        let root = Context::background().with_clock(&ManualClock::new());
        let far = Instant::now() + Duration::from_nanos(1 << 63);
        let (ctx, _handle) = root.with_deadline(far);
        ctx.deadline().expect("it has one")
    })
}

/// A driver whose time is set.
#[derive(Clone)]
pub(super) struct Hand(Arc<Inner>);

struct Inner {
    now: Mutex<Instant>,
    wakes: AtomicUsize,
}

impl Driver for Hand {
    fn now(&self) -> Instant {
        *self.0.now.lock().unwrap()
    }

    fn wake(&self, _: &Timers) {
        self.0.wakes.fetch_add(1, Relaxed);
    }
}

pub(super) enum Source {
    Manual(ManualClock),
    Driven(Hand, Timers),
}

/// What a slot has besides its context.
#[derive(Clone)]
pub(super) enum By {
    Handle(CancelHandle),
    Idle(IdleTimeout),
    Nothing,
}

impl By {
    pub(super) fn handle(&self) -> Option<&CancelHandle> {
        match self {
            By::Handle(handle) => Some(handle),
            By::Idle(idle) => Some(idle.handle()),
            By::Nothing => None,
        }
    }
}

#[derive(Clone)]
pub(super) struct Slot {
    pub(super) node: Node,
    pub(super) context: Context,
    pub(super) by: By,
}

pub(super) struct World {
    pub(super) oracle: Oracle,
    pub(super) source: Source,
    pub(super) root: Context,
    pub(super) slots: Vec<Slot>,
    ids: HashMap<Id, Node>,
    base: Instant,
    /// The calls under way, the innermost last, and whose panic each goes on
    /// with.
    pub(super) calls: Vec<(Call, Option<Node>)>,
    pub(super) began: Call,
    /// Until when the driver sleeps; none: until it is woken.
    sleeps: Option<Time>,
}

impl World {
    pub(super) fn new(driven: bool) -> Self {
        let base = latest() - Duration::from_nanos(LENGTH);
        let background = Context::background();
        let (source, root) = if driven {
            let hand = Hand(Arc::new(Inner {
                now: Mutex::new(base),
                wakes: AtomicUsize::new(0),
            }));
            let timers = Timers::new(hand.clone());
            let root = background.with_driver(&timers);
            (Source::Driven(hand, timers), root)
        } else {
            let clock = ManualClock::new();
            clock.set(base);
            let root = background.with_clock(&clock);
            (Source::Manual(clock), root)
        };
        Self {
            oracle: Oracle::new(if driven { TICK } else { 0 }, Time::from(LENGTH)),
            source,
            root,
            slots: Vec::new(),
            ids: HashMap::new(),
            base,
            calls: Vec::new(),
            began: 0,
            sleeps: None,
        }
    }

    /// The context of a slot, or the root.
    pub(super) fn above(&self, number: u8) -> (Option<Node>, Context) {
        match crate::tools::pick(number, self.slots.len()).filter(|_| number < 255) {
            Some(slot) => {
                let slot = &self.slots[slot];
                (Some(slot.node), slot.context.clone())
            }
            None => (None, self.root.clone()),
        }
    }

    /// Which instant, and what the oracle calls it.
    pub(super) fn when(&self, when: When) -> (Time, Instant) {
        let now = self.oracle.now;
        let at = match when {
            When::In(length) => now + Time::from(length),
            When::Ago(length) => now - Time::from(length),
            When::With(slot) => {
                let slot = crate::tools::pick(slot, self.slots.len());
                let own = slot.and_then(|slot| self.oracle.own(self.slots[slot].node));
                own.unwrap_or(now)
            }
        };
        // Further back than a year before the program began is all the same.
        let at = at.clamp(-(1 << 55), 2 * Time::from(LENGTH));
        (at.min(self.oracle.last), self.instant(at))
    }

    fn instant(&self, at: Time) -> Instant {
        match u64::try_from(at) {
            Ok(after) => self.base + Duration::from_nanos(after),
            Err(_) => self.base - Duration::from_nanos((-at) as u64),
        }
    }

    pub(super) fn time_of(&self, at: Instant) -> Time {
        match at.checked_duration_since(self.base) {
            Some(after) => after.as_nanos() as Time,
            None => -((self.base - at).as_nanos() as Time),
        }
    }

    /// Sets the time of a driver.
    pub(super) fn set_time(&mut self, to: Time) {
        // Deadlines at the very end have no tick left to fire in.
        let to = to.min(self.oracle.last - 2 * TICK);
        let instant = self.instant(to);
        if let Source::Driven(hand, _) = &self.source {
            *hand.0.now.lock().unwrap() = instant;
            self.oracle.set_time(to);
        }
    }

    /// What the driver was told.
    pub(super) fn ran(&mut self, next: Option<Instant>) {
        self.sleeps = next.map(|at| self.time_of(at));
        if let Source::Driven(hand, _) = &self.source {
            hand.0.wakes.store(0, Relaxed);
        }
        match (self.sleeps, self.oracle.run_by()) {
            (None, None) => {}
            (Some(next), Some(by)) => {
                assert!(next <= by, "it sleeps {} ns too long", next - by);
                assert!(next > self.oracle.now, "it does not sleep");
            }
            (next, by) => panic!("it sleeps until {next:?}, and is to run by {by:?}"),
        }
    }

    pub(super) fn wakes(&self) -> usize {
        match &self.source {
            Source::Manual(_) => 0,
            Source::Driven(hand, _) => hand.0.wakes.load(Relaxed),
        }
    }

    /// Whether a driver that is not woken sleeps past the end of what was asked
    /// for at `at`.
    pub(super) fn sleeps_past(&self, at: Time) -> bool {
        self.sleeps.is_none_or(|sleeps| at < sleeps)
    }

    pub(super) fn know(&mut self, node: Node, context: &Context) {
        let before = self.ids.insert(context.id(), node);
        assert_eq!(before, None, "two contexts with one id");
    }

    fn end_of(&self, error: &CancelError) -> End {
        End {
            origin: self.ids[&error.origin()],
            timeout: error.is_timeout(),
        }
    }

    /// A callback runs.
    pub(super) fn told(&mut self, node: Node, error: &CancelError) -> Call {
        self.see();
        let end = self.end_of(error);
        let innermost = self.calls.last().expect("a call under way").0;
        let call = self
            .oracle
            .told(node, end, self.oracle.running.unwrap_or(innermost));
        // What a run ends is marked before anything is delivered.
        let overdue = self.oracle.running.map(|_| self.oracle.overdue());
        for node in overdue.into_iter().flatten() {
            let alive = self.oracle.is_seen_alive(node);
            assert!(!alive, "node {node} is due, and not marked");
        }
        call
    }

    /// Looks at who is done. A driver that runs may have ended some.
    pub(super) fn see(&mut self) {
        if let Source::Manual(clock) = &self.source {
            let now = self.time_of(clock.now());
            assert!(now >= self.oracle.now, "time goes back");
            self.oracle.now = now;
        }
        let is_new = |slot: &&Slot| {
            let is_done = slot.context.is_cancelled();
            is_done != self.oracle.end(slot.node).is_some()
        };
        let news = self.slots.iter().filter(is_new);
        let news: Vec<(Node, Option<End>)> = news.map(|slot| self.end_now(slot)).collect();
        if let Some(call) = self.oracle.running {
            // A child that ended by itself did so before what is above it.
            let ended = news.iter().filter_map(|(_, end)| *end);
            let ended: BTreeSet<Node> = ended.map(|end| end.origin).collect();
            for origin in ended.into_iter().rev() {
                self.oracle.expire(origin, call);
            }
        }
        for (node, end) in news {
            assert_eq!(end, self.oracle.end(node), "how node {node} is done");
        }
    }

    /// How the context of a slot is done.
    fn end_now(&self, slot: &Slot) -> (Node, Option<End>) {
        let error = slot.context.error();
        (slot.node, error.map(|error| self.end_of(&error)))
    }

    /// Compares all that can be asked.
    pub(super) fn compare(&mut self) {
        self.see();
        for Slot { node, context, .. } in &self.slots {
            if self.oracle.end(*node).is_some() {
                continue;
            }
            let due = self.oracle.effective(Some(*node));
            let deadline = context.deadline().map(|at| self.time_of(at));
            assert_eq!(deadline, due, "the deadline of node {node}");
            let left = due.map(|due| (due - self.oracle.now).max(0));
            let remaining = context.remaining().map(|left| left.as_nanos() as Time);
            assert_eq!(remaining, left, "what remains of node {node}");
        }
        // Who is to run earlier than it knows has been woken.
        let by = self
            .oracle
            .run_by()
            .filter(|_| self.oracle.running.is_none());
        if let (Some(by), Source::Driven(..)) = (by, &self.source) {
            let knows = self.sleeps.is_some_and(|sleeps| sleeps <= by);
            assert!(knows || self.wakes() > 0, "a driver sleeps past {by}");
        }
    }

    /// Compares how each is done, in the end.
    pub(super) fn compare_ends(&self) {
        for slot in &self.slots {
            let (node, end) = self.end_now(slot);
            assert_eq!(end, self.oracle.end(node), "how node {node} is done");
        }
    }

    /// Compares how many are armed.
    pub(super) fn count(&self) {
        let armed = match &self.source {
            Source::Manual(clock) => clock.outstanding(),
            Source::Driven(_, timers) => timers.outstanding(),
        };
        let due = self.oracle.outstanding();
        assert!(due.contains(&armed), "{armed} are armed, not {due:?}");
    }
}
