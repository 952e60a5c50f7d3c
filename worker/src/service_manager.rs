//! What a process tells the service manager that started it, after `sd_notify(3)`: that it works, that it is stopping,
//! and while it lives that its runtime still runs tasks.
//!
//! Without `NOTIFY_SOCKET` in the environment nobody is told anything. The watchdog is fed by a task of the runtime that
//! runs jobs, so a runtime whose threads are all blocked starves it and is started again. Redis or Postgres being away
//! starves nothing: a new start would not mend that. A loop that ends by itself ends the process without a watchdog.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// The service manager of this process.
#[derive(Debug)]
pub struct ServiceManager {
    socket: UnixDatagram,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The one that the environment names; `None` when there is none, or when it cannot be reached, which is logged.
    pub fn from_environment() -> Option<Self> {
        let address = std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())?;
        let variable = |name: &str| std::env::var(name).ok();
        let watchdog =
            watchdog(variable("WATCHDOG_USEC").as_deref(), variable("WATCHDOG_PID"), std::process::id());
        Self::at(&address, watchdog)
            .inspect_err(|error| {
                warn!(
                    "NOTIFY_SOCKET {} cannot be used, the service manager hears nothing: {error}",
                    address.display()
                );
            })
            .ok()
    }

    /// The one that listens at this path, or at this abstract name if it begins with `@`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn at(address: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match address.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, watchdog })
    }

    /// Says that this process is ready, feeds the watchdog twice per interval, and says that it is stopping when `stop`
    /// is cancelled. Goes on until the process ends, because draining must not be cut off by the watchdog.
    pub async fn attend(self, status: String, stop: CancellationToken) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
        // Without a watchdog there is nothing to say for hours.
        let mut beat = interval(self.watchdog.map_or(Duration::from_secs(3600), |whole| whole / 2));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopping = false;
        loop {
            tokio::select! {
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.tell("STOPPING=1\nSTATUS=Draining");
                }
                _ = beat.tick() => if self.watchdog.is_some() {
                    self.tell("WATCHDOG=1");
                }
            }
        }
    }

    fn tell(&self, message: &str) {
        if let Err(error) = self.socket.send(message.as_bytes()) {
            debug!(error = &error as &dyn std::error::Error, "The service manager did not take {message:?}");
        }
    }
}

/// Tells the service manager, if there is one, from now on.
pub fn attend(status: String, stop: &CancellationToken) {
    if let Some(manager) = ServiceManager::from_environment() {
        tokio::spawn(manager.attend(status, stop.clone()));
    }
}

/// Microseconds after which silence counts as death; not for this process when another's id is named.
fn watchdog(microseconds: Option<&str>, process: Option<String>, this: u32) -> Option<Duration> {
    let is_ours = process.is_none_or(|id| id == this.to_string());
    let whole = microseconds?.parse().ok().map(Duration::from_micros)?;
    (is_ours && !whole.is_zero()).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service manager's end, and ours with a watchdog of 20 ms.
    fn manager() -> (UnixDatagram, ServiceManager) {
        let name = format!("@flota-test-{:016x}", rand::random::<u64>());
        let address = SocketAddr::from_abstract_name(&name.as_bytes()[1..]).expect("a name");
        let listener = UnixDatagram::bind_addr(&address).expect("a socket");
        listener.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
        let manager = ServiceManager::at(OsStr::new(&name), Some(Duration::from_millis(20)));
        (listener, manager.expect("somebody listens"))
    }

    fn heard(listener: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let length = listener.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn it_hears_ready_then_signs_of_life_then_stopping_and_still_signs_of_life() {
        let (listener, manager) = manager();
        let stop = CancellationToken::new();
        tokio::spawn(manager.attend("Working on email".to_owned(), stop.clone()));
        let listener = tokio::task::spawn_blocking(move || {
            assert_eq!(heard(&listener), "READY=1\nSTATUS=Working on email");
            assert_eq!(heard(&listener), "WATCHDOG=1");
            listener
        });
        let listener = listener.await.unwrap();

        stop.cancel();

        let after = tokio::task::spawn_blocking(move || {
            while heard(&listener) != "STOPPING=1\nSTATUS=Draining" {}
            heard(&listener)
        });
        assert_eq!(after.await.unwrap(), "WATCHDOG=1");
    }

    #[test]
    fn a_runtime_that_runs_nothing_gives_no_sign_of_life() {
        let (listener, manager) = manager();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.spawn(manager.attend(String::new(), CancellationToken::new()));
        let listener = runtime.block_on(async {
            let until_it_lives = move || {
                while heard(&listener) != "WATCHDOG=1" {}
                listener
            };
            tokio::task::spawn_blocking(until_it_lives).await.unwrap()
        });

        // What was said before nobody drove the runtime any more; then five intervals of silence.
        listener.set_nonblocking(true).unwrap();
        while listener.recv(&mut [0; 64]).is_ok() {}
        listener.set_nonblocking(false).unwrap();
        listener.set_read_timeout(Some(Duration::from_millis(100))).unwrap();

        assert_eq!(listener.recv(&mut [0; 16]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_watchdog_is_ours_unless_it_names_another_process() {
        let second = Some(Duration::from_secs(1));

        assert_eq!(watchdog(Some("1000000"), None, 7), second);
        assert_eq!(watchdog(Some("1000000"), Some("7".to_owned()), 7), second);
        assert_eq!(watchdog(Some("1000000"), Some("8".to_owned()), 7), None);
        assert_eq!(watchdog(Some("0"), None, 7), None);
        assert_eq!(watchdog(Some("soon"), None, 7), None);
        assert_eq!(watchdog(None, None, 7), None);
    }

    #[test]
    fn nobody_listening_is_an_error() {
        assert!(ServiceManager::at(OsStr::new("/nowhere/notify"), None).is_err());
    }
}
