//! Cuts at a request, before a Redis and a Postgres.

use super::*;

async fn redis_behind_a_proxy() -> (RedisServer, Proxy) {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let proxy = Proxy::before(redis.port()).await.unwrap();
    (redis, proxy)
}

async fn connection(url: String) -> redis::aio::MultiplexedConnection {
    patient_redis::connect(url).await.unwrap()
}

async fn increment(connection: &mut redis::aio::MultiplexedConnection) -> redis::RedisResult<i64> {
    redis::cmd("INCR").arg("n").query_async(connection).await
}

async fn count(redis: &RedisServer) -> Option<i64> {
    redis::cmd("GET").arg("n").query_async(&mut connection(redis.url()).await).await.unwrap()
}

#[tokio::test]
async fn a_cut_after_a_request_loses_the_reply_and_not_the_work() {
    let (redis, proxy) = redis_behind_a_proxy().await;
    let mut through = connection(proxy.url_redis()).await;

    proxy.set(Fault::cut_after("INCR", 1));
    let reply = increment(&mut through).await;
    let next = increment(&mut connection(proxy.url_redis()).await).await;

    assert!(reply.is_err(), "{reply:?}");
    assert_eq!(next.unwrap(), 2, "the first one was carried out, and only one is cut");
    assert_eq!((count(&redis).await, proxy.cuts_left(), proxy.counters().cuts), (Some(2), 0, 1));
}

#[tokio::test]
async fn a_cut_after_a_large_request_waits_until_all_of_it_has_arrived() {
    let (redis, proxy) = redis_behind_a_proxy().await;
    let mut through = connection(proxy.url_redis()).await;
    let large = "x".repeat(5_000_000);

    proxy.set(Fault::cut_after("SET", 1));
    let reply: redis::RedisResult<()> =
        redis::cmd("SET").arg("large").arg(&large).query_async(&mut through).await;

    assert!(reply.is_err(), "{reply:?}");
    let length: usize =
        redis::cmd("STRLEN").arg("large").query_async(&mut connection(redis.url()).await).await.unwrap();
    assert_eq!(length, large.len());
}

#[tokio::test]
async fn every_request_of_a_cut_burst_is_either_answered_or_carried_out() {
    let (redis, proxy) = redis_behind_a_proxy().await;
    let through = connection(proxy.url_redis()).await;
    proxy.set(Fault::cut_after("EVAL", 1));

    let burst = (0..200).map(|number| {
        let mut through = through.clone();
        async move {
            if number == 100 {
                let mut script = redis::cmd("EVAL");
                script.arg("return redis.call('INCR', 'n')").arg(0);
                return script.query_async::<i64>(&mut through).await;
            }
            increment(&mut through).await
        }
    });
    let replies = futures_util::future::join_all(burst).await;

    assert!(replies[100].is_err(), "{:?}", replies[100]);
    let answered = replies.iter().filter(|reply| reply.is_ok()).count() as i64;
    let done = count(&redis).await.unwrap();
    assert!(answered < done && done <= 200, "{answered} answered, {done} done");
}

#[tokio::test]
async fn a_cut_before_a_request_keeps_it_from_the_server() {
    let (redis, proxy) = redis_behind_a_proxy().await;
    let mut through = connection(proxy.url_redis()).await;

    proxy.set(Fault::cut_before("INCR", 1));
    let reply = increment(&mut through).await;

    assert!(reply.is_err(), "{reply:?}");
    assert_eq!((count(&redis).await, proxy.cuts_left()), (None, 0));
}

#[tokio::test]
async fn a_cut_comes_even_if_other_requests_never_pause() {
    let (redis, proxy) = redis_behind_a_proxy().await;
    let through = connection(proxy.url_redis()).await;
    let mut busy = through.clone();
    let chatter = tokio::spawn(async move {
        let cut = |asked| matches!(asked, Ok(Err(_)));
        let ping = |connection: &mut redis::aio::MultiplexedConnection| {
            let mut connection = connection.clone();
            async move { redis::cmd("PING").query_async::<String>(&mut connection).await }
        };
        // The reply to each may be swallowed, so none is waited for long.
        while !cut(timeout(Duration::from_millis(1), ping(&mut busy)).await) {}
    });

    proxy.set(Fault::cut_after("INCR", 1));
    let reply = timeout(SOON, increment(&mut through.clone())).await.expect("a cut in time");

    assert!(reply.is_err(), "{reply:?}");
    assert_eq!(count(&redis).await, Some(1));
    timeout(SOON, chatter).await.expect("an end in time").unwrap();
}

/// Inserts a row behind a proxy with this fault. Answers whether it was confirmed, and whether it is there.
async fn insert_behind(fault: Fault) -> (bool, bool) {
    let url = crate::servers::empty_database().await;
    let direct = sqlx::PgPool::connect(&url).await.unwrap();
    sqlx::query("CREATE TABLE rows (id int)").execute(&direct).await.unwrap();
    let proxy = Proxy::before(crate::servers::postgres().await.port()).await.unwrap();
    let through = sqlx::PgPool::connect(&proxy.instead_of(&url)).await.unwrap();

    let mut transaction = through.begin().await.unwrap();
    sqlx::query("INSERT INTO rows VALUES (1)").execute(&mut *transaction).await.unwrap();
    proxy.set(fault);
    let confirmed = timeout(SOON, transaction.commit()).await.expect("an end in time").is_ok();

    assert_eq!(proxy.cuts_left(), 0);
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM rows").fetch_one(&direct).await.unwrap();
    (confirmed, rows == 1)
}

#[tokio::test]
async fn a_commit_can_be_cut_before_and_after_it_happens() {
    assert_eq!(insert_behind(Fault::cut_after("COMMIT", 1)).await, (false, true));
    assert_eq!(insert_behind(Fault::cut_before("COMMIT", 1)).await, (false, false));
}
