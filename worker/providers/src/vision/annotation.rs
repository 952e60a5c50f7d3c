//! What Vision answers for one picture.

use serde::Deserialize;
use serde_json::{Value, json};

/// The answer to a call, in the order of its pictures.
#[derive(Deserialize, Default)]
pub(super) struct Annotated {
    pub(super) responses: Vec<Annotation>,
}

/// One picture. Everything is left out that there is nothing of.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Annotation {
    error: Option<RpcError>,
    #[serde(rename = "fullTextAnnotation")]
    whole: Option<FullText>,
    #[serde(rename = "textAnnotations")]
    texts: Vec<Described>,
    #[serde(rename = "labelAnnotations")]
    labels: Vec<Described>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct FullText {
    text: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Described {
    description: String,
    score: Option<f64>,
}

/// `google.rpc.Status`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RpcError {
    pub(super) code: i64,
    pub(super) message: String,
    pub(super) status: String,
    pub(super) details: Vec<RpcDetail>,
}

/// `google.rpc.ErrorInfo`; other kinds of details have no reason.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RpcDetail {
    pub(super) reason: String,
}

impl Annotation {
    /// Text and labels, or the picture's own error.
    pub(super) fn into_reading(self) -> Result<Value, RpcError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let first = self.texts.into_iter().next().map(|text| text.description);
        let text = self.whole.map(|whole| whole.text).or(first).unwrap_or_default();
        let label = |label: Described| json!({ "label": label.description, "score": label.score });
        let labels: Vec<Value> = self.labels.into_iter().map(label).collect();
        Ok(json!({ "text": text, "labels": labels }))
    }
}
