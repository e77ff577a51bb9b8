//! Layers of every kind in every order.
//!
//! What goes wrong in other libraries goes wrong where kinds of layers meet. So
//! every chain of four layers of nine kinds is built, cancelled at every place
//! where it can be, and compared with what a list of layers says.

use super::foreign::Token;
use super::tools::{HOUR, TICK, Wakes, on_clock, peek, poll};
use crate::time::ManualClock;
use crate::{CancelHandle, Context, Id, Key};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static DEPTH: Key<usize> = Key::new("depth");

/// Keyed by type.
#[derive(Debug, PartialEq)]
struct Typed(usize);

#[derive(Clone, Copy, PartialEq, Debug)]
enum Layer {
    Cancel,
    Type,
    Key,
    Both,
    Shield,
    Link,
    Source,
    Deadline,
    Clock,
}
use Layer::{Both, Cancel, Clock, Deadline, Link, Shield, Source, Type};

const KINDS: [Layer; 9] = [
    Cancel,
    Type,
    Layer::Key,
    Both,
    Shield,
    Link,
    Source,
    Deadline,
    Clock,
];

/// What else a layer is cancelled by.
enum Other {
    Linked(CancelHandle),
    Foreign(Token),
}

/// One layer of a chain.
struct Node {
    ctx: Context,
    handle: Option<CancelHandle>,
    other: Option<Other>,
}

impl Layer {
    fn derive(self, from: &Context, depth: usize, clock: &ManualClock) -> Node {
        let mut other = None;
        let (ctx, handle) = match self {
            Cancel => from.with_cancel(),
            Deadline => from.with_timeout_cause(HOUR, "time"),
            Both => {
                let derive = from.derive().name("both").value(Typed(depth));
                derive.key(&DEPTH, depth).build()
            }
            Link => {
                let (ctx, handle) = Context::todo().with_value(Typed(99)).with_cancel();
                let link = from.link([&ctx]);
                other = Some(Other::Linked(handle));
                link
            }
            Source => {
                let token = Token::default();
                other = Some(Other::Foreign(token.clone()));
                from.from_source(token)
            }
            Type | Layer::Key | Shield | Clock => {
                let ctx = match self {
                    Clock => from.with_clock(clock),
                    Type => from.with_value(Typed(depth)),
                    Shield => from.without_cancel(),
                    _ => from.with_key(&DEPTH, depth),
                };
                return Node {
                    ctx,
                    handle: None,
                    other,
                };
            }
        };
        Node {
            ctx,
            handle: Some(handle),
            other,
        }
    }

    fn has_handle(self) -> bool {
        matches!(self, Cancel | Both | Link | Source | Deadline)
    }

    fn part(self) -> &'static str {
        match self {
            Cancel => ".with_cancel",
            Type => concat!(".with_value(", module_path!(), "::Typed)"),
            Layer::Key => ".with_key(depth)",
            Both => ".both",
            Shield => ".without_cancel",
            Link => ".link(1)",
            Deadline => ".with_deadline(3600.0s)",
            Clock => ".with_clock",
            Source => ".from_source(ctxtree::tests::foreign::Token)",
        }
    }
}

/// Where a chain is cancelled.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Above,
    Own(usize),
    Other(usize),
}

impl Cut {
    /// The layer that is cancelled; `None`: above all.
    fn depth(self) -> Option<usize> {
        match self {
            Cut::Above => None,
            Cut::Own(depth) | Cut::Other(depth) => Some(depth),
        }
    }
}

/// A chain of layers below a context that can be cancelled.
struct Chain {
    layers: Vec<Layer>,
    nodes: Vec<Node>,
}

/// What a chain hangs below, and its clock.
fn top() -> (ManualClock, Context, CancelHandle) {
    let (clock, root) = on_clock();
    let (top, handle) = root.with_cancel();
    (clock, top, handle)
}

impl Chain {
    fn new(top: &Context, layers: &[Layer], clock: &ManualClock) -> Chain {
        let mut nodes = Vec::new();
        let mut at = top.clone();
        for (depth, layer) in layers.iter().enumerate() {
            let node = layer.derive(&at, depth, clock);
            at = node.ctx.clone();
            nodes.push(node);
        }
        Chain {
            layers: layers.to_vec(),
            nodes,
        }
    }

