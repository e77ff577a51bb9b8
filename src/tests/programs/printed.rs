#[test]
fn pasted() {
    use crate::tests::programs::{How::*, Op::*};
    let program = Program {
        curious: true,
        newest_first: false,
        ops: vec![
            Derive { from: 0, how: Built { named: true } },
            Wait { slot: 0, then: List(vec![Drop { slot: 1 }, Panic]) },
        ],
    };
    again(concat!(module_path!(), "::pasted"), program);
}
