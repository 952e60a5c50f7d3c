//! What must be true of every reader of foreign bytes, whatever the bytes.
//!
//! One function per reader. The fuzz targets in `fuzz/` call them with what libFuzzer makes up, and an ordinary test
//! (`it/fuzz_seeds.rs`) calls them with the seeds that are kept, so a finding stays found on a stable compiler. Each
//! function panics when its property does not hold.

mod foreign;
mod wire;

pub use self::{
    foreign::{cron, queues_toml, retry_after, signature, signing_secret, url_guard},
    wire::{envelope, marks, record},
};

/// A property, by the name of its fuzz target and of its folder of seeds.
pub type Property = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: [Property; 9] = [
    ("cron", cron),
    ("envelope", envelope),
    ("marks", marks),
    ("queues_toml", queues_toml),
    ("record", record),
    ("retry_after", retry_after),
    ("signature", signature),
    ("signing_secret", signing_secret),
    ("url_guard", url_guard),
];
