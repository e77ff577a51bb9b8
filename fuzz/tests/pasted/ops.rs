#[test]
fn pasted_ops() {
    use ctxtree_fuzz::ops::{Kind::*, Op::*, Program};
    let program = Program {
        newest_first: false,
        ops: vec![
            Derive { from: 0, kind: Plain },
            Wait { slot: 0 },
            Poll { wait: 0, waker: false },
        ],
    };
    ctxtree_fuzz::run(&program);
}
