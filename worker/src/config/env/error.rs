//! What is wrong with the environment, and what is only worth a warning. No sentence repeats a secret.

use std::{error::Error, fmt, path::PathBuf};

use flota_producer::SettingsError;

/// One variable that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A variable of Redis, or a file named by an `X_FILE` variable.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A variable holds something else than it should.
    #[error("{name} is not usable: {problem}")]
    Bad {
        /// Name of the variable.
        name: &'static str,
        /// What is wrong and what to write.
        problem: String,
    },
    /// A variable is not set although another one needs it.
    #[error("{name} is not set, but {because}; set both or neither")]
    Missing {
        /// Name of the variable.
        name: &'static str,
        /// What needs it.
        because: &'static str,
    },
    /// A file that a variable names cannot be read.
    #[error("{name} names a file that cannot be read: {}; correct the path or unset {name}", path.display())]
    File {
        /// Name of the variable.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Why the environment cannot be used: every problem that was found, one sentence a line, each with its causes.
#[derive(Debug)]
pub struct EnvironmentErrors(pub Vec<EnvironmentError>);

impl Error for EnvironmentErrors {}

impl fmt::Display for EnvironmentErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            let line_break = if n == 0 { "" } else { "\n" };
            write!(f, "{line_break}{problem}")?;
            let mut cause = problem.source();
            while let Some(error) = cause {
                write!(f, ": {error}")?;
                cause = error.source();
            }
        }
        Ok(())
    }
}

/// Something in the environment that changes nothing, although somebody meant it to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvironmentWarning {
    /// A `FLOTA_…` variable that nothing reads.
    Unknown {
        /// Its name.
        name: String,
        /// The name that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A variable that does nothing without another one.
    Idle {
        /// Its name.
        name: &'static str,
        /// The other one.
        without: &'static str,
    },
    /// `X` and `X_FILE` are both set: the file is not read.
    Twice {
        /// Its name without `_FILE`.
        name: &'static str,
    },
}

impl fmt::Display for EnvironmentWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, nearest: Some(nearest) } => {
                write!(f, "{name} is set, but nothing reads it; did you mean {nearest}?")
            }
            Self::Unknown { name, nearest: None } => {
                write!(
                    f,
                    "{name} is set, but nothing reads it; `flota config env-example` lists every variable"
                )
            }
            Self::Idle { name, without } => {
                write!(f, "{name} is set, but does nothing without {without}; set {without} or unset {name}")
            }
            Self::Twice { name } => {
                write!(f, "{name} and {name}_FILE are both set, and only {name} is used; unset one of them")
            }
        }
    }
}
