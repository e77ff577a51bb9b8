//! What a drain tells while it waits, and at the end.

use super::drain::{SECOND, finish};
use super::tools::{HOUR, alone, is_alone, ms, on_clock, peek, run_alone};
use crate::{Context, Drain, Phase, Waiting};
use std::sync::{Arc, Mutex};
use std::task::Poll;

/// What was told, in order.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Waiting>>>);

impl Told {
    fn listen(&self, drain: Drain) -> Drain {
        let told = self.clone();
        drain.on_waiting(move |waiting| told.0.lock().unwrap().push(waiting.clone()))
    }

    fn times(&self) -> Vec<(Phase, u64)> {
        let told = self.0.lock().unwrap();
        let each = told
            .iter()
            .map(|one| (one.phase(), one.elapsed().as_secs()));
        each.collect()
    }
}

#[test]
fn whom_a_drain_waits_for_is_told_after_a_second_and_then_in_doubling_times() {
    let (clock, root) = on_clock();
    let told = Told::default();
    let drain = Drain::new(&root).soft_limit(10 * SECOND).hard_limit(HOUR);
    let drain = told.listen(drain);
    let (_request, _handle) = drain.context().derive().name("request").build();
    let mut end = finish(&drain);
    for _ in 0..2 * 70 {
        assert!(peek(&mut end).is_pending());
        clock.advance(ms(500));
    }
    assert_eq!(
        told.times(),
        [
            (Phase::Draining, 1),
            (Phase::Draining, 2),
            (Phase::Draining, 4),
            (Phase::Draining, 8),
            (Phase::Cancelling, 16),
            (Phase::Cancelling, 32),
            (Phase::Cancelling, 64),
        ]
    );
}

#[test]
fn times_that_nobody_was_there_to_see_are_told_once() {
    let (clock, root) = on_clock();
    let told = Told::default();
    let drain = told.listen(Drain::new(&root).soft_limit(HOUR));
    let (_request, _handle) = drain.context().derive().name("request").build();
    let mut end = finish(&drain);
    assert!(peek(&mut end).is_pending());
    clock.advance(7 * SECOND);
    assert!(peek(&mut end).is_pending());
    assert!(peek(&mut end).is_pending());
    clock.advance(SECOND);
    assert!(peek(&mut end).is_pending());
    assert_eq!(told.times(), [(Phase::Draining, 7), (Phase::Draining, 8)]);
}

#[test]
fn each_time_is_told_once_whoever_finishes() {
    let (clock, root) = on_clock();
    let told = Told::default();
    let drain = told.listen(Drain::new(&root).soft_limit(HOUR));
    let (_request, _handle) = drain.context().derive().name("request").build();
    let mut ends: Vec<_> = (0..3).map(|_| finish(&drain)).collect();
    for _ in 0..3 {
        ends.iter_mut()
            .for_each(|end| assert!(peek(end).is_pending()));
        clock.advance(SECOND);
    }
    ends.iter_mut()
        .for_each(|end| assert!(peek(end).is_pending()));
    assert_eq!(told.times(), [(Phase::Draining, 1), (Phase::Draining, 2)]);
}

#[test]
fn nothing_is_told_when_nobody_is_left() {
    let (clock, root) = on_clock();
    let told = Told::default();
    let drain = told.listen(Drain::new(&root));
    let held = drain.context().with_cancel();
    let mut end = finish(&drain);
    assert!(peek(&mut end).is_pending());
    clock.advance(SECOND);
    drop(held);
    assert!(peek(&mut end).is_ready());
    assert_eq!(told.times(), []);
}

// V22: by name, and where they came from; those that nobody holds are left out.
#[test]
fn the_line_names_the_held_ones_and_counts_the_rest() {
    let (clock, root) = on_clock();
    let told = Told::default();
    let drain = told.listen(Drain::new(&root).soft_limit(HOUR).hard_limit(SECOND));
    let (odd, _odd) = drain.context().derive().name("odd\nname").build();
    // Held by what is below it only.
    let middle = drain.context().with_cancel();
    let leaf = middle.0.without_cancel();
    drop(middle);
    let mut end = finish(&drain);
    assert!(peek(&mut end).is_pending());
    clock.advance(SECOND);
    assert!(peek(&mut end).is_pending());
    let line = told.0.lock().unwrap()[0].to_string();
    assert!(
        line.starts_with("draining for 1.0s, still waiting for 2: odd\\nname #"),
        "{line}"
    );
    let rest = format!("without_cancel {} (live)", leaf.id());
    assert!(line.ends_with(&rest), "{line}");
    assert_eq!(line.lines().count(), 1);

    // Those below hold it up, so it is not named itself.
    let many: Vec<_> = (0..10).map(|_| odd.with_cancel()).collect();
    clock.advance(SECOND);
    assert!(peek(&mut end).is_pending());
    let line = told.0.lock().unwrap()[1].to_string();
    assert!(line.contains("still waiting for 12: "), "{line}");
    assert!(line.ends_with(" and 7 more"), "{line}");
    assert!(!line.contains("odd"), "{line}");
    drop(many);
}

