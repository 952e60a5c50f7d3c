//! E-mail: rendered from built-in templates, composed so that its text cannot become commands, sent by SendGrid, SES or
//! SMTP.
//!
//! `templates` turns a name and variables into subject, text and HTML; `message` (with `recipients`, `body` and
//! `attachment`) turns an [`Email`] into the bytes of a message; `sendgrid`, `ses` and `smtp` send it and say what a
//! failure means; `carriers` tries them in order. Nothing here remembers what was sent: the Message-ID is the same on
//! every attempt and at every provider that lets us choose it, and that is all a receiving server needs to spot a
//! duplicate.

mod attachment;
mod body;
mod carriers;
mod message;
mod recipients;
pub mod sendgrid;
pub mod ses;
mod size;
mod smtp;
mod subject;
pub mod templates;

pub use self::{
    attachment::Attachment,
    carriers::{Carriers, CarriersBuilder, Letter, Mailer},
    message::{Email, MOST_RECIPIENTS, Sender},
    smtp::{SmtpMailer, SmtpSettings, SmtpTls},
};

/// The name of SMTP in receipts, errors and metrics.
pub const SMTP: &str = "smtp";
