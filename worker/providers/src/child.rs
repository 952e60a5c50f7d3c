//! A program on this machine at work for a job: fed, listened to, ended.
//!
//! It gets an end in time and in bytes, and on Linux one in memory where it sets itself none. It is killed when it goes
//! beyond the first two or when its job is given up, and whatever became of it, it is reaped, so that no dead process is left
//! behind. Which program that is, what it may see of this machine, and what its complaints mean is for whoever runs it.

use std::{io, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::content::{Content, Gathering, SpoolError, Unkept};

/// How much of its work is read at once, in bytes: what a pipe holds.
const PIECE: usize = 64 * 1024;

/// Where a run ends.
pub(crate) struct Bounds {
    /// Most time.
    pub(crate) time: Duration,
    /// Most memory that it may ask for, its code and files included, in bytes: beyond that it is given none, and breaks off.
    /// Linux alone can say that of a process that is not our own.
    pub(crate) memory: Option<u64>,
    /// Takes the output that is its work; more than that takes ends the run.
    pub(crate) output: Gathering,
    /// Most of its complaints that are heard, in bytes.
    pub(crate) complaints: u64,
}

/// What came of a run.
pub(crate) struct Heard {
    pub(crate) succeeded: bool,
    pub(crate) output: Content,
    pub(crate) complaints: String,
}

/// Why nothing came of it.
pub(crate) enum Failed {
    /// It cannot be run.
    NotThere(io::Error),
    /// Its time was over.
    TooSlow,
    /// It had more to say than its work can be.
    TooMuch,
    /// The disk did not take its work.
    Disk(SpoolError),
}

impl From<Unkept> for Failed {
    fn from(unkept: Unkept) -> Self {
        match unkept {
            Unkept::TooLarge => Self::TooMuch,
            Unkept::Disk(error) => Self::Disk(error),
        }
    }
}

/// Runs a program to its end. `input` goes to its standard input where that is a pipe.
pub(crate) async fn run(command: &mut Command, input: &[u8], bounds: Bounds) -> Result<Heard, Failed> {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(Failed::NotThere)?;
    if let Some(most) = bounds.memory {
        limit_memory(&child, most);
    }
    let heard = timeout(bounds.time, converse(&mut child, input, bounds)).await;
    let heard = heard.unwrap_or(Err(Failed::TooSlow));
    if heard.is_err() {
        // Reaped here; one that is gone already needs no killing.
        let _ = child.kill().await;
    }
    heard
}

#[cfg(target_os = "linux")]
fn limit_memory(child: &Child, most: u64) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};

    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    let process = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(Err(error)) = process.map(|process| prlimit(Some(process), Resource::As, limit)) {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "The memory of a program is not limited: {error}"
        );
    }
}

#[cfg(not(target_os = "linux"))]
fn limit_memory(_: &Child, _: u64) {}

/// Feeds a process and listens to it at the same time.
async fn converse(child: &mut Child, input: &[u8], bounds: Bounds) -> Result<Heard, Failed> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A process that has heard enough closes its end; its status says whether that is well.
            let _ = stdin.write_all(input).await;
        }
        Ok(())
    };
    let listen = async { read(stderr, bounds.complaints).await.map_err(Failed::NotThere) };
    // Work that is not taken ends the run at once, whatever there still is to be heard.
    let ((), output, complaints) = tokio::try_join!(feed, gather(stdout, bounds.output), listen)?;
    let status = child.wait().await.map_err(Failed::NotThere)?;
    let complaints = String::from_utf8_lossy(&complaints).into_owned();
    Ok(Heard { succeeded: status.success(), output, complaints })
}

async fn gather(pipe: Option<ChildStdout>, mut work: Gathering) -> Result<Content, Failed> {
    let mut piece = vec![0; PIECE];
    if let Some(mut pipe) = pipe {
        loop {
            let read = pipe.read(&mut piece).await.map_err(Failed::NotThere)?;
            if read == 0 {
                break;
            }
            work.add(&piece[..read]).await?;
        }
    }
    work.finish().await.map_err(Failed::Disk)
}

async fn read(pipe: Option<impl AsyncRead + Unpin>, most: u64) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(most).read_to_end(&mut read).await?;
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Spool;

    const SOON: Duration = Duration::from_secs(20);

    fn bounds(time: Duration) -> Bounds {
        Bounds { time, memory: None, output: Spool::default().gather(1_000), complaints: 5 }
    }

    async fn shell(script: &str, input: &[u8], bounds: Bounds) -> Result<Heard, Failed> {
        run(Command::new("sh").args(["-c", script]).stdin(Stdio::piped()), input, bounds).await
    }

    #[tokio::test]
    async fn what_a_program_makes_of_its_input_is_heard_with_its_status_and_the_beginning_of_its_complaints()
    {
        let done = shell("cat; echo complaints >&2", b"work", bounds(SOON)).await.ok().unwrap();
        let failed = shell("exit 3", b"work", bounds(SOON)).await.ok().unwrap();

        assert_eq!(
            (done.succeeded, &done.output.whole().await.unwrap()[..], &*done.complaints),
            (true, &b"work"[..], "compl")
        );
        assert!(!failed.succeeded && failed.output.length() == 0);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_program_gets_no_more_memory_than_it_may_have() {
        let bounds = Bounds { memory: Some(1 << 30), ..bounds(SOON) };

        // It goes on when its input ends, and that is fed to it after it was limited.
        let told = shell("while read -r _; do :; done; ulimit -v", b"", bounds).await.ok().unwrap();

        assert_eq!(&told.output.whole().await.unwrap()[..], b"1048576\n");
    }

    #[tokio::test]
    async fn a_program_that_says_too_much_takes_too_long_or_is_not_there_is_told_apart() {
        let endless = shell("while :; do echo more; done", b"", bounds(SOON)).await;
        let slow = shell("sleep 60", b"", bounds(Duration::from_millis(50))).await;
        let missing = run(&mut Command::new("/nonexistent/program"), b"", bounds(SOON)).await;

        assert!(matches!(endless, Err(Failed::TooMuch)));
        assert!(matches!(slow, Err(Failed::TooSlow)));
        assert!(matches!(missing, Err(Failed::NotThere(_))));
    }
}
