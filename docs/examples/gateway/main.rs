//! A small HTTP server whose work hangs on a context tree, with a load
//! generator that gives it reasons to cancel.
//!
//! ```text
//! cargo run --release --example gateway -- --for 5s
//! ```
//!
//! ```text
//! drain                       ended by SIGINT, SIGTERM or the end of --for:
//! |                           all below are told, later cancelled
//! |- server
//! |  `- connection            one for each socket
//! |     `- request            cancelled when the client goes away, or
//! |        |                  when its time is up;
//! |        |                  carries the request's id as a value
//! |        `- group           cancelled when a backend fails
//! |           `- catalogue    one task for each of three to five backends
//! `- load                     watched by every client of the load generator
//! ```
//!
//! Where to look: `main.rs` for the drain, `request.rs` for a request's life, its
//! deadline, its id and the log of its cancels, `backends.rs` for work that stops
//! when it is told to and work that does not, `server.rs` for connections and
//! how they end, `why.rs` for the causes, `report.rs` for the look at the live tree.

mod backends;
mod histogram;
mod load;
mod options;
mod report;
mod request;
mod rng;
mod server;
mod stats;
#[cfg(test)]
mod tests;
mod why;

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ctxtree::{Context, Drain};
use tokio::net::TcpListener;
use tokio::time;

use options::Options;
use report::{Ending, Verdict};
use stats::Stats;

/// All must have ended this long after the cancel. Longer than a connection
/// waits then, so that a connection is the first to give up.
const HARD_LIMIT: Duration = Duration::from_secs(2);
/// What was aborted then needs a moment to be gone.
const ABORT_LIMIT: Duration = Duration::from_millis(200);

/// Lines of the live tree that are shown, once.
const TREE_LINES: usize = 16;

/// What every task of the server carries beside its context.
#[derive(Clone)]
struct Shared {
    stats: Arc<Stats>,
    /// What a request may take.
    timeout: Duration,
    /// How long stubborn work ignores its cancel, if there is any.
    stubborn: Option<Duration>,
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            let _ = io::stdout().write_all(options::HELP.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            report::note(&format!("gateway: {error} (see --help)"));
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            report::note(&format!("gateway: cannot start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(run(&options));
    // Dropping the runtime would wait for its blocking threads without limit.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match ended {
        Ok((text, verdict)) => {
            // A reader that closed the pipe has seen enough.
            let _ = io::stdout().write_all(text.as_bytes());
            match verdict {
                Verdict::Clean => ExitCode::SUCCESS,
                Verdict::Inconsistent => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            report::note(&format!("gateway: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Serves until it is stopped; the report of it.
async fn run(options: &Options) -> Result<(String, Verdict), String> {
    let address = (Ipv4Addr::LOCALHOST, options.port);
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on 127.0.0.1:{}: {error}", options.port))?;
    let address = listener
        .local_addr()
        .map_err(|error| format!("cannot tell the address listened on: {error}"))?;

    // Whatever works here holds a context below this one, and lets it go with
    // its work: that is all it takes to be waited for.
    let drain = Drain::new(&Context::background())
        .soft_limit(options.drain)
        .hard_limit(HARD_LIMIT)
        .abort_limit(ABORT_LIMIT)
        .on_waiting(|waiting| report::note(&format!("gateway: {waiting}")));
    let (server, _) = drain.context().derive().name("server").build();
    let (load, _) = drain.context().derive().name("load").build();

    let stats = Arc::new(Stats::new());
    let shared = Shared {
        stats: stats.clone(),
        timeout: options.timeout,
        stubborn: options.stubborn,
    };
    report::note(&format!(
        "gateway: serving http://{address}/search?q=1 to {} clients for {:?}; Ctrl-C stops it\n\
         gateway: of each kind of cancel the first {} are logged, all are counted",
        options.clients,
        options.length,
        stats::SAMPLES,
    ));
    for number in 0..options.clients {
        tokio::spawn(load::client(number, address, load.clone(), shared.clone()));
    }
    drop(load);
    tokio::spawn(server::serve(listener, server, shared));

    let why = until_stopped(options.length, drain.context(), &stats).await;

    let ran = stats.started.elapsed();
    let running = (stats.requests.running(), stats.subtasks.running());
    let drained = drain.finish().await;
    let ending = Ending {
        why,
        ran,
        running,
        drained,
    };
    Ok(report::render(&stats, &ending))
}

/// Prints a line a second until the time is up or a signal comes; tells which.
/// Also prints the live tree, once, while all are at work.
async fn until_stopped(length: Duration, root: &Context, stats: &Stats) -> &'static str {
    const PACE: Duration = Duration::from_secs(1);
    let mut look = std::pin::pin!(time::sleep(length.min(3 * PACE) / 2));
    let mut looked = false;
    let mut time_up = std::pin::pin!(time::sleep(length));
    // Made once: a signal between two turns of the loop must not be lost.
    let mut signal = std::pin::pin!(signal());
    let mut tick = time::interval_at(time::Instant::now() + PACE, PACE);
    let mut progress = report::Progress::default();
    loop {
        tokio::select! {
            _ = tick.tick() => progress.line(stats),
            () = &mut look, if !looked => {
                looked = true;
                report::note(&report::tree(&root.tree(), TREE_LINES));
            }
            () = &mut time_up => return "time is up",
            name = &mut signal => return name,
        }
    }
}

#[cfg(unix)]
async fn signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (interrupt, terminate) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    match (interrupt, terminate) {
        (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        },
        (Err(error), _) | (_, Err(error)) => {
            report::note(&format!("gateway: cannot listen for signals: {error}"));
            std::future::pending().await
        }
    }
}

#[cfg(not(unix))]
async fn signal() -> &'static str {
    match tokio::signal::ctrl_c().await {
        Ok(()) => "Ctrl-C",
        Err(error) => {
            report::note(&format!("gateway: cannot listen for Ctrl-C: {error}"));
            std::future::pending().await
        }
    }
}
