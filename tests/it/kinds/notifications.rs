//! Push, WhatsApp and SMS: files, templates that stand in, recipients that are left alone, and those that are gone.

use flota_producer::{WhatsappFile, WhatsappMedia, WhatsappTemplate};

use super::*;

const OTHER: &str = "+525500000000";
/// A pause after the first refusal of a pair is shorter, one after the second longer.
const PAIR_PAUSE: Duration = Duration::from_secs(8);
/// One white pixel.
const PNG: &[u8] = b"\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU\x00\x00\x00\x0aIDATx\x9cc\xf8\x0f\x00\x01\x01\x01\x00\xb18\xf6\x14\x00\x00\x00\x00IEND\xaeB`\x82";

impl Stage {
    /// Runs a job to its burial and answers class and code.
    pub(super) async fn bury(&self, job: NewJob) -> (Option<ErrorClass>, Option<String>) {
        let id = self.enqueue(job).await;
        self.queue.witness.wait_for(id, Verdict::Bury).await;
        let records = self.queue.records().await;
        let record = records.into_iter().rfind(|(_, record)| record.id == id).expect("its record").1;
        (record.class, record.code)
    }

    /// The next answer of WhatsApp is this error.
    fn whatsapp_refuses(&self, code: i64) {
        let body = Some(json!({ "error": { "message": "no", "code": code } }));
        self.sandbox.fault(Fault { body, ..Fault::status("whatsapp", 400) }).expect("the stage is set");
    }

    pub(super) fn calls(&self, provider: &str) -> usize {
        self.sandbox.journal(Some(provider)).len()
    }
}

fn text(to: &str) -> NewJob {
    NewJob::new(SendWhatsapp::new(to, WhatsappBody::text("Hola")))
}

#[tokio::test]
async fn later_jobs_for_an_ended_subscription_end_without_a_call() {
    let stage = Stage::set(true).await;
    let (gone, alive) = (stage.browser(), stage.browser());
    stage.sandbox.fault(Fault::status("push", 410)).unwrap();

    let first = stage.bury(NewJob::new(Stage::push(gone.clone()))).await;
    let second = stage.bury(NewJob::new(Stage::push(gone))).await;
    stage.complete(NewJob::new(Stage::push(alive))).await;

    assert_eq!(first, (Some(ErrorClass::Gone), Some("410".to_owned())));
    assert_eq!(second, (Some(ErrorClass::Gone), Some("suppressed".to_owned())));
    assert_eq!(stage.calls("push"), 2);
    stage.end().await;
}

#[tokio::test]
async fn a_subscription_with_another_key_is_gone_but_not_suppressed() {
    let stage = Stage::set(true).await;
    let (_, other) = (stage.browser(), stage.sandbox.subscribe(Some("BOther")).unwrap());

    let jobs = [(); 2].map(|()| NewJob::new(Stage::push(other.clone())));
    for job in jobs {
        let (class, code) = stage.bury(job).await;
        assert_eq!((class, code.as_deref()), (Some(ErrorClass::Gone), Some("vapid_mismatch")));
    }

    assert_eq!(stage.calls("push"), 2);
    stage.end().await;
}

#[tokio::test]
async fn a_file_goes_to_whatsapp_and_comes_back_by_its_id() {
    let stage = Stage::set(true).await;
    stage.put("receipt.png", PNG);
    let file = WhatsappFile {
        caption: Some("Your receipt".into()),
        ..WhatsappFile::new(WhatsappMedia::Image, MediaSource::file("receipt.png"))
    };

    stage.complete(NewJob::new(SendWhatsapp::new(NUMBER, WhatsappBody::File(file)))).await;
    let sent = stage.sent("whatsapp");
    let id = sent["image"]["id"].as_str().unwrap();
    let read = stage.complete(NewJob::new(ReadImage::new(MediaSource::whatsapp(id)))).await;

    assert_eq!((&sent["type"], &sent["image"]["caption"]), (&json!("image"), &json!("Your receipt")));
    assert_eq!(read["text"], "TOTAL 42.00");
    let image = stage.sent("google_vision")["requests"][0]["image"]["content"].as_str().unwrap().to_owned();
    assert_eq!(
        URL_SAFE_NO_PAD.decode(image.trim_end_matches('=').replace('+', "-").replace('/', "_")).unwrap(),
        PNG
    );
    stage.end().await;
}

#[tokio::test]
async fn a_file_goes_up_once_for_a_message_that_waits_and_not_at_all_for_who_wants_none() {
    let stage = Stage::set(true).await;
    stage.put("receipt.png", PNG);
    let picture = || {
        let file = WhatsappFile::new(WhatsappMedia::Image, MediaSource::file("receipt.png"));
        NewJob::new(SendWhatsapp::new(NUMBER, WhatsappBody::File(file)))
    };
    let refuse = |code: i64| {
        let body = Some(json!({ "error": { "message": "no", "code": code } }));
        let fault = Fault { body, operation: Some("send".into()), ..Fault::status("whatsapp", 400) };
        stage.sandbox.fault(fault).unwrap();
    };
    let uploads =
        || stage.sandbox.journal(Some("whatsapp")).iter().filter(|call| call.operation == "upload").count();

    refuse(130_429);
    stage.complete(picture()).await;
    let after_waiting = uploads();
    refuse(131_050);
    stage.bury(text(NUMBER)).await;
    let opted_out = stage.bury(picture()).await;

    assert_eq!((after_waiting, uploads()), (1, 1));
    assert_eq!(opted_out.1.as_deref(), Some("suppressed"));
    stage.end().await;
}