    /// Cancels; the origin to be told.
    fn cancel(&self, cut: Cut, top: &CancelHandle) -> Id {
        let handle = match cut {
            Cut::Above => top,
            Cut::Own(depth) => self.nodes[depth].handle.as_ref().unwrap(),
            Cut::Other(depth) => match self.nodes[depth].other.as_ref().unwrap() {
                Other::Linked(handle) => handle,
                Other::Foreign(token) => {
                    token.cancel(Some("cut".into()));
                    return self.nodes[depth].ctx.id();
                }
            },
        };
        assert!(handle.cancel_with("cut"));
        handle.context().id()
    }

    /// The nearest of `kinds` at or above `depth`.
    fn nearest(&self, depth: usize, kinds: &[Layer]) -> Option<usize> {
        (0..=depth).rev().find(|&i| kinds.contains(&self.layers[i]))
    }

    /// Whether a cancel at `from` (`None`: above all) reaches `depth`.
    fn reaches(&self, from: Option<usize>, depth: usize) -> bool {
        let below = from.map_or(0, |from| from + 1);
        from.is_none_or(|from| from <= depth) && (below..=depth).all(|i| self.layers[i] != Shield)
    }

    /// Whether the deadline of a layer is told at `depth`.
    fn has_deadline(&self, depth: usize) -> bool {
        let from = self.nearest(depth, &[Deadline]);
        from.is_some_and(|from| {
            let end = self.nearest(depth, &[Shield, Clock]);
            end.is_none_or(|end| end < from)
        })
    }

    fn check_what_never_changes(&self, clock: &ManualClock) {
        let at = clock.now() + HOUR;
        let mut path = String::from("background.with_clock.with_cancel");
        for (depth, node) in self.nodes.iter().enumerate() {
            let ctx = &node.ctx;
            let typed = self.nearest(depth, &[Type, Both]);
            let keyed = self.nearest(depth, &[Layer::Key, Both]);
            assert_eq!(ctx.value::<Typed>().map(|typed| typed.0), typed);
            assert_eq!(ctx.get(&DEPTH).copied(), keyed);
            path.push_str(self.layers[depth].part());
            assert_eq!(ctx.to_string(), path);
            assert_eq!(ctx.deadline(), self.has_deadline(depth).then_some(at));
            let named = self.layers[depth] == Both;
            assert_eq!(ctx.name(), named.then_some("both"));
            let with_handle = self.layers[depth].has_handle();
            let cancelable = with_handle || self.reaches(None, depth);
            let above = self.nearest(depth, &[Cancel, Both, Link, Source, Deadline]);
            let cancelable = cancelable || above.is_some_and(|i| self.reaches(Some(i), depth));
            assert_eq!(ctx.is_cancelable(), cancelable, "{:?}", self.layers);
        }
    }
}

fn chains() -> impl Iterator<Item = Vec<Layer>> {
    let kinds = KINDS.len();
    (0..kinds.pow(4)).map(move |n| {
        let digits = [n, n / kinds, n / kinds.pow(2), n / kinds.pow(3)];
        digits.map(|digit| KINDS[digit % kinds]).to_vec()
    })
}

