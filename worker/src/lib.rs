//! The Flota worker fleet: processors, outcomes, command line, HTTP.

pub mod dev;
