//! Who may connect: a port that can be closed and opened again without giving it away.

use std::{
    io,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener as StdListener},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
    time::sleep,
};

use super::{Shared, connection, tally::add};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// Pause after a connection that could not be accepted, for example for want of file descriptors.
const AFTER_ERROR: Duration = Duration::from_millis(5);

/// A listener that can be told to refuse. On Linux a listener that is shut down keeps its port and may listen again,
/// so both take effect before the call returns.
pub(super) struct Gate {
    listener: StdListener,
    open: watch::Sender<bool>,
    /// Bound to the same port and never listening: keeps the kernel from giving the port to anybody else.
    _reservation: TcpSocket,
}

impl Gate {
    pub(super) fn open() -> io::Result<Self> {
        let reservation = bound(0)?;
        let listener = bound(reservation.local_addr()?.port())?.listen(BACKLOG)?.into_std()?;
        Ok(Self { listener, open: watch::Sender::new(true), _reservation: reservation })
    }

    pub(super) fn port(&self) -> io::Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Opens or closes the port.
    pub(super) fn set(&self, open: bool) -> io::Result<()> {
        if *self.open.borrow() == open {
            return Ok(());
        }
        let socket = SockRef::from(&self.listener);
        if open {
            socket.listen(BACKLOG as i32)?;
        } else {
            socket.shutdown(Shutdown::Read)?;
        }
        self.open.send_replace(open);
        Ok(())
    }

    /// A view of the listener that knows nothing of earlier times when it was closed: the runtime would take the
    /// hang-up it saw then for an event for ever.
    fn fresh(&self) -> io::Result<TcpListener> {
        TcpListener::from_std(self.listener.try_clone()?)
    }
}

fn bound(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}

/// Accepts for as long as the proxy lives; the connections end with it.
pub(super) async fn accept(shared: Arc<Shared>) -> io::Result<()> {
    let mut connections = JoinSet::new();
    let mut open = shared.gate.open.subscribe();
    loop {
        if open.wait_for(|open| *open).await.is_err() {
            return Ok(());
        }
        let listener = shared.gate.fresh()?;
        open.mark_unchanged();
        loop {
            tokio::select! {
                _ = open.changed() => break,
                accepted = next(&listener) => {
                    add(&shared.tally.connections, 1);
                    connections.spawn(connection::carry(accepted, Arc::clone(&shared)));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// The next connection. An error is about one connection alone, or comes while the gate is being closed.
async fn next(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((client, _)) => return client,
            Err(_) => sleep(AFTER_ERROR).await,
        }
    }
}

/// Counts a connection for as long as it lives.
pub(super) struct Alive(Arc<Shared>);

impl Alive {
    pub(super) fn count(shared: &Arc<Shared>) -> Self {
        add(&shared.tally.live, 1);
        Self(Arc::clone(shared))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.tally.live.fetch_sub(1, Ordering::SeqCst);
    }
}
