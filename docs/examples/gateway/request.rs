//! A request's life: a context under its connection's, with a deadline, a group
//! of tasks under that, an answer, and a client that may leave before it comes.
//!
//! The request's id is a value of its context, and so is at hand in all that
//! works for it. Its cancels are logged by callbacks, whoever cancels.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ctxtree::{CancelError, CancelHandle, Context, JoinError, Key, Registration, Stop, TaskGroup};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response, StatusCode};

use crate::Shared;
use crate::backends::{self, Backend, Ended, Job};
use crate::stats::{self, Stats};
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
    /// A backend failed, and with it the group.
    Failed(Why),
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
    // A client that goes away drops all this, the presence first: the cancel is
    // the request's, and that the tasks are left to themselves no surprise.
    let group = TaskGroup::new(&ctx).when_forgotten(|_| ());
    let presence = Presence::new(&connection, handle, shared.clone());
    let outcome = match query(&request) {
        Ok(query) => search(&ctx, &group, query, &shared).await,
        Err((status, why)) => Outcome::TurnedAway(status, why),
    };
    // All sub-tasks have ended, so nothing may live under this context now.
    drop(group);
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
async fn search(request: &Context, group: &TaskGroup<Why>, query: u64, shared: &Shared) -> Outcome {
    let _log = log_failure(request, group.context(), &shared.stats);
    let mut jobs = backends::plan(query);
    let stubborn = shared.stubborn.into_iter();
    jobs.extend(stubborn.flat_map(|length| backends::stubborn(query, length)));
    let asked = jobs.len();
    let parts = Arc::new(Mutex::new(Vec::with_capacity(asked)));
    for job in jobs {
        let task = group.task(job.backend.name());
        let ctx = task.context().clone();
        // Refused only if the request or a sibling has ended meanwhile.
        let _ = task.try_spawn(work(job, ctx, parts.clone(), shared.stats.clone()));
    }
    // Until all have ended, not until the first failure: when the request is
    // answered, nothing works for it any more.
    let joined = group.join().await;
    let parts = std::mem::take(&mut *stats::lock(&parts));
    match (joined, request.error()) {
        (Ok(()), _) if parts.len() == asked => {
            let rows = parts
                .iter()
                .map(|(backend, hits)| format!("{backend}: {hits}\n"));
            Outcome::Served(format!("query {query}\n{}", rows.collect::<String>()))
        }
        (Err(JoinError::Failed { error, .. }), _) => Outcome::Failed(error),
        (_, Some(error)) if error.is_timeout() => Outcome::Expired(error),
        (_, Some(error)) => Outcome::Refused(error),
        (_, None) => {
            Outcome::TurnedAway(StatusCode::INTERNAL_SERVER_ERROR, "a sub-task was lost\n")
        }
    }
}

type Parts = Arc<Mutex<Vec<(Backend, u64)>>>;

/// One sub-task. Its error is the cause of the others' end. One that was told to
/// stop is no failure: what it was told is known already.
async fn work(job: Job, ctx: Context, parts: Parts, stats: Arc<Stats>) -> Result<(), Why> {
    let tally = stats.subtask();
    let part = backends::run(job, &ctx).await;
    tally.ended(&part);
    match part {
        Ok(hits) => stats::lock(&parts).push((job.backend, hits)),
        Err(Ended::Failed(failure)) => return Err(Why::backend_failed(failure)),
        Err(Ended::Cancelled(_)) => {}
    }
    Ok(())
}

/// Logs the cancel that begins at the group: a sub-task has failed. One that
/// comes from above is logged by the request, and that all have ended is none.
fn log_failure(request: &Context, group: &Context, stats: &Arc<Stats>) -> Registration {
    // A handle of the parent, which the group keeps anyway. One of its own
    // would keep the group's context, and with it this callback, for ever.
    let (request, stats) = (request.clone(), stats.clone());
    let here = group.id();
    group.after_cancel(move |error| {
        let failed = error
            .cause()
            .is_some_and(|cause| cause.downcast_ref::<Why>().is_some());
        if failed && error.origin() == here {
            stats.requests.fan_outs_stopped.add();
            stats.cancelled(RequestId::of(&request), error);
        }
    })
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
    pub(crate) fn new(connection: &Context, handle: CancelHandle, shared: Shared) -> Presence {
        shared.stats.requests.begun.add();
        let ctx = handle.context();
        // The id and not the context, which would keep itself.
        let id = RequestId::of(ctx);
        // A deadline's callback runs on a thread of its own, maybe after the
        // answer. What it holds is waited for at the end.
        let (stats, connection) = (shared.stats.clone(), connection.clone());
        let log = ctx.after_cancel(move |error| {
            stats.cancelled(id, error);
            drop(connection);
        });
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
