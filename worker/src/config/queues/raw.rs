//! First stage: text → [`RawQueues`], which mirrors the file and knows where each value was written.
//!
//! Keys that do not exist, and values where a table should be, are found here. They are told and left out before serde
//! sees the rest, because serde stops at the first one. What values mean is for the second stage (`check.rs`).

use std::collections::BTreeMap;

use flota_engine::ErrorClass;
use serde::Deserialize;
use toml::{
    Spanned, Value,
    de::{DeTable, DeValue},
};

use super::{
    keys::KEYS,
    problem::{Document, Problem},
};
use crate::config::nearest::nearest;

/// The file as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawQueues {
    pub(super) defaults: RawQueue,
    pub(super) queues: BTreeMap<Spanned<String>, RawQueue>,
    pub(super) schedules: BTreeMap<Spanned<String>, RawSchedule>,
    pub(super) retention: RawRetention,
    pub(super) providers: BTreeMap<Spanned<String>, RawProvider>,
    pub(super) llm: Option<Spanned<Value>>,
    pub(super) transcription: Option<Spanned<Value>>,
}

/// One schedule as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawSchedule {
    pub(super) cron: Option<Spanned<Value>>,
    pub(super) timezone: Option<Spanned<Value>>,
    pub(super) kind: Option<Spanned<Value>>,
    pub(super) queue: Option<Spanned<Value>>,
    pub(super) payload: Option<Spanned<Value>>,
    pub(super) tenant: Option<Spanned<Value>>,
    pub(super) overlap: Option<Spanned<Value>>,
    pub(super) catch_up: Option<Spanned<Value>>,
}

/// The ages of history as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRetention {
    pub(super) outcomes: Option<Spanned<Value>>,
    pub(super) attempts: Option<Spanned<Value>>,
    pub(super) dead_letters: Option<Spanned<Value>>,
    pub(super) waiting_dead_letters: Option<Spanned<Value>>,
}

/// Limits and timeout of one provider as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawProvider {
    pub(super) per_second: Option<Spanned<Value>>,
    pub(super) per_minute: Option<Spanned<Value>>,
    pub(super) per_day: Option<Spanned<Value>>,
    pub(super) burst: Option<Spanned<Value>>,
    pub(super) timeout: Option<Spanned<Value>>,
}

/// One table of settings as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawQueue {
    concurrency: Option<Spanned<Value>>,
    lease: Option<Spanned<Value>>,
    heartbeat: Option<Spanned<Value>>,
    timeout: Option<Spanned<Value>>,
    max_attempts: Option<Spanned<Value>>,
    max_deliveries: Option<Spanned<Value>>,
    max_len: Option<Spanned<Value>>,
    park: Option<Spanned<Value>>,
    backoff: RawBackoff,
    tries: RawTries,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawBackoff {
    base: Option<Spanned<Value>>,
    cap: Option<Spanned<Value>>,
    delays: Option<Spanned<Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawTries {
    server_error: Option<Spanned<Value>>,
    timeout: Option<Spanned<Value>>,
    network: Option<Spanned<Value>>,
    ambiguous: Option<Spanned<Value>>,
    internal: Option<Spanned<Value>>,
    panic: Option<Spanned<Value>>,
}

impl RawQueue {
    /// The value that was written for the key with this name, if any.
    pub(super) fn get(&self, name: &str) -> Option<&Spanned<Value>> {
        let value = match name {
            "concurrency" => &self.concurrency,
            "lease" => &self.lease,
            "heartbeat" => &self.heartbeat,
            "timeout" => &self.timeout,
            "max_attempts" => &self.max_attempts,
            "max_deliveries" => &self.max_deliveries,
            "max_len" => &self.max_len,
            "park" => &self.park,
            "backoff.base" => &self.backoff.base,
            "backoff.cap" => &self.backoff.cap,
            "backoff.delays" => &self.backoff.delays,
            "tries.server_error" => &self.tries.server_error,
            "tries.timeout" => &self.tries.timeout,
            "tries.network" => &self.tries.network,
            "tries.ambiguous" => &self.tries.ambiguous,
            "tries.internal" => &self.tries.internal,
            "tries.panic" => &self.tries.panic,
            _ => &None,
        };
        value.as_ref()
    }
}

/// Reads the text. Text that is not TOML gives no tables at all, only problems.
pub(super) fn read(document: Document<'_>, problems: &mut Vec<Problem>) -> Option<RawQueues> {
    let (mut root, errors) = DeTable::parse_recoverable(document.text);
    if !errors.is_empty() {
        problems.extend(errors.iter().map(|error| document.not_toml(error)));
        return None;
    }
    let mut sieve = Sieve { document, problems };
    sieve.file(root.get_mut());
    match RawQueues::deserialize(toml::de::Deserializer::from(root)) {
        Ok(raw) => Some(raw),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            problems.push(document.problem(at, format!("{}; correct this line", error.message())));
            None
        }
    }
}

