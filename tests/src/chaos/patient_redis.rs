//! Connections to Redis for tests, on a machine that is busy with other tests: the client's own deadline of half a
//! second would fail a test that is only slow.

use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, RedisResult, aio::MultiplexedConnection};

/// Longest that a connection or a reply may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A new connection.
pub(super) async fn connect(url: String) -> RedisResult<MultiplexedConnection> {
    let patient = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    Client::open(url)?.get_multiplexed_async_connection_with_config(&patient).await
}
