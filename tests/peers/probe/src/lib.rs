//! What every peer's program does alike: the payload, the count of handlers that ran, what producers report.
//!
//! A worker writes `$BENCH_OUT.<pid>.json` at most every 50 ms, `{"count":…,"began":…,"first":…,"last":…,"waited_us":[…]}`,
//! with `first` and `last` as Unix nanoseconds of the first and the last handler that ended. A producer prints
//! `{"jobs":…,"secs":…}`.

use std::{
    env, fs,
    str::FromStr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Filler that makes the payload `{"t":…,"id":…,"pad":…}` 200 bytes long, with a time of 19 digits and an id of 5.
pub const FILLER: usize = 155;
/// Between two reports of a worker.
const REPORT: Duration = Duration::from_millis(50);

static COUNT: AtomicU64 = AtomicU64::new(0);
static BEGAN: AtomicI64 = AtomicI64::new(0);
static FIRST: AtomicI64 = AtomicI64::new(0);
static LAST: AtomicI64 = AtomicI64::new(0);
static WAITED_US: Mutex<Vec<i64>> = Mutex::new(Vec::new());

/// Unix time in nanoseconds.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}

/// A setting, or what is usual.
pub fn setting<T: FromStr>(name: &str, usual: T) -> T {
    env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

/// The filler of a payload.
pub fn filler() -> String {
    "x".repeat(FILLER)
}

/// What a program was told to do: a task, how many jobs, how many milliseconds apart.
pub fn arguments() -> (String, usize, u64) {
    let words: Vec<String> = env::args().skip(1).collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    (words.first().cloned().unwrap_or_default(), number(1) as usize, number(2))
}

/// A runtime for one producer: of one thread, as Flota's has, so that whoever waits for an answer also reads it. Workers have
/// one of several threads.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    match arguments().0.as_str() {
        "single" | "paced" => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        _ => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
    }
}

/// The whole handler: the same for every peer. `sent` is the payload's `t`.
pub fn handle(sent: i64) {
    let now = now();
    if setting_timed() {
        let waited = (now - sent) / 1_000;
        WAITED_US.lock().unwrap_or_else(PoisonError::into_inner).push(waited);
    }
    if COUNT.fetch_add(1, Relaxed) == 0 {
        BEGAN.store(now, Relaxed);
        FIRST.store(now, Relaxed);
    }
    LAST.fetch_max(now, Relaxed);
}

/// Looked up once: the environment is behind a lock.
fn setting_timed() -> bool {
    static TIMED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *TIMED.get_or_init(|| setting("BENCH_TIMED", 0_u8) == 1)
}

/// Reports what ran from now on.
pub fn report_what_ran() {
    let file = format!("{}.{}.json", setting("BENCH_OUT", "out".to_owned()), std::process::id());
    thread::spawn(move || {
        let mut reported = 0;
        loop {
            thread::sleep(REPORT);
            let count = COUNT.load(Relaxed);
            if count != reported {
                reported = count;
                write(&file, count);
            }
        }
    });
}

fn write(file: &str, count: u64) {
    let waited = WAITED_US.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = waited.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let [began, first, last] = [&BEGAN, &FIRST, &LAST].map(|time| time.load(Relaxed));
    let text = format!(
        "{{\"count\":{count},\"began\":{began},\"first\":{first},\"last\":{last},\"waited_us\":[{waited}]}}"
    );
    // Renamed, so that a reader never sees half of it.
    let unfinished = format!("{file}.part");
    let written = fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, file));
    if let Err(error) = written {
        eprintln!("{file} cannot be written: {error}");
    }
}

/// What a producer says at its end.
pub fn report_enqueued(jobs: usize, began: Instant) {
    println!("{{\"jobs\":{jobs},\"secs\":{}}}", began.elapsed().as_secs_f64());
}
