//! One test binary, a file per story.

mod cli;
mod enqueue;
mod faults;
mod http;
mod operate;
mod ops;
mod processors;
mod retention;
mod run;
mod schedules;
mod smtp_server;
mod workers;
