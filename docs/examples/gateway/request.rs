//! A request's life: a context under its connection's, with a deadline, a
//! fan-out under that, an answer, and a client that may leave before it comes.
//!
//! The request's id is a value of its context, and so is at hand in all that
//! works for it. Its cancels are logged by callbacks, whoever cancels.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ctxtree::{CancelError, CancelHandle, Context, Key, Registration, Stop};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::mpsc;

use crate::Shared;
use crate::backends::{self, Ended, Job};
use crate::stats::Stats;
use crate::why::Why;

static REQUEST_ID: Key<RequestId> = Key::new("request id");

/// What a request is called in the log, and in its answer's `x-request-id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(u64);

impl RequestId {
    fn next() -> RequestId {
        static LAST: AtomicU64 = AtomicU64::new(0);
        RequestId(1 + LAST.fetch_add(1, Ordering::Relaxed))
    }

    /// The id of the request that `ctx` belongs to; 0 outside of one.
    pub(crate) fn of(ctx: &Context) -> RequestId {
        ctx.get(&REQUEST_ID).copied().unwrap_or(RequestId(0))
    }

    /// A context of a request that is new, and has so much time.
    pub(crate) fn give(connection: &Context, timeout: Duration) -> (Context, CancelHandle) {
        let request = connection.derive().name("request");
        let request = request.timeout(timeout);
        let request = request.deadline_cause(Why::out_of_time(timeout));
        request.key(&REQUEST_ID, RequestId::next()).build()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a request ended while its client was there to be told.
pub(crate) enum Outcome {
    Served(String),
    /// A backend failed, and with it the fan-out.
    Failed(CancelError),
    /// No answer in time.
    Expired(CancelError),
    /// Cancelled from above: the server is going down.
    Refused(CancelError),
    TurnedAway(StatusCode, &'static str),
}

pub(crate) async fn answer(
    connection: Context,
    shared: Shared,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (ctx, handle) = RequestId::give(&connection, shared.timeout);
    let presence = Presence::new(handle, shared.clone());
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
    let _log = log_failure(request, &fan_out, &shared.stats);
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
                if siblings.cancel_with(Why::backend_failed(failure)) {
                    shared.stats.requests.fan_outs_stopped.add();
                }
            }
            // Says no more than the context itself will, below.
            Err(Ended::Cancelled(_)) => {}
        }
    }
    match fan_out.error() {
        _ if answered == asked => Outcome::Served(page),
        Some(error) if error.origin() == fan_out.id() => Outcome::Failed(error),
        Some(error) if error.is_timeout() => Outcome::Expired(error),
        Some(error) => Outcome::Refused(error),
        None => Outcome::TurnedAway(StatusCode::INTERNAL_SERVER_ERROR, "a sub-task was lost\n"),
    }
}

/// Logs the cancel that begins at the fan-out. One that comes from above is
/// logged by the request.
fn log_failure(request: &Context, fan_out: &Context, stats: &Arc<Stats>) -> Registration {
    // A handle of the parent, which the fan-out keeps anyway. One of its own
    // would keep the fan-out, and with it this callback, for ever.
    let (request, stats) = (request.clone(), stats.clone());
    let here = fan_out.id();
    fan_out.after_cancel(move |error| {
        if error.origin() == here {
            stats.cancelled(RequestId::of(&request), error);
        }
    })
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
pub(crate) struct Presence {
    /// None: confirmed.
    handle: Option<CancelHandle>,
    id: RequestId,
    /// Logs the request's cancel, if there is one.
    log: Registration,
    shared: Shared,
}

impl Presence {
    pub(crate) fn new(handle: CancelHandle, shared: Shared) -> Presence {
        shared.stats.requests.begun.add();
        let ctx = handle.context();
        // The id and not the context, which would keep itself.
        let id = RequestId::of(ctx);
        // All of `shared`, which the end of the program waits for: a deadline's
        // callback runs on a thread of its own, maybe after the answer.
        let told = shared.clone();
        let log = ctx.after_cancel(move |error| told.stats.cancelled(id, error));
        Presence {
            handle: Some(handle),
            id,
            log,
            shared,
        }
    }

    pub(crate) fn confirm(mut self, outcome: Outcome) -> Response<Full<Bytes>> {
        let handle = self.handle.take();
        let requests = &self.shared.stats.requests;
        match (&outcome, self.log.stop()) {
            (Outcome::Refused(error) | Outcome::Expired(error), logged) => {
                self.make_sure(logged, error);
            }
            (_, Stop::Prevented) => {}
            // The cancel came when all was done.
            (_, _) => requests.late.add(),
        }
        let (status, text) = match outcome {
            Outcome::Served(page) => {
                requests.served.add();
                (StatusCode::OK, page)
            }
            Outcome::Failed(error) => {
                requests.failed.add();
                (StatusCode::BAD_GATEWAY, format!("{error}\n"))
            }
            Outcome::Expired(error) => {
                requests.expire(handle.and_then(|handle| handle.context().deadline()));
                (StatusCode::GATEWAY_TIMEOUT, format!("{error}\n"))
            }
            Outcome::Refused(error) => {
                requests.refused.add();
                (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
            }
            Outcome::TurnedAway(status, why) => {
                requests.turned_away.add();
                (status, why.to_owned())
            }
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert("x-request-id", HeaderValue::from(self.id.0));
        response
    }

    /// Logs a cancel that stopping the callback kept it from logging: the
    /// thread that cancels had marked the request, and not come to its callbacks
    /// yet. `stop` tells, so it is done once, here or there.
    fn make_sure(&self, logged: Stop, error: &CancelError) {
        if logged == Stop::Prevented {
            self.shared.stats.cancelled(self.id, error);
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else {
            return;
        };
        // Does nothing where the server's own cancel or the deadline came
        // first: the error then tells that one's cause.
        handle.cancel_with(if std::thread::panicking() {
            Why::handler_panicked()
        } else {
            Why::client_went_away()
        });
        self.shared.stats.requests.abandoned.add();
        if let Some(error) = handle.context().error() {
            self.make_sure(self.log.stop(), &error);
        }
    }
}
