//! The APIs of messages, models, speech and pictures: what they are sent, and what each of their answers is called.
//!
//! Here are the clients and what holds for all of them; each family has a file.

mod messages;
mod models;
mod pictures;
mod speech;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use flota_providers::{
    ErrorClass, ProviderError, Receipt,
    api::ApiSettings,
    chat::{ChatClient, ChatRequest, ChatSettings},
    content::{FetchError, Spool},
    google_token::{ApiKey, ServiceAccount, TokenSource},
    ocr::Wanted,
    picture::Picture,
    recording::Recording,
    sms::{SmsClient, SmsSender, SmsSettings},
    transcription::{TranscriptionClient, TranscriptionSettings, Wanted as Hearing},
    vision::{VisionClient, VisionSettings},
    whatsapp::{WhatsappClient, WhatsappContent, WhatsappSettings, media::WhatsappMediaClient},
};
use serde_json::{Value, json};

use crate::{
    receiver::{Answer, Receiver, RudeServer, Rudeness},
    recordings::asset,
};

/// Sun, 06 Nov 1994 08:49:37 GMT.
const NOW: i64 = 784_111_777;
/// The credential of every client here; it must be in no error.
const SECRET: &str = "s3cr3t-t0k3n";
/// A whole GIF of one pixel.
pub(crate) const PIXEL: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
const LIMITED: ErrorClass = ErrorClass::RateLimited { retry_after: None };

/// One of the clients, called with ordinary data.
#[derive(Debug, Clone, Copy)]
enum Api {
    Whatsapp,
    Read,
    Upload,
    Download,
    Sms,
    Chat,
    Speech,
    Vision,
}

const ALL: [Api; 8] =
    [Api::Whatsapp, Api::Read, Api::Upload, Api::Download, Api::Sms, Api::Chat, Api::Speech, Api::Vision];

impl Api {
    async fn call(self, base_url: String, timeout: Duration) -> Result<Receipt, ProviderError> {
        let api = ApiSettings::new(base_url, timeout);
        match self {
            Self::Whatsapp => {
                let text = WhatsappContent::Text { body: "Hola".into(), preview_url: false };
                whatsapp(api).send("+525512345678", &text, "job-1").await
            }
            Self::Read => whatsapp(api).mark_read("wamid.1").await,
            Self::Upload => {
                media(api).upload(&Bytes::from_static(b"-pixels-").into(), "a.png", "image/png").await
            }
            Self::Download => {
                let downloaded = media(api).download("42", Spool::default().gather(1_000)).await;
                let downloaded = FetchError::apart(downloaded)?.expect("there is room on the disk");
                let provider_ref = Some(downloaded.media_type);
                Ok(Receipt { provider: "whatsapp_media", provider_ref, detail: None })
            }
            Self::Sms => sms(api).send("+525512345678", "Código 1234 & más", NOW).await,
            Self::Chat => chat(api).complete(&question(), NOW).await,
            Self::Speech => {
                let wanted = Hearing { language: Some("es".into()), ..Hearing::default() };
                speech(api).transcribe(&spoken(), &wanted, NOW).await
            }
            Self::Vision => {
                let wanted = Wanted { labels: true, languages: vec!["es".into()], ..Wanted::default() };
                vision(api, Arc::new(ApiKey(SECRET.into()))).read(&[pixel()], &wanted, NOW).await
            }
        }
    }
}

fn whatsapp(api: ApiSettings) -> WhatsappClient {
    WhatsappClient::new(whatsapp_settings(api)).unwrap()
}

fn media(api: ApiSettings) -> WhatsappMediaClient {
    WhatsappMediaClient::new(whatsapp_settings(api)).unwrap()
}

fn whatsapp_settings(api: ApiSettings) -> WhatsappSettings {
    WhatsappSettings { api, phone_number_id: "123456789".into(), access_token: SECRET.into() }
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

/// A sentence.
pub(crate) fn spoken() -> Recording {
    Recording::look_at(asset("speech.ogg")).unwrap()
}

fn vision(api: ApiSettings, tokens: Arc<dyn TokenSource>) -> VisionClient {
    VisionClient::new(VisionSettings { api, tokens, project: Some("my-project".into()) }).unwrap()
}

pub(crate) fn pixel() -> Picture {
    Picture::look_at(Bytes::from_static(PIXEL)).unwrap()
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
    // All at once, because each waits for seconds.
    let apis = ALL.into_iter().map(async |api| {
        let doubles = matches!(api, Api::Whatsapp | Api::Sms);
        // Where the limit is met it has to leave time to get there, and where it is not, it is out of the way.
        for (rudeness, safe, limit) in [
            (Rudeness::Hang, ErrorClass::Timeout, 2),
            (Rudeness::Reset, ErrorClass::Network, 60),
            (Rudeness::DripBody, ErrorClass::Timeout, 2),
        ] {
            let server = RudeServer::start(rudeness).await;
            let result = api.call(format!("http://{}", server.address), Duration::from_secs(limit)).await;

            let expected = if doubles { ErrorClass::Ambiguous } else { safe };
            assert_eq!(result.unwrap_err().class, expected, "{api:?} {rudeness:?}");
            assert_eq!(server.connections(), 1, "{api:?} {rudeness:?}");
        }
    });
    futures_util::future::join_all(apis).await;
}

#[tokio::test]
async fn a_model_that_stops_in_the_middle_is_given_up_long_before_the_end_of_the_call() {
    let server = RudeServer::start(Rudeness::Stall).await;
    let api = ApiSettings::new(format!("http://{}", server.address), Duration::from_mins(5));
    let settings = ChatSettings { api, api_key: SECRET.into(), stall: Duration::from_secs(3) };

    let error = ChatClient::new(settings).unwrap().complete(&question(), NOW).await.unwrap_err();

    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Timeout, Some("stalled")));
}

#[tokio::test]
async fn an_api_that_is_not_there_was_not_reached_and_nothing_is_ambiguous() {
    for api in ALL {
        let result = api.call("http://127.0.0.1:1".to_owned(), Duration::from_secs(30)).await;
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
