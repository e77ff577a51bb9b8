//! Programs as their `Debug` prints them. New ones go to the end.

use ctxtree_fuzz::{cancel_attach, decode, ops};

/// What is printed can be pasted: the two files are both compiled here and
/// compared with what two inputs print.
mod printed {
    include!("pasted/ops.rs");
    include!("pasted/cancel_attach.rs");
}

#[test]
fn what_is_printed_can_be_pasted() {
    let program = decode::<ops::Program>(include_bytes!("../regressions/ops/waker_kept"));
    let printed = format!("{:?}\n", program.expect("a program"));
    assert_eq!(printed, include_str!("pasted/ops.rs"));

    let bytes = include_bytes!("../regressions/cancel_attach/two_cancels");
    let program = decode::<cancel_attach::Program>(bytes);
    let printed = format!("{:?}\n", program.expect("a program"));
    assert_eq!(printed, include_str!("pasted/cancel_attach.rs"));
}
