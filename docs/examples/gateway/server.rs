//! Sockets: the listener, the connections, and how both end.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::pin::pin;
use std::time::Duration;

use ctxtree::Context;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::Shared;
use crate::request;

/// What a connection is given to finish its request after the cancel.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// A client that connects and then says nothing is not waited for longer.
const HEAD_LIMIT: Duration = Duration::from_secs(5);
/// Room for others to close sockets when the process has run out of them.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts until `server` is cancelled.
pub(crate) async fn serve(listener: TcpListener, server: Context, shared: Shared) {
    while let Ok(accepted) = server.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((socket, _)) => {
                tokio::spawn(connection(socket, server.clone(), shared.clone()));
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
                let _ = server.run_until_cancelled(sleep(PAUSE)).await;
            }
        }
    }
}

async fn connection(socket: TcpStream, server: Context, shared: Shared) {
    let connections = &shared.stats.connections;
    connections.opened.add();
    let (ctx, handle) = server.derive().name("connection").build();
    // Whatever way this function ends, nothing goes on under it.
    let _guard = handle.drop_guard();

    let ended = converse(socket, &ctx, &shared).await;
    shared.stats.left_behind.add_many(ctx.live_children());
    match ended {
        Some(Ok(())) => connections.closed.add(),
        Some(Err(error)) if error.is_parse() || error.is_timeout() => connections.rejected.add(),
        Some(Err(_)) => connections.broken.add(),
        None => connections.cut.add(),
    }
}

/// Serves requests until the client is done or the server is. A request that
/// is still under way when this returns has been dropped with it, and so has
/// cancelled itself; `None` means that the time to drain was over.
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
    match ctx.run_until_cancelled(http.as_mut()).await {
        Ok(ended) => Some(ended),
        Err(_) => {
            http.as_mut().graceful_shutdown();
            timeout(DRAIN_LIMIT, http).await.ok()
        }
    }
}
