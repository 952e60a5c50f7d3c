//! One question from the first model to an answer that fits: hold, call, spend, and on to the next model.
//!
//! Each call is paid for by itself and told by itself (`usage.calls` of the result), also when the job fails.

use std::time::Duration;

use flota_engine::Job;
use flota_producer::clock;
use flota_providers::{
    ErrorClass, ProviderError,
    chat::{self, ChatRequest, Said, Usage},
    pipeline::Caller,
};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::{
    Llm,
    budget::WhenSpent,
    cache::Kept,
    form::{Form, repair},
    models::Wanted,
    money::{Dollars, Teller, cost},
    purse::{Held, Spent},
};
use crate::failure::{Error, chain};

/// Bytes of a question that are at least one token; languages with accents have fewer.
const BYTES_PER_TOKEN: u64 = 3;

/// What a job asks.
pub struct Question {
    /// Of whom.
    pub wanted: Wanted,
    /// Everything but the model.
    pub request: ChatRequest,
    /// What the answer has to look like.
    pub form: Option<Form>,
    /// How long the answer may be given again to the same question.
    pub keep_for: Option<Duration>,
}

/// One call that was made.
#[derive(Debug, serde::Serialize)]
struct Paid {
    model: String,
    prompt_tokens: u64,
    completion_tokens: u64,
    cost_usd: f64,
    cost_from: Teller,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

/// An answer and what it took.
#[derive(Debug)]
pub struct Answered {
    /// The generation at the provider; `None` for an answer that was kept.
    pub id: Option<String>,
    /// `answer`, `model`, `finish_reason`, `cached`.
    pub result: Value,
    /// Tokens, dollars, and each call.
    pub usage: Value,
}

/// A question on its way.
pub(super) struct Asking<'a> {
    llm: &'a Llm,
    job: &'a Job,
    question: Question,
    asked: Vec<String>,
    paid: Vec<Paid>,
    is_repaired: bool,
    is_over_budget: bool,
}

impl<'a> Asking<'a> {
    pub(super) fn new(llm: &'a Llm, job: &'a Job, question: Question) -> Self {
        let (asked, paid) = (Vec::new(), Vec::new());
        Self { llm, job, question, asked, paid, is_repaired: false, is_over_budget: false }
    }

    /// Asks until there is an answer.
    pub(super) async fn answer(mut self) -> Result<Answered, Error> {
        let models = self.llm.models.first(&self.question.wanted)?;
        let key = self.llm.cache.key(self.tenant(), &models, &self.question.request);
        if self.question.keep_for.is_some()
            && let Some(kept) = self.llm.cache.get(&key).await
        {
            return Ok(self.done(None, &kept, true));
        }
        self.take(&models)?;
        loop {
            match self.call().await? {
                Ok(said) => {
                    let Some(kept) = self.fits(said.clone())? else { continue };
                    if let Some(age) = self.question.keep_for {
                        self.llm.cache.keep(&key, &kept, age).await;
                    }
                    return Ok(self.done(said.id, &kept, false));
                }
                Err(error) => self.next(error)?,
            }
        }
    }

