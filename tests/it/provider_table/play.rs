//! Lets one thing happen to one real job, and looks at what is kept of it and what the engine does.
//!
//! Each row has its own queue, limits, circuits and sandbox, so that none feels what another did. Waits and tries are
//! those that the product ships with; only the backoff between tries is short.

mod afterwards;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use flota_engine::{ErrorClass, Fleet, QueuePolicy, RetryPolicy, Verdict, inspect};
use flota_producer::{JobId, NewJob, StorageKey};
use flota_providers::{
    pipeline::{CallEvent, CallObserver, CircuitPolicy, Pipeline},
    push::new_vapid_pair,
};
use flota_tests::{
    endpoint_register::{RING, register},
    fleet::{QUEUE, TestQueue, drain, quick_policy},
    servers,
    witness::{Seen as Witnessed, is_terminal},
};
use flota_worker::{
    assemble::{self, Ground},
    config::{Environment, Queues},
    database,
    dev::ReceivedRequest,
    limits::{self, CallTimeouts, ProviderLimits},
    llm::LlmSettings,
    processors,
    sandbox::Sandbox,
    suppressions::Suppressions,
    transcription::SpeechSettings,
};
use secrecy::ExposeSecret;

use super::{
    row::{Order, Row},
    subject::{EMAIL_ORDER, Next, SUBJECTS, Subject, job, lead_to_nobody, receiver, revoke},
};

/// A whole GIF of one pixel without colours: its bytes are all text.
const ONE_PIXEL: &str = "GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
/// One that can be decoded.
const WHITE_PIXEL: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
/// A sentence.
const SPEECH: &[u8] = include_bytes!("../../assets/audio/speech.ogg");
/// How long a client waits for an answer in rows where none comes: enough to connect and to send on a busy machine.
const IMPATIENT: Duration = Duration::from_secs(4);
/// A retry that is put off longer than this was asked for by the provider: our own backoff is far shorter here.
const ASKED: Duration = Duration::from_millis(500);
/// Delay between tries, short for the test.
const BACKOFF: Duration = Duration::from_millis(5);

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// The class that is kept.
    pub(super) class: String,
    /// The code that is kept.
    pub(super) code: String,
    /// What the engine did.
    pub(super) then: String,
    /// Whether the next provider, or another model, was asked in the same try where there is one.
    pub(super) goes_on: bool,
}

/// A worker with one provider.
pub(super) struct Stage {
    pub(super) subject: &'static Subject,
    pub(super) sandbox: Sandbox,
    pub(super) vapid_public_key: String,
    /// The registered endpoint that webhooks go to.
    pub(super) endpoint: Option<String>,
    /// True where nobody listens at the provider's address.
    pub(super) nobody: bool,
    /// True where somebody can take over.
    pub(super) has_next: bool,
    queue: TestQueue,
    heard: Arc<Heard>,
    pool: sqlx::PgPool,
    fleet: Fleet,
    _files: tempfile::TempDir,
}

/// Hears the code of every failed call.
#[derive(Default)]
struct Heard(Mutex<Vec<(String, String)>>);

impl CallObserver for Heard {
    fn observe(&self, event: &CallEvent<'_>) {
        if let CallEvent::Ended { error: Some(error), .. } = event {
            let code = error.code.as_deref().unwrap_or_default().to_owned();
            let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            heard.push((error.class.name().to_owned(), code));
        }
    }
}

/// Plays a row with one of its words: where nobody can take over, and then where somebody can.
pub(super) async fn play(subject: &'static Subject, row: &Row, word: &str) -> Seen {
    let (stage, job, id) = Stage::perform(subject, row, word, false).await;
    let (class, code) = stage.kept(id).await;
    let then = stage.followed(id, job, &class).await;
    stage.end().await;
    let goes_on = match subject.next {
        Next::Nobody(_) => false,
        Next::Provider { .. } | Next::Model { .. } => {
            let (stage, _, id) = Stage::perform(subject, row, word, true).await;
            let goes_on = stage.went_on(id, &class);
            stage.end().await;
            goes_on
        }
    };
    Seen { class, code, then, goes_on }
}

/// True once there is no more to wait for: the end, or a long wait.
fn is_decided(seen: &Witnessed, id: JobId) -> bool {
    seen.last(id).is_some_and(|verdict| match verdict {
        Verdict::Retry(after) => ASKED < after,
        Verdict::Park(_) => true,
        verdict => is_terminal(verdict),
    })
}

