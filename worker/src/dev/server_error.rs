//! Why a private server cannot be used, in sentences for whoever typed `flota dev`.

use std::{io, path::PathBuf};

use super::{
    private_directory::DirectoryError, programs::ProgramMissing, server_user::NoServerUser,
    servers::READY_WITHIN,
};

/// Why a private server cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The program is not installed.
    #[error(transparent)]
    Missing(#[from] ProgramMissing),
    /// We are root and have nobody to run Postgres as.
    #[error(transparent)]
    NoUser(#[from] NoServerUser),
    /// Its directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Starting, signalling or stopping the process failed.
    #[error("{server} could not be {action}: see the cause below")]
    Process {
        /// Redis or Postgres.
        server: &'static str,
        /// What was tried, as a participle.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// `initdb` failed.
    #[error("initdb could not make a Postgres cluster in {}: correct what its output names, then start again\n{log_tail}", .directory.display())]
    Initialise {
        /// Where the cluster was to be.
        directory: PathBuf,
        /// The end of its output.
        log_tail: String,
    },
    /// Another process listens on the port.
    #[error(
        "{server} cannot listen on 127.0.0.1:{port}, because another process does: stop that process, then start again\n{log_tail}"
    )]
    PortTaken {
        /// Redis or Postgres.
        server: &'static str,
        /// The port.
        port: u16,
        /// The end of its output.
        log_tail: String,
    },
    /// The server ended before it answered.
    #[error("{server} ended before it answered: correct what its log names, then start again\n{log_tail}")]
    Ended {
        /// Redis or Postgres.
        server: &'static str,
        /// The end of its output.
        log_tail: String,
    },
    /// The server runs and says nothing.
    #[error(
        "{server} did not answer within {READY_WITHIN:?}: its log says why, or this machine is too busy\n{log_tail}"
    )]
    Silent {
        /// Redis or Postgres.
        server: &'static str,
        /// The end of its output.
        log_tail: String,
    },
    /// The server was asked for something while it was stopped.
    #[error("{server} is stopped, so it cannot be {action}: start it again first")]
    Stopped {
        /// Redis or Postgres.
        server: &'static str,
        /// What was asked, as a participle.
        action: &'static str,
    },
    /// Postgres refused a statement.
    #[error("Postgres could not create the database {database:?}: see the cause below")]
    Database {
        /// The name of the database.
        database: String,
        /// What Postgres said.
        #[source]
        source: sqlx::Error,
    },
}
