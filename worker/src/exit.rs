//! How the program ends: one table of exit codes, and one place that turns errors into them.

use std::{fmt, process::ExitCode};

use flota_producer::{EnqueueError, SettingsError, link::LinkError};

use crate::database::DatabaseError;

/// Exit codes that scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// It failed.
    Failed = 1,
    /// The command line or a setting is wrong.
    Usage = 2,
    /// There is no such thing.
    NotFound = 3,
    /// Some of it was done.
    Partly = 4,
    /// Refused without a confirmation.
    Refused = 5,
    /// Redis, Postgres or the storage cannot be reached.
    Unreachable = 6,
    /// Not allowed.
    NotAllowed = 7,
}

/// The table for `--help`.
pub const HELP: &str = "Exit codes: 0 done · 1 failed · 2 usage or settings · 3 not found · 4 partly done · \
5 refused, needs confirmation · 6 Redis, Postgres or storage unreachable · 7 not allowed";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error with the exit code that it ends the program with.
#[derive(Debug)]
pub struct Stop {
    /// The exit code.
    pub exit: Exit,
    /// What happened, why, and what to do next.
    pub error: anyhow::Error,
}

/// What commands return.
pub type Done = Result<Exit, Stop>;

impl Stop {
    /// Ends with this code and sentence.
    pub fn new(exit: Exit, message: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> Self {
        Self { exit, error: anyhow::Error::msg(message) }
    }

    /// There is no such thing.
    pub fn not_found(message: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> Self {
        Self::new(Exit::NotFound, message)
    }

    /// The command line or a setting is wrong.
    pub fn usage(message: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The sentence, with its causes, each said once.
    pub fn sentence(&self) -> String {
        crate::failure::chain(self.error.as_ref())
    }
}

impl From<LinkError> for Stop {
    fn from(error: LinkError) -> Self {
        let refused = matches!(error, LinkError::Refused(_));
        let (exit, advice) = redis_advice(error.redis(), refused);
        Self { exit, error: anyhow::Error::new(error).context(advice) }
    }
}

/// What an error of Redis means for the user. `refused` when Redis answered, and said no.
pub(crate) fn redis_advice(error: &redis::RedisError, refused: bool) -> (Exit, &'static str) {
    let wants_password = matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
        || error.kind() == redis::ErrorKind::AuthenticationFailed
        || error.to_string().contains("unauthenticated");
    if wants_password {
        return (
            Exit::NotAllowed,
            "Redis does not let us in: set the user and password in REDIS_URL (or REDIS_PASSWORD)",
        );
    }
    match error.code() {
        Some("OOM") => (Exit::Failed, "Redis is full: let workers catch up, or raise maxmemory"),
        Some("LOADING") => (Exit::Unreachable, "Redis is still loading its data: try again in a moment"),
        Some("READONLY") => (Exit::Unreachable, "this Redis is a replica: set REDIS_URL to the primary"),
        _ if refused => (Exit::Failed, "Redis refused"),
        _ => (
            Exit::Unreachable,
            "Redis does not answer: check that it runs and what REDIS_URL (or REDIS_HOST, REDIS_PORT) says",
        ),
    }
}

impl From<SettingsError> for Stop {
    fn from(error: SettingsError) -> Self {
        Self { exit: Exit::Usage, error: error.into() }
    }
}

impl From<EnqueueError> for Stop {
    fn from(error: EnqueueError) -> Self {
        match error {
            EnqueueError::Invalid(_) | EnqueueError::TooLarge { .. } => {
                Self { exit: Exit::Usage, error: error.into() }
            }
            EnqueueError::Unknown { .. } => Self { exit: Exit::Unreachable, error: error.into() },
            EnqueueError::Unreachable(source) => LinkError::Down(source).into(),
            EnqueueError::Refused(source) => LinkError::Refused(source).into(),
            error => Self { exit: Exit::Failed, error: error.into() },
        }
    }
}

impl From<DatabaseError> for Stop {
    fn from(error: DatabaseError) -> Self {
        let exit = match &error {
            DatabaseError::Unreachable(_) => Exit::Unreachable,
            DatabaseError::Address(_) => Exit::Usage,
            DatabaseError::NotAllowed(_) => Exit::NotAllowed,
            _ => Exit::Failed,
        };
        Self { exit, error: error.into() }
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        DatabaseError::from(error).into()
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self { exit: Exit::Failed, error }
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self { exit: Exit::Failed, error: error.into() }
    }
}
