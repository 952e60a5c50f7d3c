//! An HTTP receiver on loopback that keeps every request and answers as it is told.
//!
//! Without a script it answers 200 and an empty body to everything. Answers are queued per path and each is used
//! once, so a test can say "503, then 200". Signatures are not checked here: a request is kept verbatim, and who
//! knows the secret checks it.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, State},
    http::{HeaderMap, Method, StatusCode, Uri, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) mod connection;

use connection::{ResetSwitch, ResettableListener};

use super::arrivals::{Arrivals, TooFewArrived};

/// Far above any webhook, so that a sender's own limit is what a test meets.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    /// `POST`, `GET`, …
    pub method: Method,
    /// The path without the query.
    pub path: String,
    /// What follows the question mark.
    pub query: Option<String>,
    /// All header fields.
    pub headers: HeaderMap,
    /// The body, byte for byte.
    pub body: Bytes,
    /// When the body was complete.
    pub arrived: Instant,
}

impl ReceivedRequest {
    /// The first value of a header field, if it is there and is visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What a request is answered with. The request is kept in every case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookAnswer {
    /// This response.
    Respond {
        /// The status code, 200 to 999.
        status: u16,
        /// Header fields to add.
        headers: Vec<(String, String)>,
        /// The body, as text.
        body: String,
    },
    /// 200, but late.
    OkAfter(Duration),
    /// Nothing for this long, then a reset of the connection.
    Hang(Duration),
    /// A reset of the connection (RST) instead of an answer.
    Reset,
}

impl WebhookAnswer {
    /// An empty response with this status.
    pub fn status(status: u16) -> Self {
        Self::Respond { status, headers: Vec::new(), body: String::new() }
    }

    /// An empty response with this status and `Retry-After` in whole seconds (RFC 9110 section 10.2.3).
    pub fn retry_after(status: u16, delay: Duration) -> Self {
        let headers = vec![(RETRY_AFTER.to_string(), delay.as_secs().to_string())];
        Self::Respond { status, headers, body: String::new() }
    }
}

/// A running receiver. It stops listening when it is dropped, and idle connections are closed.
#[derive(Debug)]
pub struct WebhookSink {
    port: u16,
    shared: Arc<Shared>,
    _stops_when_dropped: DropGuard,
}

/// What is answered when nothing is queued.
type Usual = fn(&ReceivedRequest) -> WebhookAnswer;

#[derive(Debug)]
struct Shared {
    usual: Usual,
    received: Arrivals<ReceivedRequest>,
    answers: Mutex<HashMap<String, VecDeque<WebhookAnswer>>>,
    stopping: CancellationToken,
}

impl WebhookSink {
    /// Starts a receiver on a loopback port chosen by the kernel.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(|_| WebhookAnswer::status(200)).await
    }

    /// The same with another answer for everything that has none queued.
    pub(super) async fn start_with(usual: Usual) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let stopping = CancellationToken::new();
        let shared = Arc::new(Shared {
            usual,
            received: Arrivals::of("requests"),
            answers: Mutex::default(),
            stopping: stopping.clone(),
        });
        let service = Router::new()
            .fallback(receive)
            .layer(DefaultBodyLimit::max(LARGEST_BODY))
            .with_state(Arc::clone(&shared))
            .into_make_service_with_connect_info::<ResetSwitch>();
        let serve = axum::serve(ResettableListener(listener), service)
            .with_graceful_shutdown(stopping.clone().cancelled_owned());
        tokio::spawn(serve.into_future());
        Ok(Self { port, shared, _stops_when_dropped: stopping.drop_guard() })
    }

    /// `http://127.0.0.1:<port><path>`; the path starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Queues an answer for a path, behind those already queued for it. The query plays no part.
    pub fn answer(&self, path: &str, answer: WebhookAnswer) {
        let mut answers = self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.entry(path.to_owned()).or_default().push_back(answer);
    }

    /// Every request so far, oldest first.
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.shared.received.all()
    }

    /// Every request so far, as soon as there are at least `count`.
    pub async fn wait_for(
        &self,
        count: usize,
        deadline: Duration,
    ) -> Result<Vec<ReceivedRequest>, TooFewArrived> {
        self.shared.received.wait_for(count, deadline).await
    }
}

impl Shared {
    fn next_answer(&self, request: &ReceivedRequest) -> WebhookAnswer {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let queued = answers.get_mut(&request.path).and_then(VecDeque::pop_front);
        queued.unwrap_or_else(|| (self.usual)(request))
    }

