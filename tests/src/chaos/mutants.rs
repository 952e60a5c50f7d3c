//! Deliberate mistakes, to see that the checker sees them. One that has never failed proves nothing.
//!
//! Most are a change to one line of a script, put in its place by the feature `chaos`; the rest are a constraint that
//! Postgres loses, or a reply that gets lost. A mutant is caught when a story that holds without it breaks an invariant.

mod list;

use std::{
    cell::Cell,
    io,
    path::{Path, PathBuf},
};

use sqlx::{AssertSqlSafe, PgPool};

pub use list::MUTANTS;

/// Names the directory of changed scripts.
pub const SCRIPTS: &str = "FLOTA_CHAOS_SCRIPTS";

/// One mistake.
#[derive(Debug)]
pub struct Mutant {
    /// What it is called: `settle-without-fence`.
    pub name: &'static str,
    /// What is wrong, in one sentence.
    pub bug: &'static str,
    /// What is changed.
    pub changes: &'static [Change],
}

/// A change to the product.
#[derive(Debug)]
pub enum Change {
    /// In a script of the engine: every occurrence of a text becomes another.
    Script {
        /// Its name, without the ending.
        name: &'static str,
        /// Its text.
        text: &'static str,
        /// What is there.
        find: &'static str,
        /// What it becomes.
        put: &'static str,
    },
    /// In the database, after the migrations.
    Sql(&'static str),
    /// At a failpoint of every worker.
    Failpoint(&'static str),
}

thread_local! {
    /// The mutant of the story that this thread tells.
    static CHOSEN: Cell<Option<&'static Mutant>> = const { Cell::new(None) };
}

impl Mutant {
    /// Lets the next scene of this thread be set with this mistake.
    pub fn choose(&'static self) {
        CHOSEN.set(Some(self));
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        MUTANTS.iter().find(|mutant| mutant.name == name)
    }

    /// The one that was chosen for this thread.
    pub fn chosen() -> Option<&'static Self> {
        CHOSEN.get()
    }

    /// Makes its changes to the database.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn change_database(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        for change in self.changes {
            if let Change::Sql(statement) = change {
                sqlx::raw_sql(AssertSqlSafe(*statement)).execute(pool).await?;
            }
        }
        Ok(())
    }

    /// What every worker needs in its environment. Changed scripts go into a directory below this one.
    ///
    /// # Errors
    /// As for [`Mutant::scripts`].
    pub fn variables(&self, directory: &Path) -> io::Result<Vec<(String, String)>> {
        let mut variables = vec![(SCRIPTS.to_owned(), self.scripts(directory)?.display().to_string())];
        for change in self.changes {
            if let Change::Failpoint(action) = change {
                variables.push(("FAILPOINTS".to_owned(), (*action).to_owned()));
            }
        }
        Ok(variables)
    }

    /// Writes changed scripts into a directory below this one, and answers it.
    ///
    /// # Errors
    /// When a script cannot be written, or does not have the text that is to be changed.
    pub fn scripts(&self, directory: &Path) -> io::Result<PathBuf> {
        let scripts = directory.join("scripts");
        std::fs::create_dir_all(&scripts)?;
        for change in self.changes {
            let Change::Script { name, text, find, put } = change else { continue };
            if !text.contains(find) {
                let told = format!("{name}.lua has no `{find}`: mutant {} is out of date", self.name);
                return Err(io::Error::other(told));
            }
            let file = scripts.join(format!("{name}.lua"));
            // Several changes to one script add up.
            let before = std::fs::read_to_string(&file).unwrap_or_else(|_| (*text).to_owned());
            std::fs::write(file, before.replace(find, put))?;
        }
        Ok(scripts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_changes_what_is_there() {
        for mutant in MUTANTS {
            let directory = tempfile::tempdir().unwrap();

            let variables = mutant.variables(directory.path());

            assert!(variables.is_ok(), "{variables:?}");
        }
    }
}
