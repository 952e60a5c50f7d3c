//! `flota db`: prepare Postgres.

use clap::Subcommand;

use crate::{
    clock::now,
    config::Environment,
    database::{self, MigrationStatus},
    exit::{Done, Exit},
    retention::{self, PartitionRow},
};

use super::{
    Global,
    context::postgres,
    output::{Show, line},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Bring the tables up to this release; safe to repeat and to run in several places at once
    #[command(after_help = "Example: flota db migrate")]
    Migrate,
    /// Which migrations have been applied, and how large the tables are
    #[command(after_help = "Examples:\n  flota db status\n  flota db status --partitions -o json")]
    Status {
        /// Only partitions and tables, with their sizes
        #[arg(long)]
        partitions: bool,
    },
}

pub(super) async fn run(global: &Global, environment: Environment, command: Command) -> Done {
    let pool = postgres(&environment)?;
    let only_partitions = match command {
        Command::Migrate => {
            database::migrate(&pool).await?;
            retention::make_days(&pool, now()).await?;
            false
        }
        Command::Status { partitions } => partitions,
    };
    if only_partitions {
        global.output.list(&retention::partitions(&pool).await?, "There are no tables yet.")?;
        return Ok(Exit::Ok);
    }
    let migrations = database::status(&pool).await?;
    global.output.list(&migrations, "This release has no migrations.")?;
    let missing = migrations.iter().any(|migration| migration.applied.is_none());
    if global.output.is_table() && !missing {
        line("")?;
        global.output.list(&retention::partitions(&pool).await?, "There are no tables yet.")?;
    }
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

impl Show for PartitionRow {
    const COLUMNS: &'static [&'static str] = &["table", "partition", "rows (estimate)", "size"];

    fn row(&self) -> Vec<String> {
        let rows = if self.rows < 0 { "?".to_owned() } else { self.rows.to_string() };
        vec![self.table.clone(), self.partition.clone(), rows, size(self.bytes)]
    }

    fn id(&self) -> String {
        self.partition.clone()
    }
}

/// `512 KiB`, `3.1 MiB`.
fn size(bytes: i64) -> String {
    let bytes = bytes as f64;
    match bytes {
        ..1_048_576.0 => format!("{:.0} KiB", bytes / 1_024.0),
        ..1_073_741_824.0 => format!("{:.1} MiB", bytes / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes / 1_073_741_824.0),
    }
}
