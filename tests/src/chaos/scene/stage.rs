//! How a scene is set up before anything happens.

use std::time::Duration;

use flota_worker::dev::{PostgresOptions, RedisOptions};

use super::QUEUE;

/// What lies behind a proxy.
#[derive(Debug, Clone, Copy, Default)]
pub struct Proxied {
    /// Redis, for workers and producers.
    pub redis: bool,
    /// Postgres, for workers.
    pub postgres: bool,
    /// The provider.
    pub provider: bool,
}

/// How servers and workers are set.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Redis; append-only, synced every second unless it says otherwise.
    pub redis: RedisOptions,
    /// Postgres.
    pub postgres: PostgresOptions,
    /// What lies behind a proxy.
    pub proxied: Proxied,
    /// How long a run keeps its job without a heartbeat.
    pub lease: Duration,
    /// How often leases are lengthened.
    pub heartbeat: Duration,
    /// Jobs that one worker runs at once.
    pub concurrency: usize,
    /// Lost leases at which a job is dead.
    pub max_deliveries: u32,
    /// Longest time of one run.
    pub timeout: Duration,
    /// Lines for the table of the queue of toys in the queues file.
    pub queue: String,
    /// Further tables of the queues file.
    pub tables: String,
    /// Variables that every worker gets.
    pub environment: Vec<(String, String)>,
    /// How long a worker may drain.
    pub drain: Duration,
}

impl Default for Stage {
    /// Leases as short as a queues file may set them, retries almost at once.
    fn default() -> Self {
        Self {
            redis: RedisOptions::default(),
            postgres: PostgresOptions::default(),
            proxied: Proxied::default(),
            lease: Duration::from_secs(3),
            heartbeat: Duration::from_millis(500),
            concurrency: 16,
            max_deliveries: 4,
            timeout: Duration::from_mins(5),
            queue: String::new(),
            tables: String::new(),
            environment: Vec::new(),
            drain: Duration::from_secs(10),
        }
    }
}

impl Stage {
    /// The queues file.
    pub(super) fn queues_file(&self) -> String {
        format!(
            "[defaults]\nlease = \"{}ms\"\nheartbeat = \"{}ms\"\nconcurrency = {}\nmax_deliveries = {}\n\
             timeout = \"{}ms\"\npark = \"100ms\"\nbackoff = {{ base = \"10ms\", cap = \"50ms\" }}\n\
             [queues.{QUEUE}]\n{}\n[queues.webhook]\n{}\n",
            self.lease.as_millis(),
            self.heartbeat.as_millis(),
            self.concurrency,
            self.max_deliveries,
            self.timeout.as_millis(),
            self.queue,
            self.tables,
        )
    }

    /// Names of the queues that are watched.
    pub(super) fn queue_names(&self) -> Vec<&str> {
        let more = self.tables.lines().filter_map(|line| line.strip_prefix("[queues.")?.strip_suffix(']'));
        [QUEUE, "webhook"].into_iter().chain(more).collect()
    }

    /// By when a killed worker's jobs must have been picked up: the promise, and a second for a busy machine.
    pub fn picked_up_within(&self) -> Duration {
        self.lease + self.heartbeat * 2 + Duration::from_secs(1)
    }
}
