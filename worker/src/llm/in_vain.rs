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
            self.add(model);
        } else {
            self.trouble = Some(error);
        }
    }

    /// Once: a tier that is asked when a budget is spent may name models that were asked before.
    fn add(&mut self, model: &str) {
        if !self.unknown.iter().any(|known| known == model) {
            self.unknown.push(model.to_owned());
        }
    }

    /// What the run fails with, after this model could not answer either and nobody is left to ask.
    pub(super) fn told(mut self, model: &str, last: ProviderError, wanted: &Wanted) -> ProviderError {
        if !chat::is_unknown_model(&last) {
            return last;
        }
        self.add(model);
        let mut error = self.trouble.unwrap_or(last);
        error.message = format!("{} {}", remedy(&self.unknown, wanted), error.message).into();
        error
    }
}

fn remedy(unknown: &[String], wanted: &Wanted) -> String {
    let models = unknown.join(", ");
    let correct = match wanted {
        Wanted::Model(_) => format!(
            "There is no model {models} for this account; correct the job's `model`, or give it a `tier` of `flota llm models` \
             instead."
        ),
        Wanted::Tier(_) => format!(
            "The tiers of this job name models that are not there: {models}; correct [llm.tiers] in queues.toml, or \
             LLM_MODEL_DEFAULT and LLM_MODEL_FALLBACK, until `flota llm models` shows ids that the provider lists, and run what \
             failed again (`flota dead replay`)."
        ),
    };
    // The same answer comes for models that the account's rules leave out, and for all of them from a wrong address.
    format!("{correct} If the ids are right, look at the account's privacy settings and at LLM_BASE_URL.")
}

#[cfg(test)]
mod tests {
    use flota_providers::ErrorClass;

    use super::*;

    #[test]
    fn an_id_that_was_asked_for_in_two_tiers_is_named_once() {
        let unknown = || {
            ProviderError::new(chat::PROVIDER, "complete", ErrorClass::Permanent, "Gone.")
                .with_code(chat::UNKNOWN_MODEL)
        };
        let mut in_vain = InVain::default();
        in_vain.note("acme/one", unknown());
        in_vain.note("acme/two", unknown());

        let told = in_vain.told("acme/one", unknown(), &Wanted::Tier("cheap".into()));

        assert!(told.message.contains("not there: acme/one, acme/two; correct"), "{told}");
    }
}
