//! Every provider's happy path, with our own client where there is one.

use flota_producer::{KNOWN_TEMPLATES, WhatsappTemplate};
use flota_providers::{
    api::ApiSettings,
    chat::{ChatClient, ChatRequest, ChatSettings},
    content::{FetchError, Spool},
    google_token::{ApiKey, ServiceAccount},
    ocr::Wanted,
    picture::Picture,
    recording::Recording,
    sms::{SmsClient, SmsSettings},
    transcription::{TranscriptFormat, TranscriptionClient, TranscriptionSettings, Wanted as HearingWanted},
    vision::{VisionClient, VisionSettings},
    whatsapp::{MediaPlace, WhatsappClient, WhatsappContent, WhatsappSettings, media::WhatsappMediaClient},
};

use super::*;

/// A whole GIF of one pixel.
const PIXEL: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

fn now() -> i64 {
    flota_producer::clock::unix_now().as_secs() as i64
}

fn api(stage: &Stage, path: &str) -> ApiSettings {
    ApiSettings::new(stage.sandbox.url(path), SOON)
}

fn whatsapp(stage: &Stage, token: &str) -> WhatsappClient {
    WhatsappClient::new(whatsapp_settings(stage, token)).unwrap()
}

fn whatsapp_settings(stage: &Stage, token: &str) -> WhatsappSettings {
    WhatsappSettings {
        api: api(stage, "/whatsapp/v23.0"),
        phone_number_id: "123456789".into(),
        access_token: token.into(),
    }
}

#[tokio::test]
async fn whatsapp_takes_text_and_templates() {
    let stage = Stage::set().await;
    let client = whatsapp(&stage, credential::WHATSAPP);
    let text = WhatsappContent::Text { body: "Hola".into(), preview_url: false };
    let components = vec![json!({ "type": "body", "parameters": [{ "type": "text", "text": "Ana" }] })];
    let template =
        WhatsappContent::Template { name: "order_shipped".into(), language: "es_MX".into(), components };

    for content in [text, template] {
        let receipt = client.send("+525512345678", &content, "job-1").await.unwrap();
        assert!(receipt.provider_ref.unwrap().starts_with("wamid."));
    }

    let kinds: Vec<Value> = stage
        .sandbox
        .journal(Some("whatsapp"))
        .into_iter()
        .map(|entry| entry.summary["type"].clone())
        .collect();
    assert_eq!(kinds, ["text", "template"]);
}

#[tokio::test]
async fn whatsapp_takes_every_known_template_with_its_parameters() {
    let stage = Stage::set().await;
    let client = whatsapp(&stage, credential::WHATSAPP);

    for known in KNOWN_TEMPLATES {
        let empty = WhatsappTemplate::new(known.name, "es_MX");
        let template = known.parameters.iter().fold(empty, |template, name| template.parameter(*name, "x"));
        let components = template.all_components();
        let content =
            WhatsappContent::Template { name: template.template, language: template.language, components };
        client.send("+525512345678", &content, "job-1").await.unwrap();
    }

    let summaries = stage.sandbox.journal(Some("whatsapp")).into_iter().map(|entry| entry.summary);
    let names: Vec<Value> = summaries.map(|summary| summary["template"].clone()).collect();
    assert_eq!(names, ["order_confirmation", "payment_reminder", "shipping_update"]);
}

#[tokio::test]
async fn whatsapp_takes_every_kind_of_file_that_our_client_uploads_and_gives_it_back() {
    let stage = Stage::set().await;
    let client = whatsapp(&stage, credential::WHATSAPP);
    let media = WhatsappMediaClient::new(whatsapp_settings(&stage, credential::WHATSAPP)).unwrap();
    let files: [(&str, &str, &[u8]); 5] = [
        ("image", "image/png", b"\x89PNG\r\n\x1a\n"),
        ("audio", "audio/ogg", b"OggS\0\0\0\0OpusHead"),
        ("video", "video/mp4", b"\0\0\0\x18ftypmp42"),
        ("document", "application/pdf", b"%PDF-1.7"),
        ("sticker", "image/webp", b"RIFF\0\0\0\0WEBPVP8 "),
    ];

    for (kind, media_type, bytes) in files {
        let id = media.upload(&bytes.into(), "file", media_type).await.unwrap().provider_ref.unwrap();
        let captioned = matches!(kind, "image" | "video" | "document");
        let content = WhatsappContent::File {
            media: kind,
            place: MediaPlace::Id(id.clone()),
            caption: captioned.then(|| "Hola".to_owned()),
            filename: (kind == "document").then(|| "a.pdf".to_owned()),
        };
        client.send("+525512345678", &content, "job-1").await.unwrap();
        let at_most = |bytes| Spool::default().gather(bytes);
        let back = media.download(&id, at_most(1_000)).await.unwrap();
        let content = back.content.whole().await.unwrap();
        assert_eq!((&content[..], &*back.media_type), (bytes, media_type));
        let long = FetchError::apart(media.download(&id, at_most(3)).await).unwrap_err();
        assert_eq!(long.code.as_deref(), Some("too_long"), "{kind}");
    }
}

