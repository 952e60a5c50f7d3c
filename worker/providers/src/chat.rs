//! Chat completions of an OpenAI-compatible API; OpenRouter unless the settings say otherwise.
//!
//! A 200 can be an error: a body with `error`, a choice that finished with `error`, or nothing at all on a cold start.
//! What the other side says of itself counts in this order: `error.availability`, `error.metadata.error_type`, the
//! HTTP status. Prompts and answers are in no error and no log.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    ErrorClass, ProviderError, Receipt,
    api::{Api, ApiSettings, advice},
    exchange::{HttpAnswer, Repeat},
    pipeline::{Client, Target},
};

/// The name of this provider in receipts, errors and metrics.
pub const PROVIDER: &str = "llm";
/// Where the API is.
pub const BASE_URL: &str = "https://openrouter.ai/api/v1";
const COMPLETE: &str = "complete";

/// The account that asks.
#[derive(Debug, Clone)]
pub struct ChatSettings {
    /// Where the API is.
    pub api: ApiSettings,
    /// Its key.
    pub api_key: SecretString,
    /// Model of requests that name none.
    pub model: String,
    /// Model that answers when the first cannot; OpenRouter tries them in order.
    pub fallback: Option<String>,
    /// Longest answer of requests that do not say, in tokens.
    pub max_tokens: u32,
    /// Temperature of requests that do not say.
    pub temperature: f64,
}

/// One question.
#[derive(Debug, Clone, Default)]
pub struct ChatRequest {
    /// The conversation so far: role and content.
    pub messages: Vec<(String, String)>,
    /// Model to use instead of the settings' one, without fallback.
    pub model: Option<String>,
    /// Longest answer, in tokens.
    pub max_tokens: Option<u32>,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// Asks for an answer of a certain form, as the API defines it.
    pub response_format: Option<Value>,
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    models: Vec<&'a str>,
    messages: Vec<Value>,
    max_tokens: u32,
    temperature: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<&'a Value>,
}

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    message: Option<Message>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

#[derive(Deserialize, Default)]
struct ApiError {
    #[serde(default)]
    code: Value,
    #[serde(default)]
    message: String,
    #[serde(default)]
    r#type: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
    #[serde(default)]
    availability: Option<Availability>,
}

#[derive(Deserialize, Default)]
struct Metadata {
    #[serde(default)]
    error_type: Option<String>,
}

#[derive(Deserialize, Default)]
struct Availability {
    #[serde(default)]
    retryable: Option<bool>,
    #[serde(default)]
    retry_after: Option<f64>,
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

    /// Asks once.
    ///
    /// The receipt's `provider_ref` is the generation's id; its detail holds `answer`, `model`, `finish_reason` and
    /// `usage` with tokens and, where the provider says so, the cost. A lost answer is asked for again and may be
    /// billed twice: asking changes nothing else, so that is no reason to give up.
    pub async fn complete(&self, question: &ChatRequest, now_unix: i64) -> Result<Receipt, ProviderError> {
        let request = self.api.post("/chat/completions").bearer_auth(self.settings.api_key.expose_secret());
        let answer = self.api.call(COMPLETE, request.json(&self.body(question)), Repeat::Safe).await?;
        let Some(completion) = answer.json::<Completion>() else {
            if answer.is_success() {
                return Err(self.unreadable());
            }
            return Err(self.refused(&answer, answer.status, ApiError::default(), now_unix));
        };
        if let Some(error) = completion.error {
            return Err(self.refused(&answer, inner_status(&error, answer.status), error, now_unix));
        }
        if !answer.is_success() {
            return Err(self.refused(&answer, answer.status, ApiError::default(), now_unix));
        }
        let Some(choice) = completion.choices.into_iter().next() else {
            return Err(self.empty());
        };
        if choice.error.is_some() || choice.finish_reason.as_deref() == Some("error") {
            let error = choice.error.unwrap_or_default();
            return Err(self.refused(&answer, inner_status(&error, 502), error, now_unix));
        }
        let message = choice.message.unwrap_or(Message { content: None, refusal: None });
        let Some(text) = message.content.or(message.refusal).filter(|text| !text.is_empty()) else {
            return Err(self.empty());
        };
        let detail = json!({
            "answer": text,
            "model": completion.model,
            "finish_reason": choice.finish_reason,
            "usage": completion.usage,
        });
        Ok(Receipt { provider: PROVIDER, provider_ref: completion.id, detail: Some(detail) })
    }

    fn body<'a>(&'a self, question: &'a ChatRequest) -> Body<'a> {
        let settings = &self.settings;
        let model = question.model.as_deref().unwrap_or(&settings.model);
        let fallback = settings.fallback.as_deref().filter(|_| question.model.is_none());
        Body {
            model,
            models: fallback.map_or_else(Vec::new, |fallback| vec![model, fallback]),
            messages: question
                .messages
                .iter()
                .map(|(role, content)| json!({ "role": role, "content": content }))
                .collect(),
            max_tokens: question.max_tokens.unwrap_or(settings.max_tokens),
            temperature: question.temperature.unwrap_or(settings.temperature),
            response_format: question.response_format.as_ref(),
        }
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
        self.api.error(COMPLETE, class, advice(class), &error.message).with_code(code).with_server_wait(wait)
    }
}

impl Client for ChatClient {
    fn target(&self) -> Target {
        self.api.target(COMPLETE, Repeat::Safe)
    }
}

/// The status inside an error, for answers whose own status says 200.
fn inner_status(error: &ApiError, status: u16) -> u16 {
    let inner = error.code.as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| 400 <= *code);
    match (inner, status) {
        (Some(inner), _) => inner,
        (None, 200..=299) => 502,
        (None, status) => status,
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
