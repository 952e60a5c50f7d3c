//! What is written down about one run, on its way through the outcomes stream to Postgres.
//!
//! One JSON line per record. The stream entry around it adds Redis time, which is the finishing time of every run in
//! the batch, and the worker's name.

mod line;
mod ordinary;

use std::borrow::Cow;

use flota_producer::{Envelope, JobId, envelope::read_json};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::line::Line;
use crate::{
    failure::{ErrorClass, Failure},
    processor::Receipt,
};

/// Longest error text that is kept, in bytes.
const MAX_ERROR: usize = 4 * 1024;
/// Largest result that is kept, in bytes of JSON. Larger ones belong into storage.
const MAX_RESULT: usize = 16 * 1024;
/// Deepest result that is kept. Readers of JSON give up at 128 levels, and a record that cannot be read is lost.
const MAX_DEPTH: usize = 100;

/// How a run went down in history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The job is finished.
    Succeeded,
    /// The job is a dead letter.
    Dead,
    /// The job was cancelled.
    Cancelled,
    /// The job's deadline passed before it could start.
    Expired,
    /// The run failed, and the job will be tried again.
    Retried,
}

impl Status {
    /// The word used in Postgres, JSON and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Retried => "retried",
        }
    }
}

/// One run, or the end of a job that never ran.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Record {
    /// The job.
    pub id: JobId,
    /// Its kind; empty when the envelope could not be read.
    pub kind: String,
    /// Whose it was.
    pub tenant: Option<String>,
    /// How it went.
    pub status: Status,
    /// Number of the run; 0 when it never ran.
    pub run: u32,
    /// Number of the try, from 1; 0 when it never ran.
    pub attempt: u32,
    /// When it was enqueued, Unix ms by the producer's clock.
    pub at: u64,
    /// How long the run took, microseconds.
    #[serde(default)]
    pub ran_us: u64,
    /// Kind of trouble.
    pub class: Option<ErrorClass>,
    /// The other side's own code.
    pub code: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// Who was asked.
    pub provider: Option<String>,
    /// The provider's name for what was done.
    pub provider_ref: Option<String>,
    /// A small result.
    pub result: Option<Value>,
    /// The dead letter that this job repeated.
    pub replay_of: Option<JobId>,
    /// The envelope of a dead letter, byte for byte, in base64.
    pub envelope: Option<String>,
}

impl Record {
    /// A record of a job whose envelope can be read, with nothing said yet about how it went.
    pub fn of(id: JobId, envelope: &Envelope, status: Status) -> Self {
        Self {
            kind: envelope.kind.clone(),
            tenant: envelope.tenant.clone(),
            at: envelope.at,
            replay_of: envelope.replay_of,
            ..Self::unreadable(id, status)
        }
    }

    /// A record of a job whose envelope cannot be read.
    pub fn unreadable(id: JobId, status: Status) -> Self {
        Self {
            id,
            kind: String::new(),
            tenant: None,
            status,
            run: 0,
            attempt: 0,
            at: 0,
            ran_us: 0,
            class: None,
            code: None,
            error: None,
            provider: None,
            provider_ref: None,
            result: None,
            replay_of: None,
            envelope: None,
        }
    }

    /// Adds what a finished run left behind.
    pub fn with_receipt(self, receipt: &Receipt) -> Self {
        Self {
            provider: receipt.provider.clone().map(Cow::into_owned),
            provider_ref: receipt.provider_ref.clone(),
            result: receipt.result.clone().filter(fits),
            ..self
        }
    }

    /// Adds why a run failed.
    pub fn with_failure(self, failure: &Failure) -> Self {
        Self {
            class: Some(failure.class),
            code: failure.code.clone(),
            error: Some(shorten(&failure.message)),
            provider: failure.provider.clone().map(Cow::into_owned),
            result: failure.result.as_deref().filter(|result| fits(result)).cloned(),
            ..self
        }
    }

