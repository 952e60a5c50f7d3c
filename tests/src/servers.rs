//! Servers that all tests of one process share. Each test has a key prefix and a database of its own.

use flota_worker::{
    database,
    dev::{PostgresOptions, PostgresServer, RedisOptions, RedisServer},
};
use tokio::sync::OnceCell;

static REDIS: OnceCell<RedisServer> = OnceCell::const_new();
static POSTGRES: OnceCell<PostgresServer> = OnceCell::const_new();
static TEMPLATE: OnceCell<()> = OnceCell::const_new();

/// The database that prepared ones are copied from: a copy takes a fraction of the time of the migrations.
const PREPARED: &str = "prepared";

/// Address of the shared Redis.
pub async fn redis_url() -> String {
    let start =
        || async { RedisServer::start(RedisOptions::default()).await.expect("a private Redis starts") };
    REDIS.get_or_init(start).await.url()
}

/// The shared Postgres.
pub async fn postgres() -> &'static PostgresServer {
    let start = || async {
        PostgresServer::start(PostgresOptions::default()).await.expect("a private Postgres starts")
    };
    POSTGRES.get_or_init(start).await
}

/// A Postgres of a test's own, to be stopped as it pleases, and the address of its database with our tables.
pub async fn own_postgres() -> (PostgresServer, String) {
    let options = PostgresOptions::default();
    let postgres = PostgresServer::start(options).await.expect("a private Postgres starts");
    prepare(&postgres, PREPARED).await;
    let url = postgres.url(PREPARED);
    (postgres, url)
}

/// Address of a new database in the shared Postgres, as a fresh `createdb` leaves it.
pub async fn empty_database() -> String {
    copy_of(None).await
}

/// Address of a new database in the shared Postgres, with the tables of this release.
pub async fn prepared_database() -> String {
    TEMPLATE.get_or_init(|| async { prepare(postgres().await, PREPARED).await }).await;
    copy_of(Some(PREPARED)).await
}

async fn prepare(postgres: &PostgresServer, name: &str) {
    postgres.create_database(name, None).await.expect("a database can be created");
    let pool = database::connect(&postgres.url(name).into(), 1).expect("an address of Postgres");
    database::migrate(&pool).await.expect("the migrations succeed");
    // Nobody may be connected to a database that is copied.
    pool.close().await;
}

async fn copy_of(template: Option<&str>) -> String {
    let (postgres, name) = (postgres().await, unique_name());
    postgres.create_database(&name, template).await.expect("a database can be created");
    postgres.url(&name)
}

/// A name that no other test uses.
pub fn unique_name() -> String {
    format!("t{}", uuid::Uuid::new_v4().simple())
}
