//! What scripts and people can rely on when they call the program `flota`.

mod control;
mod enqueue;
mod exit_codes;
mod settings;
mod shapes;
mod start;

use serde_json::{Value, json};

/// A mail that is accepted and sent as it is.
fn mail() -> Value {
    json!({ "to": ["ana@example.com"], "body": { "subject": "Hi", "text": "Hello" } })
}

/// A mail that is accepted and that the mail server of these tests cannot take: it speaks no SMTPUTF8.
fn hopeless_mail() -> Value {
    json!({ "to": ["ñandú@example.com"], "body": { "subject": "Hi", "text": "Hello" } })
}
