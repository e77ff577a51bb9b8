//! Seeds of `ops`.

use super::Seeds;
use crate::ops::Program;
use crate::ops::programs::Fires::*;
use crate::ops::programs::How::*;
use crate::ops::programs::Op::{self, *};
use crate::ops::programs::{Fires, List};

/// By `with_cancel`: two new slots, of which the second cancels.
fn child(from: u8) -> Op {
    Derive { from, how: Plain }
}

fn link(from: u8, others: Vec<u8>) -> Op {
    Derive {
        from,
        how: Link {
            others: List(others),
        },
    }
}

fn source(fires: Fires, sticky: bool) -> Op {
    Derive {
        from: 255,
        how: Source {
            fires,
            sticky,
            cause: true,
        },
    }
}

fn after(slot: u8, then: Vec<Op>) -> Op {
    After {
        slot,
        then: List(then),
    }
}

fn wait(slot: u8, then: Vec<Op>) -> Op {
    Wait {
        slot,
        then: List(then),
    }
}

fn poll(wait: u8, waker: bool) -> Op {
    Poll { wait, waker }
}

fn cancel(handle: u8) -> Op {
    Cancel { handle }
}

fn stop(registration: u8) -> Op {
    Stop {
        registration,
        join: registration % 2 == 1,
    }
}

fn gone(slot: u8) -> Op {
    Drop { slot }
}

fn idle(slot: u8) -> Op {
    Idle { slot }
}

fn ask(slot: u8) -> Op {
    Ask { slot }
}

