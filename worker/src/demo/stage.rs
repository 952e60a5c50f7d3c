//! Where the demo plays: the servers, the worker process, the endpoints and their secrets.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use flota_engine::inspect;
use flota_producer::{JobId, Producer, Settings, clock, link::Link};
use flota_providers::webhook::{SigningSecret, verify};
use secrecy::ExposeSecret;
use sqlx::PgPool;

use crate::{
    database, dead,
    dev::{ReceivedRequest, stack::Stack, worker_process::WorkerProcess},
    endpoints::{self, NewEndpoint},
    sandbox::{BrowserSubscription, Verdict},
    view::{self, JobView},
};

use super::stories::TENANT;

/// How the demo's queues differ from real ones: everything is quicker.
const QUEUES: &str = r#"
[defaults]
lease = "3s"
heartbeat = "500ms"
timeout = "2s"
backoff = { base = "200ms", cap = "1s" }

[queues.email]
concurrency = 8

[queues.webhook]
concurrency = 16

[queues.notification]
[queues.llm]
[queues.transcription]
[queues.ocr]
"#;
/// The queues above.
const NAMES: [&str; 6] = ["email", "webhook", "notification", "llm", "transcription", "ocr"];
/// Where the sandbox receives webhooks.
const WEBHOOKS: &str = "/webhooks";
/// Paths of the webhook receiver, each a registered endpoint.
const PATHS: [&str; 8] = ["/orders", "/flaky", "/busy", "/slow", "/reset", "/broken", "/gone", "/long"];
/// Pause between two looks at a job.
const LOOK: Duration = Duration::from_millis(50);

pub(super) struct Stage {
    pub(super) stack: Stack,
    pub(super) producer: Producer,
    /// The one that push notifications are for.
    pub(super) browser: BrowserSubscription,
    link: Link,
    pool: PgPool,
    endpoints: BTreeMap<&'static str, (String, SigningSecret)>,
    queues_file: PathBuf,
    worker: Option<WorkerProcess>,
    workers: usize,
}

impl Stage {
    pub(super) async fn set() -> anyhow::Result<Self> {
        let stack = Stack::start(None).await?;
        let settings = Settings::from_url(&stack.redis.url())?;
        let pool = database::connect(&stack.database_url().into(), 2)?;
        let vault = stack.vault()?;
        let mut endpoints = BTreeMap::new();
        for path in PATHS {
            let secret = SigningSecret::generate()?;
            let url = stack.sandbox.url(&format!("{WEBHOOKS}{path}"));
            let key = secret.clone().into();
            let (tenant, description) = (Some(TENANT), Some("demo"));
            let new = NewEndpoint { tenant, url: &url, description, key: &key, max_concurrent: None };
            let id = endpoints::add(&pool, &vault, "demo", &new).await?;
            stack.sandbox.trust_webhook_secret(secret.to_text().expose_secret());
            endpoints.insert(path, (id, secret));
        }
        let queues_file = stack.directory.path().join("queues.toml");
        std::fs::write(&queues_file, QUEUES)?;
        Ok(Self {
            link: Link::new(settings.address())?,
            producer: Producer::new(settings)?,
            browser: stack.sandbox.subscribe(Some(stack.vapid_public_key()))?,
            stack,
            pool,
            endpoints,
            queues_file,
            worker: None,
            workers: 0,
        })
    }

    pub(super) async fn start_worker(&mut self) -> anyhow::Result<()> {
        self.workers += 1;
        let mut environment = self.stack.environment();
        environment.push(("FLOTA_QUEUES_FILE".to_owned(), self.queues_file.display().to_string()));
        let log = format!("worker-{}.log", self.workers);
        let program = std::env::current_exe()?;
        let worker =
            WorkerProcess::start(&program, &["worker"], &environment, &self.stack.directory, &log).await?;
        self.worker = Some(worker);
        Ok(())
    }

    /// Runs a command as an admin would, and answers its JSON.
    pub(super) async fn flota(&self, arguments: &[&str]) -> anyhow::Result<serde_json::Value> {
        let mut command = tokio::process::Command::new(std::env::current_exe()?);
        command.args(arguments).args(["-o", "json"]).env_clear().envs(self.stack.environment());
        let output = command.stdin(std::process::Stdio::null()).output().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "flota {}: {}", arguments.join(" "), said.trim());
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// The job that repeats a dead letter.
    pub(super) async fn replay_of(&self, letter: JobId) -> anyhow::Result<Option<JobId>> {
        Ok(dead::get(&self.pool, letter).await?.and_then(|letter| letter.replayed_as))
    }

    pub(super) async fn kill_worker(&mut self) -> anyhow::Result<()> {
        let worker = self.worker.take().context("no worker runs")?;
        Ok(worker.kill().await?)
    }

