//! A queue with its workers, for one test.

use std::{sync::Arc, time::Duration};

use flota_engine::{
    ApalisRunner, Fleet, Handlers, Parts, QueuePolicy, Receipt, Record, RetryPolicy,
    control::{self, Control, Note, Setting},
    inspect,
};
use flota_producer::{
    EnqueueError, JobId, NewJob, Priority, Producer, Settings,
    keys::{Prefix, QueueKeys},
    link::Link,
};
use tokio_util::sync::CancellationToken;

use crate::{
    PATIENCE, servers,
    toys::{self, Ledger},
    witness::Witness,
};

/// Name of the queue in every test; the prefix differs.
pub const QUEUE: &str = "toys";

/// The script that the fetcher of the engine keeps to itself.
pub const FETCH: &str = concat!(
    include_str!("../../worker/engine/src/scripts/member.lua"),
    include_str!("../../worker/engine/src/scripts/fetch.lua"),
);

/// One queue under its own key prefix.
pub struct TestQueue {
    /// For enqueueing.
    pub producer: Producer,
    /// For looking.
    pub link: Link,
    /// Keys of the queue.
    pub keys: QueueKeys,
    /// How workers treat it; change it before they start.
    pub policy: QueuePolicy,
    /// What runs did.
    pub ledger: Ledger,
    /// What the engine did.
    pub witness: Witness,
    prefix: Prefix,
}

/// Leases as short as they may be, retries at once.
pub fn quick_policy() -> QueuePolicy {
    QueuePolicy {
        name: QUEUE.into(),
        concurrency: 16,
        lease: Duration::from_secs(3),
        heartbeat: Duration::from_millis(500),
        timeout: Duration::from_secs(10),
        max_attempts: 10,
        max_deliveries: 4,
        max_len: 0,
        park: Duration::from_millis(50),
        retry: RetryPolicy {
            base: Duration::from_millis(1),
            cap: Duration::from_millis(5),
            ..RetryPolicy::default()
        },
    }
}

impl TestQueue {
    /// On the shared Redis.
    pub async fn new() -> Self {
        Self::on(&servers::redis_url().await)
    }

    /// On a Redis of the test's own.
    pub fn on(url: &str) -> Self {
        let mut settings = Settings::from_url(url).expect("a Redis URL");
        settings.prefix = Prefix::new(&servers::unique_name()).expect("a usable prefix");
        let prefix = settings.prefix.clone();
        Self {
            keys: prefix.queue(QUEUE),
            link: Link::new(url).expect("a Redis URL"),
            producer: Producer::new(settings).expect("a Redis URL"),
            policy: quick_policy(),
            ledger: Ledger::default(),
            witness: Witness::default(),
            prefix,
        }
    }

    /// The first part of every key.
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// Starts a worker with the toy processor.
    pub fn start(&self) -> Fleet {
        self.start_with(toys::registry().bind(self.ledger.clone()))
    }

    /// Starts a worker with these processors.
    pub fn start_with(&self, handlers: Handlers) -> Fleet {
        Fleet::start(Parts {
            link: self.link.again(),
            prefix: self.prefix.clone(),
            worker: servers::unique_name().into(),
            queues: vec![self.policy.clone()],
            handlers,
            observer: Arc::new(self.witness.clone()),
            runner: Arc::new(ApalisRunner),
        })
        .expect("a thread for the lease keeper")
    }

    /// Enqueues one job that must be accepted. A test whose only thread is busy for seconds does not reach Redis in time
    /// and tries again; nothing was sent then.
    pub async fn enqueue(&self, job: NewJob) -> JobId {
        let began = std::time::Instant::now();
        loop {
            match self.producer.enqueue(job.clone()).await {
                Ok(receipt) => return receipt.id,
                Err(EnqueueError::Unreachable(_)) if began.elapsed() < PATIENCE => {}
                Err(error) => panic!("the job is not accepted: {error:?}"),
            }
        }
    }

    /// Enqueues the same job many times.
    pub async fn enqueue_many(&self, count: usize, job: &NewJob) -> Vec<JobId> {
        let outcomes = self.producer.enqueue_all(vec![job.clone(); count]).await;
        let ids: Result<Vec<JobId>, EnqueueError> =
            outcomes.into_iter().map(|outcome| outcome.map(|receipt| receipt.id)).collect();
        ids.expect("every job is accepted")
    }

    /// Leases the next job to a worker that does not exist, or that never gets the reply.
    pub async fn lease_to_nobody(&self, lease: Duration) {
        let keys = &self.keys;
        let fetch = redis::Script::new(FETCH);
        let mut call = fetch.key(keys.ready(Priority::Normal));
        call.key(keys.ready(Priority::High)).key(keys.ready(Priority::Low)).key(keys.running());
        call.key(keys.marks()).key(keys.config()).key(keys.bell()).key(keys.cancelled()).key(keys.outcomes());
        call.arg(1).arg(lease.as_millis() as u64).arg(1_000).arg(1 << 30).arg(0);
        self.link.invoke::<redis::Value>(&call).await.expect("Redis answers");
    }

    /// Pauses the queue.
    pub async fn pause(&self) {
        let note = Note { by: "a test", ..Note::default() };
        control::set(&self.link, &self.keys, &Setting::Pause, &note).await.expect("Redis answers");
    }

    /// Lets it go on. Answers whether it was paused.
    pub async fn resume(&self) -> bool {
        control::unset(&self.link, &self.keys, Control::Pause).await.expect("Redis answers")
    }

    /// How many jobs are where.
    pub async fn counts(&self) -> inspect::Counts {
        inspect::counts(&self.link, &self.keys).await.expect("Redis answers")
    }

    /// Records in the outcomes stream, oldest first, each with its finishing time in Unix ms.
    pub async fn records(&self) -> Vec<(u64, Record)> {
        type Entry = (String, Vec<(String, String)>);
        let mut command = redis::cmd("XRANGE");
        command.arg(self.keys.outcomes()).arg("-").arg("+");
        let entries: Vec<Entry> = self.link.query(&command).await.expect("Redis answers");
        let mut records = Vec::new();
        for (_, fields) in entries {
            let field = |name: &str| &fields.iter().find(|(key, _)| key == name).expect("a field").1;
            let time: u64 = field("t").parse().expect("a time");
            for line in field("o").lines() {
                records.push((time, serde_json::from_str(line).expect("a record")));
            }
        }
        records
    }

    /// Names of the keys of this queue that still exist, without those that stay for good.
    pub async fn leftovers(&self) -> Vec<String> {
        let mut command = redis::cmd("KEYS");
        let mut names: Vec<String> =
            self.link.query(command.arg(format!("{}:*", self.prefix))).await.expect("Redis answers");
        let stay = [self.keys.config(), self.keys.running(), self.keys.outcomes(), self.keys.bell()];
        names.retain(|name| !stay.contains(name) && *name != self.prefix.queues());
        names.sort_unstable();
        names
    }
}

/// Drains a worker the way SIGTERM does, with this much patience.
pub async fn drain(fleet: Fleet, grace: Duration) -> usize {
    fleet.drain(grace, CancellationToken::new()).await
}

/// What a toy that succeeded leaves behind.
pub fn toy_receipt(id: JobId) -> Receipt {
    Receipt { provider: Some("toy".into()), provider_ref: Some(id.to_string()), result: None }
}

/// Asks until the answer is yes.
///
/// # Panics
/// When that takes longer than `patience`.
pub async fn eventually(patience: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + patience;
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "not within {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
