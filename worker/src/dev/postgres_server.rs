//! A private Postgres server: a new cluster whose only user is `flota`, trusted on loopback.
//!
//! The cluster is made under a provisional name and renamed when it is complete, so that an `initdb` that was cut
//! short is never taken for a cluster. Run as root, both programs run as an unprivileged user.

use std::{
    ffi::OsString,
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::time::timeout;

use super::{
    private_directory::PrivateDirectory,
    programs::{PostgresPrograms, Programs},
    server_error::ServerError,
    server_user::ServerUser,
    servers::{PrivateServer, ServerKind, log_in, tail},
    supervise::{Supervised, Supervision},
};

/// The superuser of a private cluster; no password is asked.
const SUPERUSER: &str = "flota";

/// The database that every new cluster has, for statements about other databases.
const MAINTENANCE_DATABASE: &str = "postgres";

/// The longest path Linux allows for a Unix socket is 107 bytes (unix(7)); Postgres adds `/.s.PGSQL.<port>`.
const LONGEST_SOCKET_DIRECTORY: usize = 107 - "/.s.PGSQL.65535".len();

/// `initdb` needs about two seconds on an idle machine.
const INITIALISED_WITHIN: Duration = Duration::from_mins(2);

/// What survives what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// No fsync: everything committed survives a killed server, but not a crash of the machine. The default.
    #[default]
    Fast,
    /// Postgres' own settings: everything committed survives a crash of the machine too.
    Real,
}

/// How a private Postgres is started.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Where its data is kept for ever; without one, a temporary directory that goes with the server.
    pub directory: Option<PathBuf>,
    /// What survives what.
    pub durability: Durability,
    /// Further settings, each `name=value`; a later one wins over ours.
    pub extra_settings: Vec<String>,
    /// Where its programs are looked for.
    pub programs: Programs,
}

/// What a Postgres server is started with.
pub struct Postgres {
    program: PathBuf,
    durability: Durability,
    extra_settings: Vec<String>,
}

/// A private Postgres server.
pub type PostgresServer = PrivateServer<Postgres>;

impl PostgresServer {
    /// Makes a cluster where there is none, starts a server, and returns when it accepts queries.
    pub async fn start(options: PostgresOptions) -> Result<Self, ServerError> {
        let programs = options.programs.postgres()?;
        let user = ServerUser::needed()?;
        let directory = PrivateDirectory::open(options.directory.as_deref(), user.as_ref()).await?;
        make_cluster(&programs, user.as_ref(), &directory).await?;
        let kind = Postgres {
            program: programs.postgres,
            durability: options.durability,
            extra_settings: options.extra_settings,
        };
        Self::launch(kind, user, directory).await
    }

    /// `postgres://flota@127.0.0.1:<port>/<database>`; a new cluster has the database `postgres`.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}@127.0.0.1:{}/{database}", self.port())
    }

    /// Creates a database, as a copy of `template` if one is given; nobody may be connected to a template.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<(), ServerError> {
        let failed = |source| ServerError::Database { database: name.to_owned(), source };
        let mut statement = format!("CREATE DATABASE {}", quoted(name));
        if let Some(template) = template {
            statement.push_str(" TEMPLATE ");
            statement.push_str(&quoted(template));
        }
        let mut connection = connect(self.port()).await.map_err(failed)?;
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.map_err(failed)?;
        connection.close().await.map_err(failed)
    }
}

impl ServerKind for Postgres {
    const NAME: &'static str = "Postgres";
    /// The "fast" shutdown: open transactions are rolled back, nobody is waited for.
    const STOP_SIGNAL: &'static str = "INT";
    const GRACE: Duration = Duration::from_secs(10);

    fn program(&self) -> &Path {
        &self.program
    }

    fn arguments(&self, directory: &Path, port: u16) -> Vec<OsString> {
        let mut settings: Vec<OsString> = [
            "listen_addresses=127.0.0.1",
            &format!("port={port}"),
            "max_connections=300",
            "shared_buffers=128MB",
            // Files in the cluster go with it, even when the server is killed; those in /dev/shm would stay.
            "dynamic_shared_memory_type=mmap",
        ]
        .map(OsString::from)
        .into();
        settings.push(socket_setting(directory));
        if self.durability == Durability::Fast {
            // Commits still reach the kernel one by one: with synchronous_commit off, a killed server would lose them.
            settings.push("fsync=off".into());
        }
        settings.extend(self.extra_settings.iter().map(OsString::from));
        let mut arguments = vec!["-D".into(), cluster_in(directory).into()];
        arguments.extend(settings.into_iter().flat_map(|setting| ["-c".into(), setting]));
        arguments
    }

