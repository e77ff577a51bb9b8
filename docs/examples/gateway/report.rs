//! What is printed: a line a second, and the report at the end.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use ctxtree::CancelError;

use crate::stats::Stats;

/// Prints to stderr; a closed stderr is no reason to stop.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[derive(Default)]
pub(crate) struct Progress {
    served: u64,
    at: Duration,
}

impl Progress {
    pub(crate) fn line(&mut self, stats: &Stats, live_connections: usize) {
        let at = stats.started.elapsed();
        let requests = &stats.requests;
        let served = requests.served.get();
        let rate = (served - self.served) as f64 / (at - self.at).as_secs_f64();
        note(&format!(
            "{:4.0}s  {rate:6.0} served/s  {:6} cancelled  live: {live_connections} connections, \
             {} requests, {} sub-tasks",
            at.as_secs_f64(),
            requests.cancelled(),
            requests.running(),
            stats.subtasks.running(),
        ));
        *self = Progress { served, at };
    }
}

/// What the end looked like from `main`.
pub(crate) struct Ending {
    pub(crate) error: CancelError,
    pub(crate) cancelled_at: Instant,
    pub(crate) cancel_took: Duration,
    /// Sub-tasks at the moment of the cancel.
    pub(crate) running: u64,
    /// `None`: not all had ended at the hard limit.
    pub(crate) drain_took: Option<Duration>,
    /// Live children of the contexts that `main` holds.
    pub(crate) in_tree: usize,
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
    let ran = ending.cancelled_at - stats.started;

    writeln!(out, "\n{} after {}", ending.error, short(ran))?;

    writeln!(out, "\nrequests     {:8} begun", requests.begun.get())?;
    writeln!(out, "             {:8} served", requests.served.get())?;
    writeln!(
        out,
        "             {:8} failed with a backend",
        requests.failed.get()
    )?;
    writeln!(
        out,
        "             {:8} abandoned by the client",
        requests.abandoned.get()
    )?;
    writeln!(
        out,
        "             {:8} refused at shutdown",
        requests.refused.get()
    )?;
    writeln!(
        out,
        "             {:8} turned away (no such page)",
        requests.turned_away.get()
    )?;
    writeln!(
        out,
        "latency      p50 {}, p99 {}, longest {} (served, seen by the clients)",
        short(stats.latency.percentile(50)),
        short(stats.latency.percentile(99)),
        short(stats.latency.longest()),
    )?;
    writeln!(
        out,
        "connections  {} opened: {} closed, {} broken by the client, {} rejected, {} cut off",
        connections.opened.get(),
        connections.closed.get(),
        connections.broken.get(),
        connections.rejected.get(),
        connections.cut.get(),
    )?;
    writeln!(
        out,
        "clients      {} answers 200, {} others; hung up {} times; garbage sent {} times, refused {}",
        clients.served.get(),
        clients.told_otherwise.get(),
        clients.hung_up.get(),
        clients.garbage.get(),
        clients.garbage_refused.get(),
    )?;

    writeln!(out, "\nrequests cancelled")?;
    writeln!(out, "   count  reason             cancelled at    cause")?;
    for (row, count) in stats.cancels() {
        writeln!(
            out,
            "{count:8}  {:17}  {:14}  {}",
            row.reason, row.place, row.cause
        )?;
    }

    writeln!(out, "\nsub-tasks    {:8} started", subtasks.started.get())?;
    writeln!(out, "             {:8} finished", subtasks.finished.get())?;
    writeln!(out, "             {:8} failed", subtasks.failed.get())?;
    writeln!(
        out,
        "             {:8} stopped early, after their cancel by p50 {}, p99 {}, longest {}",
        subtasks.stopped.get(),
        short(subtasks.stopping.percentile(50)),
        short(subtasks.stopping.percentile(99)),
        short(subtasks.stopping.longest()),
    )?;
    if subtasks.lost.get() > 0 {
        writeln!(out, "             {:8} lost", subtasks.lost.get())?;
    }

    let last_end =
        (stats.started + subtasks.last_end()).checked_duration_since(ending.cancelled_at);
    writeln!(
        out,
        "shutdown     {} sub-tasks were running; the cancel took {}, the last of them ended after {}, {}",
        ending.running,
        short(ending.cancel_took),
        short(last_end.unwrap_or_default()),
        match ending.drain_took {
            Some(took) => format!("all connections were closed after {}", short(took)),
            None => "and connections were still open at the hard limit".to_owned(),
        },
    )?;
    writeln!(
        out,
        "still alive  {} contexts in the tree, {} connections, {} requests, {} sub-tasks",
        ending.in_tree,
        connections.opened.get().saturating_sub(connections.ended()),
        requests.running(),
        subtasks.running(),
    )?;

    for (text, count) in stats.troubles() {
        writeln!(out, "trouble      {count} times: {text}")?;
    }
    for fault in faults {
        writeln!(out, "FAULT        {fault}")?;
    }
    Ok(())
}

/// What must hold whatever happened.
fn faults(stats: &Stats, ending: &Ending) -> Vec<String> {
    let (requests, subtasks) = (&stats.requests, &stats.subtasks);
    let in_table: u64 = stats.cancel_count();
    let mut faults = Vec::new();
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
        "requests cancelled and rows of the table",
        requests.cancelled(),
        in_table,
    );
    equal(
        "sub-tasks started and ended",
        subtasks.started.get(),
        subtasks.ended(),
    );
    equal(
        "sub-tasks stopped and timed",
        subtasks.stopped.get(),
        subtasks.stopping.count(),
    );
    equal("sub-tasks lost", subtasks.lost.get(), 0);
    equal("contexts still alive", ending.in_tree as u64, 0);
    if stats.clients.served.get() > requests.served.get() {
        faults.push("clients saw more answers than were given".to_owned());
    }
    if ending.drain_took.is_none() {
        faults.push("not everything had ended at the hard limit".to_owned());
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
