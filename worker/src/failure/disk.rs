//! A disk that does not give a file has one word, whatever the file was wanted for, and costs the job a try.

use std::io;

use flota_engine::{Failure, Remedy};
use flota_providers::{picture::BadPicture, recording::BadRecording};

use super::Error;
use crate::{files::FileError, transcription::Untranscribable};

#[test]
fn a_disk_that_does_not_give_a_file_is_told_by_the_same_code_wherever_it_is_read() {
    let broken = FileError::Disk(io::Error::other("the disk is gone"));
    let recording = Untranscribable::Recording(BadRecording::Unread);
    for error in [Error::File(broken), Error::Picture(BadPicture::Unread), Error::Recording(recording)] {
        let told = error.to_string();

        let failure = Failure::from(error);

        assert_eq!(failure.code.as_deref(), Some("disk"), "{told}");
        assert!(matches!(failure.remedy, Remedy::Retry { .. }), "{told}: {:?}", failure.remedy);
    }
}