    async fn answers(&self, port: u16) -> bool {
        match connect(port).await {
            Ok(mut connection) => sqlx::query("SELECT 1").execute(&mut connection).await.is_ok(),
            Err(_) => false,
        }
    }
}

async fn connect(port: u16) -> Result<PgConnection, sqlx::Error> {
    PgConnectOptions::new_without_pgpass()
        .host(&Ipv4Addr::LOCALHOST.to_string())
        .port(port)
        .username(SUPERUSER)
        .database(MAINTENANCE_DATABASE)
        .ssl_mode(PgSslMode::Disable)
        .connect()
        .await
}

fn cluster_in(directory: &Path) -> PathBuf {
    directory.join("cluster")
}

/// A Unix socket beside the data, or none where the path is too long for one.
fn socket_setting(directory: &Path) -> OsString {
    let mut setting = OsString::from("unix_socket_directories=");
    if directory.as_os_str().len() <= LONGEST_SOCKET_DIRECTORY {
        setting.push(directory);
    }
    setting
}

/// An SQL identifier, whatever it contains.
fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

async fn make_cluster(
    programs: &PostgresPrograms,
    user: Option<&ServerUser>,
    directory: &PrivateDirectory,
) -> Result<(), ServerError> {
    let cluster = cluster_in(directory.path());
    if cluster.exists() {
        return Ok(());
    }
    let failed = |source| ServerError::Process { server: Postgres::NAME, action: "initialised", source };
    let provisional = directory.path().join("cluster.new");
    if provisional.exists() {
        fs::remove_dir_all(&provisional).map_err(failed)?;
    }
    let status = run_initdb(&programs.initdb, user, directory, &provisional).await.map_err(failed)?;
    if !status.success() {
        let log_tail = tail(&log_in(directory), 0);
        return Err(ServerError::Initialise { directory: cluster, log_tail });
    }
    fs::rename(&provisional, &cluster).map_err(failed)
}

