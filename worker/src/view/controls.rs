//! What people have set for a queue, as JSON shows it.

use chrono::{DateTime, Utc};
use flota_engine::control::{Controls, Held};
use serde::Serialize;

/// What is in force for a queue; what is absent is as queues.toml says.
#[derive(Debug, Clone, Serialize)]
pub struct ControlsView {
    /// Nothing is fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<SetView<()>>,
    /// Starts in all workers together, such as `10/s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<SetView<Vec<String>>>,
    /// Jobs at once in each worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<SetView<usize>>,
}

/// One thing that is set.
#[derive(Debug, Clone, Serialize)]
pub struct SetView<T> {
    /// To what.
    #[serde(skip_serializing_if = "is_nothing")]
    pub value: T,
    /// When it ends by itself; `None` until somebody takes it back.
    pub until: Option<DateTime<Utc>>,
    /// Who set it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub since: Option<DateTime<Utc>>,
}

/// A value without a content has nothing to show.
fn is_nothing<T>(_: &T) -> bool {
    size_of::<T>() == 0
}

impl From<Controls> for ControlsView {
    fn from(controls: Controls) -> Self {
        Self {
            pause: controls.paused.map(SetView::from),
            rate: controls.rate.map(SetView::from),
            concurrency: controls.concurrency.map(SetView::from),
        }
    }
}

impl<T> From<Held<T>> for SetView<T> {
    fn from(held: Held<T>) -> Self {
        let time = |ms: Option<u64>| DateTime::from_timestamp_millis(i64::try_from(ms?).ok()?);
        Self {
            value: held.value,
            until: time(held.until_ms),
            by: held.by,
            reason: held.reason,
            since: time(held.at_ms),
        }
    }
}

impl<T> SetView<T> {
    /// `until 2026-11-22 14:30 UTC, by cli:ana: the provider is down`, as far as it is known.
    pub fn about(&self) -> String {
        let until = self.until.map(|until| format!("until {}", until.format("%Y-%m-%d %H:%M:%S UTC")));
        let by = (!self.by.is_empty()).then(|| format!("by {}", self.by));
        let who: Vec<String> = [until, by].into_iter().flatten().collect();
        match (who.join(", "), self.reason.as_str()) {
            (who, "") => who,
            (who, reason) if who.is_empty() => reason.to_owned(),
            (who, reason) => format!("{who}: {reason}"),
        }
    }
}