    /// Adds the envelope, so that the dead letter can be replayed byte for byte.
    pub fn with_envelope(mut self, bytes: &[u8]) -> Self {
        use base64::{Engine, engine::general_purpose::STANDARD};
        self.envelope = Some(STANDARD.encode(bytes));
        self
    }

    /// Reads a line. Words that a newer release added do not stop an older one: a status that is not known here is
    /// read as the nearest known one, an unknown class as `internal`, and the error text says what they were.
    ///
    /// Newer releases owe this: a record after which the job is tried again says `"final":false`.
    pub fn decode(line: &[u8]) -> Result<Self, serde_json::Error> {
        if let Some(record) = ordinary::read(line) {
            return Ok(record);
        }
        read_json(line).or_else(|error| Self::decode_newer(line).ok_or(error))
    }

    fn decode_newer(line: &[u8]) -> Option<Self> {
        let mut members: serde_json::Map<String, Value> = serde_json::from_slice(line).ok()?;
        let mut newer = Vec::new();
        if let Some(word) = unknown::<Status>(&members, "status") {
            let nearest = match () {
                () if members.get("final") == Some(&Value::Bool(false)) => Status::Retried,
                () if members.contains_key("envelope") => Status::Dead,
                () if members.contains_key("class") || members.contains_key("error") => Status::Cancelled,
                () => Status::Succeeded,
            };
            newer.push(format!("status {word}"));
            members.insert("status".into(), nearest.word().into());
        }
        if let Some(word) = unknown::<ErrorClass>(&members, "class") {
            newer.push(format!("class {word}"));
            members.insert("class".into(), ErrorClass::Internal.word().into());
        }
        let mut record: Self = serde_json::from_value(Value::Object(members)).ok()?;
        let note = format!("written by a newer release with {}", newer.join(" and "));
        record.error = Some(record.error.map_or_else(|| note.clone(), |error| format!("{error} ({note})")));
        Some(record)
    }

    /// Whose end a line tells that cannot be read as a record: of its members only these two have to be in order. `None` when
    /// it names no job, or says that the job goes on.
    pub fn ended_job(line: &[u8]) -> Option<JobId> {
        #[derive(Deserialize)]
        struct End {
            id: JobId,
            status: Option<String>,
            r#final: Option<bool>,
        }
        let end: End = serde_json::from_slice(line).ok()?;
        let goes_on = end.status.as_deref() == Some(Status::Retried.word()) || end.r#final == Some(false);
        (!goes_on).then_some(end.id)
    }

    /// One line of JSON.
    pub fn encode(&self) -> String {
        let mut line = Line::about(self.id);
        line.text("kind", &self.kind);
        if let Some(tenant) = &self.tenant {
            line.text("tenant", tenant);
        }
        line.text("status", self.status.word());
        line.json("run", self.run);
        line.json("attempt", self.attempt);
        line.json("at", self.at);
        line.some("ran_us", (0 < self.ran_us).then_some(self.ran_us));
        line.some("class", self.class);
        line.some("code", self.code.as_ref());
        line.some("error", self.error.as_ref());
        line.some("provider", self.provider.as_ref());
        line.some("provider_ref", self.provider_ref.as_ref());
        line.some("result", self.result.as_ref());
        line.some("replay_of", self.replay_of);
        line.some("envelope", self.envelope.as_ref());
        line.end()
    }
}

/// The word of this member, when it is one that `T` does not know.
fn unknown<T: serde::de::DeserializeOwned>(
    members: &serde_json::Map<String, Value>,
    name: &str,
) -> Option<String> {
    let word = members.get(name).and_then(Value::as_str)?;
    serde_json::from_value::<T>(word.into()).is_err().then(|| word.to_owned())
}

/// Whether a result is small enough to be kept, and will be read back.
fn fits(result: &Value) -> bool {
    is_within(result, MAX_DEPTH) && result.to_string().len() <= MAX_RESULT
}

