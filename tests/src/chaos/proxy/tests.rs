//! Every fault, before an echo server, a Redis and a Postgres.

use std::net::Ipv4Addr;

use flota_worker::dev::{RedisOptions, RedisServer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::*;
use crate::chaos::patient_redis;

const SOON: Duration = Duration::from_secs(10);
/// Long enough for bytes that pass to have passed.
const A_MOMENT: Duration = Duration::from_millis(100);

/// A server that says what it hears.
async fn echo_server() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    port
}

async fn proxy() -> Proxy {
    Proxy::before(echo_server().await).await.unwrap()
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap()
}

/// What comes back.
async fn echo(stream: &mut TcpStream, text: &str) -> io::Result<String> {
    stream.write_all(text.as_bytes()).await?;
    let mut back = vec![0; text.len()];
    timeout(SOON, stream.read_exact(&mut back)).await.expect("an answer in time")?;
    Ok(String::from_utf8(back).unwrap())
}

async fn hears_nothing(stream: &mut TcpStream) -> bool {
    timeout(A_MOMENT, stream.read(&mut [0; 64])).await.is_err()
}

async fn ending(stream: &mut TcpStream) -> io::Result<usize> {
    timeout(SOON, stream.read(&mut [0; 64])).await.expect("an end in time")
}

