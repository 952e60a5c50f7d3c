//! What a successful call leaves behind for the outcome record.

use serde::Serialize;

/// The trace of one successful call: enough to find it again at the provider.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Receipt {
    /// Which service carried out the call, for example `smtp`.
    pub provider: &'static str,
    /// The identifier under which the call can be found there, for example a Message-ID.
    pub provider_ref: Option<String>,
    /// A few more facts, small and free of secrets, for example the server's reply.
    pub detail: Option<serde_json::Value>,
}
