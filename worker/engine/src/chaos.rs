//! Failpoints: what a fault test can do to a process in the middle of its work.
//!
//! Only with the feature `chaos`, which refuses to build for release. The variable `FAILPOINTS` says what happens where,
//! in the words of the `fail` crate (<https://docs.rs/fail>): `name=action`, several separated by `;`. Its own `sleep`,
//! `pause` and `panic` hold up or end the thread; on top of them `return(word)` means:
//!
//! | word | what happens |
//! |---|---|
//! | `kill` | the process is gone at once (SIGKILL): nothing is flushed, no destructor runs |
//! | `stop` | the process is frozen (SIGSTOP) until somebody sends SIGCONT |
//! | `error` | the step fails, where a failure is possible |
//!
//! With a count and a chance: `FAILPOINTS="settle-sent=3*off->1*return(kill);recovered=10%return(stop)"`.

#[cfg(all(feature = "chaos", not(debug_assertions)))]
compile_error!(
    "the feature `chaos` can kill its process and must never be part of a release build: leave it out"
);

/// Every failpoint of this crate, in the order of a job's life.
///
/// | name | the process has just | error |
/// |---|---|---|
/// | `fetch-replied` | leased ids, and not read their bodies | the reply counts as lost |
/// | `fetch-bodies` | read their bodies, and not started a run | – |
/// | `run-returned` | done a job's work, and told nobody | – |
/// | `settle-sent` | settled, and not looked at the reply | the reply counts as lost |
/// | `heartbeat-sent` | lengthened leases, and not looked at the reply | the reply counts as lost |
/// | `promoted` | made due jobs ready | the reply counts as lost |
/// | `recovered` | taken back runs of a vanished worker | the reply counts as lost |
/// | `unparked` | put parked jobs back in line | the reply counts as lost |
pub const ALL: [&str; 8] = [
    "fetch-replied",
    "fetch-bodies",
    "run-returned",
    "settle-sent",
    "heartbeat-sent",
    "promoted",
    "recovered",
    "unparked",
];

#[cfg(feature = "chaos")]
mod reached {
    use std::sync::Once;

    use flota_producer::link::LinkError;
    use nix::sys::signal::{Signal, raise};

    /// Does what `FAILPOINTS` says of a place that cannot fail by itself.
    ///
    /// # Panics
    /// When it says `error`, or a word that nobody knows: the test would otherwise test nothing.
    pub fn reach(name: &str) {
        assert!(!reach_or_fail(name), "failpoint {name} cannot fail: use kill, stop, sleep or panic there");
    }

    /// The same for a place that can fail; true when it has to.
    ///
    /// # Panics
    /// When it says a word that nobody knows.
    pub fn reach_or_fail(name: &str) -> bool {
        static READ: Once = Once::new();
        // For the life of the process: dropping the scenario would take the actions away again.
        READ.call_once(|| std::mem::forget(fail::FailScenario::setup()));
        let Some(word) = fail::eval(name, Option::unwrap_or_default) else { return false };
        let signal = match word.as_str() {
            "error" => return true,
            "kill" => Signal::SIGKILL,
            "stop" => Signal::SIGSTOP,
            word => panic!("failpoint {name} does not know `{word}`: use kill, stop or error"),
        };
        raise(signal).expect("a process may always signal itself");
        false
    }

    /// What a call answers whose reply is lost on purpose.
    pub fn lost() -> LinkError {
        LinkError::Lost((redis::ErrorKind::Io, "a failpoint dropped the reply").into())
    }
}

#[cfg(feature = "chaos")]
pub use reached::{lost, reach, reach_or_fail};
