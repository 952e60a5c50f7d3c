//! One story for every kind of job: the real processors with services that lead to loopback.

mod notifications;
mod pictures;
mod recordings;
mod room_for_files;
mod stored_files;

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flota_engine::{ErrorClass, Fleet, Verdict};
use flota_producer::{
    CompleteChat, DeliverWebhook, EmailAttachment, EmailBody, JobId, MediaSource, NewJob, PushKeys,
    PushSubscription, ReadImage, SendEmail, SendPush, SendSms, SendWhatsapp, TranscribeAudio, WhatsappBody,
};
use flota_providers::{pipeline::Pipeline, push::new_vapid_pair};
use flota_tests::{
    PATIENCE,
    fleet::{QUEUE, TestQueue, drain, eventually},
    script::write_script,
    witness::Seen,
};
use flota_worker::{
    assemble::{self, Ground},
    config::Environment,
    database,
    dev::{WebhookAnswer, WebhookSink},
    limits::CallTimeouts,
    llm::LlmSettings,
    processors,
    sandbox::{BrowserSubscription, Fault, Reset, Sandbox},
    suppressions::Suppressions,
    transcription::SpeechSettings,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// A whole GIF of one white pixel, and one without colours, whose bytes are all text.
const WHITE: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
const TEXT_ONLY: &str = "GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
/// A sentence.
const SPEECH: &[u8] = include_bytes!("../assets/audio/speech.ogg");
const NUMBER: &str = "+525512345678";

/// A worker with the real processors, and what they talk to.
struct Stage {
    queue: TestQueue,
    sandbox: Sandbox,
    files: tempfile::TempDir,
    vapid_public_key: String,
    fleet: Fleet,
}

impl Stage {
    /// With every service, or with none.
    async fn set(configured: bool) -> Self {
        Self::set_with(configured, &[]).await
    }

    /// With these variables too; an empty one is not set.
    async fn set_with(configured: bool, more: &[(&'static str, &str)]) -> Self {
        Self::set_like(configured, more, SpeechSettings::built_in()).await
    }

    /// With these models too.
    async fn set_like(configured: bool, more: &[(&'static str, &str)], speech: SpeechSettings) -> Self {
        let sandbox = Sandbox::start().await.expect("the stage is set");
        let files = tempfile::tempdir().expect("the stage is set");
        let (vapid_public_key, private) = new_vapid_pair().expect("the stage is set");
        let mut variables: BTreeMap<&str, String> = BTreeMap::new();
        if configured {
            variables.extend(sandbox.environment());
            variables.extend([
                ("VAPID_PUBLIC_KEY", vapid_public_key.clone()),
                ("VAPID_PRIVATE_KEY", private.expose_secret().to_owned()),
                ("VAPID_SUBJECT", "mailto:admin@flota.example".to_owned()),
                ("FLOTA_FILES_DIR", files.path().display().to_string()),
                ("FLOTA_WEBHOOK_ALLOW_CIDRS", "127.0.0.0/8".to_owned()),
                ("FLOTA_FETCH_ALLOW_CIDRS", "127.0.0.0/8".to_owned()),
            ]);
        }
        variables.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        variables.retain(|_, value| !value.is_empty());
        let lookup = |name: &str| Ok(variables.get(name).cloned());
        let environment =
            Environment::from_lookup(&lookup, variables.keys().copied()).expect("the stage is set");
        // Nothing here asks Postgres, and a pool connects when it is first asked.
        let pool =
            database::connect(&"postgres://nobody@127.0.0.1:1/none".into(), 1).expect("the stage is set");
        let mut queue = TestQueue::new().await;
        // ffmpeg has few cores here.
        queue.policy.timeout = Duration::from_mins(2);
        let ground = Ground {
            pool: &pool,
            pipeline: &Pipeline::bare(),
            link: &queue.link,
            prefix: queue.prefix(),
            timeouts: &CallTimeouts::default(),
            llm: LlmSettings::built_in(),
            speech,
        };
        let mut services = assemble::services(&environment, ground).expect("the stage is set");
        services.suppressions = Suppressions::empty();
        let fleet = queue.start_with(processors::registry().bind(services));
        Self { queue, sandbox, files, vapid_public_key, fleet }
    }

    fn put(&self, name: &str, content: &[u8]) {
        std::fs::write(self.files.path().join(name), content).expect("the stage is set");
    }

    async fn enqueue(&self, job: NewJob) -> JobId {
        self.queue.enqueue(job.queue(QUEUE)).await
    }

    /// Runs a job to its success and answers its result.
    async fn complete(&self, job: NewJob) -> Value {
        let id = self.enqueue(job).await;
        self.queue.witness.wait_for(id, Verdict::Complete).await;
        let records = self.queue.records().await;
        let record = records.into_iter().rfind(|(_, record)| record.id == id).expect("its record").1;
        record.result.unwrap_or_default()
    }

    fn sent(&self, provider: &str) -> Value {
        let received = self.sandbox.received(provider);
        serde_json::from_slice(&received.last().expect("a request").body).expect("the stage is set")
    }

    fn browser(&self) -> BrowserSubscription {
        self.sandbox.subscribe(Some(&self.vapid_public_key)).expect("a browser")
    }

    fn push(browser: BrowserSubscription) -> SendPush {
        let keys = PushKeys { p256dh: browser.keys.p256dh, auth: browser.keys.auth };
        let subscription = PushSubscription { endpoint: browser.endpoint, expiration_time: None, keys };
        SendPush::new(subscription, "Order 42", "It is on its way.")
    }

    async fn end(self) {
        drain(self.fleet, PATIENCE).await;
    }
}

#[tokio::test]
async fn a_push_notification_can_be_opened_by_its_browser() {
    let stage = Stage::set(true).await;

    let id = stage.enqueue(NewJob::new(Stage::push(stage.browser()))).await;

    stage.queue.witness.wait_for(id, Verdict::Complete).await;
    let request = &stage.sandbox.received("push")[0];
    let content: Value = serde_json::from_slice(&stage.sandbox.notifications()[0]).unwrap();
    assert_eq!(content, json!({ "title": "Order 42", "body": "It is on its way." }));
    assert_eq!(request.header("topic"), Some(id.to_string().replace('-', "").as_str()));
    stage.end().await;
}

#[tokio::test]
async fn an_ended_subscription_is_gone_and_one_inside_our_network_is_refused() {
    let stage = Stage::set(true).await;
    stage.sandbox.fault(Fault::status("push", 410)).unwrap();
    let mut inside = Stage::push(stage.browser());
    inside.subscription.endpoint = "https://169.254.169.254/push".into();

    let gone = stage.enqueue(NewJob::new(Stage::push(stage.browser()))).await;
    stage.queue.witness.wait_for(gone, Verdict::Bury).await;
    let inside = stage.enqueue(NewJob::new(inside)).await;
    stage.queue.witness.wait_for(inside, Verdict::Bury).await;

    let records = stage.queue.records().await;
    let class =
        |id: JobId| records.iter().find(|(_, record)| record.id == id).and_then(|(_, record)| record.class);
    assert_eq!((class(gone), class(inside)), (Some(ErrorClass::Gone), Some(ErrorClass::Permanent)));
    stage.end().await;
}

#[tokio::test]
async fn a_whatsapp_message_carries_the_id_of_its_job() {
    let stage = Stage::set(true).await;
    let body = WhatsappBody::template("order_shipped", "es_MX", vec![]);

    let id = stage.enqueue(NewJob::new(SendWhatsapp::new(NUMBER, body))).await;

    stage.queue.witness.wait_for(id, Verdict::Complete).await;
    let sent = stage.sent("whatsapp");
    assert_eq!((&sent["to"], &sent["biz_opaque_callback_data"]), (&json!(NUMBER), &json!(id.to_string())));
    stage.end().await;
}

#[tokio::test]
async fn a_text_message_whose_answer_was_lost_is_repeated_once_as_ambiguous() {
    let stage = Stage::set(true).await;
    stage.sandbox.fault(Fault { reset: Some(Reset::AfterWork), ..Fault::of("twilio") }).unwrap();

    let result = stage.complete(NewJob::new(SendSms::new(NUMBER, "Your code is 1234."))).await;

    let records = stage.queue.records().await;
    assert_eq!(result["status"], "queued");
    assert_eq!(stage.sandbox.journal(Some("twilio")).len(), 2);
    assert!(records.iter().any(|(_, record)| record.class == Some(ErrorClass::Ambiguous)));
    stage.end().await;
}

#[tokio::test]
async fn an_answer_of_a_model_is_the_result_and_a_limit_costs_no_try() {
    let stage = Stage::set(true).await;
    stage.sandbox.fault(Fault::status("llm", 429)).unwrap();

    let id = stage.enqueue(NewJob::new(CompleteChat::ask("Why is the sky blue?"))).await;

    stage.queue.witness.wait_for(id, Verdict::Complete).await;
    let records = stage.queue.records().await;
    let record = &records.iter().find(|(_, record)| record.id == id).unwrap().1;
    let result = record.result.as_ref().unwrap();
    assert_eq!(result["answer"], "You said: Why is the sky blue?");
    assert_eq!((&result["usage"]["prompt_tokens"], record.attempt), (&json!(5), 1));
    stage.end().await;
}

#[tokio::test]
async fn a_recording_is_read_from_the_directory_and_nothing_else_is() {
    let stage = Stage::set(true).await;
    stage.put("note.ogg", SPEECH);
    stage.put("page.html", b"<html>");

    let heard =
        stage.complete(NewJob::new(TranscribeAudio::new(MediaSource::file("note.ogg")).language("es"))).await;

    assert_eq!(heard["text"], "Buenos días.");
    for file in ["page.html", "missing.ogg"] {
        let id = stage.enqueue(NewJob::new(TranscribeAudio::new(MediaSource::file(file)))).await;
        stage.queue.witness.wait_for(id, Verdict::Bury).await;
    }
    assert_eq!(stage.sandbox.journal(Some("openai")).len(), 1);
    stage.end().await;
}

#[tokio::test]
async fn a_mail_and_its_file_go_out_by_the_first_provider_that_takes_them() {
    let stage = Stage::set(true).await;
    stage.put("invoice.pdf", b"%PDF-1.7");
    stage.sandbox.fault(Fault::status("sendgrid", 503)).unwrap();
    let invoice = EmailAttachment::new(MediaSource::file("invoice.pdf"), "Invoice 42.pdf");
    let mail = SendEmail::new("ana@example.com", EmailBody::text("Hi", "Hello")).attach(invoice);

    stage.complete(NewJob::new(mail.clone())).await;
    stage.complete(NewJob::new(mail)).await;

    let sent = stage.sandbox.journal(None).into_iter().filter(|entry| entry.carried_out);
    let by: Vec<&str> = sent.map(|entry| entry.provider).collect();
    assert_eq!(by, ["ses", "sendgrid"], "who was in trouble is asked again with the next mail");
    let request = stage.sandbox.received("sendgrid").pop().unwrap();
    let file = &serde_json::from_slice::<Value>(&request.body).unwrap()["attachments"][0];
    assert_eq!((&file["filename"], &file["type"]), (&json!("Invoice 42.pdf"), &json!("application/pdf")));
    stage.end().await;
}

#[tokio::test]
async fn a_mail_whose_file_is_missing_is_dead_before_any_provider_is_asked() {
    let stage = Stage::set(true).await;
    let invoice = EmailAttachment::new(MediaSource::file("missing.pdf"), "Invoice 42.pdf");
    let mail = SendEmail::new("ana@example.com", EmailBody::text("Hi", "Hello")).attach(invoice);

    let id = stage.enqueue(NewJob::new(mail)).await;

    stage.queue.witness.wait_for(id, Verdict::Bury).await;
    let records = stage.queue.records().await;
    let class = records.into_iter().find(|(_, record)| record.id == id).and_then(|(_, record)| record.class);
    assert_eq!((class, stage.sandbox.journal(None).len()), (Some(ErrorClass::Permanent), 0));
    stage.end().await;
}

#[tokio::test]
async fn without_its_settings_every_kind_waits_and_burns_no_try() {
    let stage = Stage::set(false).await;
    let jobs = [
        NewJob::new(SendEmail::new("ana@example.com", EmailBody::text("Hi", "Hello"))),
        NewJob::new(DeliverWebhook::to_url("https://example.com/hook", "order.paid", Value::Null)),
        NewJob::new(Stage::push(stage.browser())),
        NewJob::new(SendWhatsapp::new(NUMBER, WhatsappBody::text("Hola"))),
        NewJob::new(SendSms::new(NUMBER, "Hola")),
        NewJob::new(CompleteChat::ask("Why?")),
        NewJob::new(TranscribeAudio::new(MediaSource::file("note.ogg"))),
        NewJob::new(ReadImage::new(MediaSource::file("receipt.gif"))),
    ];
    let kinds = processors::registry().names().count();
    assert_eq!(jobs.len(), kinds, "a kind has no story here");

    let mut ids = Vec::new();
    for job in jobs {
        ids.push(stage.enqueue(job).await);
    }

    for id in ids {
        let parked = |verdict| matches!(verdict, Some(Verdict::Park(wait)) if Duration::from_secs(60) < wait);
        stage.queue.witness.wait_until("a job waits for its settings", |seen| parked(seen.last(id))).await;
    }
    assert_eq!(stage.queue.counts().await.delayed, kinds as u64);
    stage.end().await;
}
