//! What is printed: a line a second, and the report at the end.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::panic::Location;
use std::time::Duration;

use ctxtree::tree::{Node, Snapshot};
use ctxtree::{CancelError, Phase, Report};

use crate::histogram::Histogram;
use crate::request::RequestId;
use crate::stats::{Cancel, Stats};

/// Prints to stderr; a closed stderr is no reason to stop.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// The line that tells of a request's cancel: reason, cause, where it began in
/// the tree and in the source.
pub(crate) fn cancel(id: RequestId, error: &CancelError) -> String {
    let (origin, place) = (error.origin(), place(error));
    format!("gateway: request {id}: {error} (began at {origin}, {place})")
}

/// The line that called cancel.
pub(crate) fn place(error: &CancelError) -> String {
    match error.location() {
        Some(place) => line_of(place),
        None if error.is_timeout() => "deadline".to_owned(),
        None => "(unknown)".to_owned(),
    }
}

fn line_of(place: &Location<'_>) -> String {
    let file = place.file().rsplit(['/', '\\']).next().unwrap_or_default();
    format!("{file}:{}", place.line())
}

/// What lives right now, in `most` lines and one at either end.
pub(crate) fn tree(tree: &Snapshot, most: usize) -> String {
    let count = |of: fn(&Node) -> usize| tree.nodes().map(of).sum::<usize>();
    let mut text = format!(
        "gateway: the tree now: {} contexts, {} waiters, {} callbacks\n",
        tree.nodes().len(),
        count(Node::waiters),
        count(Node::callbacks),
    );
    for line in tree.to_string().lines().take(most) {
        text += &format!("  {line}\n");
    }
    match tree.nodes().len().saturating_sub(most) {
        0 => text.truncate(text.trim_end().len()),
        more => text += &format!("  ... and {more} more"),
    }
    text
}

#[derive(Default)]
pub(crate) struct Progress {
    served: u64,
    at: Duration,
}

impl Progress {
    pub(crate) fn line(&mut self, stats: &Stats) {
        let at = stats.started.elapsed();
        let requests = &stats.requests;
        let served = requests.served.get();
        let rate = (served - self.served) as f64 / (at - self.at).as_secs_f64();
        note(&format!(
            "{:4.0}s  {rate:6.0} served/s  {:6} cancelled  live: {} connections, \
             {} requests, {} sub-tasks",
            at.as_secs_f64(),
            requests.cancelled(),
            stats.connections.running(),
            requests.running(),
            stats.subtasks.running(),
        ));
        *self = Progress { served, at };
    }
}

/// What the end looked like from `main`.
pub(crate) struct Ending {
    /// What brought it about.
    pub(crate) why: &'static str,
    /// For how long all was at work.
    pub(crate) ran: Duration,
    /// Requests and sub-tasks at the beginning of the end.
    pub(crate) running: (u64, u64),
    pub(crate) drained: Report,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Clean,
    Inconsistent,
}

pub(crate) fn render(stats: &Stats, ending: &Ending) -> (String, Verdict) {
    let mut out = String::new();
    let faults = faults(stats, ending);
    // Writing to a `String` cannot fail.
    let _ = write_report(&mut out, stats, ending, &faults);
    let verdict = if faults.is_empty() {
        Verdict::Clean
    } else {
        Verdict::Inconsistent
    };
    (out, verdict)
}

fn write_report(
    out: &mut String,
    stats: &Stats,
    ending: &Ending,
    faults: &[String],
) -> std::fmt::Result {
    let (connections, requests) = (&stats.connections, &stats.requests);
    let (subtasks, clients) = (&stats.subtasks, &stats.clients);
    writeln!(
        out,
        "\nshutdown: {}, after {}",
        ending.why,
        short(ending.ran)
    )?;

    section(out, "requests")?;
    row(out, requests.begun.get(), "begun")?;
    row(
        out,
        requests.served.get(),
        &format!("served{}", spread(&stats.latency, "as the clients saw it")),
    )?;
    row(out, requests.failed.get(), "failed with a backend")?;
    row(
        out,
        requests.expired.get(),
        &format!(
            "expired, answered 504{}",
            spread(&requests.overtime, "after their deadline")
        ),
    )?;
    row(out, requests.abandoned.get(), "abandoned by the client")?;
    row(out, requests.refused.get(), "refused at shutdown")?;
    row(out, requests.turned_away.get(), "turned away: no such page")?;
    row(
        out,
        requests.late.get(),
        "answered all the same, though cancelled meanwhile",
    )?;

    section(out, "cancels of requests: reason, where, cause")?;
    for (cancel, count) in stats.cancels() {
        let Cancel {
            reason,
            place,
            cause,
        } = cancel;
        row(out, count, &format!("{reason}  {place:14}  {cause}"))?;
    }

    section(out, "sub-tasks")?;
    row(out, subtasks.started.get(), "started")?;
    row(out, subtasks.finished.get(), "finished")?;
    row(out, subtasks.failed.get(), "failed")?;
    row(
        out,
        subtasks.stopped.get(),
        &format!(
            "stopped early{}",
            spread(&subtasks.stopping, "after their cancel")
        ),
    )?;

    section(out, "connections")?;
    row(out, connections.opened.get(), "opened")?;
    row(out, connections.closed.get(), "closed in good order")?;
    row(out, connections.broken.get(), "broken off by the client")?;
    row(
        out,
        connections.rejected.get(),
        "rejected: not HTTP, or no request in time",
    )?;
    row(
        out,
        connections.cut.get(),
        "cut off when the time to drain was over",
    )?;

    section(out, "load generator")?;
    row(out, clients.served.get(), "answers 200")?;
    row(out, clients.told_otherwise.get(), "other answers")?;
    row(
        out,
        clients.hung_up.get(),
        "times hung up before the answer",
    )?;
    row(
        out,
        clients.garbage.get(),
        &format!(
            "times sent garbage, {} refused",
            clients.garbage_refused.get()
        ),
    )?;

    let last_end = subtasks.last_end().saturating_sub(ending.ran);
    let drained = &ending.drained;
    section(out, "shutdown")?;
    let (in_requests, in_subtasks) = ending.running;
    row(
        out,
        in_requests,
        &format!("requests were under way, with {in_subtasks} sub-tasks"),
    )?;
    row(out, short(last_end), "until the last sub-task ended")?;
    let took = short(drained.took());
    match drained.is_clean() {
        true => row(out, took, "until nobody was left")?,
        false => row(out, took, "until the rest was given up")?,
    }
    row(out, drained.at_begin(), "contexts held at its beginning")?;
    row(out, drained.at_cancel(), "when the rest was cancelled")?;
    row(out, drained.at_abort(), "at the hard limit")?;

    section(out, "still alive")?;
    row(out, drained.stragglers().len(), "contexts in the tree")?;
    row(
        out,
        stats.left_behind.get(),
        "contexts left under a request or connection that was over",
    )?;
    row(out, connections.running(), "connections")?;
    row(out, requests.running(), "requests")?;
    row(out, subtasks.running(), "sub-tasks")?;

    if !drained.is_clean() {
        section(out, "left over, the oldest first")?;
    }
    for node in drained.stragglers() {
        let age = node.age().map_or("?".to_owned(), short);
        row(out, age, &straggler(node))?;
    }

    let troubles = stats.troubles();
    if !troubles.is_empty() {
        section(out, "troubles")?;
    }
    for (text, count) in troubles {
        row(out, count, &text)?;
    }
    if !faults.is_empty() {
        section(out, "FAULTS")?;
    }
    for fault in faults {
        writeln!(out, "  {fault}")?;
    }
    Ok(())
}

