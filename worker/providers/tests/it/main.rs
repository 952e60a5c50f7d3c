//! The clients of this crate against real servers on the loopback interface.

#[cfg(test)]
mod apis;
#[cfg(test)]
mod bad_pictures;
#[cfg(test)]
mod ffmpeg;
#[cfg(test)]
mod files;
#[cfg(test)]
mod http2_uploads;
#[cfg(test)]
#[expect(unreachable_pub, reason = "the crate of tests exports it")]
#[path = "../../../../tests/src/installed.rs"]
mod installed;
#[cfg(test)]
mod mails_with_files;
#[cfg(test)]
mod memory_of_pictures;
#[cfg(test)]
mod ocr_accuracy;
#[cfg(test)]
mod pictures_made;
#[cfg(test)]
mod pictures_on_disk;
#[cfg(test)]
mod pipeline;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod push;
#[cfg(test)]
mod receiver;
#[cfg(test)]
mod recordings;
#[cfg(test)]
#[expect(unreachable_pub, reason = "the crate of tests exports it")]
#[path = "../../../../tests/src/script.rs"]
mod script;
#[cfg(test)]
mod smtp;
#[cfg(test)]
mod smtp_server;
#[cfg(test)]
mod smtp_wire;
#[cfg(test)]
mod storage_uploads;
#[cfg(test)]
mod tesseract;
#[cfg(test)]
mod vision_batches;
#[cfg(test)]
mod webhook_delivery;
#[cfg(test)]
mod webhook_guard;
