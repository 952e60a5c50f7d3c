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

    /// Checks what can be known before the job runs. Called on enqueue, and again by the worker, since
    /// other languages may write jobs too.
    fn validate(&self) -> Result<(), Invalid>;
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
