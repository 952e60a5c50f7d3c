//! A small disk of a server's own, to be filled and freed: what a server does when there is no room left.
//!
//! It is a tmpfs, so it needs root. A small `sh` caretaker mounts it and unmounts it when the pipe from us ends, so it
//! goes with us however we end.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// Mounts, says so, waits until its standard input ends, and unmounts, even while a killed server's last file is open.
const CARETAKER: &str = r#"
trap '' HUP INT TERM
mount -t tmpfs -o "size=$2,mode=0777" flota-story "$1" || exit 1
echo mounted
while read -r _; do :; done
umount -l "$1"
rmdir "$1"
"#;

/// The file that takes the room away.
const BALLAST: &str = "ballast";
/// Largest and smallest piece of ballast: a page is the least that a tmpfs gives.
const PIECES: [usize; 2] = [256 * 1024, 4 * 1024];

/// Why a story about a full disk cannot be told here.
#[derive(Debug, thiserror::Error)]
pub enum NoDisk {
    /// Only root may mount.
    #[error("a full disk needs a small one of its own, and only root may mount that: run this story as root")]
    NotRoot,
    /// The system refuses.
    #[error(
        "a tmpfs of {megabytes} MB cannot be mounted, perhaps because this is a container without that right: {said}"
    )]
    Refused {
        /// How large it was to be.
        megabytes: u32,
        /// What `mount` said.
        said: String,
    },
    /// Something before the mount failed.
    #[error("no folder for a small disk could be made: see the cause below")]
    System(#[from] io::Error),
}

/// A mounted disk. It is unmounted when dropped; stop the server on it first.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
    caretaker: Child,
    _parent: TempDir,
}

impl SmallDisk {
    /// Mounts a disk of this many megabytes.
    ///
    /// # Errors
    /// When that is not possible here; a story that needs it is then left out, with this reason.
    pub fn mount(megabytes: u32) -> Result<Self, NoDisk> {
        if !nix::unistd::geteuid().is_root() {
            return Err(NoDisk::NotRoot);
        }
        // Postgres runs as another user, who has to get in.
        let parent = tempfile::Builder::new()
            .prefix("flota-disk-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()?;
        let path = parent.path().join("disk");
        std::fs::create_dir(&path)?;
        let mut caretaker = Command::new("sh")
            .args(["-c", CARETAKER, "flota-disk"])
            .arg(&path)
            .arg(format!("{megabytes}m"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        if said_mounted(&mut caretaker)? {
            return Ok(Self { path, caretaker, _parent: parent });
        }
        let mut said = String::new();
        if let Some(mut stderr) = caretaker.stderr.take() {
            stderr.read_to_string(&mut said)?;
        }
        caretaker.wait()?;
        Err(NoDisk::Refused { megabytes, said: said.trim().to_owned() })
    }

    /// A folder beside the ballast, to be given to a server as its directory. Starting the server makes it.
    pub fn folder(&self) -> PathBuf {
        self.path.join("server")
    }

    /// The disk itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all the room that is left. Answers how many bytes that were.
    ///
    /// # Errors
    /// When writing fails for another reason than want of room.
    pub fn fill(&self) -> io::Result<u64> {
        let mut ballast = OpenOptions::new().create(true).append(true).open(self.ballast())?;
        PIECES.into_iter().try_fold(0, |filled, piece| Ok(filled + fill_with(&mut ballast, piece)?))
    }

    /// Gives the room back.
    ///
    /// # Errors
    /// When the ballast cannot be removed.
    pub fn free(&self) -> io::Result<()> {
        // Emptied first: a process that is just being started may still hold it open.
        let emptied = OpenOptions::new().write(true).truncate(true).open(self.ballast());
        match emptied.and_then(|_| std::fs::remove_file(self.ballast())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            freed => freed,
        }
    }

    fn ballast(&self) -> PathBuf {
        self.path.join(BALLAST)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.caretaker.stdin.take());
        // It has only to unmount; what goes wrong then is the system's to tell.
        let _ = self.caretaker.wait();
    }
}

fn said_mounted(caretaker: &mut Child) -> io::Result<bool> {
    let mut line = String::new();
    if let Some(stdout) = caretaker.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    Ok(line == "mounted\n")
}

/// Writes pieces until there is no room for another one.
fn fill_with(ballast: &mut File, piece: usize) -> io::Result<u64> {
    let (zeros, mut filled) = (vec![0; piece], 0);
    loop {
        match ballast.write(&zeros) {
            Ok(written) => filled += written as u64,
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(filled),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use flota_worker::dev::{PostgresOptions, PostgresServer, RedisOptions, RedisServer};

    use super::*;
    use crate::chaos::patient_redis;

    const SOON: Duration = Duration::from_secs(20);
    const LOOK: Duration = Duration::from_millis(20);

    /// `None`, with the reason, where nothing can be mounted.
    fn disk(megabytes: u32) -> Option<SmallDisk> {
        match SmallDisk::mount(megabytes) {
            Ok(disk) => Some(disk),
            Err(reason @ (NoDisk::NotRoot | NoDisk::Refused { .. })) => {
                eprintln!("left out: {reason}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_full_disk_takes_nothing_and_a_freed_one_does_and_nothing_is_left_behind() {
        let Some(disk) = disk(2) else { return };
        let (path, file) = (disk.path().to_owned(), disk.path().join("file"));

        let filled = disk.fill().unwrap();
        let full = std::fs::write(&file, "more").unwrap_err();
        disk.free().unwrap();
        std::fs::write(&file, "more").unwrap();
        let ballast = disk.path().join(BALLAST).exists();
        drop(disk);

        assert_eq!((full.kind(), ballast), (io::ErrorKind::StorageFull, false));
        assert!((1_900_000..=2_097_152).contains(&filled), "{filled}");
        assert!(!path.exists());
    }

    async fn set(redis: &RedisServer, key: &str) -> redis::RedisResult<()> {
        let mut connection = patient_redis::connect(redis.url()).await?;
        redis::cmd("SET").arg(key).arg("value").query_async(&mut connection).await
    }

    #[tokio::test]
    async fn a_redis_on_a_full_disk_refuses_writes_until_there_is_room() {
        let Some(disk) = disk(16) else { return };
        let options = RedisOptions { directory: Some(disk.folder()), ..RedisOptions::default() };
        let redis = RedisServer::start(options).await.unwrap();
        set(&redis, "before").await.unwrap();

        disk.fill().unwrap();
        let began = Instant::now();
        while set(&redis, "full").await.is_ok() {
            assert!(began.elapsed() < SOON, "Redis takes everything on a full disk");
            tokio::time::sleep(LOOK).await;
        }
        disk.free().unwrap();
        let began = Instant::now();
        while let Err(error) = set(&redis, "after").await {
            assert!(began.elapsed() < SOON, "{error}");
            tokio::time::sleep(LOOK).await;
        }

        redis.remove().await.unwrap();
    }

    #[tokio::test]
    async fn a_postgres_can_live_on_it() {
        let Some(disk) = disk(128) else { return };
        let options = PostgresOptions { directory: Some(disk.folder()), ..PostgresOptions::default() };

        let postgres = PostgresServer::start(options).await.unwrap();

        postgres.create_database("one", None).await.unwrap();
        disk.fill().unwrap();
        postgres.create_database("two", None).await.unwrap_err();
        disk.free().unwrap();
        postgres.create_database("two", None).await.unwrap();
        postgres.remove().await.unwrap();
    }
}