// V22: the oldest first.
#[test]
fn stragglers_are_told_by_age_and_place() {
    let (clock, root) = on_clock();
    let told = Told::default();
    let drain = told.listen(Drain::new(&root).soft_limit(HOUR));
    let nameless = drain.context().with_cancel();
    let line = line!() + 1;
    let build = |name: &'static str| drain.context().derive().name(name).build();
    let first = build("first");
    clock.advance(2 * SECOND);
    let second = build("second");
    let mut end = finish(&drain);
    assert!(peek(&mut end).is_pending());
    clock.advance(SECOND);
    assert!(peek(&mut end).is_pending());
    let waiting = told.0.lock().unwrap()[0].clone();
    let names: Vec<_> = waiting.stragglers().map(|one| one.name()).collect();
    assert_eq!(names, [Some("first"), Some("second"), None]);
    let place = waiting.stragglers().next().unwrap().location().unwrap();
    assert_eq!((place.file(), place.line()), (file!(), line));
    assert_eq!(
        waiting.to_string(),
        format!(
            "draining for 1.0s, still waiting for 3: \
             first {} (3.0s, live, {place}), \
             second {} (1.0s, live, {place}), \
             with_cancel {} (live)",
            first.0.id(),
            second.0.id(),
            nameless.0.id(),
        )
    );
}

#[test]
fn a_drain_tells_where_it_was_made() {
    let (clock, root) = on_clock();
    let line = line!() + 1;
    let drain = Drain::new(&root);
    clock.advance(SECOND);
    let tree = drain.context().tree();
    let node = tree.nodes().next().unwrap();
    assert_eq!(node.kind(), crate::tree::Kind::Drain);
    assert_eq!(node.age(), Some(SECOND));
    assert_eq!(node.location().unwrap().line(), line);
    let path = drain.context().to_string();
    assert_eq!(path, "background.with_clock.drain");
}

#[test]
fn the_report_is_one_line_with_counts_and_names() {
    let (clock, root) = on_clock();
    let drain = Drain::new(&root).soft_limit(2 * SECOND).hard_limit(SECOND);
    let drain = drain.on_waiting(|_| {});
    let mut end = finish(&drain);
    let short = drain.context().with_cancel();
    let (stuck, _stuck) = drain.context().derive().name("stuck").build();
    assert!(peek(&mut end).is_pending());
    drop(short);
    clock.advance(2 * SECOND);
    assert!(peek(&mut end).is_pending());
    clock.advance(SECOND);
    let Poll::Ready(report) = peek(&mut end) else {
        panic!("still going on");
    };
    let line = report.to_string();
    let counts = "2 at the beginning, 1 when cancelled, 1 at the hard limit";
    let start = format!("drained in 3.0s: {counts}, 1 left: stuck {} (", stuck.id());
    assert!(line.starts_with(&start), "{line}");
    assert!(line.contains("cancelled"), "{line}");
    let clean = Drain::new(&Context::background()).finish_blocking();
    let line = clean.to_string();
    assert!(line.ends_with("0 at the hard limit, none left"), "{line}");
}

/// A drain that waits for three seconds, with the closure it has by itself.
fn silent_drain() {
    let (clock, root) = on_clock();
    let drain = Drain::new(&root);
    let (request, handle) = drain.context().derive().name("request").build();
    let mut end = finish(&drain);
    for _ in 0..4 {
        assert!(peek(&mut end).is_pending());
        clock.advance(SECOND);
    }
    drop((request, handle));
    assert!(peek(&mut end).is_ready());
}

#[test]
fn without_a_closure_a_line_goes_to_the_standard_error_output() {
    let test = "tests::drain_reports::without_a_closure_a_line_goes_to_the_standard_error_output";
    if is_alone(test) {
        return silent_drain();
    }
    let output = run_alone(test);
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("ctxtree"))
        .collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[0].starts_with("ctxtree: draining for 1.0s, still waiting for 1: request #"),
        "{text}"
    );
}

#[cfg(unix)]
#[test]
fn a_closed_standard_error_output_is_no_trouble() {
    use std::os::fd::{FromRawFd, OwnedFd};
    alone(
        "tests::drain_reports::a_closed_standard_error_output_is_no_trouble",
        || {
            // SAFETY: nobody in this process relies on it any more.
            drop(unsafe { OwnedFd::from_raw_fd(2) });
            silent_drain();
        },
    );
}
