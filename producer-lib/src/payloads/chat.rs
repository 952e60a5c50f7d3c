//! `complete_chat`: one question to a language model.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::payload::{Invalid, Payload, SecretFields};

/// Most messages of one conversation.
const MAX_MESSAGES: usize = 200;
/// Longest name of a model or tier.
const MAX_NAME: usize = 128;
/// Longest time for which an answer may be given again, in seconds: 30 days.
const MAX_REUSE: u32 = 30 * 86_400;
/// Longest answer that may be asked for, in tokens. Results are kept in Postgres, so answers are small.
const MAX_TOKENS: u32 = 8_192;

/// Asks a language model. The answer, with the tokens it took, is the job's result.
///
/// ```
/// use flota_producer::{CompleteChat, Payload};
///
/// assert!(CompleteChat::ask("Summarise: …").validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CompleteChat {
    /// The conversation so far, oldest first.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_MESSAGES)))]
    pub messages: Vec<ChatMessage>,
    /// Tier of models to ask, as queues.toml names them; `default` unless given. When one model cannot answer, others are
    /// asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_NAME)))]
    pub tier: Option<String>,
    /// One model to ask instead, and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_NAME)))]
    pub model: Option<String>,
    /// Longest answer in tokens, 1 to 8,192; `LLM_MAX_TOKENS` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = MAX_TOKENS)))]
    pub max_tokens: Option<u32>,
    /// 0 to 2; `LLM_TEMPERATURE` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 2)))]
    pub temperature: Option<f64>,
    /// Asks for an answer of a certain form, for example `{"type":"json_object"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_format: Option<Value>,
    /// JSON Schema of the answer: an answer that does not fit is repaired once, or the run fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_schema: Option<Value>,
    /// For how many seconds the answer may be given again to the same question of the same tenant, 1 to 2,592,000 (30
    /// days). Not at all unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = MAX_REUSE)))]
    pub reuse_seconds: Option<u32>,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ChatMessage {
    /// Who says it.
    pub role: ChatRole,
    /// What is said.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub content: String,
}

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChatRole {
    /// Whoever wrote the application.
    System,
    /// Whoever uses it.
    User,
    /// The model.
    Assistant,
}

impl ChatRole {
    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

impl CompleteChat {
    /// One question without a conversation.
    pub fn ask(question: impl Into<String>) -> Self {
        let question = ChatMessage { role: ChatRole::User, content: question.into() };
        Self {
            messages: vec![question],
            tier: None,
            model: None,
            max_tokens: None,
            temperature: None,
            response_format: None,
            answer_schema: None,
            reuse_seconds: None,
        }
    }
}

impl Payload for CompleteChat {
    const KIND: &'static str = "complete_chat";
    const QUEUE: &'static str = "llm";
    const SECRET: SecretFields = SecretFields { payload: &["messages.content"], result: &["answer"] };

    #[cfg(feature = "schema")]
    fn schema() -> Option<serde_json::Value> {
        Some(crate::payload::schema_of::<Self>())
    }

    fn validate(&self) -> Result<(), Invalid> {
        let count = (1..=MAX_MESSAGES).contains(&self.messages.len());
        Invalid::unless(count, "messages", "must hold 1 to 200 messages")?;
        for (n, message) in self.messages.iter().enumerate() {
            let said = !message.content.is_empty();
            Invalid::unless(said, &format!("messages[{n}].content"), "must not be empty")?;
        }
        let is_name = |name: &Option<String>| {
            name.as_deref().is_none_or(|name| {
                (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
            })
        };
        Invalid::unless(is_name(&self.tier), "tier", "must be a name such as `premium`")?;
        Invalid::unless(is_name(&self.model), "model", "must be a name such as `anthropic/claude-3-haiku`")?;
        let one = self.tier.is_none() || self.model.is_none();
        Invalid::unless(one, "model", "and `tier` exclude each other; give one of them")?;
        let tokens = self.max_tokens.is_none_or(|tokens| (1..=MAX_TOKENS).contains(&tokens));
        Invalid::unless(tokens, "max_tokens", "must be 1 to 8192")?;
        let temperature = self.temperature.is_none_or(|temperature| (0.0..=2.0).contains(&temperature));
        Invalid::unless(temperature, "temperature", "must be 0 to 2")?;
        let format = self.response_format.as_ref().is_none_or(Value::is_object);
        Invalid::unless(format, "response_format", "must be an object")?;
        let schema = self.answer_schema.as_ref().is_none_or(Value::is_object);
        Invalid::unless(schema, "answer_schema", "must be an object, a JSON Schema")?;
        let one = self.response_format.is_none() || self.answer_schema.is_none();
        Invalid::unless(one, "response_format", "and `answer_schema` exclude each other; give one of them")?;
        let reuse = self.reuse_seconds.is_none_or(|seconds| (1..=MAX_REUSE).contains(&seconds));
        Invalid::unless(reuse, "reuse_seconds", "must be 1 to 2592000 (30 days)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_model_takes_is_refused_by_field() {
        let ask = || CompleteChat::ask("Why?");
        let cases = [
            (CompleteChat { messages: Vec::new(), ..ask() }, "messages"),
            (CompleteChat::ask(""), "messages[0].content"),
            (CompleteChat { model: Some("two words".into()), ..ask() }, "model"),
            (CompleteChat { max_tokens: Some(0), ..ask() }, "max_tokens"),
            (CompleteChat { temperature: Some(2.1), ..ask() }, "temperature"),
            (CompleteChat { temperature: Some(f64::NAN), ..ask() }, "temperature"),
            (CompleteChat { response_format: Some(Value::Null), ..ask() }, "response_format"),
            (CompleteChat { tier: Some(String::new()), ..ask() }, "tier"),
            (CompleteChat { tier: Some("a".into()), model: Some("b".into()), ..ask() }, "model"),
            (CompleteChat { answer_schema: Some(Value::Bool(true)), ..ask() }, "answer_schema"),
            (CompleteChat { reuse_seconds: Some(0), ..ask() }, "reuse_seconds"),
            (
                CompleteChat {
                    answer_schema: Some(Value::Object(serde_json::Map::new())),
                    response_format: Some(Value::Object(serde_json::Map::new())),
                    ..ask()
                },
                "response_format",
            ),
        ];

        assert_eq!(ask().validate(), Ok(()));
        for (question, field) in cases {
            assert_eq!(question.validate().unwrap_err().field, field);
        }
    }
}