    pub(super) async fn stop_worker(&mut self) -> anyhow::Result<bool> {
        let worker = self.worker.take().context("no worker runs")?;
        Ok(worker.stop().await?)
    }

    /// Id of the endpoint at this path.
    pub(super) fn endpoint(&self, path: &str) -> &str {
        &self.endpoints[path].0
    }

    pub(super) async fn is_disabled(&self, path: &str) -> anyhow::Result<bool> {
        let rows = endpoints::list(&self.pool, None).await?;
        Ok(rows.iter().any(|row| row.id == self.endpoint(path) && row.disabled.is_some()))
    }

    /// Waits until Postgres has the job's outcome.
    pub(super) async fn wait_for(&self, id: JobId, patience: Duration) -> anyhow::Result<JobView> {
        let prefix = flota_producer::keys::Prefix::default();
        let names = NAMES.map(str::to_owned);
        let deadline = Instant::now() + patience;
        loop {
            let job = view::job(&self.link, &prefix, Some(&self.pool), &names, id).await;
            let job = job.map_err(|stop| stop.error)?;
            match job {
                Some(job) if job.outcome.is_some() => return Ok(job),
                job if deadline < Instant::now() => bail!(
                    "job {id} has not ended within {patience:?}: {}\n{}",
                    job.map_or_else(|| "nowhere to be found".to_owned(), |job| job.state),
                    self.end_of_log(),
                ),
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Everything that was delivered to this path.
    pub(super) fn deliveries(&self, path: &str) -> Vec<ReceivedRequest> {
        let received = self.stack.sandbox.received("webhook").into_iter();
        received.filter(|request| request.path.strip_prefix(WEBHOOKS) == Some(path)).collect()
    }

    pub(super) async fn wait_for_deliveries(
        &self,
        path: &str,
        count: usize,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        while self.deliveries(path).len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            let more = self.stack.sandbox.journal(None).len() + 1;
            self.stack.sandbox.wait_for(None, more, left).await.with_context(|| self.end_of_log())?;
        }
        Ok(())
    }

    /// Deliveries whose signature does not verify with the endpoint's secret.
    pub(super) fn badly_signed(&self) -> Vec<String> {
        let now = clock::unix_now().as_secs() as i64;
        let is_bad = |request: &ReceivedRequest| {
            let Some((_, secret)) = self.endpoints.get(request.path.trim_start_matches(WEBHOOKS)) else {
                return true;
            };
            let field = |name| request.header(name).unwrap_or_default();
            let (id, time, signature) =
                (field("webhook-id"), field("webhook-timestamp"), field("webhook-signature"));
            verify(std::slice::from_ref(secret), id, time, signature, &request.body, now).is_err()
        };
        self.stack
            .sandbox
            .received("webhook")
            .into_iter()
            .filter(is_bad)
            .map(|request| request.path)
            .collect()
    }

    /// Whether the browser has opened its one notification; its push service took it only with our signature.
    pub(super) fn push_was_opened(&self) -> bool {
        self.stack.sandbox.notifications().len() == 1
    }

    /// Mails that some provider took over.
    pub(super) fn mails_taken(&self) -> usize {
        let is_mail = |provider: &str| matches!(provider, "sendgrid" | "ses" | "smtp");
        let journal = self.stack.sandbox.journal(None);
        journal.iter().filter(|entry| is_mail(entry.provider) && entry.carried_out).count()
    }

    /// Mails at SendGrid that have both forms.
    pub(super) fn mails_with_text_and_html(&self) -> usize {
        let kinds = |request: &ReceivedRequest| {
            let mail: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
            mail["content"].as_array().map_or(0, Vec::len)
        };
        self.stack.sandbox.received("sendgrid").iter().filter(|request| kinds(request) == 2).count()
    }

    /// Requests that their vendor would have refused.
    pub(super) fn refused_by_vendors(&self) -> Vec<String> {
        let refused =
            self.stack.sandbox.journal(None).into_iter().filter(|entry| entry.verdict == Verdict::Refused);
        refused.map(|entry| format!("{}: {}", entry.provider, entry.why.unwrap_or_default())).collect()
    }

    /// Jobs that are still somewhere in Redis.
    pub(super) async fn left_in_redis(&self) -> anyhow::Result<u64> {
        let mut left = 0;
        for name in NAMES {
            let counts =
                inspect::counts(&self.link, &flota_producer::keys::Prefix::default().queue(name)).await?;
            left += counts.ready + counts.delayed + counts.running + counts.parked + counts.in_line;
        }
        Ok(left)
    }

    fn end_of_log(&self) -> String {
        let log = self.stack.directory.path().join(format!("worker-{}.log", self.workers));
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("the worker's log ends:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
    }
}
