//! The directory a private server keeps its files in.
//!
//! A temporary one is made and removed by a small `sh` caretaker and not by us, because we may be killed. The
//! caretaker reads a pipe whose other end we hold, and every supervisor of a server inside holds it too: so the
//! directory goes when we are gone and the servers have stopped, in that order. A given directory is kept.

use std::{
    fs,
    io::{self, PipeWriter},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::server_user::ServerUser;

const CARETAKER: &str = include_str!("supervise/caretaker.sh");

/// The caretaker itself gives up after five seconds.
const REMOVED_WITHIN: Duration = Duration::from_secs(15);

/// Why a server has no directory to live in.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The temporary directory refuses us, or the user the server runs as.
    #[error("no private directory could be made in {}: set TMPDIR to a directory that every user may write to", .parent.display())]
    NoTemporary {
        /// Where it was tried.
        parent: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The given directory cannot be made, read or handed over.
    #[error("the directory {} cannot be used: choose another, or correct its permissions", .path.display())]
    Unusable {
        /// The given directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The server drops our privileges and then cannot reach its own files.
    #[error("the server runs as user {user}, who may not enter {}: choose a data directory elsewhere, or run `chmod o+x {}`", .closed.display(), .closed.display())]
    Closed {
        /// The user the server runs as.
        user: String,
        /// The first directory on the way that refuses.
        closed: PathBuf,
    },
    /// Changing the owner of a directory with contents might take it from somebody.
    #[error("{} is not empty and does not belong to user {user}, as whom the server runs: choose an empty or new directory", .path.display())]
    SomebodyElses {
        /// The user the server runs as.
        user: String,
        /// The given directory.
        path: PathBuf,
    },
}

/// A directory for one server's files.
#[derive(Debug)]
pub struct PrivateDirectory {
    path: PathBuf,
    caretaker: Option<Caretaker>,
}

#[derive(Debug)]
struct Caretaker {
    process: Child,
    our_life: PipeWriter,
}

impl PrivateDirectory {
    /// The given directory, made if it does not exist and kept for ever, or a temporary one.
    pub async fn open(given: Option<&Path>, user: Option<&ServerUser>) -> Result<Self, DirectoryError> {
        match given {
            Some(path) => Self::given(path, user),
            None => Self::temporary(&std::env::temp_dir(), user).await,
        }
    }

    /// Where it is; absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// For a supervisor to hold until its server is gone.
    pub(super) fn hold(&self) -> io::Result<Stdio> {
        match &self.caretaker {
            Some(caretaker) => Ok(caretaker.our_life.try_clone()?.into()),
            None => Ok(Stdio::null()),
        }
    }

    /// Removes a temporary directory and returns when it is gone; a given one stays. Dropping does the same
    /// without waiting.
    pub async fn remove(self) -> io::Result<()> {
        let Some(Caretaker { mut process, our_life }) = self.caretaker else { return Ok(()) };
        drop(our_life);
        match timeout(REMOVED_WITHIN, process.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Err(error)) => Err(error),
            _ => Err(io::Error::other(format!(
                "the private directory {} could not be removed; remove it by hand",
                self.path.display()
            ))),
        }
    }

    async fn temporary(parent: &Path, user: Option<&ServerUser>) -> Result<Self, DirectoryError> {
        Self::with_caretaker(parent, user)
            .await
            .map_err(|source| DirectoryError::NoTemporary { parent: parent.to_owned(), source })
    }

    async fn with_caretaker(parent: &Path, user: Option<&ServerUser>) -> io::Result<Self> {
        let (reader, our_life) = io::pipe()?;
        let mut command = Command::new("sh");
        command
            .args(["-c", CARETAKER, "flota-caretaker"])
            .arg(parent)
            .current_dir("/")
            .stdin(reader)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        if let Some(user) = user {
            user.assume(&mut command);
        }
        let mut process = command.spawn()?;
        let mut path = String::new();
        if let Some(answer) = process.stdout.take() {
            BufReader::new(answer).read_line(&mut path).await?;
        }
        if path.is_empty() {
            return Err(io::Error::other("mktemp failed"));
        }
        Ok(Self {
            path: path.trim_end_matches('\n').into(),
            caretaker: Some(Caretaker { process, our_life }),
        })
    }

    fn given(path: &Path, user: Option<&ServerUser>) -> Result<Self, DirectoryError> {
        let unusable = |source| DirectoryError::Unusable { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(unusable)?;
        let path = path.canonicalize().map_err(unusable)?;
        if let Some(user) = user {
            hand_over(&path, user)?;
        }
        Ok(Self { path, caretaker: None })
    }
}

fn hand_over(path: &Path, user: &ServerUser) -> Result<(), DirectoryError> {
    let unusable = |source| DirectoryError::Unusable { path: path.to_owned(), source };
    if let Some(closed) = user.closed_parent(path) {
        return Err(DirectoryError::Closed { user: user.name.clone(), closed });
    }
    if user.owns(path).map_err(unusable)? {
        return Ok(());
    }
    let is_empty = fs::read_dir(path).map_err(unusable)?.next().is_none();
    if !is_empty {
        return Err(DirectoryError::SomebodyElses { user: user.name.clone(), path: path.to_owned() });
    }
    user.take_over(path).map_err(unusable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_temporary_directory_is_gone_after_its_removal() {
        let directory = PrivateDirectory::open(None, None).await.unwrap();
        let path = directory.path().to_owned();
        fs::write(path.join("file"), "content").unwrap();

        directory.remove().await.unwrap();

        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_temporary_directory_outlives_us_until_its_last_holder_is_gone() {
        let directory = PrivateDirectory::open(None, None).await.unwrap();
        let path = directory.path().to_owned();
        let mut holder = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(directory.hold().unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let Caretaker { mut process, our_life } = directory.caretaker.unwrap();

        drop(our_life);
        assert!(path.exists(), "the holder still needs it");
        drop(holder.stdin.take());
        timeout(REMOVED_WITHIN, process.wait()).await.expect("the caretaker ends").unwrap();

        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_given_directory_is_made_and_kept() {
        let root = tempfile::tempdir().unwrap();
        let wanted = root.path().join("a/b");

        PrivateDirectory::open(Some(&wanted), None).await.unwrap().remove().await.unwrap();

        assert!(wanted.is_dir());
    }

    #[tokio::test]
    async fn a_temporary_directory_that_cannot_be_made_names_the_setting_to_change() {
        let error = PrivateDirectory::temporary(Path::new("/nowhere/at/all"), None).await.unwrap_err();

        assert!(error.to_string().contains("/nowhere/at/all: set TMPDIR"), "{error}");
    }

    #[test]
    fn a_directory_with_somebody_elses_files_is_never_taken_over() {
        let Ok(Some(user)) = ServerUser::needed() else { return };
        let root = tempfile::Builder::new().permissions(open_to_all()).tempdir().unwrap();
        fs::write(root.path().join("letter"), "private").unwrap();

        let error = PrivateDirectory::given(root.path(), Some(&user)).unwrap_err();

        assert!(matches!(error, DirectoryError::SomebodyElses { .. }), "{error}");
    }

    fn open_to_all() -> fs::Permissions {
        std::os::unix::fs::PermissionsExt::from_mode(0o755)
    }
}
