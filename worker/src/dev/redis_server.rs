//! A private Redis (or Valkey) server.
//!
//! It is set up as Flota asks of production: append-only file, fsync every second, and no eviction. Only the
//! snapshots are off, since the append-only file makes them superfluous.

use std::{
    ffi::OsString,
    io,
    net::Ipv4Addr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    private_directory::PrivateDirectory,
    programs::{Programs, RedisProgram},
    server_error::ServerError,
    servers::{PrivateServer, ServerKind},
};

/// How a private Redis is started.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// Where its data is kept for ever; without one, a temporary directory that goes with the server.
    pub directory: Option<PathBuf>,
    /// Added to the command line, so a later setting wins over ours: `["--maxmemory", "8mb"]`.
    pub extra_arguments: Vec<String>,
    /// Where its program is looked for.
    pub programs: Programs,
}

/// What a Redis server is started with.
pub struct Redis {
    program: PathBuf,
    extra_arguments: Vec<String>,
}

/// A private Redis server.
pub type RedisServer = PrivateServer<Redis>;

impl RedisServer {
    /// Starts a server and returns when it answers PING.
    pub async fn start(options: RedisOptions) -> Result<Self, ServerError> {
        let found = options.programs.redis()?;
        let directory = PrivateDirectory::open(options.directory.as_deref(), None).await?;
        let program = runnable(found, directory.path()).map_err(|source| ServerError::Process {
            server: Redis::NAME,
            action: "given its name",
            source,
        })?;
        let kind = Redis { program, extra_arguments: options.extra_arguments };
        Self::launch(kind, None, directory).await
    }

    /// `redis://127.0.0.1:<port>/`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port())
    }
}

impl ServerKind for Redis {
    const NAME: &'static str = "Redis";
    const STOP_SIGNAL: &'static str = "TERM";
    const GRACE: Duration = Duration::from_secs(5);

    fn program(&self) -> &Path {
        &self.program
    }

    fn arguments(&self, directory: &Path, port: u16) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = [
            ["--save", ""],
            ["--appendonly", "yes"],
            ["--appendfsync", "everysec"],
            ["--maxmemory-policy", "noeviction"],
            ["--bind", "127.0.0.1"],
            ["--port", &port.to_string()],
        ]
        .into_iter()
        .flatten()
        .map(OsString::from)
        .collect();
        arguments.extend(["--dir".into(), directory.into()]);
        arguments.extend(self.extra_arguments.iter().map(OsString::from));
        arguments
    }

    async fn answers(&self, port: u16) -> bool {
        ping(port).await.unwrap_or(false)
    }
}

/// A server that asks for a password answers PING with `-NOAUTH`; one that still loads its data with `-LOADING`.
async fn ping(port: u16) -> io::Result<bool> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    connection.write_all(b"PING\r\n").await?;
    let mut answer = [0; 7];
    connection.read_exact(&mut answer).await?;
    Ok(answer == *b"+PONG\r\n" || answer == *b"-NOAUTH")
}

