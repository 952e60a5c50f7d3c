//! The Redis side: reading one queue's outcomes stream in batches, and taking out what is recorded.
//!
//! An entry holds the records of one settled batch: `t` Redis time in ms, `w` the worker, `o` one JSON line per record.
//! Entries differ a lot in size (1 to 500 records), so a batch is gathered in pages that feel their way to a good
//! number of rows. Nothing here knows Postgres.

use std::{iter::once, ops::Range, sync::LazyLock, time::Duration};

use flota_engine::{Record, failpoint};
use flota_producer::{
    JobId,
    keys::QueueKeys,
    link::{Link, LinkError},
    script,
};
use memchr::memchr_iter;
use redis::Script;
use serde::Serialize;

use super::rows::{Row, worker_name};

/// From here every entry is read.
pub(super) const BEGINNING: &str = "0-0";
/// Rows of a batch under load. Postgres takes a row for 5.0 µs in batches of 500, 4.2 of 1,500, 3.9 of 3,000, and for no less
/// in larger ones.
const ENOUGH_ROWS: usize = 3_000;
const AIMED_ROWS: usize = 4_000;
/// Bytes of an entry that others like it follow: room is made for all of their rows at once.
const MANY_BYTES: usize = 8 * 1024;
/// Entries of the first page: 4,000 rows if every entry is half as full as settling can make them.
const FIRST_PAGE: usize = 16;
/// Entries of a page at most, and how many times more than the page before it: an entry may hold one record or 500.
const LARGEST_PAGE: usize = 64;
const GROWTH: usize = 4;
/// Bytes of records at which a batch is large enough, and which a page should not exceed. Dead letters carry their
/// envelopes, so a few hundred of them are as much work as thousands of ordinary records.
const ENOUGH_BYTES: usize = 4 * 1024 * 1024;
/// Longest time that an idle recorder leaves its read with Redis.
const BLOCK: Duration = Duration::from_secs(5);
/// What a reply to a blocking read may take beyond that.
const SLACK: Duration = Duration::from_secs(2);

static REFUSE: LazyLock<Script> = LazyLock::new(|| script("refuse", include_str!("refuse.lua")));

/// One reply of XREAD: streams, of entries, of fields and values in turn.
type Reply = Option<Vec<(String, Vec<(String, Vec<Vec<u8>>)>)>>;

/// What was read at once, already as rows.
#[derive(Default)]
pub(super) struct Batch {
    entries: Vec<Entry>,
    lines: Vec<Line>,
    rows: Vec<Row>,
    unreadable: Vec<Refusal>,
    bytes: usize,
    /// True when nothing was left in the stream behind it.
    pub(super) is_last: bool,
}

struct Entry {
    id: String,
    finished_ms: u64,
    worker: String,
    records: Vec<u8>,
}

/// Where the record of a row is: for the one that Postgres may refuse.
struct Line {
    entry: usize,
    bytes: Range<usize>,
}

/// A record that is kept aside, as it lies in the `refused` list.
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    entry: String,
    worker: String,
    finished_ms: u64,
    reason: String,
    record: String,
    /// Whose end it tells, where no row says so.
    #[serde(skip)]
    job: Option<JobId>,
}

impl Batch {
    /// Rows in the order of their records.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What no row could be made of.
    pub(super) fn take_unreadable(&mut self) -> Vec<Refusal> {
        std::mem::take(&mut self.unreadable)
    }

    /// How many entries it came from.
    pub(super) fn entries(&self) -> usize {
        self.entries.len()
    }

    /// The entry behind which the next batch begins.
    pub(super) fn last(&self) -> &str {
        self.entries.last().map_or(BEGINNING, |entry| &entry.id)
    }

    /// Keeps the record of this row aside.
    pub(super) fn refuse(&self, row: usize, reason: String) -> Refusal {
        let Line { entry, bytes } = &self.lines[row];
        let entry = &self.entries[*entry];
        entry.refusal(&entry.records[bytes.clone()], reason)
    }

