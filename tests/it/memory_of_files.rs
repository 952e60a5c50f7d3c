//! A worker process that sends several large files at once holds none of them in memory.

use std::path::Path;

use flota_producer::StorageKey;
use flota_providers::content::Content;
use flota_tests::{
    installed::installed,
    program::Installation,
    resident_memory::{MIB, allocated, most_allocated},
};
use flota_worker::{
    dev::{SmtpSink, SmtpSinkOptions},
    sandbox::{Sandbox, SandboxOptions},
};
use serde_json::{Value, json};

/// How much more a worker may allocate while it sends them than after it has sent small ones.
const MOST_GROWN: usize = 24 * MIB;
/// A document and a recording.
const LARGE: usize = 60 * MIB;
/// Seconds that are billed for the recording.
const LARGE_SECONDS: usize = LARGE.div_ceil(192_000);
/// Documents that are sent at once, and recordings that are heard at once.
const DOCUMENTS: usize = 4;
const RECORDINGS: usize = 2;
const QUEUES: &str = "[defaults]\nconcurrency = 4\n[queues.email]\n[queues.ocr]\n[queues.notification]\n[queues.transcription]\ntimeout = \"3m\"\n";

/// A fleet with a sandbox.
pub(crate) async fn stage() -> (Sandbox, Installation) {
    let options = SandboxOptions { keeps_requests: false, ..SandboxOptions::default() };
    let (sandbox, mut flota) =
        (Sandbox::start_with(options).await.expect("a sandbox"), Installation::new().await);
    for (name, value) in sandbox.environment() {
        flota.set(name, value);
    }
    let queues = flota.write("files.toml", QUEUES);
    flota.set("FLOTA_QUEUES_FILE", queues);
    // As in every deployment, for processors where it counts (docs/operations.md).
    flota.set("MALLOC_MMAP_THRESHOLD_", 1024 * 1024);
    (sandbox, flota)
}

/// A file in the bucket.
pub(crate) async fn store(sandbox: &Sandbox, folder: &Path, media_type: &str, content: &[u8]) -> String {
    let (path, key) = (folder.join("file"), StorageKey::mint(None).expect("a key").to_string());
    std::fs::write(&path, content).expect("room on the disk");
    crate::storage::client_of(sandbox).put_file(&key, media_type, &path, |_| ()).await.expect("it is stored");
    key
}

/// A wave in stereo, 192 kB a second, of which no part is like the next.
fn wave(bytes: usize) -> Vec<u8> {
    let mut wave = Vec::with_capacity(44 + bytes);
    wave.extend(b"RIFF");
    wave.extend((bytes as u32 + 36).to_le_bytes());
    wave.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    wave.extend(48_000_u32.to_le_bytes());
    wave.extend(192_000_u32.to_le_bytes());
    wave.extend(b"\x04\0\x10\0data");
    wave.extend((bytes as u32).to_le_bytes());
    let second: Vec<u8> =
        (0..192_000).map(|at: usize| if at.is_multiple_of(2) { 0 } else { (at / 480) as u8 % 16 }).collect();
    wave.extend(second.iter().cycle().take(bytes));
    wave
}

fn document(key: &str) -> Value {
    json!({ "to": "+525512345678", "body": { "media": "document", "source": { "storage": key }, "filename": "a.pdf" } })
}

fn recording(key: &str) -> Value {
    json!({ "audio": { "storage": key } })
}

/// Runs them all at once.
async fn all_succeed(flota: &Installation, jobs: &[(&str, Value)]) {
    let mut ids = Vec::new();
    for queue in ["email", "ocr", "notification", "transcription"] {
        flota.flota(&["queue", "pause", queue]).await.expect(0);
    }
    for (kind, payload) in jobs {
        ids.push(flota.enqueue(kind, payload, &[]).await);
    }
    for queue in ["email", "ocr", "notification", "transcription"] {
        flota.flota(&["queue", "resume", queue]).await.expect(0);
    }
    for id in ids {
        flota.wait_for(&id, "succeeded").await;
    }
}

