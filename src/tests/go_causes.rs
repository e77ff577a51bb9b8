//! What Go's contexts are asked about causes: its table, and what goes with it.

use super::foreign::Token;
use super::tools::{HOUR, ms, on_clock, outcome};
use crate::{CancelHandle, Cause, Context, Reason};
use std::time::Duration;

/// A context of the table, made of the one before it.
#[derive(Clone, Copy)]
enum Made {
    Background,
    Todo,
    Cancel,
    /// After so long, with such a cause.
    Timeout(Duration, Option<&'static str>),
    Shield,
    Source,
}
use Made::{Background, Cancel, Shield, Source, Timeout, Todo};

/// What is done to the contexts of a row, by their place.
#[derive(Clone, Copy)]
enum Act {
    /// Makes the next context.
    Make(Made),
    /// Cancels it with this cause.
    With(usize, &'static str),
    /// Cancels it without one.
    Plain(usize),
    /// Drops the guard of it.
    Guard(usize),
    /// Cancels the token that it was made of.
    Foreign(usize),
    /// So much time passes.
    Pass(Duration),
}
use Act::{Foreign, Guard, Make, Pass, Plain, With};

const NOW: Duration = Duration::ZERO;
const FAR: Duration = HOUR;

/// Number, what is done, and what the last context that was made then tells.
type Row = (
    usize,
    &'static [Act],
    Option<(Reason, Option<&'static str>)>,
);

const LIVE: Option<(Reason, Option<&str>)> = None;

const fn cancelled(cause: Option<&str>) -> Option<(Reason, Option<&str>)> {
    Some((Reason::Cancelled, cause))
}

const fn exceeded(cause: Option<&str>) -> Option<(Reason, Option<&str>)> {
    Some((Reason::DeadlineExceeded, cause))
}

/// The rows of Go's `TestCause`, by their numbers.
const TABLE: &[Row] = &[
    (75, &[Make(Background)], LIVE),
    (76, &[Make(Todo)], LIVE),
    (77, &[Make(Cancel), Plain(0)], cancelled(None)),
    (78, &[Make(Cancel), With(0, "p")], cancelled(Some("p"))),
    // Go cancels with the null cause. Ours without one, the other way.
    (79, &[Make(Cancel), Guard(0)], cancelled(None)),
    (
        80,
        &[Make(Cancel), Make(Cancel), With(0, "p"), With(1, "k")],
        cancelled(Some("p")),
    ),
    (
        81,
        &[Make(Cancel), Make(Cancel), With(1, "k"), With(0, "p")],
        cancelled(Some("k")),
    ),
    (
        82,
        &[Make(Cancel), Make(Cancel), With(0, "p"), Plain(1)],
        cancelled(Some("p")),
    ),
    (
        83,
        &[Make(Cancel), Make(Cancel), Plain(1), With(0, "p")],
        cancelled(None),
    ),
    (
        84,
        &[Make(Cancel), Make(Cancel), Plain(0), With(1, "k")],
        cancelled(None),
    ),
    (
        85,
        &[Make(Cancel), Make(Cancel), With(1, "k"), Plain(0)],
        cancelled(Some("k")),
    ),
    (86, &[Make(Timeout(NOW, None)), Plain(0)], exceeded(None)),
    (87, &[Make(Timeout(FAR, None)), Plain(0)], cancelled(None)),
    (
        88,
        &[Make(Timeout(NOW, Some("slow"))), Plain(0)],
        exceeded(Some("slow")),
    ),
    (
        89,
        &[Make(Timeout(FAR, Some("slow"))), Plain(0)],
        cancelled(None),
    ),
    (
        90,
        &[Make(Cancel), Make(Timeout(NOW, Some("slow"))), With(0, "f")],
        exceeded(Some("slow")),
    ),
    (
        91,
        &[Make(Cancel), Make(Timeout(FAR, Some("slow"))), With(0, "f")],
        cancelled(Some("f")),
    ),
    (92, &[Make(Background), Make(Shield)], LIVE),
    (93, &[Make(Cancel), Make(Shield), With(0, "f")], LIVE),
    (94, &[Make(Timeout(NOW, Some("slow"))), Make(Shield)], LIVE),
    (
        95,
        &[Make(Cancel), Make(Source), Foreign(1)],
        cancelled(None),
    ),
    (
        96,
        &[Make(Cancel), Make(Source), With(0, "p"), Foreign(1)],
        cancelled(Some("p")),
    ),
    // Go tells p, and says that this is not right.
    (
        97,
        &[Make(Cancel), Make(Source), Foreign(1), With(0, "p")],
        cancelled(None),
    ),
];

/// The same where a deadline passes while somebody could cancel, or did.
const IN_TIME: &[Row] = &[
    (
        90,
        &[
            Make(Cancel),
            Make(Timeout(ms(5), Some("slow"))),
            Pass(ms(5)),
            With(0, "f"),
        ],
        exceeded(Some("slow")),
    ),
    (
        91,
        &[
            Make(Cancel),
            Make(Timeout(ms(5), Some("slow"))),
            With(0, "f"),
            Pass(ms(5)),
        ],
        cancelled(Some("f")),
    ),
];

/// The contexts of one row.
#[derive(Default)]
struct Chain {
    made: Vec<(Context, Option<CancelHandle>, Token)>,
}

impl Chain {
    fn make(&mut self, made: Made, root: &Context) {
        let above = self.made.last().map_or(root, |(ctx, ..)| ctx).clone();
        let token = Token::default();
        let (ctx, handle) = match made {
            Background => (above, None),
            Todo => (Context::todo(), None),
            Shield => (above.without_cancel(), None),
            other => {
                let (ctx, handle) = match other {
                    Timeout(after, None) => above.with_timeout(after),
                    Timeout(after, Some(cause)) => above.with_timeout_cause(after, cause),
                    Source => above.from_source(token.clone()),
                    _ => above.with_cancel(),
                };
                (ctx, Some(handle))
            }
        };
        self.made.push((ctx, handle, token));
    }

    fn handle(&self, at: usize) -> &CancelHandle {
        self.made[at].1.as_ref().unwrap()
    }
}

/// Plays a row and checks the end of it: what is told, and that it is told for
/// ever, by clones and by what is derived.
fn play(&(number, acts, expected): &Row, clock: &crate::time::ManualClock, root: &Context) {
    let mut chain = Chain::default();
    for &act in acts {
        match act {
            Make(made) => chain.make(made, root),
            With(at, cause) => drop(chain.handle(at).cancel_with(cause)),
            Plain(at) => drop(chain.handle(at).cancel()),
            Guard(at) => drop(chain.handle(at).clone().drop_guard()),
            Foreign(at) => chain.made[at].2.cancel(None),
            Pass(length) => clock.advance(length),
        }
    }
    let expected = expected.map(|(reason, cause)| (reason, cause.map(str::to_owned)));
    let asked = &chain.made.last().unwrap().0;
    let told = |ctx: &Context| {
        (
            outcome(ctx),
            ctx.reason(),
            ctx.cause().map(|c| c.to_string()),
        )
    };
    let all = (
        expected.clone(),
        expected.as_ref().map(|(reason, _)| *reason),
        expected.clone().and_then(|(_, cause)| cause),
    );
    assert_eq!(told(asked), all, "G{number}");
    for (_, handle, token) in &chain.made {
        // G99: what comes later changes nothing.
        if let Some(handle) = handle {
            handle.cancel_with("late");
        }
        token.cancel(Some("late".into()));
    }
    clock.advance(2 * HOUR);
    assert_eq!(told(asked), all, "G{number}, later");
    assert_eq!(told(&asked.with_cancel().0), all, "G{number}, below");
}

// V6, G75 to G97, G99: Go's table, row by row, and the rows in which a
// deadline passes instead of being over from the start.
#[test]
fn every_row_of_the_cause_table_holds() {
    let numbers: Vec<usize> = TABLE.iter().map(|row| row.0).collect();
    assert_eq!(numbers, (75..=97).collect::<Vec<_>>());
    for row in TABLE.iter().chain(IN_TIME) {
        let (clock, root) = on_clock();
        play(row, &clock, &root);
    }
    // Where no time passes, the default timers do as a clock does.
    for row in TABLE {
        let (clock, _) = on_clock();
        play(row, &clock, &Context::background());
    }
}

// G99: while a context is live nobody is told a cause, also none that waits for
// its deadline; with the first that comes, all is decided.
#[test]
fn no_cause_is_told_before_the_end() {
    let (clock, top) = on_clock();
    let (ctx, handle) = top.with_timeout_cause(ms(5), "slow");
    let (below, cancel_below) = ctx.with_timeout_cause(ms(3), "first");
    for _ in 0..2 {
        for ctx in [&ctx, &below] {
            assert!(ctx.cause().is_none() && ctx.error().is_none() && ctx.reason().is_none());
            assert!(!format!("{ctx:?} {ctx}").contains("slow"));
        }
        clock.advance(ms(1));
    }
    clock.advance(ms(1));
    let expected = Some((Reason::DeadlineExceeded, Some("first".to_owned())));
    assert_eq!((outcome(&ctx), outcome(&below)), (None, expected.clone()));
    assert!(!cancel_below.cancel_with("late") && handle.cancel_with("own"));
    clock.advance(ms(5));
    assert_eq!(outcome(&below), expected);
    let own = Some((Reason::Cancelled, Some("own".to_owned())));
    assert_eq!(outcome(&ctx), own);
}

// G100: all that is below a deadline tells the very object that was given with
// it.
#[test]
fn descendants_of_a_deadline_tell_its_very_cause() {
    let (clock, top) = on_clock();
    let cause = Cause::from("slow");
    let (ctx, _keep) = top.with_timeout_cause(ms(5), cause.clone());
    let (plain, _keep) = ctx.with_value(1_u8).with_cancel();
    let (linked, _keep) = Context::background().link([&plain]);
    let (later, _keep) = plain.with_timeout_cause(HOUR, "later");
    clock.advance(ms(5));
    for below in [&ctx, &plain, &linked, &later, &plain.with_cancel().0] {
        let error = below.error().unwrap();
        assert!(error.is_timeout() && error.cause().unwrap().ptr_eq(&cause));
        assert!(below.cause().unwrap().ptr_eq(&cause));
        assert_eq!(error.origin(), ctx.id());
        assert_eq!(error.to_string(), "context deadline exceeded: slow");
    }
}

// G101: below a shield of what is done already, all starts clean: live and
// without a cause, then done with its own.
#[test]
fn below_a_shield_of_a_done_context_all_starts_clean() {
    let (clock, top) = on_clock();
    let (cancelled, handle) = top.with_cancel();
    handle.cancel_with("above");
    let (expired, _keep) = top.with_timeout_cause(NOW, "slow");
    for done in [cancelled, expired] {
        assert!(done.is_cancelled());
        let shield = done.without_cancel();
        let (one, handle) = shield.with_cancel();
        let (two, _keep) = shield.with_timeout_cause(ms(5), "own");
        assert_eq!((outcome(&one), outcome(&two)), (None, None));
        assert!(handle.cancel_with("own"));
        clock.advance(ms(5));
        let own = Some("own".to_owned());
        assert_eq!(outcome(&one), Some((Reason::Cancelled, own.clone())));
        assert_eq!(outcome(&two), Some((Reason::DeadlineExceeded, own)));
        assert_eq!(outcome(&shield), None);
    }
}
