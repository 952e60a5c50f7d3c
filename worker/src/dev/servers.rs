//! The life of a private server, the same for Redis and Postgres: start, stop, crash, pause, come back.
//!
//! What differs between the two (programs, arguments, what counts as an answer) is a [`ServerKind`]; how a server
//! is kept from outliving us is `supervise.rs`. A server is ready when it answers, not when its port is open.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout_at};

use super::{
    private_directory::PrivateDirectory,
    reserved_port::ReservedPort,
    server_error::ServerError,
    server_user::ServerUser,
    supervise::{Supervised, Supervision},
};

/// How long a server may take until it answers. Both need well under a second on an idle machine.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(20);

/// How long to wait between two questions to a server that does not answer yet.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Somebody may take a port between our choice and the server's bind, outside Linux; so several are tried.
const PORT_ATTEMPTS: u32 = 5;

/// Lines of a server's log shown with an error.
const LOG_LINES_SHOWN: usize = 20;

/// The server's output, inside its directory.
const LOG_FILE: &str = "server.log";

/// What a kind of server decides for itself.
pub trait ServerKind: Send + Sync {
    /// For messages.
    const NAME: &'static str;
    /// The signal for a quick and orderly stop, without `SIG`.
    const STOP_SIGNAL: &'static str;
    /// How long an orderly stop may take before the server is killed.
    const GRACE: Duration;

    /// The program that is the server.
    fn program(&self) -> &Path;
    /// Its arguments.
    fn arguments(&self, directory: &Path, port: u16) -> Vec<OsString>;
    /// Whether the server answers a real question on `port`.
    fn answers(&self, port: u16) -> impl Future<Output = bool> + Send;
}

/// A server of ours on a loopback port. It dies with this process, however that ends; its temporary directory
/// goes with it. Dropping it stops it in the background, [`PrivateServer::remove`] waits for that.
pub struct PrivateServer<K> {
    kind: K,
    // Dropped before the directory, which its supervisor also holds.
    running: Option<Supervised>,
    port: ReservedPort,
    user: Option<ServerUser>,
    directory: PrivateDirectory,
}

impl<K: ServerKind> PrivateServer<K> {
    pub(super) async fn launch(
        kind: K,
        user: Option<ServerUser>,
        directory: PrivateDirectory,
    ) -> Result<Self, ServerError> {
        let port = choose_port::<K>()?;
        let mut server = Self { kind, running: None, port, user, directory };
        for _ in 1..PORT_ATTEMPTS {
            match server.start_again().await {
                Err(ServerError::PortTaken { .. }) => server.port = choose_port::<K>()?,
                outcome => return outcome.map(|()| server),
            }
        }
        server.start_again().await.map(|()| server)
    }

    /// The loopback port; the same for the whole life of this value, restarts included.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The process id of the server itself; `None` while it is stopped.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(Supervised::pid)
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Stops the server in an orderly way and waits until it is gone. Data, directory and port are kept.
    pub async fn stop(&mut self) -> Result<(), ServerError> {
        let Some(running) = self.running.take() else { return Ok(()) };
        running.stop().await.map(drop).map_err(failed_to::<K>("stopped"))
    }

    /// Kills the server (SIGKILL, all its processes) and waits until it is gone. Data, directory and port are kept.
    pub async fn kill(&mut self) -> Result<(), ServerError> {
        let Some(running) = self.running.take() else { return Ok(()) };
        running.kill().await.map_err(failed_to::<K>("killed"))
    }

    /// Starts the server on the same port with the same data, and returns when it answers. A server that still
    /// runs is stopped first.
    pub async fn start_again(&mut self) -> Result<(), ServerError> {
        self.stop().await?;
        let log_so_far = fs::metadata(self.log()).map_or(0, |log| log.len());
        let held_until_gone = self.directory.hold().map_err(failed_to::<K>("started"))?;
        let mut running = Supervised::spawn(Supervision {
            program: self.kind.program(),
            arguments: self.kind.arguments(self.directory.path(), self.port()),
            directory: self.directory.path(),
            log: self.log(),
            stop_signal: K::STOP_SIGNAL,
            grace: K::GRACE,
            user: self.user.as_ref(),
            held_until_gone,
        })
        .await
        .map_err(failed_to::<K>("started"))?;
        let ready = self.wait_until_ready(&mut running).await;
        self.running = Some(running);
        match ready {
            Readiness::Answers => Ok(()),
            Readiness::Ended => Err(self.why_it_ended(log_so_far).await),
            Readiness::Silent => {
                let log_tail = tail(&self.log(), log_so_far);
                self.kill().await?;
                Err(ServerError::Silent { server: K::NAME, log_tail })
            }
        }
    }

    /// Freezes every process of the server (SIGSTOP): connections stay open and nothing answers.
    pub async fn pause(&self) -> Result<(), ServerError> {
        self.signal("STOP", "paused").await
    }

    /// Lets a paused server go on (SIGCONT).
    pub async fn resume(&self) -> Result<(), ServerError> {
        self.signal("CONT", "resumed").await
    }

    /// Stops the server, removes its temporary directory, and returns when nothing is left of it.
    pub async fn remove(mut self) -> Result<(), ServerError> {
        self.stop().await?;
        self.directory.remove().await.map_err(failed_to::<K>("removed"))
    }

