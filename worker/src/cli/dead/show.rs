//! How letters and groups look: tables, and one letter as a story.

use crate::{
    dead::{Group, Letter},
    outcomes::DeadRow,
};

use super::super::{
    job,
    output::{Show, printable},
};

/// A letter as people read it.
pub(super) fn story(letter: &Letter) -> String {
    let row = &letter.row;
    let mut text = format!("Letter {}\n  {} in queue {}", row.id, row.kind, row.queue);
    if let Some(tenant) = &row.tenant {
        text.push_str(&format!(", tenant {tenant}"));
    }
    text.push_str(&format!("\n  {}, died {} of ", row.state, row.died_at.format("%Y-%m-%d %H:%M:%S")));
    text.push_str(row.error_class.as_deref().unwrap_or("an unknown cause"));
    let attempts = if row.attempts == 1 { "attempt" } else { "attempts" };
    text.push_str(&format!(" after {} {attempts}, group {}", row.attempts, letter.fingerprint));
    if let Some(error) = &row.error {
        text.push_str(&format!("\n  {}", printable(error)));
    }
    if let Some(payload) = &letter.payload {
        text.push_str(&format!("\n  input {payload}"));
    }
    if 1 < letter.lineage.len() {
        text.push_str("\n\nLine of repetitions");
        for job in &letter.lineage {
            let here = if job.id == row.id { "  ← this letter" } else { "" };
            text.push_str(&format!("\n  {}  {}{here}", job.id, job.status.as_deref().unwrap_or("not ended")));
        }
    }
    for touched in &letter.operations {
        let at = touched.at.format("%Y-%m-%d %H:%M:%S");
        let reason = touched.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        text.push_str(&format!(
            "\n\n{at} {} by {}{reason}\n  {} in operation {}",
            touched.kind, touched.actor, touched.state, touched.operation
        ));
    }
    if !letter.runs.is_empty() {
        text.push_str(&format!("\n\n{}", job::runs(&letter.runs)));
    }
    text
}

impl Show for DeadRow {
    const COLUMNS: &'static [&'static str] =
        &["id", "queue", "kind", "tenant", "class", "attempts", "died", "state", "error"];

    fn row(&self) -> Vec<String> {
        let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            self.id.to_string(),
            self.queue.clone(),
            self.kind.clone(),
            dash(&self.tenant),
            dash(&self.error_class),
            self.attempts.to_string(),
            self.died_at.format("%Y-%m-%d %H:%M:%S").to_string(),
            self.state.clone(),
            self.error.clone().unwrap_or_default(),
        ]
    }

    fn id(&self) -> String {
        self.id.to_string()
    }
}

impl Show for Group {
    const COLUMNS: &'static [&'static str] =
        &["group", "count", "kind", "class", "code", "first", "last", "sample", "error"];

    fn row(&self) -> Vec<String> {
        let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            self.fingerprint.clone(),
            self.count.to_string(),
            self.kind.clone(),
            dash(&self.error_class),
            dash(&self.code),
            self.first_at.format("%m-%d %H:%M:%S").to_string(),
            self.last_at.format("%m-%d %H:%M:%S").to_string(),
            self.sample.to_string(),
            self.error.clone().unwrap_or_default(),
        ]
    }

    fn id(&self) -> String {
        self.fingerprint.clone()
    }
}