#[tokio::test]
async fn whatsapp_media_goes_up_and_comes_down_again() {
    let stage = Stage::set().await;
    let body = "--x\r\ncontent-disposition: form-data; name=\"messaging_product\"\r\n\r\nwhatsapp\r\n\
                --x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.png\"\r\ncontent-type: image/png\r\n\r\npixels\r\n--x--\r\n";
    let bearer = format!("Bearer {}", credential::WHATSAPP);
    let headers = [("authorization", &*bearer), ("content-type", "multipart/form-data; boundary=x")];

    let up = stage.post_text("/whatsapp/v23.0/123/media", &headers, body.into()).await.unwrap().json();
    let id = up["id"].as_str().unwrap();
    let get = |url: String| stage.http.get(url).bearer_auth(credential::WHATSAPP).send();
    let about =
        Came::from(get(stage.sandbox.url(&format!("/whatsapp/v23.0/{id}"))).await.unwrap()).await.json();
    let down = Came::from(get(about["url"].as_str().unwrap().to_owned()).await.unwrap()).await;
    let message = json!({ "messaging_product": "whatsapp", "to": "525512345678", "type": "image", "image": { "id": id } });
    let sent = stage.post("/whatsapp/v23.0/123/messages", credential::WHATSAPP, &message).await.unwrap();

    assert_eq!((about["mime_type"].as_str(), about["file_size"].as_u64()), (Some("image/png"), Some(6)));
    assert_eq!((down.status, &*down.text, sent.status), (200, "pixels", 200), "{}", sent.text);
}

#[tokio::test]
async fn a_message_can_be_marked_as_read() {
    let stage = Stage::set().await;
    let client = whatsapp(&stage, credential::WHATSAPP);

    let marked = client.mark_read("wamid.1").await.unwrap();
    let refused = client.mark_read("42").await.unwrap_err();

    assert_eq!(marked.provider_ref.as_deref(), Some("wamid.1"));
    assert_eq!(refused.code.as_deref(), Some("131009"));
}

#[tokio::test]
async fn twilio_takes_a_text_message() {
    let stage = Stage::set().await;
    let settings = SmsSettings {
        api: api(&stage, "/twilio/2010-04-01"),
        account_sid: credential::TWILIO_ACCOUNT.into(),
        auth_token: credential::TWILIO_TOKEN.into(),
        from: "+15005550006".into(),
    };

    let receipt =
        SmsClient::new(settings).unwrap().send("+525512345678", &"x".repeat(161), now()).await.unwrap();

    assert_eq!(receipt.detail.unwrap()["segments"], 2);
    assert!(receipt.provider_ref.unwrap().starts_with("SM"));
}

#[tokio::test]
async fn a_language_model_repeats_the_question_whole_or_as_a_stream() {
    let stage = Stage::set().await;
    let settings = ChatSettings { api: api(&stage, "/llm/v1"), api_key: credential::LLM.into(), stall: SOON };
    let request = ChatRequest {
        model: "a/b".into(),
        messages: vec![("user".into(), "Why?".into())],
        max_tokens: 10,
        ..ChatRequest::default()
    };

    let receipt = ChatClient::new(settings).unwrap().complete(&request, now()).await.unwrap();
    let mut streamed = question();
    streamed["stream"] = json!(true);
    let stream = stage.post("/llm/v1/chat/completions", credential::LLM, &streamed).await.unwrap();

    assert_eq!(receipt.detail.unwrap()["answer"], "You said: Why?");
    assert!(
        stream.text.starts_with(": OPENROUTER") && stream.text.ends_with("data: [DONE]\n\n"),
        "{}",
        stream.text
    );
}

