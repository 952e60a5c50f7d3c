//! What the API is sent: a question to one model, as JSON.

use serde::Serialize;
use serde_json::{Value, json};

use crate::exchange::HttpAnswer;

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

/// A question as JSON.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    messages: Vec<Value>,
    max_tokens: u32,
    temperature: f64,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<&'a Value>,
}

/// OpenRouter always says what an answer took; others, in a stream, only when asked
/// (<https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream_options>); and a few refuse the question for
/// that, and are asked without it from then on.
#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl ChatRequest {
    /// As JSON, for an answer of at most so many tokens.
    pub(super) fn body(&self, max_tokens: u32, with_options: bool) -> Body<'_> {
        let message = |(role, content): &(String, String)| json!({ "role": role, "content": content });
        Body {
            model: &self.model,
            messages: self.messages.iter().map(message).collect(),
            max_tokens,
            temperature: self.temperature,
            stream: true,
            stream_options: with_options.then_some(StreamOptions { include_usage: true }),
            response_format: self.response_format.as_ref(),
        }
    }
}

/// True when the API does not know the field by which it is asked what an answer takes.
pub(super) fn refuses_options(answer: &HttpAnswer) -> bool {
    const NAME: &[u8] = b"stream_options";
    matches!(answer.status, 400 | 422) && answer.body.windows(NAME.len()).any(|part| part == NAME)
}
