//! One test for each model.

macro_rules! tests {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                loom_tests::check(stringify!($name));
            }
        )*

        #[test]
        fn every_model_is_run() {
            let named = [$(stringify!($name)),*];
            for model in loom_tests::models::ALL {
                assert!(named.contains(&model.name), "`{}` has no test", model.name);
            }
        }
    };
}

tests! {
    cancel_vs_attach
    cancel_with_cause_vs_attach
    cancel_vs_attach_with_collector
    cancel_vs_two_attaches
    cancel_vs_attach_below
    cancel_vs_cancel
    cancel_vs_cancel_vs_attach
    cancel_vs_cancel_deep
    cancel_vs_cancel_observed
    cancel_vs_cancel_nested
    cancel_vs_poll
    cancel_vs_poll_below
    cancel_vs_cancel_causes
    split_vs_cancel
    split_vs_attach
    cancel_vs_detach
    cancel_vs_detach_batch
    cancel_vs_detach_batch_with_collector
    cancel_vs_detach_batch_focused
    count_vs_detach_batch
    count_vs_attach
    detach_vs_detach
    detach_vs_detach_vs_attach
    detach_vs_detach_vs_cancel
    detach_from_the_middle
    detach_of_the_newest_vs_attach
    handles_dropped_together
    last_handle_sees_the_child
    orphan_vs_child_drop
    orphan_vs_two_child_drops
    orphan_cause_vs_child_read
    orphan_two_lanes
    orphan_vs_cancel
    orphan_vs_cancel_focused
    orphan_chain
    snapshot_vs_attach
    snapshot_vs_cancel
    snapshot_vs_attach_vs_cancel
    snapshot_vs_detach
    snapshot_vs_orphan
    snapshot_vs_listeners_dropped
    snapshot_vs_link
    snapshot_vs_link_born_done
    snapshot_vs_link_drop
    wait_vs_cancel
    wait_vs_cancel_of_the_parent
    two_waits_vs_cancel
    wait_drop_vs_cancel
    wait_drops_vs_cancel
    wait_repoll_vs_cancel
    wait_and_last_handle_vs_cancel
    wait_and_reaped_handle_vs_cancel
    repolled_wait_and_reaped_handle_vs_cancel
    wait_vs_two_cancels
    callback_vs_cancel
    callback_vs_cancel_of_the_parent
    register_and_stop_vs_cancel
    stop_vs_cancel
    stops_vs_cancel
    stops_of_the_older_vs_cancel
    stop_vs_stop
    stop_vs_reaping_stop
    stop_vs_last_handle
    stops_vs_last_handle
    detached_vs_last_handle_vs_cancel
    stop_vs_last_handle_vs_cancel
    stop_and_join_vs_cancel
    stop_and_join_vs_last_handle
    two_joins_vs_cancel
    link_vs_cancel
    link_vs_two_cancels
    link_drop_vs_cancel
    link_and_child_drop_vs_cancel
    last_handle_of_a_link_sees_the_child
    link_of_a_dropped_parent_vs_cancel
    link_vs_losing_cancel
    link_child_vs_cancel
    link_diamond_vs_cancel
    link_cancel_vs_cancel_of_other
    two_links_vs_cancel
    source_vs_derive
    source_vs_cancel
    source_vs_drop
    source_vs_last_child
    source_of_a_dropped_context_vs_child
    value_lookup_vs_lookup
    value_lookup_vs_drop
    value_drop_vs_drop
    value_drop_vs_lookup
    value_orphan_vs_lookup
}
