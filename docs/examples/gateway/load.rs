//! The load: clients on real sockets. Most are patient, some hang up in the
//! middle of a request, a few send what is not HTTP.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ctxtree::Context;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::Shared;
use crate::rng::Rng;
use crate::stats::Clients;

type Failure = Box<dyn Error + Send + Sync>;

/// After a visit that failed.
const PAUSE: Duration = Duration::from_millis(100);

const GARBAGE: [&[u8]; 3] = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not for this port\r\n\r\n",
    b"GET /search?q=1\r\n\r\n",
    b"BREW /pot HTCPCP/1.0\r\n\r\n",
];

/// Visits the server again and again until `load` is drained.
pub(crate) async fn client(number: u32, server: SocketAddr, load: Context, shared: Shared) {
    let mut rng = Rng::new(u64::from(number));
    // Not all at once.
    let pause = Duration::from_millis(rng.within(0, 200));
    sleep(pause).await;
    while !load.is_draining() {
        let visit = match rng.within(1, 100) {
            1..=60 => patient(server, &mut rng, &load, &shared).await,
            61..=92 => hasty(server, &mut rng, &load, &shared).await,
            _ => garbler(server, &mut rng, &shared.stats.clients).await,
        };
        let mut pause = Duration::from_millis(rng.within(1, 10));
        if let Err(error) = visit {
            // A connection that the end closed is no trouble. Whoever sees it
            // closed sees that `load` is drained too: it is the same drain.
            if load.is_draining() {
                break;
            }
            shared.stats.trouble("a client failed", &error);
            pause = PAUSE;
        }
        sleep(pause).await;
    }
}

/// A keep-alive connection and some requests, one after another.
async fn patient(
    server: SocketAddr,
    rng: &mut Rng,
    load: &Context,
    shared: &Shared,
) -> Result<(), Failure> {
    let mut line = Line::open(server).await?;
    for _ in 0..rng.within(1, 30) {
        // Between requests only: the answer to one that was sent is read,
        // also when it says that the server is going down.
        if load.is_draining() {
            break;
        }
        line.get(rng, shared).await?;
        let think = Duration::from_millis(rng.within(1, 15));
        sleep(think).await;
    }
    Ok(())
}

/// Sends requests until an answer takes longer than it likes, and hangs up.
async fn hasty(
    server: SocketAddr,
    rng: &mut Rng,
    load: &Context,
    shared: &Shared,
) -> Result<(), Failure> {
    let mut line = Line::open(server).await?;
    while !load.is_draining() {
        let patience = Duration::from_millis(rng.within(1, 25));
        match timeout(patience, line.get(rng, shared)).await {
            Ok(answer) => answer?,
            Err(_) => {
                shared.stats.clients.hung_up.add();
                break;
            }
        }
    }
    Ok(())
}

/// Sends what no server should like, and expects to be told so.
async fn garbler(server: SocketAddr, rng: &mut Rng, clients: &Clients) -> Result<(), Failure> {
    let mut socket = TcpStream::connect(server).await?;
    let garbage = GARBAGE[rng.within(0, GARBAGE.len() as u64 - 1) as usize];
    clients.garbage.add();
    socket.write_all(garbage).await?;
    let mut answer = Vec::new();
    // The server may reset a connection that it has not read to its end.
    let _ = socket.read_to_end(&mut answer).await;
    if answer.starts_with(b"HTTP/1.1 400 ") {
        clients.garbage_refused.add();
    }
    Ok(())
}

/// One keep-alive connection. Dropping it hangs up at once.
struct Line {
    sender: http1::SendRequest<Empty<Bytes>>,
    driver: AbortHandle,
}

impl Line {
    async fn open(server: SocketAddr) -> Result<Line, Failure> {
        let socket = TcpStream::connect(server).await?;
        socket.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        let driver = tokio::spawn(connection).abort_handle();
        Ok(Line { sender, driver })
    }

    async fn get(&mut self, rng: &mut Rng, shared: &Shared) -> Result<(), Failure> {
        let request = Request::get(format!("/search?q={}", rng.next()))
            .header("host", "gateway.example")
            .body(Empty::new())?;
        let sent = Instant::now();
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        response.into_body().collect().await?;
        if status == StatusCode::OK {
            shared.stats.clients.served.add();
            shared.stats.latency.record(sent.elapsed());
        } else {
            shared.stats.clients.told_otherwise.add();
        }
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