    async fn signal(&self, signal: &str, action: &'static str) -> Result<(), ServerError> {
        let running = self.running.as_ref().ok_or(ServerError::Stopped { server: K::NAME, action })?;
        running.signal(signal).await.map_err(failed_to::<K>(action))
    }

    async fn wait_until_ready(&self, running: &mut Supervised) -> Readiness {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            tokio::select! {
                biased;
                () = running.gone() => return Readiness::Ended,
                answers = timeout_at(deadline, self.kind.answers(self.port())) => match answers {
                    Ok(true) => return Readiness::Answers,
                    Ok(false) => sleep(ASK_AGAIN_AFTER).await,
                    Err(_) => return Readiness::Silent,
                },
            }
            if Instant::now() >= deadline {
                return Readiness::Silent;
            }
        }
    }

    async fn why_it_ended(&mut self, log_so_far: u64) -> ServerError {
        if let Err(error) = self.stop().await {
            return error;
        }
        let log_tail = tail(&self.log(), log_so_far);
        if log_tail.contains("Address already in use") {
            return ServerError::PortTaken { server: K::NAME, port: self.port(), log_tail };
        }
        ServerError::Ended { server: K::NAME, log_tail }
    }

    fn log(&self) -> PathBuf {
        log_in(&self.directory)
    }
}

enum Readiness {
    Answers,
    Ended,
    Silent,
}

fn choose_port<K: ServerKind>() -> Result<ReservedPort, ServerError> {
    ReservedPort::choose().map_err(failed_to::<K>("given a port"))
}

fn failed_to<K: ServerKind>(action: &'static str) -> impl Fn(io::Error) -> ServerError {
    move |source| ServerError::Process { server: K::NAME, action, source }
}

pub(super) fn log_in(directory: &PrivateDirectory) -> PathBuf {
    directory.path().join(LOG_FILE)
}

/// The last lines of a log, without its first `skipped` bytes, which belong to an earlier run.
pub(super) fn tail(log: &Path, skipped: u64) -> String {
    let content = fs::read(log).unwrap_or_default();
    let content = String::from_utf8_lossy(content.get(skipped as usize..).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = content.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use nix::{sys::signal, unistd::Pid};
    use tokio::{
        io::{AsyncBufReadExt, BufReader},
        process::Command,
        time::timeout,
    };

    use super::*;
    use crate::dev::{PostgresOptions, PostgresServer, RedisOptions, RedisServer};

    const SOON: Duration = Duration::from_secs(30);

    #[test]
    fn the_tail_of_a_log_shows_only_the_last_lines_of_the_last_run() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let earlier = "Address already in use\n";
        let lines: Vec<String> = (0..30).map(|line| format!("line {line}")).collect();
        fs::write(&log, format!("{earlier}{}\n", lines.join("\n"))).unwrap();

        let shown = tail(&log, earlier.len() as u64);

        assert_eq!(shown, lines[10..].join("\n"));
    }

    /// Not a promise of its own: the process that the next test kills.
    #[tokio::test]
    #[ignore = "started by a_killed_parent_leaves_no_server_and_no_directory"]
    async fn a_parent_that_waits_to_be_killed() {
        if std::env::var_os("FLOTA_TEST_PARENT").is_none() {
            return;
        }
        let (redis, postgres) = tokio::join!(
            RedisServer::start(RedisOptions::default()),
            PostgresServer::start(PostgresOptions::default())
        );
        let (redis, postgres) = (redis.unwrap(), postgres.unwrap());
        // The harder case: a paused server hears no signal but SIGKILL.
        postgres.pause().await.unwrap();
        for (pid, directory) in
            [(redis.pid().unwrap(), redis.directory()), (postgres.pid().unwrap(), postgres.directory())]
        {
            println!("server={pid},{}", directory.display());
        }
        std::future::pending::<()>().await;
    }

    #[tokio::test]
    async fn a_killed_parent_leaves_no_server_and_no_directory() {
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--ignored",
                "--nocapture",
                "dev::servers::tests::a_parent_that_waits_to_be_killed",
            ])
            .env("FLOTA_TEST_PARENT", "1")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
        let mut servers = Vec::new();
        while servers.len() < 2 {
            let line = timeout(SOON, lines.next_line()).await.expect("it starts").unwrap().expect("it runs");
            if let Some((_, description)) = line.split_once("server=") {
                servers.push(description.to_owned());
            }
        }
        // SIGKILL: the parent runs no destructor.
        parent.kill().await.unwrap();

        for server in &servers {
            let mut parts = server.split(',');
            let pid = Pid::from_raw(parts.next().unwrap().parse().unwrap());
            let directory = Path::new(parts.next().unwrap());
            until(|| signal::kill(pid, None).is_err() && !directory.exists()).await;
        }
    }

    /// Neither the end of a stranger's process nor that of a directory can be awaited, so both are looked at.
    async fn until(condition: impl Fn() -> bool) {
        let deadline = Instant::now() + SOON;
        while !condition() {
            assert!(Instant::now() < deadline, "still there after {SOON:?}");
            sleep(ASK_AGAIN_AFTER).await;
        }
    }
}