/// Lets through what the structs above can hold, and tells the rest.
struct Sieve<'a> {
    document: Document<'a>,
    problems: &'a mut Vec<Problem>,
}

impl Sieve<'_> {
    fn file(&mut self, root: &mut DeTable<'_>) {
        self.sift(root, Table::File, "");
        if let Some(defaults) = inner(root, "defaults") {
            self.settings(defaults, "defaults.");
        }
        if let Some(queues) = inner(root, "queues") {
            self.sift(queues, Table::Queues, "queues.");
            for (name, queue) in queues.iter_mut() {
                if let DeValue::Table(queue) = queue.get_mut() {
                    self.settings(queue, &format!("queues.{}.", name.get_ref()));
                }
            }
        }
        if let Some(schedules) = inner(root, "schedules") {
            self.sift(schedules, Table::Schedules, "schedules.");
            for (name, schedule) in schedules.iter_mut() {
                if let DeValue::Table(schedule) = schedule.get_mut() {
                    self.sift(schedule, Table::Schedule, &format!("schedules.{}.", name.get_ref()));
                }
            }
        }
        if let Some(retention) = inner(root, "retention") {
            self.sift(retention, Table::Retention, "retention.");
        }
        if let Some(providers) = inner(root, "providers") {
            self.sift(providers, Table::Providers, "providers.");
            for (name, provider) in providers.iter_mut() {
                if let DeValue::Table(provider) = provider.get_mut() {
                    self.sift(provider, Table::Provider, &format!("providers.{}.", name.get_ref()));
                }
            }
        }
    }

    fn settings(&mut self, table: &mut DeTable<'_>, path: &str) {
        spell_out_delays(table);
        self.sift(table, Table::Settings, path);
        for name in INNER {
            if let Some(table) = inner(table, name) {
                self.sift(table, Table::Inner(name), &format!("{path}{name}."));
            }
        }
    }

    /// Removes from a table what is not expected in it. `path` is the way to the table, with a dot at its end.
    fn sift(&mut self, table: &mut DeTable<'_>, place: Table, path: &str) {
        let entries = std::mem::take(table);
        *table = entries
            .into_iter()
            .filter(|(key, value)| {
                let (name, is_table) = (key.get_ref().as_ref(), value.get_ref().is_table());
                let fault = match place.expected(name) {
                    Expected::Table if is_table => return true,
                    Expected::Value if !is_table => return true,
                    Expected::Table => {
                        format!(
                            " = {} should be a table; {}",
                            self.document.written(value.span()),
                            place.example(name)
                        )
                    }
                    Expected::Value => format!(" is one value, not a table; write {name} = …"),
                    Expected::Nothing => {
                        format!(" is not a setting of this file; {}", place.instead_of(name))
                    }
                };
                self.problems.push(self.document.problem(key.span().start, format!("{path}{name}{fault}")));
                false
            })
            .collect();
    }
}

/// Tables inside a table of settings.
const INNER: [&str; 2] = ["backoff", "tries"];

/// Keys of a schedule.
const SCHEDULE: [&str; 8] = ["cron", "timezone", "kind", "queue", "payload", "tenant", "overlap", "catch_up"];
/// Keys of retention.
const RETENTION: [&str; 4] = ["outcomes", "attempts", "dead_letters", "waiting_dead_letters"];

/// Keys of a provider.
const PROVIDER: [&str; 5] = ["per_second", "per_minute", "per_day", "burst", "timeout"];

