//! One call of an API: what came in, what the house has, and what goes out.
//!
//! A provider's file turns a [`Call`] into an [`Outcome`]. It acts only when it accepts, so that a refused call has
//! left nothing behind.

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::dev::ReceivedRequest;

use super::house::House;

/// A request that found its route.
pub(super) struct Call<'a> {
    pub(super) request: &'a ReceivedRequest,
    /// What stands in the path where the route has `{}`, in order.
    pub(super) arguments: Vec<&'a str>,
    /// Seconds since the Unix epoch.
    pub(super) now_unix: i64,
    pub(super) house: &'a House,
}

/// What a call comes to.
pub(super) type Outcome = Result<Done, Refusal>;

/// The work was done.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) answer: Answer,
    /// Kinds and numbers for the journal; nothing that belongs to a person or a tenant.
    pub(super) summary: Value,
}

/// The vendor would have refused this.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) answer: Answer,
    /// Why, for the journal; repeats no value of the request.
    pub(super) why: String,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Call<'_> {
    /// The first value of a header, or nothing.
    pub(super) fn header(&self, name: &str) -> &str {
        self.request.header(name).unwrap_or_default()
    }

    /// The media type of the body, in lower case and without parameters.
    pub(super) fn media_type(&self) -> String {
        let full = self.header("content-type");
        full.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The token of `Authorization: Bearer`.
    pub(super) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization").split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }

    /// What stands at this `{}` of the route.
    pub(super) fn argument(&self, index: usize) -> &str {
        self.arguments.get(index).copied().unwrap_or_default()
    }
}

impl Answer {
    /// Only a status.
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// A JSON document.
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::of(status, "application/json", body.to_string())
    }

    /// A body of this media type.
    pub(super) fn of(status: u16, media_type: &str, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::empty(status) }.with("content-type", media_type)
    }

    /// With one more header.
    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

impl Done {
    pub(super) fn new(answer: Answer, summary: Value) -> Self {
        Self { answer, summary }
    }

    /// An answer that the journal says nothing more of.
    pub(super) fn plain(answer: Answer) -> Self {
        Self::new(answer, json!({}))
    }
}

impl Refusal {
    pub(super) fn new(answer: Answer, why: impl Into<String>) -> Self {
        Self { answer, why: why.into() }
    }
}
