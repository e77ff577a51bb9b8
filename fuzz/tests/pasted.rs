//! Programs of `cancel_attach` and `wheel` as their `Debug` prints them. New ones go to the
//! end. Those of `ops` go to the library's own `properties`.

use ctxtree_fuzz::{Case, cancel_attach, decode, wheel};
use std::fmt::Debug;

/// What is printed can be pasted: the file is both compiled here and compared
/// with what an input prints.
mod printed {
    include!("pasted/cancel_attach.rs");
    include!("pasted/wheel.rs");
}

fn printed<P: Case + Debug>(bytes: &[u8]) -> String {
    format!("{:?}\n", decode::<P>(bytes).expect("a program"))
}

#[test]
fn what_is_printed_can_be_pasted() {
    let bytes = include_bytes!("../regressions/cancel_attach/two_cancels");
    let as_printed = include_str!("pasted/cancel_attach.rs");
    assert_eq!(printed::<cancel_attach::Program>(bytes), as_printed);
    let bytes = include_bytes!("../seeds/wheel/p25_callbacks_arm_driven");
    let as_printed = include_str!("pasted/wheel.rs");
    assert_eq!(printed::<wheel::Program>(bytes), as_printed);
}

/// A push between a reaper's look at the head and its compare-and-swap, while
/// links further down do not know their predecessors yet. It takes some tries.
#[test]
fn pushed_while_the_head_goes() {
    use cancel_attach::{Act::*, Program, Script, Seed, Step};
    let program = Program {
        tree: vec![Seed {
            parent: 0,
            shielded: false,
            split: false,
            waits: 0,
            holders: 3,
        }],
        first: Script {
            steps: [
                Derive { slot: 0 },
                Derive { slot: 0 },
                Churn { slot: 0, times: 39 },
            ]
            .map(|act| Step { spin: 0, act })
            .to_vec(),
            drop_all: false,
        },
        second: Script {
            steps: vec![Step {
                spin: 0,
                act: Churn { slot: 0, times: 39 },
            }],
            drop_all: false,
        },
        third: None,
    };
    for _ in 0..300 {
        ctxtree_fuzz::run(&program);
    }
}