/// The kinds of table in the file.
#[derive(Clone, Copy)]
enum Table {
    File,
    Queues,
    Settings,
    Inner(&'static str),
    Schedules,
    Schedule,
    Retention,
    Providers,
    Provider,
}

enum Expected {
    Table,
    Value,
    Nothing,
}

impl Table {
    fn expected(self, name: &str) -> Expected {
        match self {
            Self::File
            | Self::Settings
            | Self::Inner(_)
            | Self::Schedule
            | Self::Retention
            | Self::Provider
                if !self.names().contains(&name) =>
            {
                Expected::Nothing
            }
            Self::File | Self::Queues | Self::Schedules | Self::Providers => Expected::Table,
            Self::Schedule if name == "payload" => Expected::Table,
            Self::Settings if INNER.contains(&name) => Expected::Table,
            Self::Settings | Self::Inner(_) | Self::Schedule | Self::Retention | Self::Provider => {
                Expected::Value
            }
        }
    }

    /// The names that this table may hold; none where every name may stand.
    fn names(self) -> Vec<&'static str> {
        match self {
            Self::Queues | Self::Schedules | Self::Providers => Vec::new(),
            Self::File => {
                vec!["defaults", "queues", "schedules", "retention", "providers", "llm", "transcription"]
            }
            Self::Schedule => SCHEDULE.to_vec(),
            Self::Retention => RETENTION.to_vec(),
            Self::Provider => PROVIDER.to_vec(),
            Self::Settings => {
                let mut names: Vec<_> = KEYS.iter().filter_map(|key| key.name.split('.').next()).collect();
                names.dedup();
                names
            }
            Self::Inner(table) => {
                let inside = |key: &'static str| key.strip_prefix(table)?.strip_prefix('.');
                let delays = (table == "backoff").then_some("delays");
                KEYS.iter().filter_map(|key| inside(key.name)).chain(delays).collect()
            }
        }
    }

    fn example(self, name: &str) -> String {
        match (self, name) {
            (Self::File, name @ ("queues" | "schedules" | "providers")) => {
                format!("write [{name}.<name>] on a line of its own")
            }
            (Self::Schedules, name) => format!("write [schedules.{name}] on a line of its own"),
            (Self::Providers, name) => format!("write [providers.{name}] on a line of its own"),
            (Self::Schedule, name) => format!("write {name} = {{ key = value }}"),
            (Self::File, name) => format!("write [{name}] on a line of its own"),
            (Self::Queues, name) => format!("write [queues.{name}] on a line of its own"),
            (_, "backoff") => "write backoff = { base = \"1s\", cap = \"15m\" }".to_owned(),
            (_, name) => format!("write {name} = {{ server_error = 3 }}"),
        }
    }

    fn instead_of(self, name: &str) -> String {
        let known = self.names();
        match nearest(name, known.iter().copied()) {
            Some(near) => format!("write {near}, or remove it"),
            // Whoever writes one of these expects an effect that it cannot have.
            None if matches!(self, Self::Inner("tries")) && ErrorClass::from_word(name).is_some() => {
                format!("remove it: errors of class {name} are never retried")
            }
            None => format!("write one of {}, or remove it", known.join(", ")),
        }
    }
}

/// `backoff = […]` and `backoff = "…"` are short for `backoff = { delays = … }`.
fn spell_out_delays(table: &mut DeTable<'_>) {
    let Some(backoff) = table.get_mut("backoff") else { return };
    let (span, value) = (backoff.span(), backoff.get_mut());
    if matches!(value, DeValue::String(_) | DeValue::Array(_)) {
        let delays = std::mem::replace(value, DeValue::Boolean(false));
        let name = Spanned::new(span.clone(), "delays".into());
        *value = DeValue::Table(DeTable::from_iter([(name, Spanned::new(span, delays))]));
    }
}

fn inner<'t, 'i>(table: &'t mut DeTable<'i>, name: &str) -> Option<&'t mut DeTable<'i>> {
    match table.get_mut(name)?.get_mut() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_can_be_written_and_is_found_again() {
        let settings: Vec<String> = KEYS.iter().map(|key| format!("defaults.{} = 1", key.name)).collect();
        let text = settings.join("\n");
        let mut problems = Vec::new();

        let raw = read(Document { file: "queues.toml", text: &text }, &mut problems).unwrap();

        assert_eq!(problems, []);
        for key in &KEYS {
            assert!(raw.defaults.get(key.name).is_some(), "{} is not read", key.name);
        }
    }
}
