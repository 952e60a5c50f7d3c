//! Language models: who is asked, what it may cost, what is done with the answer.
//!
//! 1. `models.rs`: tiers, prices, and which model is asked when one cannot answer
//! 2. `money.rs`: what a call cost
//! 3. `budget.rs`, `purse.rs`: what a tenant may spend in a day or month, and what it has spent
//! 4. `cache.rs`: answers that may be given again
//! 5. `form.rs`: answers held to a JSON Schema
//! 6. `in_vain.rs`: what a run fails with when models are not there
//! 7. `ask.rs`: all of it in order, for one question
//!
//! Neither questions nor answers are logged.

mod ask;
mod budget;
mod cache;
mod form;
mod in_vain;
mod models;
mod money;
mod purse;
mod settings;
mod usage;

#[cfg(test)]
mod tests;

use flota_engine::Job;
use flota_producer::{keys::Prefix, link::Link};
use flota_providers::{
    chat::{ChatClient, Usage},
    pipeline::Provider,
};
use metrics::counter;

pub(crate) use self::money::Teller;
use self::{ask::Asking, cache::Cache};
pub use self::{
    ask::{Answered, BudgetSpent, Question},
    budget::{Budget, Budgets, WhenSpent, Window},
    form::{BadSchema, Form},
    models::{DEFAULT_TIER, FALLBACK_TIER, Models, Next, UnknownTier, Wanted},
    money::{Dollars, Price},
    purse::{Purses, Standing},
    settings::{Fault, LlmSettings, Written},
    usage::{By, Sum, usage},
};
use crate::{
    failure::Error,
    telemetry::{
        self,
        metrics::{LLM_COST, LLM_TOKENS},
    },
};

/// Asks language models on behalf of jobs.
pub struct Llm {
    client: Provider<ChatClient>,
    models: Models,
    budgets: Budgets,
    purses: Purses,
    cache: Cache,
    /// For jobs that do not say.
    pub(crate) defaults: Defaults,
}

/// What holds for jobs that do not say.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    /// Longest answer, in tokens.
    pub max_tokens: u32,
    /// 0 to 2.
    pub temperature: f64,
}

impl Llm {
    /// With this client; budgets and kept answers are in this Redis.
    pub fn new(
        client: Provider<ChatClient>,
        settings: LlmSettings,
        defaults: Defaults,
        (link, prefix): (&Link, &Prefix),
    ) -> Self {
        let LlmSettings { models, budgets } = settings;
        let purses = Purses::new(link.again(), prefix.clone());
        let cache = Cache::new(link.again(), prefix.clone());
        Self { client, models, budgets, purses, cache, defaults }
    }

    /// Answers a question.
    ///
    /// # Errors
    /// What kept the last model from answering, or that its tenant has nothing left to spend.
    pub async fn answer(&self, job: &Job, question: Question) -> Result<Answered, Error> {
        Asking::new(self, job, question).answer().await
    }

    fn count(&self, model: &str, usage: Usage, spent: Dollars) {
        telemetry::tell_tokens(model, usage.prompt_tokens, usage.completion_tokens);
        let model = if self.models.knows(model) { model.to_owned() } else { "other".to_owned() };
        counter!(LLM_TOKENS, "model" => model.clone(), "kind" => "input").increment(usage.prompt_tokens);
        counter!(LLM_TOKENS, "model" => model.clone(), "kind" => "output").increment(usage.completion_tokens);
        counter!(LLM_COST, "model" => model).increment(spent.nanos() / 1_000);
    }
}
