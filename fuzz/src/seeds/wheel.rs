//! Seeds of `wheel`.

use super::Seeds;
use crate::wheel::{Program, Step, Step::*, Then, When, When::*};

const TICK: u64 = 1 << 19;
const YEAR: u64 = 365 * 24 * 3_600_000_000_000;

fn nothing() -> Then {
    Then::default()
}

/// A deadline below the root whose callback does nothing.
fn at(at: When) -> Step {
    Deadline {
        below: 255,
        at,
        then: nothing(),
    }
}

fn at_then(at: When, then: Vec<Step>) -> Step {
    Deadline {
        below: 255,
        at,
        then: Then(then),
    }
}

/// On a manual clock and on a driver.
fn both(all: &mut Seeds, names: [&'static str; 2], steps: impl Fn() -> Vec<Step>) {
    for (driven, name) in [false, true].into_iter().zip(names) {
        let program = Program {
            driven,
            newest_first: driven,
            steps: steps(),
        };
        all.push((name, program.encode()));
    }
}

pub(super) fn all() -> Seeds {
    let mut all = Vec::new();
    both(
        &mut all,
        ["p25_callbacks_arm", "p25_callbacks_arm_driven"],
        || {
            let again = || at(In(TICK));
            vec![
                at_then(In(TICK), vec![again(), at(In(0)), Count]),
                at_then(In(TICK), vec![again(), Cancel { slot: 0 }]),
                at_then(In(2 * TICK), vec![Drop { slot: 0 }, Drop { slot: 0 }]),
                Advance { by: 5 * TICK },
                Run,
                Advance { by: 5 * TICK },
                Run,
            ]
        },
    );
    both(
        &mut all,
        [
            "p27_some_callbacks_panic",
            "p27_some_callbacks_panic_driven",
        ],
        || {
            vec![
                at_then(In(100), vec![Panic]),
                at(In(100)),
                at_then(With(0), vec![Panic]),
                Deadline {
                    below: 0,
                    at: In(50),
                    then: Then(vec![Drop { slot: 1 }, Panic]),
                },
                Advance { by: 2 * TICK },
                Run,
                Count,
            ]
        },
    );
    both(
        &mut all,
        ["p46_middle_goes_first", "p46_middle_goes_first_driven"],
        || {
            let below = |below, length| Deadline {
                below,
                at: In(length),
                then: nothing(),
            };
            vec![
                at(In(9 * TICK)),
                below(0, 20 * TICK),
                below(1, 3 * TICK),
                Shield { below: 2 },
                below(3, 30 * TICK),
                Drop { slot: 1 },
                Drop { slot: 0 },
                Count,
                Advance { by: 4 * TICK },
                Run,
                Count,
                Advance { by: 40 * TICK },
                Run,
            ]
        },
    );
    both(
        &mut all,
        ["p66_no_stale_timer", "p66_no_stale_timer_driven"],
        || {
            vec![
                at(In(5 * TICK)),
                Run,
                Drop { slot: 0 },
                at(In(50 * TICK)),
                Advance { by: 6 * TICK },
                Run,
                Churn {
                    below: 255,
                    at: In(TICK),
                    times: 70,
                },
                Move {
                    slot: 0,
                    to: In(90 * TICK),
                },
                Advance { by: 50 * TICK },
                Run,
                Count,
                Idle {
                    below: 0,
                    length: 9 * TICK,
                    then: nothing(),
                },
                Touch { slot: 1 },
                Advance { by: 8 * TICK },
                Touch { slot: 1 },
                Advance { by: 8 * TICK },
                Run,
                Touch { slot: 1 },
                Count,
            ]
        },
    );
    both(
        &mut all,
        [
            "p66_moved_before_it_is_taken_in",
            "p66_moved_before_it_is_taken_in_driven",
        ],
        || {
            vec![
                at(In(50 * TICK)),
                Run,
                at(In(70 * TICK)),
                Move {
                    slot: 1,
                    to: In(9 * TICK),
                },
                Idle {
                    below: 255,
                    length: 5 * TICK,
                    then: nothing(),
                },
                Move {
                    slot: 2,
                    to: In(30 * TICK),
                },
                Touch { slot: 2 },
                Advance { by: 10 * TICK },
                Run,
                Count,
            ]
        },
    );
    both(
        &mut all,
        ["p67_all_within_one_tick", "p67_all_within_one_tick_driven"],
        || {
            vec![
                Many {
                    below: 255,
                    at: In(TICK),
                    apart: 1,
                    count: 10,
                },
                Cancel { slot: 3 },
                Move {
                    slot: 4,
                    to: With(9),
                },
                Move {
                    slot: 5,
                    to: In(10 * TICK),
                },
                Drop { slot: 0 },
                Count,
                Many {
                    below: 255,
                    at: In(TICK),
                    apart: 0,
                    count: 99,
                },
                Cancel { slot: 20 },
                Run,
                Move {
                    slot: 30,
                    to: In(7),
                },
                Move {
                    slot: 31,
                    to: In(70 * TICK),
                },
                Move {
                    slot: 31,
                    to: In(2),
                },
                Advance { by: TICK },
                Run,
                Count,
                Advance { by: TICK },
                Run,
                Count,
            ]
        },
    );
    both(
        &mut all,
        ["p68_near_and_far", "p68_near_and_far_driven"],
        || {
            let mut steps = vec![at(In(0)), at(Ago(YEAR)), at(In(u64::MAX))];
            for bit in 0..64 {
                steps.push(at(In((1 << bit) - 1)));
                steps.push(at(In(1 << bit)));
            }
            steps.push(Timeout {
                below: 255,
                after: u64::MAX,
                then: nothing(),
            });
            for bit in (0..60).step_by(3) {
                steps.extend([Advance { by: 1 << bit }, Run]);
            }
            steps.extend([Set { to: Ago(YEAR) }, at(In(YEAR / 2)), Run]);
            steps.extend([Advance { by: 100 * YEAR }, Run, Count]);
            steps.extend([Advance { by: u64::MAX }, Run, Count]);
            steps
        },
    );
    both(
        &mut all,
        [
            "p69_deadline_and_cancel_tie",
            "p69_deadline_and_cancel_tie_driven",
        ],
        || {
            vec![
                at_then(In(TICK), vec![Cancel { slot: 1 }, Cancel { slot: 2 }]),
                at(With(0)),
                at_then(
                    In(5 * TICK),
                    vec![Move {
                        slot: 2,
                        to: In(9 * TICK),
                    }],
                ),
                Deadline {
                    below: 2,
                    at: With(0),
                    then: nothing(),
                },
                Advance { by: TICK },
                Cancel { slot: 0 },
                Run,
                Advance { by: 9 * TICK },
                Run,
            ]
        },
    );
    all
}
