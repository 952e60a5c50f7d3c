//! Which dead letters are meant: parsed once, turned into SQL with bound parameters only.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, Utc};
use flota_engine::ErrorClass;
use flota_producer::JobId;
use serde::Serialize;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::config::nearest::nearest;

/// Which letters. What is absent does not matter.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Filter {
    /// These letters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<JobId>,
    /// Of this queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Of this tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// That died of this class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_class: Option<String>,
    /// With this code of the other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// That failed alike: the fingerprint that `flota dead groups` shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Tried so often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Attempts>,
    /// That died at this moment or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// That died before this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// With this text in error, code or payload, whatever its case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// With these values in the payload.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub payload: Vec<PayloadMatch>,
    /// In this state: `dead`, `replaying`, `replayed` or `discarded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
}

/// A range of tries, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Attempts {
    /// At least so many.
    pub least: i32,
    /// At most so many.
    pub most: i32,
}

/// One value in the payload: the text, number or truth value at this path, or one element of the list there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PayloadMatch {
    /// Names of members and numbers of elements, from the payload down.
    pub path: Vec<String>,
    /// How the value is written.
    pub value: String,
}

/// A filter that does not exist or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnknownFilter(pub String);

/// A filter as people write it; what is absent does not matter.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// Of this queue.
    pub queue: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this tenant.
    pub tenant: Option<String>,
    /// A word of [`ErrorClass`].
    pub class: Option<String>,
    /// The other side's code.
    pub code: Option<String>,
    /// A fingerprint.
    pub group: Option<String>,
    /// As [`Attempts`] reads it.
    pub attempts: Option<String>,
    /// As [`moment`] reads it.
    pub since: Option<String>,
    /// As [`moment`] reads it.
    pub until: Option<String>,
    /// Text in error, code or payload.
    pub text: Option<String>,
}

impl Words {
    /// What they mean, at this time, for letters in this state.
    ///
    /// # Errors
    /// For a word that does not exist or cannot be read.
    pub fn filter(self, state: Option<&'static str>, now: DateTime<Utc>) -> Result<Filter, UnknownFilter> {
        let moment = |text: Option<String>| text.map(|text| moment(&text, now)).transpose();
        Ok(Filter {
            queue: self.queue,
            kind: self.kind,
            tenant: self.tenant,
            error_class: self.class.map(class).transpose()?,
            code: self.code,
            fingerprint: self.group,
            attempts: self.attempts.map(|text| text.parse()).transpose()?,
            since: moment(self.since)?,
            until: moment(self.until)?,
            text: self.text,
            state,
            ..Filter::default()
        })
    }
}

fn class(word: String) -> Result<String, UnknownFilter> {
    let words = ErrorClass::ALL.map(ErrorClass::word);
    if words.contains(&word.as_str()) {
        return Ok(word);
    }
    let meant = nearest(&word, words).map(|word| format!("did you mean {word}? ")).unwrap_or_default();
    Err(UnknownFilter(format!("there is no class `{word}`; {meant}classes are {}", words.join(", "))))
}

/// States of a letter.
const STATES: [&str; 4] = ["dead", "replaying", "replayed", "discarded"];

impl Filter {
    /// True when it chooses nothing: every letter in that state fits.
    pub fn is_empty(&self) -> bool {
        *self == Self { state: self.state, ..Self::default() }
    }

    /// Takes a word as it stands on the command line: an id, or `payload.path=value`.
    pub fn take(&mut self, word: &str) -> Result<(), UnknownFilter> {
        if let Ok(id) = JobId::from_str(word) {
            self.ids.push(id);
        } else if word.starts_with("payload.") {
            self.payload.push(word.parse()?);
        } else {
            return Err(UnknownFilter(format!(
                "unknown filter `{word}`: write a letter's id, payload.path=value, or an option such as --queue, \
                 --kind, --tenant, --class, --code, --group, --attempts, --since, --until, --text"
            )));
        }
        Ok(())
    }

    /// Reads the name of a state; `all` for any.
    pub fn state(word: &str) -> Result<Option<&'static str>, UnknownFilter> {
        if word == "all" {
            return Ok(None);
        }
        STATES.into_iter().find(|state| *state == word).map(Some).ok_or_else(|| {
            UnknownFilter(format!("no letter is ever `{word}`; states are {}, all", STATES.join(", ")))
        })
    }

    /// Adds ` WHERE …` to a query on `dead_letters`.
    pub(super) fn push(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(" WHERE true");
        if let Some(state) = self.state {
            // Spelled out, because the indexes are for one state each. It is one of STATES, and nobody else's word.
            query.push(" AND state = '").push(state).push("'");
        }
        if !self.ids.is_empty() {
            let ids: Vec<Uuid> = self.ids.iter().map(|id| id.uuid()).collect();
            query.push(" AND job_id = ANY(").push_bind(ids).push(")");
        }
        for (column, value) in [
            (" AND queue = ", &self.queue),
            (" AND kind = ", &self.kind),
            (" AND tenant = ", &self.tenant),
            (" AND error_class = ", &self.error_class),
            (" AND code = ", &self.code),
            (" AND fingerprint = ", &self.fingerprint),
        ] {
            if let Some(value) = value {
                query.push(column).push_bind(value.clone());
            }
        }
        if let Some(Attempts { least, most }) = self.attempts {
            query.push(" AND attempts BETWEEN ").push_bind(least).push(" AND ").push_bind(most);
        }
        if let Some(since) = self.since {
            query.push(" AND died_at >= ").push_bind(since);
        }
        if let Some(until) = self.until {
            query.push(" AND died_at < ").push_bind(until);
        }
        for PayloadMatch { path, value } in &self.payload {
            query.push(" AND (payload #>> ").push_bind(path.clone()).push(" = ").push_bind(value.clone());
            query.push(" OR payload #> ").push_bind(path.clone()).push(" @> to_jsonb(");
            query.push_bind(value.clone()).push("::text))");
        }
        if let Some(text) = &self.text {
            let pattern = format!("%{}%", escaped(text));
            for part in [" AND (error ILIKE ", " OR code ILIKE ", " OR payload::text ILIKE "] {
                query.push(part).push_bind(pattern.clone());
            }
            query.push(")");
        }
    }
}

