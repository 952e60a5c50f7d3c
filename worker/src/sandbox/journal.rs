//! The journal: every request as the sandbox saw it, without secrets and without bodies.
//!
//! Headers are on a list of those that hold no secret, of the others only their names are kept. The newest entries stay
//! in memory, and of whole requests as many as fit; a ledger is a file that gets all of them, one JSON document a line,
//! before the answer goes out.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Mutex,
};

use axum::http::HeaderMap;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::dev::ReceivedRequest;

use super::house::lock;

/// Most entries in memory.
const MOST_ENTRIES: usize = 20_000;
/// Most bytes of bodies in memory; the newest request stays whatever its size.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Headers that hold no secret.
const SHOWN: [&str; 17] = [
    "accept",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "topic",
    "traceparent",
    "ttl",
    "urgency",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-goog-user-project",
    "x-title",
];

/// One request.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Its number, from 1.
    pub seq: u64,
    /// When it had arrived, in milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
    /// Whose API was called; `none` when the path belongs to nobody.
    pub provider: &'static str,
    /// What was asked for.
    pub operation: &'static str,
    /// `POST`, `GET`, …; `SMTP` of a mail.
    pub method: String,
    /// What the route looks like; the parts that name an account or a person are `{}`.
    pub route: String,
    /// What it came to.
    pub verdict: Verdict,
    /// True when the work was done, whatever was answered.
    pub carried_out: bool,
    /// What was answered; nothing when the connection was cut off.
    pub status: Option<u16>,
    /// Why it was refused, or which fault it suffered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Kinds and numbers of what was asked for.
    pub summary: Value,
    /// Length of the body.
    pub body_bytes: usize,
    /// Header fields; a value that may hold a secret is `***`.
    pub headers: Map<String, Value>,
}

/// What a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As the vendor would have done.
    Accepted,
    /// As the vendor would have refused.
    Refused,
    /// Something else, because a fault was ordered.
    Fault,
}

/// All that is remembered of requests.
pub(super) struct Journal {
    inner: Mutex<Inner>,
    count: watch::Sender<u64>,
}

struct Inner {
    entries: VecDeque<Entry>,
    /// Whole requests of the newest entries, with the number of each.
    requests: VecDeque<(u64, &'static str, ReceivedRequest)>,
    request_bytes: usize,
    keeps_requests: bool,
    ledger: Option<File>,
    /// Why the ledger lacks a line; told once.
    trouble: Option<String>,
    seq: u64,
}

impl Journal {
    /// With a ledger to append to, and with or without whole requests for tests in this process.
    pub(super) fn open(ledger: Option<&Path>, keeps_requests: bool) -> io::Result<Self> {
        let append = |path| OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        let inner = Inner {
            entries: VecDeque::new(),
            requests: VecDeque::new(),
            request_bytes: 0,
            keeps_requests,
            ledger: ledger.map(append).transpose()?,
            trouble: None,
            seq: 0,
        };
        Ok(Self { inner: Mutex::new(inner), count: watch::Sender::new(0) })
    }

    /// Writes an entry; its number is given here.
    pub(super) fn write(&self, mut entry: Entry, request: Option<ReceivedRequest>) {
        let mut inner = lock(&self.inner);
        inner.seq += 1;
        entry.seq = inner.seq;
        inner.append(&entry);
        if let Some(request) = request.filter(|_| inner.keeps_requests) {
            inner.request_bytes += request.body.len();
            inner.requests.push_back((entry.seq, entry.provider, request));
        }
        inner.entries.push_back(entry);
        inner.trim();
        let seq = inner.seq;
        drop(inner);
        self.count.send_replace(seq);
    }

    /// The entries, oldest first.
    pub(super) fn entries(&self, provider: Option<&str>) -> Vec<Entry> {
        let inner = lock(&self.inner);
        let wanted = |entry: &&Entry| provider.is_none_or(|provider| entry.provider == provider);
        inner.entries.iter().filter(wanted).cloned().collect()
    }

    /// The entries behind this number, oldest first.
    pub(super) fn entries_after(&self, seq: u64) -> Vec<Entry> {
        let inner = lock(&self.inner);
        let first = inner.entries.partition_point(|entry| entry.seq <= seq);
        inner.entries.range(first..).cloned().collect()
    }

    /// How many entries there are.
    pub(super) fn count(&self, provider: Option<&str>) -> usize {
        let inner = lock(&self.inner);
        inner
            .entries
            .iter()
            .filter(|entry| provider.is_none_or(|provider| entry.provider == provider))
            .count()
    }

