//! One test binary, a file per story.

mod cli;
mod enqueue;
mod faults;
mod http;
mod kinds;
mod processors;
mod run;
mod smtp_server;