/// How WhatsApp tells the digest of a file.
async fn sha256(content: Vec<u8>) -> String {
    let digest = Content::from(content).sha256().await.expect("it is in memory");
    digest.map(|byte| format!("{byte:02x}")).concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn several_files_of_sixty_mebibytes_at_once_go_out_whole_and_none_is_held_in_memory() {
    let (sandbox, mut flota) = stage().await;
    let ffmpeg = installed("ffmpeg", "ffmpeg");
    if let Some(program) = &ffmpeg {
        flota.set("PATH", program.parent().unwrap().display());
    }
    let folder = tempfile::tempdir().unwrap();
    let pdf: Vec<u8> =
        b"%PDF-1.7 ".iter().copied().chain((0..LARGE).map(|at| (at >> 8) as u8 ^ at as u8)).collect();
    let small = store(&sandbox, folder.path(), "application/pdf", &pdf[..100]).await;
    let large = store(&sandbox, folder.path(), "application/pdf", &pdf).await;
    let short = store(&sandbox, folder.path(), "audio/wav", &wave(192_000)).await;
    let long = store(&sandbox, folder.path(), "audio/wav", &wave(LARGE)).await;
    let recordings = if ffmpeg.is_some() { RECORDINGS } else { 0 };
    let worker = flota.start(&["worker"]).await;
    let process = worker.process.pid();
    // What is only needed once is there before it is measured.
    all_succeed(&flota, &[("send_whatsapp", document(&small)), ("transcribe_audio", recording(&short))])
        .await;
    let before = allocated(process).unwrap();

    let mut jobs = vec![("send_whatsapp", document(&large)); DOCUMENTS];
    jobs.extend(vec![("transcribe_audio", recording(&long)); recordings]);
    let ((), most) = most_allocated(process, all_succeed(&flota, &jobs)).await.unwrap();

    let grown = most.saturating_sub(before);
    let told = |provider, field: &str, expected: Value| {
        let journal = sandbox.journal(Some(provider));
        journal.iter().filter(|entry| entry.summary[field] == expected).count()
    };
    println!("{} files of 60 MiB at once: {:.1} MiB more than before", jobs.len(), grown as f64 / MIB as f64);
    assert!(grown < MOST_GROWN, "{grown} bytes more");
    assert_eq!(told("whatsapp", "sha256", json!(sha256(pdf).await)), DOCUMENTS);
    assert_eq!(told("openai", "seconds", json!(LARGE_SECONDS)), recordings);
    worker.stop().await;
}

/// A mail server that takes what large ones take, and remembers no more than this.
async fn mail_server(remembered: usize) -> SmtpSink {
    let options = SmtpSinkOptions {
        max_message_bytes: 64 * MIB,
        most_remembered: remembered,
        ..SmtpSinkOptions::default()
    };
    SmtpSink::start_with(options).await.expect("a mail server")
}

#[tokio::test(flavor = "multi_thread")]
async fn several_mails_with_all_the_files_that_a_provider_takes_go_out_whole_and_none_is_held_in_memory() {
    /// How many are sent at once.
    const MAILS: usize = 4;
    /// How much more a worker may allocate meanwhile.
    const MOST_GROWN: usize = 16 * MIB;
    let folder = tempfile::tempdir().unwrap();
    for (provider, bytes) in [("sendgrid", 22_000_000), ("ses", 21_000_000), ("smtp", 31_000_000)] {
        let (sandbox, mut flota) = stage().await;
        let server = mail_server(MAILS + 1).await;
        flota.set("FLOTA_EMAIL_PROVIDERS", provider).set("SMTP_PORT", server.port());
        let small = store(&sandbox, folder.path(), "image/gif", &[b'x'; 100]).await;
        let large = store(&sandbox, folder.path(), "image/gif", &vec![b'x'; bytes]).await;
        let worker = flota.start(&["worker"]).await;
        let process = worker.process.pid();
        all_succeed(&flota, &[("send_email", mail(&small))]).await;
        let before = allocated(process).unwrap();

        let jobs = vec![("send_email", mail(&large)); MAILS];
        let ((), most) = most_allocated(process, all_succeed(&flota, &jobs)).await.unwrap();

        let grown = most.saturating_sub(before);
        println!("{provider}: {MAILS} mails at once, {:.1} MiB more than before", grown as f64 / MIB as f64);
        assert!(grown < MOST_GROWN, "{provider}: {grown} bytes more");
        let by_smtp = server.mails().into_iter().map(|mail| mail.data.len());
        let by_api = sandbox.journal(Some(provider)).into_iter().filter(|entry| entry.carried_out);
        let sizes = by_smtp.chain(by_api.map(|entry| entry.body_bytes));
        let arrived = sizes.filter(|size| bytes * 4 / 3 < *size).count();
        assert_eq!(arrived, MAILS, "{provider}");
        worker.stop().await;
    }
}

fn mail(key: &str) -> Value {
    json!({
        "to": ["ana@example.com"], "body": { "subject": "Hi", "text": "Hello" },
        "attachments": [{ "source": { "storage": key }, "name": "a.gif" }],
    })
}