/// Supervised like a server, so that it too ends with us.
async fn run_initdb(
    initdb: &Path,
    user: Option<&ServerUser>,
    directory: &PrivateDirectory,
    cluster: &Path,
) -> io::Result<ExitStatus> {
    let arguments = ["-A", "trust", "-U", SUPERUSER, "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", "-D"];
    let mut running = Supervised::spawn(Supervision {
        program: initdb,
        arguments: arguments.iter().map(OsString::from).chain([cluster.into()]).collect(),
        directory: directory.path(),
        log: log_in(directory),
        stop_signal: "TERM",
        grace: Duration::from_secs(1),
        user,
        held_until_gone: directory.hold()?,
    })
    .await?;
    // Stopping a program that has ended only asks for its exit status; one that has not is stopped by it.
    let _ = timeout(INITIALISED_WITHIN, running.gone()).await;
    running.stop().await
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    async fn connect_to(server: &PostgresServer, database: &str) -> PgConnection {
        PgConnection::connect(&server.url(database)).await.unwrap()
    }

    async fn setting(connection: &mut PgConnection, name: &str) -> String {
        sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(connection).await.unwrap()
    }

    #[tokio::test]
    async fn a_private_postgres_answers_is_utf8_and_does_not_wait_for_the_disk() {
        let server = PostgresServer::start(PostgresOptions::default()).await.unwrap();

        let mut connection = connect_to(&server, "postgres").await;

        assert_eq!(setting(&mut connection, "server_encoding").await, "UTF8");
        assert_eq!(setting(&mut connection, "max_connections").await, "300");
        assert_eq!(setting(&mut connection, "fsync").await, "off");
        assert_eq!(setting(&mut connection, "synchronous_commit").await, "on");
    }

    #[tokio::test]
    async fn real_durability_and_extra_settings_reach_the_server() {
        let server = PostgresServer::start(PostgresOptions {
            durability: Durability::Real,
            extra_settings: vec!["max_connections=17".into()],
            ..PostgresOptions::default()
        })
        .await
        .unwrap();

        let mut connection = connect_to(&server, "postgres").await;

        assert_eq!(setting(&mut connection, "fsync").await, "on");
        assert_eq!(setting(&mut connection, "max_connections").await, "17");
    }

    #[tokio::test]
    async fn a_killed_postgres_comes_back_on_its_port_with_every_commit() {
        let mut server = PostgresServer::start(PostgresOptions::default()).await.unwrap();
        let url = server.url("postgres");
        let mut connection = connect_to(&server, "postgres").await;
        sqlx::query("CREATE TABLE kept (number int)").execute(&mut connection).await.unwrap();
        sqlx::query("INSERT INTO kept VALUES (42)").execute(&mut connection).await.unwrap();

        server.kill().await.unwrap();
        assert_eq!(server.pid(), None);
        server.start_again().await.unwrap();

        assert_eq!(server.url("postgres"), url);
        let mut connection = connect_to(&server, "postgres").await;
        let number: i32 =
            sqlx::query_scalar("SELECT number FROM kept").fetch_one(&mut connection).await.unwrap();
        assert_eq!(number, 42);
    }

    #[tokio::test]
    async fn a_paused_postgres_keeps_its_connections_and_answers_after_it_is_resumed() {
        let server = PostgresServer::start(PostgresOptions::default()).await.unwrap();
        let mut connection = connect_to(&server, "postgres").await;
        server.pause().await.unwrap();
        let mut question = Box::pin(sqlx::query_scalar::<_, i32>("SELECT 7").fetch_one(&mut connection));

        let while_paused = timeout(Duration::from_millis(200), &mut question).await;
        server.resume().await.unwrap();
        let after = timeout(Duration::from_secs(10), question).await;

        assert!(while_paused.is_err(), "the process of an open connection is paused too");
        assert_eq!(after.expect("an answer").unwrap(), 7);
    }

    #[tokio::test]
    async fn a_database_can_be_made_from_a_template_whatever_its_name() {
        let server = PostgresServer::start(PostgresOptions::default()).await.unwrap();
        server.create_database("tem\"plate", None).await.unwrap();
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(server.port())
            .username(SUPERUSER)
            .database("tem\"plate");
        let mut connection = options.connect().await.unwrap();
        sqlx::query("CREATE TABLE copied (number int)").execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();

        server.create_database("copy", Some("tem\"plate")).await.unwrap();

        let mut connection = connect_to(&server, "copy").await;
        sqlx::query("SELECT number FROM copied").execute(&mut connection).await.unwrap();
    }

    #[tokio::test]
    async fn a_database_that_exists_is_an_error_with_what_postgres_said() {
        let server = PostgresServer::start(PostgresOptions::default()).await.unwrap();

        let error = server.create_database("postgres", None).await.unwrap_err();

        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("already exists"), "{cause}");
    }

    #[tokio::test]
    async fn a_removed_postgres_leaves_nothing_behind() {
        let server = PostgresServer::start(PostgresOptions::default()).await.unwrap();
        let directory = server.directory().to_owned();

        server.remove().await.unwrap();

        assert!(!directory.exists());
    }

    #[tokio::test]
    async fn a_postgres_that_is_killed_and_removed_leaves_no_shared_memory() {
        let mut server = PostgresServer::start(PostgresOptions::default()).await.unwrap();
        let lock = fs::read_to_string(cluster_in(server.directory()).join("postmaster.pid")).unwrap();
        let segment = lock.lines().nth(6).unwrap().split_whitespace().nth(1).unwrap().to_owned();
        let exists = || {
            let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap();
            segments.lines().any(|line| line.split_whitespace().nth(1) == Some(&segment))
        };
        assert!(exists(), "while it runs");

        server.kill().await.unwrap();
        server.remove().await.unwrap();

        assert!(!exists());
    }

    #[tokio::test]
    async fn a_given_directory_keeps_its_cluster_for_the_next_server() {
        let root = tempfile::Builder::new().permissions(open_to_all()).tempdir().unwrap();
        let options =
            PostgresOptions { directory: Some(root.path().join("postgres")), ..PostgresOptions::default() };
        let first = PostgresServer::start(options.clone()).await.unwrap();
        first.create_database("kept", None).await.unwrap();
        first.remove().await.unwrap();

        let second = PostgresServer::start(options).await.unwrap();

        connect_to(&second, "kept").await;
    }

    fn open_to_all() -> fs::Permissions {
        std::os::unix::fs::PermissionsExt::from_mode(0o755)
    }

    #[tokio::test]
    async fn a_postgres_that_is_not_installed_is_an_error_that_names_the_fix() {
        let programs = Programs::within(OsStr::new("/nowhere"), Path::new("/nowhere"));
        let options = PostgresOptions { programs, ..PostgresOptions::default() };

        let error = PostgresServer::start(options).await.err().unwrap();

        assert!(error.to_string().contains("apt-get install"), "{error}");
    }

    #[test]
    fn a_directory_too_long_for_a_unix_socket_has_none() {
        let long = format!("/{}", "d".repeat(100));

        assert_eq!(socket_setting(Path::new(&long)), "unix_socket_directories=");
        assert_eq!(socket_setting(Path::new("/tmp/x")), "unix_socket_directories=/tmp/x");
    }
}
