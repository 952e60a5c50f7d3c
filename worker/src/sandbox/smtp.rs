//! The mail server's part: its faults in the words of `POST /__faults`, and its mails in the journal.

use std::time::Duration;

use flota_producer::clock;
use serde_json::{Map, Value, json};

use crate::dev::{Mail, SmtpFault, SmtpSink, SmtpStep};

use super::{
    fault::{BadFault, Fault, Reset},
    journal::{Entry, Verdict},
};

/// Its name in the journal and in faults.
pub(super) const NAME: &str = "smtp";
/// The steps of a conversation, as operations.
const STEPS: [(&str, SmtpStep); 8] = [
    ("greeting", SmtpStep::Greeting),
    ("hello", SmtpStep::Hello),
    ("auth", SmtpStep::Auth),
    ("mail_from", SmtpStep::MailFrom),
    ("rcpt_to", SmtpStep::RcptTo),
    ("data", SmtpStep::Data),
    ("content", SmtpStep::Content),
    ("quit", SmtpStep::Quit),
];

/// The words for a fault's operation.
pub(super) fn operations() -> Vec<&'static str> {
    STEPS.iter().map(|(name, _)| *name).collect()
}

/// Queues a fault at its step: a refusal at RCPT unless the fault names another, all else when the message has come.
pub(super) fn order(sink: &SmtpSink, fault: &Fault) -> Result<(), BadFault> {
    let is_unknown =
        |name: &'static str, wanted: bool| if wanted { Err(BadFault::NotOfSmtp(name)) } else { Ok(()) };
    is_unknown("ok_with_error", fault.ok_with_error)?;
    is_unknown("headers", !fault.headers.is_empty())?;
    is_unknown("path", fault.path.is_some())?;
    let usual = if fault.status.is_some() { SmtpStep::RcptTo } else { SmtpStep::Content };
    let named = STEPS.iter().find(|(name, _)| fault.operation.as_deref() == Some(*name));
    let step = named.map_or(usual, |(_, step)| *step);
    for _ in 0..fault.times {
        if fault.delay_ms > 0 {
            sink.fault(step, SmtpFault::Late(Duration::from_millis(fault.delay_ms)));
        }
        if let Some(what) = what(fault) {
            sink.fault(step, what);
        }
    }
    Ok(())
}

fn what(fault: &Fault) -> Option<SmtpFault> {
    match (fault.status, &fault.body, fault.reset) {
        (Some(code), Some(Value::String(text)), _) => Some(SmtpFault::Reply(format!("{code} {text}"))),
        (Some(code), ..) => Some(SmtpFault::reply(code)),
        (None, _, Some(Reset::Before)) => Some(SmtpFault::Reset),
        (None, _, Some(Reset::AfterWork)) => Some(SmtpFault::KeepAndReset),
        (None, _, None) => fault.malformed.then(|| SmtpFault::KeepAndReply("25".to_owned())),
    }
}

/// A mail that was kept, for the journal.
pub(super) fn entry(mail: &Mail) -> Entry {
    let kind = mail.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().to_owned();
    Entry {
        seq: 0,
        at_unix_ms: clock::unix_now_ms(),
        provider: NAME,
        operation: "content",
        method: "SMTP".to_owned(),
        route: "/".to_owned(),
        verdict: Verdict::Accepted,
        carried_out: true,
        status: Some(250),
        why: None,
        summary: json!({ "recipients": mail.to.len(), "type": kind }),
        body_bytes: mail.data.len(),
        headers: Map::new(),
    }
}
