//! `complete_chat`: one question to a language model.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::payload::{Invalid, Payload};

/// Most messages of one conversation.
const MAX_MESSAGES: usize = 200;
/// Longest name of a model.
const MAX_MODEL: usize = 128;
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
#[serde(deny_unknown_fields)]
pub struct CompleteChat {
    /// The conversation so far, oldest first.
    pub messages: Vec<ChatMessage>,
    /// Model to use; `LLM_MODEL_DEFAULT` with its fallback unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Longest answer in tokens, 1 to 8,192; `LLM_MAX_TOKENS` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// 0 to 2; `LLM_TEMPERATURE` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Asks for an answer of a certain form, for example `{"type":"json_object"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_format: Option<Value>,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatMessage {
    /// Who says it.
    pub role: ChatRole,
    /// What is said.
    pub content: String,
}

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
            model: None,
            max_tokens: None,
            temperature: None,
            response_format: None,
        }
    }
}

impl Payload for CompleteChat {
    const KIND: &'static str = "complete_chat";
    const QUEUE: &'static str = "llm";

    fn validate(&self) -> Result<(), Invalid> {
        let count = (1..=MAX_MESSAGES).contains(&self.messages.len());
        Invalid::unless(count, "messages", "must hold 1 to 200 messages")?;
        for (n, message) in self.messages.iter().enumerate() {
            let said = !message.content.is_empty();
            Invalid::unless(said, &format!("messages[{n}].content"), "must not be empty")?;
        }
        let model = self.model.as_deref().is_none_or(|model| {
            (1..=MAX_MODEL).contains(&model.len()) && model.bytes().all(|byte| byte.is_ascii_graphic())
        });
        Invalid::unless(model, "model", "must be a name such as `anthropic/claude-3-haiku`")?;
        let tokens = self.max_tokens.is_none_or(|tokens| (1..=MAX_TOKENS).contains(&tokens));
        Invalid::unless(tokens, "max_tokens", "must be 1 to 8192")?;
        let temperature = self.temperature.is_none_or(|temperature| (0.0..=2.0).contains(&temperature));
        Invalid::unless(temperature, "temperature", "must be 0 to 2")?;
        let format = self.response_format.as_ref().is_none_or(Value::is_object);
        Invalid::unless(format, "response_format", "must be an object")
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
        ];

        assert_eq!(ask().validate(), Ok(()));
        for (question, field) in cases {
            assert_eq!(question.validate().unwrap_err().field, field);
        }
    }
}
