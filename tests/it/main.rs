//! One test binary, a file per story.

mod cli;
mod dead;
mod enqueue;
mod faults;
mod http;
mod outbox;
mod processors;
mod run;
mod smtp_server;
