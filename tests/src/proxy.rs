//! A TCP proxy in front of Redis that cuts connections at the worst moment: after the request arrived, before the
//! reply did.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The command whose reply is cut off.
const SCRIPT_CALL: &[u8] = b"EVALSHA";

/// A running proxy; it ends with the test's runtime.
pub struct Proxy {
    port: u16,
    cuts: Arc<AtomicUsize>,
}

impl Proxy {
    /// In front of the server at this port.
    ///
    /// # Errors
    /// When no port can be listened on.
    pub async fn before(server: u16) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let cuts = Arc::new(AtomicUsize::new(0));
        let told = cuts.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server, told.clone()));
            }
        });
        Ok(Self { port, cuts })
    }

    /// Where to connect.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Cuts the next connections that call a script, this many times.
    pub fn cut_replies(&self, times: usize) {
        self.cuts.store(times, Ordering::SeqCst);
    }

    /// How many cuts are still to come.
    pub fn cuts_left(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

async fn carry(mut client: TcpStream, server: u16, cuts: Arc<AtomicUsize>) -> io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
    let (mut request, mut reply) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let bytes = &request[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                server.write_all(bytes).await?;
                let calls_script = bytes.windows(SCRIPT_CALL.len()).any(|window| window == SCRIPT_CALL);
                let take = |left: usize| left.checked_sub(1);
                if calls_script && cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
                    // The reply proves that Redis carried it out; the client never sees it.
                    let _answered = server.read(&mut reply).await?;
                    return Ok(());
                }
            }
            read = server.read(&mut reply) => {
                let bytes = &reply[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                client.write_all(bytes).await?;
            }
        }
    }
}
