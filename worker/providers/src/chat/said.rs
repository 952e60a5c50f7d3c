//! What came of a question: what a model said, and what a failed call took.

use serde_json::{Value, json};

use super::{PROVIDER, Usage};
use crate::{ProviderError, Receipt};

/// What a model said.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The answer.
    pub text: String,
    /// Name of the generation at the provider.
    pub id: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// `stop`, `length`, …
    pub finish_reason: Option<String>,
    /// What it took, where the provider said so.
    pub usage: Option<Usage>,
    /// Tokens that the credit covered, where those were fewer than the question allowed.
    pub shortened_to: Option<u32>,
}

impl Said {
    /// As a receipt: detail has everything, to be read again by [`Self::read`].
    pub(super) fn receipt(self) -> Receipt {
        let Self { text, id, model, finish_reason, usage, shortened_to } = self;
        let usage = usage.map(|usage| {
            json!({
                "prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens, "cost": usage.cost,
            })
        });
        let mut detail =
            json!({ "answer": text, "model": model, "finish_reason": finish_reason, "usage": usage });
        if let Some(tokens) = shortened_to {
            detail["shortened_to"] = tokens.into();
        }
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
            usage: detail.get("usage").and_then(Usage::of),
            shortened_to: detail["shortened_to"].as_u64().and_then(|tokens| u32::try_from(tokens).ok()),
        }
    }
}

/// What a call took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Took {
    /// Nothing: it was refused, or never sent.
    Nothing,
    /// So much, by its own words.
    Told(Usage),
    /// Nobody said, and it may be billed ([`ProviderError::may_be_billed`]).
    Untold,
}

/// What a failed call took, as far as can be told.
pub fn took(error: &ProviderError) -> Took {
    if let Some(usage) = error.detail.as_deref().and_then(|detail| detail.get("usage")).and_then(Usage::of) {
        return Took::Told(usage);
    }
    if error.may_be_billed() { Took::Untold } else { Took::Nothing }
}
