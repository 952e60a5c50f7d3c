//! The APIs of messages, models, speech and pictures: what they are sent, and what each of their answers is called.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use flota_providers::{
    ErrorClass, ProviderError, Receipt,
    api::ApiSettings,
    chat::{ChatClient, ChatRequest, ChatSettings},
    google_token::{ApiKey, ServiceAccount, TokenSource},
    sms::{SmsClient, SmsSettings},
    transcription::{TranscriptionClient, TranscriptionSettings},
    vision::{VisionClient, VisionRequest, VisionSettings},
    whatsapp::{WhatsappClient, WhatsappContent, WhatsappSettings},
};
use serde_json::{Value, json};

use crate::receiver::{Answer, Receiver, RudeServer, Rudeness};

/// Sun, 06 Nov 1994 08:49:37 GMT.
const NOW: i64 = 784_111_777;
/// The credential of every client here; it must be in no error.
const SECRET: &str = "s3cr3t-t0k3n";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n-pixels-";
const LIMITED: ErrorClass = ErrorClass::RateLimited { retry_after: None };

/// One of the clients, called with ordinary data.
#[derive(Debug, Clone, Copy)]
enum Api {
    Whatsapp,
    Sms,
    Chat,
    Speech,
    Vision,
}

const ALL: [Api; 5] = [Api::Whatsapp, Api::Sms, Api::Chat, Api::Speech, Api::Vision];

impl Api {
    async fn call(self, base_url: String, timeout: Duration) -> Result<Receipt, ProviderError> {
        let api = ApiSettings::new(base_url, timeout);
        match self {
            Self::Whatsapp => {
                let text = WhatsappContent::Text { body: "Hola".into(), preview_url: false };
                whatsapp(api).send("+525512345678", &text, "job-1").await
            }
            Self::Sms => sms(api).send("+525512345678", "Código 1234 & más", NOW).await,
            Self::Chat => chat(api).complete(&question(), NOW).await,
            Self::Speech => {
                speech(api).transcribe(Bytes::from_static(b"OggS-sound-"), Some("es"), None, NOW).await
            }
            Self::Vision => {
                let wanted =
                    VisionRequest { labels: true, languages: vec!["es".into()], ..VisionRequest::default() };
                vision(api, Arc::new(ApiKey(SECRET.into()))).read(PNG, &wanted, NOW).await
            }
        }
    }
}

fn whatsapp(api: ApiSettings) -> WhatsappClient {
    let settings = WhatsappSettings { api, phone_number_id: "123456789".into(), access_token: SECRET.into() };
    WhatsappClient::new(settings).unwrap()
}

fn sms(api: ApiSettings) -> SmsClient {
    let from = "+15005550006".into();
    SmsClient::new(SmsSettings { api, account_sid: "AC1".into(), auth_token: SECRET.into(), from }).unwrap()
}

fn chat(api: ApiSettings) -> ChatClient {
    ChatClient::new(ChatSettings { api, api_key: SECRET.into(), stall: Duration::from_secs(5) }).unwrap()
}

fn question() -> ChatRequest {
    let messages = vec![("user".into(), "PROMPT-TEXT".into())];
    ChatRequest {
        model: "some/model".into(),
        messages,
        max_tokens: 1_000,
        temperature: 0.7,
        ..ChatRequest::default()
    }
}

fn speech(api: ApiSettings) -> TranscriptionClient {
    let settings = TranscriptionSettings { api, api_key: SECRET.into(), model: "whisper-1".into() };
    TranscriptionClient::new(settings).unwrap()
}

fn vision(api: ApiSettings, tokens: Arc<dyn TokenSource>) -> VisionClient {
    VisionClient::new(VisionSettings { api, tokens, project: Some("my-project".into()) }).unwrap()
}

async fn answered(api: Api, status: u16, body: Value) -> (Receiver, Result<Receipt, ProviderError>) {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    with(api, Answer { status, body, ..Answer::default() }).await
}

async fn with(api: Api, answer: Answer) -> (Receiver, Result<Receipt, ProviderError>) {
    let receiver = Receiver::start(answer).await;
    let result = api.call(format!("http://{}/v1", receiver.address), Duration::from_secs(5)).await;
    (receiver, result)
}

