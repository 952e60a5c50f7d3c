//! `[schedules.<name>]`: from what was written to a checked [`Schedule`].
//!
//! The payload is checked by the kind of job that it is for, so that a typo is found when the file is read and not at
//! six in the morning.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use flota_engine::{QueuePolicy, Registry};
use flota_producer::{check_tenant, keys::check_queue_name};
use serde_json::value::RawValue;
use toml::{Spanned, Value};

use super::{
    problem::{Document, Problem},
    raw::RawSchedule,
};
use crate::{
    config::nearest::nearest,
    schedules::{CatchUp, Overlap, Schedule, next},
    services::Services,
};

/// One table of the file, and where problems go.
pub(super) struct Table<'a> {
    pub(super) document: Document<'a>,
    pub(super) name: &'a Spanned<String>,
    pub(super) raw: &'a RawSchedule,
    pub(super) policies: &'a [QueuePolicy],
    pub(super) registry: &'a Registry<Services>,
}

impl Table<'_> {
    /// The schedule, or `None` with at least one problem more.
    pub(super) fn check(&self, problems: &mut Vec<Problem>) -> Option<Schedule> {
        let before = problems.len();
        if let Err(error) = check_queue_name(self.name.get_ref()) {
            let sentence = error.to_string().replace("queue name", "schedule name");
            problems.push(self.document.problem(self.name.span().start, sentence));
        }
        let cron = self.required("cron", self.raw.cron.as_ref(), "\"0 6 * * 1-5\"", cron, problems);
        let timezone = self.optional("timezone", self.raw.timezone.as_ref(), timezone, problems);
        let kind =
            self.required("kind", self.raw.kind.as_ref(), "\"send_email\"", |kind| self.kind(kind), problems);
        let queue = self.optional("queue", self.raw.queue.as_ref(), |queue| self.queue(queue), problems);
        let tenant = self.optional("tenant", self.raw.tenant.as_ref(), tenant, problems);
        let overlap = self.optional("overlap", self.raw.overlap.as_ref(), overlap, problems);
        let catch_up = self.optional("catch_up", self.raw.catch_up.as_ref(), catch_up, problems);
        let payload = self.payload(kind.as_deref(), problems);
        let queue = queue.or_else(|| self.own_queue(kind.as_deref()?, problems));
        if problems.len() != before {
            return None;
        }
        Some(Schedule {
            name: self.name.get_ref().clone(),
            cron: cron?,
            timezone: timezone.unwrap_or(Tz::UTC),
            kind: kind?,
            queue: queue?,
            payload: payload?,
            tenant,
            overlap: overlap.unwrap_or(Overlap::Skip),
            catch_up: catch_up.unwrap_or(CatchUp::Last),
        })
    }

    fn required<T>(
        &self,
        key: &str,
        written: Option<&Spanned<Value>>,
        example: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
        problems: &mut Vec<Problem>,
    ) -> Option<T> {
        if written.is_none() {
            let sentence = format!("schedules.{} has no {key}; write {key} = {example}", self.name.get_ref());
            problems.push(self.document.problem(self.name.span().start, sentence));
        }
        self.optional(key, written, read, problems)
    }

    fn optional<T>(
        &self,
        key: &str,
        written: Option<&Spanned<Value>>,
        read: impl FnOnce(&str) -> Result<T, String>,
        problems: &mut Vec<Problem>,
    ) -> Option<T> {
        let written = written?;
        let value = match written.get_ref() {
            Value::String(text) => read(text),
            _ => Err("is not text; write it in quotes".to_owned()),
        };
        let told = |fault| {
            let shown = self.document.written(written.span());
            let sentence = format!("schedules.{}.{key} = {shown} {fault}", self.name.get_ref());
            problems.push(self.document.problem(written.span().start, sentence));
        };
        value.map_err(told).ok()
    }

    fn kind(&self, kind: &str) -> Result<String, String> {
        if self.registry.get(kind).is_some() {
            return Ok(kind.to_owned());
        }
        let known: Vec<&str> = self.registry.names().collect();
        Err(match nearest(kind, known.iter().copied()) {
            Some(near) => format!("is not a kind of job; write \"{near}\""),
            None => format!("is not a kind of job; write one of {}", known.join(", ")),
        })
    }

    fn queue(&self, queue: &str) -> Result<String, String> {
        let known: Vec<&str> = self.policies.iter().map(|policy| &*policy.name).collect();
        if known.contains(&queue) {
            return Ok(queue.to_owned());
        }
        Err(format!(
            "is not a queue of this file; write one of {}, or add [queues.{queue}]",
            known.join(", ")
        ))
    }

    /// The queue of the kind, where the schedule names none.
    fn own_queue(&self, kind: &str, problems: &mut Vec<Problem>) -> Option<String> {
        let queue = self.registry.get(kind)?.queue;
        if self.raw.queue.is_some() {
            return None;
        }
        if let Err(fault) = self.queue(queue) {
            let sentence = format!("schedules.{}: queue {queue} of kind {kind} {fault}", self.name.get_ref());
            problems.push(self.document.problem(self.name.span().start, sentence));
            return None;
        }
        Some(queue.to_owned())
    }

    fn payload(&self, kind: Option<&str>, problems: &mut Vec<Problem>) -> Option<Box<RawValue>> {
        let nothing = Value::Table(toml::Table::new());
        let (value, at) = match &self.raw.payload {
            Some(written) => (written.get_ref(), written.span().start),
            None => (&nothing, self.name.span().start),
        };
        let payload = serde_json::value::to_raw_value(&json(value)).ok()?;
        let kind = self.registry.get(kind?)?;
        if let Err(invalid) = (kind.check)(&payload) {
            let place = format!("schedules.{}.payload", self.name.get_ref());
            let sentence = format!("{place} is not what the job needs: {invalid}; correct it");
            problems.push(self.document.problem(at, sentence));
            return None;
        }
        Some(payload)
    }
}

