//! What the environment says, for `flota config show`: every variable, with secrets masked.

use serde::Serialize;
use url::Url;

use super::{
    reader::Reader,
    variable::{Shown, Variable},
    variables::VARIABLES,
};

/// What stands for a secret. It does not tell how long the secret is.
const MASK: &str = "***";

/// One variable as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SummaryRow {
    /// Its name.
    pub name: &'static str,
    /// Its value, masked when it is a secret; its default, when it is not set and has one.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ValueSource,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueSource {
    /// The variable itself.
    Env,
    /// The file that the variable with `_FILE` names.
    File,
    /// Nothing is set, and the default holds.
    Default,
    /// Nothing is set, and there is no default.
    Unset,
}

impl ValueSource {
    /// The word used in tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::File => "file",
            Self::Default => "default",
            Self::Unset => "unset",
        }
    }
}

/// One row per variable of the table, in its order. A file that cannot be read is a problem of the reader, and its
/// variable counts as not set here.
pub(super) fn rows(reader: &Reader<'_>) -> Vec<SummaryRow> {
    VARIABLES.iter().map(|variable| row(reader, variable)).collect()
}

fn row(reader: &Reader<'_>, variable: &Variable) -> SummaryRow {
    let set = (reader.lookup)(variable.name).ok().flatten();
    let (value, source) = match (set, variable.default) {
        (Some(value), _) if reader.names.contains(variable.name) => {
            (Some(shown(variable, &value)), ValueSource::Env)
        }
        (Some(value), _) => (Some(shown(variable, &value)), ValueSource::File),
        (None, Some(default)) => (Some(default.to_owned()), ValueSource::Default),
        (None, None) => (None, ValueSource::Unset),
    };
    SummaryRow { name: variable.name, value, source }
}

fn shown(variable: &Variable, value: &str) -> String {
    match variable.shown {
        Shown::Plainly => value.to_owned(),
        Shown::WithoutPassword => without_password(value),
        Shown::Never => MASK.to_owned(),
    }
}

/// Passwords stand before the host, and Postgres drivers take them as parameters too. What is not a URL is masked.
fn without_password(value: &str) -> String {
    let Ok(mut url) = Url::parse(value) else { return MASK.to_owned() };
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return MASK.to_owned();
    }
    let names: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    if names.iter().any(|name| name.to_ascii_lowercase().contains("pass")) {
        url.set_query(Some(MASK));
    }
    url.to_string()
}