    /// Whole requests of entries behind the first number and up to the last, oldest first; empty unless they are kept.
    pub(super) fn requests(&self, provider: &str, after: u64, last: u64) -> Vec<ReceivedRequest> {
        let inner = lock(&self.inner);
        let place = |number| inner.requests.partition_point(|(seq, ..)| *seq <= number);
        let (first, end) = (place(after), place(last.max(after)));
        let wanted = inner.requests.range(first..end).filter(|(_, of, _)| *of == provider);
        wanted.map(|(.., request)| request.clone()).collect()
    }

    /// Forgets what is in memory; the ledger stays.
    pub(super) fn clear(&self) {
        let mut inner = lock(&self.inner);
        inner.entries.clear();
        inner.requests.clear();
        inner.request_bytes = 0;
    }

    /// Changes with every entry.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// Why the ledger lacks a line.
    pub(super) fn trouble(&self) -> Option<String> {
        lock(&self.inner).trouble.clone()
    }
}

impl Inner {
    /// Forgets the oldest of what is too much.
    fn trim(&mut self) {
        while self.entries.len() > MOST_ENTRIES {
            self.entries.pop_front();
        }
        let oldest = self.entries.front().map_or(0, |entry| entry.seq);
        while let Some((seq, _, request)) = self.requests.front()
            && (*seq < oldest || (MOST_BYTES < self.request_bytes && 1 < self.requests.len()))
        {
            self.request_bytes -= request.body.len();
            self.requests.pop_front();
        }
    }

    fn append(&mut self, entry: &Entry) {
        let Some(ledger) = &mut self.ledger else { return };
        let line = serde_json::to_string(entry).map_err(io::Error::from);
        let written = line.and_then(|line| ledger.write_all(format!("{line}\n").as_bytes()));
        if let Err(error) = written {
            self.trouble.get_or_insert_with(|| {
                format!("the ledger cannot be written: {error}; make room and start again")
            });
        }
    }
}

/// The header fields for the journal.
pub(super) fn shown(headers: &HeaderMap) -> Map<String, Value> {
    let one = |name: &axum::http::HeaderName| {
        let value = match name.as_str() {
            "authorization" => scheme(headers),
            name if SHOWN.contains(&name) => {
                headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("***").to_owned()
            }
            _ => "***".to_owned(),
        };
        (name.as_str().to_owned(), Value::from(value))
    };
    headers.keys().map(one).collect()
}

/// `Bearer ***`.
fn scheme(headers: &HeaderMap) -> String {
    let value = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let scheme = value.split(' ').next().unwrap_or_default();
    let known = ["Bearer", "Basic", "vapid", "AWS4-HMAC-SHA256"].contains(&scheme);
    if known { format!("{scheme} ***") } else { "***".to_owned() }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::{body::Bytes, http::Method};
    use serde_json::json;

    use super::*;

    /// Writes an entry of a provider with a body of this size.
    fn write(journal: &Journal, provider: &'static str, bytes: usize) {
        let entry = Entry {
            seq: 0,
            at_unix_ms: 0,
            provider,
            operation: "send",
            method: "POST".into(),
            route: "/".into(),
            verdict: Verdict::Accepted,
            carried_out: true,
            status: Some(200),
            why: None,
            summary: json!({}),
            body_bytes: bytes,
            headers: Map::new(),
        };
        let request = ReceivedRequest {
            method: Method::POST,
            path: "/".into(),
            query: None,
            headers: HeaderMap::new(),
            body: Bytes::from(vec![0; bytes]),
            arrived: Instant::now(),
        };
        journal.write(entry, Some(request));
    }

    #[test]
    fn whole_requests_are_kept_as_far_as_memory_is_given_to_them_and_no_longer_than_their_entries() {
        let journal = Journal::open(None, true).unwrap();
        write(&journal, "twilio", MOST_BYTES - 1);
        write(&journal, "sendgrid", 1);
        let both = journal.requests("twilio", 0, u64::MAX).len() + journal.requests("sendgrid", 0, 9).len();

        write(&journal, "sendgrid", 1);
        let after_one_more = journal.requests("twilio", 0, u64::MAX).len();
        for _ in 0..MOST_ENTRIES {
            write(&journal, "llm", 0);
        }

        assert_eq!((both, after_one_more), (2, 0));
        assert!(journal.requests("sendgrid", 0, u64::MAX).is_empty());
        assert_eq!(journal.requests("llm", 0, u64::MAX).len(), MOST_ENTRIES);
    }

    #[test]
    fn only_what_is_between_two_entries_is_handed_out() {
        let journal = Journal::open(None, true).unwrap();
        for bytes in 1..=4 {
            write(&journal, "sendgrid", bytes);
        }

        let sizes: Vec<usize> =
            journal.requests("sendgrid", 1, 3).iter().map(|request| request.body.len()).collect();

        assert_eq!(sizes, [2, 3]);
        assert_eq!(journal.entries_after(3).len(), 1);
    }
}