fn is_reset(end: &io::Result<usize>) -> bool {
    matches!(end, Err(error) if error.kind() == io::ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn without_a_fault_every_byte_and_the_end_of_the_stream_pass() {
    let proxy = proxy().await;
    let client = connect(&proxy).await;
    let sent: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();

    let (mut read, mut write) = client.into_split();
    let expected = sent.clone();
    let writing = tokio::spawn(async move {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let mut heard = Vec::new();
    timeout(SOON, read.read_to_end(&mut heard)).await.unwrap().unwrap();
    writing.await.unwrap();

    assert!(heard == expected, "{} bytes came back", heard.len());
    let length = expected.len() as u64;
    let seen = proxy.counters();
    assert_eq!((seen.connections, seen.bytes_to_server, seen.bytes_to_client), (1, length, length));
    assert!(proxy.wait_until(|seen| seen.live == 0, SOON).await);
}

#[tokio::test]
async fn a_reset_reaches_live_connections_and_new_ones_until_it_is_healed() {
    let proxy = proxy().await;
    let mut live = connect(&proxy).await;
    echo(&mut live, "before").await.unwrap();

    proxy.set(Fault::Reset);

    assert!(is_reset(&ending(&mut live).await));
    let mut new = connect(&proxy).await;
    assert!(is_reset(&ending(&mut new).await));
    proxy.heal();
    assert_eq!(echo(&mut connect(&proxy).await, "after").await.unwrap(), "after");
}

#[tokio::test]
async fn a_reset_that_is_healed_at_once_is_not_overlooked() {
    let proxy = proxy().await;
    let mut live = connect(&proxy).await;
    echo(&mut live, "before").await.unwrap();

    proxy.set(Fault::Reset);
    proxy.heal();

    assert!(is_reset(&ending(&mut live).await));
    assert_eq!(proxy.counters().resets, 1);
}

#[tokio::test]
async fn a_refusing_proxy_keeps_its_port_and_takes_connections_again_when_healed() {
    let proxy = proxy().await;
    let mut live = connect(&proxy).await;
    echo(&mut live, "before").await.unwrap();

    for round in 0..3 {
        proxy.set(Fault::Refuse);
        let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused, "round {round}");
        proxy.heal();
        assert_eq!(echo(&mut connect(&proxy).await, "again").await.unwrap(), "again");
    }

    assert!(is_reset(&ending(&mut live).await));
}

#[tokio::test]
async fn a_black_hole_takes_everything_in_and_resets_whoever_lost_something_when_it_is_healed() {
    let proxy = proxy().await;
    let (mut talks, mut is_silent) = (connect(&proxy).await, connect(&proxy).await);
    echo(&mut talks, "before").await.unwrap();
    echo(&mut is_silent, "before").await.unwrap();

    proxy.set(Fault::BlackHole { direction: Direction::ToServer });
    talks.write_all(b"lost").await.unwrap();

    assert!(hears_nothing(&mut talks).await);
    assert_eq!(proxy.counters().bytes_lost, 4);
    proxy.heal();
    assert!(is_reset(&ending(&mut talks).await));
    assert_eq!(echo(&mut is_silent, "after").await.unwrap(), "after");
}

#[tokio::test]
async fn a_black_hole_for_replies_lets_requests_through() {
    let proxy = proxy().await;
    let mut client = connect(&proxy).await;

    proxy.set(Fault::BlackHole { direction: Direction::ToClient });
    client.write_all(b"heard").await.unwrap();

    assert!(proxy.wait_until(|seen| seen.bytes_to_server == 5 && seen.bytes_lost == 5, SOON).await);
    assert!(hears_nothing(&mut client).await);
}

#[tokio::test]
async fn a_client_that_leaves_in_a_black_hole_leaves_the_server_half_open() {
    let proxy = proxy().await;
    let mut client = connect(&proxy).await;
    echo(&mut client, "before").await.unwrap();

    proxy.set(Fault::BlackHole { direction: Direction::Both });
    drop(client);
    tokio::time::sleep(A_MOMENT).await;

    assert_eq!(proxy.counters().live, 1);
    proxy.heal();
    assert!(proxy.wait_until(|seen| seen.live == 0, SOON).await);
}

#[tokio::test]
async fn a_stalled_line_delivers_everything_late() {
    let proxy = proxy().await;
    for direction in [Direction::ToServer, Direction::ToClient, Direction::Both] {
        let mut client = connect(&proxy).await;
        proxy.set(Fault::Stall { direction });
        client.write_all(b"late").await.unwrap();
        assert!(hears_nothing(&mut client).await, "{direction:?}");

        proxy.heal();

        let mut back = [0; 4];
        timeout(SOON, client.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!(&back, b"late");
    }
}

#[tokio::test]
async fn a_thin_line_lets_its_bytes_pass_at_its_rate() {
    let proxy = proxy().await;
    let mut client = connect(&proxy).await;
    proxy.set(Fault::Trickle { bytes_per_second: 1_000, direction: Direction::ToServer });

    let began = Instant::now();
    echo(&mut client, &"x".repeat(500)).await.unwrap();
    let took = began.elapsed();
    proxy.heal();
    let began = Instant::now();
    echo(&mut client, &"x".repeat(500)).await.unwrap();

    assert!(Duration::from_millis(400) < took, "{took:?}");
    assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_long_line_is_late_and_as_wide_as_ever() {
    let proxy = proxy().await;
    let client = connect(&proxy).await;
    let by = Duration::from_millis(200);
    proxy.set(Fault::Delay { by, direction: Direction::Both });

    let began = Instant::now();
    let (mut read, mut write) = client.into_split();
    tokio::spawn(async move { write.write_all(&vec![7; 4_000_000]).await });
    let mut back = vec![0; 4_000_000];
    timeout(SOON, read.read_exact(&mut back)).await.unwrap().unwrap();
    let took = began.elapsed();

    assert!(by * 2 <= took, "{took:?}");
    // Piece by piece it would be at least 60 pieces, 200 ms each.
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[tokio::test]
async fn a_healed_long_line_delivers_at_once_what_was_under_way() {
    let proxy = proxy().await;
    let mut client = connect(&proxy).await;
    proxy.set(Fault::Delay { by: Duration::from_hours(1), direction: Direction::ToServer });
    client.write_all(b"under way").await.unwrap();
    assert!(hears_nothing(&mut client).await);

    proxy.heal();

    let mut back = [0; 9];
    timeout(SOON, client.read_exact(&mut back)).await.unwrap().unwrap();
    assert_eq!(&back, b"under way");
}

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

#[tokio::test]
async fn an_idle_proxy_that_has_refused_once_does_not_burn_time() {
    let proxy = proxy().await;
    proxy.set(Fault::Refuse);
    tokio::time::sleep(A_MOMENT).await;
    proxy.heal();
    echo(&mut connect(&proxy).await, "again").await.unwrap();

    let before = own_thread_time();
    tokio::time::sleep(A_MOMENT * 5).await;
    let used = own_thread_time().saturating_sub(before);

    assert!(used < Duration::from_millis(100), "{used:?} of {:?}", A_MOMENT * 5);
}

/// CPU time of this thread, on which the proxy of a test runs too.
fn own_thread_time() -> Duration {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(line.split_whitespace().next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn an_address_of_the_server_becomes_one_of_the_proxy() {
    let proxy = Proxy::before(5432).await.unwrap();

    let url = proxy.instead_of("postgres://flota@127.0.0.1:5432/flota");

    assert_eq!(url, format!("postgres://flota@127.0.0.1:{}/flota", proxy.port()));
}
