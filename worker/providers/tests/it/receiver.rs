//! A webhook receiver on the loopback interface: axum for ordinary answers, plain TCP for rude ones.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Response, StatusCode, Uri},
    response::IntoResponse,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::smtp_server;

#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

/// What the receiver answers to every request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let address = listener.local_addr().expect("a bound socket");
        let received = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new()
            .fallback(record)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state((answer, Arc::clone(&received)));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, received }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no panic while held").clone()
    }
}

type Kept = Arc<Mutex<Vec<Received>>>;

async fn record(
    State((answer, kept)): State<(Answer, Kept)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    kept.lock().expect("no panic while held").push(Received { path: uri.path().to_owned(), headers, body });
    let status = StatusCode::from_u16(answer.status).expect("a valid status");
    let mut response = Response::builder().status(status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(axum::body::Body::from(answer.body)).expect("a valid response")
}

/// Answers one request over TLS with 200. Blocking, like the server whose TLS it borrows.
pub(crate) fn start_https_once() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
    let address = listener.local_addr().expect("a bound socket");
    std::thread::spawn(move || -> std::io::Result<()> {
        let (tcp, _) = listener.accept()?;
        let mut stream = smtp_server::tls(tcp);
        let mut request = Vec::new();
        // The bodies of the tests end with two braces, and no header does.
        while !request.ends_with(b"}}") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            request.extend_from_slice(&byte);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
        stream.flush()
    });
    address
}

/// How a server misbehaves once it has read a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rudeness {
    /// Says nothing and keeps the connection.
    Hang,
    /// Closes with a TCP reset.
    Reset,
    /// Says one byte of its headers now and then, for ever.
    DripHeaders,
    /// Says 200 at once and then one byte of the body now and then, for ever.
    DripBody,
    /// Says 200, the start of a body, and then nothing.
    Stall,
    /// Says 200 and as much body as the other side will take.
    Flood,
}

/// Counts connections and the bytes that it could send; starts no HTTP of its own.
pub(crate) struct RudeServer {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    pub(crate) sent: Arc<AtomicUsize>,
}

impl RudeServer {
    pub(crate) async fn start(rudeness: Rudeness) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let address = listener.local_addr().expect("a bound socket");
        let (connections, sent) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, counted_bytes) = (Arc::clone(&connections), Arc::clone(&sent));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(misbehave(stream, rudeness, Arc::clone(&counted_bytes)));
            }
        });
        Self { address, connections, sent }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn misbehave(mut stream: TcpStream, rudeness: Rudeness, sent: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut start_of_request = [0; 4];
    stream.read_exact(&mut start_of_request).await?;
    match rudeness {
        Rudeness::Hang => std::future::pending().await,
        // Dropping a socket with unread bytes and no linger sends a reset.
        Rudeness::Reset => stream.set_zero_linger(),
        Rudeness::DripHeaders => drip(stream, b"HTTP/1.1 200 OK\r\nx-slow: ").await,
        Rudeness::DripBody => drip(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await,
        Rudeness::Stall => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n: THINKING\n\n").await?;
            std::future::pending().await
        }
        Rudeness::Flood => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10485760\r\n\r\n").await?;
            for _ in 0..10_240 {
                stream.write_all(&[b'x'; 1024]).await?;
                sent.fetch_add(1024, Ordering::SeqCst);
            }
            Ok(())
        }
    }
}

async fn drip(mut stream: TcpStream, start: &[u8]) -> std::io::Result<()> {
    stream.write_all(start).await?;
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        stream.write_all(b"x").await?;
    }
}