pub(super) fn all() -> Seeds {
    let programs: Vec<(&'static str, Vec<Op>)> = vec![
        (
            "p10_first_cause_stays",
            vec![
                child(255),
                child(0),
                child(2),
                CancelWith { handle: 1 },
                CancelWith { handle: 0 },
                cancel(2),
            ],
        ),
        (
            "p11_late_child_has_the_cause",
            vec![
                child(255),
                CancelWith { handle: 0 },
                child(0),
                child(2),
                link(255, vec![2]),
            ],
        ),
        (
            "p16_callbacks_see_all_marked",
            vec![
                child(255),
                child(0),
                child(0),
                link(2, vec![4]),
                after(0, vec![ask(2), ask(6)]),
                after(4, vec![ask(0), ask(6)]),
                after(6, vec![ask(2), ask(4)]),
                cancel(0),
            ],
        ),
        (
            "p18_parents_first_then_in_order",
            vec![
                child(255),
                child(0),
                after(2, vec![]),
                wait(2, vec![]),
                poll(0, false),
                after(0, vec![]),
                wait(0, vec![]),
                poll(1, true),
                after(0, vec![]),
                cancel(0),
            ],
        ),
        (
            "p21_callback_asks_all_above",
            vec![
                child(255),
                child(0),
                child(2),
                after(4, vec![ask(0), ask(2), ask(4)]),
                cancel(0),
            ],
        ),
        (
            "p22_waker_comes_back",
            vec![
                child(255),
                wait(0, vec![child(0), gone(0), cancel(0)]),
                wait(
                    0,
                    vec![DropWait { wait: 0 }, wait(0, vec![]), poll(1, true)],
                ),
                poll(0, false),
                poll(1, false),
                cancel(0),
            ],
        ),
        (
            "p23_callback_drops_the_last",
            vec![
                child(255),
                child(0),
                after(0, vec![gone(0), gone(0), gone(0)]),
                Detach { registration: 0 },
                wait(2, vec![gone(0), DropWait { wait: 0 }]),
                poll(0, false),
                cancel(0),
            ],
        ),
        (
            "p24_callback_drops_its_siblings",
            vec![
                child(255),
                after(
                    0,
                    vec![DropRegistration { registration: 1 }, stop(1), gone(0)],
                ),
                after(0, vec![]),
                after(0, vec![]),
                after(0, vec![DropRegistration { registration: 0 }]),
                cancel(0),
            ],
        ),
        (
            "p25_callback_attaches",
            vec![
                child(255),
                after(0, vec![child(0), after(0, vec![child(0)]), wait(0, vec![])]),
                cancel(0),
                poll(0, false),
            ],
        ),
        (
            "p26_callback_cancels_all_around",
            vec![
                child(255),
                child(0),
                child(0),
                child(2),
                after(2, vec![cancel(0), cancel(1), cancel(2)]),
                after(6, vec![CancelWith { handle: 0 }, cancel(3)]),
                cancel(1),
            ],
        ),
        (
            "p27_some_panic",
            vec![
                child(255),
                after(0, vec![Panic]),
                after(0, vec![]),
                wait(0, vec![Panic]),
                poll(0, false),
                after(0, vec![gone(0), Panic]),
                wait(0, vec![]),
                poll(1, false),
                cancel(0),
            ],
        ),
        (
            "p28_panic_out_of_a_guard",
            vec![
                child(255),
                Guard { slot: 1 },
                after(0, vec![Panic]),
                gone(1),
                ask(0),
            ],
        ),
        (
            "p36_stop_of_what_runs",
            vec![
                child(255),
                after(0, vec![stop(0), stop(1), stop(0)]),
                after(0, vec![stop(0), stop(1)]),
                cancel(0),
                stop(0),
                stop(1),
            ],
        ),
        (
            "p37_stopped_twice",
            vec![
                child(255),
                after(0, vec![]),
                stop(0),
                stop(0),
                cancel(0),
                stop(0),
            ],
        ),
        (
            "p38_registered_after_one_has_gone",
            vec![
                child(255),
                after(0, vec![]),
                after(0, vec![]),
                stop(0),
                after(0, vec![]),
                DropRegistration { registration: 0 },
                after(0, vec![]),
                cancel(0),
            ],
        ),
        (
            "p40_source_fires_meanwhile",
            vec![
                source(Before, false),
                source(Meanwhile, true),
                source(Silently, false),
                source(Later, true),
                source(Later, false),
                after(6, vec![Fire { source: 0 }]),
                Fire { source: 0 },
                gone(8),
                gone(8),
                Fire { source: 0 },
            ],
        ),
        (
            "p42_made_before_and_polled_after",
            vec![
                child(255),
                wait(0, vec![]),
                cancel(0),
                poll(0, false),
                poll(0, true),
            ],
        ),
        (
            "p43_last_waker_is_woken",
            vec![
                child(255),
                wait(0, vec![]),
                poll(0, false),
                poll(0, true),
                poll(0, true),
                cancel(0),
            ],
        ),
        (
            "p45_leaf_is_woken",
            vec![
                child(255),
                child(0),
                child(2),
                wait(4, vec![]),
                poll(0, false),
                cancel(0),
            ],
        ),
        (
            "p46_middle_goes_first",
            vec![
                child(255),
                child(0),
                child(2),
                child(4),
                gone(2),
                gone(2),
                gone(2),
                gone(2),
                cancel(0),
                gone(0),
                gone(0),
            ],
        ),
        (
            "p47_children_come_and_go",
            vec![
                child(255),
                Churn { slot: 0, times: 39 },
                Split { slot: 0 },
                Churn { slot: 0, times: 39 },
                child(0),
                Churn { slot: 0, times: 39 },
                cancel(0),
                Churn { slot: 0, times: 39 },
            ],
        ),
        (
            "p48_unlinked_at_once_once_somebody_waits",
            vec![
                child(255),
                Churn { slot: 0, times: 9 },
                idle(0),
                child(0),
                idle(0),
                link(255, vec![0]),
                gone(2),
                gone(2),
                idle(0),
                cancel(0),
                idle(0),
                idle(2),
                Churn { slot: 0, times: 20 },
                idle(0),
            ],
        ),
        (
            "p50_neighbours_go",
            vec![
                child(255),
                child(0),
                child(0),
                child(0),
                gone(4),
                gone(4),
                gone(2),
                gone(2),
                child(0),
                gone(2),
                gone(2),
                cancel(0),
            ],
        ),
        (
            "p55_abandoned",
            vec![
                source(Later, false),
                link(0, vec![255]),
                after(0, vec![ask(0)]),
                Detach { registration: 0 },
                wait(2, vec![]),
                poll(0, false),
                gone(0),
                gone(0),
                gone(0),
                gone(0),
            ],
        ),
        (
            "p62_deep_values",
            vec![
                Derive {
                    from: 255,
                    how: Values {
                        first: 0,
                        times: 19,
                    },
                },
                Derive {
                    from: 0,
                    how: Values {
                        first: 9,
                        times: 19,
                    },
                },
                Derive {
                    from: 1,
                    how: Built {
                        named: true,
                        shielded: true,
                        keys: List(vec![0, 5, 5]),
                        others: List(vec![0]),
                    },
                },
                ask(2),
                gone(0),
                ask(1),
            ],
        ),
    ];
    let encoded = |(name, ops)| (name, Program::of(ops).encode());
    programs.into_iter().map(encoded).collect()
}
