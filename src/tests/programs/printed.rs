#[test]
fn pasted() {
    use crate::tests::programs::{How::*, Op::*};
    let program = Program {
        curious: true,
        cancel_all: false,
        newest_first: false,
        ops: vec![
            Derive { from: 0, how: Built { named: true, shielded: false } },
            Wait { slot: 0, then: List(vec![Drop { slot: 1 }, Panic]) },
        ],
    };
    again(concat!(module_path!(), "::pasted"), program);
}