/// The verdicts on one job, in words.
fn in_words(verdicts: &[(Verdict, Option<ErrorClass>)]) -> String {
    match (verdicts.len(), verdicts.last().map(|(verdict, _)| *verdict)) {
        (1, Some(Verdict::Complete)) => "done".to_owned(),
        (1, Some(Verdict::Bury)) => "dead at once".to_owned(),
        (2, Some(Verdict::Bury)) => "one more try, then dead".to_owned(),
        (tries, Some(Verdict::Bury)) => format!("{tries} tries, then dead"),
        (1, Some(Verdict::Retry(after))) => format!("tried again after {}, as asked", rounded(after)),
        (1, Some(Verdict::Park(after))) => format!("waits {}, not charged", rounded(after)),
        (2, Some(Verdict::Park(_))) => "tried again, more slowly".to_owned(),
        (_, other) => format!("{other:?} after {verdicts:?}"),
    }
}

/// A wait without what was added to spread the jobs, which is up to a fifth.
fn rounded(wait: Duration) -> String {
    let known =
        [(1, "1 s"), (4, "4 s"), (10, "10 s"), (20, "20 s"), (60, "1 min"), (300, "5 min"), (86_400, "24 h")];
    let slack = Duration::from_millis(200);
    let fits = |seconds| {
        let asked = Duration::from_secs(seconds);
        asked <= wait + slack && wait <= asked.mul_f64(1.2) + slack
    };
    let found = known.iter().find(|(seconds, _)| fits(*seconds));
    found.map_or_else(|| format!("{wait:?}"), |(_, words)| (*words).to_owned())
}

impl Stage {
    /// Lets it happen to one job, until it is decided on.
    async fn perform(
        subject: &'static Subject,
        row: &Row,
        word: &str,
        has_next: bool,
    ) -> (Self, NewJob, JobId) {
        let stage = Self::set(subject, row.order, has_next).await;
        if let Some(fault) = row.order.fault(subject.in_sandbox, word) {
            stage.sandbox.fault(fault).expect("a fault that can be ordered");
        }
        let job = job(&stage, 1, !matches!(row.order, Order::Unusable));
        let id = stage.enqueue(job.clone()).await;
        stage.queue.witness.wait_until("the job is decided on", |seen| is_decided(seen, id)).await;
        (stage, job, id)
    }

    /// What the engine did, in words.
    async fn followed(&self, id: JobId, job: NewJob, class: &str) -> String {
        let seen = self.queue.witness.wait_until("it is decided on", |seen| is_decided(seen, id)).await;
        let verdicts = &seen.verdicts[&id];
        let mut then = in_words(verdicts);
        if matches!(verdicts.last(), Some((Verdict::Park(_), _))) {
            then.push_str(self.others().await);
        }
        then.push_str(self.endpoint_afterwards().await);
        if ["permanent", "gone"].contains(&class) && self.endpoint.is_none() {
            then.push_str(self.recipient_afterwards(job).await);
        }
        then
    }

    /// Whether somebody else was asked when the provider could not do it.
    fn went_on(&self, id: JobId, class: &str) -> bool {
        if self.subject.in_sandbox == "llm" {
            let model = |request: &ReceivedRequest| {
                let question: serde_json::Value = serde_json::from_slice(&request.body).ok()?;
                question["model"].as_str().map(str::to_owned)
            };
            let models: HashSet<_> = self.sandbox.received("llm").iter().filter_map(model).collect();
            return 1 < models.len();
        }
        class != "ok" && self.queue.witness.seen().last(id) == Some(Verdict::Complete)
    }

    async fn end(self) {
        drain(self.fleet, Duration::from_secs(5)).await;
    }

