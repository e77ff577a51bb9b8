//! The list of all models.

mod callback;
mod cancel;
mod deadline;
mod detach;
mod driver;
mod idle;
mod link;
mod places;
mod snapshot;
mod source;
mod value;
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
    deadline::deadline_vs_cancel, 2, 2, Kept, "a deadline or a cancel decides reason and cause, not both (V6, P69)";
    deadline::deadline_vs_cancel_of_the_parent, 2, 2, Kept, "a deadline or the parent's cancel";
    deadline::deadline_vs_cancel_above_a_child, 2, 2, Kept, "who cancels meanwhile returns with all below marked (V3)";
    deadline::deadline_vs_poll, 2, 2, Kept, "who sees it come sees its cause (V1)";
    deadline::deadline_in_the_wheel_vs_cancel, 2, 2, Kept, "who is passed by as done is seen done (D3)";
    deadline::deadline_vs_drop, 2, 2, Kept, "a context dropped while its deadline fires is freed once (D3)";
    deadline::deadline_with_cause_vs_drop, 2, 2, Kept, "so is one with a cause";
    deadline::deadline_vs_last_child, 2, 1, Kept, "so is one that only a child keeps";
    deadline::deadline_reaches_the_child_of_a_dropped_context, 2, 2, Kept, "whose child its deadline reaches (V9)";
    deadline::deadline_vs_wait, 2, 2, Kept, "a wait that starts around a deadline ends (V16)";
    deadline::deadline_vs_attach, 2, 2, Kept, "a child attached around a deadline is done (V5)";
    deadline::deadline_born_vs_cancel, 2, 2, Kept, "a deadline made during a cancel is off";
    deadline::timer_disarm_vs_drain, 2, 1, Kept, "timers given up while others work off the stack are freed once (D3, D4)";
    deadline::timer_in_the_wheel_vs_drain, 2, 1, Kept, "so is one that is in the wheel (D1)";
    deadline::timer_arms_vs_advance, 2, 2, Kept, "timers armed while time passes fire";
    deadline::two_advances, 2, 1, Kept, "two who let time pass fire each deadline once";
    deadline::set_deadline_vs_fire, 2, 2, Kept, "a move counts, or learns that the time has come (D2)";
    deadline::set_deadline_earlier_vs_drain, 2, 2, Kept, "a timer is put where its last moment says";
    deadline::set_deadline_vs_attach, 2, 2, Kept, "a child attached during a move tells the new deadline (M1)";
    deadline::set_deadline_vs_attach_below, 2, 2, Kept, "so does one further down";
    deadline::set_deadline_vs_attach_in_lanes, 2, 2, Kept, "and one in a list that is split meanwhile";
    deadline::set_deadline_vs_attach_of_deadline, 2, 2, Kept, "one that relied on the old deadline is armed (M2)";
    deadline::set_deadlines_at_once, 2, 1, Kept, "who returns from a move has told all below (M3)";
    deadline::set_deadlines_on_one_path, 2, 2, Kept, "moves above and below at once both count";
    deadline::set_deadline_twice_on_one_without, 2, 1, Kept, "two threads give a context its one deadline";
    deadline::set_deadline_twice_below_a_moved_one, 2, 1, Kept, "so do they where all was told before";
    deadline::set_deadline_vs_cancel, 2, 2, Kept, "a move during a cancel leaves no timer";
    deadline::touch_vs_fire, 2, 2, Kept, "a touch counts, or learns that the time has come (D2)";
    deadline::touch_vs_later_touch, 2, 2, Kept, "of two touches the later one counts, whoever is last";
    deadline::set_deadline_vs_drop_below, 2, 2, Kept, "a child dropped while it is told is freed once";
    deadline::deadline_fires_once_for_each_wait, 3, 1, Kept, "two who let time pass and a cancel wake a wait once (V16)";
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
    driver::driver_arm_vs_sleep, 2, 1, Kept, "what is armed earlier than the driver's sleep wakes it (D5)";
    driver::driver_arm_vs_stop, 2, 1, Kept, "what is armed while the driver stops starts another";
    driver::driver_move_vs_sleep, 2, 1, Kept, "so does what is moved earlier than that";
    driver::driver_arm_vs_look, 3, 1, Kept, "what is armed while the driver looks is found, or wakes it (D5)";
    driver::driver_vs_busy_wheel, 3, 1, Kept, "who works on a wheel wakes the driver that came meanwhile";
    places::place_take_vs_give, 2, 2, Kept, "who takes a place comes after who gave it back";
    places::place_wait_vs_give, 2, 2, Kept, "who waits around a give-back gets the place (P7), and comes after it";
    places::place_wait_vs_take, 3, 2, Kept, "a place given back goes to the wait or to who takes it, never to both or neither (P3)";
    places::place_waits_vs_give, 3, 1, Kept, "one of two who come meanwhile gets it, the other the next (P7)";
    places::place_gives_vs_waits, 3, 1, Kept, "two who wait around two give-backs get both";
    places::place_gives_vs_queue, 2, 2, Kept, "so do two in the queue, after both (P1)";
    places::place_served_vs_woken, 2, 2, Kept, "who sees its place before it is woken is freed once (P5)";
    places::place_give_up_vs_give, 2, 2, Kept, "a wait that gives up around a give-back loses no place (P4)";
    places::place_give_up_passes_on, 2, 2, Kept, "and the next one gets it (P4)";
    places::place_give_ups_from_the_queue, 2, 2, Kept, "waits that give up in the queue are freed once (P5)";
    places::place_give_up_vs_work, 2, 2, Kept, "so is one that gives up on the way there";
    places::place_give_up_vs_give_vs_wait, 3, 1, Kept, "nobody overtakes where one gives up and one comes (P3, P5)";
    places::place_repoll_vs_give, 2, 2, Kept, "a wait polled again with another waker wakes the last one (P6)";
    places::places_dropped_last, 2, 2, Kept, "what waits have left goes with the places (P5)";
    snapshot::snapshot_vs_attach, 2, 2, Kept, "a snapshot shows whole children only, each below its parent (V23)";
    snapshot::snapshot_vs_cancel, 2, 2, Kept, "one that shows a child done shows the ancestor done (V4, T9)";
    snapshot::snapshot_vs_attach_vs_cancel, 3, 1, Kept, "the same for a child that marks itself (V4, T9)";
    snapshot::snapshot_vs_detach, 2, 2, Kept, "what is reaped under it is not freed, what is kept is shown (V23, L6)";
    snapshot::snapshot_vs_orphan, 3, 1, Kept, "what is kept below a middle that loses its handles is shown (V23, N2)";
    snapshot::snapshot_vs_listeners_dropped, 2, 2, Kept, "a wait and a callback that go while they are counted are not freed (L6)";
    snapshot::snapshot_vs_link, 2, 2, Kept, "a link that another parent cancels is shown with that one as origin (V21, V23)";
    snapshot::snapshot_vs_link_born_done, 2, 2, Kept, "a link is shown done only with its whole record";
    snapshot::snapshot_vs_link_drop, 2, 2, Kept, "its record is not read when it is gone (S4, N7)";
    wait::wait_vs_cancel, 2, 2, Kept, "a wait that starts around a cancel ends (V16, T6)";
    wait::wait_vs_cancel_of_the_parent, 2, 2, Kept, "so does one on a child (P45)";
    wait::two_waits_vs_cancel, 3, 1, Kept, "so do two from two threads";
    wait::wait_drop_vs_cancel, 2, 2, Kept, "a wait dropped during a cancel is freed once, woken at most once (W2, W3)";
    wait::wait_drops_vs_cancel, 2, 2, Kept, "so are waits that are reaped meanwhile";
    wait::wait_repoll_vs_cancel, 2, 2, Kept, "a wait polled again with another waker wakes the last one (V16)";
    wait::wait_and_last_handle_vs_cancel, 2, 2, Kept, "the node goes with the wait while the parent is cancelled";
    wait::wait_and_reaped_handle_vs_cancel, 2, 1, Kept, "and is freed while the wait is being fired (W3)";
    wait::repolled_wait_and_reaped_handle_vs_cancel, 2, 1, Kept, "the same with another waker than the first";
    wait::wait_vs_two_cancels, 3, 1, Kept, "a loser that marks first takes no wake-up from the winner (T5)";
    callback::callback_vs_cancel, 2, 2, Kept, "a callback registered around a cancel runs once (V13, T6)";
    callback::callback_vs_cancel_of_the_parent, 2, 2, Kept, "so does one on a child";
    callback::register_and_stop_vs_cancel, 2, 2, Kept, "registered, stopped and cancelled at once, it runs or is prevented (V13)";
    callback::stop_vs_cancel, 2, 2, Kept, "a callback runs or is prevented, never both (V13)";
    callback::stops_vs_cancel, 2, 2, Kept, "so do those that are reaped meanwhile (L6, W3)";
    callback::stops_of_the_older_vs_cancel, 2, 2, Kept, "and those that are unlinked from the middle (L6)";
    callback::stop_vs_stop, 2, 2, Kept, "one of two stops prevents (V13)";
    callback::stop_vs_reaping_stop, 2, 2, Kept, "a stopped callback is freed by the later of its reaper and its owner (W3)";
    callback::stop_vs_last_handle, 2, 1, Full, "a stop goes to a node that may be ending (W5, N6)";
    callback::stops_vs_last_handle, 2, 2, Focused, "and reaps there";
    callback::detached_vs_last_handle_vs_cancel, 2, 2, Kept, "a callback whose context ends during a cancel runs or is dropped, once";
    callback::stop_vs_last_handle_vs_cancel, 3, 1, Kept, "and may be stopped meanwhile (W2)";
    callback::stop_and_join_vs_cancel, 2, 3, Kept, "after a join the callback uses nothing any more";
    callback::stop_and_join_vs_last_handle, 2, 3, Kept, "what is dropped unrun is waited for";
    callback::two_joins_vs_cancel, 3, 1, Kept, "two threads may join";
    idle::idle_vs_last_drop, 2, 2, Kept, "who waits for the last holder below hears of its end, and sees what it did (V22)";
    idle::idle_vs_two_drops, 3, 1, Kept, "so it does with two of them";
    idle::idle_vs_drops_in_two_lanes, 3, 1, Kept, "in lanes of their own";
    idle::idle_vs_orphan, 3, 1, Kept, "and one below the other";
    idle::idle_vs_derive, 2, 1, Kept, "a child that comes and goes meanwhile keeps nobody waiting";
    idle::idle_vs_successor, 2, 1, Kept, "who derives its successor first leaves no idle moment";
    idle::idle_vs_split, 2, 1, Kept, "a list that is split meanwhile loses no wake-up";
    idle::idle_repoll_vs_drop, 2, 2, Kept, "nor does another waker";
    idle::idle_drop_vs_drop, 2, 2, Kept, "a wait that is dropped leaves nothing behind";
    idle::two_idles_vs_drop, 2, 2, Kept, "all who wait hear of it";
    idle::idle_vs_idle, 2, 1, Kept, "two that begin to wait at once leave nothing behind";
    idle::idle_vs_look_in_progress, 2, 1, Kept, "who begins to wait is not told of a moment before";
    idle::idle_vs_link_drop, 2, 2, Kept, "a link counts below its other parents";
    link::link_vs_cancel, 2, 2, Kept, "a link made during a cancel of a parent is done, with its cause and origin (V21, V5)";
    link::link_vs_two_cancels, 2, 2, Kept, "the first of two parents decides, and a wait is woken once (V21, V6)";
    link::link_drop_vs_cancel, 2, 2, Full, "a link dropped during a cancel of a parent is freed once (F1, N7)";
    link::link_and_child_drop_vs_cancel, 2, 2, Kept, "so is one that only a child keeps (N7)";
    link::last_handle_of_a_link_sees_the_child, 2, 2, Kept, "the last drop sees a child made through another handle (N7)";
    link::link_of_a_dropped_parent_vs_cancel, 2, 2, Kept, "a parent that nobody holds relays to its links (V9, V21)";
    link::link_vs_losing_cancel, 2, 1, Kept, "a loser returns with what is behind a link marked (V3, V21)";
    link::link_child_vs_cancel, 2, 2, Kept, "a child attached below a link during a cancel is done (V5)";
    link::link_diamond_vs_cancel, 2, 1, Kept, "a link to a sibling is done once, and wakes (V16)";
    link::link_cancel_vs_cancel_of_other, 2, 2, Kept, "its own cancel or its parent's, and the cause of that one (V6)";
    link::two_links_vs_cancel, 3, 1, Kept, "links made by two threads are both done";
    source::source_vs_derive, 2, 2, Kept, "a source that fires while it is registered is heard";
    source::source_vs_cancel, 2, 2, Kept, "a source or the handle decides (V6)";
    source::source_vs_drop, 2, 2, Full, "a source may fire while its context goes (F1, N7)";
    source::source_vs_last_child, 2, 2, Kept, "or while the last child of it goes";
    source::source_of_a_dropped_context_vs_child, 2, 2, Kept, "and reaches the child of a context that nobody holds (V9)";
    value::value_lookup_vs_lookup, 2, 2, Kept, "two lookups make the same index, each finds what is there (V20, E3)";
    value::value_lookup_vs_drop, 3, 1, Kept, "so they do while handles above are dropped (E1)";
    value::value_drop_vs_drop, 2, 2, Kept, "a value is dropped once, after all that was done with it (V20)";
    value::value_drop_vs_lookup, 2, 2, Kept, "the same where two children keep its context (V20, T7)";
    value::value_orphan_vs_lookup, 2, 2, Kept, "and where its context's last handle and the child's go at once (V20, T7)";
}
