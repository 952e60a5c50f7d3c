//! Answers that are given again: only to jobs that ask for it, and only within one tenant.
//!
//! The key is a hash over everything that the answer depends on. What is kept is the answer itself, so it lies in Redis
//! for as long as the job allowed. A cache that is away is none.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use flota_producer::{keys::Prefix, link::Link};
use flota_providers::chat::ChatRequest;
use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::failure::chain;

/// Longest answer that is kept, in bytes.
const MOST: usize = 256 * 1024;

/// An answer without what it took: it takes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The answer.
    pub answer: String,
    /// Who gave it.
    pub model: Option<String>,
    /// Why it ended.
    pub finish_reason: Option<String>,
}

/// All kept answers.
pub(super) struct Cache {
    link: Link,
    prefix: Prefix,
}

impl Cache {
    /// Answers in this Redis.
    pub(super) fn new(link: Link, prefix: Prefix) -> Self {
        Self { link, prefix }
    }

    /// The key of a question: tenant, models in their order, conversation and parameters.
    pub(super) fn key(&self, tenant: Option<&str>, models: &[String], question: &ChatRequest) -> String {
        let ChatRequest { model: _, messages, max_tokens, temperature, response_format } = question;
        let all = serde_json::json!([tenant, models, messages, max_tokens, temperature, response_format]);
        let hash = digest(&SHA256, all.to_string().as_bytes());
        self.prefix.answer(&hex::encode(hash))
    }

    /// The kept answer, if there is one.
    pub(super) async fn get(&self, key: &str) -> Option<Kept> {
        let read: Option<Vec<u8>> = match self.link.query(redis::cmd("GET").arg(key)).await {
            Ok(read) => read,
            Err(error) => {
                debug!("Kept answers cannot be read: {}", chain(&error));
                None
            }
        };
        serde_json::from_slice(&read?).ok()
    }

    /// Keeps an answer for this long.
    pub(super) async fn keep(&self, key: &str, kept: &Kept, age: Duration) {
        let Ok(text) = serde_json::to_vec(kept) else { return };
        if MOST < text.len() {
            return;
        }
        let mut set = redis::cmd("SET");
        set.arg(key).arg(text).arg("PX").arg(age.as_millis() as u64);
        if let Err(error) = self.link.query::<()>(&set).await {
            debug!("An answer cannot be kept: {}", chain(&error));
        }
    }
}