/// Checks one row of a table: this answer, that class.
async fn check(api: Api, status: u16, body: Value, class: ErrorClass) {
    let (_receiver, result) = answered(api, status, body.clone()).await;
    let error = result.expect_err("a refusal");

    assert_eq!(error.class, class, "{api:?} {status} {body}: {error}");
}

#[tokio::test]
async fn a_whatsapp_text_and_a_template_go_out_as_meta_documents_them() {
    let sent = json!({ "messaging_product": "whatsapp", "messages": [{ "id": "wamid.1" }] });
    let (receiver, result) = answered(Api::Whatsapp, 200, sent).await;
    let template =
        WhatsappContent::Template { name: "hello".into(), language: "es_MX".into(), components: vec![] };
    let base = format!("http://{}/v1", receiver.address);
    let client = whatsapp(ApiSettings::new(base, Duration::from_secs(5)));
    client.send("+525512345678", &template, "job-2").await.unwrap();

    let got = receiver.received();
    let bodies: Vec<Value> = got.iter().map(|got| serde_json::from_slice(&got.body).unwrap()).collect();
    assert_eq!(result.unwrap().provider_ref.as_deref(), Some("wamid.1"));
    assert_eq!(got[0].path, "/v1/123456789/messages");
    assert_eq!(got[0].header("authorization"), format!("Bearer {SECRET}"));
    assert_eq!(
        bodies[0],
        json!({ "messaging_product": "whatsapp", "recipient_type": "individual", "to": "+525512345678",
            "biz_opaque_callback_data": "job-1", "type": "text", "text": { "body": "Hola", "preview_url": false } })
    );
    assert_eq!(bodies[1]["template"], json!({ "name": "hello", "language": { "code": "es_MX" } }));
}

#[tokio::test]
async fn whatsapp_is_judged_by_its_code_and_not_by_its_status() {
    let minute = ErrorClass::RateLimited { retry_after: Some(Duration::from_mins(1)) };
    let pair = ErrorClass::RateLimited { retry_after: Some(Duration::from_secs(6)) };
    let rows: [(ErrorClass, &[i64]); 7] = [
        (ErrorClass::Auth, &[0, 190, 3, 10, 200, 299, 131_005, 131_031, 131_037, 131_045, 133_010, 368]),
        (
            ErrorClass::Permanent,
            &[
                1, 33, 100, 131_008, 131_009, 135_000, 131_026, 131_047, 131_050, 130_403, 130_472, 131_021,
                131_030, 131_051, 131_053, 132_000, 132_001, 132_005, 132_007, 132_012, 132_015, 132_016,
                132_018, 132_068,
            ],
        ),
        (ErrorClass::ServerError, &[2, 131_000, 131_016, 131_057, 133_004, 131_049, 131_052]),
        (minute, &[4, 80_007, 80_008]),
        (LIMITED, &[130_429, 132_069]),
        (pair, &[131_056]),
        (ErrorClass::Quota, &[131_048, 131_042]),
    ];

    for (class, codes) in rows {
        for code in codes {
            check(Api::Whatsapp, 400, json!({ "error": { "message": "no", "code": code } }), class).await;
        }
    }
    let error = |code: i64, transient: bool| json!({ "error": { "code": code, "is_transient": transient } });
    check(Api::Whatsapp, 400, error(999_999, false), ErrorClass::Permanent).await;
    check(Api::Whatsapp, 400, error(999_999, true), ErrorClass::ServerError).await;
    check(Api::Whatsapp, 503, error(999_999, false), ErrorClass::ServerError).await;
    check(Api::Whatsapp, 200, json!({ "surprise": true }), ErrorClass::Ambiguous).await;
}

#[tokio::test]
async fn a_user_who_may_not_be_written_to_is_left_alone_for_a_day() {
    let (_receiver, result) = answered(Api::Whatsapp, 400, json!({ "error": { "code": 131_049 } })).await;

    assert_eq!(result.unwrap_err().retry_after(), Some(Duration::from_hours(24)));
}