/// The program under the name it needs: Debian's `redis-check-rdb` is a server if it is called `redis-server`.
fn runnable(found: RedisProgram, directory: &Path) -> io::Result<PathBuf> {
    match found {
        RedisProgram::Server(program) => Ok(program),
        RedisProgram::UnderAnotherName(program) => {
            let name = directory.join("redis-server");
            match symlink(program, &name) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => Ok(name),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use redis::AsyncCommands;
    use tokio::time::timeout;

    use super::*;

    async fn connect(server: &RedisServer) -> redis::aio::MultiplexedConnection {
        redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    #[tokio::test]
    async fn a_private_redis_answers_with_the_settings_flota_needs() {
        let server = RedisServer::start(RedisOptions {
            extra_arguments: vec!["--maxmemory".into(), "64mb".into()],
            ..RedisOptions::default()
        })
        .await
        .unwrap();

        let settings: Vec<(String, String)> = redis::cmd("CONFIG")
            .arg("GET")
            .arg(&["appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "save"])
            .query_async(&mut connect(&server).await)
            .await
            .unwrap();

        for expected in [
            ("appendonly", "yes"),
            ("appendfsync", "everysec"),
            ("maxmemory", "67108864"),
            ("maxmemory-policy", "noeviction"),
            ("save", ""),
        ] {
            assert!(
                settings.contains(&(expected.0.into(), expected.1.into())),
                "{expected:?} in {settings:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_killed_redis_comes_back_on_its_port_with_what_it_had_acknowledged() {
        let mut server = RedisServer::start(RedisOptions::default()).await.unwrap();
        let (url, first_pid) = (server.url(), server.pid());
        let () = connect(&server).await.set("key", "kept").await.unwrap();

        server.kill().await.unwrap();
        assert_eq!(server.pid(), None);
        let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).await.unwrap_err();
        server.start_again().await.unwrap();

        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(server.url(), url);
        assert_ne!(server.pid(), first_pid);
        let kept: String = connect(&server).await.get("key").await.unwrap();
        assert_eq!(kept, "kept");
    }

    #[tokio::test]
    async fn a_paused_redis_answers_only_after_it_is_resumed() {
        let server = RedisServer::start(RedisOptions::default()).await.unwrap();
        server.pause().await.unwrap();
        let mut question = Box::pin(ping(server.port()));

        let while_paused = timeout(Duration::from_millis(100), &mut question).await;
        server.resume().await.unwrap();
        let after = timeout(Duration::from_secs(10), question).await;

        assert!(while_paused.is_err());
        assert!(after.expect("an answer").unwrap());
    }

    #[tokio::test]
    async fn a_removed_redis_leaves_nothing_behind() {
        let server = RedisServer::start(RedisOptions::default()).await.unwrap();
        let directory = server.directory().to_owned();

        server.remove().await.unwrap();

        assert!(!directory.exists());
    }

    #[tokio::test]
    async fn a_given_directory_keeps_its_data_for_the_next_server() {
        let directory = tempfile::tempdir().unwrap();
        let options =
            RedisOptions { directory: Some(directory.path().join("redis data")), ..RedisOptions::default() };
        let first = RedisServer::start(options.clone()).await.unwrap();
        let () = connect(&first).await.set("key", "kept").await.unwrap();
        first.remove().await.unwrap();

        let second = RedisServer::start(options).await.unwrap();

        let kept: String = connect(&second).await.get("key").await.unwrap();
        assert_eq!(kept, "kept");
    }

    #[tokio::test]
    async fn the_rdb_checker_of_debian_becomes_a_server_under_that_name() {
        let Ok(RedisProgram::Server(real)) = Programs::default().redis() else { return };
        let folder = tempfile::tempdir().unwrap();
        symlink(real.canonicalize().unwrap(), folder.path().join("redis-check-rdb")).unwrap();
        let programs = Programs::within(folder.path().as_os_str(), Path::new("/nowhere"));

        let server = RedisServer::start(RedisOptions { programs, ..RedisOptions::default() }).await.unwrap();

        assert!(ping(server.port()).await.unwrap());
    }

    #[tokio::test]
    async fn a_redis_that_is_not_installed_is_an_error_that_names_the_fix() {
        let programs = Programs::within(OsStr::new("/nowhere"), Path::new("/nowhere"));

        let error =
            RedisServer::start(RedisOptions { programs, ..RedisOptions::default() }).await.err().unwrap();

        assert!(error.to_string().contains("apt-get install"), "{error}");
    }

    #[tokio::test]
    async fn a_redis_that_refuses_its_settings_shows_the_end_of_its_log() {
        let options = RedisOptions {
            extra_arguments: vec!["--no-such-setting".into(), "1".into()],
            ..RedisOptions::default()
        };

        let error = RedisServer::start(options).await.err().unwrap();

        assert!(matches!(error, ServerError::Ended { .. }), "{error}");
        assert!(error.to_string().contains("no-such-setting"), "{error}");
    }
}
