//! The catalogue: one struct per job kind that comes with Flota.

mod email;
mod webhook;

pub use email::{EmailBody, SendEmail};
pub use webhook::{DeliverWebhook, MAX_URL, check_public_url};
