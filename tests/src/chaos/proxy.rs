//! A TCP proxy in front of Redis, Postgres or a provider that does to connections what networks do.
//!
//! One fault is in force at a time, for every connection: those that live when it is set and those that come later.
//! `gate.rs` decides who may connect, `connection.rs` carries one connection, `flow.rs` one of its two directions,
//! `cut.rs` swallows the reply to a request, `fault.rs` says what there is to choose from.

mod connection;
mod cut;
mod fault;
mod flow;
mod gate;
mod marker;
mod tally;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::AbortHandle, time::sleep};

pub use self::{
    fault::{Direction, Fault},
    tally::Counters,
};
use self::{gate::Gate, tally::Tally};

/// Pause between two looks at the counters.
const LOOK: Duration = Duration::from_millis(2);

/// A running proxy. When it is dropped it stops listening, and its connections end.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

/// What the proxy and its connections know in common.
struct Shared {
    server: u16,
    gate: Gate,
    fault: watch::Sender<Fault>,
    /// Counts the orders to reset everything: a fault that is healed at once would otherwise be overlooked.
    resets: watch::Sender<u64>,
    cuts_left: AtomicUsize,
    tally: Tally,
}

impl Proxy {
    /// In front of the server at this port of 127.0.0.1, without a fault.
    ///
    /// # Errors
    /// When no port can be listened on.
    #[expect(clippy::unused_async, reason = "it spawns, so it has to be called from within a runtime")]
    pub async fn before(server: u16) -> io::Result<Self> {
        let gate = Gate::open()?;
        let port = gate.port()?;
        let shared = Arc::new(Shared {
            server,
            gate,
            fault: watch::Sender::new(Fault::None),
            resets: watch::Sender::new(0),
            cuts_left: AtomicUsize::new(0),
            tally: Tally::default(),
        });
        let accepting = tokio::spawn(gate::accept(Arc::clone(&shared))).abort_handle();
        Ok(Self { port, shared, accepting })
    }

    /// Where to connect on 127.0.0.1. It stays ours while connections are refused.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:<port>/`
    pub fn url_redis(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// The same address with this proxy in place of the server: for Postgres, HTTP, or a Redis with a password.
    pub fn instead_of(&self, server_url: &str) -> String {
        server_url.replacen(&format!(":{}", self.shared.server), &format!(":{}", self.port), 1)
    }

    /// Puts a fault in force instead of the one before. A connection that comes later meets it, and so do the live
    /// ones with their next bytes.
    ///
    /// # Panics
    /// When the system does not let us listen again.
    pub fn set(&self, fault: Fault) {
        let resets = matches!(fault, Fault::Reset | Fault::Refuse);
        let refuses = fault == Fault::Refuse;
        self.shared.cuts_left.store(fault.cuts(), Ordering::SeqCst);
        self.shared.fault.send_replace(fault);
        self.shared.gate.set(!refuses).expect("a port that is ours can be opened and closed");
        if resets {
            self.reset_live();
        }
    }

    /// Lets everything pass again. Bytes that were only held up arrive now; a connection that lost bytes is reset.
    pub fn heal(&self) {
        self.set(Fault::None);
    }

    /// Resets every live connection once; new ones are as welcome as before.
    pub fn reset_live(&self) {
        self.shared.resets.send_modify(|orders| *orders += 1);
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        self.shared.tally.read()
    }

    /// How many cuts of the fault in force are still to come.
    pub fn cuts_left(&self) -> usize {
        self.shared.cuts_left.load(Ordering::SeqCst)
    }

    /// Waits until the counters are as wanted. Answers false if they are not in time.
    pub async fn wait_until(&self, wanted: impl Fn(&Counters) -> bool, patience: Duration) -> bool {
        let began = Instant::now();
        while !wanted(&self.counters()) {
            if patience < began.elapsed() {
                return false;
            }
            sleep(LOOK).await;
        }
        true
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    /// Takes one of the cuts that are left.
    fn take_cut(&self) -> bool {
        let one_less = |left: usize| left.checked_sub(1);
        self.cuts_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    }
}

#[cfg(test)]
mod tests;
