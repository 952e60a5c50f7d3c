//! R22: what a provider does wrong does not become two things done. It does its work and then hangs, resets or answers
//! 500: every later request for that job carries the same idempotency key, from toys and from real webhooks, so a
//! provider that looks at keys does the work once. And none is sent that no recorded try explains.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use anyhow::ensure;
use flota_producer::{DeliverWebhook, JobId, NewJob};
use flota_providers::webhook::SigningSecret;
use flota_worker::{
    endpoints::{self, NewEndpoint},
    vault::Vault,
};

use crate::{
    chaos::{
        checker::Terms,
        errand::{Step, errand},
        provider::Behaviour,
        scene::{Scene, Stage, Told},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "provider-faults",
    promise: "R22",
    what: "a provider does its work and then hangs, resets or answers 500, or does nothing at all",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

/// Jobs of each kind.
const JOBS: usize = 400;
/// Longest time of a run; the provider hangs for twice as long.
const TIMEOUT: Duration = Duration::from_millis(700);

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let keys = Vault::generate("story")?;
    let environment = vec![("FLOTA_ENCRYPTION_KEYS".to_owned(), keys.clone())];
    let stage = Stage { timeout: TIMEOUT, concurrency: 64, environment, ..Stage::default() };
    let mut scene = Scene::open(seed, stage).await?;
    let event = event(&scene, Vault::parse(&keys.into())?).await?;
    scene.provider.behave(Behaviour::mixed(
        seed,
        [
            (15, Behaviour::HangAfterWork(TIMEOUT * 2)),
            (20, Behaviour::ResetAfterWork),
            (20, Behaviour::Answer(500)),
            (5, Behaviour::FailBeforeWork(503)),
            (5, Behaviour::ResetBeforeWork),
        ],
    ));
    scene.fault_began("bad answers", "provider");
    scene.workers(2).await?;
    let accepted = [
        scene.enqueue_many(JOBS, &errand([Step::Effect])).await,
        scene.enqueue_many(JOBS, &NewJob::new(event)).await,
    ]
    .concat();
    ensure!(accepted.len() == 2 * JOBS, "only {} jobs were accepted", accepted.len());
    scene.wait_for_outcomes(2 * JOBS as i64, Duration::from_secs(60)).await?;
    let repeated = check_keys(&scene)?;
    scene.figure("jobs whose work was done more than once", repeated);
    scene.figure("of them with one key %", 100);
    scene.close(&Terms { no_repeats: true, ..Terms::default() }).await
}

/// A real webhook to an endpoint that is the provider of this scene.
async fn event(scene: &Scene, vault: Vault) -> anyhow::Result<DeliverWebhook> {
    let (url, secret) = (format!("{}/hook", scene.provider.url()), SigningSecret::generate()?);
    let key = secret.into();
    let new = NewEndpoint { tenant: None, url: &url, description: None, key: &key, max_concurrent: None };
    let id = endpoints::add(&scene.pool()?, &vault, "chaos", &new).await?;
    Ok(DeliverWebhook::to_endpoint(id, "order.paid", serde_json::json!({ "order": 42 })))
}

/// How many jobs had several effects; each under its own id as the key.
fn check_keys(scene: &Scene) -> anyhow::Result<usize> {
    let mut keys: HashMap<JobId, (usize, HashSet<String>)> = HashMap::new();
    for effect in scene.provider.effects()? {
        let (count, keys) = keys.entry(effect.job).or_default();
        *count += 1;
        keys.insert(effect.key);
    }
    for (job, (_, keys)) in &keys {
        ensure!(*keys == HashSet::from([job.to_string()]), "job {job} used the keys {keys:?}");
    }
    let repeated = keys.values().filter(|(count, _)| 1 < *count).count();
    ensure!(JOBS / 10 < repeated, "only {repeated} jobs had to be repeated: the story tells nothing");
    Ok(repeated)
}
