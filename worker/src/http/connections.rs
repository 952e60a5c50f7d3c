//! Connections with limits: how long a head may take, how large it may be, and how many there may be at once.
//!
//! `axum::serve` waits for as long as a client likes. A client that sends one byte a minute, a thousand times over, must
//! cost a thousand sockets for some seconds and nothing else.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Longest time for the head of a request, and for a connection to say nothing between two.
pub const HEAD_TIME: Duration = Duration::from_secs(10);
/// Largest head of a request, in bytes: a token, a key and a long URL have room to spare.
pub const HEAD_BYTES: usize = 16 * 1024;
/// Most header lines of a request.
pub const HEADERS: usize = 64;
/// Most connections at once; the next one waits to be accepted.
pub const CONNECTIONS: usize = 2_048;
/// How long requests that are under way may take once this process ends.
const DRAIN: Duration = Duration::from_secs(10);
/// Pause after a failed accept, so that a lack of file descriptors does not become a busy loop.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, then lets requests that are under way come to their end.
pub async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    while let Some((stream, place)) = accept(&listener, &places, &stop).await {
        // Small answers go out at once.
        stream.set_nodelay(true).ok();
        let connection = connection(stream, app.clone(), place);
        let watched = graceful.watch(connection.http);
        tokio::spawn(async move {
            // A client that goes away is its own affair.
            if let Err(error) = watched.await {
                debug!(error = &error as &dyn std::error::Error, "A connection ended early");
            }
            drop(connection.place);
        });
    }
    drop(listener);
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        warn!("Some requests did not end within {DRAIN:?} and are cut off");
    }
}

/// The next connection, once there is room for it. `None` when it is time to stop.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = stop.run_until_cancelled(places.clone().acquire_owned()).await?;
    let place = place.expect("the places are never closed");
    loop {
        match stop.run_until_cancelled(listener.accept()).await? {
            Ok((stream, _)) => return Some((stream, place)),
            Err(error) => {
                debug!(error = &error as &dyn std::error::Error, "A connection could not be accepted");
                stop.run_until_cancelled(sleep(PAUSE)).await?;
            }
        }
    }
}

struct Connection<H> {
    http: H,
    place: OwnedSemaphorePermit,
}

fn connection(
    stream: TcpStream,
    app: Router,
    place: OwnedSemaphorePermit,
) -> Connection<impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send> {
    let service = service_fn(move |request: Request<Incoming>| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(answer(app, request.map(Body::new)).await) }
    });
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    Connection { http, place }
}

async fn answer(app: Router, request: Request) -> axum::response::Response {
    use tower::ServiceExt;
    match app.oneshot(request).await {
        Ok(response) => response,
        Err(impossible) => match impossible {},
    }
}
