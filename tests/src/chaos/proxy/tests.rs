//! Every fault, before an echo server, a Redis and a Postgres.

mod cuts;

use std::net::Ipv4Addr;

use flota_worker::dev::{RedisOptions, RedisServer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::*;
use crate::chaos::patient_redis;

const SOON: Duration = crate::PATIENCE;
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
    // At that rate it would take longer than anybody waits.
    echo(&mut client, &"x".repeat(200_000)).await.unwrap();

    assert!(Duration::from_millis(400) < took, "{took:?}");
}

#[tokio::test]
async fn a_long_line_is_late_and_as_wide_as_ever() {
    let proxy = proxy().await;
    let client = connect(&proxy).await;
    let by = Duration::from_secs(2);
    proxy.set(Fault::Delay { by, direction: Direction::Both });

    let began = Instant::now();
    let (mut read, mut write) = client.into_split();
    tokio::spawn(async move { write.write_all(&vec![7; 4_000_000]).await });
    let mut back = vec![0; 4_000_000];
    timeout(SOON, read.read_exact(&mut back)).await.unwrap().unwrap();
    let took = began.elapsed();

    assert!(by * 2 <= took, "{took:?}");
    // Piece by piece it would be at least 60 pieces, two seconds each.
    assert!(took < by * 40, "{took:?}");
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
