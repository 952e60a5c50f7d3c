//! What happens to the Redis of a scene, and how soon the workers are at work again afterwards.

use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep};

use super::Scene;
use crate::chaos::{
    history::{self, EVERYTHING, What},
    monotonic::now_ns,
};

/// By when every worker runs or settles something after Redis is back (R4, R5).
const RECONNECTED_WITHIN: Duration = Duration::from_secs(2);
/// By when Redis has written its append-only file anew.
const REWRITTEN_WITHIN: Duration = Duration::from_secs(10);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);

impl Scene {
    /// Kills Redis with SIGKILL.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill_redis(&mut self) -> anyhow::Result<()> {
        self.fault_began("redis away", EVERYTHING);
        Ok(self.redis.kill().await?)
    }

    /// Starts it again and waits until it answers. Answers when that was.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_redis(&mut self) -> anyhow::Result<u64> {
        self.redis.start_again().await?;
        let back = now_ns();
        self.fault_ended("redis away", EVERYTHING);
        // The story's own connection is of the time before.
        self.wait_for_redis(RECONNECTED_WITHIN).await?;
        Ok(back)
    }

    /// Has Redis write a new append-only file, and waits until it is the one in use. After a crash that is what
    /// docs/operations.md asks for: Redis 7.0 goes on writing behind a transaction that was cut short.
    ///
    /// # Errors
    /// When Redis does not manage to.
    pub async fn rewrite_aof(&self) -> anyhow::Result<()> {
        self.wait_for_redis(REWRITTEN_WITHIN).await?;
        let rewritten = self.redis_info("aof_rewrites").await?;
        self.link.query::<String>(&redis::cmd("BGREWRITEAOF")).await?;
        let began = Instant::now();
        while self.redis_info("aof_rewrites").await? == rewritten
            || self.redis_info("aof_rewrite_in_progress").await? != 0
        {
            anyhow::ensure!(
                began.elapsed() < REWRITTEN_WITHIN,
                "the file is not rewritten after {REWRITTEN_WITHIN:?}"
            );
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Sets something in Redis.
    ///
    /// # Errors
    /// When Redis refuses.
    pub async fn configure_redis(&self, setting: &str, value: &str) -> anyhow::Result<()> {
        Ok(self.link.query::<()>(redis::cmd("CONFIG").arg("SET").arg(setting).arg(value)).await?)
    }

    /// A number that `INFO` tells, such as `used_memory`.
    ///
    /// # Errors
    /// When Redis does not answer, or knows no such number.
    pub async fn redis_info(&self, name: &str) -> anyhow::Result<u64> {
        let info: String = self.link.query(&redis::cmd("INFO")).await?;
        let mut lines = info.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let value = lines.next().with_context(|| format!("INFO tells no {name}"))?;
        Ok(value.trim().parse()?)
    }

    /// Waits until Redis answers.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn wait_for_redis(&self, patience: Duration) -> anyhow::Result<Duration> {
        let began = Instant::now();
        while let Err(error) = self.link.query::<()>(&redis::cmd("PING")).await {
            anyhow::ensure!(began.elapsed() < patience, "Redis does not answer after {patience:?}: {error}");
            sleep(LOOK).await;
        }
        Ok(began.elapsed())
    }

    /// How long the slowest of the workers that are alive took, after each of these moments, until it began or settled a
    /// run: there must be work for all of them. Keeps the figure, and holds it to [`RECONNECTED_WITHIN`].
    ///
    /// # Errors
    /// When one took longer.
    pub fn check_reconnection(&mut self, moments: &[u64]) -> anyhow::Result<()> {
        let history = history::read_all(self.directory())?;
        let mut slowest = Duration::ZERO;
        for name in self.living().into_iter().map(|place| &self.workers[place].name) {
            for since in moments {
                let at_work = history.iter().find(|entry| {
                    entry.process == *name
                        && *since <= entry.ns
                        && matches!(entry.what, What::Started { .. } | What::Settled { .. })
                });
                let at_work = at_work.with_context(|| format!("{name} never works again"))?;
                let took = Duration::from_nanos(at_work.ns - since);
                anyhow::ensure!(
                    took <= RECONNECTED_WITHIN,
                    "{name} works again {took:.1?} after Redis is back, not within {RECONNECTED_WITHIN:?}"
                );
                slowest = slowest.max(took);
            }
        }
        self.figure("at work again", format!("{slowest:.2?}"));
        Ok(())
    }
}
