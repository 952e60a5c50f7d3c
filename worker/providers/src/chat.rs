//! Chat completions of an OpenAI-compatible API; OpenRouter unless the settings say otherwise.
//!
//! A 200 can be an error: a body with `error`, an error in the middle of a stream, a choice that finished with `error`,
//! or nothing at all on a cold start. What the other side says of itself counts in this order: `error.availability`,
//! `error.metadata.error_type`, the HTTP status. Prompts and answers are in no error and no log.
//!
//! One call asks one model. Which model is asked next when one cannot answer is decided by whoever calls, because it
//! depends on prices and budgets; OpenRouter's own `models` list would decide it out of our sight.

mod answer;
mod stream;

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Value, json};

pub use self::answer::Usage;
use self::answer::{ApiError, Completion};
use crate::{
    ErrorClass, ProviderError, Receipt, Standing,
    api::{Api, ApiSettings, advice},
    exchange::{HttpAnswer, Repeat},
    pipeline::{Client, Target},
};

/// The name of this provider in receipts, errors and metrics.
pub const PROVIDER: &str = "llm";
/// Where the API is.
pub const BASE_URL: &str = "https://openrouter.ai/api/v1";
const COMPLETE: &str = "complete";
/// What OpenRouter says when one model is too busy.
pub const OVERLOADED: &str = "provider_overloaded";
/// Longest silence in the middle of an answer. OpenRouter sends a comment every few seconds while a model thinks.
pub const STALL: Duration = Duration::from_secs(30);

/// The account that asks.
#[derive(Debug, Clone)]
pub struct ChatSettings {
    /// Where the API is.
    pub api: ApiSettings,
    /// Its key.
    pub api_key: SecretString,
    /// Longest silence in the middle of an answer.
    pub stall: Duration,
}

/// One question to one model.
#[derive(Debug, Clone, Default)]
pub struct ChatRequest {
    /// The model.
    pub model: String,
    /// The conversation so far: role and content.
    pub messages: Vec<(String, String)>,
    /// Longest answer, in tokens.
    pub max_tokens: u32,
    /// 0 to 2.
    pub temperature: f64,
    /// Asks for an answer of a certain form, as the API defines it.
    pub response_format: Option<Value>,
}

/// What a model said.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The answer, or why it was refused.
    pub text: String,
    /// Name of the generation at the provider.
    pub id: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// `stop`, `length`, `content_filter`, …
    pub finish_reason: Option<String>,
    /// What it took.
    pub usage: Usage,
}

impl Said {
    /// As a receipt: detail has everything, to be read again by [`Self::read`].
    fn receipt(self) -> Receipt {
        let Self { text, id, model, finish_reason, usage } = self;
        let usage = json!({
            "prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens, "cost": usage.cost,
        });
        let detail =
            json!({ "answer": text, "model": model, "finish_reason": finish_reason, "usage": usage });
        Receipt { provider: PROVIDER, provider_ref: id, detail: Some(detail) }
    }

    /// What a receipt of this client holds.
    pub fn read(receipt: Receipt) -> Self {
        let mut detail = receipt.detail.unwrap_or_default();
        let mut text = |name: &str| match detail[name].take() {
            Value::String(text) => Some(text),
            _ => None,
        };
        let (answer, model, finish_reason) = (text("answer"), text("model"), text("finish_reason"));
        Self {
            text: answer.unwrap_or_default(),
            id: receipt.provider_ref,
            model,
            finish_reason,
            usage: Usage::of(detail.get("usage")),
        }
    }
}

/// Asks one API.
#[derive(Debug)]
pub struct ChatClient {
    api: Api,
    settings: ChatSettings,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Value>,
    max_tokens: u32,
    temperature: f64,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<&'a Value>,
}

impl ChatClient {
    /// Builds the client.
    ///
    /// # Errors
    /// When the TLS stack cannot be set up.
    pub fn new(settings: ChatSettings) -> Result<Self, ProviderError> {
        let api = Api::new(PROVIDER, settings.api.clone(), settings.api_key.clone())?;
        Ok(Self { api, settings })
    }

    /// Asks once. The receipt is read by [`Said::read`]; its `provider_ref` is the generation's id.
    ///
    /// A lost answer is asked for again and may be billed twice: asking changes nothing else, so that is no reason to
    /// give up.
    pub async fn complete(&self, question: &ChatRequest, now_unix: i64) -> Result<Receipt, ProviderError> {
        let request = self.api.post("/chat/completions").bearer_auth(self.settings.api_key.expose_secret());
        let request = request.json(&body(question));
        let answer = self.api.listen(COMPLETE, request, Repeat::Safe, self.settings.stall).await?;
        let Some(completion) = self.read(&answer)? else {
            if answer.is_success() {
                return Err(self.unreadable());
            }
            return Err(self.refused(&answer, answer.status, ApiError::default(), now_unix));
        };
        if let Some(error) = completion.error {
            return Err(self.refused(&answer, error.status(answer.status), error, now_unix));
        }
        if !answer.is_success() {
            return Err(self.refused(&answer, answer.status, ApiError::default(), now_unix));
        }
        let Some(choice) = completion.choices.into_iter().next() else {
            return Err(self.empty());
        };
        if choice.error.is_some() || choice.finish_reason.as_deref() == Some("error") {
            let error = choice.error.unwrap_or_default();
            return Err(self.refused(&answer, error.status(502), error, now_unix));
        }
        let message = choice.message.unwrap_or_default();
        let text = [message.content, message.refusal].into_iter().flatten().find(|text| !text.is_empty());
        let Some(text) = text else { return Err(self.empty()) };
        let usage = Usage::of(completion.usage.as_ref());
        let (id, model) = (completion.id, completion.model);
        Ok(Said { text, id, model, finish_reason: choice.finish_reason, usage }.receipt())
    }

