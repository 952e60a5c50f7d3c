//! Chat completions of an OpenAI-compatible API; OpenRouter unless the settings say otherwise.
//!
//! A 200 can be an error: a body with `error`, an error in the middle of a stream, a choice that finished with `error`,
//! or nothing at all on a cold start. What the other side says of itself counts in this order: `error.availability`,
//! `error.metadata.error_type`, the HTTP status. Prompts and answers are in no error and no log.
//!
//! A 402 that names how many tokens the credit still covers is asked once more with so many. What is refused then is about
//! that question alone: shorter ones of other jobs may well be paid for, so the credential does not rest.
//!
//! One call asks one model. Which model is asked next when one cannot answer is decided by whoever calls, because it
//! depends on prices and budgets; OpenRouter's own `models` list would decide it out of our sight.

mod answer;
mod echo;
mod key;
mod question;
mod said;
mod stream;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

pub use self::{
    answer::Usage,
    question::ChatRequest,
    said::{Said, Took, took},
};
use self::{
    answer::{ApiError, Completion},
    question::{Body, refuses_options},
};
use crate::{
    ErrorClass, ProviderError, Receipt, Standing,
    api::{Api, ApiSettings, advice},
    error::code_of,
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
/// The code of a model that is not there, as OpenAI and servers like it say it.
pub const UNKNOWN_MODEL: &str = "model_not_found";
/// How OpenRouter says that, with 400 and no word of its own.
const INVALID_ID: &str = "is not a valid model ID";
/// What is said of it.
const GONE_MODEL: &str = "It does not offer this model to this account.";
/// The code of a model that says why it does not answer.
pub const REFUSED: &str = "refusal";
/// The code of an answer that was withheld or cut by a filter: the `finish_reason` of the same name.
pub const FILTERED: &str = "content_filter";
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

/// Asks one API.
#[derive(Debug)]
pub struct ChatClient {
    api: Api,
    settings: ChatSettings,
    /// Whether the API has not yet refused a question for asking what its answer takes.
    takes_options: AtomicBool,
}

impl ChatClient {
    /// Builds the client.
    ///
    /// # Errors
    /// When the TLS stack cannot be set up.
    pub fn new(settings: ChatSettings) -> Result<Self, ProviderError> {
        let api = Api::new(PROVIDER, settings.api.clone(), settings.api_key.clone())?;
        Ok(Self { api, settings, takes_options: AtomicBool::new(true) })
    }

    /// Asks one model. The receipt is read by [`Said::read`]; its `provider_ref` is the generation's id.
    ///
    /// A lost answer is asked for again and may be billed twice: asking changes nothing else, so that is no reason to
    /// give up.
    pub async fn complete(&self, question: &ChatRequest, now_unix: i64) -> Result<Receipt, ProviderError> {
        let refusal = match self.ask(question, None, now_unix).await {
            Err(refusal) if refusal.class == ErrorClass::Quota => refusal,
            answer => return answer.map(Said::receipt),
        };
        match affordable(&refusal.message).filter(|tokens| (1..question.max_tokens).contains(tokens)) {
            Some(tokens) => self.ask(question, Some(tokens), now_unix).await.map(Said::receipt),
            None => Err(refusal),
        }
    }

    /// Asks once.
    async fn ask(
        &self,
        question: &ChatRequest,
        shortened_to: Option<u32>,
        now_unix: i64,
    ) -> Result<Said, ProviderError> {
        let max_tokens = shortened_to.unwrap_or(question.max_tokens);
        let with_options = self.takes_options.load(Ordering::Relaxed);
        let mut answer = self.send(question.body(max_tokens, with_options)).await?;
        if with_options && refuses_options(&answer) {
            self.takes_options.store(false, Ordering::Relaxed);
            answer = self.send(question.body(max_tokens, false)).await?;
        }
        let Some(completion) = self.read(&answer)? else {
            if answer.is_success() {
                return Err(self.unreadable());
            }
            return Err(self.refused(COMPLETE, &answer, answer.status, ApiError::default(), now_unix));
        };
        let completion = completion.without_echo(question);
        let usage = completion.usage.as_ref();
        let billed = |error: ProviderError| match usage {
            Some(usage) => error.with_detail(json!({ "usage": usage })),
            None => error,
        };
        if let Some(error) = completion.error {
            return Err(billed(self.refused(
                COMPLETE,
                &answer,
                error.status(answer.status),
                error,
                now_unix,
            )));
        }
        if !answer.is_success() {
            return Err(self.refused(COMPLETE, &answer, answer.status, ApiError::default(), now_unix));
        }
        let Some(choice) = completion.choices.into_iter().next() else {
            return Err(billed(self.empty()));
        };
        if choice.error.is_some() || choice.finish_reason.as_deref() == Some("error") {
            let error = choice.error.unwrap_or_default();
            return Err(billed(self.refused(COMPLETE, &answer, error.status(502), error, now_unix)));
        }
        let message = choice.message.unwrap_or_default();
        let (content, refusal) = (message.content.unwrap_or_default(), message.refusal.unwrap_or_default());
        if choice.finish_reason.as_deref() == Some(FILTERED) {
            return Err(billed(self.unwilling(FILTERED)));
        }
        let text = match (content.is_empty(), refusal.is_empty()) {
            (false, _) => content,
            (true, false) => return Err(billed(self.unwilling(REFUSED))),
            (true, true) => return Err(billed(self.empty())),
        };
        let (id, model, usage) = (completion.id, completion.model, usage.and_then(Usage::of));
        Ok(Said { text, id, model, finish_reason: choice.finish_reason, usage, shortened_to })
    }

    async fn send(&self, body: Body<'_>) -> Result<HttpAnswer, ProviderError> {
        let request = self.api.post("/chat/completions").bearer_auth(self.settings.api_key.expose_secret());
        self.api.listen(COMPLETE, request.json(&body), Repeat::Safe, self.settings.stall).await
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

    /// A success that is none: the model does not want to answer, and would not the next time. Its words are its answer, and
    /// often repeat the question, so they are in no error.
    fn unwilling(&self, code: &str) -> ProviderError {
        let advice = "The model does not want to answer this; ask it in other words, or another model.";
        self.api.error(COMPLETE, ErrorClass::Permanent, advice, "").with_code(code)
    }

    fn unreadable(&self) -> ProviderError {
        let advice =
            "The answer is no completion; the trouble is on the other side, and the job is repeated later.";
        self.api.error(COMPLETE, ErrorClass::ServerError, advice, "").with_code("unreadable")
    }

    fn refused(
        &self,
        operation: &'static str,
        answer: &HttpAnswer,
        status: u16,
        error: ApiError,
        now_unix: i64,
    ) -> ProviderError {
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
        // 400 alone, or a bad request, would say that the question is wrong, whoever is asked.
        let is_invalid_id = status == 400 && error.message.contains(INVALID_ID);
        let code = if is_invalid_id {
            UNKNOWN_MODEL.to_owned()
        } else {
            code_of(&code_word.or(word).unwrap_or_default(), status)
        };
        let is_about_one = match class {
            ErrorClass::Quota => affordable(&error.message).is_some_and(|tokens| 0 < tokens),
            // That one model will not do it, whatever the status says; others are asked on.
            ErrorClass::Permanent if availability.retryable == Some(false) => is_of_server(status),
            _ => code == OVERLOADED,
        };
        let standing = if is_about_one { Standing::OneRecipient } else { Standing::Answered };
        let advice = match class {
            ErrorClass::Permanent if operation == COMPLETE && is_word_of_unknown(&code) => GONE_MODEL,
            class => advice(operation, class),
        };
        let said = format!("{}{}", error.message, availability.instead());
        let error = self.api.error(operation, class, advice, &said);
        error.with_code(code).with_server_wait(wait).with_standing(standing)
    }
}

impl Client for ChatClient {
    fn target(&self) -> Target {
        self.api.target(COMPLETE, Repeat::Safe)
    }
}

/// How many tokens a refusal for lack of credit says that there is credit for: "can only afford 312".
fn affordable(message: &str) -> Option<u32> {
    let (_, rest) = message.split_once("can only afford ")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// What a refusal means. Pure; the wait is added by the caller.
///
/// `retryable` is `error.availability.retryable`. It counts before the word, and the word before the status, except that
/// no "no" makes a job fail for good that only waits for a credential, for credit or for its turn.
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
    let by_status = match status {
        401 => ErrorClass::Auth,
        402 => ErrorClass::Quota,
        429 | 503 => limited,
        408 | 409 | 425 | 500.. => ErrorClass::ServerError,
        _ => ErrorClass::Permanent,
    };
    match (retryable, by_word.unwrap_or(by_status)) {
        (Some(true), ErrorClass::Permanent) => ErrorClass::ServerError,
        (Some(false), ErrorClass::ServerError) => ErrorClass::Permanent,
        // Without a word a 503 may mean either.
        (Some(false), ErrorClass::RateLimited { .. }) if by_word.is_none() && status == 503 => {
            ErrorClass::Permanent
        }
        (_, class) => class,
    }
}

/// Whether the provider says that it does not have the model that was asked: its id is wrong, or it was taken away.
pub fn is_unknown_model(error: &ProviderError) -> bool {
    error.class == ErrorClass::Permanent && error.code.as_deref().is_some_and(is_word_of_unknown)
}

fn is_word_of_unknown(code: &str) -> bool {
    matches!(code, "404" | "not_found" | UNKNOWN_MODEL)
}

/// Whether a status is the other side's trouble and not the question's.
fn is_of_server(status: u16) -> bool {
    matches!(status, 408 | 409 | 425 | 500..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_says_of_a_repeat_counts_before_its_word_and_its_status() {
        let table = [
            (None, 502, None, ErrorClass::ServerError),
            (None, 502, Some(false), ErrorClass::Permanent),
            (None, 503, Some(false), ErrorClass::Permanent),
            (Some("provider_unavailable"), 502, Some(false), ErrorClass::Permanent),
            (Some("invalid_prompt"), 400, Some(true), ErrorClass::ServerError),
            (Some("invalid_prompt"), 400, Some(false), ErrorClass::Permanent),
            (Some("authentication"), 401, Some(false), ErrorClass::Auth),
            (Some("payment_required"), 402, Some(false), ErrorClass::Quota),
            (Some("rate_limit_exceeded"), 429, Some(false), ErrorClass::RateLimited { retry_after: None }),
            (Some("rate_limit_exceeded"), 429, Some(true), ErrorClass::RateLimited { retry_after: None }),
        ];

        for (word, status, retryable, class) in table {
            assert_eq!(classify(word, None, status, retryable), class, "{word:?} {status} {retryable:?}");
        }
    }

    #[test]
    fn what_the_credit_covers_is_read_from_the_sentence() {
        let sentence = "This request requires more credits, or fewer max_tokens. You requested up to 4096 tokens, but \
                        can only afford 312. To increase, visit the settings";

        assert_eq!(affordable(sentence), Some(312));
        assert_eq!(affordable("can only afford 0 tokens"), Some(0));
        assert_eq!(affordable("can only afford nothing"), None);
        assert_eq!(affordable("Insufficient credits"), None);
    }
}
