//! The sandbox's own address space, `/__…`: journal, faults, and what stands in for browsers and people.
//!
//! It has no password, as it listens on loopback only. A page in a browser must not be able to use it, so requests that
//! come from one are refused.

use axum::http::Method;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::dev::ReceivedRequest;

use super::{
    call::Answer,
    environment,
    fault::Fault,
    house::lock,
    order,
    routes::{self, PROVIDERS},
    serve::Shared,
};

/// The journal's word for requests to nobody.
const UNKNOWN: &str = "none";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    /// The application's public key, as a page gives it to `PushManager.subscribe`.
    #[serde(default)]
    application_server_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trust {
    secret: String,
}

/// Answers a request for the sandbox itself.
pub(super) fn answer(shared: &Shared, request: &ReceivedRequest) -> Answer {
    if request.header("origin").is_some()
        || request.header("sec-fetch-site").is_some_and(|site| site != "none")
    {
        return told(403, "this is not for web pages; call it from a program, for example with curl");
    }
    let parts: Vec<&str> = request.path.split('/').filter(|part| !part.is_empty()).collect();
    match (request.method.clone(), parts.as_slice()) {
        (Method::GET, []) => index(shared),
        (Method::GET, ["__journal"]) => journal(shared, request),
        (Method::DELETE, ["__journal"]) => {
            shared.journal.clear();
            Answer::empty(204)
        }
        (Method::GET, ["__faults"]) => Answer::json(200, &json!(shared.faults.all())),
        (Method::POST, ["__faults"]) => with(request, |fault: Fault| add_fault(shared, fault)),
        (Method::DELETE, ["__faults"]) => {
            shared.faults.clear();
            shared.smtp.clear_faults();
            Answer::empty(204)
        }
        (Method::POST, ["__push", "subscriptions"]) => with(request, |wish| subscribe(shared, wish)),
        (Method::DELETE, ["__push", "subscriptions", id]) => {
            let ended = lock(&shared.house.subscriptions).end(id);
            if ended {
                Answer::empty(204)
            } else {
                told(404, "there is no such subscription, or it has ended")
            }
        }
        (Method::POST, ["__webhooks"]) => {
            with(request, |trust: Trust| match lock(&shared.house.receivers).trust(&trust.secret) {
                Ok(()) => Answer::empty(204),
                Err(bad) => told(400, &bad.to_string()),
            })
        }
        (Method::POST, ["__whatsapp", "media"]) => {
            let media_type = request.header("content-type").unwrap_or("application/octet-stream");
            let id = lock(&shared.house.media).keep(media_type, request.body.clone());
            Answer::json(201, &json!({ "id": id }))
        }
        (Method::GET, ["__google", "service-account.json"]) => {
            match shared.house.google.key_file(&shared.house.origin) {
                Some(file) => Answer::json(200, &file),
                None => told(503, "no key could be made: the system gives no randomness; try again"),
            }
        }
        _ => told(404, "there is no such thing here; GET / says what there is"),
    }
}

fn index(shared: &Shared) -> Answer {
    let routes: Vec<Value> = PROVIDERS
        .iter()
        .flat_map(|provider| provider.routes.iter().map(move |route| (provider.name, route)))
        .map(|(name, route)| {
            json!({ "provider": name, "operation": route.operation, "method": route.method.as_str(), "path": route.path })
        })
        .collect();
    let environment: serde_json::Map<String, Value> =
        environment(shared).into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let body = json!({
        "routes": routes,
        "smtp": format!("127.0.0.1:{}", shared.smtp.port()),
        "storage": shared.storage.url(),
        "environment": environment,
        "control": [
            "GET|DELETE /__journal", "GET|POST|DELETE /__faults", "POST /__push/subscriptions",
            "DELETE /__push/subscriptions/{id}", "POST /__webhooks", "POST /__whatsapp/media",
            "GET /__google/service-account.json",
        ],
    });
    Answer::json(200, &body)
}

fn journal(shared: &Shared, request: &ReceivedRequest) -> Answer {
    let query = request.query.as_deref().unwrap_or_default();
    let mut provider = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "provider" {
            return told(400, "the journal is filtered by ?provider= only");
        }
        let known = routes::names();
        if value != UNKNOWN && !known.iter().any(|name| *name == value) {
            let known = known.join(", ");
            return told(
                400,
                &format!(
                    "there is no provider \"{value}\" here; write one of {known}, or {UNKNOWN} for paths that belong to nobody"
                ),
            );
        }
        provider = Some(value.into_owned());
    }
    if let Some(trouble) = shared.journal.trouble() {
        return told(500, &trouble);
    }
    Answer::json(200, &json!(shared.journal.entries(provider.as_deref())))
}

fn add_fault(shared: &Shared, fault: Fault) -> Answer {
    match order(shared, fault) {
        Ok(()) => {
            Answer::json(201, &json!({ "waiting": shared.faults.all().len() + shared.smtp.faults_left() }))
        }
        Err(bad) => told(400, &bad.to_string()),
    }
}

fn subscribe(shared: &Shared, wish: Subscribe) -> Answer {
    let house = &shared.house;
    let subscribed = lock(&house.subscriptions).subscribe(&house.origin, wish.application_server_key);
    match subscribed {
        Ok(subscription) => {
            // As a browser writes it, ready to be put into a job.
            let body = json!({ "endpoint": subscription.endpoint, "expirationTime": null, "keys": subscription.keys });
            Answer::json(201, &body)
        }
        Err(error) => told(503, &format!("{error}; try again")),
    }
}

/// An answer to a JSON document; an empty body counts as `{}`.
fn with<T: DeserializeOwned>(request: &ReceivedRequest, then: impl FnOnce(T) -> Answer) -> Answer {
    let text: &[u8] = if request.body.is_empty() { b"{}" } else { &request.body };
    match serde_json::from_slice(text) {
        Ok(document) => then(document),
        // What was sent may hold a secret; the place says enough.
        Err(error) if error.is_data() => {
            told(400, &format!("the document does not fit: {error}; correct it"))
        }
        Err(error) => {
            told(400, &format!("the body is no JSON (line {}, column {})", error.line(), error.column()))
        }
    }
}

fn told(status: u16, sentence: &str) -> Answer {
    Answer::json(status, &json!({ "error": sentence }))
}
