//! ffmpeg as a process: with programs that misbehave, and for real where it is installed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bytes::Bytes;
use flota_providers::{
    content::{HELD, Spool},
    ffmpeg::{Ffmpeg, FfmpegError, FfmpegSettings, cuts},
    recording::{AudioFormat, Recording},
};

use crate::{installed::installed, recordings::asset, script::write_script};

const SOON: Duration = Duration::from_mins(2);
const HOUR: Duration = Duration::from_hours(1);

fn ffmpeg(program: PathBuf, timeout: Duration) -> Ffmpeg {
    Ffmpeg::new(FfmpegSettings { program, timeout, cores: 1, spool: Spool::default() })
}

/// The one that is installed.
fn real() -> Option<Ffmpeg> {
    Some(ffmpeg(installed("ffmpeg", "ffmpeg")?, SOON))
}

fn script(folder: &Path, does: &str) -> PathBuf {
    let program = folder.join("ffmpeg");
    write_script(&program, does);
    program
}

/// The same sentence several times with two seconds of silence behind each, as one long wave.
fn long_wave(times: usize) -> Bytes {
    let speech = asset("speech.wav");
    let (header, said) = speech.split_at(44);
    let mut sound = Vec::new();
    for _ in 0..times {
        sound.extend_from_slice(&said[..16_000]);
        sound.resize(sound.len() + 16_000, 0x80);
    }
    let mut wave = header.to_vec();
    wave[4..8].copy_from_slice(&(sound.len() as u32 + 36).to_le_bytes());
    wave[40..44].copy_from_slice(&(sound.len() as u32).to_le_bytes());
    wave.extend(sound);
    wave.into()
}

#[tokio::test]
async fn sound_of_any_format_becomes_small_speech_of_the_same_length() {
    let Some(ffmpeg) = real() else { return };

    for (name, seconds) in [
        ("speech.aac", 6.8),
        ("speech.aiff", 1.0),
        ("speech.m4a", 6.8),
        ("film.mp4", 2.0),
        ("speech.mpeg", 6.8),
    ] {
        let speech = Recording::look_at(ffmpeg.speech(&asset(name).into(), HOUR).await.unwrap()).unwrap();

        let off = (speech.length().as_secs_f64() - seconds).abs();
        assert!(speech.format() == AudioFormat::Ogg && off < 0.2, "{name}: {speech:?}");
    }
}

#[tokio::test]
async fn a_long_recording_is_cut_in_its_pauses_into_the_same_pieces_each_time() {
    let Some(ffmpeg) = real() else { return };
    let speech = ffmpeg.speech(&long_wave(8).into(), HOUR).await.unwrap();
    let whole = Recording::look_at(speech.clone()).unwrap();

    let silences = ffmpeg.silences(&speech).await.unwrap();
    let cuts = cuts(whole.length(), Duration::from_secs(12), &silences);
    let mut together = Duration::ZERO;
    let ends = cuts.iter().copied().chain([whole.length()]);
    let mut from = Duration::ZERO;
    for until in ends {
        let piece = ffmpeg.cut(&speech, (from, until), HELD).await.unwrap();
        let again = ffmpeg.cut(&speech, (from, until), HELD).await.unwrap();
        assert_eq!(piece.sha256().await.unwrap(), again.sha256().await.unwrap(), "the piece at {from:?}");
        together += Recording::look_at(piece).unwrap().length();
        from = until;
    }

    let pauses = |cut: &Duration| silences.iter().any(|silence| (silence.from..=silence.until).contains(cut));
    assert!(cuts.len() == 2 && cuts.iter().all(pauses), "{cuts:?} {silences:?}");
    assert!(together.abs_diff(whole.length()) < Duration::from_millis(200), "{together:?} of {whole:?}");
}

#[tokio::test]
async fn one_that_is_longer_than_it_may_be_is_not_worked_on_to_its_end() {
    let Some(ffmpeg) = real() else { return };

    let speech = ffmpeg.speech(&long_wave(8).into(), Duration::from_secs(10)).await.unwrap();

    let length = Recording::look_at(speech).unwrap().length();
    assert!((11..=13).contains(&length.as_secs()), "{length:?}");
}

#[tokio::test]
async fn what_has_no_sound_and_what_leads_elsewhere_is_refused() {
    let Some(ffmpeg) = real() else { return };
    let secret = tempfile::NamedTempFile::with_suffix(".wav").unwrap();
    fs::write(secret.path(), asset("speech.wav")).unwrap();
    let place = secret.path().display();
    let playlist =
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{place}\n#EXT-X-ENDLIST\n");
    let list = format!("ffconcat version 1.0\nfile '{place}'\n");

    let mute = ffmpeg.speech(&asset("silent_film.mp4").into(), HOUR).await.unwrap_err();

    assert!(matches!(mute, FfmpegError::NoSound), "{mute}");
    for text in [playlist, list, "<html>".to_owned()] {
        let refused = ffmpeg.speech(&text.clone().into(), HOUR).await.unwrap_err();
        assert!(matches!(refused, FfmpegError::Unreadable(_)), "{text}: {refused}");
    }
}

#[tokio::test]
async fn one_that_does_not_end_is_killed_and_one_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let program = script(folder.path(), &format!("echo $$ > {}; exec /bin/sleep 600", pid_file.display()));
    let began = Instant::now();

    let slow =
        ffmpeg(program, Duration::from_secs(5)).speech(&asset("speech.aac").into(), HOUR).await.unwrap_err();
    let missing =
        ffmpeg("/nowhere/ffmpeg".into(), SOON).speech(&asset("speech.aac").into(), HOUR).await.unwrap_err();

    let pid = fs::read_to_string(pid_file).unwrap().trim().to_owned();
    assert!(matches!(slow, FfmpegError::TooSlow(_)) && began.elapsed() < SOON, "{slow}");
    assert!(!Path::new("/proc").join(pid).exists(), "it still runs");
    assert!(
        matches!(missing, FfmpegError::NotThere(_)) && missing.to_string().contains("apt-get"),
        "{missing}"
    );
}

#[tokio::test]
async fn one_whose_job_is_given_up_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let program = script(folder.path(), &format!("echo $$ > {}; exec /bin/sleep 600", pid_file.display()));
    let run = tokio::spawn(async move {
        ffmpeg(program, SOON).speech(&asset("speech.aac").into(), HOUR).await.map(drop)
    });
    let pid = || fs::read_to_string(&pid_file).ok().filter(|pid| pid.ends_with('\n'));
    wait_until("it has started", || pid().is_some()).await;
    let process = Path::new("/proc").join(pid().unwrap().trim());

    run.abort();

    wait_until("it is gone", || !process.exists()).await;
}

async fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < SOON, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn more_than_speech_can_be_is_not_taken_and_nothing_of_our_environment_is_passed_on() {
    let folder = tempfile::tempdir().unwrap();
    let endless = ffmpeg(script(folder.path(), "exec /bin/cat /dev/zero"), SOON);
    let other = tempfile::tempdir().unwrap();
    let curious = ffmpeg(script(other.path(), "echo \"of us: $CARGO_MANIFEST_DIR.\" >&2; exit 1"), SOON);

    let large = endless.speech(&asset("speech.aac").into(), Duration::from_secs(1)).await.unwrap_err();
    let refused = curious.speech(&asset("speech.aac").into(), HOUR).await.unwrap_err();

    assert!(matches!(large, FfmpegError::TooLarge), "{large}");
    assert!(refused.to_string().ends_with("of us: ."), "{refused}");
}
