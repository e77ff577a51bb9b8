//! What a node of the tree is made of, and who may touch which field when.
//!
//! | field | written by | read by |
//! |---|---|---|
//! | `link` | see the list | see the list |
//! | `state` | see the state word | anybody with a handle, or in a walk |
//! | `children` | see the list | anybody with a handle, walks, the reaper |
//! | `handles` | whoever clones or drops a handle; with ORPHAN, whoever gives a lane up | the same; walks that count |
//! | `parent`, `kind`, `facets`, `env` | the constructor | anybody who may see the node |
//! | `lane` | the constructor, before the push | walks; the thread that detaches the node |
//! | `waits` | see the list | waits with a handle, the canceller, the thread that detaches the node |
//! | `extension` | installed once, by anybody with a handle | anybody who may see the node |
//! | `number` | set once, by anybody who asks for the id | the same |
//!
//! # Invariants
//!
//! - **N1** While `handles` counts at least one, the node is valid, attached to
//!   its parent, and its ancestors are valid too.
//! - **N2** With no handle, and ORPHAN set, the count is that of the lanes not
//!   given up and of holds (N7), plus one while the lanes are being orphaned.
//!   Nobody attaches.
//! - **N3** A count of zero, beside ORPHAN or not: the node is being detached by
//!   one thread, or dead.
//! - **N4** When a node is dead, nobody but walks that came through its parent's
//!   lane, which are counted there, and those that N6 and F1 speak of can still
//!   point to it: its children and their buriers are done with it (L8), and walks
//!   that start at it hold a handle.
//! - **N5** `extension` and what it points to live as long as the node.
//! - **N6** A registration goes to a node it does not hold under a pin (W5). A
//!   node that ever had a callback is freed after every pin of its end.
//! - **N7** A node with the facet HELD may be held by who has no handle: one
//!   more is added to a count that is not zero, whatever it counts (N1, N2). So
//!   its last handle goes by a compare-and-swap that leaves the count of lanes,
//!   or zero.

mod extension;
mod far;
mod idlers;
mod kind;
mod tasked;
mod timed;
mod valued;

pub(crate) use far::{Away, Far, Knots, Ties, To};
pub(crate) use idlers::Idlers;
pub(crate) use kind::{Birth, Facets, Kind, Plan};
pub(crate) use tasked::Task;
use timed::free_timer;
pub(crate) use valued::Given;

use crate::list::{self, Head, Lane, Link, Linked};
use crate::state::AtomicState;
use crate::sync::Ordering::{Acquire, Relaxed};
use crate::sync::{
    AtomicPtr, AtomicU32, AtomicUsize, Site, const_fn, epoch, memory, shared_static,
};
use crate::timer::{Env, Timer};
use crate::wait_cell::Listener;
use extension::{Extension, Lanes};
use std::ptr::{NonNull, null, null_mut};

/// One node of the tree.
#[repr(C)]
pub(crate) struct Node {
    // The words that a walk touches come first.
    pub(crate) link: Link,
    pub(crate) state: AtomicState<Node>,
    pub(crate) children: Lane,
    pub(crate) handles: AtomicU32,
    pub(crate) lane: u8,
    pub(crate) kind: Kind,
    pub(crate) facets: Facets,
    pub(crate) parent: *const Node,
    extension: AtomicPtr<Extension>,
    /// What it hands down: its own, or that of its parent.
    env: *const Env,
    // What the life of a plain node does not touch comes last.
    pub(crate) waits: Lane,
    pub(crate) number: AtomicUsize,
}

/// In `handles`: no handle is left, the count is one of lanes (N2).
pub(crate) const ORPHAN: u32 = 1 << 31;
/// More handles than this abort: nobody can hold that many without leaking
/// them, and a count that wraps would free a node in use.
pub(crate) const MAX_HANDLES: u32 = 1 << 30;

#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
const _: () = assert!(size_of::<Node>() <= 120);

// SAFETY: the raw pointers lead to nodes that are valid by N1 and L4, and all
// that changes is atomic or guarded by the list's roles.
unsafe impl Send for Node {}
// SAFETY: the same.
unsafe impl Sync for Node {}

/// What the two statics hand down.
struct Nothing(Env);

// SAFETY: it points to nothing.
unsafe impl Sync for Nothing {}

static NOTHING: Nothing = Nothing(Env::NONE);

/// The facets of the two statics.
const STATIC: Facets = Facets::HELD.and(Facets::ROOT);

shared_static! {
    static BACKGROUND: Node = Node::new(null(), Kind::Background, STATIC, 1, null_mut(), &NOTHING.0);
}
shared_static! {
    static TODO: Node = Node::new(null(), Kind::Todo, STATIC, 1, null_mut(), &NOTHING.0);
}

