//! CPU of everybody who takes part in a drain, from its beginning until it is read.

use std::{
    process,
    time::{Duration, Instant},
};

use super::workers::Workers;
use crate::bench::{ground::Field, metric::Metric, usage};

/// What had been used at the beginning. Workers are new then, so theirs is all that they have used.
pub(super) struct Meter {
    at: Instant,
    redis: Duration,
    postgres: Duration,
    machine: Duration,
    ourselves: Duration,
}

impl Meter {
    /// Begins.
    pub(super) async fn start(field: &Field<'_>) -> anyhow::Result<Self> {
        Ok(Self {
            at: Instant::now(),
            redis: field.redis_cpu().await?,
            postgres: usage::cpu(field.postgres_pid, true),
            machine: usage::machine_cpu(),
            ourselves: usage::cpu_alone(process::id()),
        })
    }

    /// Reads it, while the workers still live.
    pub(super) async fn read(
        self,
        field: &Field<'_>,
        workers: &Workers,
        jobs: usize,
    ) -> anyhow::Result<Vec<(Metric, f64)>> {
        let worker = workers.cpu();
        let redis = field.redis_cpu().await?.saturating_sub(self.redis);
        let postgres = usage::cpu(field.postgres_pid, true).saturating_sub(self.postgres);
        let ourselves = usage::cpu_alone(process::id()).saturating_sub(self.ourselves);
        let machine = usage::machine_cpu().saturating_sub(self.machine);
        let others = machine.saturating_sub(worker + redis + postgres + ourselves);
        let per_job = |cpu: Duration| cpu.as_secs_f64() * 1e6 / jobs as f64;
        Ok(vec![
            (Metric::RedisDrainUs, per_job(redis)),
            (Metric::WorkerUs, per_job(worker)),
            (Metric::PostgresUs, per_job(postgres)),
            (Metric::OthersPercent, 100.0 * others.as_secs_f64() / self.at.elapsed().as_secs_f64()),
            (Metric::LoadRssMb, workers.most_resident_mb()),
        ])
    }
}