    fn tenant(&self) -> Option<&'a str> {
        self.job.envelope.tenant.as_deref()
    }

    fn take(&mut self, models: &[String]) -> Result<(), Error> {
        let none = || {
            ProviderError::new(chat::PROVIDER, "complete", ErrorClass::Permanent, "The tier has no model.")
        };
        let model = models.first().ok_or_else(none)?;
        self.asked.push(model.clone());
        self.question.request.model.clone_from(model);
        Ok(())
    }

    /// One call, paid for. The outer error is not the model's.
    async fn call(&mut self) -> Result<Result<Said, ProviderError>, Error> {
        let held = self.hold().await?;
        let request = &self.question.request;
        let now = clock::unix_now().as_secs() as i64;
        let caller = Caller { tenant: self.tenant(), ticket: self.job.id.to_string().into(), place: None };
        let call = self.llm.client.call(caller, |client| async move { client.complete(request, now).await });
        let answer = call.await.map(Said::read);
        let usage = answer.as_ref().map_or(Usage::default(), |said| said.usage);
        let spent = self.pay(usage, answer.as_ref().err());
        if let Some(held) = held
            && let Err(error) = held.spend(spent).await
        {
            warn!(job.id = %self.job.id, "What a call cost ({spent}) is not in its tenant's budget: {}", chain(&error));
        }
        Ok(answer)
    }

    /// Sets aside what the call may cost. Without a budget, and beyond it where that is allowed, there is nothing to hold.
    async fn hold(&mut self) -> Result<Option<Held>, Error> {
        let Some(budget) = self.llm.budgets.of(self.tenant()) else { return Ok(None) };
        if self.is_over_budget {
            return Ok(None);
        }
        let spent = match self.llm.purses.hold(self.tenant(), budget, self.job.id, self.most()).await? {
            Ok(held) => return Ok(Some(held)),
            Err(spent) => spent,
        };
        match &budget.when_spent {
            WhenSpent::Wait => Err(Error::BudgetSpent(BudgetSpent::new(self.tenant(), spent))),
            WhenSpent::Tier(tier) => {
                info!(job.id = %self.job.id, tenant = self.tenant(), "The budget of {} is spent; tier {tier} is asked", spent.window.name);
                self.is_over_budget = true;
                self.question.wanted = Wanted::Tier(tier.clone());
                self.asked.clear();
                let models = self.llm.models.first(&self.question.wanted)?;
                self.take(&models)?;
                Ok(None)
            }
        }
    }

    /// What the call costs at most, by our table.
    fn most(&self) -> Dollars {
        let request = &self.question.request;
        let price = self.llm.models.prices.get(&request.model);
        let bytes: usize = request.messages.iter().map(|(_, content)| content.len()).sum();
        price.map_or_else(Dollars::default, |price| {
            price.of(bytes as u64 / BYTES_PER_TOKEN + 1, u64::from(request.max_tokens))
        })
    }

    fn pay(&mut self, usage: Usage, error: Option<&ProviderError>) -> Dollars {
        if error.is_some_and(ProviderError::was_not_sent) {
            return Dollars::default();
        }
        let model = self.question.request.model.clone();
        let (spent, cost_from) = cost(usage, self.llm.models.prices.get(&model).copied());
        self.llm.count(&model, usage, spent);
        self.paid.push(Paid {
            model,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            cost_usd: spent.as_f64(),
            cost_from,
            error: error.map(|error| error.class.name()),
        });
        spent
    }

    /// The answer in the form that was asked for. `None` when the model is asked to repair it.
    fn fits(&mut self, said: Said) -> Result<Option<Kept>, Error> {
        let Said { text, model, finish_reason, .. } = said;
        let Some(form) = &self.question.form else {
            return Ok(Some(Kept { answer: text, model, finish_reason }));
        };
        let wrong = match form.check(&text) {
            Ok(answer) => return Ok(Some(Kept { answer, model, finish_reason })),
            Err(wrong) => wrong,
        };
        if self.is_repaired {
            let message = format!("The answer does not fit its schema, nor did the one before it: {wrong}.");
            let error = ProviderError::new(chat::PROVIDER, "complete", ErrorClass::ServerError, message);
            return Err(error
                .with_code("answer_schema")
                .with_detail(json!({ "usage": self.usage() }))
                .into());
        }
        self.is_repaired = true;
        let messages = &mut self.question.request.messages;
        messages.push(("assistant".to_owned(), text));
        messages.push(("user".to_owned(), repair(&wrong)));
        Ok(None)
    }

    fn next(&mut self, error: ProviderError) -> Result<(), Error> {
        let Some(model) = self.llm.models.after(&self.question.wanted, &self.asked, &error) else {
            return Err(if self.paid.is_empty() {
                error
            } else {
                error.with_detail(json!({ "usage": self.usage() }))
            }
            .into());
        };
        info!(
            job.id = %self.job.id, code = error.code.as_deref(),
            "Model {} could not answer ({}); {model} is asked", self.question.request.model, error.class.name()
        );
        self.take(&[model])
    }

    fn done(&self, id: Option<String>, kept: &Kept, cached: bool) -> Answered {
        let Kept { answer, model, finish_reason } = kept;
        let result =
            json!({ "answer": answer, "model": model, "finish_reason": finish_reason, "cached": cached });
        Answered { id, result, usage: self.usage() }
    }

    fn usage(&self) -> Value {
        let sum = |of: fn(&Paid) -> u64| self.paid.iter().map(of).sum::<u64>();
        let dollars: Dollars = self.paid.iter().map(|paid| Dollars::new(paid.cost_usd)).sum();
        json!({
            "prompt_tokens": sum(|paid| paid.prompt_tokens),
            "completion_tokens": sum(|paid| paid.completion_tokens),
            "cost_usd": dollars.as_f64(),
            "calls": self.paid,
        })
    }
}

/// A tenant has nothing left to spend: its job waits for the window to turn.
#[derive(Debug, thiserror::Error)]
#[error(
    "{whose} has spent {spent} of the {limit} that it may spend in {window}; the job waits for the next window, in {} s. More: [llm.budgets] in queues.toml",
    wait.as_secs()
)]
pub struct BudgetSpent {
    whose: String,
    window: String,
    spent: Dollars,
    limit: Dollars,
    /// Until the window turns.
    pub wait: Duration,
}

impl BudgetSpent {
    fn new(tenant: Option<&str>, Spent { window, spent }: Spent) -> Self {
        let whose = tenant.map_or_else(|| "The fleet".to_owned(), |tenant| format!("Tenant {tenant}"));
        Self { whose, window: window.name, spent, limit: window.limit, wait: window.left }
    }
}
