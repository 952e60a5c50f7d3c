//! What the API answers: its JSON, whole or put together from a stream.

use serde::Deserialize;
use serde_json::Value;

/// Most models that an error names instead.
const MOST_NAMED: usize = 5;

/// A whole answer.
#[derive(Deserialize, Default)]
pub(super) struct Completion {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) choices: Vec<Choice>,
    #[serde(default)]
    pub(super) usage: Option<Value>,
    #[serde(default)]
    pub(super) error: Option<ApiError>,
}

#[derive(Deserialize, Default)]
pub(super) struct Choice {
    #[serde(default)]
    pub(super) message: Option<Message>,
    #[serde(default)]
    pub(super) finish_reason: Option<String>,
    #[serde(default)]
    pub(super) error: Option<ApiError>,
}

#[derive(Deserialize, Default)]
pub(super) struct Message {
    #[serde(default)]
    pub(super) content: Option<String>,
    #[serde(default)]
    pub(super) refusal: Option<String>,
}

#[derive(Deserialize, Default)]
pub(super) struct ApiError {
    #[serde(default)]
    pub(super) code: Value,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) r#type: Option<String>,
    #[serde(default)]
    pub(super) metadata: Option<Metadata>,
    #[serde(default)]
    pub(super) availability: Option<Availability>,
}

#[derive(Deserialize, Default)]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) error_type: Option<String>,
}

#[derive(Deserialize, Default)]
pub(super) struct Availability {
    #[serde(default)]
    pub(super) retryable: Option<bool>,
    #[serde(default)]
    pub(super) retry_after: Option<f64>,
    /// Ids of models that it would take instead; its form is not documented, so anything else is passed over.
    #[serde(default)]
    fallback_models: Value,
}

impl Availability {
    /// The models that are named instead of the one that was asked, as a sentence; empty when there are none.
    pub(super) fn instead(&self) -> String {
        let models = self.fallback_models.as_array().into_iter().flatten().filter_map(Value::as_str);
        let models: Vec<&str> = models.take(MOST_NAMED).collect();
        if models.is_empty() { String::new() } else { format!(" Instead there is: {}", models.join(", ")) }
    }
}

impl ApiError {
    /// The status inside an error, for answers whose own status says 200.
    pub(super) fn status(&self, outer: u16) -> u16 {
        let inner = self.code.as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| 400 <= *code);
        match (inner, outer) {
            (Some(inner), _) => inner,
            (None, 200..=299) => 502,
            (None, outer) => outer,
        }
    }
}

/// What a question took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Tokens of the question.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// US dollars, when the provider says so.
    pub cost: Option<f64>,
}

impl Usage {
    /// From the `usage` of an answer; nothing where that tells neither tokens nor a cost.
    pub(super) fn of(usage: &Value) -> Option<Self> {
        let [prompt, completion] = ["prompt_tokens", "completion_tokens"].map(|name| usage[name].as_u64());
        let cost = usage["cost"].as_f64().filter(|cost| cost.is_finite() && 0.0 <= *cost);
        let (prompt_tokens, completion_tokens) = (prompt.unwrap_or(0), completion.unwrap_or(0));
        let told = prompt.is_some() || completion.is_some() || cost.is_some();
        told.then_some(Self { prompt_tokens, completion_tokens, cost })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn usage_is_read_as_far_as_it_is_there() {
        let full = json!({ "prompt_tokens": 12, "completion_tokens": 3, "cost": 0.00042 });

        let expected = Usage { prompt_tokens: 12, completion_tokens: 3, cost: Some(0.000_42) };
        assert_eq!(Usage::of(&full), Some(expected));
        let tokens = json!({ "cost": -1.0, "prompt_tokens": "x", "completion_tokens": 3 });
        assert_eq!(Usage::of(&tokens), Some(Usage { completion_tokens: 3, ..Usage::default() }));
        for untold in [json!({ "cost": -1.0, "prompt_tokens": "x" }), json!({}), json!(null)] {
            assert_eq!(Usage::of(&untold), None, "{untold}");
        }
    }
}
