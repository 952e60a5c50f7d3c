//! One question from the first model to an answer that fits: hold, call, spend, and on to the next model.
//!
//! Each call is paid for by itself and told by itself (`usage.calls` of the result), also when the job fails.
//!
//! - A job that has to wait for a limit, a credential or its budget leaves no record, so what its run has paid by then
//!   would be told nowhere. Such a wait is therefore free of charge only as long as the run has paid nothing: later it
//!   ends the run as a failed one, with its record, after the same wait. That also bounds how often a job may pay for
//!   answers that do not fit and then meet a limit.
//! - A call that was sent and whose answer was lost, or did not say what it took, counts as what was held for it
//!   (`"cost_from": "estimate"`).
//! - A run that was cancelled, or cut off by its time limit, has no result to be told in: its last call is in the budget
//!   of its tenant and in no row. So the limit of queue `llm` is longer than all calls of a run together.

use std::time::Duration;

use flota_engine::Job;
use flota_producer::clock;
use flota_providers::{
    ErrorClass, ProviderError,
    chat::{self, ChatRequest, Said, Took, Usage, took},
    pipeline::Caller,
};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::{
    Llm,
    budget::WhenSpent,
    cache::Kept,
    form::{Form, Misfit},
    in_vain::InVain,
    models::Wanted,
    money::{Dollars, Price, Teller, cost},
    purse::{Held, TooLittle},
};
use crate::failure::{Error, chain, wait, waits};

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
    in_vain: InVain,
    is_repaired: bool,
    is_over_budget: bool,
}