    fn add(&mut self, id: String, fields: Vec<Vec<u8>>) {
        let entry = Entry::new(id, fields);
        let worker = worker_name(entry.worker.as_bytes());
        if MANY_BYTES <= entry.records.len() && self.rows.capacity() < AIMED_ROWS {
            self.rows.reserve(AIMED_ROWS);
            self.lines.reserve(AIMED_ROWS);
        }
        for bytes in lines(&entry.records) {
            let line = &entry.records[bytes.clone()];
            match Record::decode(line) {
                Ok(record) => {
                    self.rows.push(Row::new(record, entry.finished_ms, &worker));
                    self.lines.push(Line { entry: self.entries.len(), bytes });
                }
                Err(error) => {
                    let refusal = entry.refusal(line, format!("not a record: {error}"));
                    self.unreadable.push(Refusal { job: Record::ended_job(line), ..refusal });
                }
            }
        }
        self.bytes += entry.records.len();
        self.entries.push(entry);
    }
}

/// Where the lines of a text are.
fn lines(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let ends = memchr_iter(b'\n', text).chain(once(text.len()));
    ends.scan(0, |begin, end| Some(std::mem::replace(begin, end + 1)..end))
}

impl Entry {
    fn new(id: String, fields: Vec<Vec<u8>>) -> Self {
        let (mut finished_ms, mut worker, mut records) = (None, Vec::new(), Vec::new());
        let mut fields = fields.into_iter();
        while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
            match name.as_slice() {
                b"t" => finished_ms = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()),
                b"w" => worker = value,
                b"o" => records = value,
                _ => {}
            }
        }
        // The id of an entry begins with the same clock.
        let entered_ms = || id.split_once('-').and_then(|(ms, _)| ms.parse().ok()).unwrap_or_default();
        Self {
            finished_ms: finished_ms.unwrap_or_else(entered_ms),
            worker: String::from_utf8_lossy(&worker).into_owned(),
            records,
            id,
        }
    }

    fn refusal(&self, line: &[u8], reason: String) -> Refusal {
        Refusal {
            entry: self.id.clone(),
            worker: self.worker.clone(),
            finished_ms: self.finished_ms,
            reason,
            record: String::from_utf8_lossy(line).into_owned(),
            job: None,
        }
    }
}

impl Refusal {
    /// The job that ended with it, where only it says so.
    pub(super) fn job(&self) -> Option<JobId> {
        self.job
    }

    /// Why it is not in Postgres.
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    fn encode(&self) -> String {
        serde_json::to_string(self).expect("texts and a number always encode")
    }
}

/// One queue's outcomes stream.
pub(super) struct OutcomeStream {
    link: Link,
    /// Blocks for seconds, so it has a connection of its own.
    waiting: Link,
    outcomes: String,
    refused: String,
}

impl OutcomeStream {
    pub(super) fn new(link: Link, keys: &QueueKeys) -> Self {
        Self {
            waiting: link.with_response_timeout(BLOCK + SLACK),
            link,
            outcomes: keys.outcomes(),
            refused: keys.refused(),
        }
    }

    /// Key of the list of what is kept aside.
    pub(super) fn refused(&self) -> &str {
        &self.refused
    }

    /// Returns when there is an entry, or after five seconds.
    pub(super) async fn wait(&self) -> Result<(), LinkError> {
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(1).arg("BLOCK").arg(BLOCK.as_millis() as u64);
        self.waiting.query::<Reply>(read.arg("STREAMS").arg(&self.outcomes).arg(BEGINNING)).await.map(drop)
    }

    /// The entries behind `after`: enough for a good commit, or all there are.
    pub(super) async fn read(&self, after: &str) -> Result<Batch, LinkError> {
        let mut batch = Batch::default();
        let mut after = after.to_owned();
        let mut page = FIRST_PAGE;
        loop {
            let entries = self.page(&after, page).await?;
            batch.is_last = entries.len() < page;
            for (id, fields) in entries {
                batch.add(id, fields);
            }
            if batch.is_last || ENOUGH_ROWS <= batch.rows.len() || ENOUGH_BYTES <= batch.bytes {
                return Ok(batch);
            }
            after = batch.last().to_owned();
            page = next_page(page, batch.rows.len(), batch.entries.len(), batch.bytes);
        }
    }