const fn pointer_to(node: &'static Node) -> NonNull<Node> {
    match NonNull::new(std::ptr::from_ref(node).cast_mut()) {
        Some(node) => node,
        None => unreachable!(),
    }
}

const_fn! {
    pub(crate) fn background() -> NonNull<Node> {
        let node: &Node = &BACKGROUND;
        pointer_to(node)
    }
}
const_fn! {
    pub(crate) fn todo() -> NonNull<Node> {
        let node: &Node = &TODO;
        pointer_to(node)
    }
}

impl Node {
    const_fn! {
        fn new(
            parent: *const Node,
            kind: Kind,
            facets: Facets,
            handles: u32,
            extension: *mut Extension,
            env: *const Env,
        ) -> Self {
            Self {
                link: Link::new(),
                state: AtomicState::live(),
                children: Lane::new(),
                handles: AtomicU32::new(handles),
                lane: 0,
                kind,
                facets,
                parent,
                extension: AtomicPtr::new(extension),
                env,
                waits: Lane::new(),
                number: AtomicUsize::new(0),
            }
        }
    }

    /// A node with `handles` handles, not attached yet.
    #[inline]
    pub(crate) fn alloc(
        parent: NonNull<Node>,
        kind: Kind,
        facets: Facets,
        handles: u32,
    ) -> NonNull<Node> {
        let env = Node::env_below(parent);
        list::alloc_kept(Node::below(parent, kind, facets, handles, null_mut(), env))
    }

    /// What a child of `parent` hands down that has nothing of its own.
    #[inline(always)]
    fn env_below(parent: NonNull<Node>) -> *const Env {
        // SAFETY: kept by whoever derives from it.
        unsafe { parent.as_ref() }.env
    }

    /// The same, by a plan, with the timer of its deadline.
    pub(crate) fn alloc_plan(
        parent: NonNull<Node>,
        plan: Plan,
        handles: u32,
        far: Option<Far>,
        timer: Option<NonNull<Timer>>,
    ) -> NonNull<Node> {
        let (kind, mut facets) = (plan.kind, plan.facets);
        let time = Node::time_below(parent, facets, plan.clock.as_deref());
        // Without a deadline it is of no use.
        let cause = plan.cause.filter(|_| timer.is_some());
        let extension = Extension::of(plan.name, far, cause, plan.clock, plan.birth);
        if timer.is_some() {
            facets = facets.and(Facets::TIMED);
        }
        let new = New {
            parent,
            kind,
            facets,
            handles,
            extension,
        };
        if !plan.values.is_empty() {
            Node::alloc_with_many(new, time, timer, plan.values)
        } else if let Some(timer) = timer {
            Node::alloc_timed(new, timer)
        } else {
            Node::alloc_env(new, time)
        }
    }

    /// The same, still to be moved to where it stays.
    #[inline(always)]
    fn below(
        parent: NonNull<Node>,
        kind: Kind,
        facets: Facets,
        handles: u32,
        extension: *mut Extension,
        env: *const Env,
    ) -> Node {
        // SAFETY: kept by whoever derives from it.
        let above = unsafe { parent.as_ref() };
        let facets = match above.is_static() {
            true => facets.and(Facets::ROOT),
            false => facets,
        };
        Node::new(parent.as_ptr(), kind, facets, handles, extension, env)
    }

    /// `background` and `todo`: never done, never freed, without a list.
    #[inline(always)]
    pub(crate) fn is_static(&self) -> bool {
        matches!(self.kind, Kind::Background | Kind::Todo)
    }

    /// Whether all of `facets` hold.
    #[inline(always)]
    pub(crate) fn is(&self, facets: Facets) -> bool {
        self.facets.has(facets)
    }

    /// Whether any of `facets` holds.
    #[inline(always)]
    pub(crate) fn is_any(&self, facets: Facets) -> bool {
        self.facets.has_any(facets)
    }

    /// The parent, if this node is in its list.
    #[inline(always)]
    pub(crate) fn attached_to(&self) -> Option<&Node> {
        // SAFETY: it has a parent, valid by N1 and L4 for whoever may use `self`.
        (!self.is(Facets::ROOT)).then(|| unsafe { &*self.parent })
    }

    /// The parent, also one whose list this node is not in.
    pub(crate) fn above(&self) -> Option<&Node> {
        // SAFETY: null only for the statics; else as in `attached_to`.
        unsafe { self.parent.as_ref() }
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.extension()?.name.as_deref()
    }

    /// When and where it was made, if that is known.
    pub(crate) fn birth(&self) -> Option<Birth> {
        self.extension()?.birth
    }

    /// What a far node, or a stub of one, has more.
    pub(crate) fn far(&self) -> Option<&Far> {
        self.extension()?.far.as_ref()
    }