fn cron(text: &str) -> Result<Cron, String> {
    let form = "write five fields (minute hour day month weekday), such as \"0 6 * * 1-5\"";
    let fields = text.split_whitespace().count();
    if fields != 5 && !text.starts_with('@') {
        return Err(format!("has {fields} fields; {form}"));
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(text).map_err(|error| {
        format!("is not a cron pattern ({}); {form}", error.to_string().trim_end_matches('.'))
    })?;
    // Any moment will do: the 30th of February never comes.
    match next(&cron, Tz::UTC, DateTime::<Utc>::UNIX_EPOCH) {
        Some(_) => Ok(cron),
        None => Err(format!("never ticks; {form}")),
    }
}

fn timezone(text: &str) -> Result<Tz, String> {
    Tz::from_str(text).map_err(|_| match nearest(text, TZ_VARIANTS.iter().map(|zone| zone.name())) {
        Some(near) => format!("is not a time zone; write \"{near}\""),
        None => "is not a time zone; write one of IANA, such as \"America/Mexico_City\"".to_owned(),
    })
}

fn tenant(text: &str) -> Result<String, String> {
    check_tenant(text).map(|()| text.to_owned()).map_err(|error| error.problem)
}

fn overlap(text: &str) -> Result<Overlap, String> {
    match text {
        "skip" => Ok(Overlap::Skip),
        "allow" => Ok(Overlap::Allow),
        _ => Err("is not one of its words; write \"skip\" or \"allow\"".to_owned()),
    }
}

fn catch_up(text: &str) -> Result<CatchUp, String> {
    match text {
        "last" => Ok(CatchUp::Last),
        "none" => Ok(CatchUp::None),
        _ => Err("is not one of its words; write \"last\" or \"none\"".to_owned()),
    }
}

/// The same value in JSON. A date, which JSON lacks, becomes its text.
fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::String(text) => text.clone().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Boolean(flag) => (*flag).into(),
        Value::Datetime(date) => date.to_string().into(),
        Value::Array(values) => values.iter().map(json).collect(),
        Value::Table(table) => {
            serde_json::Value::Object(table.iter().map(|(key, value)| (key.clone(), json(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::config::queues::parse;

    const GOOD: &str = r#"
[queues.email]
[schedules.weekly-report]
cron = "0 6 * * 1-5"
timezone = "America/Mexico_City"
kind = "send_email"
tenant = "acme"
overlap = "allow"
catch_up = "none"
[schedules.weekly-report.payload]
to = ["ana@example.com"]
body = { subject = "Report", text = "It is Monday." }
"#;

    fn refused(text: &str) -> String {
        parse("queues.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn a_schedule_is_read_with_everything_it_says() {
        let queues = parse("queues.toml", GOOD).unwrap();

        let schedule = &queues.schedules[0];
        assert_eq!((schedule.name.as_str(), schedule.queue.as_str()), ("weekly-report", "email"));
        assert_eq!((schedule.overlap, schedule.catch_up), (Overlap::Allow, CatchUp::None));
        assert_eq!(schedule.timezone, Tz::America__Mexico_City);
        let payload: serde_json::Value = serde_json::from_str(schedule.payload.get()).unwrap();
        assert_eq!(payload["body"]["subject"], "Report");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_remedy() {
        let told = refused(
            r#"
[queues.email]
[schedules.a]
cron = "0 6 * *"
timezone = "America/Mexico"
kind = "send_mail"
overlap = "maybe"
[schedules.b]
cron = "0 0 30 2 *"
kind = "send_email"
queue = "nowhere"
retries = 3
payload = { to = ["ana"], body = { subject = "S", text = "T" } }
[schedules.c]
cron = "61 * * * *"
kind = "send_emial"
payload = "x"
"#,
        );

        assert_snapshot!(told, @r#"
        queues.toml:4: schedules.a.cron = "0 6 * *" has 4 fields; write five fields (minute hour day month weekday), such as "0 6 * * 1-5"
        queues.toml:5: schedules.a.timezone = "America/Mexico" is not a time zone; write "America/Merida"
        queues.toml:6: schedules.a.kind = "send_mail" is not a kind of job; write "send_email"
        queues.toml:7: schedules.a.overlap = "maybe" is not one of its words; write "skip" or "allow"
        queues.toml:9: schedules.b.cron = "0 0 30 2 *" never ticks; write five fields (minute hour day month weekday), such as "0 6 * * 1-5"
        queues.toml:11: schedules.b.queue = "nowhere" is not a queue of this file; write one of email, or add [queues.nowhere]
        queues.toml:12: schedules.b.retries is not a setting of this file; write one of cron, timezone, kind, queue, payload, tenant, overlap, catch_up, or remove it
        queues.toml:13: schedules.b.payload is not what the job needs: `to[0]` is not an email address; correct it
        queues.toml:15: schedules.c.cron = "61 * * * *" is not a cron pattern (Component error: Number out of bounds); write five fields (minute hour day month weekday), such as "0 6 * * 1-5"
        queues.toml:16: schedules.c.kind = "send_emial" is not a kind of job; write "send_email"
        queues.toml:17: schedules.c.payload = "x" should be a table; write payload = { key = value }
        "#);
    }

    #[test]
    fn a_date_in_a_payload_is_its_text() {
        let value: Value = "at = 2026-11-21T06:00:00Z".parse::<toml::Table>().unwrap().into();

        assert_eq!(json(&value), serde_json::json!({ "at": "2026-11-21T06:00:00Z" }));
    }
}