#[tokio::test]
async fn a_text_message_goes_out_as_a_form_with_basic_login() {
    let sent = json!({ "sid": "SM1", "status": "queued", "num_segments": "1" });
    let (receiver, result) = answered(Api::Sms, 201, sent).await;

    let got = &receiver.received()[0];
    assert_eq!(result.unwrap().provider_ref.as_deref(), Some("SM1"));
    assert_eq!(got.path, "/v1/Accounts/AC1/Messages.json");
    assert!(got.header("authorization").starts_with("Basic "));
    assert_eq!(got.header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(&got.body[..], b"To=%2B525512345678&From=%2B15005550006&Body=C%C3%B3digo+1234+%26+m%C3%A1s");
}

#[tokio::test]
async fn every_answer_of_twilio_has_its_class() {
    let coded = |code: i64| json!({ "code": code, "message": "no", "status": 400 });
    let rows = [
        (400, coded(21_211), ErrorClass::Permanent),
        (400, coded(21_614), ErrorClass::Permanent),
        (400, coded(21_408), ErrorClass::Permanent),
        (400, coded(21_610), ErrorClass::Gone),
        (400, coded(21_606), ErrorClass::Auth),
        (401, coded(20_003), ErrorClass::Auth),
        (403, coded(20_005), ErrorClass::Auth),
        (429, coded(20_429), LIMITED),
        (429, coded(63_038), ErrorClass::Quota),
        (400, coded(14_107), LIMITED),
        (401, Value::Null, ErrorClass::Auth),
        (404, coded(20_404), ErrorClass::Permanent),
        (429, Value::Null, LIMITED),
        (500, Value::Null, ErrorClass::ServerError),
        (503, Value::Null, ErrorClass::ServerError),
        (200, json!({ "surprise": true }), ErrorClass::Ambiguous),
    ];

    for (status, body, class) in rows {
        check(Api::Sms, status, body, class).await;
    }
}

#[tokio::test]
async fn an_answer_of_a_model_is_kept_with_what_it_took() {
    let usage = json!({ "prompt_tokens": 4, "completion_tokens": 2, "cost": 0.000_01 });
    let said = json!({ "id": "gen-1", "model": "some/model", "usage": usage,
        "choices": [{ "finish_reason": "stop", "message": { "role": "assistant", "content": "Porque sí." } }] });
    let (receiver, result) = answered(Api::Chat, 200, said).await;

    let (receipt, got) = (result.unwrap(), &receiver.received()[0]);
    let sent: Value = serde_json::from_slice(&got.body).unwrap();
    let detail = receipt.detail.unwrap();
    assert_eq!(got.path, "/v1/chat/completions");
    assert_eq!((&sent["model"], &sent["stream"]), (&json!("some/model"), &json!(true)));
    assert_eq!(sent["messages"], json!([{ "role": "user", "content": "PROMPT-TEXT" }]));
    assert_eq!(receipt.provider_ref.as_deref(), Some("gen-1"));
    assert_eq!((&detail["answer"], &detail["usage"]), (&json!("Porque sí."), &usage));
}

#[tokio::test]
async fn every_answer_of_a_model_api_has_its_class() {
    let typed = |word: &str| json!({ "error": { "message": "no", "metadata": { "error_type": word } } });
    let inner = |code: i64| json!({ "error": { "code": code, "message": "no" } });
    let finished = json!({ "choices": [{ "finish_reason": "error", "error": { "code": 502 } }] });
    let rows = [
        (400, typed("invalid_request"), ErrorClass::Permanent),
        (400, typed("context_length_exceeded"), ErrorClass::Permanent),
        (401, typed("authentication"), ErrorClass::Auth),
        (402, typed("payment_required"), ErrorClass::Quota),
        (403, typed("moderation"), ErrorClass::Permanent),
        (404, typed("not_found"), ErrorClass::Permanent),
        (408, typed("timeout"), ErrorClass::ServerError),
        (412, Value::Null, ErrorClass::Permanent),
        (413, typed("payload_too_large"), ErrorClass::Permanent),
        (422, typed("unprocessable"), ErrorClass::Permanent),
        (429, typed("rate_limit_exceeded"), LIMITED),
        (429, json!({ "error": { "code": "insufficient_quota", "message": "no" } }), ErrorClass::Quota),
        (500, typed("server"), ErrorClass::ServerError),
        (502, typed("provider_unavailable"), ErrorClass::ServerError),
        (503, typed("provider_overloaded"), LIMITED),
        (504, typed("timeout"), ErrorClass::ServerError),
        (524, Value::Null, ErrorClass::ServerError),
        (400, json!({ "error": { "availability": { "retryable": true } } }), ErrorClass::ServerError),
        // A 200 can be an error.
        (200, inner(429), LIMITED),
        (200, inner(402), ErrorClass::Quota),
        (200, inner(502), ErrorClass::ServerError),
        (200, json!({ "error": { "message": "no" } }), ErrorClass::ServerError),
        (200, finished, ErrorClass::ServerError),
        (200, json!({ "choices": [] }), ErrorClass::ServerError),
        (200, json!({ "choices": [{ "message": { "content": "" } }] }), ErrorClass::ServerError),
    ];

    for (status, body, class) in rows {
        check(Api::Chat, status, body, class).await;
    }
}

#[tokio::test]
async fn a_wish_to_wait_is_kept_in_all_its_forms() {
    let reset = (NOW + 30).to_string();
    let rows =
        [("retry-after", "7", 7), ("retry-after-ms", "2000", 2), ("x-ratelimit-reset", reset.as_str(), 30)];

    for (name, value, seconds) in rows {
        let headers = vec![(name, value.to_owned())];
        let (_receiver, result) = with(Api::Chat, Answer { status: 429, headers, body: Vec::new() }).await;
        assert_eq!(result.unwrap_err().retry_after(), Some(Duration::from_secs(seconds)), "{name}");
    }
    let told = json!({ "error": { "code": 503, "availability": { "retry_after": 12 } } });
    let (_receiver, result) = answered(Api::Chat, 503, told).await;
    assert_eq!(result.unwrap_err().retry_after(), Some(Duration::from_secs(12)));
}

#[tokio::test]
async fn a_recording_goes_out_with_the_name_of_what_it_is() {
    let (receiver, result) =
        answered(Api::Speech, 200, json!({ "text": "Hola", "usage": { "seconds": 2 } })).await;

    let got = &receiver.received()[0];
    let body = String::from_utf8_lossy(&got.body);
    assert_eq!(result.unwrap().detail.unwrap()["text"], "Hola");
    assert_eq!(got.path, "/v1/audio/transcriptions");
    assert!(got.header("content-type").starts_with("multipart/form-data; boundary="));
    for part in
        ["filename=\"audio.ogg\"", "Content-Type: audio/ogg", "OggS-sound-", "whisper-1", "name=\"language\""]
    {
        assert!(body.contains(part), "{part} in {body}");
    }
}

#[tokio::test]
async fn every_answer_of_the_transcription_api_has_its_class() {
    let error =
        |kind: &str, code: Option<&str>| json!({ "error": { "message": "no", "type": kind, "code": code } });
    let rows = [
        (400, error("invalid_request_error", None), ErrorClass::Permanent),
        (401, error("invalid_request_error", Some("invalid_api_key")), ErrorClass::Auth),
        (
            403,
            error("request_forbidden", Some("unsupported_country_region_territory")),
            ErrorClass::Permanent,
        ),
        (404, error("invalid_request_error", Some("model_not_found")), ErrorClass::Permanent),
        (408, Value::Null, ErrorClass::ServerError),
        (409, Value::Null, ErrorClass::ServerError),
        (413, Value::Null, ErrorClass::Permanent),
        (429, error("insufficient_quota", Some("insufficient_quota")), ErrorClass::Quota),
        (429, error("requests", Some("rate_limit_exceeded")), LIMITED),
        (429, Value::Null, LIMITED),
        (500, error("server_error", None), ErrorClass::ServerError),
        (502, Value::Null, ErrorClass::ServerError),
        (503, error("server_error", Some("slow_down")), ErrorClass::ServerError),
        (503, Value::Null, ErrorClass::ServerError),
        (200, json!({ "surprise": true }), ErrorClass::ServerError),
    ];

    for (status, body, class) in rows {
        check(Api::Speech, status, body, class).await;
    }
}

#[tokio::test]
async fn a_picture_goes_out_inline_and_comes_back_as_text_and_labels() {
    let read = json!({ "responses": [{ "fullTextAnnotation": { "text": "TOTAL 42.00" },
        "labelAnnotations": [{ "description": "Receipt", "score": 0.9 }] }] });
    let (receiver, result) = answered(Api::Vision, 200, read).await;
    let (_empty, nothing) = answered(Api::Vision, 200, json!({ "responses": [{}] })).await;

    let got = &receiver.received()[0];
    let sent: Value = serde_json::from_slice(&got.body).unwrap();
    let detail = result.unwrap().detail.unwrap();
    assert_eq!(got.path, "/v1/images:annotate");
    assert_eq!((got.header("x-goog-api-key"), got.header("x-goog-user-project")), (SECRET, "my-project"));
    assert_eq!(sent["requests"][0]["image"]["content"], "iVBORw0KGgotcGl4ZWxzLQ==");
    assert_eq!(sent["requests"][0]["features"][0]["type"], "DOCUMENT_TEXT_DETECTION");
    assert_eq!(sent["requests"][0]["imageContext"]["languageHints"], json!(["es"]));
    assert_eq!(detail, json!({ "text": "TOTAL 42.00", "labels": [{ "label": "Receipt", "score": 0.9 }] }));
    assert_eq!(nothing.unwrap().detail.unwrap()["text"], "");
}

#[tokio::test]
async fn every_answer_of_vision_has_its_class() {
    let rpc = |status: &str| json!({ "error": { "code": 400, "message": "no", "status": status } });
    let image = |code: i64| json!({ "responses": [{ "error": { "code": code, "message": "no" } }] });
    let rows = [
        (400, rpc("INVALID_ARGUMENT"), ErrorClass::Permanent),
        (401, rpc("UNAUTHENTICATED"), ErrorClass::Auth),
        (403, rpc("PERMISSION_DENIED"), ErrorClass::Auth),
        (404, rpc("NOT_FOUND"), ErrorClass::Permanent),
        (413, Value::Null, ErrorClass::Permanent),
        (429, rpc("RESOURCE_EXHAUSTED"), LIMITED),
        (499, Value::Null, ErrorClass::ServerError),
        (500, rpc("INTERNAL"), ErrorClass::ServerError),
        (503, rpc("UNAVAILABLE"), ErrorClass::ServerError),
        (504, rpc("DEADLINE_EXCEEDED"), ErrorClass::ServerError),
        // The HTTP status says 200, the picture's own error does not.
        (200, image(3), ErrorClass::Permanent),
        (200, image(5), ErrorClass::Permanent),
        (200, image(7), ErrorClass::Permanent),
        (200, image(8), LIMITED),
        (200, image(4), ErrorClass::ServerError),
        (200, image(13), ErrorClass::ServerError),
        (200, image(14), ErrorClass::ServerError),
        (200, json!({ "responses": [] }), ErrorClass::ServerError),
    ];

    for (status, body, class) in rows {
        check(Api::Vision, status, body, class).await;
    }
}

#[tokio::test]
async fn a_service_account_signs_once_and_a_refused_token_is_renewed_once() {
    let granted = json!({ "access_token": SECRET, "expires_in": 3600, "token_type": "Bearer" });
    let google =
        Receiver::start(Answer { status: 200, body: granted.to_string().into(), ..Answer::default() }).await;
    let fine = json!({ "responses": [{}] }).to_string();
    let good = Receiver::start(Answer { status: 200, body: fine.into(), ..Answer::default() }).await;
    let bad = Receiver::start(Answer { status: 401, ..Answer::default() }).await;
    let key = String::from_utf8(include_bytes!("../data/service_account.key.pem").to_vec()).unwrap();
    let file = json!({ "type": "service_account", "client_email": "flota@my-project.iam.gserviceaccount.com",
        "private_key": key, "private_key_id": "k1", "token_uri": google.url() });
    let account = Arc::new(ServiceAccount::from_json(&file.to_string(), Duration::from_secs(5)).unwrap());
    let client = |receiver: &Receiver| {
        let api = ApiSettings::new(format!("http://{}", receiver.address), Duration::from_secs(5));
        vision(api, Arc::clone(&account) as Arc<dyn TokenSource>)
    };

    for _ in 0..2 {
        client(&good).read(PNG, &VisionRequest::default(), NOW).await.unwrap();
    }
    let exchanges_before = google.received().len();
    let error = client(&bad).read(PNG, &VisionRequest::default(), NOW).await.unwrap_err();

    assert_eq!(exchanges_before, 1);
    assert_eq!((google.received().len(), bad.received().len(), error.class), (2, 2, ErrorClass::Auth));
    assert_eq!(good.received()[0].header("authorization"), format!("Bearer {SECRET}"));
    let form = String::from_utf8(google.received()[0].body.to_vec()).unwrap();
    assert!(
        form.starts_with("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=ey"),
        "{form}"
    );
}

#[tokio::test]
async fn a_refused_service_account_waits_for_a_person_and_trouble_at_google_does_not() {
    let key = String::from_utf8(include_bytes!("../data/service_account.key.pem").to_vec()).unwrap();
    let rows = [
        (400, json!({ "error": "invalid_grant", "error_description": "Invalid JWT" }), ErrorClass::Auth),
        (400, json!({ "error": "temporarily_unavailable" }), ErrorClass::ServerError),
        (408, Value::Null, ErrorClass::ServerError),
        (429, Value::Null, LIMITED),
        (503, Value::Null, ErrorClass::ServerError),
    ];

    for (status, body, class) in rows {
        let google =
            Receiver::start(Answer { status, body: body.to_string().into(), ..Answer::default() }).await;
        let file = json!({ "client_email": "a@b", "private_key": key, "token_uri": google.url() });
        let account = ServiceAccount::from_json(&file.to_string(), Duration::from_secs(5)).unwrap();
        assert_eq!(account.credential(NOW).await.unwrap_err().class, class, "{status} {body}");
    }
}

#[tokio::test]
async fn no_error_repeats_our_credential_or_the_prompt() {
    for api in ALL {
        let quoting = json!({ "error": { "message": format!("bad key {SECRET}\u{1b}[31m"), "code": 190 },
            "code": 20003, "message": format!("bad key {SECRET}") });
        let (_receiver, result) = answered(api, 401, quoting).await;

        let error = result.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("***"), "{api:?}: {shown}");
        for secret in [SECRET, "PROMPT-TEXT", "\u{1b}"] {
            assert!(!shown.contains(secret), "{api:?}: {shown}");
        }
    }
}

