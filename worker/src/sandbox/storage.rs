//! Storage: a bucket in a directory, served by `s3s-fs`, an S3 server of other people, behind our faults and journal.
//!
//! It has a port of its own, because a bucket is the first part of a path, and its requests are streams: a file is never
//! whole in memory. The directory holds the files under their keys, for whoever wants to look.

mod server;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, Method},
    response::{IntoResponse, Response},
};
use flota_producer::clock;
use futures_util::{StreamExt, stream};
use s3s::service::S3Service;
use serde_json::{Map, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, time::sleep};
use url::form_urlencoded;

use crate::dev::webhook_sink::connection::{ResetSwitch, ResettableListener};

use super::{
    call::Answer,
    fault::{Fault, Reset},
    journal::{Entry, Verdict, shown},
    serve::{self, Shared, respond},
};

/// Its name in the journal and in faults.
pub(super) const NAME: &str = "storage";
/// The bucket that is there from the start.
pub(super) const BUCKET: &str = "flota-sandbox";
/// What may be asked of it.
const OPERATIONS: [&str; 13] = [
    "put",
    "begin",
    "part",
    "complete",
    "abort",
    "get",
    "head",
    "remove",
    "list",
    "lifetime",
    "set_lifetime",
    "parts",
    "other",
];
/// What S3's documents are.
const XML: &str = "application/xml";
/// How long half an answer has to be sent before the connection ends.
const FLUSH: Duration = Duration::from_millis(50);
/// Most of an error's document that is looked at.
const MOST_EXPLAINED: usize = 64 * 1024;

/// Where the files are, and where they are served.
pub(super) struct Storage {
    address: SocketAddr,
    directory: PathBuf,
    /// Goes with us.
    _temporary: Option<TempDir>,
}

/// What every request needs.
#[derive(Clone)]
struct Serving {
    s3: S3Service,
    shared: Arc<Shared>,
}

impl Storage {
    /// Opens a port and the directory, or one that goes with us. Nothing is served yet.
    pub(super) async fn open(directory: Option<&Path>) -> io::Result<(Self, TcpListener)> {
        let temporary =
            directory.is_none().then(|| tempfile::Builder::new().prefix("flota-bucket-").tempdir());
        let temporary = temporary.transpose()?;
        let directory = directory.or(temporary.as_ref().map(TempDir::path)).unwrap_or(Path::new("."));
        tokio::fs::create_dir_all(directory.join(BUCKET)).await?;
        let directory = directory.canonicalize()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Ok((Self { address: listener.local_addr()?, directory, _temporary: temporary }, listener))
    }

    /// `http://127.0.0.1:<port>`.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The directory with a folder for each bucket.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }
}

/// Serves until the sandbox ends.
pub(super) fn serve(listener: TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    let s3 = server::service(shared.storage.directory()).map_err(io::Error::other)?;
    let stopping = shared.stopping.clone();
    let service = Router::new()
        .fallback(receive)
        .with_state(Serving { s3, shared })
        .into_make_service_with_connect_info::<ResetSwitch>();
    let serve =
        axum::serve(ResettableListener(listener), service).with_graceful_shutdown(stopping.cancelled_owned());
    tokio::spawn(serve.into_future());
    Ok(())
}

/// The names of what may be asked of it.
pub(super) fn operations() -> Vec<&'static str> {
    OPERATIONS.to_vec()
}

async fn receive(
    State(Serving { s3, shared }): State<Serving>,
    ConnectInfo(connection): ConnectInfo<ResetSwitch>,
    request: Request,
) -> Response {
    let operation = operation(request.method(), request.uri().path(), request.uri().query());
    let fault = shared.faults.take(NAME, operation, request.uri().path());
    let delay = Duration::from_millis(fault.as_ref().map_or(0, |fault| fault.delay_ms));
    let mut entry = entry(operation, request.method(), request.headers());
    let answer = match &fault {
        Some(fault) if is_instead(fault) => {
            entry.why = Some("answered on order, without the work".to_owned());
            (fault.reset.is_none()).then(|| respond(ordered(fault)))
        }
        _ => Some(asked(&s3, request, &mut entry).await),
    };
    let answer = match fault {
        Some(fault) => {
            entry.verdict = Verdict::Fault;
            spoilt(answer, &fault).await
        }
        None => answer,
    };
    entry.status = answer.as_ref().map(|answer| answer.status().as_u16());
    shared.journal.write(entry, None);
    tokio::select! {
        () = shared.stopping.cancelled() => {}
        () = sleep(delay) => {}
    }
    answer.unwrap_or_else(|| connection.reset())
}

/// Lets the server do it, and notes how that ended.
async fn asked(s3: &S3Service, request: Request, entry: &mut Entry) -> Response {
    let answer = match s3.call(request.map(s3s::Body::http_body_unsync)).await {
        Ok(answer) => answer.map(Body::new),
        Err(error) => return respond(Answer::of(500, XML, format!("{error:?}"))),
    };
    if answer.status().is_success() {
        (entry.verdict, entry.carried_out) = (Verdict::Accepted, true);
        return answer.into_response();
    }
    let (parts, body) = answer.into_parts();
    let body = axum::body::to_bytes(body, MOST_EXPLAINED).await.unwrap_or_default();
    entry.why = Some(word(&body));
    Response::from_parts(parts, body.into())
}

