//! The HTTP side: finds the route, lets the ordered fault happen, writes the journal, answers.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, State},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use flota_producer::clock;
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::dev::{
    ReceivedRequest, SmtpSink,
    webhook_sink::connection::{ResetSwitch, ResettableListener},
};

use super::{
    call::{Answer, Call, Outcome},
    control,
    fault::{Fault, Faults, Reset},
    house::House,
    journal::{Entry, Journal, Verdict, shown},
    routes::{self, Found, Provider, Route},
    storage::Storage,
};

/// Above the largest file that any vendor takes, so that its own limit is what a client meets.
const LARGEST_BODY: usize = 128 * 1024 * 1024;

/// What all connections share.
pub(super) struct Shared {
    pub(super) house: House,
    pub(super) journal: Arc<Journal>,
    pub(super) faults: Faults,
    pub(super) smtp: SmtpSink,
    pub(super) storage: Storage,
    pub(super) stopping: CancellationToken,
}

/// What is done with one request.
struct Played {
    verdict: Verdict,
    carried_out: bool,
    /// Nothing when the connection is cut off.
    answer: Option<Answer>,
    why: Option<String>,
    summary: Value,
}

/// Serves until `stopping`.
pub(super) fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let stopping = shared.stopping.clone();
    let service = Router::new()
        .fallback(receive)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(shared)
        .into_make_service_with_connect_info::<ResetSwitch>();
    let serve =
        axum::serve(ResettableListener(listener), service).with_graceful_shutdown(stopping.cancelled_owned());
    tokio::spawn(serve.into_future());
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<ResetSwitch>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (path, query) = (uri.path().to_owned(), uri.query().map(str::to_owned));
    let request = ReceivedRequest { method, path, query, headers, body, arrived: std::time::Instant::now() };
    if request.path == "/" || request.path.starts_with("/__") {
        return respond(control::answer(&shared, &request));
    }
    let (played, delay) = play(&shared, request);
    tokio::select! {
        () = shared.stopping.cancelled() => {}
        () = sleep(delay) => {}
    }
    match played {
        Some(answer) => respond(answer),
        None => connection.reset(),
    }
}

/// Plays one request and writes it down. Answers what goes out, and how late.
fn play(shared: &Shared, request: ReceivedRequest) -> (Option<Answer>, Duration) {
    let at_unix_ms = clock::unix_now_ms();
    let (provider, operation, route, played, delay) = match routes::find(&request.method, &request.path) {
        Found::Route(provider, route, arguments) => {
            let fault = shared.faults.take(provider.name, route.operation, &request.path);
            let now_unix = (at_unix_ms / 1_000) as i64;
            let call = Call { request: &request, arguments, now_unix, house: &shared.house };
            let delay = fault.as_ref().map_or(0, |fault| fault.delay_ms);
            (provider.name, route.operation, route.path, run(provider, route, &call, fault), delay)
        }
        Found::OtherMethod(provider) => {
            let why = Some("the method is another one".to_owned());
            (provider.name, "none", "", Played::refused((provider.error)(405), why), 0)
        }
        Found::Nothing => {
            let body = json!({ "error": "nothing is served here; GET / says what is served where" });
            let why = Some("nothing is served there".to_owned());
            ("none", "none", "", Played::refused(Answer::json(404, &body), why), 0)
        }
    };
    let entry = Entry {
        seq: 0,
        at_unix_ms,
        provider,
        operation,
        method: request.method.to_string(),
        route: route.to_owned(),
        verdict: played.verdict,
        carried_out: played.carried_out,
        status: played.answer.as_ref().map(|answer| answer.status),
        why: played.why,
        summary: played.summary,
        body_bytes: request.body.len(),
        headers: shown(&request.headers),
    };
    shared.journal.write(entry, Some(request));
    (played.answer, Duration::from_millis(delay))
}

