//! A program on this machine at work for a job: fed, listened to, ended.
//!
//! It gets an end in time and in bytes. It is killed when it goes beyond either or when its job is given up, and whatever
//! became of it, it is reaped, so that no dead process is left behind. Which program that is, what it may see of this
//! machine, and what its complaints mean is for whoever runs it.

use std::{io, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time::timeout,
};

/// Where a run ends.
pub(crate) struct Bounds {
    /// Most time.
    pub(crate) time: Duration,
    /// Most output that is its work, in bytes; more ends the run.
    pub(crate) output: u64,
    /// Most of its complaints that are heard, in bytes.
    pub(crate) complaints: u64,
}

/// What came of a run.
pub(crate) struct Heard {
    pub(crate) succeeded: bool,
    pub(crate) output: Vec<u8>,
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
}

/// Runs a program to its end. `input` goes to its standard input where that is a pipe.
pub(crate) async fn run(command: &mut Command, input: &[u8], bounds: &Bounds) -> Result<Heard, Failed> {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(Failed::NotThere)?;
    let heard = timeout(bounds.time, converse(&mut child, input, bounds)).await;
    let heard = heard.unwrap_or(Err(Failed::TooSlow));
    if heard.is_err() {
        // Reaped here; one that is gone already needs no killing.
        let _ = child.kill().await;
    }
    heard
}

/// Feeds a process and listens to it at the same time.
async fn converse(child: &mut Child, input: &[u8], bounds: &Bounds) -> Result<Heard, Failed> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A process that has heard enough closes its end; its status says whether that is well.
            let _ = stdin.write_all(input).await;
        }
    };
    let ((), output, complaints) =
        tokio::join!(feed, read(stdout, bounds.output + 1), read(stderr, bounds.complaints));
    let (output, complaints) = (output.map_err(Failed::NotThere)?, complaints.map_err(Failed::NotThere)?);
    if bounds.output < output.len() as u64 {
        return Err(Failed::TooMuch);
    }
    let status = child.wait().await.map_err(Failed::NotThere)?;
    let complaints = String::from_utf8_lossy(&complaints).into_owned();
    Ok(Heard { succeeded: status.success(), output, complaints })
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

    const BOUNDS: Bounds = Bounds { time: Duration::from_secs(20), output: 1_000, complaints: 5 };

    async fn shell(script: &str, input: &[u8], bounds: &Bounds) -> Result<Heard, Failed> {
        run(Command::new("sh").args(["-c", script]).stdin(Stdio::piped()), input, bounds).await
    }

    #[tokio::test]
    async fn what_a_program_makes_of_its_input_is_heard_with_its_status_and_the_beginning_of_its_complaints()
    {
        let done = shell("cat; echo complaints >&2", b"work", &BOUNDS).await.ok().unwrap();
        let failed = shell("exit 3", b"work", &BOUNDS).await.ok().unwrap();

        assert_eq!((done.succeeded, &*done.output, &*done.complaints), (true, &b"work"[..], "compl"));
        assert!(!failed.succeeded && failed.output.is_empty());
    }

    #[tokio::test]
    async fn a_program_that_says_too_much_takes_too_long_or_is_not_there_is_told_apart() {
        let endless = shell("while :; do echo more; done", b"", &BOUNDS).await;
        let slow = shell("sleep 60", b"", &Bounds { time: Duration::from_millis(50), ..BOUNDS }).await;
        let missing = run(&mut Command::new("/nonexistent/program"), b"", &BOUNDS).await;

        assert!(matches!(endless, Err(Failed::TooMuch)));
        assert!(matches!(slow, Err(Failed::TooSlow)));
        assert!(matches!(missing, Err(Failed::NotThere(_))));
    }
}
