#[test]
fn pasted() {
    use crate::tests::programs::{Fires::*, How::*, Op::*};
    let program = Program {
        curious: true,
        cancel_all: false,
        newest_first: false,
        ops: vec![
            Derive { from: 0, how: Built { named: true, shielded: false, keys: List(vec![1, 3]), others: List(vec![]) } },
            Derive { from: 0, how: Source { fires: Later, sticky: true, cause: false } },
            Wait { slot: 0, then: List(vec![Drop { slot: 1 }, Panic]) },
        ],
    };
    again(concat!(module_path!(), "::pasted"), program);
}
