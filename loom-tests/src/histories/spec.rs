//! The sequential specification: what each step may find, and leaves.

use super::program::{Call, Node};
use super::record::{Answer, Cause, Event, What, Why};
use ctxtree::Stop;

/// One context.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct State {
    exists: bool,
    parents: Vec<Node>,
    done: Option<Why>,
    deadline: Option<u64>,
    /// Its deadline had come when it was set.
    owed: bool,
    /// Its one holder has let go of it.
    dropped: bool,
}

/// One callback.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Callback {
    on: Option<Node>,
    ran: bool,
    stopped: bool,
}

/// A part of an event that takes place at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// All of it, or what it does.
    Act,
    /// What must hold before it returns, but for these contexts.
    Return(Vec<Node>),
    /// A callback runs, delivered by who decided a link above.
    ByLink,
    /// A callback runs where it is registered, as its context is done already.
    AtOnce,
}

/// The tree between two steps.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct World {
    nodes: Vec<State>,
    callbacks: Vec<Callback>,
    now: u64,
    /// How many contexts the threads find.
    shared: usize,
}

impl World {
    pub(super) fn new(shared: usize, nodes: usize, callbacks: usize) -> World {
        World {
            shared,
            nodes: vec![State::default(); nodes],
            callbacks: vec![Callback::default(); callbacks],
            now: 0,
        }
    }

    /// A context of the tree that the threads find.
    pub(super) fn plant(&mut self, node: Node, parents: &[Node], deadline: Option<u64>) {
        self.nodes[node] = State {
            exists: true,
            parents: parents.to_vec(),
            done: None,
            deadline,
            owed: false,
            dropped: false,
        };
    }

    /// Every way in which `node` is done now, or comes to be: it inherits from a
    /// parent that is, or its deadline has come.
    fn done(&self, node: Node) -> Vec<World> {
        let state = &self.nodes[node];
        if state.done.is_some() {
            return vec![self.clone()];
        }
        let mut ways = Vec::new();
        for &parent in &state.parents {
            for mut way in self.done(parent) {
                let why = way.nodes[parent].done;
                way.nodes[node].done = why;
                ways.push(way);
            }
        }
        if state.deadline.is_some_and(|at| at <= self.now) {
            let mut way = self.clone();
            way.nodes[node].done = Some(Why {
                cause: Cause::Deadline,
                origin: node,
            });
            ways.push(way);
        }
        ways
    }

    /// Every way in which `node` is done now, or something above it is.
    fn reached(&self, node: Node) -> Vec<World> {
        let above = self.nodes[node].parents.iter();
        let mut ways = self.done(node);
        ways.extend(above.flat_map(|&parent| self.reached(parent)));
        ways
    }

    /// The same for all of them.
    fn all_done(&self, nodes: impl Iterator<Item = Node>) -> Vec<World> {
        let mut ways = vec![self.clone()];
        for node in nodes {
            ways = ways.iter().flat_map(|way| way.done(node)).collect();
        }
        ways
    }

    /// As it is, if `node` is not done.
    fn live(&self, node: Node) -> Vec<World> {
        match self.nodes[node].done {
            None => vec![self.clone()],
            Some(_) => Vec::new(),
        }
    }

    /// `node`, and all below it that must be reached: who lets go of a context
    /// takes it from its parents, one after the other.
    fn subtree(&self, node: Node) -> Vec<Node> {
        let mut inside = vec![node];
        loop {
            let before = inside.len();
            for (child, state) in self.nodes.iter().enumerate() {
                let below = state.parents.iter().any(|parent| inside.contains(parent));
                if state.exists && below && !inside.contains(&child) {
                    inside.push(child);
                }
            }
            if inside.len() == before {
                inside.retain(|&node| !self.nodes[node].dropped);
                return inside;
            }
        }
    }

    /// A new child, done if a parent is; of several that are, or come to be, by
    /// any of them.
    fn derive(&self, parents: &[Node], child: Node) -> Vec<World> {
        let mut born = self.clone();
        born.plant(child, parents, None);
        if parents
            .iter()
            .all(|&parent| self.nodes[parent].done.is_none())
        {
            return vec![born];
        }
        born.done(child)
    }

    /// All that may be after this part of `event`, the one of that number: nothing
    /// if it cannot take place now.
    pub(super) fn after(&self, number: usize, event: &Event, part: &Part) -> Vec<World> {
        match event.what {
            What::Call(call) => self.after_call(number, call, event.answer, part),
            What::Run(callback) => self.after_run(callback, event.answer, part),
        }
    }

