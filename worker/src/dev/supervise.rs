//! Runs a server so that it dies with us, however we end, `kill -9` included.
//!
//! Rust offers no safe way to tie a child's life to its parent's, but a pipe does: a small `sh` supervisor reads
//! from us, and when the pipe ends (we closed it, or we are gone) it stops the server and waits for it. The pipe
//! cannot be held open by another child of ours, since the standard library opens pipes close-on-exec. The
//! supervisor has a process group of its own, so that Ctrl-C in the terminal reaches us first and not the server.
//!
//! A second pipe runs the other way and only the server's processes hold it: it ends when the last one is gone.
//! The process id stays valid as long as the supervisor runs, because only the supervisor can reap the server.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStderr, ChildStdin, Command},
    time::timeout,
};

use super::server_user::ServerUser;

const SUPERVISE: &str = concat!(include_str!("supervise/family.sh"), include_str!("supervise/supervise.sh"));
const SIGNAL: &str = concat!(include_str!("supervise/family.sh"), "signal_family \"$1\" \"$2\"");

/// How often the supervisor looks whether a stopping server is gone; `supervise.sh` sleeps this long.
const LOOKS_PER_SECOND: f64 = 20.0;

/// Added to a server's grace before we stop waiting for its supervisor: a killed process is gone long before.
const SUPERVISOR_MARGIN: Duration = Duration::from_secs(10);

/// What to run, and how it is stopped.
pub(super) struct Supervision<'a> {
    pub(super) program: &'a Path,
    pub(super) arguments: Vec<OsString>,
    /// The working directory; the server's user must be able to enter it.
    pub(super) directory: &'a Path,
    /// Receives standard output and standard error; appended to.
    pub(super) log: PathBuf,
    /// The signal's name without `SIG`.
    pub(super) stop_signal: &'static str,
    /// How long the server may take to stop before it is killed.
    pub(super) grace: Duration,
    pub(super) user: Option<&'a ServerUser>,
    /// Becomes the supervisor's standard output, held until the server is gone.
    pub(super) held_until_gone: Stdio,
}

/// A running server. Dropping it stops the server gracefully, without waiting for that.
pub(super) struct Supervised {
    supervisor: Child,
    our_life: ChildStdin,
    its_life: BufReader<ChildStderr>,
    pid: u32,
    grace: Duration,
}

impl Supervised {
    /// Starts the supervisor and returns once the server's process exists. A program that cannot be executed
    /// shows only as a server that is gone at once, with the reason in its log.
    pub(super) async fn spawn(what: Supervision<'_>) -> io::Result<Self> {
        let grace = what.grace;
        let mut supervisor = supervisor_command(what).spawn()?;
        let our_life = supervisor.stdin.take().ok_or_else(no_pipe)?;
        let mut its_life = BufReader::new(supervisor.stderr.take().ok_or_else(no_pipe)?);
        let mut first_line = String::new();
        its_life.read_line(&mut first_line).await?;
        let pid = first_line.trim().parse().map_err(|_| {
            io::Error::other(format!("the supervisor shell answered {first_line:?} instead of a process id"))
        })?;
        Ok(Self { supervisor, our_life, its_life, pid, grace })
    }

    /// The server's own process id, not its supervisor's.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns when the last process of the server has ended, for whatever reason. Safe to cancel.
    pub(super) async fn gone(&mut self) {
        let mut unexpected = [0; 64];
        while let Ok(1..) = self.its_life.read(&mut unexpected).await {}
    }

    /// Sends a signal (its name without `SIG`) to the server and to every process it has started.
    pub(super) async fn signal(&self, signal: &str) -> io::Result<()> {
        let output = Command::new("sh")
            .args(["-c", SIGNAL, "flota-signal", signal, &self.pid.to_string()])
            .stdin(Stdio::null())
            .output()
            .await?;
        if output.status.success() {
            return Ok(());
        }
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(io::Error::other(format!("process {} did not take SIG{signal}: {reason}", self.pid)))
    }

    /// Asks the server to stop, kills it after its grace, and returns its exit status.
    pub(super) async fn stop(self) -> io::Result<ExitStatus> {
        let Self { mut supervisor, our_life, grace, pid, .. } = self;
        drop(our_life);
        timeout(grace + SUPERVISOR_MARGIN, supervisor.wait()).await.map_err(|_| {
            io::Error::other(format!("process {pid} is still there, although it was killed after {grace:?}"))
        })?
    }

