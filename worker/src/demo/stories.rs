//! What the demo enqueues, and how each job must end.

use flota_producer::{
    CompleteChat, DeliverWebhook, EMAIL_TEMPLATES, EmailBody, EmailTemplate, MediaSource, NewJob, PushKeys,
    PushSubscription, ReadImage, SendEmail, SendPush, SendSms, SendWhatsapp, TranscribeAudio, WhatsappBody,
};
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

/// Whose mails, webhooks and stored files there are.
pub(super) const TENANT: &str = "acme";
/// Whom messages are for.
const PHONE: &str = "+525512345678";
/// A recording in the directory of files.
pub(super) const RECORDING: &str = "note.ogg";
/// A sentence in Spanish, said by espeak-ng.
pub(super) const SOUND: &[u8] = include_bytes!("../../../tests/assets/audio/speech.ogg");
/// A picture in the directory of files.
pub(super) const PICTURE: &str = "receipt.gif";
/// What is in it: one white pixel.
pub(super) const PIXELS: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
/// A label, and the code on it.
pub(super) const LABEL: &[u8] =
    include_bytes!("../../providers/tests/fixtures/ocr/barcodes/ean_13-plain.png");
pub(super) const EAN: &str = "7501055300020";

pub(super) const DONE: Expected = Expected { state: "succeeded", attempts: 1 };
/// The story of a mail that went by SES.
pub(super) const BY_SES: &str = "SendGrid is down";
/// The story of a mail that went by SMTP.
pub(super) const BY_SMTP: &str = "revoked key, SES down";
/// The story whose dead letter is replayed later.
pub(super) const NOT_ON_WHATSAPP: &str = "not on WhatsApp";

/// The five templates, in turn in Spanish and English.
pub(super) fn mails() -> Vec<Story> {
    let mail = |(n, template): (usize, &'static EmailTemplate)| {
        let locale = if n % 2 == 0 { "es" } else { "en" };
        let body = EmailBody::template(template.name, locale, template.example());
        let job = NewJob::new(SendEmail::new(format!("{}@example.com", template.name), body)).tenant(TENANT);
        Story { name: template.name, job, expected: DONE }
    };
    EMAIL_TEMPLATES.iter().enumerate().map(mail).collect()
}

/// A delivery that goes well.
pub(super) fn webhook(stage: &Stage) -> Story {
    to(stage, "signed webhook", "/orders", DONE)
}

/// One job of every kind that is neither mail nor webhook.
pub(super) fn other_kinds(stage: &Stage) -> Vec<Story> {
    let browser = stage.browser.clone();
    let keys = PushKeys { p256dh: browser.keys.p256dh, auth: browser.keys.auth };
    let endpoint = browser.endpoint;
    let subscription = PushSubscription { endpoint, expiration_time: None, keys };
    let template = WhatsappBody::template("order_shipped", "es_MX", Vec::new());
    let done = |name, job| Story { name, job, expected: DONE };
    vec![
        done("push, encrypted", NewJob::new(SendPush::new(subscription, "Order 42", "It is on its way."))),
        done("WhatsApp template", NewJob::new(SendWhatsapp::new(PHONE, template))),
        done("SMS", NewJob::new(SendSms::new(PHONE, "Your code is 1234."))),
        done("chat, 429 not charged", NewJob::new(CompleteChat::ask("Why is the sky blue?"))),
        done("transcription", NewJob::new(TranscribeAudio::new(MediaSource::file(RECORDING)).language("es"))),
        done("text of a picture", NewJob::new(ReadImage::new(MediaSource::file(PICTURE)))),
    ]
}

/// A picture that lies in the bucket, where it belongs to its tenant.
pub(super) fn stored_label(key: String) -> Story {
    let image = ReadImage { barcodes: true, ..ReadImage::new(MediaSource::storage(key)) };
    Story { name: "label from the bucket", job: NewJob::new(image).tenant(TENANT), expected: DONE }
}

/// A WhatsApp message to somebody who is not there.
pub(super) fn not_on_whatsapp() -> Story {
    let job = NewJob::new(SendWhatsapp::new(PHONE, WhatsappBody::text("Anybody there?")));
    Story { name: NOT_ON_WHATSAPP, job, expected: Expected { state: "dead", attempts: 1 } }
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

/// A mail that SES takes.
pub(super) fn sendgrid_is_down() -> Story {
    Story { name: BY_SES, job: mail_to("first@example.com"), expected: DONE }
}

/// A mail that no provider would take, so none but the first is asked.
pub(super) fn refused_mail() -> Story {
    let expected = Expected { state: "dead", attempts: 1 };
    Story { name: "mail refused for good", job: mail_to("nobody@example.com"), expected }
}

/// A mail that the last of three ways takes.
pub(super) fn only_the_mail_server_is_left() -> Story {
    Story { name: BY_SMTP, job: mail_to("last@example.com"), expected: DONE }
}

fn mail_to(address: &str) -> NewJob {
    NewJob::new(SendEmail::new(address, EmailBody::text("Still here", "Another way was found.")))
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
    Story { name, job: NewJob::new(event).tenant(TENANT), expected }
}