    fn after_call(&self, number: usize, call: Call, answer: Answer, part: &Part) -> Vec<World> {
        match (call, answer, part) {
            (Call::Derive(parent, child), ..) => self.derive(&[parent], child),
            (Call::Link(parent, other, child), ..) if parent == other => {
                self.derive(&[parent], child)
            }
            (Call::Link(parent, other, child), ..) => self.derive(&[parent, other], child),
            (Call::Cancel(node), Answer::Yes(true), Part::Act) => {
                let mut ways = self.live(node);
                for way in &mut ways {
                    way.nodes[node].done = Some(Why {
                        cause: Cause::Cancel(number),
                        origin: node,
                    });
                }
                ways
            }
            (Call::Cancel(node), _, Part::Return(_)) => {
                self.all_done(self.subtree(node).into_iter())
            }
            (Call::Cancel(node), ..) => self.done(node),
            (Call::Ask(node), Answer::Yes(true), _) | (Call::Wait(node), ..) => self.done(node),
            (Call::AskWhy(node), Answer::Why(Some(why)), _) => {
                let mut ways = self.done(node);
                ways.retain(|way| way.nodes[node].done == Some(why));
                ways
            }
            (Call::Ask(node) | Call::AskWhy(node), ..) => self.live(node),
            (Call::Drop(node), ..) => {
                let mut way = self.clone();
                // What is shared may have other holders.
                way.nodes[node].dropped = node >= self.shared;
                vec![way]
            }
            (Call::Register(node, callback), ..) => {
                let mut way = self.clone();
                way.callbacks[callback].on = Some(node);
                vec![way]
            }
            (Call::Stop(callback), Answer::Stop(stop), _) => self.after_stop(callback, stop),
            (Call::Stop(_), ..) => Vec::new(),
            (Call::SetDeadline(node, at), Answer::Yes(true), Part::Act) => {
                let mut ways = self.live(node);
                for way in &mut ways {
                    way.nodes[node].deadline = Some(at);
                    way.nodes[node].owed = at <= way.now;
                }
                ways
            }
            (Call::SetDeadline(node, _), Answer::Yes(true), _) => {
                // Unless it was moved again.
                match self.nodes[node].owed {
                    true => self.done(node),
                    false => vec![self.clone()],
                }
            }
            (Call::SetDeadline(node, at), _, Part::Act) => {
                let mut ways = self.done(node);
                let mut moved = self.live(node);
                for way in &mut moved {
                    way.nodes[node].deadline = Some(at);
                }
                ways.extend(moved);
                ways
            }
            (Call::SetDeadline(node, _), ..) => self.done(node),
            (Call::Advance(to), _, Part::Act) => {
                let mut way = self.clone();
                way.now = to;
                vec![way]
            }
            (Call::Advance(_), _, Part::Return(but)) => {
                let due = |node: &Node| self.nodes[*node].deadline.is_some_and(|at| at <= self.now);
                let nodes = (0..self.nodes.len()).filter(|node| !but.contains(node));
                let nodes = nodes.filter(due);
                nodes.fold(vec![self.clone()], |ways, node| {
                    ways.iter().flat_map(|way| way.reached(node)).collect()
                })
            }
            (Call::Advance(_), ..) => Vec::new(),
        }
    }

    fn after_stop(&self, callback: usize, stop: Stop) -> Vec<World> {
        let Callback { on, ran, stopped } = self.callbacks[callback];
        let on = on.expect("it was registered by this thread");
        match stop {
            Stop::Prevented if !ran && !stopped => {
                let mut way = self.clone();
                way.callbacks[callback].stopped = true;
                vec![way]
            }
            Stop::Running if !stopped => self.done(on),
            Stop::Finished if ran => vec![self.clone()],
            _ => Vec::new(),
        }
    }

    fn after_run(&self, callback: usize, answer: Answer, part: &Part) -> Vec<World> {
        let Callback { on, ran, stopped } = self.callbacks[callback];
        let (Some(on), Answer::Why(Some(why))) = (on, answer) else {
            return Vec::new();
        };
        if ran || stopped {
            return Vec::new();
        }
        let mut ways = self.done(on);
        ways.retain(|way| way.nodes[on].done == Some(why));
        // Nothing is delivered before everything below the origin is marked.
        let top = match part {
            Part::AtOnce => None,
            Part::ByLink => Some(on),
            _ => Some(why.origin),
        };
        if let Some(top) = top {
            let marked = |way: &World| way.all_done(way.subtree(top).into_iter());
            ways = ways.iter().flat_map(marked).collect();
        }
        for way in &mut ways {
            way.callbacks[callback].ran = true;
        }
        ways
    }
}