    /// Kills every process of the server at once, as a crash would, and waits until the last is gone.
    pub(super) async fn kill(mut self) -> io::Result<()> {
        self.signal("KILL").await?;
        // A process in the middle of a disk write ends only after it, so this wait has an end of its own.
        let _ = timeout(SUPERVISOR_MARGIN, self.gone()).await;
        self.stop().await.map(drop)
    }
}

fn supervisor_command(what: Supervision<'_>) -> Command {
    let looks = (what.grace.as_secs_f64() * LOOKS_PER_SECOND) as u32;
    let mut command = Command::new("sh");
    command
        .args(["-c", SUPERVISE, "flota-supervisor", what.stop_signal, &looks.to_string()])
        .arg(what.log)
        .arg(what.program)
        .args(what.arguments)
        .current_dir(what.directory)
        .stdin(Stdio::piped())
        .stdout(what.held_until_gone)
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some(user) = what.user {
        user.assume(&mut command);
    }
    command
}

fn no_pipe() -> io::Error {
    io::Error::other("the supervisor shell was started without its pipes")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_mins(2);

    fn a_shell_running(script: &str, directory: &Path) -> Supervision<'static> {
        Supervision {
            program: Path::new("/bin/sh"),
            arguments: vec!["-c".into(), script.into()],
            directory: Path::new("/"),
            log: directory.join("log"),
            stop_signal: "TERM",
            grace: Duration::from_secs(10),
            user: None,
            held_until_gone: Stdio::null(),
        }
    }

    /// A file cannot be awaited, so it is looked at.
    async fn until_the_log_says(word: &str, directory: &Path) {
        let looking = async {
            while !std::fs::read_to_string(directory.join("log")).is_ok_and(|log| log.contains(word)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, looking).await.expect("the log says so");
    }

    #[tokio::test]
    async fn dropping_the_pipe_stops_the_server_even_while_another_child_of_ours_runs() {
        let directory = tempfile::tempdir().unwrap();
        let supervised =
            Supervised::spawn(a_shell_running("exec sleep 600", directory.path())).await.unwrap();
        let Supervised { mut its_life, our_life, .. } = supervised;
        let mut other_child = Command::new("sleep").arg("600").kill_on_drop(true).spawn().unwrap();

        drop(our_life);

        let mut rest = String::new();
        timeout(SOON, its_life.read_to_string(&mut rest)).await.expect("the server is gone").unwrap();
        assert!(other_child.try_wait().unwrap().is_none(), "the other child still runs");
    }

    #[tokio::test]
    async fn a_server_that_ignores_the_signal_is_killed_after_its_grace() {
        let directory = tempfile::tempdir().unwrap();
        let stubborn = "trap '' TERM; echo deaf; while :; do sleep 600; done";
        let impatient =
            Supervision { grace: Duration::from_millis(500), ..a_shell_running(stubborn, directory.path()) };
        let supervised = Supervised::spawn(impatient).await.unwrap();
        until_the_log_says("deaf", directory.path()).await;

        let status = timeout(SOON, supervised.stop()).await.expect("it ends").unwrap();

        assert_eq!(status.code(), Some(128 + 9), "a shell reports SIGKILL as 137");
    }

    #[tokio::test]
    async fn a_paused_server_stops_as_gracefully_as_a_running_one() {
        let directory = tempfile::tempdir().unwrap();
        let polite = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done";
        let supervised = Supervised::spawn(a_shell_running(polite, directory.path())).await.unwrap();
        until_the_log_says("ready", directory.path()).await;
        supervised.signal("STOP").await.unwrap();

        let status = timeout(SOON, supervised.stop()).await.expect("it ends").unwrap();

        assert_eq!(status.code(), Some(7));
    }

    #[tokio::test]
    async fn a_program_that_cannot_run_is_gone_at_once_and_says_why_in_the_log() {
        let directory = tempfile::tempdir().unwrap();
        let missing =
            Supervision { program: Path::new("/nowhere/server"), ..a_shell_running("", directory.path()) };

        let mut supervised = Supervised::spawn(missing).await.unwrap();
        timeout(SOON, supervised.gone()).await.expect("it is gone");

        let log = std::fs::read_to_string(directory.path().join("log")).unwrap();
        assert!(log.contains("/nowhere/server"), "{log}");
        assert_eq!(supervised.stop().await.unwrap().code(), Some(127));
    }
}