    /// Adds one to what keeps the node, unless nothing does any more (N7).
    ///
    /// The node has the facet HELD.
    pub(crate) fn try_hold(&self) -> bool {
        debug_assert!(self.is(Facets::HELD));
        // Acquire, here and on failure: what came before the end of a node that
        // nothing keeps any more is seen; meets the Release in `let_go`.
        let mut count = self.handles.load(Acquire, Site::HoldLoad);
        while count & !ORPHAN != 0 {
            if count & !ORPHAN > MAX_HANDLES {
                std::process::abort();
            }
            // Relaxed: what the holder uses was published with the node, or is
            // decided by words of its own. On failure Acquire, as above: meets
            // the Release in `let_go`.
            let swapped =
                self.handles
                    .compare_exchange_weak(count, count + 1, Relaxed, Acquire, Site::Hold);
            match swapped {
                Ok(_) => return true,
                Err(now) => count = now,
            }
        }
        false
    }

    /// Frees the node, at once or when nobody can be looking.
    ///
    /// # Safety
    ///
    /// It is dead (N3), its values are dropped, it is unlinked, and nobody can
    /// reach it any more but by N6 and F1 (L6, N4).
    pub(crate) unsafe fn free(at: NonNull<Node>) {
        // SAFETY: still valid here.
        let node = unsafe { at.as_ref() };
        if node.is(Facets::FAR) || node.waits.peek().has(Head::CALLED) {
            let free = move || {
                // SAFETY: by then nobody uses N6 or F1 any more.
                unsafe { Node::free_now(at) };
            };
            // SAFETY: the node is the caller's, and may be freed by any thread.
            unsafe { epoch::pin().defer(free) };
        } else {
            // SAFETY: by the caller; there is nobody that N6 or F1 speak of.
            unsafe { Node::free_now(at) };
        }
    }

    /// # Safety
    ///
    /// As `free`, and nobody uses it by N6 or F1.
    unsafe fn free_now(at: NonNull<Node>) {
        // SAFETY: still valid here.
        let node = unsafe { at.as_ref() };
        // SAFETY: nobody can reach the node, so nobody is in its wait lane.
        unsafe { node.waits.sweep::<Listener>() };
        let timer = node.own_timer_at();
        // Relaxed: whoever frees a node comes after all its users.
        let extension = node.extension.load(Relaxed, Site::FreeLoad);
        if let Some(extension) = NonNull::new(extension) {
            // SAFETY: the node's own, and it goes (N5).
            unsafe { Node::free_extension(extension) };
        }
        if node.is(Facets::VALUES) {
            // SAFETY: by the caller.
            unsafe { Node::free_with_values(at) };
        } else if node.is(Facets::TASK) {
            // SAFETY: by the caller; `alloc_task` made it.
            unsafe { Node::free_with_task(at) };
        } else if node.is(Facets::ENV) {
            // SAFETY: by the caller; `alloc_env` made it.
            unsafe { Node::free_with_env(at) };
        } else {
            // SAFETY: by the caller.
            unsafe { memory::free_kept(at) };
        }
        if let Some(timer) = timer {
            // SAFETY: the node is freed here, once.
            unsafe { free_timer(timer) };
        }
    }

    /// # Safety
    ///
    /// As `free`; the extension is that of the node that is freed.
    #[cold]
    #[inline(never)]
    unsafe fn free_extension(extension: NonNull<Extension>) {
        // SAFETY: still valid here (N5).
        let idlers = unsafe { &extension.as_ref().idlers };
        // Relaxed: as in `free_now`.
        if let Some(idlers) = NonNull::new(idlers.load(Relaxed, Site::FreeLoad)) {
            // SAFETY: the node's own, and it goes (N5).
            unsafe { Idlers::free(idlers) };
        }
        // SAFETY: still valid here (N5).
        let lanes = unsafe { &extension.as_ref().lanes };
        // Relaxed: the same.
        let lanes = lanes.load(Relaxed, Site::FreeLoad);
        if let Some(lanes) = NonNull::new(lanes) {
            // SAFETY: the node's own, and it goes (N5).
            unsafe { Lanes::free(lanes) };
        }
        // SAFETY: the same.
        unsafe { memory::free(extension) };
    }
}

/// A node that is still to be made.
struct New {
    parent: NonNull<Node>,
    kind: Kind,
    facets: Facets,
    handles: u32,
    extension: *mut Extension,
}

impl New {
    /// The node, still to be moved to where it stays.
    fn with(self, env: *const Env) -> Node {
        let (kind, facets) = (self.kind, self.facets);
        Node::below(self.parent, kind, facets, self.handles, self.extension, env)
    }
}

// SAFETY: `link` is the first field, and the layout is C's.
unsafe impl Linked for Node {
    const WALKED_WHEN_CLOSED: bool = false;

    unsafe fn free(link: NonNull<Link>) {
        // SAFETY: by the caller.
        unsafe { Node::free(link.cast()) };
    }
}
