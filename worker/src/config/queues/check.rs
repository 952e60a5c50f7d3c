//! Second stage: each written value → a number inside its limits, or a sentence that says what to write.
//!
//! A [`Layer`] is one checked table. Values of three layers (built in, `[defaults]`, the queue) make a queue; how they
//! fit together is checked in `policy.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use toml::{Spanned, Value};

use super::{
    delays,
    keys::{KEYS, Key, Unit, spoken},
    problem::{Document, Problem},
    raw::RawQueue,
};

/// The checked values of one table.
#[derive(Debug, Default)]
pub(super) struct Layer {
    settings: BTreeMap<&'static str, Setting>,
    /// Keys whose value was refused: nothing more can be said of them.
    refused: BTreeSet<&'static str>,
    /// The plan of delays, when there is one.
    pub(super) delays: Option<Vec<Duration>>,
}

impl Layer {
    pub(super) fn get(&self, key: &Key) -> Option<&Setting> {
        self.settings.get(key.name)
    }

    pub(super) fn is_refused(&self, key: &Key) -> bool {
        self.refused.contains(key.name)
    }
}

/// One checked value.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    /// A count, or milliseconds.
    pub(super) value: u64,
    /// Where it was written; `None` for what is built in.
    pub(super) place: Option<Place>,
}

/// Where a value was written.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Byte position in the file.
    pub(super) at: usize,
    /// The way to the key, such as `queues.email.lease`.
    pub(super) key: String,
    /// The value as it was written.
    pub(super) written: String,
}

/// Checks every value of a table. `path` is the way to it, such as `queues.email`. Bad values are told and left out.
pub(super) fn check(
    document: Document<'_>,
    path: &str,
    raw: &RawQueue,
    problems: &mut Vec<Problem>,
) -> Layer {
    let written = KEYS.iter().filter_map(|key| Some((key, raw.get(key.name)?)));
    let mut layer = Layer { delays: delays::check(document, path, raw, problems), ..Layer::default() };
    for (key, raw) in written {
        let place = Place {
            at: raw.span().start,
            key: format!("{path}.{}", key.name),
            written: document.written(raw.span()),
        };
        match value(key, raw) {
            Ok(value) => {
                layer.settings.insert(key.name, Setting { value, place: Some(place) });
            }
            Err(fault) => {
                layer.refused.insert(key.name);
                problems
                    .push(document.problem(place.at, format!("{} = {} {fault}", place.key, place.written)));
            }
        }
    }
    layer
}

fn value(key: &Key, raw: &Spanned<Value>) -> Result<u64, String> {
    let value = match key.unit {
        Unit::Count => count(key, raw.get_ref())?,
        Unit::Time => milliseconds(key, raw.get_ref())?,
    };
    let outside = match (value < key.least, key.most < value, key.unit) {
        (false, false, _) => return Ok(value),
        (true, _, Unit::Count) => format!("is less than {}", key.least),
        (_, _, Unit::Count) => format!("is more than {}", key.most),
        (true, _, Unit::Time) => format!("is shorter than {}", spoken(key.least)),
        (_, _, Unit::Time) => format!("is longer than {}", spoken(key.most)),
    };
    let sort = if key.unit == Unit::Count { "number" } else { "time" };
    Err(format!("{outside}; write a {sort} from {} to {}", key.written(key.least), key.written(key.most)))
}

fn count(key: &Key, value: &Value) -> Result<u64, String> {
    match value {
        Value::Integer(number) => u64::try_from(*number).map_err(|_| {
            format!("is less than {}; write a number from {} to {}", key.least, key.least, key.most)
        }),
        Value::String(text) if text.parse::<u64>().is_ok() => {
            Err(format!("is text; write the number without quotes: {text}"))
        }
        _ => Err(format!(
            "is not a whole number; write one from {} to {}, such as {}",
            key.least, key.most, key.default
        )),
    }
}

fn milliseconds(key: &Key, value: &Value) -> Result<u64, String> {
    let example = key.written(key.default);
    match value {
        Value::String(text) => match humantime::parse_duration(text) {
            Ok(time) => Ok(whole_milliseconds(time)),
            Err(error) => {
                Err(format!("is not a time ({error}); write a number with a unit, such as {example}"))
            }
        },
        Value::Integer(number) if 0 < *number => {
            Err(format!("has no unit; write \"{number}s\" for seconds or \"{number}ms\""))
        }
        _ => Err(format!("is not a time; write a number with a unit in quotes, such as {example}")),
    }
}

/// Everything finer is below every limit or does not matter. Absurdly long times stay long, and are refused.
fn whole_milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
