//! The list of all models.

mod callback;
mod cancel;
mod detach;
mod wait;

use crate::{Epochs, Model};

macro_rules! models {
    ($($module:ident::$name:ident, $threads:literal, $bound:literal, $epochs:ident, $promise:literal;)*) => {
        /// Every model, in the order of the files.
        pub const ALL: &[Model] = &[$(Model {
            name: stringify!($name),
            promise: $promise,
            threads: $threads,
            bound: $bound,
            epochs: Epochs::$epochs,
            body: $module::$name,
        },)*];
    };
}

models! {
    // name, threads, preemption bound, epochs, promise
    cancel::cancel_vs_attach, 2, 2, Kept, "a child attached during a cancel is done (V5, T1)";
    cancel::cancel_with_cause_vs_attach, 2, 2, Kept, "and has the very same cause (V5)";
    cancel::cancel_vs_attach_with_collector, 2, 2, Full, "the same, with all that the collector does";
    cancel::cancel_vs_two_attaches, 3, 2, Kept, "so are two from two threads (T1)";
    cancel::cancel_vs_attach_below, 2, 2, Kept, "a grandchild attached during a cancel of the root is done (V3)";
    cancel::cancel_vs_cancel, 2, 2, Kept, "one wins, both return with the subtree marked (V3, T4)";
    cancel::cancel_vs_cancel_vs_attach, 3, 2, Kept, "two cancels and an attach: the child is done whoever meets it (T1, T4)";
    cancel::cancel_vs_cancel_deep, 2, 2, Kept, "the same over two levels";
    cancel::cancel_vs_cancel_observed, 3, 1, Kept, "a third thread that sees a loser return sees all marked";
    cancel::cancel_vs_cancel_nested, 2, 2, Kept, "a cancel of the middle and one of the root: both return with the leaf marked";
    cancel::cancel_vs_poll, 2, 2, Kept, "who sees done sees the final cause, origin and location (V1)";
    cancel::cancel_vs_poll_below, 2, 2, Kept, "who sees a child done sees the ancestor's cause (V1, V4)";
    cancel::cancel_vs_cancel_causes, 2, 2, Kept, "the first cause wins and is everybody's (V6)";
    cancel::split_vs_cancel, 3, 1, Kept, "children attached while the list is being split are all done (T1)";
    cancel::split_vs_attach, 3, 2, Kept, "a list split by contention keeps every child";
    detach::cancel_vs_detach, 2, 2, Kept, "a child dropped during a cancel is freed once (L6)";
    detach::cancel_vs_detach_batch, 2, 2, Kept, "a reaped batch is not freed under a walk (L6, L7)";
    detach::cancel_vs_detach_batch_with_collector, 2, 1, Full, "the same, with all that the collector does";
    detach::cancel_vs_detach_batch_focused, 2, 2, Focused, "the same, with the collector but not its interleavings";
    detach::count_vs_detach_batch, 2, 2, Kept, "nor under a count of the children";
    detach::count_vs_attach, 2, 2, Kept, "a count sees whole children only";
    detach::detach_vs_detach, 2, 2, Kept, "two children leave one lane, each freed once (L5)";
    detach::detach_vs_detach_vs_attach, 3, 2, Kept, "and a third comes meanwhile (L1, L2)";
    detach::detach_vs_detach_vs_cancel, 3, 1, Kept, "and a walk goes through meanwhile (L6)";
    detach::detach_from_the_middle, 3, 2, Kept, "links between others are unlinked while pushes go on (L1 to L3)";
    detach::detach_of_the_newest_vs_attach, 2, 2, Kept, "what is pushed while the newest are unlinked is linked to the rest (L2)";
    detach::handles_dropped_together, 3, 2, Kept, "three handles of one node dropped at once end it once (T7)";
    detach::last_handle_sees_the_child, 2, 2, Kept, "the last drop sees a child made through another handle (N1)";
    detach::orphan_vs_child_drop, 2, 2, Kept, "the parent's last handle and the child's go at once: both are freed (T7)";
    detach::orphan_vs_two_child_drops, 3, 2, Kept, "the same with two children (L8)";
    detach::orphan_cause_vs_child_read, 2, 2, Kept, "a cause goes after the last who can read it";
    detach::orphan_two_lanes, 3, 2, Kept, "children in two lanes and the parent go at once (N2)";
    detach::orphan_vs_cancel, 3, 1, Kept, "a middle node without handles still relays a cancel (V9)";
    detach::orphan_vs_cancel_focused, 3, 1, Focused, "the same, with the collector but not its interleavings";
    detach::orphan_chain, 2, 2, Kept, "the end of a leaf ends its orphaned ancestors (T7)";
    wait::wait_vs_cancel, 2, 2, Kept, "a wait that starts around a cancel ends (V16, T6)";
    wait::wait_vs_cancel_of_the_parent, 2, 2, Kept, "so does one on a child (P45)";
    wait::two_waits_vs_cancel, 3, 1, Kept, "so do two from two threads";
    wait::wait_drop_vs_cancel, 2, 2, Kept, "a wait dropped during a cancel is freed once, woken at most once (W2, W3)";
    wait::wait_drops_vs_cancel, 2, 2, Kept, "so are waits that are reaped meanwhile";
    wait::wait_repoll_vs_cancel, 2, 2, Kept, "a wait polled again with another waker wakes the last one (V16)";
    wait::wait_and_last_handle_vs_cancel, 2, 2, Kept, "the node goes with the wait while the parent is cancelled";
    wait::wait_vs_two_cancels, 3, 1, Kept, "a loser that marks first takes no wake-up from the winner (T5)";
    callback::callback_vs_cancel, 2, 2, Kept, "a callback registered around a cancel runs once (V13, T6)";
    callback::callback_vs_cancel_of_the_parent, 2, 2, Kept, "so does one on a child";
    callback::stop_vs_cancel, 2, 2, Kept, "a callback runs or is prevented, never both (V13)";
    callback::stops_vs_cancel, 2, 2, Kept, "so do those that are reaped meanwhile (L6, W3)";
    callback::stop_vs_stop, 2, 2, Kept, "one of two stops prevents (V13)";
    callback::stop_vs_last_handle, 2, 2, Full, "a stop goes to a node that may be ending (W5, N6)";
    callback::stops_vs_last_handle, 2, 2, Focused, "and reaps there";
    callback::detached_vs_last_handle_vs_cancel, 2, 2, Kept, "a callback whose context ends during a cancel runs or is dropped, once";
    callback::stop_vs_last_handle_vs_cancel, 3, 1, Kept, "and may be stopped meanwhile (W2)";
    callback::stop_and_join_vs_cancel, 2, 2, Kept, "after a join the callback uses nothing any more";
    callback::two_joins_vs_cancel, 3, 1, Kept, "two threads may join";
}
