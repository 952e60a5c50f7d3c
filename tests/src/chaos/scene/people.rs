//! What people and other programs do to a running fleet: look, wait, cancel, pause.

use std::time::{Duration, Instant};

use flota_engine::{
    control::{self, Control, Note, Setting},
    inspect,
    store::Cancelled,
};
use flota_producer::JobId;
use tokio::time::sleep;

use super::{QUEUE, Scene};
use crate::{
    chaos::history::{self, Entry, What},
    program::built,
};

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);

impl Scene {
    /// How many jobs of the queue of toys are where.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn counts(&self) -> anyhow::Result<inspect::Counts> {
        Ok(inspect::counts(&self.link, &self.keys()).await?)
    }

    /// Waits until something is true of the counts.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn wait_until(
        &self,
        what: &str,
        patience: Duration,
        condition: impl Fn(&inspect::Counts) -> bool,
    ) -> anyhow::Result<Duration> {
        let began = Instant::now();
        loop {
            let counts = self.counts().await;
            if counts.as_ref().is_ok_and(&condition) {
                return Ok(began.elapsed());
            }
            anyhow::ensure!(began.elapsed() < patience, "{what}: not after {patience:?}; {counts:?}");
            sleep(LOOK).await;
        }
    }

    /// Waits until this many jobs run.
    ///
    /// # Errors
    /// When they do not in time.
    pub async fn wait_for_running(&self, jobs: u64, patience: Duration) -> anyhow::Result<Duration> {
        self.wait_until(&format!("{jobs} jobs run"), patience, |counts| jobs <= counts.running).await
    }

    /// Waits until this many rows are in `outcomes`.
    ///
    /// # Errors
    /// When they are not in time.
    pub async fn wait_for_outcomes(&self, rows: i64, patience: Duration) -> anyhow::Result<Duration> {
        let (began, pool) = (Instant::now(), self.pool()?);
        loop {
            let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM outcomes").fetch_one(&pool).await;
            if count.as_ref().is_ok_and(|count| rows <= *count) {
                return Ok(began.elapsed());
            }
            anyhow::ensure!(began.elapsed() < patience, "{rows} outcomes: not after {patience:?}; {count:?}");
            sleep(LOOK).await;
        }
    }

    /// Cancels a job as `flota job cancel` does.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn cancel(&self, job: JobId) -> anyhow::Result<Cancelled> {
        let done = inspect::cancel(&self.link, &self.keys(), job, "story").await?;
        if done != Cancelled::Unknown {
            self.history.tell(What::Cancelled { job, at_once: done == Cancelled::Now });
        }
        Ok(done)
    }

    /// Pauses the queue of toys.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn pause_queue(&self) -> anyhow::Result<()> {
        control::set(&self.link, &self.keys(), &Setting::Pause, &Note::default()).await?;
        self.history.tell(What::Paused);
        Ok(())
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn resume_queue(&self) -> anyhow::Result<()> {
        self.history.tell(What::Resumed);
        control::unset(&self.link, &self.keys(), Control::Pause).await?;
        Ok(())
    }

    /// The command line, set up for this scene; SIGKILL when dropped.
    ///
    /// # Errors
    /// When the program is not built.
    pub fn flota(&self, arguments: &[&str]) -> anyhow::Result<tokio::process::Command> {
        self.command("flota", arguments)
    }

    /// The same with one of the programs of these tests: `chaos_worker` is `flota` that knows the errand too.
    ///
    /// # Errors
    /// When the program is not built.
    pub fn command(&self, program: &str, arguments: &[&str]) -> anyhow::Result<tokio::process::Command> {
        let mut command = tokio::process::Command::new(built(program)?);
        let queues = self.directory().join("queues.toml").display().to_string();
        command.args(arguments).env_clear().env("USER", "story").kill_on_drop(true);
        command.envs(self.environment("flota", &queues)).stdin(std::process::Stdio::null());
        Ok(command)
    }

    /// What everybody has done so far, in the order of time.
    ///
    /// # Errors
    /// When a history cannot be read.
    pub fn so_far(&self) -> std::io::Result<Vec<Entry>> {
        history::read_all(self.directory())
    }

    /// The queue of toys, for commands.
    pub fn queue_name(&self) -> &'static str {
        QUEUE
    }
}