// D1, D2, D3, D5, D10, D12, G117, G139, C1, C2, C10, C13, G23, G25, G64, G101, G118: values, names
// and paths are read through every layer, before and after; a cancel goes
// through all layers but a shield, wakes and calls whoever waits below, and
// nobody else.
#[test]
fn layers_in_every_order_hide_nothing_from_each_other() {
    for layers in chains() {
        let mut cuts = vec![Cut::Above];
        for (depth, layer) in layers.iter().enumerate() {
            if layer.has_handle() {
                cuts.push(Cut::Own(depth));
            }
            if matches!(layer, Link | Source) {
                cuts.push(Cut::Other(depth));
            }
        }
        for cut in cuts {
            let (clock, top, handle) = top();
            let chain = Chain::new(&top, &layers, &clock);
            let calls = Arc::new([const { AtomicUsize::new(0) }; 4]);
            let mut waits: Vec<_> = (chain.nodes.iter().enumerate())
                .map(|(depth, node)| {
                    let ctx = &node.ctx;
                    let calls = calls.clone();
                    ctx.after_cancel(move |_| {
                        calls[depth].fetch_add(1, Relaxed);
                    })
                    .detach();
                    let (wakes, waker) = Wakes::new();
                    let mut wait = ctx.cancelled();
                    assert!(poll(&mut wait, &waker).is_pending());
                    (wakes, wait)
                })
                .collect();
            chain.check_what_never_changes(&clock);
            let origin = chain.cancel(cut, &handle);
            assert_eq!(top.is_cancelled(), cut.depth().is_none());
            for (depth, node) in chain.nodes.iter().enumerate() {
                let ctx = &node.ctx;
                let (wakes, wait) = &mut waits[depth];
                let done = chain.reaches(cut.depth(), depth);
                assert_eq!(ctx.is_cancelled(), done, "{layers:?} {cut:?}");
                assert_eq!(wakes.count(), usize::from(done));
                assert_eq!(calls[depth].load(Relaxed), usize::from(done));
                assert_eq!(peek(wait).is_ready(), done);
                assert_eq!(ctx.check().is_err(), done);
                if let Some(error) = ctx.error() {
                    assert_eq!(error.origin(), origin);
                    assert_eq!(error.cause().unwrap().to_string(), "cut");
                }
                // What is derived now is as its parent is.
                let late = ctx.with_value(Typed(9)).with_cancel().0;
                assert_eq!(late.is_cancelled(), done);
                assert_eq!(late.value::<Typed>(), Some(&Typed(9)));
            }
            chain.check_what_never_changes(&clock);
        }
    }
}

// V9, V20, P46: the handles of a chain of layers go from either end: whoever
// is left still reads and hears what it could.
#[test]
fn layers_in_every_order_outlive_their_handles() {
    for layers in chains() {
        for leaf_first in [false, true] {
            let (clock, top, handle) = top();
            let mut chain = Chain::new(&top, &layers, &clock);
            let leaf = chain.nodes.last().unwrap().ctx.clone();
            if leaf_first {
                while chain.nodes.pop().is_some() {}
            } else {
                for node in chain.nodes.drain(..) {
                    drop(node);
                }
            }
            assert_eq!(top.live_children(), 1);
            assert_eq!(
                leaf.value::<Typed>().map(|typed| typed.0),
                chain.nearest(3, &[Type, Both])
            );
            assert_eq!(
                leaf.get(&DEPTH).copied(),
                chain.nearest(3, &[Layer::Key, Both])
            );
            handle.cancel();
            assert_eq!(leaf.is_cancelled(), chain.reaches(None, 3), "{layers:?}");
            drop(leaf);
            assert_eq!(top.live_children(), 0);
        }
    }
}

// D3, V4, V18, G40, G49: time goes through all layers but a shield: all deadlines of
// a chain are over at one instant, and whoever is done tells the topmost of those
// that reach it.
#[test]
fn time_passes_through_layers_in_every_order() {
    for layers in chains().filter(|layers| layers.contains(&Deadline)) {
        let (clock, top, handle) = top();
        let chain = Chain::new(&top, &layers, &clock);
        clock.advance(HOUR - TICK);
        assert!(chain.nodes.iter().all(|node| !node.ctx.is_cancelled()));
        clock.advance(TICK);
        for (depth, node) in chain.nodes.iter().enumerate() {
            let first =
                (0..=depth).find(|&i| layers[i] == Deadline && chain.reaches(Some(i), depth));
            let told = node.ctx.error();
            assert_eq!(told.is_some(), first.is_some(), "{layers:?}");
            if let (Some(error), Some(first)) = (told, first) {
                assert!(error.is_timeout() && error.location().is_none());
                assert_eq!(error.origin(), chain.nodes[first].ctx.id(), "{layers:?}");
                assert_eq!(error.cause().unwrap().to_string(), "time");
            }
        }
        assert_eq!(clock.outstanding(), 0);
        assert!(!top.is_cancelled() && handle.cancel());
    }
}
