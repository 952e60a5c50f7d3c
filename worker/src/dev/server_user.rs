//! The user a server runs as when we are root.
//!
//! `initdb` and `postgres` refuse to run as root, and containers usually are root. The package creates the user
//! `postgres`; where it does not exist, `nobody` serves as well, because the directory is made for that user.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
};

use nix::unistd::{Uid, User};
use tokio::process::Command;

/// Tried in this order.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// A system user without privileges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUser {
    /// The login name, for messages.
    pub name: String,
    uid: u32,
    gid: u32,
}

/// Why no unprivileged user can be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "we run as root, Postgres refuses to, and this system has neither a user `postgres` nor a user `nobody`: run `useradd --system postgres`, or start flota as another user"
)]
pub struct NoServerUser;

impl ServerUser {
    /// The user to run a server as: `None` when we are not root, and so already unprivileged.
    pub fn needed() -> Result<Option<Self>, NoServerUser> {
        if !Uid::effective().is_root() {
            return Ok(None);
        }
        CANDIDATES.iter().find_map(|name| Self::named(name)).map(Some).ok_or(NoServerUser)
    }

    fn named(name: &str) -> Option<Self> {
        let user = User::from_name(name).ok().flatten()?;
        Some(Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() })
    }

    /// Makes `command` run as this user. The standard library also drops the supplementary groups.
    pub(super) fn assume(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid).env("HOME", "/nonexistent");
    }

    /// Gives a directory to this user; what is inside keeps its owner.
    pub(super) fn take_over(&self, directory: &Path) -> io::Result<()> {
        chown(directory, Some(self.uid), Some(self.gid))
    }

    /// Whether the directory itself belongs to this user.
    pub(super) fn owns(&self, directory: &Path) -> io::Result<bool> {
        Ok(fs::metadata(directory)?.uid() == self.uid)
    }

    /// The first directory on the way to `path` that this user may not enter.
    pub(super) fn closed_parent(&self, path: &Path) -> Option<PathBuf> {
        let mut parents: Vec<&Path> = path.ancestors().skip(1).collect();
        parents.reverse();
        parents
            .into_iter()
            .find(|parent| fs::metadata(parent).is_ok_and(|m| !self.may_enter(&m)))
            .map(Path::to_owned)
    }

    fn may_enter(&self, directory: &fs::Metadata) -> bool {
        let enter = if directory.uid() == self.uid {
            0o100
        } else if directory.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        directory.mode() & enter != 0
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_directory_that_a_user_may_not_enter_is_named() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let closed = root.path().join("closed");
        fs::create_dir_all(closed.join("data")).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = ServerUser { name: "stranger".into(), uid: 4_000_000, gid: 4_000_000 };

        let answer = stranger.closed_parent(&closed.join("data"));

        assert_eq!(answer, Some(closed));
    }

    #[test]
    fn nobody_is_found_by_name_and_an_unknown_name_is_not() {
        assert_eq!(ServerUser::named("nobody").unwrap().name, "nobody");
        assert_eq!(ServerUser::named("no-such-user-here"), None);
    }
}
