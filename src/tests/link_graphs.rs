//! Graphs of many links: at random, wide, through shields, and made from
//! iterators that do as they like.

use super::tools::{Random, Wakes, in_time, message, on_small_stack, poll};
use crate::{CancelHandle, CancelledOwned, Context, Id};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

type Pair = (Context, CancelHandle);

fn root() -> Pair {
    Context::background().with_cancel()
}

/// A node of a random graph, and what must be true of it.
struct Node {
    /// What it can be cancelled by.
    above: Vec<usize>,
    held: Option<Pair>,
    wait: Option<(Arc<Wakes>, CancelledOwned)>,
    id: Id,
    /// Where the cancel began that ended it.
    done: Option<Id>,
}

#[derive(Default)]
struct Graph(Vec<Node>);

impl Graph {
    fn held(&self, random: &mut Random) -> Option<usize> {
        let held: Vec<_> = (0..self.0.len())
            .filter(|&i| self.0[i].held.is_some())
            .collect();
        (!held.is_empty()).then(|| held[random.below(held.len())])
    }

    fn context(&self, at: usize) -> Context {
        self.0[at].held.as_ref().unwrap().0.clone()
    }

    /// A child of one, linked to up to three more, sometimes behind a shield.
    fn derive(&mut self, random: &mut Random) {
        let Some(parent) = self.held(random) else {
            return;
        };
        let shielded = random.below(5) == 0;
        let others: Vec<_> = (0..random.below(4))
            .filter_map(|_| self.held(random))
            .collect();
        let at = self.context(parent);
        let mut derive = at.derive();
        if shielded {
            derive = derive.shield();
        }
        let contexts: Vec<_> = others.iter().map(|&at| self.context(at)).collect();
        for other in &contexts {
            derive = derive.link(other);
        }
        let pair = derive.build();
        let mut above = others;
        if !shielded {
            above.push(parent);
        }
        let origins: HashSet<Id> = above.iter().filter_map(|&at| self.0[at].done).collect();
        let done = pair.0.error().map(|error| error.origin());
        match done {
            Some(origin) => assert!(origins.contains(&origin)),
            None => assert!(origins.is_empty()),
        }
        let (wakes, waker) = Wakes::new();
        let mut wait = pair.0.clone().cancelled_owned();
        assert_eq!(poll(&mut wait, &waker).is_ready(), done.is_some());
        let wait = (random.below(2) == 0).then_some((wakes, wait));
        let id = pair.0.id();
        self.0.push(Node {
            above,
            held: Some(pair),
            wait,
            id,
            done,
        });
    }

    fn cancel(&mut self, random: &mut Random) {
        let Some(at) = self.held(random) else {
            return;
        };
        let id = self.0[at].id;
        let won = self.0[at].held.as_ref().unwrap().1.cancel();
        assert_eq!(won, self.0[at].done.is_none());
        if won {
            self.0[at].done = Some(id);
            // Whatever is linked is younger than what it is linked to.
            for below in at + 1..self.0.len() {
                let reached = (self.0[below].above.iter()).any(|&at| self.0[at].done == Some(id));
                if reached && self.0[below].done.is_none() {
                    self.0[below].done = Some(id);
                }
            }
        }
    }

    fn check(&self) {
        for node in &self.0 {
            if let Some((ctx, _)) = &node.held {
                assert_eq!(ctx.error().map(|error| error.origin()), node.done);
            }
            if let Some((wakes, wait)) = &node.wait {
                // Those born done were never registered.
                let woken = wakes.count() == 1;
                assert!(!woken || node.done.is_some(), "{wait:?}");
                assert!(wakes.count() <= 1);
            }
        }
    }
}

// V3, V6, V7, V9, V21, G117, P16: exactly what can be reached, by descent or by
// links, through nodes whose handles are gone, is done, by who was first.
#[test]
fn random_graphs_of_links_are_cancelled_where_they_should_be() {
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let mut graph = Graph::default();
        for _ in 0..80 {
            match random.below(10) {
                0 | 1 if graph.0.len() < 10 || random.below(4) == 0 => {
                    let held = root();
                    let id = held.0.id();
                    graph.0.push(Node {
                        above: Vec::new(),
                        held: Some(held),
                        wait: None,
                        id,
                        done: None,
                    });
                }
                0..6 => graph.derive(&mut random),
                6 => graph.cancel(&mut random),
                _ => {
                    // The handles go; a wait may hold the node all the same.
                    if let Some(at) = graph.held(&mut random) {
                        graph.0[at].held = None;
                        if random.below(2) == 0 {
                            graph.0[at].wait = None;
                        }
                    }
                }
            }
            graph.check();
        }
        for node in &graph.0 {
            if let Some((wakes, wait)) = &node.wait {
                let born_done = wakes.count() == 0 && node.done.is_some();
                assert!(
                    wakes.count() == usize::from(node.done.is_some()) || born_done,
                    "{wait:?}"
                );
            }
        }
    }
}

