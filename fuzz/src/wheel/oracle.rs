//! What deadlines should do, as plainly as it can be said: a sorted map of what
//! is armed.

mod told;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Nanoseconds since the program began.
pub(super) type Time = i128;

/// A place in [`Oracle::nodes`]. A parent's is smaller than its children's.
pub(super) type Node = usize;

/// The call that a delivery is part of.
pub(super) type Call = usize;

/// How a context ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct End {
    pub(super) origin: Node,
    pub(super) timeout: bool,
}

struct State {
    parent: Option<Node>,
    shielded: bool,
    handles: usize,
    /// Those, and its children that are kept.
    holds: usize,
    /// Its own deadline.
    at: Option<Time>,
    /// Its place in `armed`, as long as it is there.
    key: Option<(Time, u64)>,
    /// What that was when it ended.
    ended_at: Option<(Time, u64)>,
    /// The same if a driver ended it for its own deadline.
    fired: Option<(Time, u64)>,
    /// Whether it fires in the order of arming among those of the same time:
    /// what was moved has no place that is promised.
    firm: bool,
    /// When a driver that runs has fired it at the latest.
    late: Time,
    /// Whether a deadline was moved here or above.
    moved: bool,
    end: Option<End>,
}

/// What must be delivered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    node: Node,
    call: Call,
}

pub(super) struct Oracle {
    /// How late a deadline may be: the tick. Zero for a manual clock.
    tick: Time,
    /// The latest time there is.
    pub(super) last: Time,
    pub(super) now: Time,
    /// The latest time at which the driver has run.
    latest: Time,
    nodes: Vec<State>,
    armed: BTreeMap<(Time, u64), Node>,
    armings: u64,
    due: Vec<Due>,
    /// Those that a step within a callback let go when they might have been
    /// marked already: they may be told, or not.
    doubtful: Vec<Node>,
    /// How many that were armed went within the present run: what it fires keeps
    /// what is above until that is told.
    let_go: usize,
    /// The call that runs the driver.
    pub(super) running: Option<Call>,
    /// Whether time never went back: then a driver keeps the order.
    ordered: bool,
    /// What fired last in the present run.
    fired: Option<(Time, u64, bool)>,
}

impl Oracle {
    pub(super) fn new(tick: Time, last: Time) -> Self {
        Self {
            tick,
            last,
            now: 0,
            latest: 0,
            nodes: Vec::new(),
            armed: BTreeMap::new(),
            armings: 0,
            due: Vec::new(),
            doubtful: Vec::new(),
            let_go: 0,
            running: None,
            ordered: true,
            fired: None,
        }
    }

