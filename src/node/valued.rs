//! Nodes that hold values: the node, the set and the value in one allocation.
//!
//! A pointer to such a node is always one to all of it, made from the
//! allocation and never from a reference to the node alone, as freeing it takes
//! that.

use super::{Facets, Kind, New, Node};
use crate::list::{self, Link, Linked};
use crate::sync::memory;
use crate::timer::{Env, Timer};
use crate::values::{Entry, How, Id, Key, Values};
use std::any::Any;
use std::mem::{ManuallyDrop, needs_drop};
use std::ptr::{NonNull, null, null_mut};

/// A node with one value.
#[repr(C)]
struct ValueNode<T> {
    node: Node,
    env: Env,
    values: Values,
    entry: [Entry; 1],
    value: ManuallyDrop<T>,
}

/// A node with several.
#[repr(C)]
struct ManyNode {
    node: Node,
    env: Env,
    values: Values,
    entries: Box<[Entry]>,
    boxes: Box<[NonNull<Boxed>]>,
}

type Boxed = dyn Any + Send + Sync;

/// A value for a node that is not made yet.
pub(crate) struct Given {
    id: Id,
    label: &'static str,
    value: Box<Boxed>,
}

impl Given {
    pub(crate) fn new<T: Send + Sync + 'static>(key: Option<&'static Key<T>>, value: T) -> Self {
        let id = Id::of(key);
        Self {
            id,
            // SAFETY: made for a `T`.
            label: unsafe { id.label::<T>() },
            value: Box::new(value),
        }
    }

    /// Its key, or its type.
    pub(crate) fn label(&self) -> &'static str {
        self.label
    }

    /// Whether the two would be found by the same question.
    pub(crate) fn meets(&self, other: &Given) -> bool {
        self.id == other.id
    }
}

// SAFETY: a node comes first, with its link first, and the layout is C's.
unsafe impl<T: Send + Sync + 'static> Linked for ValueNode<T> {
    const WALKED_WHEN_CLOSED: bool = Node::WALKED_WHEN_CLOSED;

    unsafe fn free(link: NonNull<Link>) {
        // SAFETY: by the caller.
        unsafe { memory::free(link.cast::<Self>()) };
    }
}

// SAFETY: a node comes first, with its link first, and the layout is C's.
unsafe impl Linked for ManyNode {
    const WALKED_WHEN_CLOSED: bool = Node::WALKED_WHEN_CLOSED;

    unsafe fn free(link: NonNull<Link>) {
        // SAFETY: by the caller.
        unsafe { memory::free(link.cast::<Self>()) };
    }
}

/// # Safety
///
/// As `Node::free`, and the node is part of an `N`.
unsafe fn free_as<N: Linked>(at: NonNull<()>) {
    // SAFETY: by the caller.
    unsafe { N::free(at.cast()) };
}

impl<T: Send + Sync + 'static> ValueNode<T> {
    const HOW: &How = &How {
        label: Id::label::<T>,
        drop: if needs_drop::<T>() {
            Some(Self::drop_value)
        } else {
            None
        },
        free: free_as::<Self>,
    };

    /// # Safety
    ///
    /// As `Node::drop_value`, and the node is part of a `ValueNode<T>`.
    unsafe fn drop_value(at: NonNull<()>, _number: usize) {
        let at = at.cast::<Self>().as_ptr();
        // SAFETY: a place in the node, which is valid.
        let value = unsafe { &raw mut (*at).value };
        // SAFETY: dropped once, and nobody sees it any more, by the caller.
        unsafe { value.cast::<T>().drop_in_place() };
    }
}

impl ManyNode {
    const HOW: &How = &How {
        // It shows its own name.
        label: |_| "",
        drop: Some(Self::drop_value),
        free: free_as::<Self>,
    };

    /// # Safety
    ///
    /// As `Node::drop_value`, and the node is part of a `ManyNode`.
    unsafe fn drop_value(at: NonNull<()>, number: usize) {
        // SAFETY: still valid here.
        let value = unsafe { at.cast::<Self>().as_ref() }.boxes[number];
        // SAFETY: from a leaked box, and dropped once, by the caller.
        drop(unsafe { Box::from_raw(value.as_ptr()) });
    }
}

