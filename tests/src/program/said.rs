//! What a command of `flota` said, and how it ended.

use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use crate::PATIENCE;

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Said {
    shown: String,
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Said {
    /// Itself, if it ended with this exit code.
    ///
    /// # Panics
    /// Otherwise, with everything it said.
    pub fn expect(self, code: i32) -> Self {
        let Self { shown, stdout, stderr, .. } = &self;
        assert_eq!(self.code, Some(code), "`{shown}` said\n{stdout}{stderr}");
        self
    }

    /// Its standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("`{}` printed no JSON ({error}): {self:#?}", self.shown))
    }

    /// The one sentence with which it refused; it must have said nothing else.
    pub fn refusal(&self) -> &str {
        let sentence = self.stderr.strip_prefix("flota: ").and_then(|rest| rest.strip_suffix('\n'));
        match sentence {
            Some(sentence) if self.stdout.is_empty() && !sentence.contains('\n') => sentence,
            _ => panic!("`{}` did not refuse in one sentence: {self:#?}", self.shown),
        }
    }
}

/// Runs a command to its end, with this text on its standard input.
pub(super) async fn finish(mut command: Command, input: &str, arguments: &[&str]) -> Said {
    let running = async {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that refuses early does not read to the end.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let shown: String = format!("flota {}", arguments.join(" ")).chars().take(300).collect();
    let output = timeout(PATIENCE, running).await.unwrap_or_else(|_| panic!("`{shown}` does not end"));
    let output = output.expect("a process can be started");
    Said {
        shown,
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}
