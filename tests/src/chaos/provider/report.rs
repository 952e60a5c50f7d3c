//! How a toy job acts upon the provider.

use std::{sync::LazyLock, time::Duration};

use reqwest::{Client, StatusCode, retry};

use super::Effect;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// One for the whole process, so that connections are used again. It never sends a request twice by itself: a repeat
/// in the ledger must come from the engine.
static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let client = Client::builder().no_proxy().retry(retry::never()).timeout(PATIENCE).build();
    client.expect("a client without certificates can always be made")
});

/// Why an effect is not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum NotConfirmed {
    /// The provider answered that it failed; most providers that say so have done nothing.
    #[error("the provider answered {0}: the effect is to be tried again")]
    Answered(StatusCode),
    /// No answer: it may have happened.
    #[error("the provider did not answer, so the effect may have happened: try again with the same key")]
    Unknown(#[source] reqwest::Error),
}

/// Acts: posts the effect to `<url>/effect` and waits until it is on disk there.
///
/// # Errors
/// When the provider does not confirm it.
pub async fn report_effect(url: &str, effect: &Effect) -> Result<(), NotConfirmed> {
    let request = CLIENT.post(format!("{url}/effect")).json(effect);
    let status = request.send().await.map_err(NotConfirmed::Unknown)?.status();
    if status.is_success() { Ok(()) } else { Err(NotConfirmed::Answered(status)) }
}
