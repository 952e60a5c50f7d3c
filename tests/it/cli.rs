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

/// A mail that no worker can send: its template is not there.
fn hopeless_mail() -> Value {
    json!({ "to": ["ana@example.com"], "body": { "template": "birthday" } })
}
