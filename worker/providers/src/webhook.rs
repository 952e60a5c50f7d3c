//! Outgoing webhooks: one signed POST to a URL that a customer chose.
//!
//! `signature` (shared secrets) and `signing_key` (either scheme) sign and verify after Standard Webhooks 1.0.0, `guard`
//! keeps requests away from addresses that are not public, `deliver` makes the call, `answer` says what the reply means.
//! When a failed delivery is tried again, and when an endpoint is disabled, is decided by the caller.

mod answer;
mod deliver;
pub(crate) mod guard;
mod redact;
mod signature;
mod signing_key;

pub use self::{
    deliver::{Delivery, WebhookClient},
    guard::{AddressGuard, HostResolver, Refusal, RefusedBecause, SystemResolver, UrlRules, check_url},
    signature::{SecretError, SigningSecret, TOLERANCE_SECONDS, VerifyError, sign, verify},
    signing_key::{Scheme, SigningKey, SigningPair, sign_with, verify_public},
};

/// The name of this provider in receipts, errors and metrics.
pub const PROVIDER: &str = "webhook";
