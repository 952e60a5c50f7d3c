//! Finds the server programs that are installed on this machine.
//!
//! Debian keeps Postgres outside PATH, one folder per version, and ships the Redis server as a part of
//! `redis-check-rdb`: the same file acts as the server when it is started under that name.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// What installs everything that is looked for here, on Debian and Ubuntu.
pub const INSTALL: &str = "apt-get install -y --no-install-recommends redis-server postgresql";

/// A program that a private server needs is not installed.
#[derive(Debug, thiserror::Error)]
#[error(
    "{wanted} is not installed, so no private server can be started: run `{INSTALL}` as root, or `cargo xtask demo`, which does so"
)]
pub struct ProgramMissing {
    /// The names that were looked for.
    pub wanted: &'static str,
}

/// Where programs are looked for.
#[derive(Debug, Clone)]
pub struct Programs {
    path: OsString,
    postgres_versions: PathBuf,
}

/// The program that acts as a Redis server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RedisProgram {
    /// A server under its own name.
    Server(PathBuf),
    /// A file that becomes the server when its name is `redis-server`.
    UnderAnotherName(PathBuf),
}

/// The two programs that make and run a Postgres cluster; always of the same version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PostgresPrograms {
    pub(super) initdb: PathBuf,
    pub(super) postgres: PathBuf,
}

impl Default for Programs {
    /// PATH, and the folder Debian and Ubuntu keep Postgres in.
    fn default() -> Self {
        Self::within(&env::var_os("PATH").unwrap_or_default(), Path::new("/usr/lib/postgresql"))
    }
}

impl Programs {
    /// Looks in the folders of `path` (written like PATH) and in `<postgres_versions>/*/bin`.
    pub fn within(path: &OsStr, postgres_versions: &Path) -> Self {
        Self { path: path.to_owned(), postgres_versions: postgres_versions.to_owned() }
    }

    pub(super) fn redis(&self) -> Result<RedisProgram, ProgramMissing> {
        let server = ["redis-server", "valkey-server"].iter().find_map(|name| self.in_path(name));
        server
            .map(RedisProgram::Server)
            .or_else(|| self.in_path("redis-check-rdb").map(RedisProgram::UnderAnotherName))
            .ok_or(ProgramMissing { wanted: "a Redis server (redis-server or valkey-server)" })
    }

    pub(super) fn postgres(&self) -> Result<PostgresPrograms, ProgramMissing> {
        let folders = env::split_paths(&self.path).chain(self.postgres_folders());
        folders.into_iter().find_map(|folder| postgres_in(&folder)).ok_or(ProgramMissing {
            wanted: "a Postgres server (initdb and postgres, in PATH or /usr/lib/postgresql/*/bin)",
        })
    }

    fn in_path(&self, name: &str) -> Option<PathBuf> {
        env::split_paths(&self.path).map(|folder| folder.join(name)).find(|file| is_program(file))
    }

    /// Highest version first.
    fn postgres_folders(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.postgres_versions).into_iter().flatten().flatten();
        let mut versions: Vec<(u32, PathBuf)> = entries
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
            .collect();
        versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
        versions.into_iter().map(|(_, folder)| folder).collect()
    }
}

fn postgres_in(folder: &Path) -> Option<PostgresPrograms> {
    let (initdb, postgres) = (folder.join("initdb"), folder.join("postgres"));
    (is_program(&initdb) && is_program(&postgres)).then_some(PostgresPrograms { initdb, postgres })
}

fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(root: &Path, program: &str) -> PathBuf {
        let file = root.join(program);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    #[test]
    fn a_missing_program_names_the_command_that_installs_it() {
        let programs = Programs::within(OsStr::new("/nowhere"), Path::new("/nowhere"));

        let message = programs.redis().unwrap_err().to_string();

        assert!(message.contains("redis-server or valkey-server"), "{message}");
        assert!(message.contains(INSTALL), "{message}");
        assert!(message.contains("cargo xtask demo"), "{message}");
    }

    #[test]
    fn a_server_under_its_own_name_comes_before_one_under_another_name() {
        let root = tempfile::tempdir().unwrap();
        let programs = Programs::within(root.path().as_os_str(), Path::new("/nowhere"));

        let checker = install(root.path(), "redis-check-rdb");
        assert_eq!(programs.redis().unwrap(), RedisProgram::UnderAnotherName(checker));

        let valkey = install(root.path(), "valkey-server");
        assert_eq!(programs.redis().unwrap(), RedisProgram::Server(valkey));

        let redis = install(root.path(), "redis-server");
        assert_eq!(programs.redis().unwrap(), RedisProgram::Server(redis));
    }

    #[test]
    fn the_highest_complete_postgres_version_is_chosen_by_number() {
        let root = tempfile::tempdir().unwrap();
        for program in ["9/bin/initdb", "9/bin/postgres", "16/bin/initdb", "16/bin/postgres", "17/bin/initdb"]
        {
            install(root.path(), program);
        }

        let found = Programs::within(OsStr::new(""), root.path()).postgres().unwrap();

        assert_eq!(found.postgres, root.path().join("16/bin/postgres"));
    }

    #[test]
    fn a_file_that_may_not_be_executed_is_not_a_program() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("redis-server"), "").unwrap();

        assert!(Programs::within(root.path().as_os_str(), Path::new("/nowhere")).redis().is_err());
    }
}
