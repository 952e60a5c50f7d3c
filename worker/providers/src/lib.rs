#![doc = include_str!("../README.md")]

mod causes;
pub mod email;
mod error;
mod receipt;
mod retry_after;
mod text;
pub mod webhook;

pub use self::{
    error::{ErrorClass, ProviderError},
    receipt::Receipt,
    retry_after::{MAX_RETRY_AFTER, parse_retry_after},
};