/// True for a fault in whose place nothing is done.
fn is_instead(fault: &Fault) -> bool {
    fault.status.is_some() || fault.ok_with_error || fault.reset == Some(Reset::Before)
}

/// The answer that goes wrong after the work, or none where the connection is cut off.
async fn spoilt(answer: Option<Response>, fault: &Fault) -> Option<Response> {
    let answer = answer?;
    if fault.reset == Some(Reset::AfterWork) {
        return None;
    }
    if !fault.malformed {
        return Some(answer);
    }
    let (parts, body) = answer.into_parts();
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    // The length that was announced stays, and the connection ends before it.
    let half = stream::iter([Ok(whole.slice(..whole.len() / 2))]);
    let end = stream::once(async {
        // What was written has to be on its way first, or the client would see no answer at all.
        sleep(FLUSH).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    Some(Response::from_parts(parts, Body::from_stream(half.chain(end))))
}

/// The ordered answer; without a status, a success with S3's own document of a failure inside.
fn ordered(fault: &Fault) -> Answer {
    match fault.status {
        Some(status) => serve::ordered(failed, status, fault),
        None => Answer { status: 200, ..failed(500) },
    }
}

/// S3's own document of a failure.
fn failed(status: u16) -> Answer {
    let word = usual_word(status);
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{word}</Code><Message>told to</Message></Error>"
    );
    Answer::of(status, XML, document)
}

/// What S3 usually means by a status (S3 API reference, "Error responses").
fn usual_word(status: u16) -> &'static str {
    match status {
        301 => "PermanentRedirect",
        403 => "AccessDenied",
        404 => "NoSuchKey",
        405 => "MethodNotAllowed",
        409 => "OperationAborted",
        412 => "PreconditionFailed",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        _ => "InvalidArgument",
    }
}

/// The word of an error's document.
fn word(document: &Bytes) -> String {
    let text = String::from_utf8_lossy(document);
    let word = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    word.map_or_else(|| "refused".to_owned(), |(word, _)| word.to_owned())
}

fn entry(operation: &'static str, method: &Method, headers: &HeaderMap) -> Entry {
    let length = headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
    Entry {
        seq: 0,
        at_unix_ms: clock::unix_now_ms(),
        provider: NAME,
        operation,
        method: method.to_string(),
        route: "/{}/{*}".to_owned(),
        verdict: Verdict::Refused,
        carried_out: false,
        status: None,
        why: None,
        summary: json!({}),
        body_bytes: length.unwrap_or_default(),
        headers: shown(headers).into_iter().collect::<Map<_, _>>(),
    }
}

/// What a request asks for.
fn operation(method: &Method, path: &str, query: Option<&str>) -> &'static str {
    let has =
        |name: &str| form_urlencoded::parse(query.unwrap_or_default().as_bytes()).any(|(key, _)| key == name);
    let is_of_file = path.trim_matches('/').contains('/');
    match (method.as_str(), is_of_file) {
        ("PUT", true) if has("partNumber") => "part",
        ("PUT", true) => "put",
        ("POST", true) if has("uploads") => "begin",
        ("POST", true) => "complete",
        ("DELETE", true) if has("uploadId") => "abort",
        ("DELETE", true) => "remove",
        ("GET", true) if has("uploadId") => "parts",
        ("GET", true) => "get",
        ("HEAD", _) => "head",
        ("GET", false) if has("lifecycle") => "lifetime",
        ("PUT" | "DELETE", false) if has("lifecycle") => "set_lifetime",
        ("GET", false) => "list",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_known_by_its_request() {
        let rows = [
            ("PUT", "/b/t/k", "", "put"),
            ("POST", "/b/t/k", "uploads", "begin"),
            ("PUT", "/b/t/k", "partNumber=2&uploadId=x", "part"),
            ("POST", "/b/t/k", "uploadId=x", "complete"),
            ("DELETE", "/b/t/k", "uploadId=x", "abort"),
            ("GET", "/b/t/k", "x-id=GetObject", "get"),
            ("HEAD", "/b/t/k", "", "head"),
            ("DELETE", "/b/t/k", "", "remove"),
            ("GET", "/b/", "list-type=2", "list"),
            ("GET", "/b", "lifecycle", "lifetime"),
            ("PUT", "/b", "lifecycle", "set_lifetime"),
            ("DELETE", "/b", "lifecycle", "set_lifetime"),
            ("GET", "/b/t/k", "uploadId=x", "parts"),
            ("DELETE", "/b", "", "other"),
        ];

        for (method, path, query, expected) in rows {
            let method = method.parse().unwrap();
            assert_eq!(operation(&method, path, Some(query)), expected, "{method} {path}?{query}");
            assert!(OPERATIONS.contains(&expected));
        }
    }
}
