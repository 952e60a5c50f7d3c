//! One test binary, a file per story.

mod canaries;
mod cli;
mod dead;
mod drain;
mod enqueue;
mod faults;
mod fuzz_seeds;
mod hostile;
mod http;
mod kinds;
mod leases;
mod operate;
mod ops;
mod outbox;
mod poison;
mod processors;
mod provider_table;
mod repair;
mod retention;
mod run;
mod schedules;
mod scripts;
mod smtp_server;
mod ssrf;
mod storm;
mod workers;
