//! Recordings: every form of transcript, what cannot be transcribed, and what ffmpeg makes of it where it is installed.

use std::path::PathBuf;

use flota_producer::TranscriptFormat;
use flota_tests::installed::installed;

use super::*;

/// Minutes of sound are encoded on a busy core.
const LONG: Duration = Duration::from_secs(120);

fn asset(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/audio"));
    std::fs::read(folder.join(name)).expect("a recording of the collection")
}

fn job(file: &str) -> TranscribeAudio {
    TranscribeAudio::new(MediaSource::file(file))
}

/// A wave of 8,000 samples of one byte a second; silent where `sample` is always the same.
fn wave(samples: usize, sample: impl Fn(usize) -> u8) -> Vec<u8> {
    let mut wave = asset("speech.wav")[..44].to_vec();
    wave[4..8].copy_from_slice(&(samples as u32 + 36).to_le_bytes());
    wave[40..44].copy_from_slice(&(samples as u32).to_le_bytes());
    wave.extend((0..samples).map(sample));
    wave
}

/// 26 MB, which are some two minutes in stereo: 48,000 samples of four bytes a second.
fn large_wave() -> Vec<u8> {
    let mut wave = wave(26 * 1024 * 1024, |at| if at % 4 < 2 { 0 } else { (at % 40) as u8 });
    wave[22..24].copy_from_slice(&2_u16.to_le_bytes());
    wave[24..28].copy_from_slice(&48_000_u32.to_le_bytes());
    wave[28..32].copy_from_slice(&192_000_u32.to_le_bytes());
    wave[32..34].copy_from_slice(&4_u16.to_le_bytes());
    wave[34..36].copy_from_slice(&16_u16.to_le_bytes());
    wave
}

/// A minute in which four seconds of sound and two of silence take turns. Each sound is higher than the next: of two
/// pieces that are the same, only one is sent.
fn minute() -> Vec<u8> {
    wave(60 * 8_000, |at| if at % 48_000 < 32_000 { (at % (20 + at / 48_000)) as u8 * 5 } else { 0x80 })
}

/// A stage with ffmpeg, where it is installed.
async fn with_ffmpeg(longest_call: Option<Duration>) -> Option<Stage> {
    let program = installed("ffmpeg", "ffmpeg")?;
    let folder = program.parent().expect("a folder").display().to_string();
    let speech = SpeechSettings { longest_call, ..SpeechSettings::built_in() };
    Some(Stage::set_like(true, &[("PATH", &folder)], speech).await)
}

/// Runs a job to its success, however long that takes, and answers its result.
async fn complete_slowly(stage: &Stage, job: TranscribeAudio) -> Value {
    let id = stage.enqueue(NewJob::new(job)).await;
    let done = async || {
        let records = stage.queue.records().await;
        records.iter().any(|(_, record)| record.id == id && record.status.word() == "succeeded")
    };
    eventually(LONG, "the long recording is transcribed", done).await;
    let records = stage.queue.records().await;
    let record = records.into_iter().rfind(|(_, record)| record.id == id).expect("its record").1;
    record.result.unwrap_or_default()
}

#[tokio::test]
async fn a_transcript_comes_in_the_form_that_was_asked_for_with_what_it_cost() {
    let stage = Stage::set(true).await;
    stage.put("note.ogg", SPEECH);
    let of = |format| NewJob::new(job("note.ogg").format(format));

    let json = stage.complete(of(TranscriptFormat::Json)).await;
    let text = stage.complete(of(TranscriptFormat::Text)).await;
    let srt = stage.complete(of(TranscriptFormat::Srt)).await;
    let vtt = stage.complete(of(TranscriptFormat::Vtt)).await;
    let verbose = stage.complete(of(TranscriptFormat::VerboseJson)).await;

    assert_eq!((&json["text"], &text["text"]), (&json!("Buenos días."), &json!("Buenos días.")));
    assert_eq!(srt["text"], "1\n00:00:00,000 --> 00:00:06,814\nBuenos días.");
    assert_eq!(vtt["text"], "WEBVTT\n\n00:00:00.000 --> 00:00:06.814\nBuenos días.");
    assert_eq!(
        (&verbose["language"], &verbose["segments"][0]["text"]),
        (&json!("spanish"), &json!("Buenos días."))
    );
    for (format, result) in
        [("json", json), ("text", text), ("srt", srt), ("vtt", vtt), ("verbose_json", verbose)]
    {
        assert_eq!((&result["format"], &result["seconds"]), (&json!(format), &json!(6.8)));
        let call = json!({ "model": "whisper-1", "seconds": 7, "cost_usd": 0.0007, "cost_from": "table" });
        assert_eq!(result["usage"], json!({ "seconds": 7, "cost_usd": 0.0007, "calls": [call] }), "{format}");
    }
    stage.end().await;
}

