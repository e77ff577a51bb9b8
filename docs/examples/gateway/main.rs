//! A small HTTP server whose work hangs on a context tree, with a load
//! generator that gives it reasons to cancel.
//!
//! ```text
//! cargo run --release --example gateway -- --for 5s
//! ```
//!
//! ```text
//! gateway                     cancelled by SIGINT, SIGTERM or the end of --for
//! |- server
//! |  `- connection            one for each socket
//! |     `- request            cancelled when the client goes away, or
//! |        |                  when its time is up;
//! |        |                  carries the request's id as a value
//! |        `- fan-out         cancelled when a backend fails;
//! |                           watched by three to five sub-tasks
//! `- load                     watched by every client of the load generator
//! ```
//!
//! Where to look: `request.rs` for a request's life, its deadline, its id and the
//! log of its cancels, `backends.rs` for work that stops when it is told to, `server.rs`
//! for connections and draining, `why.rs` for the causes, `report.rs` for the
//! look at the live tree.

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

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ctxtree::Context;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time;

use options::Options;
use report::{Ending, Verdict};
use stats::Stats;
use why::Why;

/// All must have ended this long after the cancel. Longer than a connection
/// is given to drain, so that a connection is the first to give up.
const HARD_LIMIT: Duration = Duration::from_secs(3);

/// Lines of the live tree that are shown, once.
const TREE_LINES: usize = 16;

/// What every task of the server carries beside its context.
#[derive(Clone)]
struct Shared {
    stats: Arc<Stats>,
    /// What a request may take.
    timeout: Duration,
    /// Never sent on: the receiver learns that all tasks have ended when the
    /// last clone is gone.
    _alive: mpsc::Sender<Infallible>,
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

    let (root, stop) = Context::background().derive().name("gateway").build();
    let (server, _) = root.derive().name("server").build();
    let (load, _) = root.derive().name("load").build();

    let stats = Arc::new(Stats::new());
    let (alive, mut all_ended) = mpsc::channel(1);
    let shared = Shared {
        stats: stats.clone(),
        timeout: options.timeout,
        _alive: alive,
    };
    report::note(&format!(
        "gateway: serving http://{address}/search?q=1 to {} clients for {:?}; Ctrl-C stops it\n\
         gateway: of each kind of cancel the first {} are logged, all are counted",
        options.clients,
        options.length,
        stats::SAMPLES,
    ));
    tokio::spawn(server::serve(listener, server.clone(), shared.clone()));
    for number in 0..options.clients {
        tokio::spawn(load::client(number, address, load.clone(), shared.clone()));
    }
    drop(shared);

    let why = until_stopped(options.length, &root, &server, &stats).await;

    let running = stats.subtasks.running();
    let cancelled_at = Instant::now();
    stop.cancel_with(why);
    let cancel_took = cancelled_at.elapsed();
    let drained = time::timeout(HARD_LIMIT, all_ended.recv()).await.is_ok();

    let ending = Ending {
        error: root.error().expect("the root was cancelled above"),
        cancelled_at,
        cancel_took,
        running,
        drain_took: drained.then(|| cancelled_at.elapsed()),
        in_tree: root.live_children() + server.live_children() + load.live_children(),
    };
    Ok(report::render(&stats, &ending))
}

/// Prints a line a second until the time is up or a signal comes; tells which.
/// Also prints the live tree, once, while all are at work.
async fn until_stopped(length: Duration, root: &Context, server: &Context, stats: &Stats) -> Why {
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
            _ = tick.tick() => progress.line(stats, server.live_children()),
            () = &mut look, if !looked => {
                looked = true;
                report::note(&report::tree(&root.tree(), TREE_LINES));
            }
            () = &mut time_up => return Why::shutdown("time is up"),
            name = &mut signal => return Why::shutdown(name),
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
