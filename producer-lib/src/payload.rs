//! What makes a struct a job: its kind, its queue, and how it is checked before it is sent.

use serde::{Serialize, de::DeserializeOwned};

/// The input of one kind of job.
///
/// ```
/// use flota_producer::{Invalid, Payload};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct ResizeImage { width: u32 }
///
/// impl Payload for ResizeImage {
///     const KIND: &'static str = "resize_image";
///     const QUEUE: &'static str = "images";
///
///     fn validate(&self) -> Result<(), Invalid> {
///         Invalid::unless(0 < self.width, "width", "must be at least 1 pixel")
///     }
/// }
/// ```
pub trait Payload: Serialize + DeserializeOwned + Send + 'static {
    /// `snake_case` verb and object; the same word names the processor's file and the metric label.
    const KIND: &'static str;
    /// Queue that carries it unless the caller says otherwise.
    const QUEUE: &'static str;
    /// What is hidden from those who may not see payloads: everything, unless a kind says what is harmless.
    const SECRET: SecretFields = SecretFields::ALL;

    /// Checks what can be known before the job runs. Called on enqueue, and again by the worker, since
    /// other languages may write jobs too.
    fn validate(&self) -> Result<(), Invalid>;

    /// JSON Schema of the payload, for producers in other languages; `None` where nobody has written one.
    fn schema() -> Option<serde_json::Value> {
        None
    }
}

/// Parts of a payload, and of the result that its job leaves, which only some people may see: names of members from the
/// top down, with dots between them. A list on the way stands for each of its elements, and `*` for any name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretFields {
    /// Of the payload.
    pub payload: &'static [&'static str],
    /// Of the result.
    pub result: &'static [&'static str],
}

impl SecretFields {
    /// Everything.
    pub const ALL: Self = Self { payload: &["*"], result: &["*"] };
}

/// The schema of a type, made from its code.
#[cfg(feature = "schema")]
pub(crate) fn schema_of<T: schemars::JsonSchema>() -> serde_json::Value {
    schemars::schema_for!(T).to_value()
}

/// A payload that no worker could carry out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct Invalid {
    /// Path of the field, for example `to[1]`.
    pub field: String,
    /// What is wrong, as the rest of a sentence that starts with the field.
    pub problem: String,
}

impl Invalid {
    /// Names the field and what is wrong with it.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// `Ok` when the condition holds.
    pub fn unless(condition: bool, field: &str, problem: &str) -> Result<(), Self> {
        if condition { Ok(()) } else { Err(Self::new(field, problem)) }
    }
}
