//! A loopback port that stays ours while its server is down.
//!
//! The kernel chooses a free port. On Linux we then keep a socket bound to it that never listens: the server may
//! bind the same port (both sockets say `SO_REUSEADDR`), clients are refused as long as nothing listens, and the
//! kernel gives the port to nobody else, neither to a parallel test nor as the source of an outgoing connection.
//! That is what lets a server that was killed come back on the port its clients know.
//!
//! Elsewhere the port is only free at the moment of choosing, and whoever starts a server tries again.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::net::TcpSocket;

pub(super) struct ReservedPort {
    number: u16,
    _reservation: Option<TcpSocket>,
}

impl ReservedPort {
    pub(super) fn choose() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let number = socket.local_addr()?.port();
        Ok(Self { number, _reservation: cfg!(target_os = "linux").then_some(socket) })
    }

    pub(super) fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    fn address(port: &ReservedPort) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()))
    }

    #[tokio::test]
    async fn a_client_of_a_reserved_port_is_refused_until_a_server_listens() {
        let port = ReservedPort::choose().unwrap();

        let before = TcpStream::connect(address(&port)).await.unwrap_err();
        let server = TcpSocket::new_v4().unwrap();
        server.set_reuseaddr(true).unwrap();
        server.bind(address(&port)).unwrap();
        let _listener = server.listen(8).unwrap();

        assert_eq!(before.kind(), io::ErrorKind::ConnectionRefused);
        TcpStream::connect(address(&port)).await.unwrap();
    }

    #[tokio::test]
    async fn the_kernel_gives_a_reserved_port_to_nobody_else() {
        let reserved: Vec<ReservedPort> = (0..200).map(|_| ReservedPort::choose().unwrap()).collect();

        let distinct: std::collections::BTreeSet<u16> = reserved.iter().map(ReservedPort::number).collect();

        assert_eq!(distinct.len(), reserved.len());
    }
}