impl Node {
    /// A node with one handle and one value, not attached yet.
    pub(crate) fn alloc_with<T: Send + Sync + 'static>(
        parent: NonNull<Node>,
        kind: Kind,
        facets: Facets,
        key: Option<&'static Key<T>>,
        value: T,
    ) -> NonNull<Node> {
        let how = ValueNode::<T>::HOW;
        // SAFETY: kept by whoever derives from it.
        let env = unsafe { parent.as_ref() }.env();
        let facets = facets.and(own(how));
        let at = list::alloc(ValueNode {
            node: Node::below(parent, kind, facets, 1, null_mut(), null()),
            env,
            values: Values::new(env.values, how),
            entry: [Entry {
                id: Id::of(key),
                value: std::ptr::null(),
            }],
            value: ManuallyDrop::new(value),
        });
        let all = at.as_ptr();
        // SAFETY: a place in fresh memory, as the next ones.
        let value = unsafe { &raw const (*all).value };
        // SAFETY: nobody else knows the node yet.
        unsafe { (*all).entry[0].value = value.cast() };
        // SAFETY: as above.
        let entries = unsafe { &raw const (*all).entry };
        // SAFETY: as above.
        let values = unsafe { &raw mut (*all).values };
        // SAFETY: the entry stays in the node, and its id was made for a `T`.
        unsafe { Values::set_entries(values, entries) };
        // SAFETY: as above.
        unsafe { (*all).env.values = values };
        // SAFETY: as above.
        let env = unsafe { &raw const (*all).env };
        // SAFETY: as above.
        unsafe { (*all).node.env = env };
        at.cast()
    }

    /// A node with several values, not attached yet.
    pub(super) fn alloc_with_many(
        new: New,
        time: *const Timer,
        timer: Option<NonNull<Timer>>,
        given: Vec<Given>,
    ) -> NonNull<Node> {
        let how = ManyNode::HOW;
        let mut entries = Vec::with_capacity(given.len());
        let mut boxes = Vec::with_capacity(given.len());
        for Given { id, value, .. } in given {
            let value = NonNull::from(Box::leak(value));
            entries.push(Entry {
                id,
                value: value.as_ptr().cast_const().cast(),
            });
            boxes.push(value);
        }
        // SAFETY: kept by whoever derives from it.
        let up = unsafe { new.parent.as_ref() }.env().values;
        let new = New {
            facets: new.facets.and(own(how)),
            ..new
        };
        let at = list::alloc(ManyNode {
            node: new.with(null()),
            env: Env { values: up, time },
            values: Values::new(up, how),
            entries: entries.into(),
            boxes: boxes.into(),
        });
        let all = at.as_ptr();
        // SAFETY: nobody else knows the node yet, here and below.
        let entries: *const [Entry] = unsafe { &*(*all).entries };
        // SAFETY: a place in fresh memory.
        let values = unsafe { &raw mut (*all).values };
        // SAFETY: the entries stay where they are until the node is freed, and
        // whoever gave them made each id for its value.
        unsafe { Values::set_entries(values, entries) };
        let env = match timer {
            // SAFETY: as above.
            None => unsafe { &raw mut (*all).env },
            // The `env` of a timer comes first.
            Some(timer) => timer.as_ptr().cast(),
        };
        // SAFETY: as above; so is the timer.
        unsafe { (*env).values = values };
        // SAFETY: as above.
        unsafe { (*all).node.env = env };
        if let Some(timer) = timer {
            // SAFETY: as above.
            unsafe { Timer::belong_to(timer, at.cast::<Node>()) };
        }
        at.cast()
    }

    /// The nearest set of values, its own or an ancestor's, or null.
    pub(crate) fn nearest_values(&self) -> *const Values {
        self.env().values
    }

    /// Its own values, if it has any.
    fn own_values(&self) -> Option<&Values> {
        if !self.is(Facets::VALUES) {
            return None;
        }
        // SAFETY: then `env` names the set in this very allocation.
        unsafe { self.env().values.as_ref() }
    }

    /// What a node of one value is called: its key, or its type.
    pub(crate) fn value_label(&self) -> &'static str {
        let Some(values) = self.own_values() else {
            return "";
        };
        // SAFETY: if there is one value, its id was made for the type that `how`
        // is about (E2); if there are several, the id is not looked at.
        unsafe { (values.how.label)(values.entries()[0].id) }
    }

    /// How many values are to be dropped before the node is buried.
    pub(crate) fn values_to_drop(&self) -> usize {
        match self.own_values() {
            Some(values) if values.how.drop.is_some() => values.entries().len(),
            _ => 0,
        }
    }

    /// Drops one of the values: user's code.
    ///
    /// # Safety
    ///
    /// The node is dead (N3) and not buried, and this is called once for each
    /// number below `values_to_drop`.
    pub(crate) unsafe fn drop_value(at: NonNull<Node>, number: usize) {
        // SAFETY: still valid here.
        let values = unsafe { at.as_ref() }.own_values();
        if let Some(drop) = values.and_then(|values| values.how.drop) {
            // SAFETY: by the caller.
            unsafe { drop(at.cast(), number) };
        }
    }

    /// Frees a node that has values of its own.
    ///
    /// # Safety
    ///
    /// As `Node::free`; the values are dropped.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn free_with_values(at: NonNull<Node>) {
        // SAFETY: still valid here.
        let values = unsafe { at.as_ref() }.own_values();
        let values = values.expect("only called for a node with values");
        let free = values.how.free;
        // SAFETY: by the caller.
        unsafe { values.free_index() };
        // SAFETY: by the caller; `at` is a pointer to all of it.
        unsafe { free(at.cast()) };
    }
}

/// The facets of a node with such values.
fn own(how: &How) -> Facets {
    match how.drop {
        None => Facets::VALUES,
        Some(_) => Facets::VALUES.and(Facets::DROPS),
    }
}
