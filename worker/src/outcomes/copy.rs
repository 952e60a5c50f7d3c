//! The binary COPY format: rows as Postgres reads them fastest, about half the work of any INSERT.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format": a signature, two empty words, then per
//! row the number of columns and per column its length (-1 for NULL) and its value in network order, and -1 at the
//! end. The columns and their order are those of `copy.sql`, with those behind them that are filled anywhere.

use uuid::Uuid;

use super::rows::Row;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Columns named in `copy.sql`.
const COLUMNS: i16 = 12;
/// Columns of a failure.
const FAILURE: [&str; 3] = ["error_class", "code", "error"];
/// Columns of who was asked.
const PROVIDER: [&str; 2] = ["provider", "provider_ref"];
/// 2000-01-01, from which Postgres counts, in Unix microseconds.
const EPOCH_US: i64 = 946_684_800_000_000;
/// The only version of the binary form of `jsonb`.
const JSONB_VERSION: u8 = 1;
/// A good guess at the size of a row, so that the buffer seldom grows.
const ROW_BYTES: usize = 320;

/// What is filled by one row at least. Of columns that none fills Postgres need not be told, which costs a little for every
/// row: all of them are a tenth of its work.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Filled {
    failure: bool,
    provider: bool,
    result: bool,
    replay: bool,
}

impl Filled {
    /// By these rows.
    pub(super) fn by(rows: &[&Row]) -> Self {
        rows.iter().fold(Self::default(), |filled, row| Self {
            failure: filled.failure || row.error_class.is_some() || row.code.is_some() || row.error.is_some(),
            provider: filled.provider || row.provider.is_some() || row.provider_ref.is_some(),
            result: filled.result || row.result.is_some(),
            replay: filled.replay || row.replay_of.is_some(),
        })
    }

    /// The statement that takes rows into this table that were encoded with this.
    pub(super) fn statement(self, table: &'static str) -> String {
        let rare: String = self.columns().flat_map(|name| [", ", name]).collect();
        include_str!("copy.sql").replace("{table}", table).replace("{rare}", &rare)
    }

    /// Rows of one queue, ready to be sent.
    pub(super) fn encode(self, queue: &str, rows: &[&Row]) -> Vec<u8> {
        let mut out = Encoder(Vec::with_capacity(SIGNATURE.len() + 10 + rows.len() * ROW_BYTES));
        out.0.extend_from_slice(SIGNATURE);
        out.0.extend_from_slice(&[0; 8]);
        let columns = COLUMNS + self.columns().count() as i16;
        for row in rows {
            out.0.extend_from_slice(&columns.to_be_bytes());
            out.usual(queue, row);
            out.rare(row, self);
        }
        out.0.extend_from_slice(&(-1_i16).to_be_bytes());
        out.0
    }

    /// Names of the columns, in the order of [`Encoder::rare`].
    fn columns(self) -> impl Iterator<Item = &'static str> {
        let failure = FAILURE.into_iter().filter(move |_| self.failure);
        let provider = PROVIDER.into_iter().filter(move |_| self.provider);
        failure
            .chain(provider)
            .chain(self.result.then_some("result"))
            .chain(self.replay.then_some("replay_of"))
    }
}

struct Encoder(Vec<u8>);

impl Encoder {
    fn usual(&mut self, queue: &str, row: &Row) {
        self.uuid(Some(row.job));
        self.value(&row.run.to_be_bytes());
        self.value(&row.attempt.to_be_bytes());
        self.value(queue.as_bytes());
        self.value(row.kind.as_bytes());
        self.text(row.tenant.as_deref());
        self.value(row.status.word().as_bytes());
        self.time(row.enqueued_us);
        self.time(row.started_us);
        self.time(Some(row.finished_us));
        self.value(&row.duration_ms.to_be_bytes());
        self.value(row.worker.as_bytes());
    }

    fn rare(&mut self, row: &Row, filled: Filled) {
        if filled.failure {
            self.text(row.error_class);
            self.text(row.code.as_deref());
            self.text(row.error.as_deref());
        }
        if filled.provider {
            self.text(row.provider.as_deref());
            self.text(row.provider_ref.as_deref());
        }
        if filled.result {
            self.jsonb(row.result.as_deref());
        }
        if filled.replay {
            self.uuid(row.replay_of);
        }
    }

    fn value(&mut self, bytes: &[u8]) {
        // Texts are cut in rows.rs and the engine bounds results, so a length always fits.
        self.0.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn null(&mut self) {
        self.0.extend_from_slice(&(-1_i32).to_be_bytes());
    }

    fn text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.value(text.as_bytes()),
            None => self.null(),
        }
    }

    fn uuid(&mut self, id: Option<Uuid>) {
        match id {
            Some(id) => self.value(id.as_bytes()),
            None => self.null(),
        }
    }

    fn time(&mut self, unix_us: Option<i64>) {
        match unix_us {
            Some(unix_us) => self.value(&(unix_us - EPOCH_US).to_be_bytes()),
            None => self.null(),
        }
    }

    fn jsonb(&mut self, json: Option<&str>) {
        match json {
            Some(json) => {
                self.0.extend_from_slice(&(json.len() as i32 + 1).to_be_bytes());
                self.0.push(JSONB_VERSION);
                self.0.extend_from_slice(json.as_bytes());
            }
            None => self.null(),
        }
    }
}
