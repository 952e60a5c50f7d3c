//! The journal: every request as the sandbox saw it, without secrets and without bodies.
//!
//! Headers are on a list of those that hold no secret, of the others only their names are kept. The newest entries stay
//! in memory; a ledger is a file that gets all of them, one JSON document a line, before the answer goes out.

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
    requests: VecDeque<(&'static str, ReceivedRequest)>,
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
            inner.requests.push_back((entry.provider, request));
        }
        inner.entries.push_back(entry);
        while inner.entries.len() > MOST_ENTRIES {
            inner.entries.pop_front();
        }
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

    /// How many entries there are.
    pub(super) fn count(&self, provider: Option<&str>) -> usize {
        let inner = lock(&self.inner);
        inner
            .entries
            .iter()
            .filter(|entry| provider.is_none_or(|provider| entry.provider == provider))
            .count()
    }

    /// Whole requests, oldest first; empty unless they are kept.
    pub(super) fn requests(&self, provider: &str) -> Vec<ReceivedRequest> {
        let inner = lock(&self.inner);
        let wanted = inner.requests.iter().filter(|(of, _)| *of == provider);
        wanted.map(|(_, request)| request.clone()).collect()
    }

    /// Forgets what is in memory; the ledger stays.
    pub(super) fn clear(&self) {
        let mut inner = lock(&self.inner);
        inner.entries.clear();
        inner.requests.clear();
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
