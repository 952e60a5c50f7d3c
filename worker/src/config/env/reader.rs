//! Reads variables one by one and gathers what is wrong with them, so that everything can be told at once.

use std::{collections::HashSet, path::PathBuf};

use flota_producer::SettingsError;

use super::{
    error::{EnvironmentError, EnvironmentWarning},
    variables::{VARIABLES, find},
};
use crate::config::nearest::nearest;

/// Finds the value of a variable, or of the file that its `_FILE` twin names.
pub type Lookup<'a> = dyn Fn(&str) -> Result<Option<String>, SettingsError> + 'a;

/// Prefix of our own variables. Other names may belong to anybody.
const OURS: &str = "FLOTA_";

/// What a variable that is true or false says.
pub(super) fn truth(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "it is neither true nor false; write one of them".to_owned())
}

pub(super) struct Reader<'a> {
    pub(super) lookup: &'a Lookup<'a>,
    /// Names of all variables that are set and not empty.
    pub(super) names: HashSet<&'a str>,
    pub(super) problems: Vec<EnvironmentError>,
    pub(super) warnings: Vec<EnvironmentWarning>,
}

impl Reader<'_> {
    /// The value as it was written.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        debug_assert!(find(name).is_some(), "{name} is missing from the table of variables");
        (self.lookup)(name).unwrap_or_else(|error| {
            self.problems.push(error.into());
            None
        })
    }

    /// The value with a meaning. `parse` answers what is wrong and what to write.
    pub(super) fn parse<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(name)?;
        parse(&text).map_err(|problem| self.refuse(name, problem)).ok()
    }

    /// The file that a variable names. It must be readable now, so that a slip is told at start.
    pub(super) fn file(&mut self, name: &'static str) -> Option<PathBuf> {
        let path = PathBuf::from(self.text(name)?);
        match std::fs::read(&path) {
            Ok(_) => Some(path),
            Err(source) => {
                self.problems.push(EnvironmentError::File { name, path, source });
                None
            }
        }
    }

    pub(super) fn refuse(&mut self, name: &'static str, problem: impl Into<String>) {
        self.problems.push(EnvironmentError::Bad { name, problem: problem.into() });
    }

    /// Warns of our own names that nothing reads, and of values that are given twice.
    pub(super) fn look_at_names(&mut self) {
        let is_known = |name: &str| VARIABLES.iter().any(|variable| variable.name == name);
        let is_read = |name: &str| is_known(name) || name.strip_suffix("_FILE").is_some_and(is_known);
        let mut unknown: Vec<&str> =
            self.names.iter().copied().filter(|name| name.starts_with(OURS) && !is_read(name)).collect();
        unknown.sort_unstable();
        self.warnings.extend(
            unknown
                .into_iter()
                .map(|name| EnvironmentWarning::Unknown { name: name.to_owned(), nearest: meant(name) }),
        );
        let is_twice =
            |name: &str| self.names.contains(name) && self.names.contains(&*format!("{name}_FILE"));
        let twice = VARIABLES.iter().map(|variable| variable.name).filter(|name| is_twice(name));
        self.warnings.extend(twice.map(|name| EnvironmentWarning::Twice { name }));
    }
}

/// What somebody probably meant by one of our names that nothing reads. Most variables have no prefix of ours.
fn meant(name: &str) -> Option<&'static str> {
    let unprefixed = name.strip_prefix(OURS).and_then(find).map(|variable| variable.name);
    unprefixed.or_else(|| nearest(name, VARIABLES.iter().map(|variable| variable.name)))
}