    /// Time passes, or goes back.
    pub(super) fn set_time(&mut self, to: Time) {
        self.ordered &= to >= self.now;
        self.now = to;
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn end(&self, node: Node) -> Option<End> {
        self.nodes[node].end
    }

    pub(super) fn own(&self, node: Node) -> Option<Time> {
        self.nodes[node].at
    }

    /// The earliest deadline here and above, up to a shield.
    pub(super) fn effective(&self, node: Option<Node>) -> Option<Time> {
        let (mut earliest, mut at) = (None, node);
        while let Some(node) = at {
            let state = &self.nodes[node];
            earliest = [earliest, state.at].into_iter().flatten().min();
            at = state.parent.filter(|_| !state.shielded);
        }
        earliest
    }

    /// How many are armed, at least and at most.
    pub(super) fn outstanding(&self) -> RangeInclusive<usize> {
        // A run may have ended some without that anybody could see it.
        let due = self.due_within();
        let ended = |node: &&Node| due.iter().any(|&above| self.ends(above, **node));
        let ended = self.armed.values().filter(ended).count();
        self.armed.len() - ended..=self.armed.len() + self.let_go
    }

    /// When a driver must have run.
    pub(super) fn run_by(&self) -> Option<Time> {
        self.armed.values().map(|&node| self.nodes[node].late).min()
    }

    /// A new context with one handle. It is done if its parent is, or if its
    /// time has come.
    pub(super) fn derive(
        &mut self,
        parent: Option<Node>,
        shielded: bool,
        at: Option<Time>,
    ) -> Node {
        let node = self.nodes.len();
        let above = parent.filter(|_| !shielded).map(|above| &self.nodes[above]);
        let moved = above.is_some_and(|above| above.moved);
        let born = above.and_then(|above| above.end);
        let past = at.filter(|&at| at <= self.now).map(|_| End {
            origin: node,
            timeout: true,
        });
        let end = born.or(past);
        let covered = match (self.effective(parent), at) {
            (Some(above), Some(at)) => !moved && above <= at,
            _ => false,
        };
        self.nodes.push(State {
            parent,
            shielded,
            handles: 1,
            holds: 1,
            at,
            key: None,
            ended_at: None,
            fired: None,
            firm: true,
            late: 0,
            moved,
            end,
        });
        if let Some(parent) = parent {
            self.nodes[parent].holds += 1;
        }
        if end.is_none() && !covered {
            self.arm(node, true);
        }
        node
    }

    /// Puts a node where its deadline says, as the last of its equals.
    fn arm(&mut self, node: Node, firm: bool) {
        self.disarm(node);
        let Some(at) = self.nodes[node].at else {
            return;
        };
        self.armings += 1;
        let state = &mut self.nodes[node];
        state.key = Some((at, self.armings));
        state.firm = firm;
        state.late = match at <= self.latest && self.tick > 0 {
            // Time went back: a wheel does not, and looks again in its next tick.
            true => self.latest + 2 * self.tick,
            false => at + self.tick,
        };
        self.armed.insert((at, self.armings), node);
    }

    fn disarm(&mut self, node: Node) {
        if let Some(key) = self.nodes[node].key.take() {
            self.armed.remove(&key);
        }
    }

    /// One more handle.
    pub(super) fn hold(&mut self, node: Node) {
        self.nodes[node].handles += 1;
        self.nodes[node].holds += 1;
    }

    /// A handle goes. `within` a run, which may have marked what goes.
    pub(super) fn let_go(&mut self, node: Node, within: bool) {
        self.nodes[node].handles -= 1;
        let mut at = Some(node);
        while let Some(node) = at {
            self.nodes[node].holds -= 1;
            if self.nodes[node].holds > 0 {
                break;
            }
            let due = self.effective(Some(node)).is_some_and(|at| at <= self.now);
            if within && due && self.nodes[node].end.is_none() {
                self.doubtful.push(node);
            }
            self.let_go += usize::from(within && self.nodes[node].key.is_some());
            self.disarm(node);
            at = self.nodes[node].parent;
        }
    }

    /// A call ends a context and all that is kept below it. False: it was done.
    pub(super) fn cancel(&mut self, node: Node, timeout: bool, call: Call) -> bool {
        let due = self.due_within();
        self.end_below(node, timeout, call, &due)
    }

    /// Those whose time has come, within a run: it may have ended them, and
    /// nobody would see it.
    fn due_within(&self) -> Vec<Node> {
        let due = self.armed.iter().filter(|_| self.running.is_some());
        let due = due.take_while(|((at, _), _)| *at <= self.now);
        let due = due.map(|(_, &node)| node);
        due.filter(|&node| !self.is_seen_alive(node)).collect()
    }

    /// Whether a handle shows that a node is not done.
    pub(super) fn is_seen_alive(&self, node: Node) -> bool {
        let mut below = self.nodes[node..].iter().zip(node..);
        below.any(|(state, below)| {
            state.handles > 0 && state.end.is_none() && self.ends(node, below)
        })
    }

    fn end_below(&mut self, node: Node, timeout: bool, call: Call, due: &[Node]) -> bool {
        if self.nodes[node].end.is_some() {
            return false;
        }
        let end = End {
            origin: node,
            timeout,
        };
        let finish = |oracle: &mut Self, node, end| {
            // What the run may have ended before is told by the run.
            let run = oracle
                .running
                .filter(|_| due.iter().any(|&above| oracle.ends(above, node)));
            oracle.finish(node, end, run.unwrap_or(call));
        };
        finish(self, node, end);
        for below in node + 1..self.nodes.len() {
            let State {
                parent, shielded, ..
            } = self.nodes[below];
            let above = parent.filter(|_| !shielded);
            let inherited = above.and_then(|above| self.nodes[above].end);
            if let (Some(end), None) = (inherited, self.nodes[below].end) {
                finish(self, below, end);
            }
        }
        true
    }

    fn finish(&mut self, node: Node, end: End, call: Call) {
        self.nodes[node].ended_at = self.nodes[node].key;
        self.disarm(node);
        self.nodes[node].end = Some(end);
        if self.nodes[node].holds > 0 {
            self.due.push(Due { node, call });
        }
    }

    /// From now on every deadline below counts by itself.
    fn tell_below(&mut self, node: Node) {
        for below in node..self.nodes.len() {
            let State {
                parent, shielded, ..
            } = self.nodes[below];
            let above = parent.filter(|_| !shielded);
            let told = above.is_some_and(|above| above >= node && self.nodes[above].moved);
            let state = &mut self.nodes[below];
            if (below == node || told) && state.end.is_none() && state.holds > 0 {
                state.moved = true;
                if state.key.is_none() {
                    self.arm(below, false);
                }
            }
        }
    }

    /// Moves a deadline. False: the context was done, and nothing moves.
    pub(super) fn set_deadline(&mut self, node: Node, to: Time, call: Call) -> bool {
        if self.nodes[node].end.is_some() {
            return false;
        }
        let due = self.due_within();
        self.tell_below(node);
        self.nodes[node].at = Some(to);
        self.arm(node, false);
        // It was not done before.
        to > self.now || self.end_below(node, true, call, &due)
    }

    /// Moves a deadline that is there, if that makes it later.
    pub(super) fn postpone(&mut self, node: Node, to: Time) -> bool {
        if self.nodes[node].end.is_some() {
            return false;
        }
        self.tell_below(node);
        if self.nodes[node].at.is_some_and(|at| at < to) {
            self.nodes[node].at = Some(to);
            self.arm(node, false);
        }
        true
    }

    /// Those that a driver that runs must have ended by now.
    pub(super) fn overdue(&self) -> Vec<Node> {
        let all = self.armed.values().copied();
        all.filter(|&node| self.nodes[node].late <= self.now)
            .collect()
    }

    /// Whether the end of `node` would end `below`.
    pub(super) fn ends(&self, node: Node, below: Node) -> bool {
        let mut at = Some(below);
        while let Some(here) = at {
            if here == node {
                return true;
            }
            let state = &self.nodes[here];
            at = state.parent.filter(|_| !state.shielded);
        }
        false
    }
}
