//! Credentials stay where they belong: a canary in each of them, every kind of job through success and every failure with
//! logs at TRACE, and then a search everywhere.
//!
//! The worker is the real program. Providers quote what they were sent, as some do. Only the sandbox, which plays them,
//! may know a credential; the search covers logs, Redis, Postgres, metrics and what commands print.

mod search;
mod stage;

use flota_worker::{
    config::env::{Shown, VARIABLES},
    sandbox::{Fault, Reset},
};
use serde_json::json;

use self::{search::Canary, stage::Stage};

/// Providers over HTTP, by their names in the sandbox, and the variable whose value they see and could quote. What signs
/// push notifications is never sent.
const PROVIDERS: [(&str, Option<&str>); 7] = [
    ("twilio", Some("TWILIO_AUTH_TOKEN")),
    ("whatsapp", Some("WHATSAPP_ACCESS_TOKEN")),
    ("llm", Some("OPENROUTER_API_KEY")),
    ("openai", Some("OPENAI_API_KEY")),
    ("google_vision", Some("GOOGLE_VISION_API_KEY")),
    ("push", None),
    ("webhook", None),
];
/// Statuses of every class. The last two make the others wait, or disable their endpoint.
const STATUSES: [u16; 14] = [400, 500, 401, 502, 402, 503, 403, 408, 404, 409, 425, 413, 429, 410];
/// Steps of a mail server, and replies of every class.
const REPLIES: [(&str, u16); 6] =
    [("auth", 535), ("mail_from", 530), ("rcpt_to", 450), ("rcpt_to", 550), ("data", 554), ("content", 452)];

/// Everything that can go wrong at a provider that quotes a credential.
fn faults(provider: &str, secret: &str) -> Vec<Fault> {
    let quoting = format!("We do not like {secret} or {}", search::in_url(secret));
    let mut faults = vec![
        Fault { reset: Some(Reset::Before), ..Fault::of(provider) },
        Fault { reset: Some(Reset::AfterWork), ..Fault::of(provider) },
        Fault { malformed: true, ..Fault::of(provider) },
        Fault { ok_with_error: true, ..Fault::of(provider) },
    ];
    for status in STATUSES {
        let document = json!({
            "error": { "message": quoting, "code": status, "type": "told_to", "status": "TOLD_TO" },
            "message": quoting, "code": status,
        });
        faults.push(Fault { body: Some(quoting.clone().into()), ..Fault::status(provider, status) });
        faults.push(Fault { body: Some(document), ..Fault::status(provider, status) });
    }
    // A 200 with the error inside, as language models have it.
    let inside = json!({ "error": { "message": quoting, "code": 502 } });
    faults.insert(0, Fault { body: Some(inside), ..Fault::status(provider, 200) });
    if provider == "webhook" {
        // The first 410 has disabled the endpoint.
        faults.pop();
    }
    faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_credential_is_found_outside_its_place() {
    let stage = Stage::set().await;
    let mut canaries = stage.canaries();
    for variable in VARIABLES.iter().filter(|variable| variable.shown != Shown::Plainly) {
        assert!(
            canaries.iter().any(|canary| canary.name == variable.name),
            "{} has no canary",
            variable.name
        );
    }

    for (provider, variable) in PROVIDERS {
        stage.succeed(provider).await;
        stage
            .suffer(provider, faults(provider, variable.map_or("it", |variable| stage.secret(variable))))
            .await;
    }
    stage.deliver_nowhere().await;
    stage.mail(&REPLIES).await;
    stage.settle().await;
    let (stage, token) = stage.use_service_account().await;
    canaries.push(token);
    stage.settle().await;

    let places = stage.everything().await;
    let leaks: Vec<String> = places.iter().flat_map(|place| Canary::find_all(&canaries, place)).collect();
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
    stage.used_every_credential();
    stage.end().await;
}
