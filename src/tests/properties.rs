//! Random programs against the reference. What fails is shrunk, and printed as
//! a test that can be pasted here.
//!
//! Always the same programs, so that a run can be trusted and repeated:
//! `PROPERTIES_SEED=7` makes others, `PROPERTIES_TIMES=100` a hundred times as
//! many (a test is given a minute: `CTXTREE_TEST_PATIENCE=3600` gives more), and
//! `PROPERTIES_SHARE=50` one of fifty, for a build that is slow.
//! `PROPERTIES_SHOW=1` prints each before it runs, for those that end the
//! process.

use super::programs::{Fires, How, List, Op, Program, run};
use super::tools::alone;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

fn setting(name: &str, default: u32) -> u32 {
    let value = std::env::var(name);
    value.map_or(default, |text| text.parse().expect("a number"))
}

/// Runs so many programs made of these operations, in a process of its own.
fn check(test: &'static str, cases: u32, op: fn() -> BoxedStrategy<Op>) {
    alone(test, move || {
        let config = Config {
            cases: cases * setting("PROPERTIES_TIMES", 1) / setting("PROPERTIES_SHARE", 1),
            failure_persistence: None,
            // In milliseconds: a test is given a minute.
            max_shrink_time: 20_000,
            max_shrink_iters: u32::MAX,
            ..Config::default()
        };
        let seed = u128::from(setting("PROPERTIES_SEED", 1));
        // A good one takes half the time of a debug build.
        let rng = TestRng::from_seed(RngAlgorithm::XorShift, &seed.to_le_bytes());
        // Each try of the shrinking panics; only the last is of interest.
        let default = panic::take_hook();
        panic::set_hook(Box::new(|info| {
            // The first: others may follow from it.
            PANIC.lock().unwrap().get_or_insert(info.to_string());
        }));
        let result = TestRunner::new_with_rng(config, rng).run(&programs(op()), |program| {
            if setting("PROPERTIES_SHOW", 0) != 0 {
                eprintln!("{program:?}");
            }
            let ran = catch_unwind(AssertUnwindSafe(|| run(&program)));
            ran.map_err(|_| TestCaseError::fail(PANIC.lock().unwrap().take().unwrap()))
        });
        panic::set_hook(default);
        match result {
            Ok(()) => {}
            Err(TestError::Fail(reason, program)) => panic!("{reason}\n\n{program:?}"),
            Err(TestError::Abort(reason)) => panic!("gave up: {reason}"),
        }
    });
}

/// Runs a program that was printed, in the test of this path.
fn again(test: &'static str, program: Program) {
    let in_crate = test.split_once("::").map_or(test, |(_, rest)| rest);
    alone(in_crate, move || run(&program));
}

/// Where and why a check failed.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

fn programs(op: BoxedStrategy<Op>) -> impl Strategy<Value = Program> {
    let ops = proptest::collection::vec(op, 1..40);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (flags, ops).prop_map(|((curious, cancel_all, newest_first), ops)| Program {
        curious,
        cancel_all,
        newest_first,
        ops,
    })
}

/// A number that chooses among what there is.
fn n() -> std::ops::RangeInclusive<u8> {
    0..=u8::MAX
}

fn how() -> BoxedStrategy<How> {
    prop_oneof![
        4 => Just(How::Plain),
        1 => Just(How::Shielded),
        1 => (n(), 0..1u8).prop_map(|(first, times)| How::Values { first, times }),
        1 => built(0..3),
    ]
    .boxed()
}

/// Many values, some of them under one key.
fn valued_how() -> BoxedStrategy<How> {
    prop_oneof![
        1 => how(),
        2 => (n(), n()).prop_map(|(first, times)| How::Values { first, times }),
        1 => built(0..8),
    ]
    .boxed()
}

fn built(values: std::ops::Range<usize>) -> impl Strategy<Value = How> {
    let facets = (
        any::<bool>(),
        any::<bool>(),
        list(n(), values),
        list(n(), 0..2),
    );
    facets.prop_map(|(named, shielded, keys, others)| How::Built {
        named,
        shielded,
        keys,
        others,
    })
}

/// More ways for a cancel to come.
fn tied_how() -> BoxedStrategy<How> {
    let fires = prop_oneof![
        3 => Just(Fires::Later),
        1 => prop_oneof![Just(Fires::Before), Just(Fires::Meanwhile), Just(Fires::Silently)],
    ];
    let source = (fires, any::<bool>(), any::<bool>());
    prop_oneof![
        2 => how(),
        3 => list(n(), 0..4).prop_map(|others| How::Link { others }),
        2 => source.prop_map(|(fires, sticky, cause)| How::Source { fires, sticky, cause }),
    ]
    .boxed()
}

fn list<T: Strategy>(of: T, len: std::ops::Range<usize>) -> impl Strategy<Value = List<T::Value>> {
    proptest::collection::vec(of, len).prop_map(List)
}

/// The tree, cancels, and what is asked.
fn tree_op() -> BoxedStrategy<Op> {
    tree_op_with(how())
}

