//! The systemd units: what systemd says of them, and that a process tells its service manager what a unit waits for.

use std::os::unix::net::UnixDatagram;

use flota_tests::{
    PATIENCE,
    program::{Installation, built},
};
use tokio::task::spawn_blocking;

use super::{files, optional_program, read, run};

/// What `systemd-analyze security` may give at most: 0 is a sealed box, 10 is no protection. The network is needed.
const MOST_EXPOSED: f64 = 2.0;

#[test]
fn systemd_accepts_the_units_and_calls_them_protected() {
    let Some(analyze) = optional_program("systemd-analyze") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = built("flota").expect("the program is built");
    for path in files("deploy/systemd", "service") {
        // The program is where it was built, not where it will be installed.
        let unit = read(&path).replace("/usr/local/bin/flota", &program.display().to_string());
        let name = path.rsplit('/').next().expect("a name").replace('@', "@email");
        let copy = folder.path().join(name);
        std::fs::write(&copy, unit).expect("a file");
        let copy = copy.to_str().expect("UTF-8");

        let said = run(&analyze, &["verify", copy]);
        let security = run(&analyze, &["security", "--offline=true", copy]);

        assert!(!said.contains("email.service:") && !said.contains("serve.service:"), "{path}: {said}");
        let level = security.lines().find(|line| line.contains("Overall exposure level")).expect("a level");
        let level: f64 = level.split_whitespace().find_map(|word| word.parse().ok()).expect("a number");
        assert!(level <= MOST_EXPOSED, "{path}: {level}\n{security}");
    }
}

/// The messages of a process, as a service manager hears them.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(path: &str) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
        Self(socket)
    }

    /// Waits for a message that begins like this. Answers it, and itself.
    async fn hears(self, beginning: &'static str) -> (String, Self) {
        let listen = move || loop {
            let mut bytes = [0; 512];
            let length = self.0.recv(&mut bytes).unwrap_or_else(|_| panic!("nobody says {beginning}"));
            let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if message.starts_with(beginning) {
                return (message, self);
            }
        };
        spawn_blocking(listen).await.expect("it listens")
    }
}

#[tokio::test]
async fn a_worker_and_serve_say_ready_alive_and_stopping() {
    for (arguments, status) in [
        (&["worker"][..], "STATUS=Working on email"),
        (&["serve", "--admin", "127.0.0.1:0", "--listen", "127.0.0.1:0"], "STATUS=Serving"),
    ] {
        let mut flota = Installation::new().await;
        let socket = flota.write("notify", "");
        std::fs::remove_file(&socket).expect("the place is free");
        let manager = Manager::listen(&socket);
        flota.set("NOTIFY_SOCKET", &socket).set("WATCHDOG_USEC", 200_000);

        let process = flota.start(arguments).await;

        let (ready, manager) = manager.hears("READY=1").await;
        assert!(ready.contains(status), "{ready}");
        let (_, manager) = manager.hears("WATCHDOG=1").await;
        process.process.signal("TERM").await.expect("it is there");
        manager.hears("STOPPING=1").await;
        process.stop().await;
    }
}
