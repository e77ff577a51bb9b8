//! The live tree, looked at.

use super::tools::{DEPTH, Wakes, big, on_small_stack, poll, start};
use crate::tree::{Kind, Node, Snapshot, State};
use crate::{CancelHandle, CancelSource, Cause, Context, Id, Key, Reason, model};
use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write};
use std::panic::{RefUnwindSafe, UnwindSafe};

type Pair = (Context, CancelHandle);

const fn is_plain<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + Clone + 'static>() {}
const _: () = {
    is_plain::<Snapshot>();
    is_plain::<Node>();
    is_plain::<Kind>();
    is_plain::<State>();
};

pub(super) const CANCELLED: State = State::Done(Reason::Cancelled);

fn root() -> Pair {
    Context::background().with_cancel()
}

pub(super) fn named(parent: &Context, name: &'static str) -> Pair {
    parent.derive().name(name).build()
}

/// The text of the tree, ids written as their place in it.
fn text(ctx: &Context) -> String {
    let tree = ctx.tree();
    let mut text = tree.to_string();
    for (place, node) in tree.nodes().enumerate() {
        // Only whole ids.
        for end in ["\n", ","] {
            text = text.replace(&format!(" {}{end}", node.id()), &format!(" @{place}{end}"));
        }
    }
    text
}

fn find(tree: &Snapshot, ctx: &Context) -> Option<Node> {
    let id = ctx.id();
    let mut found = tree.nodes().filter(|node| node.id() == id);
    let node = found.next().cloned();
    assert!(found.next().is_none(), "shown twice");
    node
}

/// Whatever happens meanwhile: every node once, below its parent, in order; the
/// counts of children fit; done by inheritance means done above; an orphaned
/// one has something below.
pub(super) fn check(tree: &Snapshot) {
    let mut seen: HashMap<Id, &Node> = HashMap::new();
    let mut children: HashMap<Id, usize> = HashMap::new();
    let mut path: Vec<Id> = Vec::new();
    for node in tree.nodes() {
        assert!(seen.insert(node.id(), node).is_none(), "shown twice");
        path.truncate(node.depth());
        assert_eq!(path.len(), node.depth(), "no level is left out");
        assert_eq!(path.last().copied(), node.parent(), "below its parent");
        path.push(node.id());
        if let Some(parent) = node.parent() {
            *children.entry(parent).or_default() += 1;
        }
    }
    for node in tree.nodes() {
        let below = children.get(&node.id()).copied().unwrap_or(0);
        assert_eq!(node.children(), below);
        assert!(!node.is_orphaned() || below > 0 || node.links() > 0);
        assert_eq!(node.origin().is_some(), node.state() != State::Live);
        let own = node.origin() == Some(node.id()) || node.kind() == Kind::Link;
        if node.state() == State::Live || own {
            continue;
        }
        if let Some(parent) = node.parent() {
            let parent = seen[&parent];
            assert_ne!(parent.state(), State::Live, "V4");
            assert_eq!(parent.origin(), node.origin(), "V4");
        }
    }
}

// V23: names, kinds, ids, states, waiters; oldest first.
#[test]
fn the_tree_is_shown_as_it_is() {
    let (server, _stop) = named(&Context::background(), "server");
    let (first, cancel_first) = server.with_cancel();
    let (below, _) = first.derive().build();
    let shield = server.without_cancel();
    let (last, _) = named(&shield, "last");
    let mut waits: Vec<_> = (0..2).map(|_| last.cancelled()).collect();
    for wait in &mut waits {
        assert!(poll(wait, &Wakes::new().1).is_pending());
    }
    let mut one = server.cancelled();
    assert!(poll(&mut one, &Wakes::new().1).is_pending());
    cancel_first.cancel_with("a cause that is not shown");
    assert_eq!(
        text(&server),
        "server @0, 1 waiter\n\
         \x20 with_cancel @1, cancelled\n\
         \x20   derive @2, cancelled\n\
         \x20 without_cancel @3\n\
         \x20   last @4, 2 waiters\n"
    );
    drop((waits, one));
    let tree = server.tree();
    check(&tree);
    assert!(tree.nodes().all(|node| node.waiters() == 0));
    let kinds: Vec<Kind> = tree.nodes().map(Node::kind).collect();
    let (cancel, derived) = (Kind::Cancel, Kind::Derived);
    assert_eq!(kinds, [derived, cancel, derived, Kind::Shield, derived]);
    let seen = find(&tree, &below).unwrap();
    assert_eq!(seen.origin(), Some(first.id()));
    assert_eq!(seen.state(), CANCELLED);
    assert_eq!(find(&tree, &shield).unwrap().origin(), None);
    // The same from further down.
    assert_eq!(
        text(&first),
        "with_cancel @0, cancelled\n  derive @1, cancelled\n"
    );
    assert_eq!(
        below.tree().nodes().next().unwrap().origin(),
        Some(first.id())
    );
    assert_eq!(below.tree().nodes().next().unwrap().parent(), None);
}

