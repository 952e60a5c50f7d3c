//! The outside services on loopback: each API answers in its own shape, and every request is kept.
//!
//! Push service, Graph API, Twilio, a language model, transcription and Google Vision live under one address, told
//! apart by their paths. Credentials and bodies are checked as the real ones would at first glance, so that a client
//! that sends nonsense is refused here too. A service can be told to fail, to show what happens then. It is built on the
//! webhook receiver, which keeps the requests.

use std::io;

use serde_json::{Value, json};

use super::webhook_sink::{ReceivedRequest, WebhookAnswer, WebhookSink};

/// One of the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// A push service.
    Push,
    /// Meta's Graph API.
    Whatsapp,
    /// Twilio.
    Sms,
    /// A language model.
    Chat,
    /// A transcription API.
    Transcription,
    /// Google Vision.
    Vision,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Push, Self::Whatsapp, Self::Sms, Self::Chat, Self::Transcription, Self::Vision];

    /// The path that its calls go to.
    pub fn path(self) -> &'static str {
        match self {
            Self::Push => "/push/wpush/v2/browser",
            Self::Whatsapp => "/graph/123456789/messages",
            Self::Sms => "/twilio/Accounts/AC0123456789/Messages.json",
            Self::Chat => "/llm/chat/completions",
            Self::Transcription => "/openai/audio/transcriptions",
            Self::Vision => "/vision/images:annotate",
        }
    }
}

/// The credential that every service here takes.
pub const CREDENTIAL: &str = "dev-credential";

/// The running services. They stop listening when this is dropped.
#[derive(Debug)]
pub struct ProviderSink {
    sink: WebhookSink,
}

impl ProviderSink {
    /// Starts them on a loopback port chosen by the kernel.
    pub async fn start() -> io::Result<Self> {
        Ok(Self { sink: WebhookSink::start_with(answer).await? })
    }

    /// Where the push service takes notifications for the one browser it knows.
    pub fn push_endpoint(&self) -> String {
        self.sink.url(Service::Push.path())
    }

    /// What a service was sent, oldest first.
    pub fn received(&self, service: Service) -> Vec<ReceivedRequest> {
        self.sink.received().into_iter().filter(|request| request.path == service.path()).collect()
    }

    /// Makes the next call of a service fail like this.
    pub fn fail_once(&self, service: Service, answer: WebhookAnswer) {
        self.sink.answer(service.path(), answer);
    }

    /// The variables that lead a worker here, with the VAPID pair left to the caller.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("WHATSAPP_BASE_URL", self.sink.url("/graph")),
            ("WHATSAPP_PHONE_NUMBER_ID", "123456789".to_owned()),
            ("WHATSAPP_ACCESS_TOKEN", CREDENTIAL.to_owned()),
            ("TWILIO_BASE_URL", self.sink.url("/twilio")),
            ("TWILIO_ACCOUNT_SID", "AC0123456789".to_owned()),
            ("TWILIO_AUTH_TOKEN", CREDENTIAL.to_owned()),
            ("TWILIO_PHONE_NUMBER", "+15005550006".to_owned()),
            ("LLM_BASE_URL", self.sink.url("/llm")),
            ("OPENROUTER_API_KEY", CREDENTIAL.to_owned()),
            ("OPENAI_BASE_URL", self.sink.url("/openai")),
            ("OPENAI_API_KEY", CREDENTIAL.to_owned()),
            ("GOOGLE_VISION_BASE_URL", self.sink.url("/vision")),
            ("GOOGLE_VISION_API_KEY", CREDENTIAL.to_owned()),
        ]
    }
}

/// What the service at this path answers.
fn answer(request: &ReceivedRequest) -> WebhookAnswer {
    let Some(service) = Service::ALL.into_iter().find(|service| service.path() == request.path) else {
        return respond(
            404,
            &json!({ "error": { "message": "there is no such service here", "code": 100 } }),
        );
    };
    if !is_authorized(service, request) {
        return respond(401, &json!({ "error": { "message": "unknown credential", "code": 190 } }));
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    match reply(service, request, &body) {
        Some((status, reply)) => respond(status, &reply),
        None => respond(
            400,
            &json!({ "error": { "message": "something is missing", "code": 100 }, "code": 21_604 }),
        ),
    }
}

fn is_authorized(service: Service, request: &ReceivedRequest) -> bool {
    let authorization = request.header("authorization").unwrap_or_default();
    match service {
        Service::Push => authorization.starts_with("vapid t="),
        Service::Sms => authorization.starts_with("Basic "),
        Service::Vision => request.header("x-goog-api-key") == Some(CREDENTIAL),
        _ => authorization.strip_prefix("Bearer ") == Some(CREDENTIAL),
    }
}

/// Status and body of a success; `None` when the request lacks what the service needs.
fn reply(service: Service, request: &ReceivedRequest, body: &Value) -> Option<(u16, Value)> {
    let text = String::from_utf8_lossy(&request.body);
    match service {
        Service::Push => {
            let encrypted = request.header("content-encoding") == Some("aes128gcm");
            (encrypted && request.header("ttl").is_some()).then_some((201, Value::Null))
        }
        Service::Whatsapp => {
            let to = body["to"].as_str()?;
            let said = body["text"]["body"].is_string() || body["template"]["name"].is_string();
            let messages = json!([{ "id": "wamid.dev" }]);
            let contacts = json!([{ "input": to, "wa_id": to.trim_start_matches('+') }]);
            let sent = json!({ "messaging_product": "whatsapp", "contacts": contacts, "messages": messages });
            said.then_some((200, sent))
        }
        Service::Sms => ["To=", "From=", "Body="]
            .iter()
            .all(|field| text.contains(field))
            .then_some((201, json!({ "sid": "SMdev", "status": "queued", "num_segments": "1" }))),
        Service::Chat => {
            let question = body["messages"].as_array()?.last()?["content"].as_str()?;
            let answer = json!({ "role": "assistant", "content": format!("You said: {question}") });
            let tokens = question.split_whitespace().count();
            Some((
                200,
                json!({
                    "id": "gen-dev", "model": body["model"],
                    "choices": [{ "message": answer, "finish_reason": "stop" }],
                    "usage": { "prompt_tokens": tokens, "completion_tokens": tokens + 2, "total_tokens": tokens * 2 + 2 },
                }),
            ))
        }
        Service::Transcription => (text.contains("filename=\"audio.") && text.contains("name=\"model\""))
            .then_some((
                200,
                json!({ "text": "Buenos días.", "usage": { "type": "duration", "seconds": 1 } }),
            )),
        Service::Vision => {
            body["requests"][0]["image"]["content"].as_str()?;
            Some((200, json!({ "responses": [{ "fullTextAnnotation": { "text": "TOTAL 42.00" } }] })))
        }
    }
}

fn respond(status: u16, body: &Value) -> WebhookAnswer {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    WebhookAnswer::Respond { status, headers, body }
}
