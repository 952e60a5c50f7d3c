//! What ran, counted by the handlers themselves: a run of a measure counts only if as many ran as were enqueued.
//!
//! A worker process writes its tally into a file at most every 50 ms; peers write the same text. The tallies of all
//! processes of a run are added up.

use std::{
    env, fs, io,
    path::Path,
    process,
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::payload::unix_ns;

/// Where tallies go: the process id and `.json` are put behind it.
pub const OUT: &str = "BENCH_OUT";
/// `1` where waiting times are kept.
pub const TIMED: &str = "BENCH_TIMED";
/// Between two reports.
const REPORT: Duration = Duration::from_millis(50);

static COUNT: AtomicU64 = AtomicU64::new(0);
static BEGAN: AtomicU64 = AtomicU64::new(u64::MAX);
static FIRST: AtomicU64 = AtomicU64::new(u64::MAX);
static LAST: AtomicU64 = AtomicU64::new(0);
static WAITED_US: Mutex<Vec<u64>> = Mutex::new(Vec::new());
static IS_TIMED: LazyLock<bool> = LazyLock::new(|| env::var(TIMED).is_ok_and(|value| value == "1"));

/// What the handlers of one process, or of all of them, did. Times are Unix nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Handlers that ended.
    pub count: u64,
    /// When the first of them began.
    pub began: u64,
    /// When the first ended.
    pub first: u64,
    /// When the last ended.
    pub last: u64,
    /// From just before each was enqueued until its handler began, in microseconds; empty unless that was asked for.
    pub waited_us: Vec<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { count: 0, began: u64::MAX, first: u64::MAX, last: 0, waited_us: Vec::new() }
    }
}

impl Tally {
    /// Both together.
    fn with(mut self, other: Self) -> Self {
        self.count += other.count;
        self.began = self.began.min(other.began);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.waited_us.extend(other.waited_us);
        self
    }

    /// Handlers a second, from the end of the first until the end of the last.
    pub fn per_second(&self) -> f64 {
        self.count as f64 / (self.last.saturating_sub(self.first) as f64 / 1e9)
    }

    /// Adds up what all processes of a run have reported so far.
    ///
    /// # Errors
    /// When a report is there and cannot be read.
    pub fn read(out: &Path) -> io::Result<Self> {
        let (folder, name) = (out.parent(), out.file_name().unwrap_or_default().to_string_lossy());
        let mut sum = Self::default();
        for entry in fs::read_dir(folder.unwrap_or(Path::new(".")))? {
            let entry = entry?;
            let file = entry.file_name().to_string_lossy().into_owned();
            let middle = file.strip_prefix(&*name).and_then(|rest| rest.strip_suffix(".json"));
            if middle.is_some_and(|middle| middle.starts_with('.')) {
                sum = sum.with(serde_json::from_slice(&fs::read(entry.path())?)?);
            }
        }
        Ok(sum)
    }
}

/// Counts one handler that ends now. `sent` is its payload's time, `began` when it began.
pub fn count(sent: u64, began: u64) {
    if *IS_TIMED {
        let waited = began.saturating_sub(sent) / 1_000;
        WAITED_US.lock().unwrap_or_else(PoisonError::into_inner).push(waited);
    }
    let now = unix_ns();
    if COUNT.fetch_add(1, Relaxed) == 0 {
        BEGAN.store(began, Relaxed);
        FIRST.store(now, Relaxed);
    }
    LAST.fetch_max(now, Relaxed);
}

/// Reports this process from now on, if it was told where to.
pub fn report() {
    let Ok(out) = env::var(OUT) else { return };
    let file = format!("{out}.{}.json", process::id());
    thread::spawn(move || {
        let mut reported = 0;
        loop {
            thread::sleep(REPORT);
            let count = COUNT.load(Relaxed);
            if count == reported {
                continue;
            }
            reported = count;
            if let Err(error) = write(&file, count) {
                eprintln!("{file} cannot be written: {error}");
            }
        }
    });
}

fn write(file: &str, count: u64) -> io::Result<()> {
    let [began, first, last] = [&BEGAN, &FIRST, &LAST].map(|time| time.load(Relaxed));
    let waited_us = WAITED_US.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let text = serde_json::to_string(&Tally { count, began, first, last, waited_us })?;
    // Renamed, so that a reader never sees half of it.
    let unfinished = format!("{file}.part");
    fs::write(&unfinished, text)?;
    fs::rename(&unfinished, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tallies_of_all_processes_of_one_run_are_added_up() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("a.1.json", r#"{"count":2,"began":5,"first":10,"last":20,"waited_us":[7]}"#);
        write("a.2.json", r#"{"count":3,"began":8,"first":9,"last":1000000009,"waited_us":[1,2]}"#);
        write("ab.3.json", r#"{"count":100,"began":1,"first":1,"last":1,"waited_us":[]}"#);
        write("a.2.json.part", "{");

        let tally = Tally::read(&folder.path().join("a")).unwrap();

        assert_eq!((tally.count, tally.began, tally.first, tally.last), (5, 5, 9, 1_000_000_009));
        assert_eq!(tally.waited_us.iter().sum::<u64>(), 10);
        assert!((tally.per_second() - 5.0).abs() < 1e-9);
    }
}