#[tokio::test]
async fn words_have_their_times_where_a_job_asks_for_them() {
    let stage = Stage::set(true).await;
    stage.put("note.ogg", SPEECH);

    let plain = stage.complete(NewJob::new(job("note.ogg").format(TranscriptFormat::VerboseJson))).await;
    let words = stage.complete(NewJob::new(job("note.ogg").with_word_times())).await;

    let timed = |word: &str, start: f64, end: f64| json!({ "word": word, "start": start, "end": end });
    assert_eq!(words["words"], json!([timed("Buenos", 0.0, 3.41), timed("días", 3.41, 6.81)]));
    assert_eq!((&words["segments"], plain.get("words")), (&plain["segments"], None));
    let [of_plain, of_words] = [0, 1].map(|at| {
        let body = String::from_utf8_lossy(&stage.sandbox.received("openai")[at].body).into_owned();
        body.matches("name=\"timestamp_granularities[]\"").count()
    });
    assert_eq!((of_plain, of_words), (0, 2), "only the job that asks is sent with it");
    stage.end().await;
}

#[tokio::test]
async fn every_format_of_the_catalogue_is_sent_as_what_it_is_under_whatever_name() {
    let stage = Stage::set(true).await;
    let rows = [
        ("speech.mp3", "mp3"),
        ("film.mp4", "mp4"),
        ("speech.mpeg", "mpeg"),
        ("speech.mpga", "mp3"),
        ("speech.m4a", "m4a"),
        ("speech.wav", "wav"),
        ("speech.webm", "webm"),
        ("speech.ogg", "ogg"),
        ("speech.flac", "flac"),
    ];

    for (name, extension) in rows {
        stage.put("invoice.pdf", &asset(name));
        let heard = stage.complete(NewJob::new(job("invoice.pdf"))).await;

        let received = stage.sandbox.received("openai");
        let body = String::from_utf8_lossy(&received.last().expect("a request").body).into_owned();
        assert_eq!(heard["text"], "Buenos días.", "{name}");
        assert!(body.contains(&format!("filename=\"audio.{extension}\"")), "{name}");
    }
    stage.end().await;
}

#[tokio::test]
async fn a_recording_in_which_nobody_speaks_is_a_success_that_says_so() {
    let stage = Stage::set(true).await;
    stage.put("quiet.wav", &wave(16_000, |_| 0x80));

    for format in
        [TranscriptFormat::Json, TranscriptFormat::Srt, TranscriptFormat::Vtt, TranscriptFormat::VerboseJson]
    {
        let heard = stage.complete(NewJob::new(job("quiet.wav").format(format))).await;

        assert_eq!((&heard["silent"], &heard["usage"]["seconds"]), (&json!(true), &json!(2)), "{heard}");
    }
    stage.end().await;
}

#[tokio::test]
async fn what_cannot_be_transcribed_is_dead_at_once_and_nothing_is_sent() {
    // No PATH, and so no ffmpeg.
    let stage = Stage::set(true).await;
    let speech = asset("speech.ogg");
    let rows: [(&str, Vec<u8>, &str, &str); 8] = [
        ("empty.ogg", Vec::new(), "empty", "upload it again"),
        (
            "page.mp3",
            b"<html><body>404</body></html>".to_vec(),
            "format",
            "a web page, whatever its name says",
        ),
        ("photo.ogg", b"\xff\xd8\xff\xe0\0\x10JFIF\0".to_vec(), "format", "a JPEG picture"),
        ("cut.ogg", speech[..speech.len() / 2].to_vec(), "truncated", "cut off"),
        ("mute.mp4", asset("silent_film.mp4"), "no_sound", "no sound track"),
        ("voice.aac", asset("speech.aac"), "foreign_format", "apt-get install ffmpeg"),
        ("large.wav", large_wave(), "too_large", "apt-get install ffmpeg"),
        ("short.wav", wave(100, |_| 0x80), "too_short", "0.1 s"),
    ];

    for (name, content, code, told) in rows {
        stage.put(name, &content);
        let id = stage.enqueue(NewJob::new(job(name))).await;

        stage.queue.witness.wait_for(id, Verdict::Bury).await;
        let records = stage.queue.records().await;
        let record = records.into_iter().rfind(|(_, record)| record.id == id).expect("its record").1;
        assert_eq!(
            (record.class, record.code.as_deref()),
            (Some(ErrorClass::Permanent), Some(code)),
            "{name}"
        );
        let message = record.error.unwrap_or_default();
        assert!(message.contains(told), "{name}: {message}");
    }
    assert_eq!(stage.calls("openai"), 0);
    stage.end().await;
}