/// Whether a value has at most so many levels below it.
fn is_within(value: &Value, levels: usize) -> bool {
    let below = |value: &Value| 0 < levels && is_within(value, levels - 1);
    match value {
        Value::Array(items) => items.iter().all(below),
        Value::Object(members) => members.values().all(below),
        _ => true,
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().find(|(at, _)| MAX_ERROR <= *at) {
        Some((at, _)) => format!("{}… ({} bytes in all)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(members: &[(&str, Value)]) -> Record {
        let line = Record::unreadable(JobId::mint(), Status::Succeeded).encode();
        let mut line: Value = serde_json::from_str(&line).unwrap();
        for (name, value) in members {
            line[*name] = value.clone();
        }
        Record::decode(line.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_line_says_all_that_the_record_does() {
        let plain = Record {
            at: 1,
            ran_us: 7,
            run: 2,
            attempt: 1,
            ..Record::unreadable(JobId::mint(), Status::Succeeded)
        };
        let full = Record {
            kind: "quo\"te\\".to_owned(),
            tenant: Some("caf\u{e9}\n\0".to_owned()),
            status: Status::Dead,
            class: Some(ErrorClass::ServerError),
            code: Some("503".to_owned()),
            error: Some("no\u{2028}\"".to_owned()),
            provider: Some("ses".to_owned()),
            provider_ref: Some("ref".to_owned()),
            result: Some(serde_json::json!({"deep": [1, "\t"]})),
            replay_of: Some(JobId::mint()),
            envelope: Some("e30=".to_owned()),
            ..plain.clone()
        };

        for record in [plain, full] {
            let line = record.encode();

            assert!(!line.contains('\n'), "{line}");
            assert_eq!(Record::decode(line.as_bytes()).unwrap(), record, "{line}");
        }
    }

    #[test]
    fn words_of_a_newer_release_are_read_as_the_nearest_known_ones() {
        let skipped = with(&[("status", "skipped".into()), ("colour", "blue".into())]);
        let snoozed = with(&[("status", "snoozed".into()), ("final", false.into())]);
        let buried = with(&[("status", "entombed".into()), ("envelope", "e30=".into())]);
        let blocked = with(&[("class", "blocked".into()), ("error", "no".into())]);

        let statuses = [skipped.status, snoozed.status, buried.status, blocked.status];
        assert_eq!(statuses, [Status::Succeeded, Status::Retried, Status::Dead, Status::Succeeded]);
        assert_eq!(skipped.error.as_deref(), Some("written by a newer release with status skipped"));
        assert_eq!(blocked.class, Some(ErrorClass::Internal));
        assert_eq!(blocked.error.as_deref(), Some("no (written by a newer release with class blocked)"));
    }

    #[test]
    fn a_result_that_would_not_be_read_back_is_left_out() {
        let nested = |levels| (0..levels).fold(Value::Null, |inner, _| serde_json::json!([inner]));
        let kept = |result| {
            let receipt = Receipt { result: Some(result), ..Receipt::default() };
            let line = Record::unreadable(JobId::mint(), Status::Succeeded).with_receipt(&receipt).encode();
            Record::decode(line.as_bytes()).unwrap().result.is_some()
        };

        assert_eq!([kept(nested(100)), kept(nested(101)), kept(nested(500))], [true, false, false]);
    }

    #[test]
    fn a_line_that_is_no_record_may_still_say_whose_end_it_is() {
        let id = JobId::mint();
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        let line = |rest: &str| format!(r#"{{"id":"{id}",{rest}}}"#);

        for ended in [line(&format!(r#""status":"succeeded","result":{deep}"#)), line(r#""run":"x""#)] {
            assert!(Record::decode(ended.as_bytes()).is_err());
            assert_eq!(Record::ended_job(ended.as_bytes()), Some(id), "{ended}");
        }
        for other in
            [line(r#""status":"retried","run":-1"#), line(r#""status":"new","final":false"#), "{}".into()]
        {
            assert_eq!(Record::ended_job(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn what_is_no_record_is_not_read() {
        for line in ["", "nonsense", "{}", r#"{"status":"skipped"}"#, r#"{"id":7,"status":"dead"}"#] {
            assert!(Record::decode(line.as_bytes()).is_err(), "{line}");
        }
    }
}