    /// A receiver that is going away keeps nobody waiting.
    async fn wait(&self, delay: Duration) {
        tokio::select! {
            () = self.stopping.cancelled() => {}
            () = sleep(delay) => {}
        }
    }
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<ResetSwitch>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let query = uri.query().map(str::to_owned);
    let request = ReceivedRequest { method, path, query, headers, body, arrived: Instant::now() };
    // Chosen before the request can be seen, so that an answer queued on seeing it is for the next one.
    let answer = shared.next_answer(&request);
    shared.received.push(request);
    match answer {
        WebhookAnswer::Respond { status, headers, body } => respond(status, headers, body),
        WebhookAnswer::OkAfter(delay) => {
            shared.wait(delay).await;
            StatusCode::OK.into_response()
        }
        WebhookAnswer::Hang(delay) => {
            shared.wait(delay).await;
            connection.reset()
        }
        WebhookAnswer::Reset => connection.reset(),
    }
}

/// A scripted response that HTTP does not allow becomes a 500 that says so.
fn respond(status: u16, headers: Vec<(String, String)>, body: String) -> Response {
    let response = headers
        .into_iter()
        .fold(Response::builder().status(status), |response, (name, value)| response.header(name, value))
        .body(body.into());
    response.unwrap_or_else(|error| {
        let explanation = format!("the queued answer is not valid HTTP: {error}");
        (StatusCode::INTERNAL_SERVER_ERROR, explanation).into_response()
    })
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        time::timeout,
    };

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    async fn post(port: u16, target: &str, body: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let length = body.len();
        let request = format!(
            "POST {target} HTTP/1.1\r\nhost: sink\r\nconnection: close\r\nx-mark: yes\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut response = String::new();
        timeout(SOON, stream.read_to_string(&mut response)).await.expect("the connection ends")?;
        Ok(response)
    }

    #[tokio::test]
    async fn a_request_is_kept_whole_and_answered_with_200() {
        let sink = WebhookSink::start().await.unwrap();

        let response = post(sink.port(), "/hook?x=1", "{\"a\":1}").await.unwrap();

        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        let request = &sink.wait_for(1, SOON).await.unwrap()[0];
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/hook"));
        assert_eq!(request.query.as_deref(), Some("x=1"));
        assert_eq!(request.header("X-Mark"), Some("yes"));
        assert_eq!(request.body, "{\"a\":1}");
        assert_eq!(sink.url("/hook"), format!("http://127.0.0.1:{}/hook", sink.port()));
    }

    #[tokio::test]
    async fn queued_answers_are_used_once_in_order_and_only_for_their_path() {
        let sink = WebhookSink::start().await.unwrap();
        sink.answer("/a", WebhookAnswer::retry_after(429, Duration::from_secs(7)));
        sink.answer("/a", WebhookAnswer::status(503));

        let mut statuses = Vec::new();
        for path in ["/b", "/a", "/a", "/a"] {
            statuses.push(post(sink.port(), path, "").await.unwrap());
        }

        assert!(statuses[0].starts_with("HTTP/1.1 200"));
        assert!(statuses[1].starts_with("HTTP/1.1 429") && statuses[1].contains("retry-after: 7\r\n"));
        assert!(statuses[2].starts_with("HTTP/1.1 503"));
        assert!(statuses[3].starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn a_reset_reaches_the_client_as_a_reset_and_the_request_is_kept() {
        let sink = WebhookSink::start().await.unwrap();
        sink.answer("/a", WebhookAnswer::Reset);
        sink.answer("/a", WebhookAnswer::Hang(Duration::from_millis(10)));

        for _ in 0..2 {
            let error = post(sink.port(), "/a", "body").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }

        assert_eq!(sink.received().len(), 2);
    }

    #[tokio::test]
    async fn a_late_answer_is_late_but_complete() {
        let sink = WebhookSink::start().await.unwrap();
        let delay = Duration::from_millis(50);
        sink.answer("/a", WebhookAnswer::OkAfter(delay));

        let response = post(sink.port(), "/a", "").await.unwrap();

        assert!(response.starts_with("HTTP/1.1 200"));
        assert!(sink.received()[0].arrived.elapsed() >= delay);
    }

    #[tokio::test]
    async fn a_dropped_receiver_ends_hanging_requests_and_refuses_new_ones() {
        let sink = WebhookSink::start().await.unwrap();
        let port = sink.port();
        sink.answer("/a", WebhookAnswer::Hang(Duration::from_hours(1)));

        let request = post(port, "/a", "");
        let stop = async {
            sink.wait_for(1, SOON).await.unwrap();
            drop(sink);
        };
        let (outcome, ()) = tokio::join!(request, stop);
        // The port is given back by the task that listens, so the refusal comes a moment after the drop.
        let refusal = async { while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {} };

        assert!(outcome.is_err());
        timeout(SOON, refusal).await.expect("new connections are refused");
    }

    #[tokio::test]
    async fn a_scripted_answer_that_http_does_not_allow_says_so() {
        let sink = WebhookSink::start().await.unwrap();
        sink.answer("/a", WebhookAnswer::status(42));

        let response = post(sink.port(), "/a", "").await.unwrap();

        assert!(response.starts_with("HTTP/1.1 500") && response.contains("not valid HTTP"), "{response}");
    }
}
