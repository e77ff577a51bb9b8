//! The work behind a request: stand-ins for services that answer after a
//! while, each stopping in its own way when its context is cancelled.

use std::error::Error;
use std::fmt;
use std::hint::black_box;
use std::time::Duration;

use ctxtree::{CancelError, Context, FutureExt as _};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::rng::Rng;

/// Places for jobs that compute: more of them than this at a time would only
/// take turns on the processors that also serve the sockets.
static COMPUTE: Semaphore = Semaphore::const_new(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Catalogue,
    Prices,
    Stock,
    Reviews,
    Ranking,
    /// Asked only where the options want somebody stubborn.
    Archive,
}

const ALL: [Backend; 5] = [
    Backend::Catalogue,
    Backend::Prices,
    Backend::Stock,
    Backend::Reviews,
    Backend::Ranking,
];

impl Backend {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Backend::Catalogue => "catalogue",
            Backend::Prices => "prices",
            Backend::Stock => "stock",
            Backend::Reviews => "reviews",
            Backend::Ranking => "ranking",
            Backend::Archive => "archive",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One sub-task of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) backend: Backend,
    length: Duration,
    fails: bool,
    /// Keeps a thread busy, of what could also wait.
    blocks: bool,
}

/// A backend that could not answer.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    backend: Backend,
    what: &'static str,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` failed: {}", self.backend, self.what)
    }
}

impl Error for Failure {}

/// Why a job ended without a result.
#[derive(Debug)]
pub(crate) enum Ended {
    Failed(Failure),
    Cancelled(CancelError),
}

/// With this, `?` on `ctx.check()` is all that a loop needs.
impl From<CancelError> for Ended {
    fn from(error: CancelError) -> Ended {
        Ended::Cancelled(error)
    }
}

/// The three to five jobs of a query; the same query always gets the same. Now
/// and then a service takes its time, more than a request has.
pub(crate) fn plan(query: u64) -> Vec<Job> {
    let mut rng = Rng::new(query);
    let first = rng.within(0, 4) as usize;
    let count = rng.within(3, 5) as usize;
    let mut jobs = Vec::with_capacity(count);
    for backend in ALL.into_iter().cycle().skip(first).take(count) {
        let length = Duration::from_micros(rng.within(1_000, 20_000));
        let (fails, hangs) = (rng.one_in(150), rng.one_in(100));
        jobs.push(Job {
            backend,
            // What is computed here has no network that could hang.
            length: match backend {
                Backend::Ranking => length,
                _ if hangs => length * 20,
                _ => length,
            },
            fails,
            blocks: false,
        });
    }
    jobs
}

/// Now and then a query also wants what does not listen, for so long: one job
/// that waits, and one that blocks.
pub(crate) fn stubborn(query: u64, length: Duration) -> impl Iterator<Item = Job> {
    let asked = Rng::new(!query).one_in(20);
    let jobs = [false, true].map(|blocks| Job {
        backend: Backend::Archive,
        length,
        fails: false,
        blocks,
    });
    jobs.into_iter().filter(move |_| asked)
}

/// Does `job`, or stops early because `ctx` was cancelled.
pub(crate) async fn run(job: Job, ctx: &Context) -> Result<u64, Ended> {
    if job.fails {
        ctx.run_until_cancelled(sleep(job.length / 2)).await?;
        return Err(Ended::Failed(Failure {
            backend: job.backend,
            what: "no route to host",
        }));
    }
    match job.backend {
        // A single wait: it and the cancel race, and the loser is dropped.
        Backend::Catalogue => {
            ctx.run_until_cancelled(sleep(job.length)).await?;
            Ok(1)
        }
        // The same, written from the future's side.
        Backend::Prices | Backend::Stock => {
            sleep(job.length).with_context(ctx).await?;
            Ok(2)
        }
        // A page in flight is not worth dropping; the next is not begun. Nor is
        // one that could not be there in time: some pages are an answer, all of
        // them too late are none.
        Backend::Reviews => {
            const PAGES: u32 = 8;
            let page = job.length / PAGES;
            for number in 0..PAGES {
                ctx.check()?;
                if number > 0 && ctx.remaining().is_some_and(|left| left < page) {
                    return Ok(u64::from(number));
                }
                sleep(page).await;
            }
            Ok(u64::from(PAGES))
        }
        // It waits for its place here, where the cancel can reach it, and not
        // in the queue of the blocking threads, where it could not.
        Backend::Ranking => {
            let _place = ctx.run_until_cancelled(COMPUTE.acquire()).await?;
            let ctx = ctx.clone();
            let rounds = u64::from(job.length.subsec_micros()) / 10;
            let ranking = tokio::task::spawn_blocking(move || rank(&ctx, rounds));
            ranking.await.unwrap_or(Err(Ended::Failed(Failure {
                backend: job.backend,
                what: "its thread ended",
            })))
        }
        // It does not look at its context. Where it waits it can be aborted all
        // the same, where it blocks it cannot.
        Backend::Archive if !job.blocks => {
            sleep(job.length).await;
            Ok(1)
        }
        Backend::Archive => {
            let held = ctx.clone();
            let _ = tokio::task::spawn_blocking(move || {
                std::thread::sleep(job.length);
                drop(held);
            })
            .await;
            Ok(1)
        }
    }
}

/// A loop that computes. Asking is one load, so it may ask often.
fn rank(ctx: &Context, rounds: u64) -> Result<u64, Ended> {
    let mut rng = Rng::new(rounds);
    let mut best = 0;
    for _ in 0..rounds {
        ctx.check()?;
        for _ in 0..500 {
            best = best.max(black_box(rng.next()));
        }
    }
    Ok(best)
}
