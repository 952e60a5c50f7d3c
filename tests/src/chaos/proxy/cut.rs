//! Swallows the reply to a request that was carried out, and then resets the client.
//!
//! That a request was carried out shows in its reply, but replies to earlier requests look the same, and a large
//! request may still be arriving. So we wait until there has been a reply and then quiet on both sides; then we end our
//! side of the stream, and the server, which reads in order, ends its own only after everything that was before.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{Shared, tally::add};

/// Quiet that ends a burst of requests and replies; on loopback its pieces are microseconds apart.
const QUIET: Duration = Duration::from_millis(5);
/// Longest that we wait for quiet after the first reply: other requests may keep coming.
const RESTLESS: Duration = Duration::from_millis(500);
/// How long a server may take to end its side after we ended ours.
const PARTING: Duration = Duration::from_secs(1);

/// Delivers the rest of the requests, keeps every reply from the client, and resets it.
pub(super) async fn after_reply(
    mut client: TcpStream,
    mut server: TcpStream,
    undelivered: &[u8],
    shared: &Shared,
) -> io::Result<()> {
    client.set_zero_linger()?;
    let mut resets = shared.resets.subscribe();
    let carried_out = async {
        server.write_all(undelivered).await?;
        add(&shared.tally.bytes_to_server, undelivered.len() as u64);
        deliver_until_answered(&mut client, &mut server).await?;
        server.shutdown().await?;
        let mut replies = Vec::new();
        let _ = timeout(PARTING, server.read_to_end(&mut replies)).await;
        io::Result::Ok(())
    };
    let outcome = tokio::select! {
        outcome = carried_out => outcome,
        _ = resets.changed() => Ok(()),
    };
    add(&shared.tally.cuts, 1);
    outcome
}

async fn deliver_until_answered(client: &mut TcpStream, server: &mut TcpStream) -> io::Result<()> {
    let (mut request, mut reply) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let (mut answered, mut left) = (None, false);
    loop {
        let restless_until = answered.map_or_else(Instant::now, |first: Instant| first + RESTLESS);
        tokio::select! {
            biased;
            () = sleep_until(restless_until), if answered.is_some() => return Ok(()),
            read = server.read(&mut reply) => match read? {
                0 => return Ok(()),
                _ => answered = answered.or_else(|| Some(Instant::now())),
            },
            read = client.read(&mut request), if !left => match read {
                // The client has gone; the request is carried out nonetheless.
                Ok(0) | Err(_) => left = true,
                Ok(length) => server.write_all(&request[..length]).await?,
            },
            () = sleep(QUIET), if answered.is_some() => return Ok(()),
        }
    }
}
