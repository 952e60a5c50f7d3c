//! Recordings of every format, and what is no usable recording: the files of `tests/assets/audio`.

use std::time::Duration;

use bytes::Bytes;
use flota_providers::recording::{AudioFormat, BadRecording, Recording};
use proptest::prelude::*;

/// How long the sentence takes.
const SENTENCE: f64 = 6.8;

/// A file of the collection.
pub(crate) fn asset(name: &str) -> Bytes {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/assets/audio/");
    std::fs::read(format!("{folder}{name}")).unwrap().into()
}

fn look(name: &str) -> Result<Recording, BadRecording> {
    Recording::look_at(asset(name))
}

#[test]
fn every_format_is_known_with_its_length_whatever_its_name() {
    let rows = [
        ("speech.flac", AudioFormat::Flac, 2.0),
        ("speech.m4a", AudioFormat::M4a, SENTENCE),
        ("speech.mp3", AudioFormat::Mp3, SENTENCE),
        ("speech.mpga", AudioFormat::Mp3, SENTENCE),
        ("speech.mpeg", AudioFormat::Mpeg, SENTENCE),
        ("speech.ogg", AudioFormat::Ogg, SENTENCE),
        ("vorbis.ogg", AudioFormat::Ogg, 2.0),
        ("speech.wav", AudioFormat::Wav, 2.0),
        ("speech.webm", AudioFormat::Webm, SENTENCE),
        ("live.webm", AudioFormat::Webm, SENTENCE),
        ("film.mp4", AudioFormat::Mp4, 2.0),
        ("silence.ogg", AudioFormat::Ogg, 2.0),
    ];

    for (name, format, seconds) in rows {
        let recording = look(name).unwrap();

        let off = (recording.length().as_secs_f64() - seconds).abs();
        assert!(recording.format() == format && off < 0.15, "{name}: {recording:?}");
    }
}

#[test]
fn what_ends_too_early_is_told_from_what_is_whole() {
    for name in
        ["speech.flac", "speech.m4a", "speech.mp3", "speech.ogg", "vorbis.ogg", "speech.wav", "film.mp4"]
    {
        let whole = asset(name);
        for share in [10, 60, 90] {
            let part = whole.slice(..whole.len() * share / 100);

            let error = Recording::look_at(part).unwrap_err();
            assert_eq!(error.code(), "truncated", "{share} % of {name}");
        }
    }
    // What a browser streams has no end that could be missed.
    let live = asset("live.webm");
    let part = Recording::look_at(live.slice(..live.len() / 2)).unwrap();
    assert!(part.length() < Duration::from_secs(5), "{part:?}");
}

#[test]
fn a_packet_as_long_as_the_file_is_not_read() {
    /// A cluster with one block of sound after the others (RFC 9559), which claims and has so many bytes.
    fn with_a_block_of(bytes: usize) -> Vec<u8> {
        let mut file = asset("live.webm").to_vec();
        file.extend(*b"\x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff\xe7\x82\x7f\xff\xa3\x01\0\0");
        file.extend((bytes as u64 + 4).to_be_bytes()[3..].iter());
        file.extend(*b"\x81\0\0\x80");
        file.resize(file.len() + bytes, 0);
        file
    }

    let usual = Recording::look_at(with_a_block_of(1 << 20));
    let made_for_it = Recording::look_at(with_a_block_of(20 << 20));

    assert!(usual.is_ok(), "{usual:?}");
    assert_eq!(made_for_it.unwrap_err().code(), "too_large_at_once");
}

#[test]
fn what_is_no_usable_recording_is_refused_by_what_is_inside() {
    let header = asset("speech.wav").slice(..44);
    let mut empty_wav = header.to_vec();
    empty_wav[40..44].fill(0);
    let rows = [
        (Bytes::new(), "empty"),
        (Bytes::from_static(b"<html>"), "format"),
        (Bytes::from_static(b"OggS-sound-"), "truncated"),
        (Bytes::from_static(b"\xff\xd8\xff\xe0JFIF"), "format"),
        (asset("speech.aac"), "foreign_format"),
        (asset("speech.aiff"), "foreign_format"),
        (asset("silent_film.mp4"), "no_sound"),
        (empty_wav.into(), "too_short"),
    ];

    for (bytes, code) in rows {
        let error = Recording::look_at(bytes.clone()).unwrap_err();
        assert_eq!(error.code(), code, "{:?}: {error}", &bytes[..bytes.len().min(12)]);
    }
}

#[test]
fn seconds_are_billed_when_they_have_begun() {
    assert_eq!(look("speech.ogg").unwrap().billed_seconds(), 7);
    assert_eq!(look("speech.wav").unwrap().billed_seconds(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damage_is_refused_or_survived_and_never_fatal(
        name in prop::sample::select(vec!["speech.m4a", "speech.mp3", "speech.ogg", "live.webm", "film.mp4", "speech.wav"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = asset(name).to_vec();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }

        // Whatever comes of it, it comes, and it is no longer than a file of this size can be.
        if let Ok(recording) = Recording::look_at(bytes) {
            prop_assert!(!recording.length().is_zero());
        }
    }
}
