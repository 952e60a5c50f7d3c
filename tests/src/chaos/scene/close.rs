//! The end of a story: heal, come to rest, stop, read everything, judge.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::Scene;
use crate::chaos::{
    checker::{self, Terms, Violation},
    evidence::Evidence,
    history::{self, What},
    leftovers::leftovers,
    mutants::Mutant,
};

/// How long a healed fleet may take until everything has ended and is recorded (I18).
const AT_REST_WITHIN: Duration = Duration::from_secs(60);
/// The same while a mutant is hunted: most of them never come to rest, and what counts is what they broke before.
const MUTANT_AT_REST_WITHIN: Duration = Duration::from_secs(25);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// What a story has to tell at its end.
#[derive(Debug, Default)]
pub struct Told {
    /// Jobs that were accepted.
    pub accepted: usize,
    /// Enqueues whose result nobody knows.
    pub unknown: usize,
    /// Accepted jobs without an outcome.
    pub lost: usize,
    /// Jobs with more than one outcome.
    pub doubled: usize,
    /// Effects that a fault repeated.
    pub repeated: usize,
    /// Faults that were told.
    pub faults: usize,
    /// From the healing of the last fault until everything had ended and was recorded.
    pub at_rest: Duration,
    /// How long the slowest job of a killed worker took until it ran again.
    pub picked_up: Option<Duration>,
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// What else was measured.
    pub figures: Vec<(String, String)>,
}

impl Scene {
    /// Ends the story and judges it.
    ///
    /// # Errors
    /// When the evidence cannot be read.
    pub async fn close(mut self, terms: &Terms) -> anyhow::Result<Told> {
        self.heal().await?;
        let mut violations = Vec::new();
        let rested = Instant::now();
        if let Err(error) = self.come_to_rest().await {
            violations.push(Violation { invariant: "I18", what: error.to_string() });
        }
        let at_rest = rested.elapsed();
        let mut evidence = Evidence { unaccounted: self.conservation.findings(), ..Evidence::default() };
        evidence.read_redis(&self.link).await?;
        for place in self.living() {
            if !self.terminate(place).await? {
                let name = &self.workers[place].name;
                violations.push(Violation { invariant: "I18", what: format!("{name} did not end well") });
            }
        }
        evidence.history = history::read_all(self.directory())?;
        evidence.effects = self.provider.effects()?;
        evidence.read_postgres(&self.pool()?).await?;
        violations.extend(checker::check(&evidence, terms));
        let told = told(&evidence, at_rest, violations, std::mem::take(&mut self.figures));
        if !told.violations.is_empty() {
            keep(self.directory(), &told)?;
        }
        Ok(told)
    }

    /// Ends every fault that is still on.
    async fn heal(&mut self) -> anyhow::Result<()> {
        for proxy in [&self.redis_proxy, &self.postgres_proxy, &self.provider_proxy].into_iter().flatten() {
            proxy.heal();
        }
        for place in 0..self.workers.len() {
            if self.workers[place].is_alive() && self.workers[place].is_frozen() {
                self.thaw(place).await?;
            }
        }
        if self.redis.pid().is_none() {
            self.redis.start_again().await?;
        }
        if self.postgres.pid().is_none() {
            self.postgres.start_again().await?;
        }
        Ok(())
    }

    /// Waits until no job is left in Redis, no record waits there, and the outbox is empty.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn come_to_rest(&self) -> anyhow::Result<()> {
        let (began, pool) = (Instant::now(), self.pool()?);
        let patience = if Mutant::chosen().is_some() { MUTANT_AT_REST_WITHIN } else { AT_REST_WITHIN };
        let mut looks_at_rest = 0;
        loop {
            let left = leftovers(&self.link).await;
            let outbox = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM outbox").fetch_one(&pool).await;
            let refused = |name: &String| name.contains(":refused");
            let is_at_rest =
                left.as_ref().is_ok_and(|left| left.iter().all(refused)) && matches!(outbox, Ok(0));
            // One look goes from key to key, and what moves on meanwhile is in none of them.
            looks_at_rest = if is_at_rest { looks_at_rest + 1 } else { 0 };
            if looks_at_rest == 2 {
                return Ok(());
            }
            anyhow::ensure!(
                began.elapsed() < patience,
                "not at rest {patience:?} after the last fault: {left:?}, outbox {outbox:?}"
            );
            sleep(LOOK).await;
        }
    }
}

fn told(
    evidence: &Evidence,
    at_rest: Duration,
    violations: Vec<Violation>,
    figures: Vec<(String, String)>,
) -> Told {
    let count = |is: fn(&What) -> bool| evidence.history.iter().filter(|entry| is(&entry.what)).count();
    Told {
        accepted: count(|what| matches!(what, What::Accepted { .. })),
        unknown: count(|what| matches!(what, What::Unknown { .. })),
        lost: checker::lost(evidence).len(),
        doubled: checker::doubled(evidence).len(),
        repeated: checker::repeated(evidence),
        faults: count(|what| matches!(what, What::FaultBegan { .. })),
        at_rest,
        picked_up: checker::slowest(evidence),
        violations,
        figures,
    }
}

/// Keeps histories and logs of a story that failed.
fn keep(directory: &Path, told: &Told) -> std::io::Result<()> {
    let kept = std::env::temp_dir().join(format!("flota-chaos-{}", uuid::Uuid::now_v7().simple()));
    std::fs::create_dir_all(&kept)?;
    for file in std::fs::read_dir(directory)? {
        let path = file?.path();
        let wanted = path.extension().is_some_and(|extension| extension == "jsonl" || extension == "log");
        if let Some(name) = path.file_name().filter(|_| wanted) {
            std::fs::copy(&path, kept.join(name))?;
        }
    }
    let violations: Vec<String> = told.violations.iter().map(ToString::to_string).collect();
    std::fs::write(kept.join("violations.txt"), violations.join("\n"))?;
    eprintln!("histories and logs are kept in {}", kept.display());
    Ok(())
}