fn tree_op_with(how: BoxedStrategy<How>) -> BoxedStrategy<Op> {
    prop_oneof![
        8 => (n(), how).prop_map(|(from, how)| Op::Derive { from, how }),
        1 => (n(), n()).prop_map(|(slot, times)| Op::Churn { slot, times }),
        2 => n().prop_map(|slot| Op::Clone { slot }),
        5 => n().prop_map(|slot| Op::Drop { slot }),
        2 => n().prop_map(|handle| Op::Cancel { handle }),
        2 => n().prop_map(|handle| Op::CancelWith { handle }),
        2 => n().prop_map(|slot| Op::Guard { slot }),
        1 => n().prop_map(|slot| Op::Split { slot }),
        1 => n().prop_map(|slot| Op::Ask { slot }),
        1 => n().prop_map(|slot| Op::Idle { slot }),
    ]
    .boxed()
}

/// What wakers and callbacks do.
fn then(op: BoxedStrategy<Op>) -> BoxedStrategy<List<Op>> {
    let op = prop_oneof![8 => op, 1 => Just(Op::Panic)];
    list(op, 0..3).boxed()
}

fn wait_op(then: BoxedStrategy<List<Op>>) -> BoxedStrategy<Op> {
    prop_oneof![
        3 => (n(), then).prop_map(|(slot, then)| Op::Wait { slot, then }),
        5 => (n(), any::<bool>()).prop_map(|(wait, waker)| Op::Poll { wait, waker }),
        1 => n().prop_map(|wait| Op::DropWait { wait }),
    ]
    .boxed()
}

fn callback_op(then: BoxedStrategy<List<Op>>) -> BoxedStrategy<Op> {
    let stop = (n(), any::<bool>());
    prop_oneof![
        6 => (n(), then).prop_map(|(slot, then)| Op::After { slot, then }),
        2 => stop.prop_map(|(registration, join)| Op::Stop { registration, join }),
        2 => n().prop_map(|registration| Op::DropRegistration { registration }),
        1 => n().prop_map(|registration| Op::Detach { registration }),
    ]
    .boxed()
}

fn waiting_op() -> BoxedStrategy<Op> {
    let plain = prop_oneof![3 => tree_op(), 2 => wait_op(Just(List(Vec::new())).boxed())];
    prop_oneof![3 => tree_op(), 2 => wait_op(then(plain.boxed()))].boxed()
}

/// Waits and callbacks, which do the same in turn.
fn reacting_op() -> BoxedStrategy<Op> {
    let level = |then: BoxedStrategy<List<Op>>| {
        prop_oneof![
            5 => tree_op(),
            2 => wait_op(then.clone()),
            3 => callback_op(then),
        ]
        .boxed()
    };
    let innermost = level(Just(List(Vec::new())).boxed());
    level(then(level(then(innermost))))
}

// V1, V3 to V7, V9, V22, G23
#[test]
fn trees_do_what_the_reference_does() {
    check(
        "tests::properties::trees_do_what_the_reference_does",
        9_000,
        tree_op,
    );
}

// V12, V14 to V17
#[test]
fn waits_do_what_the_reference_does() {
    check(
        "tests::properties::waits_do_what_the_reference_does",
        8_000,
        waiting_op,
    );
}

// V12 to V17, G103 to G113, K1, P21 to P28
#[test]
fn callbacks_do_what_the_reference_does() {
    check(
        "tests::properties::callbacks_do_what_the_reference_does",
        8_000,
        reacting_op,
    );
}

/// Links and sources, in the midst of the others.
fn tied_op() -> BoxedStrategy<Op> {
    let level = |then: BoxedStrategy<List<Op>>| {
        prop_oneof![
            8 => tree_op_with(tied_how()),
            2 => n().prop_map(|source| Op::Fire { source }),
            1 => wait_op(then.clone()),
            3 => callback_op(then),
        ]
        .boxed()
    };
    let innermost = level(Just(List(Vec::new())).boxed());
    level(then(innermost))
}

// V3, V9, V12, V21, G95 to G97, G122 to G138, P16, P40, P55
#[test]
fn links_and_sources_do_what_the_reference_does() {
    check(
        "tests::properties::links_and_sources_do_what_the_reference_does",
        7_000,
        tied_op,
    );
}

// V20, G23, G56 to G64
#[test]
fn values_are_what_the_reference_says() {
    check(
        "tests::properties::values_are_what_the_reference_says",
        2_500,
        || tree_op_with(valued_how()),
    );
}

mod printed {
    use super::{List, Program, again};

    include!("programs/printed.rs");
}

/// What is printed can be pasted: the same text is compiled above.
#[test]
fn what_is_printed_can_be_pasted() {
    use super::programs::{Fires::*, How::*, Op::*};
    let program = Program {
        curious: true,
        cancel_all: false,
        newest_first: false,
        ops: vec![
            Derive {
                from: 0,
                how: Built {
                    named: true,
                    shielded: false,
                    keys: List(vec![1, 3]),
                    others: List(vec![]),
                },
            },
            Derive {
                from: 0,
                how: Source {
                    fires: Later,
                    sticky: true,
                    cause: false,
                },
            },
            Wait {
                slot: 0,
                then: List(vec![Drop { slot: 1 }, Panic]),
            },
        ],
    };
    assert_eq!(
        format!("{program:?}\n"),
        include_str!("programs/printed.rs")
    );
}
