//! What the demo enqueues, and how each job must end.

use flota_producer::{DeliverWebhook, EmailBody, NewJob, SendEmail};
use flota_providers::email::templates::TEMPLATES;
use serde_json::json;

use super::stage::Stage;

/// One job and its expected end.
pub(super) struct Story {
    pub(super) name: &'static str,
    pub(super) job: NewJob,
    pub(super) expected: Expected,
}

/// How a job must end.
pub(super) struct Expected {
    pub(super) state: &'static str,
    pub(super) attempts: u32,
}

const DONE: Expected = Expected { state: "succeeded", attempts: 1 };

/// The five templates, in turn in Spanish and English.
pub(super) fn mails() -> Vec<Story> {
    let mail = |(n, template): (usize, &'static flota_providers::email::templates::Template)| {
        let locale = if n % 2 == 0 { "es" } else { "en" };
        let body = EmailBody::template(template.name, locale, template.example());
        let job = NewJob::new(SendEmail::new(format!("{}@example.com", template.name), body)).tenant("acme");
        Story { name: template.name, job, expected: DONE }
    };
    TEMPLATES.iter().enumerate().map(mail).collect()
}

/// A delivery that goes well.
pub(super) fn webhook(stage: &Stage) -> Story {
    to(stage, "signed webhook", "/orders", DONE)
}

/// Deliveries to receivers that misbehave.
pub(super) fn troubled_webhooks(stage: &Stage) -> Vec<Story> {
    let done_at = |attempts| Expected { state: "succeeded", attempts };
    let dead_at = |attempts| Expected { state: "dead", attempts };
    vec![
        to(stage, "500, 503, then fine", "/flaky", done_at(3)),
        to(stage, "429 with Retry-After, not charged", "/busy", done_at(1)),
        to(stage, "hangs once", "/slow", done_at(2)),
        to(stage, "resets once", "/reset", done_at(2)),
        to(stage, "500 for ever", "/broken", dead_at(3)),
        to(stage, "410 Gone", "/gone", dead_at(1)),
    ]
}

/// A mail that has to come back later.
pub(super) fn greylisted() -> Story {
    let body = EmailBody::text("Greylisted", "Second time lucky.");
    let job = NewJob::new(SendEmail::new("grey@example.com", body));
    Story { name: "450, then accepted", job, expected: Expected { state: "succeeded", attempts: 2 } }
}

/// A mail to somebody who does not exist.
pub(super) fn nobody() -> Story {
    let job =
        NewJob::new(SendEmail::new("nobody@example.com", EmailBody::text("Hello?", "Is anybody there?")));
    Story { name: "550 no such user", job, expected: Expected { state: "dead", attempts: 1 } }
}

/// A delivery whose worker is killed in the middle. A crash is not charged to the job.
pub(super) fn interrupted(stage: &Stage) -> Story {
    to(stage, "its worker was killed", "/long", DONE)
}

fn to(stage: &Stage, name: &'static str, path: &str, expected: Expected) -> Story {
    let event = DeliverWebhook::to_endpoint(
        stage.endpoint(path),
        "order.paid",
        json!({ "order": 42, "story": name }),
    );
    Story { name, job: NewJob::new(event).tenant("acme"), expected }
}
