//! From a record to a row: pure.
//!
//! A row is something that Postgres takes. What its types cannot hold (NUL characters, times outside of any
//! calendar, numbers out of range) is replaced or clamped here and not refused, because the outcome of a job matters
//! more than its last character. The same record and entry always make the same row: repetitions are found by that.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate};
use flota_engine::{Record, Status};
use serde_json::Value;
use uuid::Uuid;

use super::letter::Letter;

/// 2020-01-01 and 2100-01-01, Unix ms. Times outside come from a clock that was never set.
const TIMES_MS: (u64, u64) = (1_577_836_800_000, 4_102_444_800_000);
/// Longest run believed, microseconds: 366 days. A queue's time limit is at most one.
const LONGEST_RUN_US: u64 = 366 * 24 * 3_600_000_000;
/// Most bytes of a name (kind, tenant, code, provider, worker). An index entry takes at most 2,704.
const MAX_NAME: usize = 256;
/// Most bytes of a provider's reference.
const MAX_REFERENCE: usize = 2 * 1024;
/// Most bytes of an error text; the engine itself keeps 4 KiB.
const MAX_ERROR: usize = 8 * 1024;

/// One row of `outcomes` or `attempts`, and of `dead_letters` where there is a letter.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) job: Uuid,
    pub(super) run: i32,
    pub(super) attempt: i32,
    pub(super) kind: String,
    pub(super) tenant: Option<String>,
    pub(super) status: Status,
    pub(super) error_class: Option<&'static str>,
    pub(super) code: Option<String>,
    pub(super) error: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) provider_ref: Option<String>,
    /// JSON text.
    pub(super) result: Option<String>,
    /// Unix microseconds, like the next two.
    pub(super) enqueued_us: Option<i64>,
    pub(super) started_us: Option<i64>,
    pub(super) finished_us: i64,
    pub(super) duration_ms: f64,
    pub(super) worker: Arc<str>,
    pub(super) replay_of: Option<Uuid>,
    pub(super) letter: Option<Letter>,
}

impl Row {
    /// The row of one record, in an entry of this time and worker.
    pub(super) fn new(record: Record, entry_ms: u64, worker: &Arc<str>) -> Self {
        let finished_us = entry_ms.clamp(TIMES_MS.0, TIMES_MS.1) as i64 * 1000;
        let ran_us = ran(&record);
        let letter = (record.status == Status::Dead).then(|| Letter::new(&record));
        Self {
            job: record.id.uuid(),
            run: number(record.run),
            attempt: number(record.attempt),
            kind: text(record.kind, MAX_NAME),
            tenant: record.tenant.map(|tenant| text(tenant, MAX_NAME)),
            status: record.status,
            error_class: record.class.map(flota_engine::ErrorClass::word),
            code: record.code.map(|code| text(code, MAX_NAME)),
            error: record.error.map(|error| text(error, MAX_ERROR)),
            provider: record.provider.map(|provider| text(provider, MAX_NAME)),
            provider_ref: record.provider_ref.map(|reference| text(reference, MAX_REFERENCE)),
            result: record.result.map(|result| without_nul(result).to_string()),
            enqueued_us: enqueued(record.at, finished_us),
            started_us: ran_us.map(|ran| finished_us - ran),
            finished_us,
            duration_ms: ran_us.unwrap_or_default() as f64 / 1000.0,
            worker: Arc::clone(worker),
            replay_of: record.replay_of.map(flota_producer::JobId::uuid),
            letter,
        }
    }

    /// True for the last row of a job, false for a run after which it was tried again.
    pub(super) fn is_final(&self) -> bool {
        self.status != Status::Retried
    }

    /// The day whose partition holds it, UTC.
    pub(super) fn day(&self) -> NaiveDate {
        DateTime::from_timestamp_micros(self.finished_us).unwrap_or_default().date_naive()
    }
}

/// What a worker calls itself, as it is written down.
pub(super) fn worker_name(name: &[u8]) -> Arc<str> {
    text(String::from_utf8_lossy(name).into_owned(), MAX_NAME).into()
}

