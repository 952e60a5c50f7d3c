//! What each feature costs: the same drain without it and with it, one after the other.

use flota_worker::dev::WebhookSink;

use super::{drain, load::Load};
use crate::bench::{case::Case, ground::Ground, sample::Readings};

/// All of them.
pub(super) async fn each(ground: &Ground, jobs: usize) -> anyhow::Result<Readings> {
    let mut readings = drain::ours(ground, Load::of(Case::Plain, jobs), &[]).await?;
    for case in Case::FEATURES {
        readings.extend(one(ground, case, jobs).await.map_err(|error| error.context(case.to_string()))?);
    }
    Ok(readings)
}

async fn one(ground: &Ground, case: Case, jobs: usize) -> anyhow::Result<Readings> {
    if case != Case::Tracing {
        return drain::ours(ground, Load::of(case, jobs), &[]).await;
    }
    let collector = WebhookSink::start().await?;
    let more = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url(""))];
    let readings = drain::ours(ground, Load::of(case, jobs), &more).await?;
    anyhow::ensure!(!collector.received().is_empty(), "the collector got no spans");
    Ok(readings)
}