    /// The answer, whole or streamed; `None` when it is neither.
    fn read(&self, answer: &HttpAnswer) -> Result<Option<Completion>, ProviderError> {
        let streamed = answer.header("content-type").is_some_and(|kind| kind.starts_with(stream::MEDIA_TYPE));
        if !streamed {
            return Ok(answer.json());
        }
        let whole = stream::collect(&answer.body);
        whole.map(Some).ok_or_else(|| {
            let advice = "The answer broke off in the middle; the job is repeated later.";
            self.api.error(COMPLETE, ErrorClass::ServerError, advice, "").with_code("cut_off")
        })
    }

    fn empty(&self) -> ProviderError {
        let advice = "The answer is empty, as on a cold start; the job is repeated later.";
        self.api.error(COMPLETE, ErrorClass::ServerError, advice, "").with_code("empty")
    }

    fn unreadable(&self) -> ProviderError {
        let advice =
            "The answer is no completion; the trouble is on the other side, and the job is repeated later.";
        self.api.error(COMPLETE, ErrorClass::ServerError, advice, "").with_code("unreadable")
    }

    fn refused(&self, answer: &HttpAnswer, status: u16, error: ApiError, now_unix: i64) -> ProviderError {
        let availability = error.availability.unwrap_or_default();
        let told = availability.retry_after.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let wait = told.map(|wait| wait.min(crate::MAX_RETRY_AFTER)).or_else(|| answer.wait(now_unix));
        let word = error.metadata.and_then(|metadata| metadata.error_type).or(error.r#type);
        let code_word = error.code.as_str().map(ToOwned::to_owned);
        let class = classify(word.as_deref(), code_word.as_deref(), status, availability.retryable);
        let class = match class {
            ErrorClass::RateLimited { .. } => ErrorClass::RateLimited { retry_after: wait },
            other => other,
        };
        let code = code_word.or(word).unwrap_or_else(|| status.to_string());
        let code: String = code.chars().filter(char::is_ascii_graphic).take(64).collect();
        // Overloaded is one model; others are asked on.
        let standing = if code == OVERLOADED { Standing::OneRecipient } else { Standing::Answered };
        let error = self.api.error(COMPLETE, class, advice(class), &error.message);
        error.with_code(code).with_server_wait(wait).with_standing(standing)
    }
}

fn body(question: &ChatRequest) -> Body<'_> {
    let message = |(role, content): &(String, String)| json!({ "role": role, "content": content });
    Body {
        model: &question.model,
        messages: question.messages.iter().map(message).collect(),
        max_tokens: question.max_tokens,
        temperature: question.temperature,
        stream: true,
        response_format: question.response_format.as_ref(),
    }
}

impl Client for ChatClient {
    fn target(&self) -> Target {
        self.api.target(COMPLETE, Repeat::Safe)
    }
}

/// What a refusal means. Pure; the wait is added by the caller.
pub(crate) fn classify(
    word: Option<&str>,
    code: Option<&str>,
    status: u16,
    retryable: Option<bool>,
) -> ErrorClass {
    let limited = ErrorClass::RateLimited { retry_after: None };
    let by_word = [code, word].into_iter().flatten().find_map(|word| match word {
        "insufficient_quota" | "payment_required" | "billing_hard_limit_reached" => Some(ErrorClass::Quota),
        "invalid_api_key" | "authentication" | "authentication_error" => Some(ErrorClass::Auth),
        "rate_limit_exceeded" | "provider_overloaded" => Some(limited),
        "server_is_overloaded"
        | "slow_down"
        | "server"
        | "server_error"
        | "provider_unavailable"
        | "timeout" => Some(ErrorClass::ServerError),
        "context_length_exceeded"
        | "max_tokens_exceeded"
        | "content_policy_violation"
        | "moderation"
        | "invalid_prompt"
        | "permission_denied"
        | "guardrail" => Some(ErrorClass::Permanent),
        _ => None,
    });
    if let Some(class) = by_word {
        return class;
    }
    match status {
        401 => ErrorClass::Auth,
        402 => ErrorClass::Quota,
        429 | 503 => limited,
        408 | 409 | 425 | 500.. => ErrorClass::ServerError,
        _ if retryable == Some(true) => ErrorClass::ServerError,
        _ => ErrorClass::Permanent,
    }
}