// V21, V23: a link is shown once, below its own parent; the others count it, and
// live for it.
#[test]
fn a_link_is_shown_once_and_counted_by_its_other_parents() {
    let (top, _stop) = root();
    let (one, cancel_one) = named(&top, "one");
    let two = named(&top, "two").0.with_cancel().0;
    let (linked, _keep) = one.link([&two, &top]);
    let (below, _keep_below) = linked.with_cancel();
    drop(two);
    check(&top.tree());
    assert_eq!(
        text(&top),
        "with_cancel @0, 1 link\n\
         \x20 one @1\n\
         \x20   link(2) @2\n\
         \x20     with_cancel @3\n\
         \x20 two @4, orphaned\n\
         \x20   with_cancel @5, orphaned, 1 link\n"
    );
    let tree = top.tree();
    let kinds: Vec<Kind> = tree.nodes().map(Node::kind).collect();
    assert_eq!(
        (kinds[2], tree.nodes().map(Node::links).sum::<usize>()),
        (Kind::Link, 2)
    );
    // Done, it lets go of them.
    cancel_one.cancel();
    assert_eq!(
        text(&top),
        "with_cancel @0\n\
         \x20 one @1, cancelled\n\
         \x20   link(2) @2, cancelled\n\
         \x20     with_cancel @3, cancelled\n"
    );
    assert_eq!(find(&top.tree(), &below).unwrap().origin(), Some(one.id()));
    drop(linked);
}

// V21: what another parent cancelled tells where that began, as the error does.
#[test]
fn a_link_tells_the_origin_at_its_other_parent() {
    let (top, _stop) = root();
    let (far, _keep_far) = root();
    let (other, cancel_other) = far.with_cancel();
    let (linked, cancel_linked) = top.link([&other]);
    let (below, _keep) = linked.with_cancel();
    let (further, _keep_further) = below.derive().link(&far).build();
    let (own, cancel_own) = linked.with_cancel();
    cancel_own.cancel();
    cancel_other.cancel_with("why");
    assert!(!cancel_linked.cancel());
    for tree in [top.tree(), below.tree(), further.tree()] {
        check(&tree);
        for ctx in [&linked, &below, &further] {
            if let Some(node) = find(&tree, ctx) {
                assert_eq!(node.origin(), Some(ctx.error().unwrap().origin()));
                assert_eq!(node.origin(), Some(other.id()));
                assert_eq!(node.state(), CANCELLED);
            }
        }
    }
    assert_eq!(find(&top.tree(), &own).unwrap().origin(), Some(own.id()));
    assert_eq!(find(&top.tree(), &further).unwrap().depth(), 3);
}

/// A source that is never done.
struct Never;

impl CancelSource for Never {
    fn is_cancelled(&self) -> bool {
        false
    }
    fn error(&self) -> Option<Cause> {
        None
    }
    fn on_cancel(&self, notify: Box<dyn FnOnce() + Send>) -> Box<dyn Send> {
        Box::new(notify)
    }
}

#[test]
fn a_foreign_parent_is_shown_by_its_type() {
    let (top, _stop) = root();
    let (ctx, cancel) = top.from_source(Never);
    let of = std::any::type_name::<Never>();
    assert_eq!(
        text(&top),
        format!("with_cancel @0\n  from_source({of}) @1\n")
    );
    cancel.cancel();
    let shown = find(&top.tree(), &ctx).unwrap();
    assert_eq!(
        (shown.kind(), shown.origin()),
        (Kind::Source, Some(ctx.id()))
    );
}