    async fn page(&self, after: &str, entries: usize) -> Result<Vec<(String, Vec<Vec<u8>>)>, LinkError> {
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(entries).arg("STREAMS").arg(&self.outcomes).arg(after);
        let reply: Reply = self.link.query(&read).await?;
        Ok(reply.unwrap_or_default().into_iter().flat_map(|(_, entries)| entries).collect())
    }

    /// Takes a recorded batch out of the stream, and keeps aside what was refused of it.
    pub(super) async fn remove(&self, batch: &Batch, refused: &[Refusal]) -> Result<(), LinkError> {
        let ids: Vec<&str> = batch.entries.iter().map(|entry| entry.id.as_str()).collect();
        if refused.is_empty() {
            self.link.query::<u64>(redis::cmd("XDEL").arg(&self.outcomes).arg(ids)).await?;
            failpoint!("record-removed", flota_engine::chaos::lost());
            return Ok(());
        }
        let mut call = REFUSE.key(&self.outcomes);
        call.key(&self.refused).arg(ids.len()).arg(ids);
        for refusal in refused {
            call.arg(refusal.encode());
        }
        self.link.invoke(&call).await
    }
}

/// Entries of the next page, after one of `page` entries and so many rows and bytes from so many entries in all.
fn next_page(page: usize, rows: usize, entries: usize, bytes: usize) -> usize {
    let by_rows = AIMED_ROWS.saturating_sub(rows) * entries / rows.max(1);
    let by_bytes = ENOUGH_BYTES.saturating_sub(bytes) * entries / bytes.max(1);
    by_rows.min(by_bytes).min(page * GROWTH).clamp(1, LARGEST_PAGE)
}

#[cfg(test)]
mod tests {
    use flota_engine::Status;

    use super::*;

    fn fields(records: &str) -> Vec<Vec<u8>> {
        ["t", "1795280202384", "w", "worker-1", "o", records].map(|text| text.as_bytes().to_vec()).into()
    }

    #[test]
    fn pages_feel_their_way_to_four_thousand_rows() {
        let kib = 1024;
        assert_eq!(next_page(16, 4, 4, 2 * kib), LARGEST_PAGE, "single records");
        assert_eq!(next_page(4, 400, 4, 120 * kib), 16, "a hundred in each");
        assert_eq!(next_page(4, 900, 2, 270 * kib), 6, "full ones");
        assert_eq!(next_page(16, 0, 4, 4), LARGEST_PAGE, "nothing readable");
    }

    #[test]
    fn pages_feel_their_way_by_bytes_too() {
        let mib = 1024 * 1024;
        assert_eq!(next_page(4, 4, 4, mib), 12, "entries of 256 KiB");
        assert_eq!(next_page(4, 4, 4, 3 * mib), 1, "large ones");
        assert_eq!(next_page(4, 4, 4, 800), 16, "a page is not trusted to be like the one before");
    }

    #[test]
    fn a_line_that_is_no_record_is_kept_aside_and_its_neighbours_become_rows() {
        let line = Record::unreadable(JobId::mint(), Status::Dead).encode();
        let mut batch = Batch::default();

        batch.add("7-0".into(), fields(&format!("{line}\nnonsense\n{line}")));

        assert_eq!(batch.rows().len(), 2);
        let refused = batch.take_unreadable();
        assert_eq!(refused.len(), 1);
        assert_eq!((refused[0].record.as_str(), refused[0].entry.as_str()), ("nonsense", "7-0"));
        assert_eq!(batch.refuse(1, "because".into()).record, line, "the line of the second row");
    }

    #[test]
    fn an_entry_without_a_time_has_that_of_its_id() {
        let mut batch = Batch::default();
        let line = Record::unreadable(JobId::mint(), Status::Dead).encode();

        batch.add("1795280202384-3".into(), vec![b"o".to_vec(), line.into_bytes()]);

        assert_eq!(batch.rows()[0].finished_us, 1_795_280_202_384_000);
    }

    #[test]
    fn an_entry_of_somebody_else_is_kept_aside() {
        let mut batch = Batch::default();

        batch.add("7-0".into(), vec![b"hello".to_vec(), b"world".to_vec()]);

        assert_eq!(batch.rows().len(), 0);
        assert_eq!(batch.take_unreadable().len(), 1);
    }
}
