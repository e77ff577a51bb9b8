//! Seeds of `cancel_attach`.

use super::Seeds;
use crate::cancel_attach::{Act, Act::*, Program, Script, Seed, Step};

/// A context below `parent`, held by all threads and until the end.
fn held(parent: u8) -> Seed {
    Seed {
        parent,
        shielded: false,
        split: false,
        waits: 1,
        holders: 15,
    }
}

/// The same, held by these threads only.
fn held_by(parent: u8, holders: u8) -> Seed {
    Seed {
        holders,
        waits: 0,
        ..held(parent)
    }
}

fn split(parent: u8) -> Seed {
    Seed {
        split: true,
        ..held(parent)
    }
}

fn script(acts: &[Act], drop_all: bool) -> Script {
    let step = |(place, &act): (usize, &Act)| Step {
        spin: place as u8,
        act,
    };
    Script {
        steps: acts.iter().enumerate().map(step).collect(),
        drop_all,
    }
}

fn program(tree: &[Seed], scripts: &[Script]) -> Vec<u8> {
    let program = Program {
        tree: tree.to_vec(),
        first: scripts[0].clone(),
        second: scripts[1].clone(),
        third: scripts.get(2).cloned(),
    };
    program.encode()
}

pub(super) fn all() -> Seeds {
    let cancel = script(&[CancelWith { handle: 0 }], false);
    let derive = Derive { slot: 0 };
    let churn = Churn { slot: 0, times: 39 };
    let wait = Wait { slot: 0 };
    vec![
        (
            "p01_attach_while_cancelled",
            program(
                &[held(0)],
                &[
                    script(
                        &[derive, Derive { slot: 2 }, derive, Look { slot: 4 }],
                        false,
                    ),
                    cancel.clone(),
                ],
            ),
        ),
        (
            "p02_wait_while_cancelled",
            program(
                &[held(0)],
                &[
                    script(
                        &[
                            wait,
                            Poll {
                                wait: 0,
                                waker: true,
                            },
                            wait,
                        ],
                        false,
                    ),
                    cancel.clone(),
                ],
            ),
        ),
        (
            "p05_none_to_one_to_many",
            program(
                &[held_by(0, 7)],
                &[
                    script(&[wait, wait, DropWait { wait: 0 }, wait], false),
                    script(&[wait, DropWait { wait: 0 }], false),
                    cancel.clone(),
                ],
            ),
        ),
        (
            "p06_attach_while_it_goes",
            program(
                &[held_by(0, 3)],
                &[
                    script(&[derive, Drop { slot: 0 }, Drop { slot: 0 }], true),
                    script(&[derive, Drop { slot: 0 }, Drop { slot: 0 }], true),
                ],
            ),
        ),
        (
            "p07_losing_cancel_returns",
            program(
                &[held(0), held(2), held(3), held(2), held(5)],
                &[
                    script(&[Cancel { handle: 0 }, Look { slot: 9 }], false),
                    script(&[Cancel { handle: 0 }, Look { slot: 7 }], false),
                    script(&[Cancel { handle: 0 }, Look { slot: 5 }], false),
                ],
            ),
        ),
        (
            "p10_two_causes",
            program(
                &[held(0), held(2), held(3)],
                &[
                    script(&[CancelWith { handle: 1 }, Look { slot: 5 }], false),
                    cancel.clone(),
                ],
            ),
        ),
        (
            "p15_cancel_while_the_last_goes",
            program(
                &[held_by(0, 3), held_by(2, 2)],
                &[
                    script(&[Cancel { handle: 0 }], true),
                    script(&[Drop { slot: 2 }, Drop { slot: 2 }], true),
                ],
            ),
        ),
        (
            "p17_child_then_parent",
            program(
                &[held(0), held(2), held(3)],
                &[
                    script(
                        &[Look { slot: 4 }, Look { slot: 2 }, Look { slot: 0 }],
                        false,
                    ),
                    script(&[Look { slot: 4 }, Look { slot: 0 }], false),
                    cancel.clone(),
                ],
            ),
        ),
        (
            "p43_other_waker_while_cancelled",
            program(
                &[held(0)],
                &[
                    script(
                        &[
                            wait,
                            Poll {
                                wait: 0,
                                waker: true,
                            },
                            Poll {
                                wait: 0,
                                waker: false,
                            },
                            DropWait { wait: 0 },
                        ],
                        false,
                    ),
                    cancel.clone(),
                ],
            ),
        ),
        (
            "p46_middle_goes_while_cancelled",
            program(
                &[held(0), held_by(2, 1), held_by(3, 1), held_by(4, 8)],
                &[
                    script(
                        &[Drop { slot: 2 }, Drop { slot: 2 }, Drop { slot: 2 }],
                        true,
                    ),
                    cancel.clone(),
                ],
            ),
        ),
        (
            "p47_churn_at_once",
            program(
                &[held(0)],
                &[
                    script(&[churn, churn], false),
                    script(&[churn, churn], false),
                    script(&[churn, Split { slot: 0 }, churn], false),
                ],
            ),
        ),
        (
            "p50_neighbours_go",
            program(
                &[
                    held_by(0, 8),
                    held_by(2, 1),
                    held_by(2, 2),
                    held_by(2, 1),
                    held_by(2, 2),
                ],
                &[script(&[], true), script(&[], true)],
            ),
        ),
        (
            "p51_go_under_a_walk",
            program(
                &[held(0), held_by(2, 2), held_by(2, 2), held_by(2, 2)],
                &[
                    script(&[Look { slot: 0 }; 8], false),
                    script(&[churn; 8], true),
                    cancel.clone(),
                ],
            ),
        ),
        (
            "p59_churn_while_cancelled",
            program(
                &[split(0)],
                &[
                    script(&[churn, churn], false),
                    script(&[churn, derive, Look { slot: 2 }], false),
                    cancel,
                ],
            ),
        ),
    ]
}
