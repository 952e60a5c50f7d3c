//! Every kind of job by a real worker process, with real receivers: what arrives, and what becomes of what cannot.

mod limits;
mod mail;
mod webhook_endpoints;
mod webhooks;

use flota_tests::PATIENCE;
use serde_json::Value;

/// The error class and the error of the last run of a dead job.
fn cause_of_death(job: &Value) -> (&str, &str) {
    assert_eq!(job["state"], "dead", "{job:#}");
    let last = job["attempts"].as_array().and_then(|runs| runs.last()).expect("a run");
    let text = |name: &str| last[name].as_str().expect("text");
    (text("error_class"), text("error"))
}
