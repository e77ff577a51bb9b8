//! Sockets: the listener, the connections, and how both end.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::pin::pin;
use std::time::Duration;

use ctxtree::{Context, DropGuard};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::Shared;
use crate::request;

/// What a connection is given to finish its request after the cancel.
const CANCEL_LIMIT: Duration = Duration::from_secs(1);
/// A client that connects and then says nothing is not waited for longer.
const HEAD_LIMIT: Duration = Duration::from_secs(5);
/// Room for others to close sockets when the process has run out of them.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts until `server` is drained. Then the listener is closed, and what the
/// system has accepted already is refused.
pub(crate) async fn serve(listener: TcpListener, server: Context, shared: Shared) {
    let mut draining = server.draining();
    loop {
        let accepted = tokio::select! {
            () = &mut draining => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => {
                let (ctx, handle) = server.derive().name("connection").build();
                tokio::spawn(connection(socket, ctx, handle.drop_guard(), shared.clone()));
            }
            // The client was gone before it was accepted.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
                ) => {}
            // Out of file descriptors, most likely. Accepting again at once
            // would fail at once.
            Err(error) => {
                shared.stats.trouble("cannot accept a connection", &error);
                sleep(PAUSE).await;
            }
        }
    }
}

/// Whatever way this ends, the guard sees to it that nothing goes on under it.
async fn connection(socket: TcpStream, ctx: Context, _guard: DropGuard, shared: Shared) {
    let connections = &shared.stats.connections;
    connections.opened.add();
    let ended = converse(socket, &ctx, &shared).await;
    shared.stats.left_behind.add_many(ctx.live_children());
    match ended {
        Some(Ok(())) => connections.closed.add(),
        Some(Err(error)) if error.is_parse() || error.is_timeout() => connections.rejected.add(),
        Some(Err(_)) => connections.broken.add(),
        None => connections.cut.add(),
    }
}

/// Serves requests until the client is done, or the server is and the request
/// that is under way. When that is cancelled, too, there is a moment left for
/// the answer that says so, and it is dropped if it takes longer, by which it
/// cancels itself; `None` means that.
async fn converse(socket: TcpStream, ctx: &Context, shared: &Shared) -> Option<hyper::Result<()>> {
    let service = service_fn(|request| {
        let answer = request::answer(ctx.clone(), shared.clone(), request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let mut http = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_LIMIT)
            .serve_connection(TokioIo::new(socket), service)
    );
    tokio::select! {
        ended = http.as_mut() => return Some(ended),
        () = ctx.draining() => http.as_mut().graceful_shutdown(),
    }
    match ctx.run_until_cancelled(http.as_mut()).await {
        Ok(ended) => Some(ended),
        Err(_) => timeout(CANCEL_LIMIT, http).await.ok(),
    }
}
