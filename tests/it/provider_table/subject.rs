//! Whom the table is about: each provider, the settings that lead to it, and the job that calls it.

use std::collections::BTreeMap;

use flota_producer::{
    CompleteChat, DeliverWebhook, EmailAttachment, EmailBody, MediaSource, NewJob, PushKeys,
    PushSubscription, ReadImage, SendEmail, SendPush, SendSms, SendWhatsapp, TranscribeAudio, WhatsappBody,
};

use super::{play::Stage, row::Row, rows};

/// Sandboxes know any credential with their mark, except those with this word.
pub(super) const REVOKED: &str = "flota_sandbox_revoked";
/// In which order ways of sending e-mail are tried.
pub(super) const EMAIL_ORDER: &str = "FLOTA_EMAIL_PROVIDERS";
/// An address where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// One provider.
pub(super) struct Subject {
    /// Its name in receipts, errors and metrics.
    pub(super) name: &'static str,
    /// Its name in the sandbox.
    pub(super) in_sandbox: &'static str,
    /// What the page calls it.
    pub(super) title: &'static str,
    /// The queue of its jobs.
    pub(super) queue: &'static str,
    /// How its variables begin.
    pub(super) variables: &'static [&'static str],
    /// What it may answer, and what follows.
    pub(super) rows: &'static [Row],
    /// Classes that it cannot have, each with the reason.
    pub(super) never: &'static [(&'static str, &'static str)],
    /// Who takes over, and after what.
    pub(super) next: Next,
}

/// Who takes over when a provider cannot do it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next {
    /// Nobody, with the reason.
    Nobody(&'static str),
    /// The next way of sending, after these classes and codes.
    Provider { name: &'static str, after: &'static [&'static str] },
    /// Another model, after these classes and codes.
    Model { after: &'static [&'static str] },
}

impl Next {
    /// Whether somebody is expected to take over after this class and code.
    pub(super) fn is_asked_after(self, class: &str, code: &str) -> bool {
        match self {
            Self::Nobody(_) => false,
            Self::Provider { after, .. } | Self::Model { after } => {
                after.contains(&class) || after.contains(&code)
            }
        }
    }
}

/// After what the next way of sending an e-mail is tried: whatever it may well do better, and only what was certainly
/// not sent.
pub(super) const MAIL_GOES_ON: &[&str] =
    &["auth", "quota", "server_error", "timeout", "network", "too_large", "blocked_file"];

/// Every provider, in the order of the page.
pub(super) const SUBJECTS: &[Subject] = &[
    rows::sendgrid::SUBJECT,
    rows::ses::SUBJECT,
    rows::smtp::SUBJECT,
    rows::webhook::SUBJECT,
    rows::push::SUBJECT,
    rows::whatsapp::SUBJECT,
    rows::twilio::SUBJECT,
    rows::llm::SUBJECT,
    rows::whisper::SUBJECT,
    rows::vision::SUBJECT,
    rows::storage::SUBJECT,
];

/// A job that calls the provider, for the recipient with this number.
pub(super) fn job(stage: &Stage, recipient: u32, usable: bool) -> NewJob {
    match stage.subject.in_sandbox {
        "sendgrid" | "ses" | "smtp" => {
            let body = EmailBody::text("Order 42", "It is on its way.");
            let mail = SendEmail::new(format!("ana{recipient}@example.com"), body);
            // SES takes no programs.
            let program = EmailAttachment::new(MediaSource::file("note.ogg"), "note.bat");
            NewJob::new(if usable { mail } else { mail.attach(program) })
        }
        "webhook" => NewJob::new(DeliverWebhook {
            endpoint: stage.endpoint.clone(),
            url: None,
            event: "order.paid".to_owned(),
            data: serde_json::json!({ "order": recipient }),
        }),
        "push" => {
            let browser = stage.sandbox.subscribe(Some(&stage.vapid_public_key)).expect("a browser");
            let endpoint = match &stage.nobody {
                true => format!("{NOBODY}/push/1"),
                false => browser.endpoint,
            };
            let keys = PushKeys { p256dh: browser.keys.p256dh, auth: browser.keys.auth };
            let subscription = PushSubscription { endpoint, expiration_time: None, keys };
            NewJob::new(SendPush::new(subscription, "Order 42", "It is on its way."))
        }
        "whatsapp" => {
            NewJob::new(SendWhatsapp::new(format!("+5255123456{recipient:02}"), WhatsappBody::text("Hola")))
        }
        // The second is one that Twilio's test credentials refuse (21211).
        "twilio" if !usable => NewJob::new(SendSms::new("+15005550001", "Hola")),
        "twilio" => NewJob::new(SendSms::new(format!("+5255123456{recipient:02}"), "Hola")),
        // A job that names its model asks no other.
        "llm" => NewJob::new(CompleteChat {
            model: (!stage.has_next).then(|| "some/model".to_owned()),
            ..CompleteChat::ask("Why is the sky blue?")
        }),
        "openai" => {
            let name = if usable { "note.ogg" } else { "page.html" };
            NewJob::new(TranscribeAudio::new(MediaSource::file(name)))
        }
        "google_vision" => {
            let name = if usable { "receipt.gif" } else { "page.html" };
            NewJob::new(ReadImage::new(MediaSource::file(name)))
        }
        "storage" => {
            let key = stage.stored(usable);
            NewJob::new(ReadImage {
                text: false,
                barcodes: true,
                ..ReadImage::new(MediaSource::storage(key))
            })
        }
        other => panic!("{other} has no job"),
    }
}

/// Leads the provider to where nobody listens.
pub(super) fn lead_to_nobody(subject: &Subject, variables: &mut BTreeMap<&'static str, String>) {
    let port = ("SMTP_PORT", "1".to_owned());
    let address = match subject.in_sandbox {
        "smtp" => port,
        "sendgrid" => ("SENDGRID_BASE_URL", NOBODY.to_owned()),
        "ses" => ("AWS_SES_BASE_URL", NOBODY.to_owned()),
        "whatsapp" => ("WHATSAPP_BASE_URL", NOBODY.to_owned()),
        "twilio" => ("TWILIO_BASE_URL", NOBODY.to_owned()),
        "llm" => ("LLM_BASE_URL", NOBODY.to_owned()),
        "openai" => ("OPENAI_BASE_URL", NOBODY.to_owned()),
        "google_vision" => ("GOOGLE_VISION_BASE_URL", NOBODY.to_owned()),
        "storage" => ("MINIO_ENDPOINT", NOBODY.to_owned()),
        // Their addresses come with the job.
        _ => return,
    };
    variables.insert(address.0, address.1);
}

/// Makes the credential one that its owner has revoked.
pub(super) fn revoke(subject: &Subject, variables: &mut BTreeMap<&'static str, String>) {
    let name = match subject.in_sandbox {
        "sendgrid" => "SENDGRID_API_KEY",
        "ses" => "AWS_SES_ACCESS_KEY_ID",
        "whatsapp" => "WHATSAPP_ACCESS_TOKEN",
        "twilio" => "TWILIO_AUTH_TOKEN",
        "llm" => "OPENROUTER_API_KEY",
        "openai" => "OPENAI_API_KEY",
        "google_vision" => "GOOGLE_VISION_API_KEY",
        "storage" => "MINIO_ACCESS_KEY",
        other => panic!("{other} has no credential to revoke"),
    };
    variables.insert(name, REVOKED.to_owned());
}

/// The URL of a receiver of webhooks.
pub(super) fn receiver(stage_url: String, nobody: bool) -> String {
    if nobody { format!("{NOBODY}/hook") } else { stage_url }
}
