//! A worker that is started again whenever its process has ended, as systemd or Kubernetes would.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use flota_worker::dev::{private_directory::PrivateDirectory, worker_process::WorkerProcess};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::sleep,
};

/// Pause before a process is started again: short, for a story has little time, and not none, for a process that
/// cannot start at all.
const PAUSE: Duration = Duration::from_millis(100);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// How the process is started, each time anew.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
    /// What all its lives print goes here; absolute.
    pub log: PathBuf,
}

/// A process that comes back. Dropped, it is stopped for good.
pub struct Respawning {
    lives: Arc<Lives>,
    orders: mpsc::UnboundedSender<Order>,
    watching: JoinHandle<io::Result<bool>>,
}

#[derive(Default)]
struct Lives {
    starts: AtomicUsize,
    pid: AtomicU32,
}

enum Order {
    Signal(&'static str, oneshot::Sender<io::Result<()>>),
    Stop,
}

impl Respawning {
    /// Starts it for the first time.
    ///
    /// # Errors
    /// When no process can be started.
    pub async fn start(recipe: Recipe) -> io::Result<Self> {
        // Only to be run in; the temporary directory goes when this process has ended for good.
        let directory = PrivateDirectory::open(None, None).await.map_err(io::Error::other)?;
        let lives = Arc::<Lives>::default();
        let first = spawn(&recipe, &directory, &lives).await?;
        let (orders, incoming) = mpsc::unbounded_channel();
        let watching = tokio::spawn(watch(recipe, directory, Arc::clone(&lives), first, incoming));
        Ok(Self { lives, orders, watching })
    }

    /// How often it was started again.
    pub fn restarts(&self) -> usize {
        self.lives.starts.load(Ordering::SeqCst) - 1
    }

    /// Id of its latest process.
    pub fn pid(&self) -> u32 {
        self.lives.pid.load(Ordering::SeqCst)
    }

    /// Sends a signal to its process, by name without `SIG`.
    ///
    /// # Errors
    /// When it is just being started again.
    pub async fn signal(&self, name: &'static str) -> io::Result<()> {
        let (answer, answered) = oneshot::channel();
        let gone = || io::Error::other("the process has been stopped for good");
        self.orders.send(Order::Signal(name, answer)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Waits until it was started again this often. Answers false if it was not in time.
    pub async fn wait_for_restarts(&self, restarts: usize, patience: Duration) -> bool {
        let began = Instant::now();
        while self.restarts() < restarts {
            if patience < began.elapsed() {
                return false;
            }
            sleep(LOOK).await;
        }
        true
    }

    /// Asks its process to drain and does not start another one. Answers whether it ended well.
    ///
    /// # Errors
    /// When it does not end, or could not be started again.
    pub async fn stop(self) -> io::Result<bool> {
        // If nobody hears it any more, the reason is what the task returned.
        let _ = self.orders.send(Order::Stop);
        self.watching.await.map_err(io::Error::other)?
    }
}

async fn spawn(recipe: &Recipe, directory: &PrivateDirectory, lives: &Lives) -> io::Result<WorkerProcess> {
    let Recipe { program, arguments, environment, log } = recipe;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let log = log.to_string_lossy();
    let process = WorkerProcess::start(program, &arguments, environment, directory, &log).await?;
    lives.pid.store(process.pid(), Ordering::SeqCst);
    lives.starts.fetch_add(1, Ordering::SeqCst);
    Ok(process)
}

async fn watch(
    recipe: Recipe,
    directory: PrivateDirectory,
    lives: Arc<Lives>,
    mut process: WorkerProcess,
    mut orders: mpsc::UnboundedReceiver<Order>,
) -> io::Result<bool> {
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(Order::Signal(name, answer)) => {
                    // Who asked may have gone.
                    let _ = answer.send(process.signal(name).await);
                }
                Some(Order::Stop) | None => return process.stop().await,
            },
            () = process.gone() => {
                sleep(PAUSE).await;
                process = spawn(&recipe, &directory, &lives).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str, directory: &tempfile::TempDir) -> Recipe {
        Recipe {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            log: directory.path().join("log"),
        }
    }

    /// It says so once it has set its trap.
    const POLITE: &str = "trap 'exit 0' TERM; echo born; while :; do sleep 0.05; done";

    /// How often the log says so; before the first time there is no log.
    fn born(directory: &tempfile::TempDir) -> usize {
        std::fs::read_to_string(directory.path().join("log")).map_or(0, |log| log.lines().count())
    }

    async fn wait_for_births(births: usize, directory: &tempfile::TempDir) {
        let began = Instant::now();
        while born(directory) < births {
            assert!(began.elapsed() < SOON, "not born {births} times");
            sleep(LOOK).await;
        }
    }

    #[tokio::test]
    async fn a_killed_process_comes_back_until_it_is_stopped() {
        let directory = tempfile::tempdir().unwrap();
        let process = Respawning::start(shell(POLITE, &directory)).await.unwrap();
        wait_for_births(1, &directory).await;
        let first = process.pid();

        process.signal("KILL").await.unwrap();
        assert!(process.wait_for_restarts(1, SOON).await);
        wait_for_births(2, &directory).await;

        assert_ne!(first, process.pid());
        assert!(process.stop().await.unwrap());
    }

    #[tokio::test]
    async fn a_process_that_ends_by_itself_is_counted_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let process = Respawning::start(shell("exit 3", &directory)).await.unwrap();

        assert!(process.wait_for_restarts(3, SOON).await, "{} restarts", process.restarts());

        process.stop().await.unwrap();
    }
}
