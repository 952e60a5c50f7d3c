//! Worker processes, and what may happen to them: SIGKILL, SIGSTOP, SIGTERM.

use std::time::{Duration, Instant};

use anyhow::Context;
use flota_worker::dev::worker_process::WorkerProcess;
use rand::seq::IndexedRandom;
use tokio::time::sleep;

use super::{DATABASE, Scene, redis_url};
use crate::program::built;

/// How long a worker may take to start.
const STARTED_WITHIN: Duration = Duration::from_secs(30);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// A worker process of a scene.
pub struct Worker {
    /// Its name in histories: `worker-1`.
    pub name: String,
    /// What it is made of, to start another like it.
    pub options: WorkerOptions,
    process: Option<WorkerProcess>,
    frozen: bool,
}

impl Worker {
    /// True until the story has ended it.
    pub fn is_alive(&self) -> bool {
        self.process.is_some()
    }

    /// True while it is stopped by SIGSTOP.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Its process id, while it is alive.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(WorkerProcess::pid)
    }
}

/// What is special about a worker.
#[derive(Debug, Clone, Default)]
pub struct WorkerOptions {
    /// The program; this release's with toys unless given.
    pub program: Option<std::path::PathBuf>,
    /// Further variables, such as `FAILPOINTS`.
    pub environment: Vec<(String, String)>,
    /// Further arguments, such as `--queue webhook`.
    pub arguments: Vec<String>,
}

