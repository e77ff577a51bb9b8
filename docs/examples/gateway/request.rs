//! A request's life: a context under its connection's, a fan-out under that,
//! an answer, and a client that may leave before it comes.

use std::sync::Arc;

use ctxtree::{CancelError, CancelHandle, Context};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::mpsc;

use crate::Shared;
use crate::backends::{self, Ended, Job};
use crate::stats::Stats;
use crate::why::Why;

/// How a request ended while its client was there to be told.
pub(crate) enum Outcome {
    Served(String),
    /// A backend failed, and with it the fan-out.
    Failed(CancelError),
    /// Cancelled from above: the server is going down.
    Refused(CancelError),
    TurnedAway(StatusCode, &'static str),
}

pub(crate) async fn answer(
    connection: Context,
    shared: Shared,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (ctx, handle) = connection.derive().name("request").build();
    let presence = Presence::new(handle, shared.stats.clone());
    let outcome = match query(&request) {
        Ok(query) => search(&ctx, query, &shared).await,
        Err((status, why)) => Outcome::TurnedAway(status, why),
    };
    // All sub-tasks have ended, so nothing may live under this context now.
    shared.stats.left_behind.add_many(ctx.live_children());
    presence.confirm(outcome)
}

fn query(request: &Request<Incoming>) -> Result<u64, (StatusCode, &'static str)> {
    if request.method() != Method::GET {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "only GET is served\n"));
    }
    if request.uri().path() != "/search" {
        return Err((StatusCode::NOT_FOUND, "try /search?q=1\n"));
    }
    request
        .uri()
        .query()
        .and_then(|query| query.strip_prefix("q="))
        .and_then(|number| number.parse().ok())
        .ok_or((StatusCode::BAD_REQUEST, "q must be a number\n"))
}

/// Asks all backends of a query at once; the first that fails stops the rest.
async fn search(request: &Context, query: u64, shared: &Shared) -> Outcome {
    // A context of its own, so that a failed backend stops its siblings and
    // leaves the request alive to answer.
    let (fan_out, siblings) = request.derive().name("fan-out").build();
    let jobs = backends::plan(query);
    let asked = jobs.len();
    let (results, mut parts) = mpsc::channel(asked);
    for job in jobs {
        start(job, fan_out.clone(), results.clone(), shared.clone());
    }
    drop(results);

    let mut page = format!("query {query}\n");
    let mut answered = 0;
    // Until all have ended, not until the first failure: when the request is
    // answered, nothing works for it any more.
    while let Some((job, part)) = parts.recv().await {
        match part {
            Ok(hits) => {
                answered += 1;
                page += &format!("{}: {hits}\n", job.backend);
            }
            Err(Ended::Failed(failure)) => {
                siblings.cancel_with(Why::backend_failed(failure));
            }
            // Says no more than the context itself will, below.
            Err(Ended::Cancelled(_)) => {}
        }
    }
    match fan_out.error() {
        _ if answered == asked => Outcome::Served(page),
        Some(error) if error.origin() == fan_out.id() => Outcome::Failed(error),
        Some(error) => Outcome::Refused(error),
        None => Outcome::TurnedAway(StatusCode::INTERNAL_SERVER_ERROR, "a sub-task was lost\n"),
    }
}

type Part = (Job, Result<u64, Ended>);

/// Starts a task that outlives a handler that is dropped: it watches its
/// context and ends by itself, where an aborted task could not clean up.
fn start(job: Job, ctx: Context, results: mpsc::Sender<Part>, shared: Shared) {
    let tally = shared.stats.subtask();
    tokio::spawn(async move {
        let part = backends::run(job, &ctx).await;
        tally.ended(&part);
        // Before the result is sent: who has all results may rely on it that
        // nothing holds the context any more.
        drop(ctx);
        // Nobody listens once the client is gone.
        let _ = results.send((job, part)).await;
        drop(shared);
    });
}

/// Knows whether the client is still there. hyper drops a request's future
/// when the connection ends under it, and this lives in that future: dropped
/// before [`confirm`](Presence::confirm), it cancels the request.
///
/// `CancelHandle::drop_guard` is the same without a cause.
struct Presence {
    handle: Option<CancelHandle>,
    stats: Arc<Stats>,
}

impl Presence {
    fn new(handle: CancelHandle, stats: Arc<Stats>) -> Presence {
        stats.requests.begun.add();
        Presence {
            handle: Some(handle),
            stats,
        }
    }

    fn confirm(mut self, outcome: Outcome) -> Response<Full<Bytes>> {
        self.handle = None;
        let requests = &self.stats.requests;
        let (status, text) = match outcome {
            Outcome::Served(page) => {
                requests.served.add();
                (StatusCode::OK, page)
            }
            Outcome::Failed(error) => {
                requests.failed.add();
                self.stats.cancelled(&error);
                (StatusCode::BAD_GATEWAY, format!("{error}\n"))
            }
            Outcome::Refused(error) => {
                requests.refused.add();
                self.stats.cancelled(&error);
                (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
            }
            Outcome::TurnedAway(status, why) => {
                requests.turned_away.add();
                (status, why.to_owned())
            }
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        response
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else {
            return;
        };
        // Does nothing where the server's own cancel came first: the error
        // then tells that one's cause.
        handle.cancel_with(if std::thread::panicking() {
            Why::handler_panicked()
        } else {
            Why::client_went_away()
        });
        self.stats.requests.abandoned.add();
        if let Some(error) = handle.context().error() {
            self.stats.cancelled(&error);
        }
    }
}
