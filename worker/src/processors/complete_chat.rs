//! Asks a language model; the answer and what it took are the result.
//!
//! Neither questions nor answers are logged.

use std::time::Duration;

use flota_engine::{IfRepeated, Job, Processor, Receipt};
use flota_producer::CompleteChat;
use flota_providers::chat::{self, ChatRequest};

use crate::{
    failure::Error,
    llm::{DEFAULT_TIER, Defaults, Form, Question, Wanted},
    results, service_settings,
    services::Services,
};

impl Processor<Services> for CompleteChat {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The model is asked and paid twice; only the last answer is kept.",
        key: "None: the API has no idempotency key.",
        receiver: "Nothing: the result of the job is recorded once.",
    };

    type Error = Error;

    async fn run(self, job: &Job, services: &Services) -> Result<Receipt, Error> {
        let llm = services.llm.as_ref().ok_or(service_settings::LLM.missing())?;
        let answered = llm.answer(job, question(self, llm.defaults)?).await?;
        let mut result = results::fit(job, answered.result, "answer", services).await;
        // What it took is never cut: costs are added up from it.
        result["usage"] = answered.usage;
        let provider = Some(chat::PROVIDER.into());
        Ok(Receipt { provider, provider_ref: answered.id, result: Some(result) })
    }
}

fn question(chat: CompleteChat, defaults: Defaults) -> Result<Question, Error> {
    let form = chat.answer_schema.map(Form::new).transpose()?;
    let wanted = match chat.model {
        Some(model) => Wanted::Model(model),
        None => Wanted::Tier(chat.tier.unwrap_or_else(|| DEFAULT_TIER.to_owned())),
    };
    let messages = chat.messages.into_iter();
    let request = ChatRequest {
        model: String::new(),
        messages: messages.map(|message| (message.role.word().to_owned(), message.content)).collect(),
        max_tokens: chat.max_tokens.unwrap_or(defaults.max_tokens),
        temperature: chat.temperature.unwrap_or(defaults.temperature),
        response_format: form.as_ref().map(Form::response_format).or(chat.response_format),
    };
    let keep_for = chat.reuse_seconds.map(u64::from).map(Duration::from_secs);
    Ok(Question { wanted, request, form, keep_for })
}
