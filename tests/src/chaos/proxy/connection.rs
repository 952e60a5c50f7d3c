//! One connection: two flows, until both have ended or something cuts them off.

use std::{io, sync::Arc};

use tokio::net::TcpStream;

use super::{
    Direction, Fault, Shared, cut,
    flow::{Flow, Outcome},
    gate::Alive,
    tally::add,
};

/// Carries bytes between the client and a new connection to the server.
pub(super) async fn carry(client: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let _alive = Alive::count(&shared);
    let mut resets = shared.resets.subscribe();
    let refused = matches!(*shared.fault.borrow(), Fault::Reset | Fault::Refuse);
    if refused {
        add(&shared.tally.resets, 1);
        return client.set_zero_linger();
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", shared.server)).await else {
        return client.set_zero_linger();
    };
    // Small requests must not wait for an acknowledgement of the ones before.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let outcome = tokio::select! {
        biased;
        _ = resets.changed() => Ok(Outcome::Reset),
        outcome = both_ways(&client, &server, &shared) => outcome,
    };
    match outcome {
        Ok(Outcome::Ended) => Ok(()),
        Ok(Outcome::Reset) => {
            add(&shared.tally.resets, 1);
            reset(&client, &server)
        }
        Ok(Outcome::CutBefore) => {
            add(&shared.tally.cuts, 1);
            client.set_zero_linger()
        }
        Ok(Outcome::CutAfter { undelivered }) => {
            cut::after_reply(client, server, &undelivered, &shared).await
        }
        // One side reset the connection, so the other one gets to know it in the same way.
        Err(_) => reset(&client, &server),
    }
}

async fn both_ways(client: &TcpStream, server: &TcpStream, shared: &Shared) -> io::Result<Outcome> {
    let requests = Flow::new(client, server, Direction::ToServer, shared).run();
    let replies = Flow::new(server, client, Direction::ToClient, shared).run();
    tokio::pin!(requests, replies);
    // An ordinary end of one flow leaves the other one running: half a connection may be closed.
    tokio::select! {
        outcome = &mut requests => match outcome? {
            Outcome::Ended => replies.await,
            other => Ok(other),
        },
        outcome = &mut replies => match outcome? {
            Outcome::Ended => requests.await,
            other => Ok(other),
        },
    }
}

fn reset(client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    client.set_zero_linger()?;
    server.set_zero_linger()
}
