//! How many files and connections this process may have open at once.
//!
//! Most systems begin a process with a soft limit of 1,024, a heritage of `select(2)`, and let it raise that up to the hard
//! one by itself. Each connection of a client is a file, so a thousand of them would leave `flota serve` without one for
//! Redis.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::debug;

/// Raises the soft limit to the hard one. Where that is not allowed the limit stays as it is.
pub fn raise_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        debug!(error = &error as &dyn std::error::Error, "The limit of open files stays as it is: {error}");
    }
}
