//! Servers that all tests of one process share. Each test has a key prefix of its own.

use flota_worker::dev::{PostgresOptions, PostgresServer, RedisOptions, RedisServer};
use tokio::sync::OnceCell;

static REDIS: OnceCell<RedisServer> = OnceCell::const_new();
static POSTGRES: OnceCell<PostgresServer> = OnceCell::const_new();

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

/// A name that no other test uses.
pub fn unique_name() -> String {
    format!("t{}", uuid::Uuid::new_v4().simple())
}
