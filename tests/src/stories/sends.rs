//! How many mails and webhooks one worker process sends in a second, through the sandbox and into history.

use std::time::{Duration, Instant};

use flota_producer::{DeliverWebhook, EmailBody, NewJob, Producer, SendEmail, Settings, keys::Prefix};
use flota_worker::sandbox::{Sandbox, SandboxOptions};
use serde_json::json;

use crate::program::{Installation, Running};

/// Longest for one round.
const PATIENCE: Duration = Duration::from_mins(5);

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub enum What {
    /// Mails by SMTP.
    Mails,
    /// Webhooks to one registered endpoint.
    Webhooks,
}

impl What {
    /// Its name in the sandbox.
    fn provider(self) -> &'static str {
        match self {
            Self::Mails => "smtp",
            Self::Webhooks => "webhook",
        }
    }
}

/// Sends `count` of them `rounds` times with so many slots. Answers how many a second in each round, from the first that
/// is enqueued until the last has arrived.
///
/// # Errors
/// When they do not all arrive, or a server does not start.
pub async fn sends(what: What, count: usize, rounds: usize, slots: usize) -> anyhow::Result<Vec<f64>> {
    let options = SandboxOptions { keeps_requests: false, ..SandboxOptions::default() };
    let sandbox = Sandbox::start_with(options).await?;
    let mut flota = Installation::new().await;
    let queues = format!("[defaults]\nconcurrency = {slots}\n[queues.email]\n[queues.webhook]\n");
    let queues = flota.write("wide.toml", &queues);
    for (name, value) in sandbox.environment().into_iter().filter(|(name, _)| name.starts_with("SMTP_")) {
        flota.set(name, value);
    }
    flota.set("FLOTA_QUEUES_FILE", queues).set("LOG_FORMAT", "json").webhooks_inside().make_keys().await;
    let add = ["endpoint", "add", "--url", &sandbox.url("/webhooks/orders")];
    let endpoint = flota.flota(&add).await.expect(0).json();
    let text = |name: &str| endpoint[name].as_str().unwrap_or_default().to_owned();
    anyhow::ensure!(sandbox.trust_webhook_secret(&text("secret")), "the endpoint has no secret: {endpoint}");
    let producer = producer(&flota)?;
    let worker: Running = flota.start(&["worker"]).await;
    // The first connections, statements and endpoint are not part of the pace.
    round(&sandbox, &producer, what, &text("id"), slots).await?;
    let mut paces = Vec::new();
    for _ in 0..rounds {
        paces.push(count as f64 / round(&sandbox, &producer, what, &text("id"), count).await?.as_secs_f64());
    }
    worker.stop().await;
    Ok(paces)
}

async fn round(
    sandbox: &Sandbox,
    producer: &Producer,
    what: What,
    endpoint: &str,
    count: usize,
) -> anyhow::Result<Duration> {
    let before = sandbox.journal(Some(what.provider())).len();
    let job = match what {
        What::Mails => {
            NewJob::new(SendEmail::new("ana@example.com", EmailBody::text("Order 42", "It is on its way.")))
        }
        What::Webhooks => {
            NewJob::new(DeliverWebhook::to_endpoint(endpoint, "order.paid", json!({ "order": 42 })))
        }
    };
    let began = Instant::now();
    for accepted in producer.enqueue_all(vec![job; count]).await {
        accepted?;
    }
    let arrived = sandbox.wait_for(Some(what.provider()), before + count, PATIENCE).await?;
    let took = began.elapsed();
    let refused = arrived.iter().filter(|entry| !entry.carried_out).count();
    anyhow::ensure!(refused == 0, "{refused} were refused");
    Ok(took)
}

fn producer(flota: &Installation) -> anyhow::Result<Producer> {
    let mut settings = Settings::from_url(flota.variable("REDIS_URL"))?;
    settings.prefix = Prefix::new(flota.variable("FLOTA_KEY_PREFIX"))?;
    Ok(Producer::new(settings)?)
}
