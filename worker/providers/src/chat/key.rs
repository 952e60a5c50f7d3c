//! Whether the key works, and what is left of its credit.

use futures_util::future::BoxFuture;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;

use super::{ChatClient, answer::Completion};
use crate::{
    ErrorClass, ProviderError,
    exchange::HttpAnswer,
    probe::{PROBE, Probe, Probed},
};

/// What OpenRouter tells of a key.
#[derive(Deserialize)]
struct KeyFacts {
    data: KeyCredit,
}

#[derive(Deserialize)]
struct KeyCredit {
    /// Dollars; nothing for a key without a limit of its own.
    #[serde(default)]
    limit_remaining: Option<f64>,
}

impl ChatClient {
    /// Reads something of the API with our key.
    async fn read_with_key(&self, path: &str) -> Result<HttpAnswer, ProviderError> {
        self.api.probe(self.api.get(path).bearer_auth(self.settings.api_key.expose_secret())).await
    }
}

impl Probe for ChatClient {
    /// Reads the key (<https://openrouter.ai/docs/api/api-reference/api-keys/get-current-key>), because OpenRouter shows
    /// its models to everybody. Other APIs do not know that route and show their models to whom they know.
    fn probe(&self, now_unix: i64) -> BoxFuture<'_, Result<Probed, ProviderError>> {
        Box::pin(async move {
            let mut answer = self.read_with_key("/key").await?;
            if matches!(answer.status, 404 | 405) {
                answer = self.read_with_key("/models").await?;
                if answer.is_success()
                    && answer.json::<Value>().is_some_and(|models| models["data"].is_array())
                {
                    return Ok(Probed::works("the key is accepted"));
                }
            }
            let Some(KeyFacts { data }) = answer.is_success().then(|| answer.json()).flatten() else {
                let error = answer.json::<Completion>().and_then(|refused| refused.error).unwrap_or_default();
                // A success that cannot be read is no answer of such an API.
                let status = if answer.is_success() { 502 } else { error.status(answer.status) };
                return Err(self.refused(PROBE, &answer, status, error, now_unix));
            };
            match data.limit_remaining {
                Some(dollars) if dollars <= 0.0 => {
                    let advice = "The key is accepted, but its credit limit is used up.";
                    Err(self.api.error(PROBE, ErrorClass::Quota, advice, "").with_code("402"))
                }
                Some(dollars) => {
                    Ok(Probed::works(format!("the key is accepted, with ${dollars:.2} left of its limit")))
                }
                None => Ok(Probed::works("the key is accepted")),
            }
        })
    }
}
