//! An HTTP server that takes so many requests per second and refuses the rest with 429, as providers do.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What a server takes.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Requests per second; the rest is refused.
    pub per_second: u32,
    /// For this long from the start everything is refused.
    pub closed_for: Duration,
    /// What a refusal says in `Retry-After`, in seconds.
    pub retry_after: u64,
    /// How long an answer takes.
    pub latency: Duration,
}

/// The server, until it is dropped.
pub struct LimitedProvider {
    /// Where it listens.
    pub port: u16,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

struct State {
    allowance: Allowance,
    began: Instant,
    window: Mutex<(u64, u32)>,
    taken: AtomicU64,
    refused: AtomicU64,
}

impl LimitedProvider {
    /// Starts it on a free port of loopback.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(allowance: Allowance) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State {
            allowance,
            began: Instant::now(),
            window: Mutex::default(),
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let serving = tokio::spawn(serve(listener, Arc::clone(&state)));
        Ok(Self { port, state, serving })
    }

    /// Requests that were taken so far.
    pub fn taken(&self) -> u64 {
        self.state.taken.load(Ordering::Relaxed)
    }

    /// Requests that were refused so far.
    pub fn refused(&self) -> u64 {
        self.state.refused.load(Ordering::Relaxed)
    }
}

impl Drop for LimitedProvider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, Arc::clone(&state)));
    }
}

/// Answers requests of one connection until its other side has gone.
async fn converse(mut stream: TcpStream, state: Arc<State>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::new();
    loop {
        let Some(length) = request_length(&read) else {
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
            continue;
        };
        read.drain(..length);
        let answer = state.answer();
        tokio::time::sleep(state.allowance.latency).await;
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// How long the request at the start of `read` is, once all of it is there.
fn request_length(read: &[u8]) -> Option<usize> {
    let head = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&read[..head]).ok()?.to_ascii_lowercase();
    let body = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = head + body.map_or(Some(0), |length| length.trim().parse::<usize>().ok())?;
    (length <= read.len()).then_some(length)
}

impl State {
    fn answer(&self) -> String {
        let since = self.began.elapsed();
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.0 != since.as_secs() {
            *window = (since.as_secs(), 0);
        }
        if since < self.allowance.closed_for || self.allowance.per_second <= window.1 {
            self.refused.fetch_add(1, Ordering::Relaxed);
            let wait = self.allowance.retry_after;
            return format!(
                "HTTP/1.1 429 Too Many Requests\r\nretry-after: {wait}\r\ncontent-length: 0\r\n\r\n"
            );
        }
        window.1 += 1;
        self.taken.fetch_add(1, Ordering::Relaxed);
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned()
    }
}