/// Lets the fault happen, or serves.
fn run(provider: &Provider, route: &Route, call: &Call<'_>, fault: Option<Fault>) -> Played {
    let Some(fault) = fault else { return Played::of((route.serve)(call)) };
    if let Some(status) = fault.status {
        let answer = ordered(provider.error, status, &fault);
        return Played::fault(Some(answer), format!("answered {status} on order"));
    }
    if let (true, Some(item)) = (fault.ok_with_error, fault.item) {
        let error = (provider.ok_with_error)();
        return Played::of((route.serve)(call)).spoilt(
            |answer| Some(with_one_error(answer, &error, item)),
            "answered an error for one of several",
        );
    }
    if fault.ok_with_error {
        return Played::fault(
            Some((provider.ok_with_error)()),
            "answered a success with an error inside".to_owned(),
        );
    }
    match fault.reset {
        Some(Reset::Before) => Played::fault(None, "cut off before the work".to_owned()),
        Some(Reset::AfterWork) => Played::of((route.serve)(call)).spoilt(|_| None, "cut off after the work"),
        None if fault.malformed => Played::of((route.serve)(call))
            .spoilt(|answer| Some(halved(answer)), "answered half of the answer"),
        None => Played { why: Some("answered late".to_owned()), ..Played::of((route.serve)(call)) },
    }
}

impl Played {
    fn of(outcome: Outcome) -> Self {
        match outcome {
            Ok(done) => Self {
                verdict: Verdict::Accepted,
                carried_out: true,
                answer: Some(done.answer),
                why: None,
                summary: done.summary,
            },
            Err(refusal) => Self::refused(refusal.answer, Some(refusal.why)),
        }
    }

    fn refused(answer: Answer, why: Option<String>) -> Self {
        let answer = Some(answer);
        Self { verdict: Verdict::Refused, carried_out: false, answer, why, summary: json!({}) }
    }

    fn fault(answer: Option<Answer>, why: String) -> Self {
        Self { verdict: Verdict::Fault, carried_out: false, answer, why: Some(why), summary: json!({}) }
    }

    /// Accepted work whose answer goes wrong. What was refused is refused all the same.
    fn spoilt(self, spoil: impl FnOnce(Answer) -> Option<Answer>, why: &str) -> Self {
        if !self.carried_out {
            return self;
        }
        let answer = self.answer.and_then(spoil);
        Self { verdict: Verdict::Fault, answer, why: Some(why.to_owned()), ..self }
    }
}

/// The answer that was ordered, with the vendor's own body unless another was given.
pub(super) fn ordered(error: impl FnOnce(u16) -> Answer, status: u16, fault: &Fault) -> Answer {
    let mut answer = match &fault.body {
        None if status < 300 => Answer::empty(status),
        None => error(status),
        Some(Value::String(text)) => Answer { body: text.clone().into(), ..Answer::empty(status) },
        Some(body) => Answer::json(status, body),
    };
    answer.headers.extend(fault.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    answer
}

/// The answer in whose list one item is what the vendor's own failed item is. Unchanged where there is no such item.
fn with_one_error(answer: Answer, error: &Answer, item: usize) -> Answer {
    let read = |body: &Bytes| serde_json::from_slice::<Value>(body).unwrap_or_default();
    let (mut body, failed) = (read(&answer.body), read(&error.body));
    for (name, list) in failed.as_object().into_iter().flatten() {
        if let (Some(one), Some(place)) = (list.get(0), body[name].get_mut(item)) {
            *place = one.clone();
        }
    }
    Answer { body: body.to_string().into(), ..answer }
}

/// Half of a body; the beginning of a document where there is none.
fn halved(mut answer: Answer) -> Answer {
    answer.body = if answer.body.is_empty() {
        Bytes::from_static(b"{\"")
    } else {
        answer.body.slice(..answer.body.len() / 2)
    };
    answer
}

/// An answer that HTTP does not allow becomes a 500 that says so.
pub(super) fn respond(answer: Answer) -> Response {
    let Answer { status, headers, body } = answer;
    let response = headers
        .into_iter()
        .fold(Response::builder().status(status), |response, (name, value)| response.header(name, value))
        .body(body.into());
    response.unwrap_or_else(|error| {
        let explanation = format!("the ordered answer is not valid HTTP: {error}; correct its headers");
        (StatusCode::INTERNAL_SERVER_ERROR, explanation).into_response()
    })
}
