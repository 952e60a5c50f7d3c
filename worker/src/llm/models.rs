//! Models by tier: which are asked, in which order, at which price.
//!
//! A job names a tier and not a model, so that a model that is taken off the market, or a cheaper one, is a line in
//! queues.toml and not a release of the application.

use std::collections::BTreeMap;

use flota_providers::{ErrorClass, ProviderError, Standing, chat};

use super::money::Price;

/// The tier of jobs that name none.
pub const DEFAULT_TIER: &str = "default";
/// The tier that `LLM_MODEL_FALLBACK` stands for.
pub const FALLBACK_TIER: &str = "fallback";

/// Every model that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Models {
    /// The models of each tier, in the order in which they are asked.
    pub tiers: BTreeMap<String, Vec<String>>,
    /// What each costs.
    pub prices: BTreeMap<String, Price>,
    /// Tiers that are asked when a model could not answer.
    pub next: Next,
}

/// Tiers that are asked next, by what kept a model from answering.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Next {
    /// It failed, is overloaded or is not there any more.
    pub trouble: Vec<String>,
    /// The conversation is too long for it.
    pub too_long: Vec<String>,
    /// It does not want to answer.
    pub policy: Vec<String>,
}

/// What a job asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// This model and no other.
    Model(String),
    /// The models of this tier, and those that come next.
    Tier(String),
}

/// A tier that is not in queues.toml.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no tier `{name}` of language models; queues.toml has {known}")]
pub struct UnknownTier {
    name: String,
    known: String,
}

/// What kept a model from answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    Trouble,
    TooLong,
    Policy,
}

impl Models {
    /// The models to ask first, in order.
    ///
    /// # Errors
    /// For a tier that is not there.
    pub fn first(&self, wanted: &Wanted) -> Result<Vec<String>, UnknownTier> {
        match wanted {
            Wanted::Model(model) => Ok(vec![model.clone()]),
            Wanted::Tier(name) => self.tiers.get(name).cloned().ok_or_else(|| UnknownTier {
                name: name.clone(),
                known: self.tiers.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// The model to ask after the last of `asked` failed like this; `None` when the job fails with it.
    ///
    /// A job that names its model gets no other: whoever does so has tried this one out.
    pub fn after(&self, wanted: &Wanted, asked: &[String], error: &ProviderError) -> Option<String> {
        let Wanted::Tier(tier) = wanted else { return None };
        let next = match obstacle(error)? {
            Obstacle::Trouble => &self.next.trouble,
            Obstacle::TooLong => &self.next.too_long,
            Obstacle::Policy => &self.next.policy,
        };
        let tiers = [tier].into_iter().chain(next);
        let models = tiers.filter_map(|tier| self.tiers.get(tier)).flatten();
        models.into_iter().find(|model| !asked.contains(model)).cloned()
    }

    /// The highest prices that any model has; `None` when none has one.
    pub fn dearest(&self) -> Option<Price> {
        let prices = self.prices.values().copied();
        prices.reduce(|one, other| Price {
            input: one.input.max(other.input),
            output: one.output.max(other.output),
        })
    }

    /// Whether metrics may name this model; names from jobs would be series without end.
    pub fn knows(&self, model: &str) -> bool {
        self.prices.contains_key(model)
    }
}

/// What another model could mend. A refused credential or a limit is the same for all of them, and an answer that was
/// lost may have been paid for: the job tries again by itself.
fn obstacle(error: &ProviderError) -> Option<Obstacle> {
    match (error.class, error.code.as_deref().unwrap_or_default()) {
        (
            _,
            "context_length_exceeded" | "token_limit_exceeded" | "max_tokens_exceeded" | "string_too_long",
        ) => Some(Obstacle::TooLong),
        (_, "content_policy_violation" | "moderation" | chat::REFUSED | chat::FILTERED) => {
            Some(Obstacle::Policy)
        }
        // Overloaded is that one model; "rate_limit_exceeded" is our key.
        (_, chat::OVERLOADED | "stalled") => Some(Obstacle::Trouble),
        _ if chat::is_unknown_model(error) => Some(Obstacle::Trouble),
        (ErrorClass::ServerError, _) if !error.was_not_sent() => Some(Obstacle::Trouble),
        // It says that trouble of its own will not pass.
        (ErrorClass::Permanent, _) if error.standing == Standing::OneRecipient => Some(Obstacle::Trouble),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models() -> Models {
        let tier = |name: &str, models: &[&str]| {
            (name.to_owned(), models.iter().map(|&model| model.to_owned()).collect())
        };
        Models {
            tiers: BTreeMap::from([
                tier("default", &["haiku"]),
                tier("fallback", &["mini", "turbo"]),
                tier("premium", &["sonnet"]),
                tier("open", &["llama"]),
            ]),
            prices: BTreeMap::new(),
            next: Next {
                trouble: vec!["fallback".into()],
                too_long: vec!["premium".into()],
                policy: vec!["open".into()],
            },
        }
    }

    fn error(class: ErrorClass, code: &str) -> ProviderError {
        ProviderError::new("llm", "complete", class, "told to").with_code(code)
    }

    /// Every model that is asked when all of them fail like this.
    fn asked(wanted: &Wanted, class: ErrorClass, code: &str) -> Vec<String> {
        let models = models();
        let mut asked = models.first(wanted).unwrap();
        asked.truncate(1);
        while let Some(next) = models.after(wanted, &asked, &error(class, code)) {
            asked.push(next);
        }
        asked
    }

    #[test]
    fn each_obstacle_has_its_own_way_out() {
        let tier = Wanted::Tier("default".into());
        let table: [(ErrorClass, &str, &[&str]); 10] = [
            (ErrorClass::ServerError, "502", &["haiku", "mini", "turbo"]),
            (ErrorClass::Permanent, chat::UNKNOWN_MODEL, &["haiku", "mini", "turbo"]),
            (ErrorClass::Permanent, "404", &["haiku", "mini", "turbo"]),
            (
                ErrorClass::RateLimited { retry_after: None },
                "provider_overloaded",
                &["haiku", "mini", "turbo"],
            ),
            (ErrorClass::Timeout, "stalled", &["haiku", "mini", "turbo"]),
            (ErrorClass::Permanent, "context_length_exceeded", &["haiku", "sonnet"]),
            (ErrorClass::Permanent, "content_policy_violation", &["haiku", "llama"]),
            (ErrorClass::Auth, "401", &["haiku"]),
            (ErrorClass::RateLimited { retry_after: None }, "rate_limit_exceeded", &["haiku"]),
            (ErrorClass::Permanent, "invalid_request", &["haiku"]),
        ];

        for (class, code, models) in table {
            assert_eq!(asked(&tier, class, code), models, "{code}");
        }
    }

    #[test]
    fn the_rest_of_a_tier_comes_before_the_next_tier_and_none_is_asked_twice() {
        let tier = Wanted::Tier("fallback".into());

        assert_eq!(asked(&tier, ErrorClass::ServerError, "500"), ["mini", "turbo"]);
    }

    #[test]
    fn a_model_by_name_is_asked_alone() {
        let model = Wanted::Model("sonnet".into());

        assert_eq!(asked(&model, ErrorClass::ServerError, "500"), ["sonnet"]);
    }

    #[test]
    fn an_unknown_tier_is_told_with_those_that_there_are() {
        let error = models().first(&Wanted::Tier("best".into())).unwrap_err().to_string();

        assert!(error.contains("`best`") && error.contains("default, fallback, open, premium"), "{error}");
    }
}
