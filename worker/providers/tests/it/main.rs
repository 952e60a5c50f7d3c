//! The clients of this crate against real servers on the loopback interface.

#[cfg(test)]
mod apis;
#[cfg(test)]
mod pipeline;
#[cfg(test)]
mod push;
#[cfg(test)]
mod receiver;
#[cfg(test)]
mod smtp;
#[cfg(test)]
mod smtp_server;
#[cfg(test)]
mod smtp_wire;
#[cfg(test)]
mod webhook_delivery;
#[cfg(test)]
mod webhook_guard;