#[tokio::test]
async fn a_form_that_the_model_cannot_write_is_refused_before_anything_is_sent() {
    let stage = Stage::set_with(true, &[("WHISPER_MODEL", "gpt-4o-transcribe")]).await;
    stage.put("note.ogg", SPEECH);

    let refused = stage.bury(NewJob::new(job("note.ogg").format(TranscriptFormat::Srt))).await;
    let heard = stage.complete(NewJob::new(job("note.ogg"))).await;

    assert_eq!(refused, (Some(ErrorClass::Permanent), Some("format_of_model".to_owned())));
    assert_eq!((stage.calls("openai"), &heard["usage"]["cost_usd"]), (1, &json!(0.0007)));
    stage.end().await;
}

#[tokio::test]
async fn a_lost_answer_counts_as_what_it_may_have_cost_and_the_job_is_heard_again() {
    let stage = Stage::set(true).await;
    stage.put("note.ogg", SPEECH);
    stage.sandbox.fault(Fault { reset: Some(Reset::AfterWork), ..Fault::of("openai") }).unwrap();

    let id = stage.enqueue(NewJob::new(job("note.ogg"))).await;

    stage.queue.witness.wait_for(id, Verdict::Complete).await;
    let records = stage.queue.records().await;
    let calls: Vec<Value> = records
        .iter()
        .filter(|(_, record)| record.id == id)
        .map(|(_, record)| record.result.as_ref().expect("a result")["usage"]["calls"].clone())
        .collect();
    let lost = json!([{ "model": "whisper-1", "seconds": 7, "cost_usd": 0.0007, "cost_from": "estimate", "error": "network" }]);
    assert_eq!(calls.len(), 2);
    assert!(calls.contains(&lost), "{calls:?}");
    stage.end().await;
}

#[tokio::test]
async fn with_ffmpeg_other_formats_and_large_files_are_heard() {
    let Some(stage) = with_ffmpeg(None).await else { return };
    stage.put("voice.aac", &asset("speech.aac"));
    stage.put("large.wav", &large_wave());

    let voice = complete_slowly(&stage, job("voice.aac")).await;
    let large = complete_slowly(&stage, job("large.wav").format(TranscriptFormat::Vtt)).await;

    assert_eq!((&voice["text"], &voice["usage"]["seconds"]), (&json!("Buenos días."), &json!(7)));
    let vtt = large["text"].as_str().unwrap();
    assert!(vtt.starts_with("WEBVTT\n\n00:00:00.000 --> 00:02:2"), "{vtt}");
    // One call, and no pieces.
    assert_eq!((stage.calls("openai"), &large["pieces"]), (2, &Value::Null));
    stage.end().await;
}

#[tokio::test]
async fn a_long_recording_is_heard_in_pieces_and_none_is_paid_twice_when_one_fails_or_has_to_wait() {
    let Some(stage) = with_ffmpeg(Some(Duration::from_secs(30))).await else { return };
    stage.put("minute.wav", &minute());
    // The first piece is heard, the second fails once and then meets a limit.
    for fault in [
        Fault { delay_ms: 1, ..Fault::of("openai") },
        Fault::status("openai", 500),
        Fault::status("openai", 429).header("retry-after", "1"),
    ] {
        stage.sandbox.fault(fault).unwrap();
    }

    let heard = complete_slowly(&stage, job("minute.wav").format(TranscriptFormat::VerboseJson)).await;

    // Pieces of at most twenty seconds, cut in pauses.
    let starts: Vec<f64> = heard["segments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|segment| segment["start"].as_f64().unwrap())
        .collect();
    assert_eq!(heard["pieces"], json!(starts.len()));
    assert!((3..=5).contains(&starts.len()), "{starts:?}");
    assert!(starts.iter().all(|start| *start == 0.0 || start % 6.0 > 3.9), "{starts:?}");
    let journal = stage.sandbox.journal(Some("openai"));
    let carried_out = journal.iter().filter(|entry| entry.carried_out).count();
    assert_eq!((journal.len(), carried_out), (starts.len() + 2, starts.len()), "{journal:?}");
    let records = stage.queue.records().await;
    let told = records.iter().filter_map(|(_, record)| record.result.as_ref()?["usage"]["seconds"].as_u64());
    // Every piece once, each rounded up to a second.
    let told: u64 = told.sum();
    assert!((60..=60 + starts.len() as u64).contains(&told), "{told} s");
    stage.end().await;
}
