//! E-mail: rendered from built-in templates, composed so that its text cannot become commands, sent over SMTP.
//!
//! `templates` turns a name and variables into subject, text and HTML; `message` turns an [`Email`] into the bytes of
//! a message; `smtp` sends it and says what a failure means. Nothing here remembers what was sent: the Message-ID
//! is the same on every attempt, and that is all a receiving server needs to spot a duplicate.

mod message;
mod smtp;
pub mod templates;

pub use self::{
    message::{Email, MOST_RECIPIENTS, Sender},
    smtp::{SmtpMailer, SmtpSettings, SmtpTls},
};

/// The name of this provider in receipts, errors and metrics.
pub const PROVIDER: &str = "smtp";