/// How long the run took; `None` when no processor ran: an expired job, one that was cancelled while it waited, one
/// whose worker vanished.
fn ran(record: &Record) -> Option<i64> {
    let measured = record.ran_us.min(LONGEST_RUN_US) as i64;
    match record.status {
        Status::Expired => None,
        Status::Cancelled | Status::Dead if measured == 0 => None,
        _ => Some(measured),
    }
}

/// A producer's clock may be ahead of that of Redis; nothing is enqueued after it finished. Zero says "not known".
fn enqueued(at_ms: u64, finished_us: i64) -> Option<i64> {
    (at_ms != 0).then(|| (at_ms.clamp(TIMES_MS.0, TIMES_MS.1) as i64 * 1000).min(finished_us))
}

fn number(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A text that Postgres takes: without NUL characters, and not longer than it should be.
pub(super) fn text(text: String, most: usize) -> String {
    let text = if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text };
    if text.len() <= most { text } else { format!("{}…", &text[..text.floor_char_boundary(most)]) }
}

/// A value that `jsonb` takes: it knows no NUL character either, neither in texts nor in names.
fn without_nul(value: Value) -> Value {
    let clean = |text: String| if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text };
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(items) => items.into_iter().map(without_nul).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (clean(name), without_nul(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use flota_producer::JobId;
    use serde_json::json;

    use super::*;

    const NOW_MS: u64 = 1_795_280_202_384;

    fn row(record: Record) -> Row {
        Row::new(record, NOW_MS, &"worker-1".into())
    }

    fn record(status: Status) -> Record {
        Record { at: NOW_MS - 5_000, run: 1, attempt: 1, ..Record::unreadable(JobId::mint(), status) }
    }

    #[test]
    fn a_run_started_its_duration_before_it_finished() {
        let row = row(Record { ran_us: 1_500, ..record(Status::Succeeded) });

        assert_eq!(row.finished_us, NOW_MS as i64 * 1000);
        assert_eq!(row.started_us, Some(row.finished_us - 1_500));
        assert!((row.duration_ms - 1.5).abs() < 1e-9);
    }

    #[test]
    fn what_no_processor_ran_has_no_start() {
        let expired = row(Record { ran_us: 7, ..record(Status::Expired) });
        let cancelled = row(record(Status::Cancelled));
        let poison = row(record(Status::Dead));

        assert_eq!([expired.started_us, cancelled.started_us, poison.started_us], [None; 3]);
        assert!(row(record(Status::Succeeded)).started_us.is_some(), "it ran, if only for an instant");
    }

    #[test]
    fn nonsense_times_and_numbers_are_clamped() {
        let nonsense = Record { at: u64::MAX, ran_us: u64::MAX, run: u32::MAX, ..record(Status::Succeeded) };

        let row = Row::new(nonsense, u64::MAX, &"w".into());

        assert_eq!(row.day(), NaiveDate::from_ymd_opt(2100, 1, 1).unwrap());
        assert_eq!(row.enqueued_us, Some(row.finished_us));
        assert_eq!(row.started_us, Some(row.finished_us - LONGEST_RUN_US as i64));
        assert_eq!(row.run, i32::MAX);
    }

    #[test]
    fn an_unknown_enqueue_time_stays_unknown() {
        assert_eq!(row(Record { at: 0, ..record(Status::Dead) }).enqueued_us, None);
    }

    #[test]
    fn nul_characters_are_replaced_in_texts_and_json() {
        let row = row(Record {
            error: Some("a\0b".into()),
            result: Some(json!({"na\0me": ["x\0", {"deep": "\0"}]})),
            ..record(Status::Succeeded)
        });

        assert_eq!(row.error.as_deref(), Some("a\u{FFFD}b"));
        assert!(!row.result.unwrap().contains("\\u0000"));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let row = row(Record { kind: "ñ".repeat(400), ..record(Status::Succeeded) });

        assert_eq!(row.kind, format!("{}…", "ñ".repeat(MAX_NAME / 2)));
    }
}