impl Scene {
    /// Starts one worker and waits until it works. Answers its place.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn worker(&mut self) -> anyhow::Result<usize> {
        self.worker_with(WorkerOptions::default()).await
    }

    /// Starts several.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn workers(&mut self, count: usize) -> anyhow::Result<()> {
        for _ in 0..count {
            self.worker().await?;
        }
        Ok(())
    }

    /// Starts one that is special.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn worker_with(&mut self, options: WorkerOptions) -> anyhow::Result<usize> {
        let place = self.start_worker(options).await?;
        self.wait_until_working(&self.workers[place].name).await?;
        Ok(place)
    }

    /// Starts one and does not wait: for one that may die before it works.
    ///
    /// # Errors
    /// When there can be no process.
    pub async fn start_worker(&mut self, options: WorkerOptions) -> anyhow::Result<usize> {
        let place = self.workers.len();
        let name = format!("worker-{}", place + 1);
        let process = self.spawn(&name, &options).await?;
        self.workers.push(Worker { name, options, process: Some(process), frozen: false });
        Ok(place)
    }

    async fn spawn(&self, name: &str, options: &WorkerOptions) -> anyhow::Result<WorkerProcess> {
        let program = options.program.clone().map_or_else(|| built("chaos_worker"), Ok)?;
        let queues = self.directory().join("queues.toml");
        std::fs::write(&queues, self.stage.queues_file())?;
        let mut environment = self.environment(name, &queues.display().to_string());
        for (variable, value) in self.stage.environment.iter().chain(&options.environment) {
            environment.retain(|(known, _)| known != variable);
            environment.push((variable.clone(), value.clone()));
        }
        let drain = format!("{}ms", self.stage.drain.as_millis());
        let mut arguments = vec!["worker", "--drain-timeout", &drain];
        arguments.extend(options.arguments.iter().map(String::as_str));
        let log = format!("{name}.log");
        Ok(WorkerProcess::start(&program, &arguments, &environment, &self.directory, &log).await?)
    }

    /// What every worker of this scene is told.
    pub(super) fn environment(&self, name: &str, queues: &str) -> Vec<(String, String)> {
        let proxied = |proxy: &Option<super::Proxy>, port| proxy.as_ref().map_or(port, super::Proxy::port);
        let postgres = proxied(&self.postgres_proxy, self.postgres.port());
        let database = self.postgres.url(DATABASE);
        let database = database.replace(&format!(":{}/", self.postgres.port()), &format!(":{postgres}/"));
        let provider = proxied(&self.provider_proxy, self.provider.port());
        [
            ("REDIS_URL", redis_url(proxied(&self.redis_proxy, self.redis.port()))),
            ("DATABASE_URL", database),
            ("FLOTA_QUEUES_FILE", queues.to_owned()),
            ("FLOTA_WEBHOOK_ALLOW_CIDRS", "127.0.0.0/8".to_owned()),
            ("WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
            ("CHAOS_PROCESS", name.to_owned()),
            ("CHAOS_HISTORY", self.directory().display().to_string()),
            ("CHAOS_PROVIDER", format!("http://127.0.0.1:{provider}")),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    async fn wait_until_working(&self, name: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        while !self.log(name).contains("Working on ") {
            anyhow::ensure!(began.elapsed() < STARTED_WITHIN, "{name} does not start:\n{}", self.log(name));
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// What a worker has logged.
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory().join(format!("{name}.log"))).unwrap_or_default()
    }

    /// Places of the workers that are alive and not frozen.
    pub fn living(&self) -> Vec<usize> {
        let lives = |(_, worker): &(usize, &Worker)| worker.is_alive() && !worker.frozen;
        self.workers.iter().enumerate().filter(lives).map(|(place, _)| place).collect()
    }

    /// One of the living, at random.
    ///
    /// # Errors
    /// When there is none.
    pub fn any_worker(&mut self) -> anyhow::Result<usize> {
        let living = self.living();
        living.choose(&mut self.rng).copied().context("no worker is alive")
    }

    /// Ends a worker with SIGKILL.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn kill(&mut self, place: usize) -> anyhow::Result<()> {
        let name = self.workers[place].name.clone();
        self.fault_began("killed", &name);
        let process = self.workers[place].process.take().context("it has ended already")?;
        process.kill().await?;
        self.fault_ended("killed", &name);
        Ok(())
    }

    /// Starts a worker and ends it with SIGKILL at a random moment, `most` after its start at the latest.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn kill_while_it_starts(&mut self, most: Duration) -> anyhow::Result<()> {
        let options = WorkerOptions::default();
        let name = format!("worker-{}", self.workers.len() + 1);
        let process = self.spawn(&name, &options).await?;
        let place = self.workers.len();
        self.workers.push(Worker { name, options, process: Some(process), frozen: false });
        self.pause_between(0, most.as_millis() as u64).await;
        self.kill(place).await
    }

    /// Freezes a worker with SIGSTOP: its connections stay open.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn freeze(&mut self, place: usize) -> anyhow::Result<()> {
        self.fault_began("frozen", &self.workers[place].name);
        self.workers[place].frozen = true;
        self.signal(place, "STOP").await
    }

    /// Waits until a worker has frozen itself, by a failpoint that says `stop`.
    ///
    /// # Errors
    /// When it has not in time.
    pub async fn wait_until_frozen(&mut self, place: usize, patience: Duration) -> anyhow::Result<()> {
        let (began, name) = (Instant::now(), self.workers[place].name.clone());
        let pid = self.workers[place].pid().context("it has ended already")?;
        while !is_stopped(pid) {
            anyhow::ensure!(began.elapsed() < patience, "{name} has not frozen itself after {patience:?}");
            sleep(LOOK).await;
        }
        self.fault_began("frozen", &name);
        self.workers[place].frozen = true;
        Ok(())
    }

    /// Starts another worker, without what was special about the old one, for each that has ended by itself. Answers
    /// how many had.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn replace_the_dead(&mut self) -> anyhow::Result<usize> {
        let mut dead = 0;
        for place in self.living() {
            if self.wait_for_death(place, LOOK).await.is_err() {
                continue;
            }
            let name = self.workers[place].name.clone();
            self.fault_began("killed", &name);
            self.fault_ended("killed", &name);
            let options = WorkerOptions { environment: Vec::new(), ..self.workers[place].options.clone() };
            self.worker_with(options).await?;
            dead += 1;
        }
        Ok(dead)
    }

    /// Lets a frozen worker go on.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn thaw(&mut self, place: usize) -> anyhow::Result<()> {
        self.signal(place, "CONT").await?;
        self.workers[place].frozen = false;
        self.fault_ended("frozen", &self.workers[place].name);
        Ok(())
    }

    /// Sends a signal to a worker, by its name without `SIG`.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn signal(&self, place: usize, signal: &str) -> anyhow::Result<()> {
        let process = self.workers[place].process.as_ref().context("it has ended already")?;
        Ok(process.signal(signal).await?)
    }

    /// Asks a worker to drain and waits for its end. Answers whether it ended well.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn terminate(&mut self, place: usize) -> anyhow::Result<bool> {
        let process = self.workers[place].process.take().context("it has ended already")?;
        Ok(process.stop().await?)
    }

    /// Waits until a worker has ended by itself.
    ///
    /// # Errors
    /// When it has not in time.
    pub async fn wait_for_death(&mut self, place: usize, patience: Duration) -> anyhow::Result<()> {
        let name = self.workers[place].name.clone();
        let process = self.workers[place].process.as_mut().context("it has ended already")?;
        let gone = tokio::time::timeout(patience, process.gone()).await;
        gone.map_err(|_| anyhow::anyhow!("{name} lives on after {patience:?}"))?;
        self.workers[place].process = None;
        Ok(())
    }

    /// Starts another worker like this one.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn another_like(&mut self, place: usize) -> anyhow::Result<usize> {
        let options = self.workers[place].options.clone();
        self.worker_with(options).await
    }
}

/// True when the kernel says that a process is stopped by a signal.
fn is_stopped(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && line.contains("T (stopped)"))
}