impl<'a> Asking<'a> {
    pub(super) fn new(llm: &'a Llm, job: &'a Job, question: Question) -> Self {
        let (asked, paid, in_vain) = (Vec::new(), Vec::new(), InVain::default());
        Self { llm, job, question, asked, paid, in_vain, is_repaired: false, is_over_budget: false }
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
            let answer = self.call().await.map_err(|error| self.told(error))?;
            match answer {
                Ok(said) => {
                    let Some(kept) = self.fits(said.clone())? else { continue };
                    // Who asks again when there is more credit gets the whole answer, and when there is more budget that of
                    // the models that were asked for.
                    let is_as_wanted = said.shortened_to.is_none() && !self.is_over_budget;
                    if let Some(age) = self.question.keep_for.filter(|_| is_as_wanted) {
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
        let sent = held.as_ref();
        let call = self.llm.client.call(caller, |client| async move {
            if let Some(held) = sent {
                held.sent();
            }
            client.complete(request, now).await
        });
        let answer = call.await.map(Said::read);
        let spent = self.pay(&answer);
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
        let form = request.response_format.as_ref().map_or(0, |form| form.to_string().len());
        let bytes = form + request.messages.iter().map(|(_, content)| content.len()).sum::<usize>();
        self.price().map_or_else(Dollars::default, |(price, _)| {
            price.of(bytes as u64 / BYTES_PER_TOKEN + 1, u64::from(request.max_tokens))
        })
    }

    /// What the model costs, and who says so. Within a budget one without a price counts as the dearest that has one: what
    /// nobody knows must not be free there.
    fn price(&self) -> Option<(Price, Teller)> {
        let models = &self.llm.models;
        if let Some(price) = models.prices.get(&self.question.request.model) {
            return Some((*price, Teller::Table));
        }
        let has_budget = self.llm.budgets.of(self.tenant()).is_some() && !self.is_over_budget;
        models.dearest().filter(|_| has_budget).map(|price| (price, Teller::Estimate))
    }

    fn pay(&mut self, answer: &Result<Said, ProviderError>) -> Dollars {
        if answer.as_ref().is_err_and(ProviderError::was_not_sent) {
            return Dollars::default();
        }
        let model = self.question.request.model.clone();
        let price = self.price();
        let took = answer.as_ref().map_or_else(took, |said| said.usage.map_or(Took::Untold, Took::Told));
        let (usage, (spent, cost_from)) = match took {
            Took::Told(usage) => (usage, cost(usage, price)),
            Took::Untold if price.is_some() => (Usage::default(), (self.most(), Teller::Estimate)),
            Took::Untold | Took::Nothing => (Usage::default(), cost(Usage::default(), price)),
        };
        self.llm.count(&model, usage, spent);
        self.paid.push(Paid {
            model,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            cost_usd: spent.as_f64(),
            cost_from,
            error: answer.as_ref().err().map(|error| error.class.name()),
        });
        spent
    }

    /// An error as the job fails with it: with what the run took, and as a failure when waiting would leave no record.
    fn told(&self, error: Error) -> Error {
        if self.paid.is_empty() {
            return error;
        }
        let has_paid = self.paid.iter().any(|paid| 0.0 < paid.cost_usd || 0 < paid.prompt_tokens);
        let failed = |code: &str, wait, message: String| {
            let error = ProviderError::new(chat::PROVIDER, "complete", ErrorClass::ServerError, message);
            error.with_code(code).with_server_wait(wait).with_detail(json!({ "usage": self.usage() })).into()
        };
        match error {
            Error::BudgetSpent(spent) if has_paid => {
                failed("budget_spent", Some(spent.wait), spent.to_string())
            }
            Error::Budget(_) if has_paid => failed("budget_unread", None, chain(&error)),
            Error::Provider(error) if has_paid && waits(&error) => {
                let wait = wait(&error);
                failed(error.code.as_deref().unwrap_or("limit"), wait, error.message.into())
            }
            Error::Provider(error) => error.with_detail(json!({ "usage": self.usage() })).into(),
            other => other,
        }
    }

    /// The answer in the form that was asked for. `None` when the model is asked to repair it.
    fn fits(&mut self, said: Said) -> Result<Option<Kept>, Error> {
        let Said { text, model, finish_reason, .. } = said;
        let Some(form) = &self.question.form else {
            return Ok(Some(Kept { answer: text, model, finish_reason }));
        };
        let Misfit { wrong, rules } = match form.check(&text) {
            Ok(answer) => return Ok(Some(Kept { answer, model, finish_reason })),
            Err(misfit) => misfit,
        };
        if self.is_repaired {
            let message = format!("The answer does not fit its schema, nor did the one before it: {rules}.");
            let error = ProviderError::new(chat::PROVIDER, "complete", ErrorClass::ServerError, message);
            return Err(self.told(error.with_code("answer_schema").into()));
        }
        self.is_repaired = true;
        let messages = &mut self.question.request.messages;
        messages.push(("assistant".to_owned(), text));
        messages.push(("user".to_owned(), form.repair(&wrong)));
        Ok(None)
    }

    fn next(&mut self, error: ProviderError) -> Result<(), Error> {
        let Some(model) = self.llm.models.after(&self.question.wanted, &self.asked, &error) else {
            let in_vain = std::mem::take(&mut self.in_vain);
            let error = in_vain.told(&self.question.request.model, error, &self.question.wanted);
            return Err(self.told(error.into()));
        };
        info!(
            job.id = %self.job.id, code = error.code.as_deref(),
            "Model {} could not answer ({}); {model} is asked", self.question.request.model, error.class.name()
        );
        self.in_vain.note(&self.question.request.model, error);
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

/// A tenant has too little left to spend: its job waits for the window to turn.
#[derive(Debug, thiserror::Error)]
#[error(
    "{whose} may spend {limit} in {window}: {spent} is spent, {held} is held for calls under way, and this call may cost up \
     to {most}; the job waits for the next window, in {}. More: [llm.budgets] in queues.toml, `flota llm budget`",
    humantime::format_duration(in_minutes(*wait)),
    limit = room.window.limit, window = room.window.name, spent = room.spent, held = room.held, most = room.most
)]
pub struct BudgetSpent {
    whose: String,
    room: Box<TooLittle>,
    /// Until the window turns.
    pub wait: Duration,
}

impl BudgetSpent {
    fn new(tenant: Option<&str>, room: TooLittle) -> Self {
        let whose = tenant.map_or_else(
            || "All jobs without a tenant together".to_owned(),
            |tenant| format!("Tenant {tenant}"),
        );
        let wait = room.window.left;
        Self { whose, room: Box::new(room), wait }
    }
}

/// Rounded up: nobody plans by the second when it takes hours.
fn in_minutes(wait: Duration) -> Duration {
    Duration::from_mins(wait.as_secs().div_ceil(60))
}