/// `%`, `_` and `\` mean themselves.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}

impl FromStr for PayloadMatch {
    type Err = UnknownFilter;

    /// Reads `payload.path=value`; list elements by number: `payload.to.0=…`, or without it for any element.
    fn from_str(text: &str) -> Result<Self, UnknownFilter> {
        let wrong = || {
            UnknownFilter(format!(
                "`{text}` is not payload.path=value, for example payload.to=ana@example.com"
            ))
        };
        let (path, value) = text.split_once('=').ok_or_else(wrong)?;
        let path: Vec<String> =
            path.strip_prefix("payload.").ok_or_else(wrong)?.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            Err(wrong())
        } else {
            Ok(Self { path, value: value.to_owned() })
        }
    }
}

impl FromStr for Attempts {
    type Err = UnknownFilter;

    /// Reads `3`, `2..5`, `3..` or `..3`, both ends included.
    fn from_str(text: &str) -> Result<Self, UnknownFilter> {
        let wrong =
            || UnknownFilter(format!("`{text}` is not a number of attempts; write 3, 2..5, 3.. or ..3"));
        let number = |text: &str, absent| {
            if text.is_empty() { Ok(absent) } else { text.parse::<i32>().map_err(|_| wrong()) }
        };
        match text.split_once("..") {
            Some(("", "")) => Err(wrong()),
            Some((least, most)) => Ok(Self { least: number(least, 0)?, most: number(most, i32::MAX)? }),
            None => text.parse().map(|exactly| Self { least: exactly, most: exactly }).map_err(|_| wrong()),
        }
    }
}

/// Reads a moment: `2h` or `7d` before `now`, a day (`2026-11-21`, UTC), or RFC 3339.
pub fn moment(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, UnknownFilter> {
    if let Ok(ago) = humantime::parse_duration(text) {
        let ago = chrono::Duration::from_std(ago).ok().and_then(|ago| now.checked_sub_signed(ago));
        return ago.ok_or_else(|| UnknownFilter(format!("`{text}` is before all time")));
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let midnight = text.parse::<NaiveDate>().ok().and_then(|day| day.and_hms_opt(0, 0, 0));
    midnight.map(|at| at.and_utc()).ok_or_else(|| {
        UnknownFilter(format!("`{text}` is not a time; write 2h, 7d, 2026-11-21 or 2026-11-21T18:00:00Z"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_filter_is_refused_with_those_that_exist() {
        let mut filter = Filter::default();

        let error = filter.take("colour=red").unwrap_err();

        assert!(error.to_string().contains("unknown filter `colour=red`"), "{error}");
        assert!(error.to_string().contains("--queue"), "{error}");
        assert!(filter.is_empty());
        for wrong in ["payload.=x", "payload.to", "payload..to=x"] {
            assert!(filter.take(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_state_alone_chooses_nothing() {
        assert!(Filter { state: Some("dead"), ..Filter::default() }.is_empty());
        assert!(!Filter { queue: Some("email".into()), ..Filter::default() }.is_empty());
        assert_eq!(Filter::state("all"), Ok(None));
        assert!(Filter::state("gone").is_err());
    }

    #[test]
    fn attempts_are_numbers_and_ranges() {
        let parse = |text: &str| text.parse::<Attempts>().map(|range| (range.least, range.most)).ok();

        assert_eq!(
            [parse("3"), parse("2..5"), parse("3.."), parse("..3"), parse(".."), parse("x")],
            [Some((3, 3)), Some((2, 5)), Some((3, i32::MAX)), Some((0, 3)), None, None]
        );
    }

    #[test]
    fn moments_are_ages_days_and_times() {
        let now: DateTime<Utc> = "2026-11-21T18:00:00Z".parse().unwrap();
        let at = |text: &str| moment(text, now).map(|at| at.to_rfc3339()).ok();

        assert_eq!(at("2h").as_deref(), Some("2026-11-21T16:00:00+00:00"));
        assert_eq!(at("2026-11-20").as_deref(), Some("2026-11-20T00:00:00+00:00"));
        assert_eq!(at("2026-11-20T06:00:00-06:00").as_deref(), Some("2026-11-20T12:00:00+00:00"));
        assert_eq!(at("yesterday"), None);
    }

    #[test]
    fn wildcards_mean_themselves() {
        assert_eq!(escaped(r"100%_\"), r"100\%\_\\");
    }
}
