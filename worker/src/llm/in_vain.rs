//! What a run fails with when models that it asked are not there.
//!
//! Providers rename models and take them off the market, so an id goes stale while nobody here changes anything. Whoever
//! reads the failure learns which ids these are and where they stand. Ids that are merely next in line do not make a
//! passing trouble of the first model a final one: the job then fails with that trouble, and is tried again.

use flota_providers::{ProviderError, chat};

use super::models::Wanted;

/// The models that a run has asked so far without getting an answer.
#[derive(Debug, Default)]
pub(super) struct InVain {
    unknown: Vec<String>,
    trouble: Option<ProviderError>,
}

impl InVain {
    /// This model could not answer, and another one is asked.
    pub(super) fn note(&mut self, model: &str, error: ProviderError) {
        if chat::is_unknown_model(&error) {
            self.unknown.push(model.to_owned());
        } else {
            self.trouble = Some(error);
        }
    }

    /// What the run fails with, after this model could not answer either and nobody is left to ask.
    pub(super) fn told(mut self, model: &str, last: ProviderError, wanted: &Wanted) -> ProviderError {
        if !chat::is_unknown_model(&last) {
            return last;
        }
        self.unknown.push(model.to_owned());
        let mut error = self.trouble.unwrap_or(last);
        error.message = format!("{} {}", remedy(&self.unknown, wanted), error.message).into();
        error
    }
}

fn remedy(unknown: &[String], wanted: &Wanted) -> String {
    let models = unknown.join(", ");
    match wanted {
        Wanted::Model(_) => format!(
            "There is no model {models}; correct the job's `model`, or give it a `tier` of `flota llm models` instead."
        ),
        Wanted::Tier(tier) => format!(
            "Tier {tier}, with the tiers that follow it, names models that are not there: {models}; correct [llm.tiers] in \
             queues.toml, or LLM_MODEL_DEFAULT and LLM_MODEL_FALLBACK, until `flota llm models` shows ids that the provider \
             lists, and run what failed again (`flota dead replay`)."
        ),
    }
}
