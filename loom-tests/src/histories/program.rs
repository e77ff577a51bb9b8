//! Programs drawn from a seed.

use std::fmt;

/// A context, by its number: first those of the tree, then as they are derived.
pub(super) type Node = usize;

/// Threads of a program.
pub(super) const THREADS: usize = 8;
/// Calls of one thread, at most.
const CALLS: u64 = 3;
/// Contexts that the threads share, at most.
const SHARED: u64 = 6;

/// One call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Call {
    /// A child of the first, which gets that number, and a look at it.
    Derive(Node, Node),
    /// A child of the first two.
    Link(Node, Node, Node),
    /// With a cause of its own.
    Cancel(Node),
    /// Whether it is done.
    Ask(Node),
    /// Why it is done.
    AskWhy(Node),
    /// Until it is done.
    Wait(Node),
    /// This thread's handles of it.
    Drop(Node),
    /// A callback, of that number.
    Register(Node, usize),
    /// The callback of that number.
    Stop(usize),
    /// To so many units of time from the start.
    SetDeadline(Node, u64),
    /// Until so many units from the start. Once in a program.
    Advance(u64),
}

/// What one thread does.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) calls: Vec<Call>,
    /// Whether it keeps its handles until all is over.
    pub(super) keeps: bool,
}

/// The parents of each shared context, a parent before its children, and its
/// deadline.
pub(super) type Shape = Vec<(Vec<Node>, Option<u64>)>;

/// A tree, and what threads do to it.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) seed: u64,
    pub(super) shape: Shape,
    pub(super) threads: Vec<Thread>,
    /// Contexts in all.
    pub(super) nodes: usize,
    /// Callbacks in all.
    pub(super) callbacks: usize,
}

/// Numbers that look random: splitmix64.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % end
    }

    /// A kind of call, below 20: a cancel, or one on the menu.
    fn kind(&mut self, menu: u64) -> u64 {
        loop {
            let kind = self.below(20);
            let group = match kind {
                5..=7 => return kind,
                0..=3 => 0,
                4 => 1,
                8..=9 => 2,
                10..=12 => 3,
                13..=14 => 4,
                15 => 5,
                18 => 6,
                _ => 7,
            };
            if menu & 1 << group != 0 {
                return kind;
            }
        }
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

impl Program {
    /// The program of this seed.
    pub(super) fn draw(seed: u64) -> Program {
        let mut draw = Draw(seed);
        let shape = shape(&mut draw);
        let mut program = Program {
            seed,
            nodes: shape.len(),
            shape,
            threads: Vec::new(),
            callbacks: 0,
        };
        // Half of the kinds of calls are left out, so that the others meet.
        let menu = draw.below(1 << 8);
        let clockmaker = draw.below(THREADS as u64 * 2) as usize;
        for index in 0..THREADS {
            let mut thread = program.thread(&mut draw, index, menu);
            if index == clockmaker {
                let at = draw.below(thread.calls.len() as u64 + 1) as usize;
                thread.calls.insert(at, Call::Advance(draw.of(&[4, 6])));
            }
            if index == 0 {
                // So that every wait ends.
                thread.calls.push(Call::Cancel(0));
            }
            program.threads.push(thread);
        }
        program
    }

    /// Whether it is shared, and has several parents.
    pub(super) fn is_link(&self, node: Node) -> bool {
        matches!(self.shape.get(node), Some((parents, _)) if parents.len() > 1)
    }

    fn thread(&mut self, draw: &mut Draw, index: usize, menu: u64) -> Thread {
        let mut held: Vec<Node> = (0..self.shape.len()).collect();
        let mut registered = Vec::new();
        let mut calls = Vec::new();
        for _ in 0..=draw.below(CALLS) {
            let node = draw.of(&held);
            let call = match draw.kind(menu) {
                0..=3 => {
                    held.push(self.nodes);
                    self.nodes += 1;
                    Call::Derive(node, self.nodes - 1)
                }
                4 => {
                    let other = draw.of(&held);
                    held.push(self.nodes);
                    self.nodes += 1;
                    Call::Link(node, other, self.nodes - 1)
                }
                5..=7 => Call::Cancel(node),
                8..=9 => Call::Ask(node),
                10..=12 => Call::AskWhy(node),
                // The root is cancelled by the first thread, which may not wait.
                13..=14 if index != 0 => Call::Wait(node),
                // The first thread keeps all links that are shared.
                15 if node != 0 && (index != 0 || !self.is_link(node)) => {
                    held.retain(|&kept| kept != node);
                    Call::Drop(node)
                }
                16..=17 => {
                    registered.push(self.callbacks);
                    self.callbacks += 1;
                    Call::Register(node, self.callbacks - 1)
                }
                18 => Call::SetDeadline(node, draw.of(&[3, 5, 8])),
                _ => match registered.pop() {
                    Some(callback) => Call::Stop(callback),
                    None => Call::Ask(node),
                },
            };
            calls.push(call);
        }
        let keeps = draw.one_in(2);
        Thread { calls, keeps }
    }
}

fn shape(draw: &mut Draw) -> Shape {
    let mut shape: Shape = vec![(Vec::new(), None)];
    for node in 1..=2 + draw.below(SHARED - 2) {
        let mut parents = vec![draw.below(node) as usize];
        if draw.one_in(5) {
            let other = draw.below(node) as usize;
            if !parents.contains(&other) {
                parents.push(other);
            }
        }
        let deadline = draw.one_in(5).then(|| draw.of(&[4, 5]));
        // Either of the two: a link has no deadline.
        let deadline = deadline.filter(|_| parents.len() == 1);
        shape.push((parents, deadline));
    }
    shape
}

impl Program {
    /// Whether it has several parents, or something above it has.
    pub(super) fn is_below_link(&self, node: Node) -> bool {
        if let Some((parents, _)) = self.shape.get(node) {
            return parents.len() > 1 || parents.iter().any(|&at| self.is_below_link(at));
        }
        let mut calls = self.threads.iter().flat_map(|thread| &thread.calls);
        calls.any(|&call| match call {
            Call::Derive(parent, child) => child == node && self.is_below_link(parent),
            Call::Link(_, _, child) => child == node,
            _ => false,
        })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "program {}", self.seed)?;
        for (node, (parents, deadline)) in self.shape.iter().enumerate() {
            write!(f, "  context {node} below {parents:?}")?;
            match deadline {
                Some(at) => writeln!(f, ", deadline {at}")?,
                None => writeln!(f)?,
            }
        }
        for (index, thread) in self.threads.iter().enumerate() {
            let keeps = if thread.keeps { ", keeps" } else { "" };
            writeln!(f, "  thread {index}{keeps}: {:?}", thread.calls)?;
        }
        Ok(())
    }
}