#[tokio::test]
async fn a_recording_is_transcribed() {
    let stage = Stage::set().await;
    let settings = TranscriptionSettings {
        api: api(&stage, "/openai/v1"),
        api_key: credential::OPENAI.into(),
        model: "whisper-1".into(),
    };
    let client = TranscriptionClient::new(settings).unwrap();

    let recording = Recording::look_at(SPEECH).unwrap();
    let wanted = |format| HearingWanted { language: Some("es".into()), format, ..HearingWanted::default() };

    let receipt = client.transcribe(&recording, &wanted(TranscriptFormat::Json), now()).await.unwrap();
    let vtt = client.transcribe(&recording, &wanted(TranscriptFormat::Vtt), now()).await.unwrap();
    let verbose = client.transcribe(&recording, &wanted(TranscriptFormat::VerboseJson), now()).await.unwrap();

    let heard = receipt.detail.unwrap();
    assert_eq!((&heard["text"], &heard["usage"]["seconds"]), (&json!("Buenos días."), &json!(7)));
    assert_eq!(vtt.detail.unwrap()["text"], "WEBVTT\n\n00:00:00.000 --> 00:00:06.814\nBuenos días.");
    assert_eq!(verbose.detail.unwrap()["segments"][0]["end"], 6.814_375);
}

#[tokio::test]
async fn a_picture_is_read_with_a_token_of_the_service_account() {
    let stage = Stage::set().await;
    let account = ServiceAccount::from_json(&stage.sandbox.service_account().unwrap(), SOON).unwrap();
    let settings = VisionSettings {
        api: api(&stage, "/vision/v1"),
        tokens: Arc::new(account),
        project: Some("shop".into()),
    };
    let wanted = Wanted { labels: true, languages: vec!["es".into()], ..Wanted::default() };
    let picture = Picture::look_at(PIXEL).unwrap();

    let receipt = VisionClient::new(settings).unwrap().read(&[picture], &wanted, now()).await.unwrap();

    let image = &receipt.detail.unwrap()["images"][0];
    assert_eq!((&image["text"], &image["labels"][0]["label"]), (&json!("TOTAL 42.00"), &json!("Receipt")));
    assert_eq!(stage.sandbox.journal(Some("google_token")).len(), 1);
}

#[tokio::test]
async fn one_of_several_pictures_fails_on_order_and_is_asked_for_once_more() {
    let stage = Stage::set().await;
    let settings = VisionSettings {
        api: api(&stage, "/vision/v1"),
        tokens: Arc::new(ApiKey(credential::GOOGLE.into())),
        project: None,
    };
    let client = VisionClient::new(settings).unwrap();
    let picture = Picture::look_at(PIXEL).unwrap();
    let three = [picture.clone(), picture.clone(), picture];
    let one = Fault { ok_with_error: true, item: Some(1), ..Fault::of("google_vision") };
    let whole = Fault { ok_with_error: true, ..Fault::of("google_vision") };

    stage.sandbox.fault(one.clone()).unwrap();
    let mended = client.read(&three, &Wanted::default(), now()).await.unwrap().detail.unwrap();
    stage.sandbox.fault(one).unwrap();
    stage.sandbox.fault(whole).unwrap();
    let failed = client.read(&three, &Wanted::default(), now()).await.unwrap().detail.unwrap();

    let pictures =
        |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap()["requests"].as_array().unwrap().len();
    let sent: Vec<usize> =
        stage.sandbox.received("google_vision").iter().map(|request| pictures(&request.body)).collect();
    assert_eq!(sent, [3, 1, 3, 1]);
    assert_eq!(mended["images"][1]["text"], "TOTAL 42.00");
    assert_eq!(failed["images"][1]["error"]["class"], "server_error");
    for image in [&failed["images"][0], &failed["images"][2]] {
        assert_eq!(image["text"], "TOTAL 42.00");
    }
}

#[tokio::test]
async fn sendgrid_takes_a_mail_and_says_200_to_its_own_sandbox_mode() {
    let stage = Stage::set().await;
    let mut test = mail();
    test["mail_settings"] = json!({ "sandbox_mode": { "enable": true } });

    let real = stage.post("/sendgrid/v3/mail/send", credential::SENDGRID, &mail()).await.unwrap();
    let test = stage.post("/sendgrid/v3/mail/send", credential::SENDGRID, &test).await.unwrap();

    assert_eq!((real.status, &*real.text, test.status), (202, "", 200));
    assert!(real.headers.contains_key("x-message-id"));
}

#[tokio::test]
async fn many_callers_at_once_each_get_their_own_answer() {
    let stage = Stage::set().await;

    let calls = futures_util::future::join_all((0..64).map(|n| {
        let body = json!({ "messages": [{ "role": "user", "content": format!("number {n}") }] });
        let stage = &stage;
        async move { stage.post("/llm/v1/chat/completions", credential::LLM, &body).await.unwrap().json() }
    }));

    for (n, answer) in calls.await.into_iter().enumerate() {
        assert_eq!(answer["choices"][0]["message"]["content"], format!("You said: number {n}"));
    }
    assert_eq!(stage.sandbox.journal(Some("llm")).len(), 64);
}
