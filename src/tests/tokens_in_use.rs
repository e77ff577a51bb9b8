//! Trees of tokens and contexts at random, on threads, and by the thousand.

use super::tokens::{of, root};
use super::tools::{Body, Random, at_once, in_time};
#[cfg(feature = "internal-model")]
use super::tools::{alone, assert_nothing_left};
#[cfg(feature = "internal-model")]
use crate::model;
use crate::{CancelHandle, CancelSource, Context, ContextToken};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio_util::sync::CancellationToken;

/// One of a mixed tree.
enum Member {
    Context(Context, CancelHandle),
    Token(CancellationToken),
    /// A token with the bridge that leads to it.
    Bridge(ContextToken),
}

/// A member, and what the reference says of it.
struct Entry {
    member: Member,
    /// Whose cancels reach it.
    parents: Vec<usize>,
    done: bool,
}

impl Entry {
    fn is_done(&self) -> bool {
        match &self.member {
            Member::Context(ctx, _) => ctx.is_cancelled(),
            Member::Token(token) => token.is_cancelled(),
            Member::Bridge(bridge) => bridge.token().is_cancelled(),
        }
    }

    fn token(&self) -> Option<&CancellationToken> {
        match &self.member {
            Member::Context(..) => None,
            Member::Token(token) => Some(token),
            Member::Bridge(bridge) => Some(bridge.token()),
        }
    }
}

#[derive(Default)]
struct Forest(Vec<Entry>);

impl Forest {
    fn add(&mut self, member: Member, parents: Vec<usize>) {
        let done = parents.iter().any(|&at| self.0[at].done);
        self.0.push(Entry {
            member,
            parents,
            done,
        });
    }

    /// Derives something of what is there.
    fn derive(&mut self, random: &mut Random) {
        if self.0.is_empty() || random.below(8) == 0 {
            let (ctx, handle) = root();
            return self.add(Member::Context(ctx, handle), vec![]);
        }
        let at = random.below(self.0.len());
        let other = random.below(self.0.len());
        let (member, parents) = match &self.0[at].member {
            Member::Context(ctx, _) => match self.0[other].token() {
                Some(token) if random.below(2) == 0 => {
                    let (ctx, handle) = ctx.from_source(token.clone());
                    (Member::Context(ctx, handle), vec![at, other])
                }
                _ => match random.below(3) {
                    0 => {
                        let (ctx, handle) = ctx.with_cancel();
                        (Member::Context(ctx, handle), vec![at])
                    }
                    1 => (Member::Bridge(ctx.cancellation_token()), vec![at]),
                    _ => {
                        let token = ctx.cancellation_token().into_token();
                        (Member::Token(token), vec![at])
                    }
                },
            },
            _ => {
                let token = self.0[at].token().unwrap();
                if random.below(2) == 0 {
                    let (ctx, handle) = of(token);
                    (Member::Context(ctx, handle), vec![at])
                } else {
                    (Member::Token(token.child_token()), vec![at])
                }
            }
        };
        self.add(member, parents);
    }

    /// Cancels one. What is below stands behind it.
    fn cancel(&mut self, at: usize) {
        match &self.0[at].member {
            Member::Context(_, handle) => assert_eq!(handle.cancel(), !self.0[at].done),
            _ => self.0[at].token().unwrap().cancel(),
        }
        self.0[at].done = true;
        for below in at + 1..self.0.len() {
            let entry = &self.0[below];
            self.0[below].done |= entry.parents.iter().any(|&at| self.0[at].done);
        }
    }

    /// Ends one bridge: the token stays, and no cancel comes down to it.
    fn cut(&mut self, at: usize) {
        let entry = &mut self.0[at];
        if let Member::Bridge(bridge) = &entry.member {
            let token = bridge.token().clone();
            entry.member = Member::Token(token);
            entry.parents.clear();
        }
    }

    fn check(&self, what: &str) {
        for (at, entry) in self.0.iter().enumerate() {
            assert_eq!(entry.is_done(), entry.done, "{at} after {what}");
        }
    }
}

// V3, V5, V7, V21: after each step exactly those are done that should be.
#[test]
fn random_trees_of_tokens_and_contexts_do_what_a_list_of_them_does() {
    in_time(|| {
        for seed in 0..300 {
            let mut random = Random::new(seed);
            let mut forest = Forest::default();
            for _ in 0..60 {
                match random.below(12) {
                    0 if !forest.0.is_empty() => {
                        let at = random.below(forest.0.len());
                        forest.cancel(at);
                        forest.check(&format!("a cancel of {at}, {seed}"));
                    }
                    1 if !forest.0.is_empty() => {
                        let at = random.below(forest.0.len());
                        forest.cut(at);
                        forest.check(&format!("a cut at {at}, {seed}"));
                    }
                    _ => {
                        forest.derive(&mut random);
                        forest.check(&format!("a derive, {seed}"));
                    }
                }
            }
            // Dropped in any order, they cancel nothing.
            while !forest.0.is_empty() {
                forest.0.swap_remove(random.below(forest.0.len()));
                forest.check(&format!("a drop, {seed}"));
            }
        }
    });
}

