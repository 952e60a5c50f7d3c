//! Worker processes of one run, ours or a peer's, and the tally that they keep.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::bail;
use flota_engine::roster;
use flota_producer::keys::Prefix;
use flota_worker::dev::worker_process::WorkerProcess;
use tokio::time::sleep;

use crate::{
    bench::{
        ground::Field,
        payload::QUEUE,
        peers::{Peer, install::Call},
        tally::{OUT, TIMED, Tally},
        usage,
    },
    program::built,
};

/// How long nothing may happen before a run is given up.
const STUCK: Duration = Duration::from_secs(60);
/// Between two looks at a tally.
const LOOK: Duration = Duration::from_millis(20);
/// Megabyte, as the figures have it.
const MB: f64 = 1e6;

/// Processes of one run.
pub(super) struct Workers {
    processes: Vec<WorkerProcess>,
    out: PathBuf,
    logs: Vec<PathBuf>,
}

impl Workers {
    /// Our own, of so many slots.
    pub(super) async fn ours(
        field: &Field<'_>,
        processes: usize,
        slots: usize,
        more: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let queues = field.file("queues.toml");
        fs::write(&queues, format!("[queues.{QUEUE}]\nconcurrency = {slots}\n"))?;
        let mut environment = vec![
            ("REDIS_URL", field.redis_url.clone()),
            ("DATABASE_URL", field.database_url.clone()),
            ("FLOTA_QUEUES_FILE", queues.display().to_string()),
        ];
        environment.extend_from_slice(more);
        Self::start(field, processes, (&built("bench_worker")?, &["worker"]), &environment).await
    }

    /// The program as people run it, with the six queues that it comes with.
    pub(super) async fn as_installed(field: &Field<'_>) -> anyhow::Result<Self> {
        let environment =
            [("REDIS_URL", field.redis_url.clone()), ("DATABASE_URL", field.database_url.clone())];
        Self::start(field, 1, (&built("flota")?, &["worker"]), &environment).await
    }

    /// A peer's.
    pub(super) async fn peer(
        field: &Field<'_>,
        peer: &Peer,
        call: &Call,
        timed: bool,
    ) -> anyhow::Result<Self> {
        let mut environment = peer_environment(field, peer);
        environment.push((TIMED, u8::from(timed).to_string()));
        let (program, script) = call.split_first().ok_or_else(|| anyhow::anyhow!("no program"))?;
        let script: Vec<String> = script.iter().map(|part| part.display().to_string()).collect();
        let arguments: Vec<&str> = script.iter().map(String::as_str).chain(["worker"]).collect();
        Self::start(field, peer.processes, (program, &arguments), &environment).await
    }

    async fn start(
        field: &Field<'_>,
        processes: usize,
        (program, arguments): (&Path, &[&str]),
        environment: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let out = field.file("tally");
        let mut environment: Vec<(String, String)> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        environment.push((OUT.to_owned(), out.display().to_string()));
        let mut workers = Self { processes: Vec::new(), out, logs: Vec::new() };
        for number in 0..processes {
            let log = format!("{}-worker-{number}.log", field.name);
            let directory = &field.ground.directory;
            let process = WorkerProcess::start(program, arguments, &environment, directory, &log).await?;
            workers.processes.push(process);
            workers.logs.push(directory.path().join(log));
        }
        Ok(workers)
    }

    /// Waits until all of our own say that they are at work.
    pub(super) async fn at_work(&self, field: &Field<'_>) -> anyhow::Result<()> {
        let began = Instant::now();
        while roster::list(&field.link, &Prefix::default()).await?.len() < self.processes.len() {
            self.ensure_alive(began)?;
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until so many handlers have ended; more than `jobs` in all is an error. Answers what they did.
    pub(super) async fn ran(&self, jobs: usize) -> anyhow::Result<Tally> {
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            let tally = self.tally()?;
            anyhow::ensure!(tally.count <= jobs as u64, "{} of {jobs} jobs ran, some twice", tally.count);
            if tally.count == jobs as u64 {
                return Ok(tally);
            }
            if seen < tally.count {
                (seen, since) = (tally.count, Instant::now());
            }
            self.ensure_alive(since).map_err(|error| error.context(format!("{seen} of {jobs} jobs ran")))?;
            sleep(LOOK).await;
        }
    }

    /// What the handlers have reported so far.
    pub(super) fn tally(&self) -> anyhow::Result<Tally> {
        Ok(Tally::read(&self.out)?)
    }

    /// An error when nothing has happened for too long.
    pub(super) fn ensure_alive(&self, since: Instant) -> anyhow::Result<()> {
        if since.elapsed() < STUCK {
            return Ok(());
        }
        bail!("nothing has happened for {STUCK:?}; the worker said: {}", self.last_words())
    }

    fn last_words(&self) -> String {
        let log = self.logs.first().and_then(|log| fs::read_to_string(log).ok()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(3)..].join(" / ")
    }

    /// CPU that they have used since they were started.
    pub(super) fn cpu(&self) -> Duration {
        self.processes.iter().map(|process| usage::cpu(process.pid(), true)).sum()
    }

    /// Resident memory of all together, MB.
    pub(super) fn resident_mb(&self) -> f64 {
        self.processes.iter().map(|process| usage::resident(process.pid()) as f64 / MB).sum()
    }

    /// The most that they have had resident.
    pub(super) fn most_resident_mb(&self) -> f64 {
        self.processes.iter().map(|process| usage::most_resident(process.pid()) as f64 / MB).sum()
    }

    /// Ends ours in an orderly way.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let ends = self.processes.into_iter().map(WorkerProcess::stop);
        for well in futures_util::future::join_all(ends).await {
            anyhow::ensure!(well?, "a worker did not end well");
        }
        Ok(())
    }

    /// Ends them at once.
    pub(super) async fn kill(self) -> anyhow::Result<()> {
        for process in self.processes {
            process.kill().await?;
        }
        Ok(())
    }
}

/// Variables of all programs of a peer.
pub(super) fn peer_environment(field: &Field<'_>, peer: &Peer) -> Vec<(&'static str, String)> {
    let mut environment =
        vec![("REDIS_URL", field.redis_url.clone()), ("DATABASE_URL", field.database_url.clone())];
    environment.extend(peer.setting.iter().map(|(name, value)| (*name, (*value).to_owned())));
    environment
}