#[tokio::test]
async fn a_lost_answer_is_ambiguous_only_where_a_repeat_may_double() {
    for api in ALL {
        let doubles = matches!(api, Api::Whatsapp | Api::Sms);
        for (rudeness, safe) in [
            (Rudeness::Hang, ErrorClass::Timeout),
            (Rudeness::Reset, ErrorClass::Network),
            (Rudeness::DripBody, ErrorClass::Timeout),
        ] {
            let server = RudeServer::start(rudeness).await;
            let result = api.call(format!("http://{}", server.address), Duration::from_millis(300)).await;

            let expected = if doubles { ErrorClass::Ambiguous } else { safe };
            assert_eq!(result.unwrap_err().class, expected, "{api:?} {rudeness:?}");
            assert_eq!(server.connections(), 1, "{api:?} {rudeness:?}");
        }
    }
}

#[tokio::test]
async fn a_model_that_stops_in_the_middle_is_given_up_long_before_the_end_of_the_call() {
    let server = RudeServer::start(Rudeness::Stall).await;
    let api = ApiSettings::new(format!("http://{}", server.address), Duration::from_mins(5));
    let settings = ChatSettings { api, api_key: SECRET.into(), stall: Duration::from_millis(200) };

    let error = ChatClient::new(settings).unwrap().complete(&question(), NOW).await.unwrap_err();

    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Timeout, Some("stalled")));
}

#[tokio::test]
async fn an_api_that_is_not_there_was_not_reached_and_nothing_is_ambiguous() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();

    for api in ALL {
        let result = api.call(format!("http://127.0.0.1:{port}"), Duration::from_secs(5)).await;
        assert_eq!(result.unwrap_err().class, ErrorClass::Network, "{api:?}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed_with_our_credential() {
    let other = Receiver::start(Answer { status: 200, ..Answer::default() }).await;

    for api in ALL {
        let headers = vec![("location", other.url())];
        let (_receiver, result) = with(api, Answer { status: 307, headers, body: Vec::new() }).await;
        assert_eq!(result.unwrap_err().class, ErrorClass::Permanent, "{api:?}");
    }
    assert!(other.received().is_empty());
}