// V8, V21, I5: very many links to one context: all are done with it, once.
#[test]
fn a_hundred_thousand_links_to_one_context_are_cancelled() {
    on_small_stack(|| {
        for by_parent in [false, true] {
            let (parent, cancel_parent) = root();
            let (other, cancel_other) = root();
            let links: Vec<Context> = (0..100_000).map(|_| parent.link([&other]).0).collect();
            let (wakes, waker) = Wakes::new();
            let mut waits: Vec<_> = links.iter().map(Context::cancelled).collect();
            for wait in &mut waits {
                assert!(poll(wait, &waker).is_pending());
            }
            let handle = if by_parent {
                cancel_parent
            } else {
                cancel_other
            };
            assert!(handle.cancel_with("one"));
            assert_eq!(wakes.count(), links.len());
            for ctx in &links {
                assert_eq!(ctx.error().unwrap().origin(), handle.context().id());
            }
            assert_eq!(parent.is_cancelled(), by_parent);
            assert_eq!(other.is_cancelled(), !by_parent);
        }
    });
}

// V8, V21: one context with very many parents.
#[test]
fn a_context_may_have_a_thousand_parents() {
    for first in [0, 500, 999] {
        let mut parents: Vec<Pair> = (0..1_000).map(|_| root()).collect();
        let contexts: Vec<Context> = parents.iter().map(|(ctx, _)| ctx.clone()).collect();
        let (merged, own) = Context::background().link(contexts.iter().chain(&contexts));
        assert!(parents[first].1.cancel());
        assert_eq!(merged.error().unwrap().origin(), contexts[first].id());
        drop(contexts);
        parents.truncate(10);
        drop(merged);
        assert!(parents[3].1.cancel() != (first == 3) && !own.cancel());
    }
}

// V21: a link to a descendant, to a sibling's child, and to what a shield is
// over: only along links and descent, and never up.
#[test]
fn links_go_sideways_and_through_shields() {
    let (top, stop) = root();
    let (child, cancel_child) = top.with_cancel();
    let (to_below, _) = top.link([&child]);
    let shield = top.without_cancel();
    let (through, _) = shield.link([&top]);
    let (beside, _) = shield.link([&child]);
    let (alone, _) = shield.with_cancel();
    let (around, _) = top.derive().shield().link(&top).build();
    cancel_child.cancel_with("child");
    assert!(to_below.is_cancelled() && beside.is_cancelled());
    assert!(!top.is_cancelled() && !through.is_cancelled());
    stop.cancel_with("top");
    assert!(through.is_cancelled() && around.is_cancelled());
    assert!(!alone.is_cancelled() && !shield.is_cancelled());
    assert_eq!(beside.cause().unwrap().to_string(), "child");
}

// V14, V15: the iterator of the others is the user's code: it may use the tree,
// cancel the very contexts, drop handles, and panic half-way.
#[test]
fn the_iterator_of_a_link_may_do_anything() {
    in_time(|| {
        let (a, cancel_a) = root();
        let (b, _keep) = root();
        let (c, cancel_c) = root();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            a.link([&b, &c].into_iter().inspect(|ctx| {
                assert!(**ctx != c, "half-way");
            }))
        }));
        let panic = panic.map(drop).unwrap_err();
        assert!(message(&*panic).starts_with("half-way"));
        assert_eq!(a.live_children(), 0);
        assert!(!b.with_cancel().0.is_cancelled());

        let inside = [&b, &c].into_iter().inspect(|_| {
            let (child, _) = a.link([&b, &c]);
            drop(child.with_cancel());
            cancel_c.cancel_with("from the iterator");
        });
        let (merged, _) = a.link(inside);
        assert_eq!(merged.cause().unwrap().to_string(), "from the iterator");
        let (merged, _) = b.link([&a].into_iter().inspect(|_| {
            cancel_a.cancel_with("a");
        }));
        assert_eq!(merged.cause().unwrap().to_string(), "a");
        drop(merged);
        assert_eq!((a.live_children(), b.live_children()), (0, 0));
    });
}
