//! Private servers and loopback receivers for `flota dev`, `flota demo` and the test-suite.
//!
//! A fresh machine has neither a Redis nor a Postgres to lend, nor a mail server that may be told to misbehave.
//! This module starts real servers of its own on loopback ports chosen by the kernel, and real receivers that
//! keep what they are sent. Nothing here uses a fixed port, a system service or a directory that outlives us.
//!
//! What runs against these servers (the demo's story, the fleet's tests) lives elsewhere.

pub mod arrivals;
pub mod postgres_server;
pub mod private_directory;
pub mod programs;
pub mod redis_server;
pub mod server_error;
pub mod server_user;
pub mod servers;
pub mod smtp_sink;
pub mod stack;
pub mod webhook_sink;
pub mod worker_process;

mod reserved_port;
mod supervise;

pub use arrivals::TooFewArrived;
pub use postgres_server::{Durability, PostgresOptions, PostgresServer};
pub use redis_server::{RedisOptions, RedisServer};
pub use server_error::ServerError;
pub use smtp_sink::{Mail, SmtpFault, SmtpSink, SmtpSinkOptions, SmtpStep};
pub use webhook_sink::{ReceivedRequest, WebhookAnswer, WebhookSink};
