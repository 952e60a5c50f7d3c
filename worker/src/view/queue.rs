//! Queues: their counts, and one of them in full.

use std::collections::BTreeMap;

use flota_engine::{
    IfRepeated, Registry,
    control::{self, Control},
    inspect,
};
use flota_producer::{
    keys::Prefix,
    link::{Link, LinkError},
};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use super::ControlsView;
use crate::outcomes;

/// Names of all queues: those of the file, and those that any worker has published.
///
/// # Errors
/// When Redis does not answer.
pub async fn queue_names<'a>(
    link: &Link,
    prefix: &Prefix,
    of_file: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<String>, LinkError> {
    let mut names = inspect::queues(link, prefix).await?;
    names.extend(of_file.into_iter().map(str::to_owned));
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Refuses a queue that is not among those that are known.
///
/// # Errors
/// The sentence that says so.
pub fn known_queue(name: &str, names: &[String]) -> Result<(), String> {
    if names.iter().any(|known| known == name) {
        return Ok(());
    }
    let name: String = name.chars().take(80).collect();
    Err(format!("there is no queue `{name}`; known queues: {}", names.join(", ")))
}

/// One queue.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct QueueView {
    /// Its name.
    pub queue: String,
    /// Waiting for a worker.
    pub ready: u64,
    /// Waiting for a time.
    pub delayed: u64,
    /// Under lease.
    pub running: u64,
    /// Set aside for a newer worker.
    pub parked: u64,
    /// Behind another job of their line.
    pub in_line: u64,
    /// Dead letters; none where Postgres is not configured or away.
    pub dead: Option<u64>,
    /// True when nothing is fetched.
    pub paused: bool,
    /// Age of the job that is next in line.
    pub oldest_ready_age_ms: Option<u64>,
}

/// A queue in full.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueDetail {
    /// As it is listed.
    #[serde(flatten)]
    pub view: QueueView,
    /// Why it is paused.
    pub paused_reason: Option<String>,
    /// What people have set (`pause`, `rate`, `concurrency`), by whom, why and until when.
    #[schema(value_type = Object)]
    pub controls: ControlsView,
    /// Entries on their way to Postgres.
    pub unrecorded: u64,
    /// What workers published for the scripts and for producers.
    pub published: BTreeMap<String, String>,
    /// What a repeated run means outside, for each kind that goes to this queue by default.
    #[schema(value_type = BTreeMap<String, BTreeMap<String, String>>)]
    pub if_repeated: BTreeMap<&'static str, IfRepeated>,
}

/// Counts of these queues.
///
/// # Errors
/// When Redis does not answer.
pub async fn queues(
    link: &Link,
    prefix: &Prefix,
    pool: Option<&PgPool>,
    names: &[String],
) -> Result<Vec<QueueView>, LinkError> {
    let dead = match pool {
        Some(pool) => outcomes::dead_count(pool).await.ok(),
        None => None,
    };
    let mut views = Vec::with_capacity(names.len());
    for name in names {
        let counts = inspect::counts(link, &prefix.queue(name)).await?;
        let dead = dead.as_ref().map(|dead| dead.get(name).copied().unwrap_or(0));
        views.push(view(name, &counts, dead));
    }
    Ok(views)
}

/// One queue in full.
///
/// # Errors
/// When Redis does not answer.
pub async fn queue<S: Send + Sync + 'static>(
    link: &Link,
    prefix: &Prefix,
    pool: Option<&PgPool>,
    registry: &Registry<S>,
    name: &str,
) -> Result<QueueDetail, LinkError> {
    let keys = prefix.queue(name);
    let counts = inspect::counts(link, &keys).await?;
    let published = inspect::published(link, &keys).await?;
    let dead = match pool {
        Some(pool) => outcomes::dead_count(pool).await.ok(),
        None => None,
    };
    let dead = dead.map(|dead| dead.get(name).copied().unwrap_or(0));
    let controls = ControlsView::from(control::read(link, &keys).await?);
    let reason = controls.pause.as_ref().map(|pause| pause.reason.clone());
    Ok(QueueDetail {
        paused_reason: reason.filter(|reason| !reason.is_empty()),
        controls,
        unrecorded: counts.unrecorded,
        if_repeated: kinds_of(registry, name),
        view: view(name, &counts, dead),
        published: published.into_iter().filter(|(field, _)| !Control::owns(field)).collect(),
    })
}

fn view(name: &str, counts: &inspect::Counts, dead: Option<u64>) -> QueueView {
    QueueView {
        queue: name.to_owned(),
        ready: counts.ready,
        delayed: counts.delayed,
        running: counts.running,
        parked: counts.parked,
        in_line: counts.in_line,
        dead,
        paused: counts.paused,
        oldest_ready_age_ms: counts.oldest_ready_age_ms,
    }
}

/// The kinds that go to a queue by default.
fn kinds_of<S: Send + Sync + 'static>(
    registry: &Registry<S>,
    queue: &str,
) -> BTreeMap<&'static str, IfRepeated> {
    let kinds = registry.names().filter_map(|name| Some((name, registry.get(name)?)));
    kinds.filter(|(_, kind)| kind.queue == queue).map(|(name, kind)| (name, kind.if_repeated)).collect()
}
