//! Credentials stay where they belong: a canary in each of them, every kind of job through success and every failure with
//! logs at TRACE, and then a search everywhere.
//!
//! The worker is the real program. Providers quote what they were sent, as some do. Only the sandbox, which plays them,
//! may know a credential; the search covers logs, Redis, Postgres, metrics and what commands print.

mod search;
mod stage;

use flota_worker::{
    config::env::{Shown, VARIABLES},
    dev::SmtpStep,
    sandbox::{Fault, Reset},
};
use serde_json::json;

use self::{
    search::Canary,
    stage::{MAIL_PASSWORD, Stage},
};

/// Providers over HTTP, by their names in the sandbox, and the variable whose value they see and could quote. What signs
/// push notifications is never sent.
const PROVIDERS: [(&str, Option<&str>); 10] = [
    ("sendgrid", Some("SENDGRID_API_KEY")),
    ("ses", Some("AWS_SES_SECRET_ACCESS_KEY")),
    ("twilio", Some("TWILIO_AUTH_TOKEN")),
    ("whatsapp", Some("WHATSAPP_ACCESS_TOKEN")),
    ("llm", Some("OPENROUTER_API_KEY")),
    ("openai", Some("OPENAI_API_KEY")),
    ("google_vision", Some("GOOGLE_VISION_API_KEY")),
    ("storage", Some("MINIO_SECRET_KEY")),
    ("push", None),
    ("webhook", None),
];
/// Statuses after which the next call is made at once.
const STATUSES: [u16; 9] = [400, 500, 502, 503, 404, 408, 409, 425, 413];
/// Bytes that are kept of what others say.
const LIMITS: [usize; 3] = [300, 400, 1_024];
/// Statuses after which others wait: for their turn, for a credential that rests, or because their endpoint is disabled.
const HALTS: [u16; 5] = [429, 401, 402, 403, 410];
/// Steps of a mail server, and replies of every class; behind the last two the login rests.
const REPLIES: [(SmtpStep, u16); 6] = [
    (SmtpStep::RcptTo, 454),
    (SmtpStep::RcptTo, 550),
    (SmtpStep::Data, 554),
    (SmtpStep::Content, 454),
    (SmtpStep::MailFrom, 530),
    (SmtpStep::Auth, 535),
];

/// A status whose body says this, as text and as the documents that APIs answer.
fn saying(provider: &str, status: u16, sentence: String) -> [Fault; 2] {
    let document = json!({
        "errors": [{ "message": sentence, "field": null, "help": null }],
        "error": { "message": sentence, "code": status, "type": "told_to", "status": "TOLD_TO" },
        "message": sentence, "code": status,
    });
    let sentence = match provider {
        // S3 answers XML, and only its message is read.
        "storage" => {
            format!("<Error><Code>Told{status}</Code><Message>{sentence}</Message></Error>")
        }
        _ => sentence,
    };
    [
        Fault { body: Some(sentence.into()), ..Fault::status(provider, status) },
        Fault { body: Some(document), ..Fault::status(provider, status) },
    ]
}

/// The same with a credential in every form in which it was sent.
fn quoting(provider: &str, status: u16, secret: &str) -> [Fault; 2] {
    let (in_url, in_a_login) = (search::in_url(secret), search::in_a_login(secret));
    saying(provider, status, format!("We do not like {secret} or {in_url} or Basic {in_a_login}"))
}

/// A long sentence in which a credential stands where it may be cut off.
fn at_the_cut(limit: usize, secret: &str) -> String {
    format!("{} {secret}", "x".repeat(limit - 1 - secret.len() * 9 / 10))
}

/// Everything that can go wrong one call after the other at a provider that quotes a credential.
fn faults(provider: &str, secret: &str) -> Vec<Fault> {
    let mut faults = vec![
        Fault { reset: Some(Reset::Before), ..Fault::of(provider) },
        Fault { reset: Some(Reset::AfterWork), ..Fault::of(provider) },
        Fault { malformed: true, ..Fault::of(provider) },
        Fault { ok_with_error: true, ..Fault::of(provider) },
    ];
    faults.extend(LIMITS.into_iter().flat_map(|limit| saying(provider, 400, at_the_cut(limit, secret))));
    faults.extend(STATUSES.into_iter().flat_map(|status| quoting(provider, status, secret)));
    // A 200 with the error inside, as language models have it.
    let [_, inside] = quoting(provider, 502, secret);
    faults.push(Fault { status: Some(200), ..inside });
    faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_credential_is_found_outside_its_place() {
    let mut stage = Stage::set().await;
    let mut canaries = stage.canaries();
    for variable in VARIABLES.iter().filter(|variable| variable.shown != Shown::Plainly) {
        assert!(
            canaries.iter().any(|canary| canary.name == variable.name),
            "{} has no canary",
            variable.name
        );
    }

    let secrets = PROVIDERS.map(|(provider, variable)| {
        (provider, variable.map_or("it".to_owned(), |variable| stage.secret(variable).to_owned()))
    });
    for (provider, secret) in &secrets {
        stage.succeed(provider).await;
        stage.suffer(provider, faults(provider, secret)).await;
    }
    for (status, form) in HALTS.into_iter().flat_map(|status| [(status, 0), (status, 1)]) {
        for (provider, secret) in &secrets {
            if (*provider, status, form) == ("webhook", 410, 1) {
                // The first one has disabled the endpoint.
                continue;
            }
            let [text, document] = quoting(provider, status, secret);
            stage.suffer(provider, vec![if form == 0 { text } else { document }]).await;
        }
        // A new process knows of no credential that rests.
        stage.renew_worker().await;
    }
    stage.deliver_nowhere().await;
    for (step, code) in REPLIES {
        let words = format!("we do not like {MAIL_PASSWORD} or {}", search::in_a_login(MAIL_PASSWORD));
        stage.mail(step, code, &words).await;
    }
    stage.mail(SmtpStep::RcptTo, 550, &at_the_cut(LIMITS[0] - "5.7.8 ".len(), MAIL_PASSWORD)).await;
    stage.settle().await;
    canaries.push(stage.use_service_account().await);
    stage.settle().await;

    let places = stage.everything().await;
    let leaks: Vec<String> = places.iter().flat_map(|place| Canary::find_all(&canaries, place)).collect();
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
    stage.used_every_credential();
    stage.end().await;
}
