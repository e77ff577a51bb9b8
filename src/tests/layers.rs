//! Layers of every kind in every order.
//!
//! What goes wrong in other libraries goes wrong where kinds of layers meet. So
//! every chain of four layers of six kinds is built, cancelled at every place
//! where it can be, and compared with what a list of layers says.

use super::tools::{Wakes, peek, poll};
use crate::{CancelHandle, Context, Key};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static DEPTH: Key<usize> = Key::new("depth");

/// Keyed by type.
#[derive(Debug, PartialEq)]
struct Typed(usize);

#[derive(Clone, Copy, PartialEq, Debug)]
enum Layer {
    Cancel,
    Named,
    Type,
    Key,
    Both,
    Shield,
}
use Layer::{Both, Cancel, Named, Shield, Type};

const KINDS: [Layer; 6] = [Cancel, Named, Type, Layer::Key, Both, Shield];

impl Layer {
    fn derive(self, from: &Context, depth: usize) -> (Context, Option<CancelHandle>) {
        let pair = |(ctx, handle)| (ctx, Some(handle));
        match self {
            Cancel => pair(from.with_cancel()),
            Named => pair(from.derive().name("named").build()),
            Type => (from.with_value(Typed(depth)), None),
            Layer::Key => (from.with_key(&DEPTH, depth), None),
            Both => pair(from.derive().value(Typed(depth)).key(&DEPTH, depth).build()),
            Shield => (from.without_cancel(), None),
        }
    }

    fn has_handle(self) -> bool {
        matches!(self, Cancel | Named | Both)
    }

    fn part(self) -> &'static str {
        match self {
            Cancel => ".with_cancel",
            Named => ".named",
            Type => concat!(".with_value(", module_path!(), "::Typed)"),
            Layer::Key => ".with_key(depth)",
            Both => ".derive",
            Shield => ".without_cancel",
        }
    }
}

/// A chain of layers below a context that can be cancelled.
struct Chain {
    layers: Vec<Layer>,
    nodes: Vec<(Context, Option<CancelHandle>)>,
}

impl Chain {
    fn new(top: &Context, layers: &[Layer]) -> Chain {
        let mut nodes = Vec::new();
        let mut at = top.clone();
        for (depth, layer) in layers.iter().enumerate() {
            let node = layer.derive(&at, depth);
            at = node.0.clone();
            nodes.push(node);
        }
        Chain {
            layers: layers.to_vec(),
            nodes,
        }
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

    fn check_what_never_changes(&self) {
        let mut path = String::from("background.with_cancel");
        for (depth, (ctx, _)) in self.nodes.iter().enumerate() {
            let typed = self.nearest(depth, &[Type, Both]);
            let keyed = self.nearest(depth, &[Layer::Key, Both]);
            assert_eq!(ctx.value::<Typed>().map(|typed| typed.0), typed);
            assert_eq!(ctx.get(&DEPTH).copied(), keyed);
            path.push_str(self.layers[depth].part());
            assert_eq!(ctx.to_string(), path);
            let named = self.layers[depth] == Named;
            assert_eq!(ctx.name(), named.then_some("named"));
            let with_handle = self.layers[depth].has_handle();
            let cancelable = with_handle || self.reaches(None, depth);
            let above = self.nearest(depth, &[Cancel, Named, Both]);
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

// D1, D2, D5, D12, C1, C2, C10, C13, G23, G25, G64, G101, G118: values, names
// and paths are read through every layer, before and after; a cancel goes
// through all layers but a shield, wakes and calls whoever waits below, and
// nobody else.
#[test]
fn layers_in_every_order_hide_nothing_from_each_other() {
    for layers in chains() {
        let cuts = (0..layers.len()).filter(|&i| layers[i].has_handle());
        for cut in std::iter::once(None).chain(cuts.map(Some)) {
            let (top, handle) = Context::background().with_cancel();
            let chain = Chain::new(&top, &layers);
            let calls = Arc::new([const { AtomicUsize::new(0) }; 4]);
            let mut waits: Vec<_> = (chain.nodes.iter().enumerate())
                .map(|(depth, (ctx, _))| {
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
            chain.check_what_never_changes();
            let handle = match cut {
                None => &handle,
                Some(cut) => chain.nodes[cut].1.as_ref().unwrap(),
            };
            assert!(handle.cancel_with("cut"));
            assert_eq!(top.is_cancelled(), cut.is_none());
            for (depth, (ctx, _)) in chain.nodes.iter().enumerate() {
                let (wakes, wait) = &mut waits[depth];
                let done = chain.reaches(cut, depth);
                assert_eq!(ctx.is_cancelled(), done, "{layers:?} cut {cut:?}");
                assert_eq!(wakes.count(), usize::from(done));
                assert_eq!(calls[depth].load(Relaxed), usize::from(done));
                assert_eq!(peek(wait).is_ready(), done);
                assert_eq!(ctx.check().is_err(), done);
                if let Some(error) = ctx.error() {
                    assert_eq!(error.origin(), handle.context().id());
                    assert_eq!(error.cause().unwrap().to_string(), "cut");
                }
                // What is derived now is as its parent is.
                let late = ctx.with_value(Typed(9)).with_cancel().0;
                assert_eq!(late.is_cancelled(), done);
                assert_eq!(late.value::<Typed>(), Some(&Typed(9)));
            }
            chain.check_what_never_changes();
        }
    }
}

// V9, V20, P46: the handles of a chain of layers go from either end: whoever
// is left still reads and hears what it could.
#[test]
fn layers_in_every_order_outlive_their_handles() {
    for layers in chains() {
        for leaf_first in [false, true] {
            let (top, handle) = Context::background().with_cancel();
            let mut chain = Chain::new(&top, &layers);
            let (leaf, _) = chain.nodes.last().unwrap().clone();
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
