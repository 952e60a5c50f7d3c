//! Why Postgres brought no answer, in terms of what a person can do about it.

/// Why Postgres brought no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The address cannot be read.
    #[error("DATABASE_URL is not a Postgres address: write postgres://user:password@host:5432/database")]
    Address(#[source] Option<sqlx::Error>),
    /// There is no connection, or it broke.
    #[error("Postgres cannot be reached: check that it runs, and that DATABASE_URL leads to it")]
    Unreachable(#[source] sqlx::Error),
    /// Postgres has no disk, memory or connection left for us.
    #[error(
        "Postgres has run out of something: its own words below say of what, so make room or raise that limit"
    )]
    Exhausted(#[source] sqlx::Error),
    /// Postgres does not let us in.
    #[error("Postgres does not let us in: correct the user, password or database in DATABASE_URL")]
    NotAllowed(#[source] sqlx::Error),
    /// A table, column or function is missing.
    #[error("the database lacks what this release needs: run `flota db migrate`")]
    NotMigrated(#[source] sqlx::Error),
    /// Postgres refused a statement.
    #[error("Postgres refused a statement: its own words below say why")]
    Statement(#[source] sqlx::Error),
    /// A migration was edited after it had been applied.
    #[error(
        "migration {0} differs from the one this database was made with: use the release that made it, or restore the file and write the change as a new migration"
    )]
    Edited(i64),
    /// A migration failed; its transaction was rolled back.
    #[error(
        "migration {version} failed, and nothing of it was kept: remove the cause below, then run `flota db migrate` again"
    )]
    Migration {
        /// Its number.
        version: i64,
        /// What Postgres said.
        #[source]
        source: sqlx::Error,
    },
}

impl DatabaseError {
    /// True when nothing is wrong with what was asked, and the same may succeed later.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Exhausted(_))
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        let Some(code) = sqlstate(&error) else {
            return match error {
                sqlx::Error::Configuration(_) => Self::Address(Some(error)),
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => Self::Unreachable(error),
                other => Self::Statement(other),
            };
        };
        match code.as_str() {
            "3D000" => Self::NotAllowed(error),
            "3F000" | "42P01" | "42703" | "42883" => Self::NotMigrated(error),
            // Our own statement_timeout, or a person who cancelled it.
            "57014" => Self::Statement(error),
            code => match &code[..2] {
                "08" | "57" => Self::Unreachable(error),
                "53" => Self::Exhausted(error),
                "28" => Self::NotAllowed(error),
                _ => Self::Statement(error),
            },
        }
    }
}

/// The five characters with which Postgres names an error; see Appendix A of its manual.
pub(crate) fn sqlstate(error: &sqlx::Error) -> Option<String> {
    let code = error.as_database_error()?.code()?;
    (code.len() == 5 && code.is_ascii()).then(|| code.into_owned())
}
