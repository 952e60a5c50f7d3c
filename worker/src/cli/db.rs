//! `flota db`: prepare Postgres.

use clap::Subcommand;

use crate::{
    config::Environment,
    database::{self, MigrationStatus},
    exit::{Done, Exit},
};

use super::{Global, context::postgres, output::Show};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Bring the tables up to this release; safe to repeat and to run in several places at once
    Migrate,
    /// Which migrations have been applied
    Status,
}

pub(super) async fn run(global: &Global, environment: Environment, command: Command) -> Done {
    let pool = postgres(&environment)?;
    if let Command::Migrate = command {
        database::migrate(&pool).await?;
    }
    let migrations = database::status(&pool).await?;
    global.output.list(&migrations, "This release has no migrations.")?;
    let missing = migrations.iter().any(|migration| migration.applied.is_none());
    Ok(if missing { Exit::Failed } else { Exit::Ok })
}

impl Show for MigrationStatus {
    const COLUMNS: &'static [&'static str] = &["version", "name", "applied"];

    fn row(&self) -> Vec<String> {
        let applied = self
            .applied
            .map_or_else(|| "missing".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S").to_string());
        vec![self.version.to_string(), self.name.clone(), applied]
    }

    fn id(&self) -> String {
        self.version.to_string()
    }
}
