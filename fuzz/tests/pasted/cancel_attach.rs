#[test]
fn pasted_cancel_attach() {
    use ctxtree_fuzz::cancel_attach::{Act::*, Program, Script, Seed, Step};
    let program = Program {
        tree: vec![
            Seed { parent: 0, shielded: false, split: false, waits: 0, holders: 135 },
        ],
        first: Script {
            steps: vec![
                Step { spin: 0, act: Derive { slot: 0 } },
                Step { spin: 0, act: CancelWith { handle: 0 } },
            ],
            drop_all: false,
        },
        second: Script {
            steps: vec![
                Step { spin: 0, act: Cancel { handle: 0 } },
            ],
            drop_all: false,
        },
        third: None,
    };
    ctxtree_fuzz::run(&program);
}