/// Who held up the end: its name, and where it was made.
fn straggler(node: &Node) -> String {
    let name = match node.name() {
        Some(name) => name.to_owned(),
        None => node.kind().to_string(),
    };
    let place = match node.location() {
        Some(place) => format!(", {}", line_of(place)),
        None => String::new(),
    };
    format!("{name} {} ({}{place})", node.id(), node.state())
}

fn section(out: &mut String, title: &str) -> std::fmt::Result {
    writeln!(out, "\n{title}")
}

fn row(out: &mut String, value: impl std::fmt::Display, text: &str) -> std::fmt::Result {
    writeln!(out, "{value:>9}  {text}")
}

/// What is added in brackets where something was measured.
fn spread(histogram: &Histogram, what: &str) -> String {
    if histogram.count() == 0 {
        return String::new();
    }
    format!(
        " (p50 {}, p99 {}, longest {}, {what})",
        short(histogram.percentile(50)),
        short(histogram.percentile(99)),
        short(histogram.longest()),
    )
}

/// What must hold whatever happened.
fn faults(stats: &Stats, ending: &Ending) -> Vec<String> {
    let (requests, subtasks) = (&stats.requests, &stats.subtasks);
    let cancels = stats.cancels().iter().map(|(_, count)| count).sum();
    let mut faults = Vec::new();
    let drained = &ending.drained;
    if !drained.is_clean() {
        // What goes on is not counted yet, so nothing adds up.
        return vec!["not everything had ended at the hard limit".to_owned()];
    }
    let mut equal = |what: &str, left: u64, right: u64| {
        if left != right {
            faults.push(format!("{what}: {left} is not {right}"));
        }
    };
    equal(
        "connections opened and ended",
        stats.connections.opened.get(),
        stats.connections.ended(),
    );
    equal(
        "requests begun and ended",
        requests.begun.get(),
        requests.ended(),
    );
    equal(
        "cancels logged and made",
        cancels,
        requests.fan_outs_stopped.get()
            + requests.abandoned.get()
            + requests.refused.get()
            + requests.expired.get()
            + requests.late.get(),
    );
    equal(
        "requests expired and timed",
        requests.expired.get(),
        requests.overtime.count(),
    );
    equal("requests that expired early", requests.early.get(), 0);
    equal(
        "sub-tasks started and ended",
        subtasks.started.get(),
        subtasks.ended(),
    );
    equal(
        "sub-tasks stopped and timed",
        subtasks.stopped.get(),
        subtasks.stopping.count() + subtasks.untimed.get(),
    );
    if drained.reached() < Phase::Cancelling {
        equal(
            "sub-tasks that were not cancelled and stopped",
            subtasks.untimed.get(),
            0,
        );
    }
    if drained.reached() < Phase::Aborting {
        equal("sub-tasks lost", subtasks.lost.get(), 0);
    }
    equal(
        "contexts that outlived their parent's work",
        stats.left_behind.get(),
        0,
    );
    if stats.clients.served.get() > requests.served.get() {
        faults.push("clients saw more answers than were given".to_owned());
    }
    faults
}

/// Three digits are plenty.
fn short(length: Duration) -> String {
    let seconds = length.as_secs_f64();
    if seconds >= 1.0 {
        format!("{seconds:.1} s")
    } else if seconds >= 0.01 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds >= 0.001 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{:.0} µs", seconds * 1e6)
    }
}