    async fn set(subject: &'static Subject, order: Order, has_next: bool) -> Self {
        let sandbox = Sandbox::start().await.expect("the stage is set");
        let files = tempfile::tempdir().expect("the stage is set");
        for (name, content) in
            [("note.ogg", SPEECH), ("receipt.gif", ONE_PIXEL.as_bytes()), ("page.html", b"<html>")]
        {
            std::fs::write(files.path().join(name), content).expect("the stage is set");
        }
        let (vapid_public_key, private) = new_vapid_pair().expect("the stage is set");
        let mut variables: BTreeMap<&str, String> = sandbox.environment().into_iter().collect();
        let next = match subject.next {
            Next::Provider { name, .. } if has_next => SUBJECTS.iter().find(|next| next.name == name),
            _ => None,
        };
        let starts: Vec<_> =
            [Some(subject), next].into_iter().flatten().flat_map(|one| one.variables).collect();
        variables.retain(|name, _| starts.iter().any(|start| name.starts_with(**start)));
        if let Some(next) = next {
            variables.insert(EMAIL_ORDER, format!("{},{}", subject.name, next.name));
        }
        variables.extend([
            ("VAPID_PUBLIC_KEY", vapid_public_key.clone()),
            ("VAPID_PRIVATE_KEY", private.expose_secret().to_owned()),
            ("VAPID_SUBJECT", "mailto:admin@flota.example".to_owned()),
            ("FLOTA_FILES_DIR", files.path().display().to_string()),
            ("FLOTA_WEBHOOK_ALLOW_CIDRS", "127.0.0.0/8".to_owned()),
            ("FLOTA_FETCH_ALLOW_CIDRS", "127.0.0.0/8".to_owned()),
            ("FLOTA_ENCRYPTION_KEYS", RING.to_owned()),
        ]);
        let nobody = matches!(order, Order::Nobody);
        if nobody {
            lead_to_nobody(subject, &mut variables);
        }
        if matches!(order, Order::Revoked) {
            revoke(subject, &mut variables);
        }
        let lookup = |name: &str| Ok(variables.get(name).cloned());
        let environment =
            Environment::from_lookup(&lookup, variables.keys().copied()).expect("the stage is set");
        let pool = pool(subject).await;
        let mut queue = TestQueue::new().await;
        queue.policy = policy(subject);
        let limits = limits::shared(queue.link.again(), queue.prefix().clone(), ProviderLimits::default());
        let heard = Arc::<Heard>::default();
        let pipeline =
            Pipeline::new(limits, Arc::clone(&heard) as Arc<dyn CallObserver>, CircuitPolicy::default());
        let (link, prefix) = (&queue.link, queue.prefix());
        let mut timeouts = CallTimeouts::default();
        if matches!(order, Order::Silence) {
            timeouts.set(subject.name, IMPATIENT);
        }
        let (timeouts, llm, speech) = (&timeouts, LlmSettings::built_in(), SpeechSettings::built_in());
        let ground = Ground { pool: &pool, pipeline: &pipeline, link, prefix, timeouts, llm, speech };
        let mut services = assemble::services(&environment, ground).expect("the stage is set");
        services.suppressions = Suppressions::empty();
        let endpoint = match subject.in_sandbox {
            "webhook" => {
                let url = receiver(sandbox.url("/webhooks/orders"), nobody);
                let (id, secret) = register(&pool, &url).await.expect("it is registered");
                assert!(sandbox.trust_webhook_secret(secret.expose_secret()));
                Some(id)
            }
            _ => None,
        };
        let fleet = queue.start_with(processors::registry().bind(services));
        Self {
            subject,
            sandbox,
            vapid_public_key,
            endpoint,
            nobody,
            has_next,
            queue,
            heard,
            pool,
            fleet,
            _files: files,
        }
    }

    /// The key of a stored picture, or one under which nothing is stored.
    pub(super) fn stored(&self, is_there: bool) -> String {
        let key = StorageKey::mint(None).expect("a key").to_string();
        if is_there {
            std::fs::write(self.sandbox.bucket().join(&key), WHITE_PIXEL).expect("the stage is set");
        }
        key
    }

    async fn enqueue(&self, job: NewJob) -> JobId {
        self.queue.enqueue(job.queue(QUEUE)).await
    }

    /// Class and code as they are kept: of an ended or retried run in its record, of one that waits in its marks.
    async fn kept(&self, id: JobId) -> (String, String) {
        let heard = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner).first().cloned();
        let records = self.queue.records().await;
        if let Some((_, record)) = records.iter().find(|(_, record)| record.id == id) {
            let class = record.class.map_or("ok", ErrorClass::word).to_owned();
            let code = record.code.clone().unwrap_or_default();
            assert!(
                heard.is_none_or(|heard| heard == (class.clone(), code.clone())),
                "what is kept is not what the call said"
            );
            return (class, code);
        }
        let found = inspect::find(&self.queue.link, &self.queue.keys, id).await.expect("Redis answers");
        let marks = found.expect("the job waits").marks;
        assert_eq!(marks.attempt, 0, "a wait is not charged");
        let class = marks.why.map_or("ok", ErrorClass::word).to_owned();
        let (heard_class, code) = heard.expect("a call was made");
        assert_eq!(class, heard_class);
        (class, code)
    }
}

/// The queue as the product ships with it, with short delays.
fn policy(subject: &Subject) -> QueuePolicy {
    let queues = Queues::built_in().expect("the file in the binary is right");
    let shipped = queues.get(subject.queue).expect("a queue of queues.toml").clone();
    let quick = quick_policy();
    let retry = RetryPolicy {
        base: BACKOFF,
        cap: BACKOFF,
        delays: shipped.retry.delays.iter().map(|_| BACKOFF).collect(),
        ..shipped.retry
    };
    // Nothing here is about leases and a run's own time, so neither ends on a busy machine.
    let (lease, timeout) = (Duration::from_mins(5), Duration::from_mins(2));
    QueuePolicy { retry, lease, timeout, park: shipped.park, max_attempts: shipped.max_attempts, ..quick }
}

/// Webhooks need the register of endpoints; nothing else asks Postgres, and a pool connects when it is first asked.
async fn pool(subject: &Subject) -> sqlx::PgPool {
    let url = match subject.in_sandbox {
        "webhook" => servers::prepared_database().await,
        _ => "postgres://nobody@127.0.0.1:1/none".to_owned(),
    };
    database::connect(&url.into(), 2).expect("the stage is set")
}