/// Shown nowhere.
struct Secret(&'static str);

static TENANT: Key<Secret> = Key::new("tenant\n");

// V20, V23: contexts with values are shown by type or key, never by content.
#[test]
fn values_are_shown_by_their_type_or_key() {
    let (top, _stop) = root();
    let typed = top.with_value(Secret("concealed"));
    let keyed = typed.with_key(&TENANT, Secret("concealed"));
    let (built, _keep) = keyed.derive().value(Secret("concealed")).build();
    assert_eq!(
        text(&top),
        "with_cancel @0\n\
         \x20 with_value(ctxtree::tests::snapshot::Secret) @1\n\
         \x20   with_key(tenant\\n) @2\n\
         \x20     derive @3\n"
    );
    let tree = top.tree();
    for text in [
        tree.to_dot(),
        tree.to_mermaid(),
        tree.to_html(),
        format!("{tree:?}"),
    ] {
        assert!(
            text.contains("tenant") && !text.contains("concealed"),
            "{text}"
        );
    }
    assert_eq!(built.value::<Secret>().unwrap().0, "concealed");
    let kinds: Vec<Kind> = top.tree().nodes().map(Node::kind).collect();
    assert_eq!(kinds, [Kind::Cancel, Kind::Value, Kind::Key, Kind::Derived]);
    drop((typed, keyed));
    let tree = top.tree();
    assert_eq!(tree.nodes().filter(|node| node.is_orphaned()).count(), 2);
}

#[test]
fn background_and_todo_show_only_themselves() {
    let (_ctx, _handle) = root();
    let (_other, _other_handle) = Context::todo().with_cancel();
    assert_eq!(text(&Context::background()), "background @0\n");
    assert_eq!(text(&Context::todo()), "todo @0\n");
    let tree = Context::todo().tree();
    let node = tree.nodes().next().unwrap();
    assert_eq!(
        (node.kind(), node.state(), node.children()),
        (Kind::Todo, State::Live, 0)
    );
    assert!(!node.is_orphaned());
}

// V9, V23: what is dropped is gone at once, though not yet reaped; a middle
// that still relays is shown.
#[test]
fn dropped_contexts_are_not_shown_and_orphaned_ones_are() {
    let (top, stop) = root();
    let gone: Vec<Pair> = (0..model::BATCH - 1).map(|_| top.with_cancel()).collect();
    let middle = named(&top, "middle");
    let inner = named(&middle.0, "inner");
    let leaf = named(&inner.0, "leaf");
    drop((gone, middle, inner));
    let tree = top.tree();
    check(&tree);
    assert_eq!(
        text(&top),
        "with_cancel @0\n\
         \x20 middle @1, orphaned\n\
         \x20   inner @2, orphaned\n\
         \x20     leaf @3\n"
    );
    stop.cancel();
    let orphan = top.tree().nodes().nth(1).unwrap().clone();
    assert_eq!(
        orphan.to_string(),
        format!("middle {}, cancelled, orphaned", orphan.id())
    );
    drop(leaf);
    assert_eq!(text(&top), "with_cancel @0, cancelled\n");
}

// V23: the snapshot keeps no context, and what it saw.
#[test]
fn a_snapshot_keeps_nothing_alive() {
    let (top, stop) = root();
    let (child, _) = named(&top, "child");
    let tree = top.tree();
    let before = tree.to_string();
    stop.cancel();
    drop(child);
    assert_eq!(top.live_children(), 0);
    assert_eq!(top.tree().nodes().len(), 1);
    drop((top, stop));
    assert_eq!(tree.to_string(), before);
    assert_eq!(tree.clone().to_string(), before);
    assert!(format!("{tree:?}").contains("child"));
    assert_eq!(tree.nodes().next_back().unwrap().name(), Some("child"));
}

// A list that contention has split is shown whole; what came before the split
// comes first.
#[test]
fn a_split_list_is_shown_whole() {
    let (top, _stop) = root();
    let mut children: Vec<Pair> = (0..3).map(|_| top.with_cancel()).collect();
    model::split(&top);
    children.extend((0..3).map(|_| top.with_cancel()));
    let parent = top.clone();
    children.extend(
        start(move || [parent.with_cancel(), parent.with_cancel()])
            .join()
            .unwrap(),
    );
    let below = named(&children[4].0, "below").0;
    let tree = top.tree();
    check(&tree);
    assert_eq!(tree.nodes().len(), 1 + 8 + 1);
    let shown: Vec<Id> = tree
        .nodes()
        .filter(|node| node.depth() == 1)
        .map(Node::id)
        .collect();
    let made: Vec<Id> = children.iter().map(|(child, _)| child.id()).collect();
    assert_eq!(shown[..3], made[..3]);
    assert_eq!(shown.iter().collect::<HashSet<_>>(), made.iter().collect());
    assert_eq!(
        find(&tree, &below).unwrap().parent(),
        Some(children[4].0.id())
    );
}

// The waiters that are counted are those that wait still.
#[test]
fn waits_that_are_over_do_not_count() {
    let (top, stop) = root();
    let count = || top.tree().nodes().next().unwrap().waiters();
    let mut waits: Vec<_> = (0..5).map(|_| top.cancelled()).collect();
    assert_eq!(count(), 0, "not polled yet");
    for wait in &mut waits {
        assert!(poll(wait, &Wakes::new().1).is_pending());
        assert!(poll(wait, &Wakes::new().1).is_pending());
    }
    assert_eq!(count(), 5);
    waits.truncate(2);
    assert_eq!(count(), 2);
    let waiting = top.clone();
    let thread = start(move || waiting.wait());
    while count() != 3 {
        std::thread::yield_now();
    }
    stop.cancel();
    assert_eq!(count(), 0, "all were woken");
    drop(thread.join().unwrap());
}

// The callbacks that are counted are those that may run still.
#[test]
fn callbacks_that_are_over_do_not_count() {
    let (top, stop) = root();
    let count = |ctx: &Context| ctx.tree().nodes().next().unwrap().callbacks();
    let seen = top.clone();
    let (sender, inside) = std::sync::mpsc::channel();
    let mut callbacks: Vec<_> = (0..5).map(|_| top.after_cancel(|_| ())).collect();
    callbacks[4].stop();
    assert_eq!(count(&top), 4);
    callbacks.truncate(2);
    callbacks.pop().unwrap().detach();
    let last = top.after_cancel(move |_| sender.send(count(&seen)).unwrap());
    let mut wait = top.cancelled();
    assert!(poll(&mut wait, &Wakes::new().1).is_pending());
    assert_eq!(text(&top), "with_cancel @0, 1 waiter, 3 callbacks\n");
    // Never done, but it may end; the roots do not, and keep nothing.
    let shield = top.without_cancel();
    let _never = shield.after_cancel(|_| unreachable!());
    assert_eq!(count(&shield), 1);
    let _never = Context::background().after_cancel(|_| unreachable!());
    assert_eq!(count(&Context::background()), 0);
    stop.cancel();
    assert_eq!(inside.recv(), Ok(0), "one that runs does not count");
    assert_eq!(count(&top), 0);
    drop((callbacks, last));
}

// An orphaned middle keeps what was left with it.
#[test]
fn an_orphaned_context_shows_its_callbacks() {
    let (top, _stop) = root();
    let (middle, leaf) = {
        let (middle, _) = named(&top, "middle");
        middle.after_cancel(|_| ()).detach();
        (middle.id(), middle.with_cancel().0)
    };
    let tree = top.tree();
    let shown = tree.nodes().nth(1).unwrap();
    assert_eq!((shown.id(), shown.callbacks()), (middle, 1));
    assert!(shown.is_orphaned());
    drop(leaf);
}

/// Counts what is written.
struct Sink(usize);

impl Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

// V8, V23: depth costs no stack, and printing is linear.
#[test]
fn a_deep_chain_is_shown_on_a_small_stack() {
    const MANY: usize = DEPTH;
    let _one_by_one = big();
    on_small_stack(|| {
        let (top, stop) = root();
        let mut leaf = top.clone();
        for _ in 1..MANY {
            leaf = leaf.with_cancel().0;
        }
        stop.cancel();
        let tree = top.tree();
        assert_eq!(tree.nodes().len(), MANY);
        let last = tree.nodes().next_back().unwrap();
        assert_eq!((last.id(), last.depth()), (leaf.id(), MANY - 1));
        assert_eq!(last.origin(), Some(top.id()));
        let inner = tree.nodes().skip(1).rev().skip(1);
        assert!(
            inner
                .into_iter()
                .all(|node| node.is_orphaned() && node.state() == CANCELLED)
        );
        let mut sink = Sink(0);
        write!(sink, "{tree}").unwrap();
        assert!(sink.0 < MANY * 140, "{} bytes", sink.0);
        assert!(tree.to_dot().len() < MANY * 140);
        assert!(tree.to_mermaid().len() < 50_000);
        assert!(tree.to_html().len() < MANY * 140);
        drop(tree);
        drop(leaf);
        assert_eq!(top.tree().nodes().len(), 1);
    });
}

// V8: wide.
#[test]
fn a_million_children_are_shown() {
    const MANY: usize = DEPTH;
    let _one_by_one = big();
    on_small_stack(|| {
        let (top, _stop) = root();
        let children: Vec<Context> = (0..MANY).map(|_| top.with_cancel().0).collect();
        let tree = top.tree();
        assert_eq!(tree.nodes().next().unwrap().children(), MANY);
        let shown = tree.nodes().skip(1).map(Node::id);
        assert!(shown.eq(children.iter().map(Context::id)));
        assert!(tree.to_mermaid().len() < 50_000);
        assert!(tree.to_html().len() < MANY * 80);
    });
}
