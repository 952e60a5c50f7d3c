//! How long one message may take at the mail server.
//!
//! Every step has its own limit, and all steps before the message is handed over have one together: many slow answers must
//! not use up the time of the job's run, whose end could not tell whether the message is out. Handing over has its whole
//! time whatever went before, because cutting it short would make a repeat reach people twice.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::classify::{Cause, Failure, Stage};

/// All steps before the handing over take at most so many times what one may take.
const STEPS_BEFORE: u32 = 3;

/// The limits of one message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    step: Duration,
    until: Instant,
}

impl Patience {
    /// Begins now; one step takes at most `step`.
    pub(super) fn new(step: Duration) -> Self {
        Self { step, until: Instant::now() + step * STEPS_BEFORE }
    }

    /// The most that all steps take together, the handing over included.
    pub(super) fn longest(step: Duration) -> Duration {
        step * (STEPS_BEFORE + 1)
    }

    /// When the message has to be on its way.
    pub(super) const fn until(self) -> Instant {
        self.until
    }

    /// Carries out a step within its limit and marks its failure with `stage`.
    pub(super) async fn step<T, E: Into<Cause>>(
        self,
        stage: Stage,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        let now = Instant::now();
        let end = now + self.step;
        let end = if stage == Stage::Message { end } else { end.min(self.until) };
        match timeout_at(end, future).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(Failure { stage, cause: error.into() }),
            Err(_) => Err(Failure { stage, cause: Cause::TimedOut(end.saturating_duration_since(now)) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::ErrorClass;

    const STEP: Duration = Duration::from_millis(60);

    async fn never() -> Result<(), io::Error> {
        std::future::pending().await
    }

    #[tokio::test]
    async fn many_slow_steps_end_together_and_the_message_still_has_its_time() {
        let patience = Patience::new(STEP);
        let began = Instant::now();
        let mut failures = 0;
        while began.elapsed() < STEP * 4 {
            let failure = patience.step(Stage::Recipient, never()).await.unwrap_err();
            failures += 1;
            if patience.until() <= Instant::now() {
                assert_eq!(class(failure), ErrorClass::Network);
                break;
            }
        }
        assert!(failures <= 4, "{failures} steps");

        let handed_over = Instant::now();
        let failure = patience.step(Stage::Message, never()).await.unwrap_err();

        assert!(STEP <= handed_over.elapsed());
        assert_eq!(class(failure), ErrorClass::Ambiguous);
    }

    fn class(failure: Failure) -> ErrorClass {
        super::super::classify(failure, "mail:25", &crate::secrets::Secrets::default()).class
    }
}
