#![doc = include_str!("../README.md")]

pub mod api;
pub mod barcode;
mod causes;
pub mod chat;
mod child;
pub mod content;
pub mod email;
mod error;
mod exchange;
pub mod ffmpeg;
pub mod google_token;
pub mod ocr;
pub mod outbound;
pub mod picture;
pub mod pipeline;
pub mod price_tag;
pub mod probe;
pub mod push;
mod receipt;
pub mod recording;
mod retry_after;
mod secrets;
mod sigv4;
pub mod sms;
pub mod storage;
pub mod tesseract;
mod text;
pub mod transcription;
pub mod usage;
pub mod vision;
pub mod webhook;
pub mod whatsapp;

pub use self::{
    error::{ErrorClass, ProviderError, Standing, TOO_LARGE},
    receipt::Receipt,
    retry_after::{MAX_RETRY_AFTER, parse_retry_after},
};