// V3, V21, P41: whoever sees the token's cancel return sees the context done, be it
// derived before, meanwhile or after.
#[test]
fn contexts_derived_during_the_cancel_of_their_token_are_done() {
    in_time(|| {
        for round in 0..2_000 {
            let top = CancellationToken::new();
            let token = if round % 2 == 0 {
                top.clone()
            } else {
                top.child_token()
            };
            let first = of(&token);
            let cancel: Body<Vec<Context>> = Box::new(move || {
                top.cancel();
                vec![]
            });
            let derive: Body<Vec<Context>> =
                Box::new(move || (0..3).map(|_| of(&token).0).collect());
            let made = at_once(vec![cancel, derive]);
            assert!(first.0.is_cancelled());
            assert!(made.iter().flatten().all(Context::is_cancelled), "{round}");
        }
    });
}

// V13, P38, P39: it runs once, or was dropped unrun with what `on_cancel` returned.
#[test]
fn a_token_cancelled_while_its_callback_is_taken_back_calls_it_once_at_most() {
    in_time(|| {
        for _ in 0..2_000 {
            let token = CancellationToken::new();
            let runs = Arc::new(AtomicUsize::new(0));
            let bodies = (0..2).map(|i| -> Body {
                let (token, runs) = (token.clone(), runs.clone());
                Box::new(move || {
                    let count = runs.clone();
                    let registration = token.on_cancel(Box::new(move || {
                        count.fetch_add(1, SeqCst);
                    }));
                    if i == 0 {
                        token.cancel();
                        assert!(runs.load(SeqCst) >= 1, "it has run when cancel returns");
                    }
                    drop(registration);
                })
            });
            at_once(bodies.collect());
            assert!((1..=2).contains(&runs.load(SeqCst)));
            assert_eq!(Arc::strong_count(&runs), 1);
        }
    });
}

// V9, V10, P46: either side is cancelled and dropped on threads, and nothing is left.
#[cfg(feature = "internal-model")]
#[test]
fn races_of_bridges_leave_nothing_behind() {
    alone(
        "tests::tokens_in_use::races_of_bridges_leave_nothing_behind",
        || {
            let held = Arc::new(());
            for round in 0..1_000 {
                let token = CancellationToken::new();
                let (top, stop) = root();
                let (ctx, handle) = top.from_source(token.child_token());
                let (below, _) = ctx.with_cancel();
                let owned = held.clone();
                ctx.after_cancel(move |_| drop(owned)).detach();
                let (bridge, back) = (below.cancellation_token(), ctx.cancellation_token());
                let onward = of(bridge.token());
                let into = top.cancellation_token().into_token();
                let bodies: Vec<Body> = vec![
                    Box::new(move || {
                        if round % 2 == 0 {
                            token.cancel();
                        }
                        drop(token);
                    }),
                    Box::new(move || {
                        if round % 3 == 0 {
                            handle.cancel();
                        }
                        drop((ctx, handle, back));
                    }),
                    Box::new(move || drop((bridge, below))),
                    Box::new(move || {
                        if round % 5 == 0 {
                            stop.cancel();
                            assert!(into.is_cancelled());
                        }
                        drop((top, stop, onward, into));
                    }),
                ];
                at_once(bodies);
                assert_eq!(Arc::strong_count(&held), 1);
                if round % 100 == 0 {
                    assert_nothing_left();
                }
            }
            assert_nothing_left();
        },
    );
}

// V10, G16, P47: on a context and on a token that live long.
#[cfg(feature = "internal-model")]
#[test]
fn bridges_that_come_and_go_leave_the_heap_flat() {
    alone(
        "tests::tokens_in_use::bridges_that_come_and_go_leave_the_heap_flat",
        || {
            let token = CancellationToken::new();
            let (ctx, handle) = root();
            let mut most = 0;
            for i in 0..50_000 {
                let bridge = ctx.cancellation_token();
                let (child, cancel_child) = ctx.from_source(token.clone());
                let request = child.cancellation_token().into_token();
                if i % 3 == 0 {
                    cancel_child.cancel();
                    assert!(request.is_cancelled());
                }
                drop((bridge, child, cancel_child));
                most = most.max(model::live_objects());
            }
            assert!(most < 1_000, "{most}");
            assert_eq!(ctx.tree().nodes().next().unwrap().callbacks(), 0);
            drop((ctx, handle));
            assert_nothing_left();
        },
    );
}
