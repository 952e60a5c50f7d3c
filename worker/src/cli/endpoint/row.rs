//! How an endpoint is shown: as a row of the list, and in full.

use chrono::{DateTime, Utc};

use super::super::output::{Show, printable};
use crate::endpoints::EndpointRow;

impl EndpointRow {
    fn state(&self) -> String {
        match (&self.disabled, self.failing_since) {
            (Some(reason), _) => format!("disabled: {reason}"),
            (None, Some(since)) => format!("failing since {} ({} times)", minute(since), self.failures),
            (None, None) => "open".to_owned(),
        }
    }

    /// Workers write it down once an hour, because a healthy endpoint should cost Postgres next to nothing.
    fn last_success(&self) -> String {
        let time = |time| format!("{}, or up to an hour later", minute(time));
        self.last_success_at.map_or_else(|| "-".to_owned(), time)
    }

    /// Everything about it, one fact per line.
    pub(super) fn in_full(&self) -> String {
        let time = |time: Option<DateTime<Utc>>| time.map_or_else(|| "-".to_owned(), minute);
        let facts = [
            ("endpoint", self.id.clone()),
            ("tenant", self.tenant.clone().unwrap_or_else(|| "-".to_owned())),
            ("url", self.url.clone()),
            ("description", self.description.clone().unwrap_or_else(|| "-".to_owned())),
            ("state", self.state()),
            ("signature", self.signature.clone()),
            ("newest secret", minute(self.rotated_at.unwrap_or(self.created_at))),
            ("old secret until", time(self.old_secret_until)),
            ("at once", self.max_concurrent.map_or_else(|| "no cap".to_owned(), |most| most.to_string())),
            ("last success", self.last_success()),
            ("last failure", time(self.last_failure_at)),
            ("disabled at", time(self.disabled_at)),
        ];
        facts.map(|(name, value)| format!("{name:<17} {}", printable(&value))).join("\n")
    }
}

fn minute(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M").to_string()
}

impl Show for EndpointRow {
    const COLUMNS: &'static [&'static str] =
        &["id", "tenant", "url", "state", "signature", "added", "description"];

    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.tenant.clone().unwrap_or_else(|| "-".to_owned()),
            self.url.clone(),
            self.state(),
            self.signature.clone(),
            minute(self.created_at),
            self.description.clone().unwrap_or_default(),
        ]
    }

    fn id(&self) -> String {
        self.id.clone()
    }
}