#[tokio::test]
async fn an_address_that_has_run_out_is_asked_for_once_more() {
    let stage = Stage::set(true).await;
    stage.put("receipt.png", PNG);
    let file = WhatsappFile::new(WhatsappMedia::Image, MediaSource::file("receipt.png"));
    stage.complete(NewJob::new(SendWhatsapp::new(NUMBER, WhatsappBody::File(file)))).await;
    let id = stage.sent("whatsapp")["image"]["id"].as_str().unwrap().to_owned();
    let expired = Fault { operation: Some("download".into()), ..Fault::status("whatsapp", 404) };
    stage.sandbox.fault(expired).unwrap();

    let read = stage.complete(NewJob::new(ReadImage::new(MediaSource::whatsapp(id)))).await;
    let missing = stage.bury(NewJob::new(ReadImage::new(MediaSource::whatsapp("42")))).await;

    assert_eq!(read["text"], "TOTAL 42.00");
    assert_eq!(missing.0, Some(ErrorClass::Permanent));
    stage.end().await;
}

#[tokio::test]
async fn a_template_stands_in_when_the_user_has_not_written_for_a_day() {
    let stage = Stage::set(true).await;
    let template = WhatsappTemplate::new("shipping_update", "es_MX")
        .parameter("customer", "Ana")
        .parameter("order", "42")
        .parameter("status", "en camino");
    let message = SendWhatsapp::new(NUMBER, WhatsappBody::text("Hola")).or_template(template);

    stage.whatsapp_refuses(131_047);
    let result = stage.complete(NewJob::new(message)).await;
    let sent = stage.sent("whatsapp");
    stage.whatsapp_refuses(131_047);
    let without = stage.bury(text(NUMBER)).await;

    assert_eq!((&result["sent"], &sent["template"]["name"]), (&json!("fallback"), &json!("shipping_update")));
    assert_eq!(sent["template"]["components"][0]["parameters"][2]["text"], "en camino");
    assert_eq!(without, (Some(ErrorClass::Permanent), Some("131047".to_owned())));
    stage.end().await;
}

#[tokio::test]
async fn a_recipient_who_was_sent_too_much_waits_and_others_do_not() {
    let stage = Stage::set(true).await;
    // The second refusal in a row is followed by a pause of sixteen seconds: long enough for what has to fall into it.
    stage.whatsapp_refuses(131_056);
    stage.whatsapp_refuses(131_056);

    let first = stage.enqueue(text(NUMBER)).await;
    let parked = |seen: &Seen| matches!(seen.last(first), Some(Verdict::Park(wait)) if PAIR_PAUSE < wait);
    stage.queue.witness.wait_until("the first is parked again", parked).await;
    let second = stage.enqueue(text(NUMBER)).await;
    stage.complete(text(OTHER)).await;
    stage
        .queue
        .witness
        .wait_until("the second is parked", |seen| matches!(seen.last(second), Some(Verdict::Park(_))))
        .await;

    assert_eq!(stage.calls("whatsapp"), 3);
    stage.queue.witness.wait_for(first, Verdict::Complete).await;
    let records = stage.queue.records().await;
    let record = &records.iter().rfind(|(_, record)| record.id == first).unwrap().1;
    assert_eq!(record.attempt, 1);
    stage.end().await;
}

#[tokio::test]
async fn who_wants_no_messages_is_not_written_to_again() {
    let stage = Stage::set(true).await;
    stage.whatsapp_refuses(131_050);
    let stop = json!({ "code": 21_610, "message": "Attempt to send to unsubscribed recipient" });
    stage.sandbox.fault(Fault { body: Some(stop), ..Fault::status("twilio", 400) }).unwrap();

    let whatsapp = [stage.bury(text(NUMBER)).await, stage.bury(text(NUMBER)).await];
    let sms = || NewJob::new(SendSms::new(NUMBER, "Hola"));
    let sms = [stage.bury(sms()).await, stage.bury(sms()).await];

    let codes =
        |ends: [(Option<ErrorClass>, Option<String>); 2]| ends.map(|(_, code)| code.unwrap_or_default());
    assert_eq!(codes(whatsapp), ["131050", "suppressed"]);
    assert_eq!(codes(sms), ["21610", "suppressed"]);
    assert_eq!((stage.calls("whatsapp"), stage.calls("twilio")), (1, 1));
    stage.end().await;
}

#[tokio::test]
async fn a_message_of_a_user_is_marked_as_read() {
    let stage = Stage::set(true).await;

    stage.complete(NewJob::new(SendWhatsapp::new(NUMBER, WhatsappBody::read("wamid.1")))).await;

    let sent = stage.sent("whatsapp");
    assert_eq!(sent, json!({ "messaging_product": "whatsapp", "status": "read", "message_id": "wamid.1" }));
    stage.end().await;
}
