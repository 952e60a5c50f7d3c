//! Jobs whose files lie in the bucket, and results that are too long for their outcome.

use flota_producer::{MediaSource, StorageKey, WhatsappFile, WhatsappMedia};

use super::*;

/// A sentence.
const SPEECH: &[u8] = include_bytes!("../../assets/audio/speech.ogg");

/// A file in the sandbox's bucket, as if somebody had stored it.
fn store(stage: &Stage, tenant: Option<&str>, content: &[u8]) -> String {
    let key = StorageKey::mint(tenant).expect("a key").to_string();
    let path = stage.sandbox.bucket().join(&key);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("the bucket is there");
    std::fs::write(path, content).expect("the bucket is there");
    key
}

async fn code_of_dead(stage: &Stage, id: JobId) -> Option<ErrorClass> {
    stage.queue.witness.wait_for(id, Verdict::Bury).await;
    let records = stage.queue.records().await;
    records.into_iter().find(|(_, record)| record.id == id).and_then(|(_, record)| record.class)
}

#[tokio::test]
async fn pictures_recordings_and_attachments_are_read_from_the_bucket() {
    let stage = Stage::set(true).await;
    let picture = store(&stage, None, WHITE);
    let recording = store(&stage, Some("acme"), SPEECH);
    let invoice = store(&stage, None, b"%PDF-1.7");
    let mail = SendEmail::new("ana@example.com", EmailBody::text("Hi", "Hello"))
        .attach(EmailAttachment::new(MediaSource::storage(invoice), "Invoice 42.pdf"));

    let read = stage.complete(NewJob::new(ReadImage::new(MediaSource::storage(picture)))).await;
    let heard = NewJob::new(TranscribeAudio::new(MediaSource::storage(recording))).tenant("acme");
    let heard = stage.complete(heard).await;
    stage.complete(NewJob::new(mail)).await;

    assert_eq!((&read["text"], &heard["text"]), (&json!("TOTAL 42.00"), &json!("Buenos días.")));
    let file = &stage.sent("sendgrid")["attachments"][0];
    assert_eq!(file["content"], "JVBERi0xLjc=");
    stage.end().await;
}

#[tokio::test]
async fn a_file_of_another_tenant_is_refused_before_anybody_is_asked() {
    let stage = Stage::set(true).await;
    let key = store(&stage, Some("acme"), WHITE);
    let nobodys = store(&stage, None, WHITE);
    let asks = |key: &str| NewJob::new(ReadImage::new(MediaSource::storage(key)));

    for job in [asks(&key).tenant("other"), asks(&key), asks(&nobodys).tenant("acme")] {
        let id = stage.enqueue(job).await;
        assert_eq!(code_of_dead(&stage, id).await, Some(ErrorClass::Permanent));
    }

    assert_eq!(stage.sandbox.journal(Some("storage")).len(), 0);
    assert_eq!(stage.complete(asks(&key).tenant("acme")).await["text"], "TOTAL 42.00");
    stage.end().await;
}

#[tokio::test]
async fn a_file_that_is_empty_or_gone_ends_its_job() {
    let stage = Stage::set(true).await;
    let empty = store(&stage, None, b"");
    let gone = StorageKey::mint(None).unwrap().to_string();

    for key in [empty, gone] {
        let id = stage.enqueue(NewJob::new(ReadImage::new(MediaSource::storage(key)))).await;
        assert_eq!(code_of_dead(&stage, id).await, Some(ErrorClass::Permanent));
    }
    stage.end().await;
}

#[tokio::test]
async fn a_stored_picture_goes_to_whatsapp_as_what_it_was_stored_as() {
    let stage = Stage::set(true).await;
    // Without a media type of its own, a file is none that WhatsApp takes.
    let unknown = store(&stage, None, b"\x89PNG");
    let message = |key: &str| {
        let file = WhatsappFile::new(WhatsappMedia::Image, MediaSource::storage(key));
        NewJob::new(SendWhatsapp::new(NUMBER, WhatsappBody::File(file)))
    };
    let put = crate::storage::client_of(&stage.sandbox);
    let picture = StorageKey::mint(None).unwrap().to_string();
    put.put_bytes(&picture, "image/png", b"\x89PNG\r\n\x1a\n".as_slice().into()).await.unwrap();

    stage.complete(message(&picture)).await;
    let refused = stage.enqueue(message(&unknown)).await;

    assert_eq!(code_of_dead(&stage, refused).await, Some(ErrorClass::Permanent));
    assert_eq!(
        stage.sandbox.journal(Some("whatsapp")).iter().filter(|entry| entry.operation == "upload").count(),
        1
    );
    stage.end().await;
}

#[tokio::test]
async fn a_result_that_is_too_long_is_kept_whole_in_the_bucket_of_its_tenant() {
    let stage = Stage::set(true).await;
    let said = "Buenos días. ".repeat(5_000);
    let recording = store(&stage, Some("acme"), SPEECH);
    let long = Fault { body: Some(json!({ "text": said })), ..Fault::status("openai", 200) };
    stage.sandbox.fault(long).unwrap();

    let job = NewJob::new(TranscribeAudio::new(MediaSource::storage(recording))).tenant("acme");
    let result = stage.complete(job).await;

    let key = result["storage"].as_str().unwrap_or_else(|| panic!("{result}"));
    assert!(key.starts_with("acme/") && result["truncated"] == true && result["file"].is_null());
    let kept: Value =
        serde_json::from_slice(&std::fs::read(stage.sandbox.bucket().join(key)).unwrap()).unwrap();
    assert_eq!(kept["text"], said);
    stage.end().await;
}

#[tokio::test]
async fn a_result_that_cannot_be_stored_goes_to_the_directory_and_is_not_paid_for_twice() {
    let stage = Stage::set(true).await;
    stage.put("note.ogg", SPEECH);
    let said = "Buenos días. ".repeat(5_000);
    stage
        .sandbox
        .fault(Fault { body: Some(json!({ "text": said })), ..Fault::status("openai", 200) })
        .unwrap();
    stage.sandbox.fault(Fault::status("storage", 403).times(10)).unwrap();

    let result = stage.complete(NewJob::new(TranscribeAudio::new(MediaSource::file("note.ogg")))).await;

    let file = stage.files.path().join(result["file"].as_str().unwrap());
    assert!(result["storage"].is_null() && std::fs::read_to_string(file).unwrap().contains(&said));
    assert_eq!(stage.sandbox.journal(Some("openai")).len(), 1);
    stage.end().await;
}
