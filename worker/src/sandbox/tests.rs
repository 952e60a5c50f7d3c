//! The sandbox from outside, over real connections.

mod clients;
mod faults;
mod journal;
mod mail_clients;
mod refusals;
mod signed_mail;

use std::time::Duration;

use axum::http::HeaderMap;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use super::*;

const SOON: Duration = Duration::from_secs(20);
/// A sentence.
const SPEECH: &[u8] = include_bytes!("../../../tests/assets/audio/speech.ogg");

/// A sandbox and somebody who calls it.
struct Stage {
    sandbox: Sandbox,
    http: Client,
}

/// A client that no proxy of the environment stands in the way of.
fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

/// What came back.
struct Came {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Came {
    async fn from(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap_or_default() }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

impl Stage {
    async fn set() -> Self {
        Self { sandbox: Sandbox::start().await.unwrap(), http: client() }
    }

    async fn post_text(&self, path: &str, headers: &[(&str, &str)], body: String) -> reqwest::Result<Came> {
        self.post_bytes(path, headers, body.into_bytes()).await
    }

    async fn post_bytes(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> reqwest::Result<Came> {
        let request = self.http.post(self.sandbox.url(path)).timeout(SOON).body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Ok(Came::from(request.send().await?).await)
    }

    /// A JSON document with a bearer token.
    async fn post(&self, path: &str, token: &str, body: &Value) -> reqwest::Result<Came> {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", &*authorization), ("content-type", "application/json")];
        self.post_text(path, &headers, body.to_string()).await
    }

    async fn call(&self, method: Method, path: &str) -> Came {
        let request = self.http.request(method, self.sandbox.url(path)).timeout(SOON);
        Came::from(request.send().await.unwrap()).await
    }

    /// A text message through Twilio.
    async fn sms(&self, fields: &[(&str, &str)]) -> reqwest::Result<Came> {
        let path = format!("/twilio/2010-04-01/Accounts/{}/Messages.json", credential::TWILIO_ACCOUNT);
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.http.post(self.sandbox.url(&path)).timeout(SOON);
        let request = request.basic_auth(credential::TWILIO_ACCOUNT, Some(credential::TWILIO_TOKEN));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        Ok(Came::from(request.send().await?).await)
    }

    /// A question for the language model.
    async fn ask(&self) -> reqwest::Result<Came> {
        self.post("/llm/v1/chat/completions", credential::LLM, &question()).await
    }
}

fn question() -> Value {
    json!({ "model": "x/y", "messages": [{ "role": "user", "content": "Why is the sky blue?" }] })
}

/// The smallest mail of SendGrid's reference.
fn mail() -> Value {
    json!({
        "personalizations": [{ "to": [{ "email": "ana@example.com" }], "custom_args": { "job_id": "1" } }],
        "from": { "email": "noreply@flota.example" },
        "subject": "Hello",
        "content": [{ "type": "text/plain", "value": "Hi" }, { "type": "text/html", "value": "<p>Hi</p>" }],
    })
}
