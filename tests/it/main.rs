//! One test binary, a file per story.

mod cli;
mod dead;
mod enqueue;
mod faults;
mod http;
mod kinds;
mod operate;
mod ops;
mod outbox;
mod processors;
mod retention;
mod run;
mod schedules;
mod smtp_server;
mod storm;
mod workers;
