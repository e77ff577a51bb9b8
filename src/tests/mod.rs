//! Black-box tests of the public surface, by theme.
//!
//! The numbers in the comments are those of the promises and of the
//! conformance cases that a test stands for.

mod allocations;
mod auto_traits;
mod blocking;
mod bridges;
mod callback_stops;
mod callback_stress;
mod cancel;
mod causes;
mod chains;
mod clock_waits;
mod clocks;
mod conformance_table;
#[cfg(feature = "tokio")]
mod context_tokens;
mod deadline_depth;
mod deadline_edges;
mod deadline_layers;
mod deadline_moves;
mod deadline_timers;
mod deadlines;
#[cfg(feature = "internal-model")]
mod deadlines_in_use;
mod depth;
mod display;
mod drain;
mod drain_edges;
mod drain_in_use;
mod drain_limits;
mod drain_reports;
mod driver_wakes;
mod drivers;
mod every;
mod fake_driver;
mod flat_memory;
mod foreign;
mod go_callbacks;
mod go_causes;
mod go_deadlines;
mod go_expiry;
mod go_sources;
mod go_tree;
mod go_values;
mod group_tools;
mod hostile_callbacks;
mod hostile_deadlines;
mod hostile_idlers;
mod hostile_links;
mod hostile_sources;
mod hostile_wakers;
mod idle;
mod idle_edges;
mod idle_lanes;
mod idle_timeout;
mod layering;
mod layers;
#[cfg(all(crossbeam_sanitize, feature = "internal-model", target_os = "linux"))]
mod leaks;
mod lifetime;
mod link_graphs;
mod links;
#[cfg(feature = "internal-model")]
mod listeners;
mod memory;
#[cfg(feature = "internal-model")]
mod mixed;
mod monitor;
#[cfg(feature = "internal-model")]
mod no_timer_thread;
mod odd_shapes;
mod orderings;
mod overflow;
#[cfg(feature = "internal-model")]
mod places;
#[cfg(feature = "internal-model")]
mod places_in_use;
#[cfg(feature = "internal-model")]
mod programs;
mod promises;
#[cfg(feature = "internal-model")]
mod properties;
mod real_time;
#[cfg(feature = "internal-model")]
mod reference;
mod repolls;
mod run;
mod scope;
mod scope_failures;
#[cfg(feature = "internal-model")]
mod snapshot;
#[cfg(feature = "internal-model")]
mod snapshot_in_use;
mod source_paths;
#[cfg(feature = "internal-model")]
mod split_lists;
#[cfg(feature = "stream")]
mod stream;
mod task_group;
mod task_group_counts;
mod task_group_edges;
mod task_group_errors;
mod task_group_forgotten;
mod task_group_hostile;
mod task_group_join;
mod task_group_limit;
mod task_group_memory;
mod task_group_places;
mod task_group_races;
mod task_group_spawners;
mod task_group_stragglers;
mod task_group_stress;
mod task_group_sweep;
#[cfg(feature = "tokio")]
mod task_group_tokio;
mod ties;
#[cfg(feature = "tokio")]
mod tokens;
#[cfg(feature = "tokio")]
mod tokens_in_use;
#[cfg(feature = "tokio")]
mod tokio_ends;
#[cfg(feature = "tokio")]
mod tokio_time;
mod tools;
#[cfg(feature = "internal-model")]
mod tree_html;
#[cfg(feature = "internal-model")]
mod tree_mermaid;
#[cfg(feature = "internal-model")]
mod tree_names;
#[cfg(feature = "internal-model")]
mod tree_text;
#[cfg(feature = "internal-model")]
mod value_drops;
mod values;
mod wait;
